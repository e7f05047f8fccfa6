# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# shellcheck disable=SC2154 # in-guest.sh and with-guarded.sh set log and pid
# CRIU of Debian unstable: dump a process with guards, let it end, and restore it; then the
# same with pre-dumps, after which a dump contains only what has changed.
# shellcheck source=tests/clients/with-guarded.sh
. /clients/with-guarded.sh
name="CRIU $(sed -n 's/^criu //p' /packages)"
export PATH="$PATH:/usr/sbin"

# criu_in DIR COMMAND OPTION...: runs criu with the images in DIR; the log is
# DIR/COMMAND.log
criu_in() {
	dir=$1 command=$2
	shift 2
	criu "$command" -v4 -D "$dir" -o "$command.log" "$@" ||
		{ grep -e Error -e Warn "$dir/$command.log"; return 1; }
}
image() {
	rm -rf /tmp/image
	mkdir /tmp/image
	criu_in /tmp/image dump -t "$pid" "$@"
}
restore() { criu_in "${1-/tmp/image}" restore -d; }
gone() { ! kill -0 "$pid"; }
flagged() { # at least four VMAs of the restored process have guards: areas and stacks
	[ "$(grep -c '^VmFlags:.* gu' "/proc/$pid/smaps")" -ge 4 ]
}

# round N COMMAND OPTION...: dumps what has changed since round N - 1 to /tmp/roundN
round() {
	n=$1 how=$2 parent=round$(($1 - 1))
	shift 2
	mkdir "/tmp/round$n"
	[ ! -d "/tmp/$parent" ] || set -- --prev-images-dir "../$parent" "$@"
	criu_in "/tmp/round$n" "$how" -t "$pid" --track-mem "$@"
}
only_what_changed() { grep ' [1-9][0-9]* holes' /tmp/round"$1"/*dump.log; }
change() { tell USR2 ^changed; }
right_after() { # CHANGES
	still_as_it_was && tail -n 1 /tmp/guarded | grep -q " $1 changes"
}

# in_rounds CHANGES: pre-dumps the process before each change that it makes, then dumps
# and restores it
in_rounds() {
	rm -rf /tmp/round*
	last=0
	while [ $last -lt "$1" ]; do
		line "$name" "in $1 rounds: pre-dump $last" round $last pre-dump
		last=$((last + 1))
		line "$name" "in $1 rounds: guards come and go, change $last" change
	done
	line "$name" "in $1 rounds: guards and data are correct before" right_after "$1"
	line "$name" "in $1 rounds: dumps it" round "$1" dump
	line "$name" "in $1 rounds: the dump has only what has changed" only_what_changed "$1"
	wait "$pid" 2>/dev/null
	line "$name" "in $1 rounds: restores it" restore "/tmp/round$1"
	line "$name" "in $1 rounds: guards and data are correct afterwards" right_after "$1"
}

criu check >>"$log" 2>&1
if start_guarded; then
	line "$name" 'dumps and leaves it running' image -R
	line "$name" 'guards, data and threads are unchanged' still_as_it_was
	line "$name" 'dumps it' image
	wait "$pid" 2>/dev/null
	line "$name" 'the dumped process is gone' gone
	line "$name" 'restores it' restore
	line "$name" 'guards, data and threads are restored' still_as_it_was
	line "$name" 'smaps shows the guards' flagged
	line "$name" 'dumps the restored process' image
	line "$name" 'restores it again' restore
	line "$name" 'guards, data and threads are restored again' still_as_it_was
	kill "$pid"
else
	line "$name" 'there is a process with guards to dump' false
fi
if start_guarded; then
	in_rounds 1
	line "$name" 'in 1 rounds: the process removes all guards' change
	line "$name" 'in 1 rounds: no old data is below them' right_after 2
	kill "$pid"
fi
if start_guarded; then
	in_rounds 2
	kill "$pid"
fi
