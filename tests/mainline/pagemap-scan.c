// SPDX-License-Identifier: GPL-2.0
/*
 * PAGEMAP_SCAN with PM_SCAN_WP_MATCHING write-protects the pages that it reports.  A guard
 * cannot be written to; after the guard is removed, the page must not be write-protected.
 */
#define _GNU_SOURCE
#include <linux/fs.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include "ktap.h"

#ifndef PAGEMAP_SCAN
#define PAGE_IS_WRITTEN		(1 << 1)
#define PAGE_IS_PRESENT		(1 << 3)
#define PM_SCAN_WP_MATCHING	(1 << 0)
struct page_region {
	__u64 start, end, categories;
};
struct pm_scan_arg {
	__u64 size, flags, start, end, walk_end, vec, vec_len, max_pages;
	__u64 category_inverted, category_mask, category_anyof_mask, return_mask;
};
#define PAGEMAP_SCAN		_IOWR('f', 16, struct pm_scan_arg)
#endif
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
