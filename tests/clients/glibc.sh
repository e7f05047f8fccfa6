# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# Debian unstable's C library: guard pages under thread stacks.
case_of() { /clients/glibc "$@"; }
name="glibc $(sed -n 's/^libc6 //p' /packages)"

line "$name" 'is one with guard pages' case_of version
line "$name" '200 threads add at most 10 VMAs' case_of vmas
line "$name" '10,000 threads add at most 500 VMAs' case_of many
line "$name" 'an overflow ends in the guard' case_of overflow
line "$name" 'a cached stack is used again, guarded as before' case_of reuse
line "$name" 'a cached stack gets guards of other sizes' case_of resize
line "$name" 'mlockall: 200 threads, two VMAs each' case_of vmas locked
line "$name" 'mlockall: an overflow ends in the guard' case_of overflow locked
line "$name" 'mlockall: a cached stack is used again, guarded' case_of reuse locked
line "$name" 'mlockall: a cached stack gets guards of other sizes' case_of resize locked
line "$name" 'mlockall with a cached stack: it is used again, guarded' case_of reuse locked-later
line "$name" 'mlockall with a cached stack: guards of other sizes' case_of resize locked-later
