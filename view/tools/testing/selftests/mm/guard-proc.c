// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guard pages in /proc: pagemap, PAGEMAP_SCAN, soft-dirty bits and smaps, and
 * what guards add to the counters and limits of a process.
 */
#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64	/* an address is an offset in /proc/PID/pagemap */
#include "../kselftest_harness.h"
#include <limits.h>
#include <linux/fs.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include "guard_fixture.h"
#include "guard_util.h"

/* ------------------------------------------------------------------------
 * pagemap
 */

TEST_F(guard, pagemap_shows_guards)
{
	const uint64_t mask = PM_PRESENT | PM_SWAP | PM_FILE | PM_GUARD |
			      PM_UFFD_WP | PM_MMAP_EXCLUSIVE;
	const uint64_t data = PM_PRESENT | (has_pages() ? PM_MMAP_EXCLUSIVE : 0) |
			      (has_pages() && under_test.shared ? PM_FILE : 0);
	size_t i;

	stripe(self->mem, self->nr);
	for (i = 0; i < self->nr; i++) {
		ASSERT_EQ(i % 3 == 0 ? PM_GUARD | PM_SWAP : i % 3 == 1 ? data : 0,
			  pagemap(self->mem + pages(i)) & mask);
	}
	ASSERT_EQ(0, guard_remove(self->mem, self->len));
	EXPECT_EQ(0, count(self->mem, self->nr, is_guard_in_pagemap));
}

/* ------------------------------------------------------------------------
 * PAGEMAP_SCAN
 */

/* Returns the categories in which a page was reported, or -1 if it was not. */
static long scanned(struct scan *scan, char *page)
{
	uint64_t addr = (unsigned long)page;
	long i;

	for (i = 0; i < scan->ret; i++)
		if (scan->regions[i].start <= addr && addr < scan->regions[i].end)
			return scan->regions[i].categories;
	return -1;
}

static struct scan result;

TEST_F(guard, pagemap_scan_finds_guards)
{
	size_t i;

	stripe(self->mem, self->nr);
	scan(&result, self->mem, self->len, PAGE_IS_GUARD, 0, 0);
	if (result.error == ENOTTY)
		SKIP(return, "there is no PAGEMAP_SCAN");
	ASSERT_EQ(0, result.error);
	for (i = 0; i < self->nr; i++) {
		ASSERT_EQ(i % 3 ? -1 : PAGE_IS_GUARD | PAGE_IS_SWAPPED | PAGE_IS_WRITTEN,
			  scanned(&result, self->mem + pages(i)));
	}
}

TEST_F(guard, pagemap_scan_finds_other_pages)
{
	size_t i, reported = 0;

	stripe(self->mem, self->nr);
	scan(&result, self->mem, self->len, PAGE_IS_GUARD, PAGE_IS_GUARD, 0);
	if (result.error == ENOTTY)
		SKIP(return, "there is no PAGEMAP_SCAN");
	ASSERT_EQ(0, result.error);
	for (i = 0; i < self->nr; i++)
		reported += scanned(&result, self->mem + pages(i)) != -1;
	EXPECT_EQ(self->nr - (self->nr + 2) / 3, reported);
	EXPECT_EQ(-1, scanned(&result, self->mem));
	/* No page is swapped and not a guard. */
	scan(&result, self->mem, self->len, PAGE_IS_GUARD | PAGE_IS_SWAPPED,
	     PAGE_IS_GUARD, 0);
	EXPECT_EQ(0, result.ret);
}

