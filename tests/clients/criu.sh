# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# shellcheck disable=SC2154 # in-guest.sh and with-guarded.sh set log and pid
# CRIU of Debian unstable: dump a process with guards, let it end, restore it; and
# in rounds, where a later one holds only what has changed since the one before.
# shellcheck source=tests/clients/with-guarded.sh
. /clients/with-guarded.sh
name="CRIU $(sed -n 's/^criu //p' /packages)"
export PATH="$PATH:/usr/sbin"

# criu_in DIR COMMAND OPTION...: its log is DIR/COMMAND.log
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
flagged() { # a VMA of the restored process has guards: areas and stacks
	[ "$(grep -c '^VmFlags:.* gu' "/proc/$pid/smaps")" -ge 4 ]
}

# round N COMMAND OPTION...: into /tmp/roundN, what has changed since round N - 1
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

# in_rounds CHANGES: a pre-dump before each change that the process makes, then a dump
in_rounds() {
	rm -rf /tmp/round*
	last=0
	while [ $last -lt "$1" ]; do
		line "$name" "in $1 rounds: pre-dump $last" round $last pre-dump
		last=$((last + 1))
		line "$name" "in $1 rounds: guards come and go, change $last" change
	done
	line "$name" "in $1 rounds: guards and data are as they should be" right_after "$1"
	line "$name" "in $1 rounds: dumps it" round "$1" dump
	line "$name" "in $1 rounds: what did not change is left to the pre-dump" only_what_changed "$1"
	wait "$pid" 2>/dev/null
	line "$name" "in $1 rounds: restores it" restore "/tmp/round$1"
	line "$name" "in $1 rounds: guards and data are as they were" right_after "$1"
}

criu check >>"$log" 2>&1
if start_guarded; then
	line "$name" 'dumps and leaves it running' image -R
	line "$name" 'it goes on as it was' still_as_it_was
	line "$name" 'dumps it' image
	wait "$pid" 2>/dev/null
	line "$name" 'it is gone then' gone
	line "$name" 'restores it' restore
	line "$name" 'guards, data and threads are as they were' still_as_it_was
	line "$name" 'smaps shows the guards' flagged
	line "$name" 'dumps what was restored' image
	line "$name" 'restores it again' restore
	line "$name" 'guards, data and threads are as they were again' still_as_it_was
	kill "$pid"
else
	line "$name" 'a process with guards to dump' false
fi
if start_guarded; then
	in_rounds 1
	line "$name" 'in 1 rounds: removes all guards' change
	line "$name" 'in 1 rounds: and nothing old is below them' right_after 2
	kill "$pid"
fi
if start_guarded; then
	in_rounds 2
	kill "$pid"
fi
