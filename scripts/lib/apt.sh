# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
# Functions that fetch from Debian suites which the system's apt does not use.
# Sourced after common.sh.

# own_apt KIND SUITE...: makes apt use the packages ("deb") or the sources ("deb-src")
# of these suites, with a configuration of its own in $work.  The mirrors and the proxy
# settings are the system's; lists, cache and hooks are separate, so the system's apt
# does not change.  Signatures are checked against the system's Debian keyring.
# APT_ARCH=NAME makes it use packages of another architecture.
own_apt() {
	kind=$1
	shift
	index=Packages
	[ "$kind" = deb ] || index=Sources
	keyring=/usr/share/keyrings/debian-archive-keyring.gpg
	[ -e "$keyring" ] || die "no $keyring: apt-get install debian-archive-keyring"

	# A path outside the build directory, so that apt's download user can read it
	# wherever the checkout is.
	work=$(mktemp -d)
	trap 'rm -rf "$work"' EXIT
	trap 'exit 1' HUP INT TERM
	chmod 755 "$work"
	mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
	: >"$work/status"
	for suite; do
		case $suite in
		*-security) mirror=$(last debian_mirror Debian-Security) ;;
		*) mirror=$(last debian_mirror Debian) ;;
		esac
		echo "$kind [signed-by=$keyring target=$index] $mirror $suite main"
	done >"$work/sources.list"
	: >"$work/apt.conf"
	chmod 600 "$work/apt.conf"	# a proxy's address may hold a password
	{
		apt-config dump | grep '^Acquire::'
		cat <<-CONF
		APT::Architecture "${APT_ARCH:-$(dpkg --print-architecture)}";
		APT::Architectures { "${APT_ARCH:-$(dpkg --print-architecture)}"; };
		Acquire::AllowInsecureRepositories "false";
		Acquire::GzipIndexes "true";
		Acquire::Languages "none";
		Dir::State "$work";
		Dir::State::lists "$work/lists";
		Dir::State::status "$work/status";
		Dir::Cache "$work/cache";
		Dir::Etc::main "/dev/null";
		Dir::Etc::parts "/dev/null";
		Dir::Etc::sourcelist "$work/sources.list";
		Dir::Etc::sourceparts "/dev/null";
		Dir::Etc::preferences "/dev/null";
		Dir::Etc::preferencesparts "/dev/null";
		CONF
	} >>"$work/apt.conf"
	export APT_CONFIG="$work/apt.conf"

	apt-get -qq update --error-on=any >"$work/log" 2>&1 ||
		die "cannot read Debian's $* at $mirror: $(apt_said)"
}

# Print the first error of the command that wrote $work/log.
apt_said() {
	grep -m 1 '^[EW]:' "$work/log" || echo 'apt-get failed'
}