/* A guard cannot be written, so there is nothing to protect. */
TEST_F(guard, pagemap_scan_does_not_write_protect_guards)
{
	struct pm_scan_arg arg = {
		.size = sizeof(arg),
		.flags = PM_SCAN_WP_MATCHING | PM_SCAN_CHECK_WPASYNC,
		.start = (unsigned long)self->mem,
		.end = (unsigned long)self->mem + self->len,
		.vec_len = MAX_REGIONS,
	};
	/* The kernel has a separate code path for each of these. */
	const struct {
		struct page_region *vec;
		uint64_t mask, anyof, ret;
	} calls[] = {
		{ NULL, 0, 0, 0 },
		{ result.regions, PAGE_IS_WRITTEN, 0, PAGE_IS_WRITTEN },
		{ result.regions, 0, PAGE_IS_WRITTEN | PAGE_IS_GUARD, PAGE_IS_GUARD },
	};
	int uffd = uffd_open(UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_WP_UNPOPULATED);
	size_t i;

	if (under_test.is_dax)
		SKIP(return, "DAX faults for ever on a uffd-wp marker");
	if (uffd < 0)
		SKIP(return, "userfaultfd: %s", strerror(errno));
	if (uffd_register(uffd, self->mem, self->len, false, true, false))
		SKIP(return, "userfaultfd cannot write-protect");
	for (i = 0; i < ARRAY_SIZE(calls); i++) {
		stripe(self->mem, self->nr);
		arg.vec = (unsigned long)calls[i].vec;
		arg.vec_len = calls[i].vec ? MAX_REGIONS : 0;
		arg.category_mask = calls[i].mask;
		arg.category_anyof_mask = calls[i].anyof;
		arg.return_mask = calls[i].ret;
		ASSERT_LE(0, ioctl(pagemap_fd(), PAGEMAP_SCAN, &arg));
		EXPECT_TRUE(pagemap(self->mem + psize()) & PM_UFFD_WP);
		EXPECT_EQ(PM_GUARD | PM_SWAP, pagemap(self->mem) &
			  (PM_GUARD | PM_SWAP | PM_UFFD_WP)) {
			TH_LOG("call %zu", i);
		}
		EXPECT_EQ(self->nr, striped(self->mem, self->nr));
		ASSERT_EQ(0, guard_remove(self->mem, self->len));
		ASSERT_EQ(0, uffd_protect(uffd, self->mem, self->len, false));
		ASSERT_EQ(0, advise(self->mem, self->len, MADV_DONTNEED));
	}
}

static const uint64_t scan_categories[] = {
	PAGE_IS_GUARD, PAGE_IS_SWAPPED, PAGE_IS_PRESENT, PAGE_IS_WRITTEN,
};

static const unsigned int nr_masks = 1U << ARRAY_SIZE(scan_categories);

static uint64_t scan_mask(unsigned int bits)
{
	uint64_t mask = 0;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(scan_categories); i++)
		if (bits & 1U << i)
			mask |= scan_categories[i];
	return mask;
}

/*
 * The categories that a page has to be reported in, or -1 if it must not be
 * reported.
 */
static long scan_expected(const struct pm_scan_arg *arg, uint64_t categories)
{
	uint64_t seen = categories ^ arg->category_inverted;

	if ((seen & arg->category_mask) != arg->category_mask ||
	    (arg->category_anyof_mask && !(seen & arg->category_anyof_mask)))
		return -1;
	return categories & arg->return_mask;
}

/* Returns for how many pages the scan @arg reports something wrong. */
static size_t scan_wrong(struct pm_scan_arg *arg, const uint64_t *categories)
{
	size_t i, wrong = 0;

	result.ret = ioctl(pagemap_fd(), PAGEMAP_SCAN, arg);
	if (result.ret < 0)
		return NR_SMALL;
	for (i = 0; i < NR_SMALL; i++)
		wrong += scanned(&result, (char *)(unsigned long)arg->start + pages(i)) !=
			 scan_expected(arg, categories[i]);
	return wrong;
}

/* Try all masks of the four categories on pages whose @categories are known. */
static void scan_with_all_masks(struct __test_metadata *_metadata, char *mem,
				const uint64_t *categories, uint64_t flags)
{
	struct pm_scan_arg arg = {
		.size = sizeof(arg),
		.flags = flags,
		.start = (unsigned long)mem,
		.end = (unsigned long)mem + pages(NR_SMALL),
		.vec = (unsigned long)result.regions,
		.vec_len = MAX_REGIONS,
	};
	unsigned int mask, inverted, anyof;

	for (mask = 0; mask < nr_masks; mask++)
		for (inverted = 0; inverted < nr_masks; inverted++)
			for (anyof = 0; anyof < nr_masks; anyof++) {
				arg.category_mask = scan_mask(mask);
				arg.category_inverted = scan_mask(inverted);
				arg.category_anyof_mask = scan_mask(anyof);
				/*
				 * Each category occurs, though not in all
				 * combinations.
				 */
				arg.return_mask = scan_mask((mask + inverted + anyof) %
							    nr_masks);
				ASSERT_EQ(0, scan_wrong(&arg, categories)) {
					TH_LOG("mask %x inverted %x anyof %x", mask,
					       inverted, anyof);
				}
			}
}

