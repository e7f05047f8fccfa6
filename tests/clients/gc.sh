# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# The Boehm collector of Debian unstable, and its own test: it scans the stacks of threads
# whose guards it does not know.
# shellcheck source=tests/clients/threads.sh
. /clients/threads.sh
name="Boehm GC $(sed -n 's/^libgc1 1://p' /packages)"

line "$name" 'its own gctest with four threads' says /clients/gctest
line "$name" 'gctest: the collector appears to work' said '^Collector appears to work'
line "$name" 'gctest with unmapping of the heap' env GC_UNMAP_THRESHOLD=1 /clients/gctest
