// SPDX-License-Identifier: GPL-2.0
/* A process that guards its mapping of a file must not keep others from being probed. */
#define _GNU_SOURCE
#include "uprobe.h"

int main(void)
{
	unsigned char *other;
	int fd;

	plan(5);
	probe();
	fd = open(probed, O_RDONLY);
	other = mmap(NULL, page_size(), PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
	if (other == MAP_FAILED)
		cannot("mmap");
	check(!enable() && text[0] == BREAKPOINT && other[0] == BREAKPOINT,
	      "a probe is registered in both mappings");
	check(!disable() && text[0] != BREAKPOINT && other[0] != BREAKPOINT,
	      "and unregistered");
	guard((char *)text, page_size());
	check(!enable() && other[0] == BREAKPOINT,
	      "a probe is registered although one mapping is guarded");
	disable();
	check(other[0] != BREAKPOINT, "and unregistered again");
	check(pagemap((char *)text) & PM_GUARD, "the guard stays");
	return unprobe();
}
