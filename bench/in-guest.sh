# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
# The guest's side of bench/measure: what this kernel is, and the table.
tsv=/dev/virtio-ports/tsv
{
	echo "# kernel: $(cat /proc/version)"
	echo "# config: $(zcat /proc/config.gz | grep '^CONFIG_' | sha256sum | cut -c 1-16)"
	echo "# command line: $(cat /proc/cmdline)"
	cat /vm/host
	set -f # patterns are for the program
	# shellcheck disable=SC2046	# words
	/vm/program $(cat /vm/arguments)
} >$tsv
