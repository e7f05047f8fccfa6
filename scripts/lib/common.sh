# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
# The shell library: sourced by the scripts of scripts/, vm/, bench/ and demo/.
# O=DIR puts everything that is generated into DIR instead of build/.
# SERIES=mainline works on the patches of mainline/ instead of patches/, and uses
# build/mainline.

here=$(cd "$(dirname "$0")" && pwd -P)
TOP=$here
until [ -f "$TOP/base" ]; do TOP=${TOP%/*}; done

# If the process that started a script of scripts/ ends, the script gets SIGTERM, so an
# interrupted run leaves nothing running.
case $here in
"$TOP"/scripts/*) [ "${GUARD_PARENT-}" = "$PPID" ] || GUARD_PARENT=$PPID exec setpriv --pdeathsig TERM "$0" "$@" ;;
esac

case ${SERIES-} in
'' | mainline) ;;
*) echo "error: there is no series $SERIES; SERIES is mainline, or not set" >&2 && exit 1 ;;
esac
OUT=${O:-$TOP/build${SERIES:+/$SERIES}}

say() { printf '%s\n' "$*" >&2; }

# progress TEXT...: prints TEXT with the seconds since the first of the scripts began.
BEGIN=${BEGIN:-$(date +%s)}
export BEGIN
progress() { printf '[%4d s] %s\n' "$(($(date +%s) - BEGIN))" "$*" >&2; }

# die [CODE] MESSAGE...: CODE is 1 unless it is given.
die() {
	case $1 in
	*[!0-9]*) code=1 ;;
	*) code=$1 && shift ;;
	esac
	say "error: $*"
	exit "$code"
}

if ! mkdir -p "$OUT" 2>/dev/null || [ ! -w "$OUT" ]; then
	die "cannot write to $OUT; give another directory with O=DIR"
fi
OUT=$(cd "$OUT" && pwd -P)
case $OUT in
*[[:space:]:]*) die "the kernel does not build in $OUT (a blank or a colon in the path); give another directory with O=DIR" ;;
esac

# Child processes use the same directory.
export O="$OUT"

# Ignore the caller's settings for make, git and the kernel.
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES CFLAGS CPPFLAGS LDFLAGS CC ARCH CROSS_COMPILE \
	KBUILD_OUTPUT KCONFIG_CONFIG LLVM V W C
for variable in $(git rev-parse --local-env-vars 2>/dev/null); do
	unset "$variable"
done
export LC_ALL=C TZ=UTC
export GIT_CONFIG_GLOBAL="$TOP/scripts/lib/gitconfig" GIT_CONFIG_NOSYSTEM=1
umask 022

# The pin: package, version, sha256, tree; guard, the revision for `make deb`; and suite,
# if the package is not in those that the system's apt uses.
PIN=$TOP/${SERIES:+$SERIES/}base
# shellcheck disable=SC2034 # for scripts/series/fetch
suite=
# shellcheck source=base
. "$PIN"

# Only one run at a time may use $OUT: lock "$@" restarts the script under a lock,
# which is held until the last child process has ended.
lock() {
	[ "${GUARD_LOCK-}" != "$OUT" ] || return 0
	flock -n "$OUT/.lock" true || say "waiting for another run in $OUT"
	GUARD_LOCK=$OUT exec flock -F "$OUT/.lock" "$0" "$@"
}

# last COMMAND...: prints the last line of its output, or fails as it does.
last() {
	printed=$("$@") || exit
	printf '%s\n' "$printed" | tail -n 1
}

# as_in_readme FILE: shows how this output of `make run` differs from the one in README.md,
# apart from the figures, and fails if it does.
as_in_readme() {
	# shellcheck disable=SC2016 # the quotes of Markdown
	sed -n '/^`make run` prints/,/^[A-Z]/s/^    //p' "$TOP/README.md" | figures >"$OUT/.expected"
	figures <"$1" | diff "$OUT/.expected" - >&2
}
figures() { sed 's/[0-9][0-9.,]*/N/g; s/  */ /g; s/^ //; /^$/d'; }

# room GIGABYTES: dies unless there is this much free space.
room() {
	free=$(df -Pk "$OUT" | awk 'NR == 2 { print int($4 / 1048576) }')
	[ "$free" -ge "$1" ] || die "$OUT has $free GB free, this needs $1; free some or give another directory with O=DIR"
}

PATCHES=${PATCHES:-$TOP/${SERIES:-patches}}

# record TABLE LINE: replaces the tab-separated line with the same first word, or
# inserts the line in sort order.
record() {
	{
		grep '^#' "$1"
		{ grep -v -e '^#' -e "^${2%%	*}	" "$1" || :; printf '%s\n' "$2"; } | sort -V
	} >"$OUT/.table"
	cat "$OUT/.table" >"$1"
}

# replace_table DOCUMENT WORD: replaces the lines of a document between the comments
# "<!-- WORD..." and "<!-- end of WORD..." with stdin.
replace_table() {
	awk -v word="$2" '
		FNR == NR { table = table $0 "\n"; next }
		index($0, "<!-- end of " word) == 1 { inside = 0 }
		!inside { print }
		index($0, "<!-- " word) == 1 { inside = found = 1; printf "%s", table }
		END { exit inside || !found }' - "$1" >"$OUT/.table" || die "$1 lacks a comment about \"$2\", or the table is empty"
	cat "$OUT/.table" >"$1"
}

# The compiler cache, which does not depend on $OUT.
use_ccache() {
	export CCACHE_DIR="${CCACHE_DIR:-$OUT/ccache}" CCACHE_BASEDIR="$OUT" CCACHE_NOHASHDIR=1
	# This is faster, but kernels of different configurations would share nothing.
	[ "${CCACHE_NODEPEND-}" ] || export CCACHE_DEPEND=1
}

# debian_mirror LABEL: prints the mirror that the system's apt uses for Debian or for
# Debian-Security.
debian_mirror() {
	# shellcheck disable=SC2016 # apt fills in the placeholder, not the shell
	apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' "Label: $1" 'Component: main' |
		head -n 1 | grep . ||
		die "apt knows no mirror of $1: run apt-get update, or add one to /etc/apt/sources.list"
}

# programs SCENARIO...: prints the programs that these scenarios run.
programs() {
	awk '$1 == "test" { print $5 } $1 == "program" { for (i = 2; i <= NF; i++) print $i }' "$@" | sort -u
}

# Print the names of the selftests that the series adds.
selftests() {
	(cd "$OUT/linux/tools/testing/selftests/mm" && printf '%s\n' guard-*.c | sed 's/\.c$//')
}

# Print the names of the patches in patches/.
series() {
	[ ! -f "$PATCHES/series" ] || grep -v '^[[:space:]]*\(#\|$\)' "$PATCHES/series" || :
}
# Print an identifier of the series in patches/.
series_id() {
	for patch in $(series); do
		[ -f "$PATCHES/$patch" ] || die "$PATCHES/series names $patch, which does not exist"
	done
	(
		cd "$PATCHES" || exit
		series
		series | xargs -r cat --
	) | sha256sum | cut -d' ' -f1
}

# Print the name of the first new file in the tree, despite the last line of Debian's
# .gitignore, which hides all new files.
untracked() {
	grep -vxF '/*' "$OUT/linux/.gitignore" >"$OUT/.gitignore"
	git -C "$OUT/linux" ls-files --others --exclude-from="$OUT/.gitignore" | head -n 1
}

# Describe the work in the tree that is not in patches/; print nothing if there is none.
work() {
	gitdir=$(git -C "$OUT/linux" rev-parse --absolute-git-dir)
	if [ -d "$gitdir/rebase-merge" ] || [ -d "$gitdir/rebase-apply" ]; then
		echo "an unfinished rebase or am"
	elif [ -n "$(git -C "$OUT/linux" status --porcelain)" ]; then
		echo "uncommitted changes"
	elif [ -n "$(untracked)" ]; then
		echo "a new file that is not committed ($(untracked); Debian's .gitignore hides it: git add -f)"
	elif [ "$(git -C "$OUT/linux" rev-parse HEAD)" != "$(git -C "$OUT/linux" rev-parse series)" ]; then
		echo "commits that are not in patches/"
	fi
}

# format_series DIR TIP [OPTION]...: writes base..TIP to DIR as 0001-....patch and so on,
# and the file series.  The output is the same for every version of git.
format_series() {
	dir=$1 tip=$2
	shift 2
	git -C "$OUT/linux" format-patch -q -o "$dir" --zero-commit --no-signature \
		--no-numbered --subject-prefix=PATCH --no-cover-letter --no-thread \
		--no-attach --no-base --no-from --no-notes --stat=72 --summary \
		--full-index --no-renames --diff-algorithm=myers --indent-heuristic \
		-U3 --inter-hunk-context=0 --src-prefix=a/ --dst-prefix=b/ \
		--no-ext-diff --no-textconv --no-color --no-relative \
		--encode-email-headers "$@" "base..$tip"
	(cd "$dir" && find . -name '*.patch' -printf '%f\n' | sort >series)
}

# write_view DIR COMMIT: writes to DIR the files that the series adds, as of COMMIT.
write_view() {
	rm -rf "$1"
	mkdir "$1"
	# shellcheck disable=SC2046 # no file name there has a blank
	(
		dir=$1 commit=$2
		set -- $(git -C "$OUT/linux" diff --no-renames --name-only --diff-filter=A base "$commit")
		[ $# = 0 ] || git -C "$OUT/linux" archive "$commit" "$@" | tar -x -C "$dir"
	)
}

# added FILE...: prints FILE:LINE for each line that the series adds to these files.
added() {
	# shellcheck disable=SC2154 # the caller sets linux
	git -C "$linux" diff -U0 base HEAD -- "$@" | awk '
		/^\+\+\+ b\// { file = substr($2, 3) }
		/^@@ / {
			split(substr($3, 2), at, ",")
			n = at[2] == "" ? 1 : at[2]
			for (i = 0; i < n; i++)
				print file ":" at[1] + i
		}'
}

# about_added LOG: prints the lines "FILE:LINE:..." of a log that refer to a line that
# the series adds.
about_added() {
	added . | awk -v tree="$linux/" '
		NR == FNR { new[$0]; next }
		{ line = $0; sub("^" tree, "", line); sub(/^(\.\.\/)+|^\.\//, "", line); split(line, at, ":") }
		(at[1] ":" at[2]) in new { print line }' - "$1" | sort -u
}

# harness: builds the C programs of vm/ if they are missing or outdated.
harness() { make -s -C "$TOP/vm" O="$OUT" || die 2 "cannot build the programs of vm/"; }

# scratch: creates a temporary directory, $tmp.  When the script ends, it removes the
# directory and kills the child process started by run and the processes in $helpers.
scratch() {
	mkdir -p "$OUT/vm"
	tmp=$(mktemp -d) || exit 2
	child='' helpers='' code=0
	exec 3<&0 # for run: a background command would get /dev/null as stdin
	trap leave EXIT
	trap 'exit 129' HUP
	trap 'exit 130' INT
	trap 'exit 143' TERM
}

# run COMMAND...: runs the command and leaves its exit code in $code.  A signal that
# ends this script, even SIGKILL, ends the command at once.
run() {
	setpriv --pdeathsig TERM "$@" <&3 &
	child=$!
	code=0
	wait "$child" || code=$?
	child=
}

leave() {
	if [ "$child" ]; then
		kill "$child" 2>/dev/null || :
		wait "$child" || :
	fi
	# shellcheck disable=SC2086 # process ids
	[ ! "$helpers" ] || kill $helpers 2>/dev/null || :
	rm -rf "$tmp"
}
