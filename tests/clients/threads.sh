# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# Functions for the clients that look at the stacks of a program's threads, with
# tests/clients/stacks.c.

# says COMMAND...: runs the command, and keeps what it prints in /tmp/said
says() {
	said_code=0
	"$@" >/tmp/said 2>&1 || said_code=$?
	cat /tmp/said
	return $said_code
}

# said PATTERN: the command printed a line that matches
said() { grep -e "$1" /tmp/said; }

# at_least FIELD NUMBER, at_most FIELD NUMBER: so it is in every line of stacks that the
# command printed, and there is one
numbers() { awk -v field="$1" '$1 == "threads" { for (i = 1; i < NF; i += 2) if ($i == field) print $i, $(i + 1) }' /tmp/said; }
at_least() { numbers "$1" | awk -v limit="$2" '{ print } $2 < limit { less = 1 } END { exit !NR || less }'; }
at_most() { numbers "$1" | awk -v limit="$2" '{ print } $2 > limit { more = 1 } END { exit !NR || more }'; }

# dies_of NUMBER COMMAND...: this signal kills the command
dies_of() {
	signal=$1
	shift
	says "$@"
	echo "exit code $said_code"
	[ "$said_code" = $((128 + signal)) ]
}
export ABRT=6 SEGV=11 SYS=31
