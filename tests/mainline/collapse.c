// SPDX-License-Identifier: GPL-2.0
/*
 * MADV_COLLAPSE and khugepaged cannot collapse a range with a guard.  They should notice
 * that before they allocate a huge page.
 */
#define _GNU_SOURCE
#include "ktap.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25
#endif

#define HUGE	(2UL << 20)

static unsigned long long allocated(void)
{
	return number_in("/proc/vmstat", "thp_collapse_alloc ");
}

static int collapse(char *p, size_t size)
{
	return madvise(p, size, MADV_COLLAPSE) ? errno : 0;
}

/* SIZE bytes, aligned, in small pages, of which khugepaged does not know. */
static char *small_pages(size_t size)
{
	char *p = map_anon(size + HUGE);

	p = (char *)(((uintptr_t)p + HUGE - 1) & ~(HUGE - 1));
	memset(p, 1, size);
	return p;
}

static void set(const char *name, const char *value)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "/sys/kernel/mm/transparent_hugepage/%s", name);
	fd = open(path, O_WRONLY);
	if (fd < 0 || write(fd, value, strlen(value)) < 0)
		cannot(path);
	close(fd);
}

static unsigned long long full_scans(void)
{
	return number_in("/sys/kernel/mm/transparent_hugepage/khugepaged/full_scans", "");
}

int main(void)
{
	unsigned long long before, scans;
	char *p, *q;
	int err;

	plan(6);
	set("enabled", "madvise");
	p = small_pages(HUGE);
	before = allocated();
	err = collapse(p, HUGE);
	check(!err && allocated() == before + 1, "MADV_COLLAPSE of a range without guards");

	p = small_pages(HUGE);
	guard(p + 100 * page_size(), page_size());
	before = allocated();
	check(collapse(p, HUGE) == EINVAL, "MADV_COLLAPSE of a range with a guard fails");
	check(allocated() == before, "it allocates no huge page");

	q = small_pages(2 * HUGE);
	guard(q, page_size());
	collapse(q, 2 * HUGE);
	before = allocated();
	check(!collapse(q + HUGE, HUGE) && allocated() == before,
	      "it collapses the range behind it");

	set("khugepaged/pages_to_scan", "65536");
	set("khugepaged/scan_sleep_millisecs", "10");
	scans = full_scans();
	before = allocated();
	if (madvise(p, HUGE, MADV_HUGEPAGE))
		cannot("MADV_HUGEPAGE");
	while (full_scans() < scans + 3)
		usleep(10000);
	printf("# khugepaged allocated %llu huge pages\n", allocated() - before);
	check(allocated() == before, "khugepaged allocates no huge page for it either");
	check(pagemap(p + 100 * page_size()) & PM_GUARD, "the guard stays");
	return done();
}
