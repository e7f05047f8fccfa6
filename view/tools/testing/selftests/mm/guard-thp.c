// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guard pages and huge pages: INSTALL over a huge page and over a part of one,
 * and what MADV_COLLAPSE and khugepaged do where guards are.
 */
#define _GNU_SOURCE
#include "../kselftest_harness.h"
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <time.h>
#include "guard_race.h"
#include "guard_util.h"
#include "thp_settings.h"

/* ------------------------------------------------------------------------
 * INSTALL and REMOVE
 */

/* The variant says which part of a huge page INSTALL covers. */
FIXTURE(huge)
{
	char *mem;
	size_t nr;
	size_t len;
	size_t first;	/* what to guard */
	size_t nr_guards;
};

FIXTURE_VARIANT(huge)
{
	enum backing backing;
	int from, to;	/* sixteenths */
};

FIXTURE_VARIANT_ADD(huge, anon_whole)
{
	.backing = ANON,
	.from = 0, .to = 16,
};

FIXTURE_VARIANT_ADD(huge, anon_head)
{
	.backing = ANON,
	.from = 0, .to = 3,
};

FIXTURE_VARIANT_ADD(huge, anon_middle)
{
	.backing = ANON,
	.from = 5, .to = 9,
};

FIXTURE_VARIANT_ADD(huge, anon_tail)
{
	.backing = ANON,
	.from = 15, .to = 16,
};

FIXTURE_VARIANT_ADD(huge, memfd_whole)
{
	.backing = MEMFD_SHARED,
	.from = 0, .to = 16,
};

FIXTURE_VARIANT_ADD(huge, memfd_head)
{
	.backing = MEMFD_SHARED,
	.from = 0, .to = 3,
};

FIXTURE_VARIANT_ADD(huge, memfd_middle)
{
	.backing = MEMFD_SHARED,
	.from = 5, .to = 9,
};

FIXTURE_VARIANT_ADD(huge, memfd_tail)
{
	.backing = MEMFD_SHARED,
	.from = 15, .to = 16,
};

/* A file starts empty, so that the tests determine the size of its pages. */
FIXTURE_SETUP(huge)
{
	self->len = read_pmd_pagesize();
	if (!self->len || !thp_is_enabled())
		SKIP(return, "transparent huge pages are not available");
	if (self->len > MAX_HUGE)
		SKIP(return, "a huge page has %zu MiB, too much for this test", self->len >> 20);
	self->nr = self->len / psize();
	self->first = self->nr * variant->from / 16;
	self->nr_guards = self->nr * variant->to / 16 - self->first;
	ASSERT_EQ(0, set_backing(variant->backing, self->len, false));
	empty_backing();
	/* Leave room for the neighbours that some tests map. */
	self->mem = map_backing(reserve(2 * self->len, self->len, 0), self->len,
				PROT_READ | PROT_WRITE, 0);
	ASSERT_NE(MAP_FAILED, self->mem);
	ASSERT_EQ(0, advise(self->mem, self->len, MADV_HUGEPAGE));
}

FIXTURE_TEARDOWN(huge)
{
}

/* Fill memory with small pages although it allows huge pages. */
static void fill_small(char *mem, size_t nr)
{
	advise(mem, pages(nr), MADV_NOHUGEPAGE);
	fill(mem, nr, 0);
	advise(mem, pages(nr), MADV_HUGEPAGE);
}

/*
 * Fill one huge page. In a file it is made by MADV_COLLAPSE, which no setting
 * disables.
 */
static bool fill_huge(char *mem, size_t nr)
{
	if (under_test.backing != ANON) {
		fill_small(mem, nr);
		advise(mem, pages(nr), MADV_COLLAPSE);
	}
	fill(mem, nr, 0);
	return mapped_huge(mem, pages(nr)) == nr;
}

