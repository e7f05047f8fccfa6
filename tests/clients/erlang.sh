# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# Erlang of Debian unstable with some 300 threads: schedulers, asynchronous threads and
# others.
# shellcheck source=tests/clients/threads.sh
. /clients/threads.sh
name="Erlang $(sed -n 's/^erlang-base //p' /packages)"
compile() { erlc /clients/threads.erl; }
threads() { erl -noinput +S 100:100 +SDcpu 50:50 +SDio 50 +A 100 -run threads main; }

line "$name" 'the program is compiled' compile
line "$name" '300 threads start, work and end' says threads
line "$name" '100,000 processes sum up correctly' said '^sum 5000050000$'
line "$name" 'files are read in asynchronous threads' said '^read true$'
line "$name" 'recursion, 3,000,000 calls deep' said '^deep 3000000$'
line "$name" 'guard pages below each of 300 stacks' at_least guarded 300
line "$name" 'no stack without a guard' at_most unguarded 0
line "$name" '300 threads: at most 500 VMAs' at_most vmas 500
