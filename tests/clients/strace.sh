# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# shellcheck disable=SC2154 # in-guest.sh and with-guarded.sh set log and pid
# strace of Debian unstable must decode both requests, in madvise() and process_madvise().
name="strace $(sed -n 's/^strace //p' /packages)"
strace -f -o /tmp/trace -e trace=madvise,process_madvise /clients/guarded once >>"$log" 2>&1
cat /tmp/trace >>"$log"

said() { grep -E "$1" /tmp/trace; }
line "$name" 'the traced program works' grep -q '^[0-9]* *+++ exited with 0' /tmp/trace
line "$name" 'madvise MADV_GUARD_INSTALL by name' said '[^_]madvise\(0x[0-9a-f]+, 4096, MADV_GUARD_INSTALL\) = 0'
line "$name" 'madvise MADV_GUARD_REMOVE by name' said '[^_]madvise\(0x[0-9a-f]+, 8192, MADV_GUARD_REMOVE\) = 0'
line "$name" 'process_madvise MADV_GUARD_INSTALL by name' said 'process_madvise\(.*, 2, MADV_GUARD_INSTALL, 0\) = 8192'
line "$name" 'process_madvise MADV_GUARD_REMOVE by name' said 'process_madvise\(.*, 2, MADV_GUARD_REMOVE, 0\) = 8192'