TEST_F(huge, install_over_huge_page)
{
	size_t after = self->first + self->nr_guards;

	if (!fill_huge(self->mem, self->nr))
		SKIP(return, "no huge page was allocated");
	ASSERT_EQ(0, guard_install(self->mem + pages(self->first),
				   pages(self->nr_guards)));
	EXPECT_EQ(0, mapped_huge(self->mem, self->len));
	/* Splitting the huge page of a file unmaps it. */
	EXPECT_EQ(under_test.shared ? 0 : kb(self->nr - self->nr_guards),
		  smaps_kb(self->mem, self->len, "Rss:"));
	EXPECT_EQ(self->nr_guards, guarded(self->mem + pages(self->first),
					   self->nr_guards));
	EXPECT_EQ(self->first, filled(self->mem, self->first, 0));
	EXPECT_EQ(self->nr - after, filled(self->mem + pages(after),
					   self->nr - after, after));
	EXPECT_TRUE(child_sees_guards(self->mem, self->nr, self->nr_guards));
	ASSERT_EQ(0, guard_remove(self->mem, self->len));
	EXPECT_EQ(self->nr_guards, discarded(self->mem + pages(self->first),
					     self->nr_guards, self->first));
	EXPECT_EQ(self->first, filled(self->mem, self->first, 0));
}

static unsigned long read_proc(const char *path, const char *format)
{
	unsigned long nr = 0;
	char line[128];
	FILE *file = fopen(path, "r");

	while (file && fgets(line, sizeof(line), file))
		sscanf(line, format, &nr);
	if (file)
		fclose(file);
	return nr;
}

static unsigned long nr_pmd_splits(void)
{
	return read_proc("/proc/vmstat", "thp_split_pmd %lu");
}

static long free_kb(void)
{
	return read_proc("/proc/meminfo", "MemFree: %lu");
}

/* Returns false if no huge page was allocated. */
static bool install_over_huge_pages(struct __test_metadata *_metadata,
				    FIXTURE_DATA(huge) * self, int rounds)
{
	int i;

	for (i = 0; i < rounds; i++) {
		if (!fill_huge(self->mem, self->nr))
			return false;
		ASSERT_EQ(0, guard_install(self->mem, self->len));
		ASSERT_EQ(self->nr, guarded(self->mem, self->nr));
		ASSERT_EQ(0, smaps_kb(self->mem, self->len, "Rss:"));
		/* The page table goes as well, so that the next page is huge. */
		self->mem = map_at(self->mem, self->len, PROT_READ | PROT_WRITE);
		ASSERT_EQ(0, advise(self->mem, self->len, MADV_HUGEPAGE));
	}
	return true;
}

/*
 * Other programs may split huge pages and allocate memory meanwhile, but not so
 * much every time.
 */
TEST_F(huge, install_frees_a_huge_page_that_it_covers_without_a_split)
{
	const long rounds = 32, much = rounds / 2, much_kb = much * (self->len >> 10);
	long splits = much, lost_kb = 0;
	int try;

	if (under_test.backing != ANON || self->nr_guards != self->nr)
		SKIP(return, "the variant does not cover an anonymous huge page");
	for (try = 0; try < 5 && (splits >= much || lost_kb >= much_kb); try++) {
		splits = nr_pmd_splits();
		lost_kb = free_kb();
		if (!install_over_huge_pages(_metadata, self, rounds))
			SKIP(return, "no huge page was allocated");
		splits = nr_pmd_splits() - splits;
		lost_kb -= free_kb();
	}
	EXPECT_GT(much, splits);
	EXPECT_GT(much_kb, lost_kb);
}

TEST_F(huge, install_over_huge_zero_page)
{
	if (variant->backing != ANON)
		SKIP(return, "file mappings have no huge zero page");
	ASSERT_EQ(0, touch(self->mem, READ).sig);
	if (present(self->mem, self->nr) != self->nr)
		SKIP(return, "no huge zero page");
	ASSERT_EQ(0, guard_install(self->mem + pages(self->first),
				   pages(self->nr_guards)));
	EXPECT_EQ(0, guarded(self->mem, self->first));
	EXPECT_EQ(self->nr_guards, guarded(self->mem, self->nr));
	ASSERT_EQ(0, guard_remove(self->mem, self->len));
	EXPECT_EQ(self->nr, zeroed(self->mem, self->nr));
}

