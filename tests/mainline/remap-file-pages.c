// SPDX-License-Identifier: GPL-2.0
/*
 * remap_file_pages() accepts a range of several VMAs if they have the same flags.  A VMA
 * that once had a guard has another flag, so the call fails with EINVAL.
 */
#define _GNU_SOURCE
#include <sys/syscall.h>
#include "ktap.h"

static long remap(char *p, size_t size, size_t pgoff)
{
	return syscall(SYS_remap_file_pages, p, size, 0, pgoff, 0);
}

static bool remap_two_vmas(bool guarded)
{
	size_t page = page_size();
	int fd = memfd_create("remap", 0);
	char *p;
	long ret;

	if (fd < 0 || ftruncate(fd, 8 * page))
		cannot("memfd_create");
	p = mmap(NULL, 4 * page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED || remap(p + page, page, 6))
		cannot("a file mapped in two VMAs");
	if (guarded) {
		guard(p, page);
		if (madvise(p, page, MADV_GUARD_REMOVE))
			cannot("MADV_GUARD_REMOVE");
	}
	ret = remap(p, 2 * page, 2);
	if (ret)
		printf("# remap_file_pages: %s\n", strerror(errno));
	close(fd);
	return !ret;
}

int main(void)
{
	plan(2);
	check(remap_two_vmas(false), "remap_file_pages() over two VMAs");
	check(remap_two_vmas(true), "the same, where one of them once had a guard");
	return done();
}
