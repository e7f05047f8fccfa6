# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# shellcheck disable=SC2154 # in-guest.sh and with-guarded.sh set log and pid
# For the clients that look at tests/clients/guarded.c: one that runs.

# wait_for FILE WORD: until a line of it says so; 20 seconds at most
wait_for() {
	tries=0
	until grep -qs -e "$2" "$1"; do
		tries=$((tries + 1))
		[ $tries -lt 200 ] || return 1
		sleep 0.1
	done
}

# sets $pid; what it prints is in /tmp/guarded
start_guarded() {
	# As a daemon: nothing of this script's is open in it.
	setsid /clients/guarded </dev/null >/tmp/guarded 2>&1 &
	pid=$!
	wait_for /tmp/guarded '^ready' && return
	cat /tmp/guarded >>"$log"
	return 1
}

# address AREA PAGE
address() {
	printf '%#x' $(($(sed -n "s/^$1 //p" /tmp/guarded | head -n 1) + $2 * 4096))
}

# tell SIGNAL ANSWER: the process gets it, and has written such a line; 20 seconds at most
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

# What the process itself finds when asked.
still_as_it_was() {
	tell USR1 '^as it was\|^wrong' || return
	cat /tmp/guarded
	tail -n 1 /tmp/guarded | grep -q '^as it was'
}
