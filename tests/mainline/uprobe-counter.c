// SPDX-License-Identifier: GPL-2.0
/*
 * A process that guards the reference counter of a probe must not keep others from using the
 * probe.  An increment that was delayed because of the guard must not be taken back.
 */
#define _GNU_SOURCE

#include "uprobe.h"

int main(void)
{
	plan(6);
	probe();
	check(!enable() && counter() == 1, "registering a probe increments its counter");
	check(!disable() && counter() == 0, "unregistering it decrements the counter");
	guard(data, page_size());
	check(!enable() && text[0] == BREAKPOINT, "a probe with a guarded counter is registered");
	if (madvise(data, page_size(), MADV_GUARD_REMOVE))
		cannot("MADV_GUARD_REMOVE");
	/* What another probe of the same counter would have added. */
	*(short *)(data + COUNTER) = 5;
	disable();
	check(text[0] != BREAKPOINT, "it is unregistered");
	check(counter() == 5, "a delayed increment is not decremented");
	check(!enable() && counter() == 6 && !disable() && counter() == 5,
	      "the next registration is counted");
	return unprobe();
}
