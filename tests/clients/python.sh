# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# Threads of Python of Debian unstable.
# shellcheck source=tests/clients/threads.sh
. /clients/threads.sh
name="python $(sed -n 's/^python3-minimal //p' /packages)"
threads() { python3 -W ignore /clients/threads.py "$@"; }

line "$name" '1,000 threads start and end' says threads wait 1000
line "$name" '1,000 threads: guard pages below each stack' at_least guarded 1000
line "$name" '1,000 threads: at most 1,200 VMAs' at_most vmas 1200
line "$name" 'stacks of five sizes, some of them used again' says threads sizes 100
line "$name" 'stacks of five sizes: guard pages below each' at_least guarded 100
line "$name" 'RecursionError is caught twice in each of 20 threads' says threads recursion 20
line "$name" 'RecursionError was caught 40 times' said '^40 times RecursionError'
# Arenas of malloc would be between the stacks.
export MALLOC_ARENA_MAX=1
line "$name" 'an overflow above 500 other stacks ends in SIGSEGV' dies_of "$SEGV" threads overflow 500
line "$name" 'an overflow in a child forked there ends in SIGSEGV' dies_of "$SEGV" threads fork 500
