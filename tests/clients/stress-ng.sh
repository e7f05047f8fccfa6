# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# shellcheck disable=SC2154 # in-guest.sh and with-guarded.sh set log and pid
# Stressors of stress-ng of Debian unstable, each for a short time, with --verify.
name="stress-ng $(sed -n 's/^stress-ng //p' /packages)"

# stress OPTION...: runs a stressor, which must pass and must not be skipped
stress() {
	stress-ng --temp-path /tmp --verify --oomable --timeout 5s "$@" >/tmp/said 2>&1
	code=$?
	cat /tmp/said
	[ $code = 0 ] && grep -q 'passed: 1: ' /tmp/said
}
# asks_for PATTERN: runs a round of the madvise stressor, in which strace must see a call
# that matches. A round is some 20,000 calls, so there is no time limit under emulation.
asks_for() {
	strace -f -o /tmp/trace -e trace=madvise stress-ng --temp-path /tmp --verify --madvise 1 --madvise-ops 1 || return
	grep -c "$1" /tmp/trace
}

line "$name" mremap stress --mremap 1
line "$name" mmapfork stress --mmapfork 1
line "$name" userfaultfd stress --userfaultfd 1
line "$name" mlock stress --mlock 1
line "$name" fork stress --fork 1
line "$name" vm stress --vm 1 --vm-bytes 32M
line "$name" pthread stress --pthread 1
line "$name" madvise stress --madvise 1 --madvise-ops 1
line "$name" 'madvise calls MADV_GUARD_REMOVE successfully' asks_for 'MADV_GUARD_REMOVE) *= 0'
