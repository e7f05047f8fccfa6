# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# Threads of OpenJDK of Debian unstable.  It protects the stacks of Java threads with
# PROT_NONE zones of its own, inside stacks that glibc gives no guard; only its other
# threads (of the garbage collector, for example) have glibc's guard pages.
# shellcheck source=tests/clients/threads.sh
. /clients/threads.sh
name="OpenJDK $(sed -n 's/^openjdk-.*-jre-headless //p' /packages)"
# shellcheck disable=SC2125 # there is one
java=$(echo /usr/lib/jvm/java-[1-9][0-9]-openjdk-amd64/bin/java)
threads() { "$java" /clients/Threads.java "$@"; }

line "$name" '2,000 threads start and end' says threads wait 2000
line "$name" "2,000 threads: its own zones below each stack" at_least prot-none 2000
line "$name" 'its other threads: guard pages below five stacks' at_least guarded 5
line "$name" 'no stack without a guard' at_most unguarded 0
line "$name" 'StackOverflowError is caught in 500 threads at once' says threads recursion 500
line "$name" 'StackOverflowError was caught 1,500 times' said '^1500 times'
line "$name" 'StackOverflowError on stacks that are used again' says threads rounds 50
line "$name" 'StackOverflowError was caught 500 times' said '^500 times'
