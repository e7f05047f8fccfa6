# shellcheck shell=sh
# What the scripts here have in common: $O, a temporary directory $tmp that
# goes away with the script, and child processes that do not outlive it.
vm=$(cd "$(dirname "$0")" && pwd)
O=${O:-$vm/../build}
mkdir -p "$O/vm"
O=$(cd "$O" && pwd)
export O
tmp=$(mktemp -d) || exit 2
child=
helpers=
code=0
exec 3<&0 # a background command would get /dev/null

die() {
	code=$1
	shift
	echo "${0##*/}: $*" >&2
	exit "$code"
}

# build: the C programs, which cost nothing when they are there already
build() {
	env -u MAKEFLAGS -u MAKELEVEL make -s -C "$vm" O="$O" || die 2 "cannot build the harness's own programs"
}

# run COMMAND...: in the background, so that a signal to this script (SIGKILL
# too) ends the command, and at once; leaves its exit code in $code
run() {
	setpriv --pdeathsig TERM "$@" <&3 &
	child=$!
	code=0
	wait "$child" || code=$?
	child=
}

# progress TEXT: with the seconds since the first of these scripts began
BEGIN=${BEGIN:-$(date +%s)}
export BEGIN
progress() {
	printf '[%4d s] %s\n' "$(($(date +%s) - BEGIN))" "$*" >&2
}

leave() {
	if [ "$child" ]; then
		kill "$child" 2>/dev/null || :
		wait "$child" || :
	fi
	# shellcheck disable=SC2086	# process ids
	[ ! "$helpers" ] || kill $helpers 2>/dev/null || :
	rm -rf "$tmp"
}
trap leave EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
