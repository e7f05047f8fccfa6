// SPDX-License-Identifier: GPL-2.0
/* The breakpoint of a probe goes even if its reference counter cannot be decremented. */
#define _GNU_SOURCE
#include "uprobe.h"

int main(void)
{
	plan(4);
	probe();
	if (enable() || text[0] != BREAKPOINT)
		cannot("a probe");
	/* The counter is reset to the value in the file. */
	if (madvise(data, page_size(), MADV_DONTNEED))
		cannot("MADV_DONTNEED");
	check(counter() == 0, "MADV_DONTNEED resets the counter");
	disable();
	check(text[0] != BREAKPOINT, "unregistering removes the breakpoint nevertheless");
	check(counter() == 0, "the counter does not become negative");
	guard(data, page_size());
	if (madvise(data, page_size(), MADV_GUARD_REMOVE) || enable())
		cannot("a second probe");
	guard(data, page_size());
	disable();
	check(text[0] != BREAKPOINT, "the same with the counter in a guard region");
	return unprobe();
}
