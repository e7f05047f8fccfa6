// SPDX-License-Identifier: GPL-2.0
/*
 * PAGEMAP_SCAN with PM_SCAN_WP_MATCHING write-protects the pages that it reports.  A guard
 * cannot be written to; after the guard is removed, the page must not be write-protected.
 */
#define _GNU_SOURCE
#include <linux/userfaultfd.h>
#include <sys/syscall.h>
#include "../pagemap-scan.h"
#include "ktap.h"

#ifndef UFFD_FEATURE_WP_ASYNC
#define UFFD_FEATURE_WP_ASYNC	(1 << 15)
#endif
#ifndef UFFD_FEATURE_WP_UNPOPULATED
#define UFFD_FEATURE_WP_UNPOPULATED	(1 << 13)
#endif

#define PAGES	8

/* Returns the number of pages that have been written to, and write-protects them. */
static int scan(int fd, char *p, bool other_categories)
{
	struct page_region found[PAGES];
	struct pm_scan_arg arg = {
		.size = sizeof(arg), .flags = PM_SCAN_WP_MATCHING,
		.start = (uintptr_t)p, .end = (uintptr_t)p + PAGES * page_size(),
		.vec = (uintptr_t)found, .vec_len = PAGES,
		.category_mask = PAGE_IS_WRITTEN,
		.return_mask = PAGE_IS_WRITTEN | (other_categories ? PAGE_IS_PRESENT : 0),
	};
	int regions = ioctl(fd, PAGEMAP_SCAN, &arg), pages = 0;

	if (regions < 0)
		cannot("PAGEMAP_SCAN");
	for (int i = 0; i < regions; i++)
		pages += (found[i].end - found[i].start) / page_size();
	return pages;
}

int main(void)
{
	struct uffdio_api api = {
		.api = UFFD_API,
		.features = UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_WP_UNPOPULATED,
	};
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_WP };
	size_t page = page_size();
	int uffd = syscall(SYS_userfaultfd, O_CLOEXEC);
	int fd = open("/proc/self/pagemap", O_RDONLY);

	plan(10);
	if (uffd < 0 || fd < 0 || ioctl(uffd, UFFDIO_API, &api))
		cannot("userfaultfd");
	/* WRITTEN alone takes a fast path through the page table. */
	for (int other = 0; other < 2; other++) {
		char *p = map_anon(PAGES * page);

		reg.range.start = (uintptr_t)p;
		reg.range.len = PAGES * page;
		if (ioctl(uffd, UFFDIO_REGISTER, &reg))
			cannot("UFFDIO_REGISTER");
		memset(p, 1, PAGES * page);
		guard(p + 2 * page, page);
		scan(fd, p, other);
		check(pagemap(p) & PM_UFFD_WP, "a scan write-protects the pages");
		check(pagemap(p + 2 * page) & PM_GUARD, "a scan leaves the guard");
		check(!(pagemap(p + 2 * page) & PM_UFFD_WP), "a scan does not write-protect a guard");
		p[5 * page] = 2;
		check(scan(fd, p, other) == 2, "the next scan reports the written page and the guard");
		if (ioctl(uffd, UFFDIO_UNREGISTER, &reg.range))
			cannot("UFFDIO_UNREGISTER");
		check(!(pagemap(p) & PM_UFFD_WP) && !(pagemap(p + 2 * page) & PM_UFFD_WP),
		      "nothing is write-protected after UFFDIO_UNREGISTER");
		munmap(p, PAGES * page);
	}
	return done();
}
