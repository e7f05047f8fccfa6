# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# Valgrind of Debian unstable.  It knows guard pages.  Its threads run on stacks of its own,
# so that stacks.c can only count the guards.
# shellcheck source=tests/clients/threads.sh
. /clients/threads.sh
name="Valgrind $(sed -n 's/^valgrind 1://p' /packages)"
under() { valgrind --tool="$1" --error-exitcode=3 /clients/threads "$2" "$3"; }

for tool in memcheck helgrind drd; do
	line "$name" "$tool: 100 threads, no error" says under $tool wait 100
	line "$name" "$tool: the program has 100 guards" at_least guards 100
	line "$name" "$tool: an overflow above 10 other stacks ends in SIGSEGV" dies_of "$SEGV" under $tool overflow 10
	line "$name" "$tool: the report is about use_stack()" said 'at 0x[0-9A-F]*: use_stack'
done
line "$name" 'memcheck: cached stacks get guards of other sizes' says valgrind --error-exitcode=3 /clients/glibc resize
