// SPDX-License-Identifier: GPL-2.0
/*
 * For a private mapping of shared memory, Swap: in smaps counts the pages of the file that are
 * swapped out and that this mapping has not mapped.  It must count them below guards and
 * below write-protect markers, too.  Needs swap.
 */
#define _GNU_SOURCE
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include "ktap.h"

#ifndef UFFD_FEATURE_WP_UNPOPULATED
#define UFFD_FEATURE_WP_UNPOPULATED	(1 << 13)
#endif

#define PAGES	16

/* The number of swapped pages that smaps shows for the mapping at P. */
static int swapped(const char *p)
{
	char line[512];
	unsigned long start, end, kib;
	int pages = -1;
	bool here = false;
	FILE *f = fopen("/proc/self/smaps", "r");

	if (!f)
		cannot("/proc/self/smaps");
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			here = start == (uintptr_t)p;
		else if (here && sscanf(line, "Swap: %lu", &kib) == 1)
			pages = kib * 1024 / page_size();
	}
	fclose(f);
	return pages;
}

static char *map(int fd, int flags)
{
	char *p = mmap(NULL, PAGES * page_size(), PROT_READ | PROT_WRITE, flags, fd, 0);

	if (p == MAP_FAILED)
		cannot("mmap");
	return p;
}

int main(void)
{
	size_t size = PAGES * page_size();
	struct uffdio_api api = {
		.api = UFFD_API, .features = UFFD_FEATURE_WP_UNPOPULATED,
	};
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_WP };
	struct uffdio_writeprotect wp = { .mode = UFFDIO_WRITEPROTECT_MODE_WP };
	int fd = memfd_create("smaps", 0), uffd = syscall(SYS_userfaultfd, O_CLOEXEC);
	char *shared, *p, *q;
	int all;

	plan(3);
	if (fd < 0 || uffd < 0 || ftruncate(fd, size) || ioctl(uffd, UFFDIO_API, &api))
		cannot("memfd_create or userfaultfd");
	shared = map(fd, MAP_SHARED);
	p = map(fd, MAP_PRIVATE);
	q = map(fd, MAP_PRIVATE);
	memset(shared, 1, size);
	if (madvise(shared, size, MADV_PAGEOUT))
		cannot("MADV_PAGEOUT");
	munmap(shared, size);
	all = swapped(p);
	if (all <= 0)
		cannot("no page was swapped out");
	check(all == swapped(q), "two private mappings of a file have the same Swap:");

	guard(p, size);
	check(swapped(p) == all, "Swap: includes pages below guards");

	reg.range.start = wp.range.start = (uintptr_t)q;
	reg.range.len = wp.range.len = size;
	if (ioctl(uffd, UFFDIO_REGISTER, &reg) || ioctl(uffd, UFFDIO_WRITEPROTECT, &wp))
		cannot("UFFDIO_WRITEPROTECT");
	check(swapped(q) == all, "Swap: includes pages below write-protect markers");
	return done();
}