/* A huge page that two processes map is split in one of them only. */
TEST_F(huge, install_over_shared_huge_page_leaves_the_other_side)
{
	int ready[2], go[2];
	pid_t pid;
	char c;

	if (!fill_huge(self->mem, self->nr))
		SKIP(return, "no huge page was allocated");
	ASSERT_EQ(0, pipe(ready));
	ASSERT_EQ(0, pipe(go));
	pid = fork();
	if (!pid) {
		close(go[1]);
		/* fork() does not copy the entries of a shared file mapping. */
		touch(self->mem, READ);
		write(ready[1], "", 1);
		read(go[0], &c, 1);
		_exit(mapped_huge(self->mem, self->len) != self->nr ||
		      filled(self->mem, self->nr, 0) != self->nr);
	}
	ASSERT_EQ(1, read(ready[0], &c, 1));
	EXPECT_EQ(0, guard_install(self->mem + pages(self->first),
				   pages(self->nr_guards)));
	close(go[1]);
	EXPECT_EQ(0, wait_child(pid));
	EXPECT_EQ(self->nr_guards, guarded(self->mem, self->nr));
}

/* The huge page has no guard, so REMOVE must not split it. */
TEST_F(huge, remove_does_not_split_huge_page)
{
	char *next = self->mem + self->len;

	/* Without a guard in the VMA, REMOVE would skip it. */
	ASSERT_EQ(next, map_backing(next, psize(), PROT_READ | PROT_WRITE, self->nr));
	ASSERT_EQ(0, advise(next, psize(), MADV_HUGEPAGE));
	ASSERT_EQ(1, nr_vmas(self->mem, self->len + psize()));
	ASSERT_EQ(0, guard_install(next, psize()));
	if (!fill_huge(self->mem, self->nr))
		SKIP(return, "no huge page was allocated");
	ASSERT_EQ(1, nr_vmas(self->mem, self->len + psize()));
	ASSERT_EQ(0, guard_remove(self->mem + pages(self->first),
				  pages(self->nr_guards)));
	EXPECT_EQ(self->nr, mapped_huge(self->mem, self->len));
	EXPECT_EQ(self->nr, filled(self->mem, self->nr, 0));
}

/* ------------------------------------------------------------------------
 * Collapse
 */

static long huge_pages_for_collapse(void)
{
	return read_key("/proc/vmstat", "thp_collapse_alloc ");
}

TEST_F(huge, collapse_over_a_guard_is_refused)
{
	size_t after = self->first + self->nr_guards;
	long before, allocated;
	int try = 0;

	fill_small(self->mem, self->nr);
	ASSERT_EQ(0, guard_install(self->mem + pages(self->first),
				   pages(self->nr_guards)));
	/*
	 * Anonymous memory is scanned before a huge page is allocated for it.
	 * Meanwhile khugepaged may allocate one for others, but not every time.
	 */
	do {
		before = huge_pages_for_collapse();
		EXPECT_EQ(EINVAL, advise(self->mem, self->len, MADV_COLLAPSE));
		allocated = huge_pages_for_collapse() - before;
	} while (variant->backing == ANON && allocated && ++try < 5);
	if (variant->backing == ANON)
		EXPECT_EQ(0, allocated);
	EXPECT_EQ(0, mapped_huge(self->mem, self->len));
	EXPECT_EQ(self->nr_guards, guarded(self->mem, self->nr));
	EXPECT_EQ(self->first, filled(self->mem, self->first, 0));
	EXPECT_EQ(self->nr - after, filled(self->mem + pages(after),
					   self->nr - after, after));
}

/* The file has a huge page already, but it is mapped by small entries. */
TEST_F(huge, collapse_of_a_huge_page_mapped_small_is_refused)
{
	size_t after = self->first + self->nr_guards;

	if (!fill_huge(self->mem, self->nr))
		SKIP(return, "no huge page was allocated");
	ASSERT_EQ(0, guard_install(self->mem + pages(self->first),
				   pages(self->nr_guards)));
	/* Map the rest. */
	fill(self->mem, self->first, 0);
	fill(self->mem + pages(after), self->nr - after, after);
	EXPECT_EQ(EINVAL, advise(self->mem, self->len, MADV_COLLAPSE));
	EXPECT_EQ(0, mapped_huge(self->mem, self->len));
	EXPECT_EQ(self->nr_guards, guarded(self->mem, self->nr));
	EXPECT_EQ(self->first, filled(self->mem, self->first, 0));
	EXPECT_EQ(self->nr - after, filled(self->mem + pages(after),
					   self->nr - after, after));
}