TEST(pagemap_scan_with_all_masks)
{
	char *mem = map_small(NR_SMALL);
	uint64_t categories[NR_SMALL];
	size_t i;

	stripe(mem, NR_SMALL);
	for (i = 0; i < NR_SMALL; i++)
		categories[i] = i % 3 == 0 ? PAGE_IS_GUARD | PAGE_IS_SWAPPED | PAGE_IS_WRITTEN :
				i % 3 == 1 ? PAGE_IS_PRESENT | PAGE_IS_WRITTEN :
					     PAGE_IS_WRITTEN;
	scan(&result, mem, pages(NR_SMALL), 0, 0, 0);
	if (result.error == ENOTTY)
		SKIP(return, "there is no PAGEMAP_SCAN");
	/* Some kernels report pages without an entry as not written. */
	if (!scanned(&result, mem + pages(2)))
		for (i = 2; i < NR_SMALL; i += 3)
			categories[i] = 0;
	scan_with_all_masks(_metadata, mem, categories, 0);
	EXPECT_EQ(NR_SMALL, striped(mem, NR_SMALL));
}

/* With userfaultfd write protection, which puts markers into empty entries. */
TEST(pagemap_scan_with_all_masks_under_write_protection)
{
	int uffd = uffd_open(UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_WP_UNPOPULATED);
	char *mem = map_small(NR_SMALL);
	uint64_t categories[NR_SMALL];
	size_t i;

	if (uffd < 0)
		SKIP(return, "userfaultfd: %s", strerror(errno));
	stripe(mem, NR_SMALL);
	scan(&result, mem, pages(NR_SMALL), 0, 0, PM_SCAN_CHECK_WPASYNC);
	if (result.error == ENOTTY)
		SKIP(return, "there is no PAGEMAP_SCAN");
	ASSERT_EQ(EPERM, result.error);
	if (uffd_register(uffd, mem, pages(NR_SMALL), false, true, false))
		SKIP(return, "userfaultfd cannot write-protect");
	ASSERT_EQ(0, uffd_protect(uffd, mem, pages(NR_SMALL), true));
	for (i = 0; i < NR_SMALL; i++)
		categories[i] = i % 3 == 0 ? PAGE_IS_GUARD | PAGE_IS_SWAPPED | PAGE_IS_WRITTEN :
				i % 3 == 1 ? PAGE_IS_PRESENT : PAGE_IS_SWAPPED;
	scan_with_all_masks(_metadata, mem, categories, PM_SCAN_CHECK_WPASYNC);
	EXPECT_EQ(6, guarded(mem, NR_SMALL));
}

TEST(pagemap_scan_ends_within_guards)
{
	char *mem = map_small(NR_SMALL), *end = mem + pages(NR_SMALL), *next;
	size_t i, nr;

	ASSERT_EQ(0, guard_install(mem + pages(4), pages(8)));
	fill(mem + pages(12), 1, 12);
	/* Both ends of the range are guards. */
	if (scan_some(&result, mem + pages(5), mem + pages(9), 0, MAX_REGIONS,
		      &next) < 0 && errno == ENOTTY)
		SKIP(return, "there is no PAGEMAP_SCAN");
	ASSERT_EQ(1, result.ret);
	EXPECT_EQ((unsigned long)mem + pages(5), result.regions[0].start);
	EXPECT_EQ((unsigned long)mem + pages(9), result.regions[0].end);
	EXPECT_EQ(mem + pages(9), next);

	/*
	 * Scan three guards at a time, each time from the end of the last scan.
	 */
	next = mem;
	for (i = 4; i < 12; i += nr) {
		nr = i == 10 ? 2 : 3;
		ASSERT_EQ(1, scan_some(&result, next, end, 3, MAX_REGIONS, &next));
		EXPECT_EQ((unsigned long)mem + pages(i), result.regions[0].start);
		EXPECT_EQ((unsigned long)mem + pages(i + nr), result.regions[0].end);
		if (nr == 3)
			EXPECT_EQ(mem + pages(i + nr), next);
	}
	EXPECT_EQ(end, next);
}

