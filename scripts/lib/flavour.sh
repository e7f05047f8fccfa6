# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
# Functions for the kernel that `make deb` builds.  These variables describe the kernel.
# Sourced after common.sh.
#   FLAVOUR=NAME   Debian's configuration of this name; cloud-amd64 unless given
#   CONFIG=FILE    this configuration instead, for example /boot/config-$(uname -r)
#   LSMOD=FILE     only the modules that this output of lsmod lists
#   BTF=0          no debugging information and no BTF
# Sets $name, the last part of the kernel's name; $debarch, the architecture of the
# packages; and $arch and $prefix, which the kernel's make calls ARCH and CROSS_COMPILE.

flavours='cloud-amd64 amd64 rt-amd64 cloud-arm64 arm64'

[ -z "${FLAVOUR-}" ] || [ -z "${CONFIG-}" ] || die "FLAVOUR and CONFIG both name a configuration; give one of them"
name=${FLAVOUR:-cloud-amd64}
if [ "${CONFIG-}" ]; then
	name=own debarch=amd64
	[ -f "$CONFIG" ] || die "CONFIG=$CONFIG does not exist; give a kernel configuration, for example CONFIG=/boot/config-$(uname -r)"
	grep -q '^CONFIG_MMU=y' "$CONFIG" || die "CONFIG=$CONFIG is not a kernel configuration"
	! grep -q '^CONFIG_ARM64=y' "$CONFIG" || debarch=arm64
else
	case " $flavours " in
	*" $name "*) ;;
	*) die "there is no FLAVOUR=$name; available: $flavours" ;;
	esac
	debarch=${name##*-}
fi
if [ "${LSMOD-}" ]; then
	[ -f "$LSMOD" ] || die "LSMOD=$LSMOD does not exist; create it with: lsmod >$LSMOD"
	grep -qE '^[A-Za-z0-9_]+ +[0-9]+ ' "$LSMOD" || die "LSMOD=$LSMOD lists no modules; create it with: lsmod >$LSMOD"
	LSMOD=$(realpath "$LSMOD")
	name=$name-lsmod
fi
case ${BTF:-1} in
0 | 1) ;;
*) die "BTF=$BTF is neither 0 nor 1" ;;
esac
arch=x86 prefix=
[ "$debarch" = amd64 ] || arch=arm64 prefix=aarch64-linux-gnu-

# Print the path of the package with Debian's configurations for $debarch.
debian_config() (
	# shellcheck disable=SC2154 # of the file base
	deb=$OUT/fetch/linux-config-$version-$debarch.deb
	[ -f "$deb" ] || {
		# shellcheck source=scripts/lib/apt.sh
		. "$TOP/scripts/lib/apt.sh"
		APT_ARCH=$debarch
		own_apt deb bookworm-security trixie trixie-security
		mkdir -p "$OUT/fetch" "$work/config"
		chmod 777 "$work/config"
		# shellcheck disable=SC2154 # package: of the file base
		(cd "$work/config" && apt-get -qq download "linux-config-${package#linux-source-}=$version" >"$work/log" 2>&1) ||
			die "cannot fetch Debian's configurations of $version for $debarch: $(apt_said)"
		cp "$work"/config/*.deb "$deb.new"
		mv "$deb.new" "$deb"
	}
	echo "$deb"
)

# Print the configuration that FLAVOUR or CONFIG names.
given_config() (
	[ -z "${CONFIG-}" ] || exec cat "$CONFIG"
	deb=$(debian_config)
	flavour=${FLAVOUR:-cloud-amd64} featureset=none
	[ "${flavour#rt-}" = "$flavour" ] || featureset=rt flavour=${flavour#rt-}
	dpkg-deb --fsys-tarfile "$deb" | tar -xO --wildcards "*/config.${debarch}_${featureset}_$flavour.xz" | xz -d
)

# configure TREE DIR: writes DIR/.config.
configure() (
	tree=$1 dir=$2
	mkdir -p "$dir"
	given_config >"$dir/.config"
	# The build signs the modules with a key that it creates.  A configuration of /boot
	# also names a file of Debian's keys, which the source does not have.
	"$tree/scripts/config" --file "$dir/.config" --set-str MODULE_SIG_KEY certs/signing_key.pem \
		--set-str SYSTEM_TRUSTED_KEYS '' --set-str LOCALVERSION ''
	if [ "${BTF:-1}" = 0 ]; then
		"$tree/scripts/config" --file "$dir/.config" -d DEBUG_INFO_BTF -d DEBUG_INFO_DWARF_TOOLCHAIN_DEFAULT \
			-d DEBUG_INFO_DWARF4 -d DEBUG_INFO_DWARF5 -e DEBUG_INFO_NONE
	elif grep -q '^CONFIG_DEBUG_INFO=y' "$dir/.config"; then
		"$tree/scripts/config" --file "$dir/.config" -e DEBUG_INFO_BTF
	else
		"$tree/scripts/config" --file "$dir/.config" -d DEBUG_INFO_NONE -e DEBUG_INFO_DWARF_TOOLCHAIN_DEFAULT -e DEBUG_INFO_BTF
	fi
	kernel_make "$tree" "$dir" -s olddefconfig
	[ -z "${LSMOD-}" ] || yes '' | LSMOD=$LSMOD kernel_make "$tree" "$dir" localmodconfig
	[ "${BTF:-1}" = 0 ] || grep -q '^CONFIG_DEBUG_INFO_BTF=y' "$dir/.config" ||
		die "Kconfig does not grant BTF in this configuration (it needs BPF_SYSCALL and pahole); BTF=0 builds without"
)

# kernel_make TREE DIR ARGUMENT...: runs the kernel's make for this architecture.
kernel_make() {
	tree=$1 dir=$2
	shift 2
	make -C "$tree" O="$dir" ARCH="$arch" CROSS_COMPILE="$prefix" CC="ccache ${prefix}gcc" "$@"
}
