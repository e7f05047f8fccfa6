# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# glibc of Debian unstable in sandboxes whose seccomp filter does not know guard pages.
# The last filter breaks them, which stacks.c must notice.
# shellcheck source=tests/clients/threads.sh
. /clients/threads.sh
name="glibc $(sed -n 's/^libc6 //p' /packages)"

line "$name" 'no filter: 100 threads' says /clients/threads wait 100
line "$name" 'no filter: guard pages below each stack' at_least guarded 100
line "$name" 'no filter: at most 30 VMAs' at_most vmas 30
line "$name" 'an overflow above 10 other stacks ends in SIGSEGV' dies_of "$SEGV" /clients/threads overflow 10
for error in EPERM:1 EINVAL:22 ENOSYS:38; do
	line "$name" "filter with ${error%:*}: 100 threads" says /clients/filter "${error#*:}" /clients/threads wait 100
	line "$name" "filter with ${error%:*}: PROT_NONE below each stack" at_least prot-none 100
done
line "$name" 'filter that kills: SIGSYS ends the program' dies_of "$SYS" /clients/filter kill /clients/threads wait 100
line "$name" 'filter that lies: 100 threads' says /clients/filter 0 /clients/threads wait 100
line "$name" 'filter that lies: no stack has a guard' at_least unguarded 100
line "$name" 'filter that lies: an overflow is not noticed' says /clients/filter 0 /clients/threads overflow 10