/* The vector has room for one region, and the guards are not contiguous. */
TEST(pagemap_scan_has_room_for_one_guard)
{
	char *mem = map_small(NR_SMALL), *end = mem + pages(NR_SMALL), *next = mem;
	size_t i;

	stripe(mem, NR_SMALL);
	for (i = 0; i < NR_SMALL; i += 3) {
		if (scan_some(&result, next, end, 0, 1, &next) < 0 && errno == ENOTTY)
			SKIP(return, "there is no PAGEMAP_SCAN");
		ASSERT_EQ(1, result.ret);
		ASSERT_EQ((unsigned long)mem + pages(i), result.regions[0].start);
		ASSERT_EQ((unsigned long)mem + pages(i + 1), result.regions[0].end);
	}
	EXPECT_EQ(end, next);
}

/* ------------------------------------------------------------------------
 * Soft-dirty
 */

TEST_F(guard, soft_dirty_clear_keeps_guards)
{
	if (!softdirty_supported())
		SKIP(return, "the kernel was built without soft-dirty bits");
	ASSERT_EQ(0, guard_install(self->mem, self->len / 2));
	fill(self->mem + self->len / 2, self->nr / 2, 0);
	clear_softdirty();
	EXPECT_EQ(self->nr / 2, guarded(self->mem, self->nr / 2));
	/* Again: now the bits are clear. */
	clear_softdirty();
	ASSERT_EQ(0, guard_install(self->mem, self->len / 2));
	EXPECT_EQ(self->nr / 2, guarded(self->mem, self->nr));
	ASSERT_EQ(0, guard_remove(self->mem, self->len / 2));
	EXPECT_EQ(self->nr / 2, fresh(self->mem, self->nr / 2, 0));
	EXPECT_EQ(self->nr / 2, filled(self->mem + self->len / 2, self->nr / 2, 0));
}

static bool is_soft_dirty_guard(char *page)
{
	return (pagemap(page) & (PM_GUARD | PM_SOFT_DIRTY)) == (PM_GUARD | PM_SOFT_DIRTY);
}

/*
 * Without the bit, an incremental checkpoint would restore the old content of
 * the page.
 */
TEST_F(guard, install_marks_pages_soft_dirty)
{
	if (!softdirty_supported())
		SKIP(return, "the kernel was built without soft-dirty bits");
	fill(self->mem, self->nr / 2, 0);
	clear_softdirty();
	ASSERT_EQ(0, guard_install(self->mem, self->len));
	EXPECT_EQ(self->nr, count(self->mem, self->nr, is_soft_dirty_guard));
	clear_softdirty();
	/* This changes no entry. */
	ASSERT_EQ(0, guard_install(self->mem, self->len));
	/* Large guards that share a page table keep the bit. */
	if (!variant->huge || !guards_are_shared())
		EXPECT_EQ(0, count(self->mem, self->nr, is_soft_dirty_guard));
	EXPECT_EQ(self->nr, count(self->mem, self->nr, is_guard_in_pagemap));
}

/* A marker whose soft-dirty bit was cleared is still a guard. */
TEST_F(guard, moved_guards_soft_dirty_visible_everywhere)
{
	size_t len = mremap_len(self, variant), nr = len / psize(), half = nr / 2;
	char *to = reserve(len, table_size(), pages(3));

	ASSERT_EQ(0, guard_install(self->mem, pages(half)));
	ASSERT_EQ(to, mremap(self->mem, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, to));
	if (softdirty_supported()) {
		EXPECT_TRUE(pagemap(to) & PM_SOFT_DIRTY);
		clear_softdirty();
		EXPECT_FALSE(pagemap(to) & PM_SOFT_DIRTY);
	}
	EXPECT_TRUE(is_guard_in_pagemap(to));
	EXPECT_EQ(EFAULT, advise(to, psize(), MADV_POPULATE_READ));
	ASSERT_EQ(0, advise(to, len, MADV_DONTNEED));
	ASSERT_EQ(0, protect(to, len, PROT_READ));
	ASSERT_EQ(0, protect(to, len, PROT_READ | PROT_WRITE));
	ASSERT_EQ(0, guard_install(to, pages(half)));
	EXPECT_EQ(half, guarded(to, nr));
	EXPECT_TRUE(child_sees_guards(to, nr, half));
	scan(&result, to, len, PAGE_IS_GUARD, 0, 0);
	if (!result.error) {
		EXPECT_EQ(1, result.ret);
		EXPECT_EQ((unsigned long)to, result.regions[0].start);
		EXPECT_EQ((unsigned long)to + pages(half), result.regions[0].end);
	}
	ASSERT_EQ(0, guard_remove(to, len));
	EXPECT_EQ(nr, fresh(to, nr, 0));
}

