# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# Threads of node of Debian unstable: workers and libuv's thread pool.
# shellcheck source=tests/clients/threads.sh
. /clients/threads.sh
name="node $(sed -n 's/^nodejs //p' /packages)"
threads() { node /clients/threads.js "$@"; }
export UV_THREADPOOL_SIZE=200

line "$name" '50 workers start and end' says threads wait 50
line "$name" '50 workers: guard pages below each stack' at_least guarded 50
line "$name" '50 workers: no stack without a guard' at_most unguarded 0
line "$name" 'RangeError is caught in each of 50 workers' says threads recursion 50
line "$name" 'RangeError was caught 50 times' said '^50 workers'
line "$name" '200 hashes in a pool of 200 threads' says threads pool 200
line "$name" 'pool of 200 threads: guard pages below each stack' at_least guarded 200
line "$name" 'pool of 200 threads: at most 350 VMAs' at_most vmas 350