TEST_F(huge, collapse_is_possible_after_remove)
{
	fill_small(self->mem, self->nr);
	if (advise(self->mem, self->len, MADV_COLLAPSE))
		SKIP(return, "MADV_COLLAPSE without guards: %s", strerror(errno));
	ASSERT_EQ(0, guard_install(self->mem + pages(self->first),
				   pages(self->nr_guards)));
	ASSERT_EQ(self->nr_guards, guarded(self->mem, self->nr));
	ASSERT_EQ(0, guard_remove(self->mem, self->len));
	fill(self->mem, self->nr, 0);
	EXPECT_EQ(0, advise(self->mem, self->len, MADV_COLLAPSE));
	EXPECT_EQ(self->nr, mapped_huge(self->mem, self->len));
	EXPECT_EQ(self->nr, filled(self->mem, self->nr, 0));
}

/* Guards prevent the collapse of their own range only. */
TEST_F(huge, collapse_beside_a_guard_succeeds)
{
	char *next = self->mem + self->len;

	ASSERT_EQ(next, map_backing(next, self->len, PROT_READ | PROT_WRITE, self->nr));
	fill_small(self->mem, 2 * self->nr);
	ASSERT_EQ(1, nr_vmas(self->mem, 2 * self->len));
	if (advise(next, self->len, MADV_COLLAPSE))
		SKIP(return, "MADV_COLLAPSE without guards: %s", strerror(errno));
	ASSERT_EQ(0, advise(next, self->len, MADV_DONTNEED));
	fill_small(next, self->nr);
	ASSERT_EQ(0, guard_install(self->mem + pages(self->first),
				   pages(self->nr_guards)));
	EXPECT_EQ(0, advise(next, self->len, MADV_COLLAPSE));
	EXPECT_EQ(self->nr, mapped_huge(self->mem, 2 * self->len));
	EXPECT_EQ(self->nr_guards, guarded(self->mem, 2 * self->nr));
	EXPECT_EQ(self->nr, filled(next, self->nr, 0));
}

/* Collapse the pages of a file, by a mapping that is unmapped afterwards. */
static int collapse_elsewhere(size_t len)
{
	char *mem = map_backing(reserve(len, read_pmd_pagesize(), 0), len,
				PROT_READ | PROT_WRITE, 0);
	int ret;

	fill_small(mem, len / psize());
	ret = advise(mem, len, MADV_COLLAPSE);
	munmap(mem, len);
	return ret;
}

/*
 * A collapse of file pages removes the page tables from all mappings of the
 * file, so that they map the huge page. It has to keep the page tables that
 * hold guards, and no others.
 */
TEST_F(huge, collapse_by_another_mapping_keeps_guards)
{
	char *next = self->mem + self->len;
	int ret;

	if (variant->backing == ANON)
		SKIP(return, "no other mapping shares private anonymous memory");
	ret = collapse_elsewhere(2 * self->len);
	if (ret)
		SKIP(return, "MADV_COLLAPSE without guards: %s", strerror(ret));
	punch(2 * self->len);
	ASSERT_EQ(next, map_backing(next, self->len, PROT_READ | PROT_WRITE, self->nr));
	fill_small(self->mem, 2 * self->nr);
	ASSERT_EQ(1, nr_vmas(self->mem, 2 * self->len));
	ASSERT_EQ(0, guard_install(self->mem + pages(self->first),
				   pages(self->nr_guards)));
	EXPECT_EQ(0, collapse_elsewhere(2 * self->len));
	EXPECT_EQ(0, touch(next, READ).sig);
	EXPECT_EQ(self->nr, mapped_huge(self->mem, 2 * self->len));
	EXPECT_EQ(self->nr_guards, guarded(self->mem, 2 * self->nr));
	EXPECT_EQ(2 * self->nr - self->nr_guards, readable(self->mem, 2 * self->nr));
	EXPECT_TRUE(child_sees_guards(self->mem, self->nr, self->nr_guards));
}

