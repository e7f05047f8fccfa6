# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
# The part of bench/measure that runs in the guest: prints a description of the kernel,
# then the program's table.
tsv=/dev/virtio-ports/tsv
{
	echo "# kernel: $(cat /proc/version)"
	echo "# config: $(zcat /proc/config.gz | grep '^CONFIG_' | sha256sum | cut -c 1-16)"
	echo "# command line: $(cat /proc/cmdline)"
	cat /vm/host
	set -f # the program expands the patterns
	# shellcheck disable=SC2046	# words
	/vm/program $(cat /vm/arguments)
} >$tsv
