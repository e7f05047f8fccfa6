# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# The part of scripts/check/clients that runs in the guest: runs one client, and writes its
# lines to the port "lines":
#	RESULT <tab> PROGRAM <tab> CLAIM
# RESULT is ok or not. The last line is "end", which shows that the client was not cut
# short. The output of the programs goes to the port "log".
client=$(cat /clients/name)
lines=/tmp/lines log=/tmp/log
: >$lines
: >$log
: >/tmp/figures
kernel_has_guards() { /clients/has-guards; }

# line PROGRAM CLAIM COMMAND...: writes a line with the result ok if the command succeeds
line() {
	program=$1 claim=$2
	shift 2
	result=not
	echo "== $program: $claim" >>"$log"
	! "$@" >>"$log" 2>&1 </dev/null || result=ok
	printf '%s\t%s\t%s\n' "$result" "$program" "$claim" >>$lines
	printf '%s\t%s\t%s\n' "$result" "$program" "$claim" >/dev/kmsg
}

ulimit -c 0
cd /tmp || return 2
# shellcheck source=/dev/null
. "/clients/$client.sh"
printf 'end\n' >>$lines
cat $log >/dev/virtio-ports/log
cat /tmp/figures >/dev/virtio-ports/figures
cat $lines >/dev/virtio-ports/lines
echo "taint $(cat /proc/sys/kernel/tainted)" >/dev/virtio-ports/status