/* The page table holds nothing but one guard, so it looks unused. */
TEST_F(huge, collapse_by_another_mapping_keeps_a_guard_alone)
{
	char *last = self->mem + pages(self->first + self->nr_guards - 1);
	int ret;

	if (variant->backing == ANON)
		SKIP(return, "no other mapping shares private anonymous memory");
	ret = collapse_elsewhere(self->len);
	if (ret)
		SKIP(return, "MADV_COLLAPSE without guards: %s", strerror(ret));
	punch(self->len);
	ASSERT_EQ(0, guard_install(last, psize()));
	EXPECT_EQ(0, collapse_elsewhere(self->len));
	EXPECT_EQ(1, guarded(last, 1));
	EXPECT_EQ(1, guarded(self->mem, self->nr));
	ASSERT_EQ(0, guard_remove(self->mem, self->len));
	EXPECT_EQ(self->nr, filled(self->mem, self->nr, 0));
}

/*
 * Regular files have huge pages for executables only: the mapping is
 * executable, and the file must not be open for writing.
 */
TEST(install_over_huge_page_of_a_regular_file)
{
	const size_t size = read_pmd_pagesize(), nr = size / psize();
	const size_t first = nr / 3, nr_guards = nr / 3, after = first + nr_guards;
	char path[32], *mem;
	int fd;

	if (!size)
		SKIP(return, "transparent huge pages are not available");
	if (size > MAX_HUGE)
		SKIP(return, "a huge page has %zu MiB, too much for this test", size >> 20);
	if (set_backing(FILE_PRIVATE, size, false))
		SKIP(return, "no place for a file: %s", strerror(errno));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", under_test.fd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, fd);
	fsync(under_test.fd);
	close(under_test.fd);
	mem = mmap(reserve(size, size, 0), size, PROT_READ | PROT_EXEC,
		   MAP_PRIVATE | MAP_FIXED, fd, 0);
	if (mem == MAP_FAILED)
		SKIP(return, "an executable mapping of the file: %s", strerror(errno));
	ASSERT_EQ(nr, fresh(mem, nr, 0));
	if (advise(mem, size, MADV_COLLAPSE) ||
	    smaps_kb(mem, size, "FilePmdMapped:") != kb(nr))
		SKIP(return, "the file got no huge page");
	ASSERT_EQ(0, guard_install(mem + pages(first), pages(nr_guards)));
	EXPECT_EQ(0, smaps_kb(mem, size, "FilePmdMapped:"));
	EXPECT_EQ(nr_guards, guarded(mem + pages(first), nr_guards));
	EXPECT_EQ(first, fresh(mem, first, 0));
	EXPECT_EQ(nr - after, fresh(mem + pages(after), nr - after, after));
	EXPECT_EQ(EINVAL, advise(mem, size, MADV_COLLAPSE));
	EXPECT_EQ(nr_guards, guarded(mem, nr));
	ASSERT_EQ(0, guard_remove(mem, size));
	EXPECT_EQ(nr, fresh(mem, nr, 0));
	EXPECT_EQ(0, advise(mem, size, MADV_COLLAPSE));
	EXPECT_EQ(kb(nr), smaps_kb(mem, size, "FilePmdMapped:"));
	EXPECT_EQ(nr, fresh(mem, nr, 0));
}

/*
 * khugepaged scans a mapping with guards, then one without. Both are filled
 * with small pages. Once the second is huge, the first must be unchanged.
 */