TEST_F(guard, soft_dirty_bits_of_moved_guards_can_be_cleared)
{
	size_t len = mremap_len(self, variant), nr = len / psize();
	char *to = reserve(len, table_size(), pages(3));

	if (!softdirty_supported())
		SKIP(return, "the kernel was built without soft-dirty bits");
	ASSERT_EQ(0, guard_install(self->mem, len));
	clear_softdirty();
	if (!variant->huge || !guards_are_shared())
		EXPECT_EQ(PM_GUARD, pagemap(self->mem) & (PM_GUARD | PM_SOFT_DIRTY));
	ASSERT_EQ(to, mremap(self->mem, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, to));
	EXPECT_EQ(PM_GUARD | PM_SOFT_DIRTY, pagemap(to) & (PM_GUARD | PM_SOFT_DIRTY));
	EXPECT_EQ(nr, guarded(to, nr));
	clear_softdirty();
	EXPECT_EQ(PM_GUARD, pagemap(to) & (PM_GUARD | PM_SOFT_DIRTY));
	EXPECT_EQ(nr, guarded(to, nr));
	EXPECT_TRUE(child_sees_guards(to, nr, nr));
	ASSERT_EQ(0, guard_remove(to, len));
	EXPECT_EQ(nr, fresh(to, nr, 0));
}

/* ------------------------------------------------------------------------
 * mincore, smaps and limits
 */

/*
 * For an unmapped page of a file, mincore() tells whether that is in the page
 * cache.
 */
TEST_F(guard, mincore_is_as_without_a_guard)
{
	const bool cached = under_test.has_data && !under_test.is_dax;
	unsigned char *vec = malloc(self->nr);
	size_t i, wrong = 0;

	stripe(self->mem, self->nr);
	ASSERT_EQ(0, mincore(self->mem, self->len, vec));
	for (i = 0; i < self->nr; i++)
		wrong += (i % 3 == 1 || cached) != (vec[i] & 1);
	EXPECT_EQ(0, wrong);
	EXPECT_EQ(self->nr, striped(self->mem, self->nr));
}

TEST_F(guard, smaps_flag_comes_with_the_first_guard)
{
	fill(self->mem, self->nr, 0);
	EXPECT_FALSE(vma_flag(self->mem, "gu"));
	/* A call that installs no guard does not set the flag. */
	ASSERT_EQ(0, guard_install(self->mem, 0));
	ASSERT_EQ(0, guard_remove(self->mem, self->len));
	EXPECT_FALSE(vma_flag(self->mem, "gu"));
	ASSERT_EQ(0, guard_install(self->mem + psize(), psize()));
	EXPECT_TRUE(vma_flag(self->mem, "gu"));
	EXPECT_EQ(!variant->four_vmas, vma_flag(self->mem + self->len - 1, "gu"));
}

/* Neither does a call that fails before it has installed one. */
TEST(smaps_flag_does_not_come_with_a_failure)
{
	char *mem = map_small(NR_SMALL), *rest = mem + pages(8);

	ASSERT_EQ(0, munmap(mem, pages(4)));
	ASSERT_EQ(ENOMEM, guard_install(mem, pages(4)));
	ASSERT_FALSE(vma_flag(mem + pages(4), "gu"));

	if (mlock(mem + pages(4), pages(4)))
		SKIP(return, "mlock: %s", strerror(errno));
	ASSERT_EQ(EINVAL, guard_install(mem, pages(NR_SMALL)));
	ASSERT_FALSE(vma_flag(mem + pages(4), "gu"));
	ASSERT_FALSE(vma_flag(rest, "gu"));
	ASSERT_EQ(0, munlock(mem + pages(4), pages(4)));

	ASSERT_EQ(0, protect(mem + pages(4), pages(4), PROT_READ));
	if (!seal(mem + pages(4), pages(4)))
		SKIP(return, "mseal: %s", strerror(errno));
	EXPECT_EQ(EPERM, guard_install(mem, pages(NR_SMALL)));
	EXPECT_FALSE(vma_flag(mem + pages(4), "gu"));
	EXPECT_FALSE(vma_flag(rest, "gu"));
	EXPECT_EQ(0, guarded(mem + pages(4), 12));
}

