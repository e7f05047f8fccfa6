# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# shellcheck disable=SC2154 # in-guest.sh and with-guarded.sh set log and pid
# Functions for the clients that use tests/clients/guarded.c: start it and talk to it.

# wait_for FILE PATTERN: waits until a line of FILE matches, for at most 20 seconds
wait_for() {
	tries=0
	until grep -qs -e "$2" "$1"; do
		tries=$((tries + 1))
		[ $tries -lt 200 ] || return 1
		sleep 0.1
	done
}

# start_guarded: starts the process and sets $pid; the output goes to /tmp/guarded
start_guarded() {
	# Start it like a daemon, without any open file of this script.
	setsid /clients/guarded </dev/null >/tmp/guarded 2>&1 &
	pid=$!
	wait_for /tmp/guarded '^ready' && return
	cat /tmp/guarded >>"$log"
	return 1
}

# address AREA PAGE: prints the address of a page
address() {
	printf '%#x' $(($(sed -n "s/^$1 //p" /tmp/guarded | head -n 1) + $2 * 4096))
}

# tell SIGNAL PATTERN: sends the signal and waits for a line that matches, for at most 20
# seconds
tell() {
	before=$(grep -c "$2" /tmp/guarded)
	kill "-$1" "$pid" || return
	tries=0
	while [ "$(grep -c "$2" /tmp/guarded)" = "$before" ]; do
		tries=$((tries + 1))
		[ $tries -lt 200 ] || return 1
		sleep 0.1
	done
}

# still_as_it_was: makes the process check its memory; fails if it finds anything wrong
still_as_it_was() {
	tell USR1 '^as it was\|^wrong' || return
	cat /tmp/guarded
	tail -n 1 /tmp/guarded | grep -q '^as it was'
}