TEST_F_TIMEOUT(huge, khugepaged_passes_over_guards, 60)
{
	struct thp_settings settings;
	char *other, *first, *second;
	time_t start = now();
	bool collapsed;
	int ret;

	if (access("/sys/kernel/mm/transparent_hugepage/khugepaged/defrag", W_OK))
		SKIP(return, "khugepaged's settings: %s", strerror(errno));
	/*
	 * Map another file: huge pages of the same file would be in both
	 * mappings.
	 */
	ASSERT_EQ(0, set_backing(variant->backing, self->len, false));
	other = map_backing(reserve(self->len, self->len, 0), self->len,
			    PROT_READ | PROT_WRITE, 0);
	ASSERT_NE(MAP_FAILED, other);
	first = self->mem < other ? self->mem : other;
	second = self->mem < other ? other : self->mem;
	ASSERT_EQ(0, advise(first, self->len, MADV_NOHUGEPAGE));
	ASSERT_EQ(0, advise(second, self->len, MADV_NOHUGEPAGE));
	fill(first, self->nr, 0);
	fill(second, self->nr, 0);
	ASSERT_EQ(0, guard_install(first + pages(self->first), pages(self->nr_guards)));

	thp_read_settings(&settings);
	thp_save_settings();
	settings.thp_enabled = THP_MADVISE;
	settings.shmem_enabled = SHMEM_ADVISE;
	settings.khugepaged.defrag = 1;
	settings.khugepaged.alloc_sleep_millisecs = 1;
	settings.khugepaged.scan_sleep_millisecs = 1;
	settings.khugepaged.max_ptes_none = self->nr - 1;
	settings.khugepaged.max_ptes_swap = self->nr - 1;
	settings.khugepaged.max_ptes_shared = self->nr - 1;
	settings.khugepaged.pages_to_scan = 16 * self->nr;
	thp_write_settings(&settings);

	/* No ASSERT may end the test before the settings are restored. */
	ret = advise(first, self->len, MADV_HUGEPAGE) ?:
	      advise(second, self->len, MADV_HUGEPAGE);
	do {
		usleep(1000);
		touch(second, READ); /* to map the huge page of a file */
		collapsed = mapped_huge(second, self->len);
	} while (!collapsed && now() < start + 10);
	thp_restore_settings();
	ASSERT_EQ(0, ret);
	if (!collapsed)
		SKIP(return, "khugepaged has not collapsed the other mapping");

	EXPECT_EQ(0, mapped_huge(first, self->len));
	EXPECT_EQ(self->nr_guards, guarded(first, self->nr));
	EXPECT_EQ(self->first, filled(first, self->first, 0));
}

/* ------------------------------------------------------------------------
 * Races
 */

/*
 * Calls that change a huge page while guards are installed in it and removed.
 */
#define CHURN_ROUNDS	10

enum churn { FAULT, COLLAPSE, UNMAP, NR_CHURNS };

struct churner {
	pthread_t thread;
	enum churn churn;
	char *mem;
	size_t nr;
	bool *stop;
	unsigned long times;
};

static void *churn_thread(void *arg)
{
	struct churner *churner = arg;
	size_t len = pages(churner->nr), i = 0;

	while (!__atomic_load_n(churner->stop, __ATOMIC_ACQUIRE)) {
		if (churner->churn == FAULT)
			touch(churner->mem + pages(i++ * 7 % churner->nr), READ);
		else
			madvise(churner->mem, len, churner->churn == UNMAP ?
				MADV_DONTNEED : MADV_COLLAPSE);
		__atomic_add_fetch(&churner->times, 1, __ATOMIC_RELEASE);
		sched_yield();
	}
	return NULL;
}

static void churn_wait(struct churner *churners)
{
	unsigned long until;
	int i;

	for (i = 0; i < NR_CHURNS; i++) {
		until = __atomic_load_n(&churners[i].times, __ATOMIC_ACQUIRE) + 1;
		while (__atomic_load_n(&churners[i].times, __ATOMIC_ACQUIRE) < until)
			sched_yield();
	}
}

/*
 * Page faults map the huge page, MADV_COLLAPSE removes page tables, and
 * MADV_DONTNEED leaves empty ones. Whatever INSTALL finds, it must come to an
 * end and leave a guard in each page, and no data may be lost.
 */
