# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# Threads of a program that Rust of Debian unstable compiled.
# shellcheck source=tests/clients/threads.sh
. /clients/threads.sh
name="Rust $(sed -n "s,^rustc ,,p" /clients/packages)"
threads() { /clients/threads-rust "$@"; }

line "$name" '1,000 threads start and end' says threads wait 1000
line "$name" '1,000 threads: guard pages below each stack' at_least guarded 1000
# Rust adds two VMAs for each: an alternate signal stack and a PROT_NONE page below it.
line "$name" '1,000 threads: at most 2,200 VMAs' at_most vmas 2200
line "$name" 'an overflow above 50 other stacks ends in SIGABRT' dies_of "$ABRT" threads overflow 50
line "$name" 'Rust finds the guard and reports the overflow' said 'has overflowed its stack'
