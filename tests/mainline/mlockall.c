// SPDX-License-Identifier: GPL-2.0
/* mlockall() and MAP_POPULATE ignore what cannot be populated, and go on behind it. */
#define _GNU_SOURCE
#include "ktap.h"

#define PAGES	64

static int present(const char *p, int from, int to)
{
	int n = 0;

	for (int i = from; i < to; i++)
		n += !!(pagemap(p + i * page_size()) & PM_PRESENT);
	return n;
}

int main(void)
{
	size_t page = page_size();
	char *p = map_anon(PAGES * page), *q = map_anon(PAGES * page);
	char *all = map_anon(PAGES * page);

	plan(5);
	guard(p + 8 * page, page);
	guard(q, page);
	guard(q + 20 * page, 4 * page);
	guard(q + 30 * page, page);
	guard(q + (PAGES - 1) * page, page);
	guard(all, PAGES * page);
	check(!mlockall(MCL_CURRENT), "mlockall() with guards in the address space");
	check(present(p, 0, 8) == 8, "it populates what is before a guard");
	check(present(p, 9, PAGES) == PAGES - 9, "it populates what follows a guard");
	check(present(q, 0, PAGES) == PAGES - 7, "it populates what is between guards");
	check(!present(all, 0, PAGES) && (pagemap(p + 8 * page) & PM_GUARD) &&
	      (pagemap(q) & PM_GUARD), "it leaves the guards");
	return done();
}