TEST_F(huge, racing_collapse_drops_no_guard)
{
	char *part = self->mem + pages(self->first);
	size_t after = self->first + self->nr_guards;
	struct churner churners[NR_CHURNS];
	bool stop = false;
	int i;

	if (!fill_huge(self->mem, self->nr))
		SKIP(return, "no huge page was allocated");
	ASSERT_EQ(0, advise(self->mem, self->len, MADV_DONTNEED));
	for (i = 0; i < NR_CHURNS; i++) {
		churners[i] = (struct churner){
			.churn = i, .mem = self->mem, .nr = self->nr, .stop = &stop,
		};
		ASSERT_EQ(0, pthread_create(&churners[i].thread, NULL, churn_thread,
					    &churners[i]));
	}
	for (i = 0; i < CHURN_ROUNDS; i++) {
		churn_wait(churners);
		ASSERT_EQ(0, guard_install(part, pages(self->nr_guards)));
		ASSERT_EQ(self->nr_guards, guarded(part, self->nr_guards));
		churn_wait(churners);
		ASSERT_EQ(self->nr_guards, guarded(part, self->nr_guards));
		ASSERT_EQ(self->first, discarded(self->mem, self->first, 0));
		ASSERT_EQ(self->nr - after, discarded(self->mem + pages(after),
						      self->nr - after, after));
		ASSERT_EQ(0, guard_remove(part, pages(self->nr_guards)));
		ASSERT_EQ(self->nr_guards, discarded(part, self->nr_guards, self->first));
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELEASE);
	for (i = 0; i < NR_CHURNS; i++)
		pthread_join(churners[i].thread, NULL);
}

/*
 * A collapse empties the page table of a file's small pages. Then it removes
 * the table and flushes the TLBs, unless a guard was installed in between. All
 * accesses are to one page, which is in the TLBs.
 */
TEST_F(huge, racing_collapse_lets_no_access_pass_a_guard)
{
	struct race race = { .mem = self->mem + self->len - psize(), .nr = 1 };
	bool stop = false;
	struct churner churner = {
		.churn = COLLAPSE, .mem = self->mem, .nr = self->nr, .stop = &stop,
	};

	if (variant->backing == ANON)
		SKIP(return, "INSTALL cannot run while private memory is collapsed");
	if (!fill_huge(self->mem, self->nr))
		SKIP(return, "no huge page was allocated");
	ASSERT_EQ(0, pthread_create(&churner.thread, NULL, churn_thread, &churner));
	run_race(_metadata, &race);
	__atomic_store_n(&stop, true, __ATOMIC_RELEASE);
	pthread_join(churner.thread, NULL);
	EXPECT_LT(0, churner.times);
}

struct neighbour {
	char *mem;
	size_t len;
	bool stop;
	pthread_barrier_t start, end;
};

#define NEIGHBOUR_ROUNDS	20

/* Install a guard in a page of its own, and map another page. */
static void *neighbour_thread(void *arg)
{
	struct neighbour *neighbour = arg;

	for (;;) {
		pthread_barrier_wait(&neighbour->start);
		if (neighbour->stop)
			return NULL;
		guard_install(neighbour->mem, psize());
		touch(neighbour->mem + neighbour->len - psize(), READ);
		pthread_barrier_wait(&neighbour->end);
	}
}

/*
 * Two threads install guards at different places in one huge page. The second
 * finds a page table where the huge page was, perhaps with small pages in it.
 */
TEST_F(huge, racing_install_in_the_same_huge_page)
{
	struct neighbour neighbour = { .mem = self->mem, .len = self->len };
	char *last = self->mem + self->len - psize();
	bool huge = fill_huge(self->mem, self->nr);
	pthread_t thread;
	int round;

	if (variant->backing == ANON)
		SKIP(return, "a private huge page always has a page table deposited");
	if (!huge)
		SKIP(return, "no huge page was allocated");
	pthread_barrier_init(&neighbour.start, NULL, 2);
	pthread_barrier_init(&neighbour.end, NULL, 2);
	ASSERT_EQ(0, pthread_create(&thread, NULL, neighbour_thread, &neighbour));
	for (round = 0; round < NEIGHBOUR_ROUNDS && huge; round++) {
		pthread_barrier_wait(&neighbour.start);
		dawdle(1000 * round);
		ASSERT_EQ(0, guard_install(last, psize()));
		pthread_barrier_wait(&neighbour.end);
		ASSERT_EQ(1, guarded(self->mem, 1));
		ASSERT_EQ(1, guarded(last, 1));
		ASSERT_EQ(0, guard_remove(self->mem, self->len));
		huge = fill_huge(self->mem, self->nr);
	}
	neighbour.stop = true;
	pthread_barrier_wait(&neighbour.start);
	pthread_join(thread, NULL);
	if (!huge)
		SKIP(return, "no huge page after round %d", round);
}

int main(int argc, char **argv)
{
	guard_init();
	return test_harness_run(argc, argv);
}