TEST_F(guard, guards_are_no_memory)
{
	ASSERT_EQ(0, guard_install(self->mem, self->len));
	EXPECT_EQ(0, smaps_kb(self->mem, self->len, "Rss:"));
	EXPECT_EQ(0, smaps_kb(self->mem, self->len, "Pss:"));
	EXPECT_EQ(0, smaps_kb(self->mem, self->len, "Swap:"));
	EXPECT_EQ(0, smaps_kb(self->mem, self->len, "SwapPss:"));
	EXPECT_EQ(0, smaps_kb(self->mem, self->len, "Anonymous:"));
	EXPECT_EQ(self->nr, guarded(self->mem, self->nr));
	ASSERT_EQ(0, guard_remove(self->mem, self->len));
	EXPECT_EQ(0, smaps_kb(self->mem, self->len, "Rss:"));
}

static long committed_kb(void)
{
	return read_key("/proc/meminfo", "Committed_AS:");
}

/*
 * Committed_AS is a number of the whole system. A large range stands out in it,
 * and other processes will not match it every time.
 */
TEST(guards_commit_nothing)
{
	const size_t len = 256UL << 20;
	const long limit = len / 1024 / 2;
	static const int prots[] = { PROT_READ | PROT_WRITE, PROT_READ };
	size_t i, try;

	for (i = 0; i < ARRAY_SIZE(prots); i++) {
		long install = LONG_MAX, removal = LONG_MAX, unmap = LONG_MAX;

		for (try = 0; try < 5; try++) {
			long before, mapped, diff;
			char *mem;

			before = committed_kb();
			mem = mmap(NULL, len, prots[i], MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
			if (mem == MAP_FAILED)
				SKIP(return, "mmap: %s", strerror(errno));
			mapped = committed_kb();
			ASSERT_EQ(0, guard_install(mem, len));
			ASSERT_EQ(2, guarded(mem, 1) + guarded(mem + len - psize(), 1));
			diff = labs(committed_kb() - mapped);
			install = diff < install ? diff : install;
			ASSERT_EQ(0, guard_remove(mem, len));
			diff = labs(committed_kb() - mapped);
			removal = diff < removal ? diff : removal;
			ASSERT_EQ(0, munmap(mem, len));
			diff = labs(committed_kb() - before);
			unmap = diff < unmap ? diff : unmap;
		}
		ASSERT_LT(install, limit);
		ASSERT_LT(removal, limit);
		ASSERT_LT(unmap, limit);
	}
}

/* Returns 0, or the number of the step that failed. */
static int install_at_limit_of_address_space(char *mem, size_t len)
{
	long kb_now = read_key("/proc/self/status", "VmSize:");
	struct rlimit limit = { kb_now * 1024 + len, kb_now * 1024 + len };
	char *more;

	if (setrlimit(RLIMIT_AS, &limit))
		return 1;
	if (guard_install(mem, len))
		return 2;
	/* Exactly the remaining address space can still be mapped. */
	more = mmap(NULL, len, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (more == MAP_FAILED)
		return 3;
	if (mmap(NULL, len, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED)
		return 4;
	return guard_remove(mem, len) ? 5 : 0;
}

TEST(guards_do_not_change_rlimit_as_usage)
{
	char *mem = map_small(NR_SMALL);
	pid_t pid = fork();

	if (!pid)
		_exit(install_at_limit_of_address_space(mem, pages(NR_SMALL)));
	EXPECT_EQ(0, wait_child(pid));
}

int main(int argc, char **argv)
{
	guard_init();
	return test_harness_run(argc, argv);
}
