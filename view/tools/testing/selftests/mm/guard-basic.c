// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guard pages: what an access to one does, what MADV_GUARD_INSTALL and
 * MADV_GUARD_REMOVE do to the pages in their range, and which other calls keep,
 * drop, copy or move guards.
 */
#define _GNU_SOURCE
#include "../kselftest_harness.h"
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/uio.h>
#include "guard_fixture.h"
#include "guard_util.h"

/* ------------------------------------------------------------------------
 * Access
 */

TEST_F(guard, access_raises_sigsegv)
{
	size_t i;

	ASSERT_EQ(0, guard_install(self->mem + psize(), self->len - pages(2)));
	for (i = 1; i < self->nr - 1; i++) {
		char *addr = self->mem + pages(i) + i * 37 % psize();

		ASSERT_TRUE(is_guard_fault(touch(addr, READ), addr));
		ASSERT_TRUE(is_guard_fault(touch(addr, WRITE), addr));
	}
	/* The neighbouring pages are unchanged. */
	EXPECT_EQ(0, touch(self->mem + psize() - 1, WRITE).sig);
	EXPECT_EQ(0, touch(self->mem + self->len - psize(), WRITE).sig);
}

TEST(exec_raises_sigsegv)
{
	char *mem = mmap(NULL, pages(1), PROT_READ | PROT_WRITE | PROT_EXEC,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (mem == MAP_FAILED)
		SKIP(return, "no writable and executable mapping: %s", strerror(errno));
	ASSERT_EQ(0, guard_install(mem, psize()));
	EXPECT_TRUE(is_guard_fault(touch(mem, EXEC), mem));
	ASSERT_EQ(0, guard_remove(mem, psize()));
	EXPECT_EQ(1, zeroed(mem, 1));
}

TEST_F(guard, read_only_mapping_can_be_guarded)
{
	fill(self->mem, self->nr, 0);
	ASSERT_EQ(0, protect(self->mem, self->len, PROT_READ));
	ASSERT_EQ(0, guard_install(self->mem, self->len / 2));
	EXPECT_EQ(self->nr / 2, guarded(self->mem, self->nr / 2));
	EXPECT_EQ(self->nr / 2, filled(self->mem + self->len / 2, self->nr / 2, self->nr / 2));
	ASSERT_EQ(0, guard_remove(self->mem, self->len / 2));
	EXPECT_EQ(self->nr / 2, discarded(self->mem, self->nr / 2, 0));
}

TEST_F(guard, prot_none_mapping_can_be_guarded)
{
	ASSERT_EQ(0, protect(self->mem, self->len, PROT_NONE));
	ASSERT_EQ(0, guard_install(self->mem, self->len / 2));
	EXPECT_EQ(SEGV_ACCERR, touch(self->mem, READ).code);
	ASSERT_EQ(0, protect(self->mem, self->len, PROT_READ | PROT_WRITE));
	EXPECT_EQ(self->nr / 2, guarded(self->mem, self->nr));
	ASSERT_EQ(0, protect(self->mem, self->len, PROT_NONE));
	ASSERT_EQ(0, guard_remove(self->mem, self->len));
	ASSERT_EQ(0, protect(self->mem, self->len, PROT_READ | PROT_WRITE));
	EXPECT_EQ(self->nr, fresh(self->mem, self->nr, 0));
}

TEST(dev_zero_private_is_anonymous)
{
	int fd = open("/dev/zero", O_RDWR | O_CLOEXEC);
	char *mem;

	if (fd < 0)
		SKIP(return, "/dev/zero: %s", strerror(errno));
	mem = mmap(NULL, pages(4), PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	ASSERT_NE(MAP_FAILED, mem);
	fill(mem, 4, 0);
	ASSERT_EQ(0, guard_install(mem, pages(2)));
	EXPECT_EQ(2, guarded(mem, 4));
	EXPECT_EQ(2, filled(mem + pages(2), 2, 2));
	ASSERT_EQ(0, guard_remove(mem, pages(4)));
	EXPECT_EQ(2, zeroed(mem, 4));
}

/* ------------------------------------------------------------------------
 * INSTALL
 */

TEST_F(guard, install_covers_exactly_its_range)
{
	size_t first = self->nr / 2 - 3, nr = 5;

	ASSERT_EQ(0, guard_install(self->mem + pages(first), pages(nr)));
	EXPECT_EQ(0, guarded(self->mem, first));
	EXPECT_EQ(nr, guarded(self->mem + pages(first), nr));
	EXPECT_EQ(0, guarded(self->mem + pages(first + nr), self->nr - first - nr));
	ASSERT_EQ(0, guard_remove(self->mem + pages(first), pages(nr)));
	EXPECT_EQ(self->nr, fresh(self->mem, self->nr, 0));
}

/*
 * The range needs several page tables, none of which exists, and starts and
 * ends within one.
 */
TEST(install_creates_page_tables)
{
	size_t size = table_size();
	size_t nr = 3 * size / psize() + 6;
	char *mem = reserve(pages(nr), size, size - pages(3));

	ASSERT_EQ(mem, mmap(mem, pages(nr), PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE,
			    -1, 0));
	advise(mem, pages(nr), MADV_NOHUGEPAGE);
	ASSERT_EQ(0, guard_install(mem + psize(), pages(nr - 2)));
	EXPECT_EQ(0, touch(mem, WRITE).sig);
	EXPECT_EQ(0, touch(mem + pages(nr - 1), WRITE).sig);
	EXPECT_EQ(nr - 2, guarded(mem + psize(), nr - 2));
	EXPECT_EQ(2, present(mem, nr));
	ASSERT_EQ(0, guard_remove(mem, pages(nr)));
	EXPECT_EQ(nr, readable(mem, nr));
}

/* Install one guard where an upper-level page table is missing. */
TEST(install_creates_upper_page_tables)
{
	size_t size = table_size() * (psize() / sizeof(long));
	char *mem;

	if (sizeof(long) < 8)
		SKIP(return, "needs a 64-bit address space");
	if (table_size() > MAX_HUGE)
		SKIP(return, "a page table maps %zu MiB, too much for this test",
		     table_size() >> 20);
	mem = map_at(reserve(size, size, 0) + size / 2, psize(), PROT_READ | PROT_WRITE);
	ASSERT_NE(MAP_FAILED, mem);
	ASSERT_EQ(0, guard_install(mem, psize()));
	EXPECT_EQ(1, guarded(mem, 1));
	ASSERT_EQ(0, guard_remove(mem, psize()));
	EXPECT_EQ(1, zeroed(mem, 1));
}

TEST_F(guard, install_frees_populated_pages)
{
	fill(self->mem, self->nr, 0);
	ASSERT_EQ(rss_kb(self->nr), smaps_kb(self->mem, self->len, "Rss:"));
	ASSERT_EQ(0, guard_install(self->mem, self->len));
	EXPECT_EQ(0, present(self->mem, self->nr));
	EXPECT_EQ(0, smaps_kb(self->mem, self->len, "Rss:"));
	EXPECT_EQ(0, smaps_kb(self->mem, self->len, "AnonHugePages:"));
	EXPECT_EQ(self->nr, guarded(self->mem, self->nr));
	ASSERT_EQ(0, guard_remove(self->mem, self->len));
	EXPECT_EQ(self->nr, discarded(self->mem, self->nr, 0));
}

TEST_F(guard, install_keeps_data_around_it)
{
	size_t first = self->nr / 2 - 3, nr = 5, after = first + nr;

	fill(self->mem, self->nr, 0);
	ASSERT_EQ(0, guard_install(self->mem + pages(first), pages(nr)));
	/*
	 * A huge page of a file is unmapped as a whole: its data is in the
	 * file.
	 */
	if (!variant->huge || !under_test.shared)
		EXPECT_EQ(rss_kb(self->nr - nr), smaps_kb(self->mem, self->len, "Rss:"));
	EXPECT_EQ(nr, guarded(self->mem + pages(first), nr));
	EXPECT_EQ(first, filled(self->mem, first, 0));
	EXPECT_EQ(self->nr - after, filled(self->mem + pages(after),
					   self->nr - after, after));
	ASSERT_EQ(0, guard_remove(self->mem, self->len));
	EXPECT_EQ(nr, discarded(self->mem + pages(first), nr, first));
}

/*
 * INSTALL must free a page that is the only one in its page table, wherever it
 * is. If the child only forgot the page, the page would count as mapped twice
 * for ever.
 */
TEST(install_frees_a_page_that_is_alone)
{
	char *mem = map_small(NR_SMALL), *page;
	pid_t pid;

	fill(mem, 1, 0);
	if (!(pagemap(mem) & PM_MMAP_EXCLUSIVE))
		SKIP(return, "pagemap does not show which pages are mapped only once");
	for (page = mem; page < mem + pages(NR_SMALL); page += psize()) {
		ASSERT_EQ(0, advise(mem, pages(NR_SMALL), MADV_DONTNEED));
		fill(page, 1, 0);
		pid = fork();
		if (!pid)
			_exit(guard_install(mem, pages(NR_SMALL)) ||
			      guarded(mem, NR_SMALL) != NR_SMALL);
		ASSERT_EQ(0, wait_child(pid));
		ASSERT_NE(0, pagemap(page) & PM_MMAP_EXCLUSIVE) {
			TH_LOG("page %zu of %d", (page - mem) / psize(), NR_SMALL);
		}
	}
}

TEST_F(guard, install_over_a_mixture_guards_it_all)
{
	size_t i;

	/*
	 * Repeat: a guard, a written page, a page that was only read, an
	 * untouched page.
	 */
	for (i = 0; i < self->nr; i += 4) {
		ASSERT_EQ(0, guard_install(self->mem + pages(i), psize()));
		fill(self->mem + pages(i + 1), 1, i + 1);
		ASSERT_EQ(0, touch(self->mem + pages(i + 2), READ).sig);
	}
	ASSERT_EQ(0, guard_install(self->mem, self->len));
	EXPECT_EQ(self->nr, guarded(self->mem, self->nr));
	EXPECT_EQ(0, present(self->mem, self->nr));
	ASSERT_EQ(0, guard_remove(self->mem, self->len));
	for (i = 0; i < self->nr; i += 4) {
		ASSERT_EQ(1, fresh(self->mem + pages(i), 1, i));
		ASSERT_EQ(1, discarded(self->mem + pages(i + 1), 1, i + 1));
		ASSERT_EQ(2, fresh(self->mem + pages(i + 2), 2, i + 2));
	}
}

TEST_F(guard, install_does_not_nest)
{
	ASSERT_EQ(0, guard_install(self->mem, self->len));
	ASSERT_EQ(0, guard_install(self->mem, self->len));
	EXPECT_EQ(self->nr, guarded(self->mem, self->nr));
	ASSERT_EQ(0, guard_remove(self->mem, self->len));
	EXPECT_EQ(0, guarded(self->mem, self->nr));
	EXPECT_EQ(self->nr, fresh(self->mem, self->nr, 0));
}

TEST_F(guard, install_overlapping_guards_adds_the_rest)
{
	size_t half = self->nr / 2, quarter = self->nr / 4;

	ASSERT_EQ(0, guard_install(self->mem, self->len / 2));
	ASSERT_EQ(0, guard_install(self->mem + pages(quarter), self->len / 2));
	EXPECT_EQ(half + quarter, guarded(self->mem, half + quarter));
	EXPECT_EQ(0, guarded(self->mem + pages(half + quarter), quarter));
}

TEST_F(guard, install_over_pages_that_were_read)
{
	ASSERT_EQ(self->nr, readable(self->mem, self->nr));
	ASSERT_EQ(0, guard_install(self->mem + psize(), self->len - psize()));
	EXPECT_EQ(0, guarded(self->mem, 1));
	EXPECT_EQ(self->nr - 1, guarded(self->mem + psize(), self->nr - 1));
	ASSERT_EQ(0, guard_remove(self->mem, self->len));
	EXPECT_EQ(self->nr, fresh(self->mem, self->nr, 0));
}

/* ------------------------------------------------------------------------
 * REMOVE
 */

TEST_F(guard, remove_keeps_data)
{
	size_t i;

	for (i = 0; i < self->nr; i += 2) {
		ASSERT_EQ(0, guard_install(self->mem + pages(i), psize()));
		fill(self->mem + pages(i + 1), 1, i + 1);
	}
	ASSERT_EQ(self->nr / 2, guarded(self->mem, self->nr));
	ASSERT_EQ(0, guard_remove(self->mem, self->len));
	EXPECT_EQ(rss_kb(self->nr / 2), smaps_kb(self->mem, self->len, "Rss:"));
	for (i = 0; i < self->nr; i += 2) {
		ASSERT_EQ(1, fresh(self->mem + pages(i), 1, i));
		ASSERT_EQ(1, filled(self->mem + pages(i + 1), 1, i + 1));
	}
}

TEST_F(guard, remove_part_keeps_the_other_guards)
{
	size_t first = self->nr / 2 - 3, nr = 5;

	ASSERT_EQ(0, guard_install(self->mem, self->len));
	ASSERT_EQ(0, guard_remove(self->mem + pages(first), pages(nr)));
	EXPECT_EQ(first, guarded(self->mem, first));
	EXPECT_EQ(nr, fresh(self->mem + pages(first), nr, first));
	EXPECT_EQ(self->nr - nr, guarded(self->mem, self->nr));
}

TEST_F(guard, remove_without_guards_does_nothing)
{
	ASSERT_EQ(0, guard_remove(self->mem, self->len));
	EXPECT_EQ(0, present(self->mem, self->nr));
	fill(self->mem, self->nr, 0);
	ASSERT_EQ(0, guard_remove(self->mem, self->len));
	EXPECT_EQ(self->nr, filled(self->mem, self->nr, 0));
}

TEST_F(guard, remove_populates_nothing)
{
	ASSERT_EQ(0, guard_install(self->mem, self->len));
	ASSERT_EQ(self->nr, guarded(self->mem, self->nr));
	ASSERT_EQ(0, guard_remove(self->mem, self->len));
	EXPECT_EQ(0, smaps_kb(self->mem, self->len, "Rss:"));
	EXPECT_EQ(0, present(self->mem, self->nr));
	EXPECT_EQ(self->nr, readable(self->mem, self->nr));
}

/* ------------------------------------------------------------------------
 * Guards far apart, with no page tables in between. A walk must pass over what a
 * missing table would map, and over nothing else.
 */

FIXTURE(far)
{
	char *mem;		/* four slots, nothing populated */
	size_t len;
	char *guards[3];	/* two in the second slot, one in the last */
};

/* A slot is what one table of this level maps, where each table fills a page. */
FIXTURE_VARIANT(far)
{
	int level;
};

FIXTURE_VARIANT_ADD(far, pte_tables)
{
	.level = 1,
};

FIXTURE_VARIANT_ADD(far, pmd_tables)
{
	.level = 2,
};

FIXTURE_VARIANT_ADD(far, pud_tables)
{
	.level = 3,
};

FIXTURE_VARIANT_ADD(far, p4d_tables)
{
	.level = 4,
};

FIXTURE_SETUP(far)
{
	const size_t entries = psize() / sizeof(long), max = SIZE_MAX / 8;
	size_t slot = psize();
	char *mem, *hint = NULL;
	int i;

	for (i = 0; i < variant->level && slot <= max / entries; i++)
		slot *= entries;
	if (i < variant->level)
		SKIP(return, "the address space is too small for four such tables");
	/* Only a hint makes the kernel use all of a large address space. */
	if (variant->level == 4)
		hint = (char *)slot;
	self->len = 4 * slot;
	mem = mmap(hint, self->len + slot, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (mem == MAP_FAILED)
		SKIP(return, "no address space of %zu GiB", self->len >> 30);
	self->mem = (char *)(((unsigned long)mem + slot - 1) & -slot);
	advise(self->mem, self->len, MADV_NOHUGEPAGE);
	self->guards[0] = self->mem + slot;
	self->guards[1] = self->mem + slot + slot / 2;
	self->guards[2] = self->mem + self->len - psize();
	for (i = 0; i < (int)ARRAY_SIZE(self->guards); i++)
		ASSERT_EQ(0, guard_install(self->guards[i], psize()));
}

FIXTURE_TEARDOWN(far)
{
}

static size_t far_guards(FIXTURE_DATA(far) * self)
{
	size_t i, found = 0;

	for (i = 0; i < ARRAY_SIZE(self->guards); i++)
		found += guarded(self->guards[i], 1);
	return found;
}

TEST_F(far, remove_finds_every_guard)
{
	size_t i;

	EXPECT_EQ(ARRAY_SIZE(self->guards), far_guards(self));
	ASSERT_EQ(0, guard_remove(self->mem, self->len));
	for (i = 0; i < ARRAY_SIZE(self->guards); i++)
		EXPECT_EQ(1, zeroed(self->guards[i], 1));
}

/* Nothing was written to the mapping, so fork() looks for guards only. */
TEST_F(far, fork_copies_every_guard)
{
	pid_t pid = fork();

	if (!pid)
		_exit(far_guards(self) != ARRAY_SIZE(self->guards));
	EXPECT_EQ(0, wait_child(pid));
}

TEST_F(far, dontneed_keeps_every_guard)
{
	ASSERT_EQ(0, advise(self->mem, self->len, MADV_DONTNEED));
	EXPECT_EQ(ARRAY_SIZE(self->guards), far_guards(self));
}

/* The range crosses a boundary of slots. There are no tables on either side. */
TEST_F(far, install_fills_a_gap)
{
	char *boundary = self->mem + self->len / 4 * 3;

	ASSERT_EQ(0, guard_install(boundary - pages(2), pages(4)));
	EXPECT_EQ(4, guarded(boundary - pages(3), 6));
	EXPECT_EQ(ARRAY_SIZE(self->guards), far_guards(self));
	ASSERT_EQ(0, guard_remove(boundary - psize(), pages(2)));
	EXPECT_EQ(2, guarded(boundary - pages(3), 6));
}

/* ------------------------------------------------------------------------
 * Calls that keep guards
 */

/*
 * Every second page is a guard, and the others hold data, which @advice may
 * discard.
 */
static void advice_keeps_guards(struct __test_metadata *_metadata,
				char *mem, size_t nr, int advice, bool data_kept)
{
	size_t i, kept = 0, lost = 0;

	fill(mem, nr, 0);
	ASSERT_EQ(0, guard_every(2, mem, nr));
	ASSERT_EQ(0, advise(mem, pages(nr), advice)) {
		TH_LOG("madvise(%d)", advice);
	}
	for (i = 0; i < nr; i += 2) {
		ASSERT_TRUE(is_guarded(mem + pages(i)));
		kept += filled(mem + pages(i + 1), 1, i + 1);
		lost += discarded(mem + pages(i + 1), 1, i + 1);
	}
	EXPECT_EQ(nr / 2, data_kept ? kept : lost);
}

TEST_F(guard, dontneed_keeps_guards)
{
	advice_keeps_guards(_metadata, self->mem, self->nr, MADV_DONTNEED, false);
}

TEST_F(guard, dontneed_locked_keeps_guards)
{
	advice_keeps_guards(_metadata, self->mem, self->nr, MADV_DONTNEED_LOCKED, false);
}

TEST_F(guard, cold_keeps_guards)
{
	advice_keeps_guards(_metadata, self->mem, self->nr, MADV_COLD, true);
}

TEST_F(guard, pageout_keeps_guards)
{
	advice_keeps_guards(_metadata, self->mem, self->nr, MADV_PAGEOUT, true);
}

/* MADV_FREE is for anonymous memory, and may or may not leave the data. */
TEST_F(guard, free_keeps_guards)
{
	ASSERT_EQ(0, guard_install(self->mem, self->len / 2));
	fill(self->mem + self->len / 2, self->nr / 2, 0);
	ASSERT_EQ(under_test.backing == ANON ? 0 : EINVAL,
		  advise(self->mem, self->len, MADV_FREE));
	EXPECT_EQ(self->nr / 2, guarded(self->mem, self->nr / 2));
	EXPECT_EQ(self->nr / 2, readable(self->mem + self->len / 2, self->nr / 2));
}

TEST_F(guard, dontneed_of_guards_alone_keeps_them)
{
	ASSERT_EQ(0, guard_install(self->mem, self->len));
	ASSERT_EQ(0, advise(self->mem, self->len, MADV_DONTNEED));
	advise(self->mem, self->len, MADV_FREE);
	EXPECT_EQ(self->nr, guarded(self->mem, self->nr));
}

TEST_F(guard, other_advice_keeps_guards)
{
	static const int advice[] = {
		MADV_NORMAL, MADV_RANDOM, MADV_SEQUENTIAL, MADV_WILLNEED,
		MADV_DONTFORK, MADV_DOFORK, MADV_WIPEONFORK, MADV_KEEPONFORK,
		MADV_DODUMP, MADV_HUGEPAGE, MADV_NOHUGEPAGE, MADV_MERGEABLE,
		MADV_UNMERGEABLE,
	};
	size_t i;

	ASSERT_EQ(0, guard_install(self->mem, self->len / 2));
	/*
	 * Some requests return EINVAL for files, or if the kernel was built
	 * without the feature.
	 */
	for (i = 0; i < ARRAY_SIZE(advice); i++)
		advise(self->mem, self->len, advice[i]);
	EXPECT_EQ(self->nr / 2, guarded(self->mem, self->nr));
	EXPECT_TRUE(child_sees_guards(self->mem, self->nr, self->nr / 2));
}

TEST_F(guard, mprotect_keeps_guards)
{
	static const int prots[] = {
		PROT_NONE, PROT_READ, PROT_NONE, PROT_READ | PROT_WRITE,
		PROT_READ | PROT_EXEC, PROT_WRITE,
	};
	size_t i;
	int ret;

	ASSERT_EQ(0, guard_install(self->mem, self->len / 2));
	fill(self->mem + self->len / 2, self->nr / 2, 0);
	for (i = 0; i < ARRAY_SIZE(prots); i++) {
		ret = protect(self->mem, self->len, prots[i]);
		/* A noexec mount or a policy may forbid executing a file. */
		if (prots[i] & PROT_EXEC && (ret == EACCES || ret == EPERM))
			continue;
		ASSERT_EQ(0, ret);
		EXPECT_EQ(prots[i] ? GUARD_SI_CODE : SEGV_ACCERR,
			  touch(self->mem, READ).code);
		EXPECT_EQ(SIGSEGV, touch(self->mem, WRITE).sig);
		ASSERT_EQ(0, protect(self->mem, self->len, PROT_READ | PROT_WRITE));
		ASSERT_EQ(self->nr / 2, guarded(self->mem, self->nr / 2));
		ASSERT_EQ(self->nr / 2, filled(self->mem + self->len / 2, self->nr / 2, 0));
	}
}

TEST_F(guard, munlock_keeps_guards)
{
	if (!can_lock(self->mem, self->len))
		SKIP(return, "mlock: %s", lock_error());
	ASSERT_EQ(0, guard_install(self->mem, self->len / 2));
	ASSERT_EQ(0, mlock2(self->mem, self->len, MLOCK_ONFAULT));
	fill(self->mem + self->len / 2, self->nr / 2, 0);
	ASSERT_EQ(0, munlock(self->mem, self->len));
	EXPECT_EQ(self->nr / 2, guarded(self->mem, self->nr / 2));
	EXPECT_EQ(self->nr / 2, filled(self->mem + self->len / 2, self->nr / 2, 0));
}

TEST_F(guard, dontneed_locked_keeps_guards_in_locked_memory)
{
	if (!can_lock(self->mem, self->len))
		SKIP(return, "mlock: %s", lock_error());
	ASSERT_EQ(0, guard_install(self->mem, self->len / 2));
	ASSERT_EQ(0, mlock2(self->mem, self->len, MLOCK_ONFAULT));
	fill(self->mem + self->len / 2, self->nr / 2, self->nr / 2);
	EXPECT_EQ(EINVAL, advise(self->mem, self->len, MADV_DONTNEED));
	ASSERT_EQ(0, advise(self->mem, self->len, MADV_DONTNEED_LOCKED));
	EXPECT_EQ(self->nr / 2, guarded(self->mem, self->nr / 2));
	EXPECT_EQ(self->nr / 2, discarded(self->mem + self->len / 2, self->nr / 2, self->nr / 2));
}

/* ------------------------------------------------------------------------
 * Calls that drop guards
 */

TEST_F(guard, munmap_drops_guards)
{
	ASSERT_EQ(0, guard_install(self->mem, self->len));
	ASSERT_EQ(self->nr, guarded(self->mem, self->nr));
	ASSERT_EQ(0, munmap(self->mem, self->len));
	ASSERT_EQ(self->mem, map_backing(self->mem, self->len,
					 PROT_READ | PROT_WRITE, 0));
	EXPECT_EQ(self->nr, fresh(self->mem, self->nr, 0));
}

TEST_F(guard, munmap_of_part_keeps_the_other_guards)
{
	size_t half = self->nr / 2;

	ASSERT_EQ(0, guard_install(self->mem, self->len));
	ASSERT_EQ(0, munmap(self->mem + pages(half - 2), pages(4)));
	EXPECT_EQ(half - 2, guarded(self->mem, half - 2));
	EXPECT_EQ(half - 2, guarded(self->mem + pages(half + 2), half - 2));
	EXPECT_TRUE(child_sees_guards(self->mem, half - 2, half - 2));
	EXPECT_TRUE(child_sees_guards(self->mem + pages(half + 2), half - 2, half - 2));
	ASSERT_EQ(0, guard_remove(self->mem, pages(half - 2)));
	EXPECT_EQ(half - 2, fresh(self->mem, half - 2, 0));
}

TEST_F(guard, map_fixed_drops_guards)
{
	ASSERT_EQ(0, guard_install(self->mem, self->len));
	ASSERT_EQ(self->mem, map_backing(self->mem, self->len / 2,
					 PROT_READ | PROT_WRITE, 0));
	EXPECT_EQ(self->nr / 2, fresh(self->mem, self->nr / 2, 0));
	EXPECT_EQ(self->nr / 2, guarded(self->mem + self->len / 2, self->nr / 2));
}

TEST_F(guard, exit_with_guards)
{
	pid_t pid = fork();

	if (!pid) {
		fill(self->mem, self->nr, 0);
		_exit(guard_install(self->mem, self->len) ||
		      guarded(self->mem, self->nr) != self->nr);
	}
	EXPECT_EQ(0, wait_child(pid));
	EXPECT_EQ(0, guarded(self->mem, self->nr));
}

TEST_F(guard, exec_with_guards)
{
	pid_t pid = fork();

	if (!pid) {
		int null = open("/dev/null", O_WRONLY);

		if (guard_install(self->mem, self->len) ||
		    guarded(self->mem, self->nr) != self->nr)
			_exit(1);
		dup2(null, 1);
		dup2(null, 2);
		execl("/proc/self/exe", "guard-pages", "-h", NULL);
		_exit(2);
	}
	/* This program exits with that code after -h. */
	EXPECT_EQ(KSFT_SKIP, wait_child(pid));
}

/* ------------------------------------------------------------------------
 * fork
 */

/*
 * Nothing is populated, so the guards are the only reason for fork() to copy
 * page tables.
 */
TEST_F(guard, fork_copies_guards)
{
	ASSERT_EQ(0, guard_every(2, self->mem, self->nr));
	EXPECT_TRUE(child_sees_guards(self->mem, self->nr, self->nr / 2));
	EXPECT_EQ(self->nr / 2, guarded(self->mem, self->nr));
}

TEST_F(guard, fork_copies_guards_and_data)
{
	pid_t pid;

	fill(self->mem, self->nr, 0);
	ASSERT_EQ(0, guard_install(self->mem, self->len / 2));
	pid = fork();
	if (!pid)
		_exit(guarded(self->mem, self->nr / 2) != self->nr / 2 ||
		      filled(self->mem + self->len / 2, self->nr / 2,
			     self->nr / 2) != self->nr / 2);
	EXPECT_EQ(0, wait_child(pid));
	EXPECT_EQ(self->nr / 2, guarded(self->mem, self->nr));
}

TEST_F(guard, fork_copies_guards_to_grandchildren)
{
	pid_t pid;

	ASSERT_EQ(0, guard_install(self->mem, self->len));
	pid = fork();
	if (!pid)
		_exit(!child_sees_guards(self->mem, self->nr, self->nr));
	EXPECT_EQ(0, wait_child(pid));
}

TEST_F(guard, fork_makes_guards_independent)
{
	pid_t pid;

	ASSERT_EQ(0, guard_install(self->mem, self->len / 2));
	pid = fork();
	if (!pid)
		_exit(guard_remove(self->mem, self->len / 2) ||
		      guard_install(self->mem + self->len / 2, self->len / 2) ||
		      fresh(self->mem, self->nr / 2, 0) != self->nr / 2 ||
		      guarded(self->mem + self->len / 2, self->nr / 2) != self->nr / 2);
	EXPECT_EQ(0, wait_child(pid));
	EXPECT_EQ(self->nr / 2, guarded(self->mem, self->nr / 2));
	EXPECT_EQ(0, guarded(self->mem + self->len / 2, self->nr / 2));
}

/* Only private anonymous memory can be wiped. */
TEST_F(guard, wipeonfork_drops_guards)
{
	const bool wiped = under_test.backing == ANON;
	pid_t pid;

	ASSERT_EQ(wiped ? 0 : EINVAL, advise(self->mem, self->len, MADV_WIPEONFORK));
	ASSERT_EQ(0, guard_install(self->mem, self->len));
	pid = fork();
	if (!pid)
		_exit(wiped ? zeroed(self->mem, self->nr) != self->nr :
			      guarded(self->mem, self->nr) != self->nr);
	EXPECT_EQ(0, wait_child(pid));
	EXPECT_EQ(self->nr, guarded(self->mem, self->nr));
}

TEST_F(guard, dontfork_leaves_nothing_to_the_child)
{
	unsigned char vec;
	pid_t pid;

	ASSERT_EQ(0, guard_install(self->mem, self->len));
	ASSERT_EQ(0, advise(self->mem, self->len, MADV_DONTFORK));
	pid = fork();
	if (!pid)
		_exit(!mincore(self->mem, psize(), &vec) || errno != ENOMEM ||
		      map_at(self->mem, self->len, PROT_READ | PROT_WRITE) != self->mem ||
		      zeroed(self->mem, self->nr) != self->nr);
	EXPECT_EQ(0, wait_child(pid));
	EXPECT_EQ(self->nr, guarded(self->mem, self->nr));
}

static int vfork_child(void *arg)
{
	struct iovec *iov = arg;
	size_t half = iov->iov_len / 2, nr = half / psize();

	return guarded(iov->iov_base, nr) != nr ||
	       guard_install(iov->iov_base + half, half);
}

/* clone() with the flags of vfork() gives the child a stack of its own. */
TEST_F(guard, vfork_shares_guards)
{
	struct iovec iov = { self->mem, self->len };

	ASSERT_EQ(0, guard_install(self->mem, self->len / 2));
	EXPECT_EQ(0, wait_child(start_beside(vfork_child, &iov, CLONE_VFORK)));
	EXPECT_EQ(self->nr, guarded(self->mem, self->nr));
}

/* ------------------------------------------------------------------------
 * mremap
 */

static void move_keeps_guards(struct __test_metadata *_metadata, char *mem,
			      size_t len, char *to)
{
	stripe(mem, len / psize());
	ASSERT_EQ(to, mremap(mem, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, to));
	EXPECT_EQ(len / psize(), striped(to, len / psize()));
	EXPECT_EQ(0, nr_vmas(mem, len));
	/* No guard is left in the old page tables. */
	ASSERT_EQ(mem, map_at(mem, len, PROT_READ | PROT_WRITE));
	EXPECT_EQ(len / psize(), zeroed(mem, len / psize()));
	ASSERT_EQ(0, guard_remove(to, len));
	EXPECT_EQ(0, guarded(to, len / psize()));
}

/* The alignment stays the same, so mremap() may move whole page tables. */
TEST_F(guard, mremap_moves_guards_aligned)
{
	size_t len = mremap_len(self, variant);
	size_t offset = (unsigned long)self->mem % self->align;

	move_keeps_guards(_metadata, self->mem, len,
			  reserve(len, self->align, offset));
}

TEST_F(guard, mremap_moves_guards_unaligned)
{
	size_t len = mremap_len(self, variant);

	move_keeps_guards(_metadata, self->mem, len,
			  reserve(len, table_size(), pages(3)));
}

TEST_F(guard, mremap_moves_a_part_with_its_guards)
{
	size_t len = mremap_len(self, variant), nr = len / psize();
	/*
	 * If caches have aliases, the target has the alignment that the second
	 * page needs.
	 */
	char *to = reserve(pages(3), psize(), 0) + psize();

	ASSERT_EQ(0, guard_install(self->mem, len));
	ASSERT_EQ(to, mremap(self->mem + psize(), pages(2), pages(2),
			     MREMAP_MAYMOVE | MREMAP_FIXED, to));
	EXPECT_EQ(2, guarded(to, 2));
	EXPECT_EQ(1, guarded(self->mem, 1));
	EXPECT_EQ(nr - 3, guarded(self->mem + pages(3), nr - 3));
	/*
	 * The note of the VMA must have moved too, or fork() would not copy the
	 * guards.
	 */
	EXPECT_TRUE(child_sees_guards(to, 2, 2));
}

TEST_F(guard, mremap_moved_guards_survive_fork)
{
	size_t len = mremap_len(self, variant);
	char *to = reserve(len, self->align, 0);

	ASSERT_EQ(0, guard_install(self->mem, len));
	ASSERT_EQ(to, mremap(self->mem, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, to));
	EXPECT_TRUE(child_sees_guards(to, len / psize(), len / psize()));
}

TEST_F(guard, mremap_grown_in_place_leaves_tail_unguarded)
{
	size_t len = mremap_len(self, variant), half = len / psize() / 2;

	ASSERT_EQ(0, munmap(self->mem + pages(half), pages(half)));
	ASSERT_EQ(0, guard_install(self->mem, pages(half)));
	ASSERT_EQ(self->mem, mremap(self->mem, pages(half), len, 0));
	EXPECT_EQ(half, guarded(self->mem, half));
	EXPECT_EQ(half, fresh(self->mem + pages(half), half, half));
	EXPECT_TRUE(child_sees_guards(self->mem, 2 * half, half));
}

TEST_F(guard, mremap_grown_by_moving_leaves_tail_unguarded)
{
	size_t len = mremap_len(self, variant), nr = len / psize();
	char *to = reserve(2 * len, self->align, 0);

	ASSERT_EQ(0, guard_install(self->mem, len));
	ASSERT_EQ(to, mremap(self->mem, len, 2 * len, MREMAP_MAYMOVE | MREMAP_FIXED, to));
	EXPECT_EQ(nr, guarded(to, nr));
	EXPECT_EQ(nr, fresh(to + len, nr, nr));
}

TEST_F(guard, mremap_shrunk_drops_tail)
{
	size_t half = self->nr / 2;

	ASSERT_EQ(0, guard_install(self->mem, self->len));
	ASSERT_EQ(self->mem, mremap(self->mem, self->len, pages(half), 0));
	EXPECT_EQ(half, guarded(self->mem, half));
	EXPECT_EQ(0, nr_vmas(self->mem + pages(half), pages(half)));
	ASSERT_NE(MAP_FAILED, map_at(self->mem + pages(half), pages(half),
				     PROT_READ | PROT_WRITE));
	EXPECT_EQ(half, zeroed(self->mem + pages(half), half));
	EXPECT_EQ(half, guarded(self->mem, half));
}

TEST_F(guard, mremap_dontunmap_leaves_old_range_unguarded)
{
	size_t len = mremap_len(self, variant), nr = len / psize();
	char *to = reserve(len, self->align, 0);

	stripe(self->mem, nr);
	ASSERT_EQ(to, mremap(self->mem, len, len, MREMAP_MAYMOVE | MREMAP_FIXED |
			     MREMAP_DONTUNMAP, to));
	EXPECT_EQ(nr, striped(to, nr));
	EXPECT_EQ(nr, unstriped(self->mem, nr));
}

/*
 * mremap() with an old length of 0 duplicates shared memory, and guards are not
 * memory.
 */
TEST_F(guard, mremap_duplicate_is_unguarded)
{
	size_t len = mremap_len(self, variant), nr = len / psize();
	char *to = reserve(len, self->align, 0);

	stripe(self->mem, nr);
	if (!under_test.shared) {
		EXPECT_EQ(MAP_FAILED, mremap(self->mem, 0, len, MREMAP_MAYMOVE));
		EXPECT_EQ(EINVAL, errno);
	} else {
		ASSERT_EQ(to, mremap(self->mem, 0, len, MREMAP_MAYMOVE | MREMAP_FIXED, to));
		EXPECT_EQ(nr, unstriped(to, nr));
	}
	EXPECT_EQ(nr, striped(self->mem, nr));
}

TEST_F(guard, mremap_over_guards_drops_them)
{
	size_t len = mremap_len(self, variant), nr = len / psize();
	char *from = map_at(reserve(len, self->align, 0), len, PROT_READ | PROT_WRITE);

	ASSERT_NE(MAP_FAILED, from);
	fill(from, nr, 0);
	ASSERT_EQ(0, guard_install(self->mem, self->len));
	ASSERT_EQ(self->nr, guarded(self->mem, self->nr));
	ASSERT_EQ(self->mem, mremap(from, len, len, MREMAP_MAYMOVE | MREMAP_FIXED,
				    self->mem));
	EXPECT_EQ(nr, filled(self->mem, nr, 0));
	EXPECT_EQ(self->nr - nr, guarded(self->mem, self->nr));
}

/* ------------------------------------------------------------------------
 * Refused mappings
 */

TEST(hugetlb_is_refused)
{
	size_t len = default_huge_page_size();
	char *mem;

	/* MAP_NORESERVE: no huge page has to be free. */
	mem = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE |
		   MAP_ANONYMOUS | MAP_HUGETLB | MAP_NORESERVE, -1, 0);
	if (!len || mem == MAP_FAILED)
		SKIP(return, "hugetlb: %s", strerror(errno));
	EXPECT_EQ(EINVAL, guard_install(mem, len));
	EXPECT_EQ(EINVAL, guard_remove(mem, len));
	EXPECT_FALSE(vma_flag(mem, "gu"));
}

/* The kernel's data for the vDSO: VM_IO and VM_PFNMAP. */
TEST(io_and_pfnmap_are_refused)
{
	char *mem = find_mapping("[vvar]", NULL);

	if (!mem)
		SKIP(return, "there is no [vvar] mapping");
	if (!vma_flag(mem, "io") && !vma_flag(mem, "pf"))
		SKIP(return, "[vvar] is neither VM_IO nor VM_PFNMAP");
	EXPECT_EQ(EINVAL, guard_install(mem, psize()));
	EXPECT_EQ(EINVAL, guard_remove(mem, psize()));
}

TEST(dontexpand_is_refused)
{
	char *mem = find_mapping("[vdso]", NULL);

	if (!mem)
		SKIP(return, "there is no [vdso] mapping");
	ASSERT_TRUE(vma_flag(mem, "de"));
	EXPECT_EQ(EINVAL, guard_install(mem, psize()));
	EXPECT_EQ(EINVAL, guard_remove(mem, psize()));
}

TEST_F(guard, locked_memory_refuses_install)
{
	if (!can_lock(self->mem, self->len))
		SKIP(return, "mlock: %s", lock_error());
	ASSERT_EQ(0, mlock(self->mem, self->len));
	fill(self->mem, self->nr, 0);
	EXPECT_EQ(EINVAL, guard_install(self->mem, self->len));
	EXPECT_EQ(self->nr, filled(self->mem, self->nr, 0));
	EXPECT_FALSE(vma_flag(self->mem, "gu"));
	ASSERT_EQ(0, munlock(self->mem, self->len));
	EXPECT_EQ(0, guard_install(self->mem, self->len));
	EXPECT_EQ(self->nr, guarded(self->mem, self->nr));
}

TEST_F(guard, locked_memory_allows_remove)
{
	if (!can_lock(self->mem, self->len))
		SKIP(return, "mlock: %s", lock_error());
	ASSERT_EQ(0, guard_install(self->mem, self->len));
	ASSERT_EQ(0, mlock2(self->mem, self->len, MLOCK_ONFAULT));
	ASSERT_EQ(self->nr, guarded(self->mem, self->nr));
	EXPECT_EQ(0, guard_remove(self->mem, self->len));
	EXPECT_EQ(self->nr, fresh(self->mem, self->nr, 0));
}

/* ------------------------------------------------------------------------
 * Populate
 */

TEST_F(guard, populate_stops_at_a_guard)
{
	static const int advice[] = { MADV_POPULATE_READ, MADV_POPULATE_WRITE };
	size_t i, guard = self->nr / 2 + 1;

	ASSERT_EQ(0, guard_install(self->mem + pages(guard), psize()));
	for (i = 0; i < ARRAY_SIZE(advice); i++) {
		EXPECT_EQ(EFAULT, advise(self->mem, self->len, advice[i]));
		EXPECT_EQ(guard, present(self->mem, guard));
		EXPECT_EQ(0, advise(self->mem, pages(guard), advice[i]));
		EXPECT_EQ(EFAULT, advise(self->mem + pages(guard), psize(), advice[i]));
		EXPECT_EQ(1, guarded(self->mem + pages(guard), 1));
		ASSERT_EQ(0, advise(self->mem, self->len, MADV_DONTNEED));
	}
	ASSERT_EQ(0, guard_remove(self->mem, self->len));
	EXPECT_EQ(0, advise(self->mem, self->len, MADV_POPULATE_WRITE));
}

/* ------------------------------------------------------------------------
 * mlock
 */

TEST_F(guard, mlock_over_a_guard_fails_but_locks)
{
	size_t guard = self->nr / 2 + 1;

	if (!can_lock(self->mem, self->len))
		SKIP(return, "mlock: %s", lock_error());
	ASSERT_EQ(0, guard_install(self->mem + pages(guard), psize()));
	EXPECT_EQ(-1, mlock(self->mem, self->len));
	EXPECT_EQ(ENOMEM, errno);
	EXPECT_TRUE(vma_flag(self->mem, "lo"));
	EXPECT_TRUE(vma_flag(self->mem + self->len - 1, "lo"));
	EXPECT_EQ(guard, present(self->mem, guard));
	EXPECT_EQ(1, guarded(self->mem, self->nr));
}

TEST_F(guard, mlock2_over_a_guard_fails_but_locks)
{
	if (!can_lock(self->mem, self->len))
		SKIP(return, "mlock: %s", lock_error());
	ASSERT_EQ(0, guard_install(self->mem + psize(), psize()));
	EXPECT_EQ(-1, mlock2(self->mem, self->len, 0));
	EXPECT_EQ(ENOMEM, errno);
	EXPECT_TRUE(vma_flag(self->mem, "lo"));
	EXPECT_TRUE(vma_flag(self->mem + self->len - 1, "lo"));
}

TEST_F(guard, mlock2_onfault_over_a_guard_succeeds)
{
	if (!can_lock(self->mem, self->len))
		SKIP(return, "mlock: %s", lock_error());
	ASSERT_EQ(0, guard_install(self->mem + psize(), psize()));
	EXPECT_EQ(0, mlock2(self->mem, self->len, MLOCK_ONFAULT));
	EXPECT_TRUE(vma_flag(self->mem, "lo"));
	EXPECT_EQ(1, guarded(self->mem, self->nr));
}

/* A guard must not keep mlockall() from populating the rest of the mapping. */
TEST_F(guard, mlockall_populates_what_follows_a_guard)
{
	size_t half = self->nr / 2;

	ASSERT_EQ(0, guard_install(self->mem + psize(), psize()));
	ASSERT_EQ(0, guard_install(self->mem + pages(half), pages(3)));
	if (under_test.is_dax || mlockall(MCL_CURRENT))
		SKIP(return, "mlockall: %s", lock_error());
	EXPECT_EQ(self->nr - 4, present(self->mem, self->nr));
	EXPECT_EQ(4, guarded(self->mem, self->nr));
	EXPECT_TRUE(vma_flag(self->mem, "lo"));
}

TEST_F(guard, mlockall_onfault_succeeds)
{
	ASSERT_EQ(0, guard_install(self->mem + psize(), psize()));
	if (under_test.is_dax || mlockall(MCL_CURRENT | MCL_ONFAULT))
		SKIP(return, "mlockall: %s", lock_error());
	EXPECT_EQ(0, present(self->mem, self->nr));
	EXPECT_EQ(1, guarded(self->mem, self->nr));
	EXPECT_TRUE(vma_flag(self->mem, "lo"));
}

/* ------------------------------------------------------------------------
 * mseal
 */

/* INSTALL over a file mapping does not discard data, so mseal() allows it. */
TEST_F(guard, sealed_read_only_memory_refuses_install)
{
	const bool refused = under_test.backing == ANON;

	fill(self->mem, self->nr, 0);
	ASSERT_EQ(0, protect(self->mem, self->len, PROT_READ));
	if (!seal(self->mem, self->len))
		SKIP(return, "mseal: %s", strerror(errno));
	EXPECT_EQ(refused ? EPERM : 0, guard_install(self->mem, self->len));
	EXPECT_EQ(refused ? 0 : self->nr, guarded(self->mem, self->nr));
	EXPECT_EQ(!refused, vma_flag(self->mem, "gu"));
	EXPECT_EQ(0, guard_remove(self->mem, self->len));
	EXPECT_EQ(self->nr, refused ? filled(self->mem, self->nr, 0) :
				      discarded(self->mem, self->nr, 0));
}

TEST_F(guard, sealed_read_only_memory_allows_remove)
{
	fill(self->mem, self->nr, 0);
	ASSERT_EQ(0, guard_install(self->mem, self->len / 2));
	ASSERT_EQ(0, protect(self->mem, self->len, PROT_READ));
	if (!seal(self->mem, self->len))
		SKIP(return, "mseal: %s", strerror(errno));
	EXPECT_EQ(0, guard_remove(self->mem, self->len));
	EXPECT_EQ(self->nr / 2, discarded(self->mem, self->nr / 2, 0));
	EXPECT_EQ(self->nr / 2, filled(self->mem + self->len / 2, self->nr / 2, self->nr / 2));
}

TEST_F(guard, sealed_writable_memory_allows_both)
{
	if (!seal(self->mem, self->len))
		SKIP(return, "mseal: %s", strerror(errno));
	EXPECT_EQ(0, guard_install(self->mem, self->len));
	EXPECT_EQ(self->nr, guarded(self->mem, self->nr));
	EXPECT_EQ(0, guard_remove(self->mem, self->len));
	EXPECT_EQ(self->nr, fresh(self->mem, self->nr, 0));
}

TEST(sealed_mapping_stops_install_and_outranks_a_hole)
{
	char *mem = map_small(NR_SMALL);

	ASSERT_EQ(0, munmap(mem + pages(4), pages(4)));
	ASSERT_EQ(0, protect(mem + pages(8), pages(4), PROT_READ));
	if (!seal(mem + pages(8), pages(4)))
		SKIP(return, "mseal: %s", strerror(errno));
	EXPECT_EQ(EPERM, guard_install(mem, pages(NR_SMALL)));
	EXPECT_EQ(4, guarded(mem, 4));
	EXPECT_EQ(0, guarded(mem + pages(8), 8));
	EXPECT_EQ(ENOMEM, guard_remove(mem, pages(NR_SMALL)));
}

int main(int argc, char **argv)
{
	guard_init();
	return test_harness_run(argc, argv);
}
