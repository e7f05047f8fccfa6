# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# shellcheck disable=SC2154 # threads.sh sets said_code
# Threads of a program that Go of Debian unstable compiled, in C code (cgo).
# shellcheck source=tests/clients/threads.sh
. /clients/threads.sh
name="Go $(sed -n "s,^golang-go ,,p" /clients/packages)"
threads() { /clients/threads-go "$@"; }
# ends_badly COMMAND...: Go's runtime ends the command
ends_badly() {
	says "$@"
	[ "$said_code" = 2 ]
}

line "$name" '1,000 threads in C code start and end' says threads wait 1000
line "$name" '1,000 threads: guard pages below each stack' at_least guarded 1000
line "$name" '1,000 threads: at most 200 VMAs' at_most vmas 200
line "$name" 'endless recursion in Go ends the program' ends_badly threads recursion
line "$name" 'endless recursion in Go is reported as one' said 'goroutine stack exceeds'
line "$name" 'an overflow in C above 49 other stacks ends it' ends_badly threads overflow 50
line "$name" 'an overflow in C is reported as SIGSEGV' said '^SIGSEGV'
