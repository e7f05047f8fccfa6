// SPDX-License-Identifier: GPL-2.0-only
/*
 * Large guards, of whole page tables. Some kernels let them share one page
 * table, which must not show: a part that is removed, unmapped, moved or given
 * other permissions must leave the rest guarded, and every other large guard.
 */
#define _GNU_SOURCE
#include "../kselftest_harness.h"
#include <linux/mempolicy.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include "guard_race.h"
#include "guard_util.h"
#include "thp_settings.h"

#define TABLES		4
#define LARGE_ROUNDS	50

FIXTURE(large)
{
	char *mem;	/* TABLES page tables, all guarded */
	char *witness;	/* another large guard, which nothing changes */
	size_t table;
	size_t len;
	size_t nr;
};

FIXTURE_VARIANT(large)
{
	enum backing backing;
};

FIXTURE_VARIANT_ADD(large, anon)
{
	.backing = ANON,
};

FIXTURE_VARIANT_ADD(large, memfd_shared)
{
	.backing = MEMFD_SHARED,
};

FIXTURE_VARIANT_ADD(large, file_private)
{
	.backing = FILE_PRIVATE,
};

FIXTURE_SETUP(large)
{
	int ret;

	self->table = table_size();
	if (self->table > MAX_HUGE)
		SKIP(return, "a page table maps %zu MiB, too much for this test",
		     self->table >> 20);
	self->len = TABLES * self->table;
	self->nr = self->len / psize();

	self->witness = map_at(reserve(self->table, self->table, 0), self->table,
			       PROT_READ | PROT_WRITE);
	ASSERT_NE(MAP_FAILED, self->witness);
	ASSERT_EQ(0, guard_install(self->witness, self->table));

	ret = set_backing(variant->backing, self->len, false);
	if (ret)
		SKIP(return, "no place for a file: %s", backing_error(ret));
	self->mem = map_backing(reserve(self->len, self->table, 0), self->len,
				PROT_READ | PROT_WRITE, 0);
	ASSERT_NE(MAP_FAILED, self->mem);
	advise(self->mem, self->len, MADV_NOHUGEPAGE); /* EINVAL: no huge pages at all */
	ASSERT_EQ(0, guard_install(self->mem, self->len));
}

FIXTURE_TEARDOWN(large)
{
	if (!self->witness)
		return;
	EXPECT_EQ(self->table / psize(),
		  guarded_in_pagemap(self->witness, self->table / psize()));
	EXPECT_TRUE(is_guarded(self->witness));
	EXPECT_TRUE(is_guarded(self->witness + self->table - psize()));
}

/* ------------------------------------------------------------------------
 * A part of a large guard
 */

/* Parts, in quarters of a page table; a page more or less at either end. */
static const struct part {
	int from, to;
	int from_pages, to_pages;
} parts[] = {
	{ 0, 16 },		/* everything */
	{ 4, 12 },		/* whole tables in the middle */
	{ 4, 8, 0, -1 },	/* all of a table except its last page */
	{ 4, 8, 1, 0 },		/* all of a table except its first page */
	{ 5, 5, 0, 1 },		/* one page */
	{ 4, 4, 0, 1 },		/* the first page of a table */
	{ 8, 8, -1, 0 },	/* the last page of a table */
	{ 5, 6 },		/* within a table */
	{ 3, 5 },		/* of two tables */
	{ 3, 13 },		/* of two tables, and two whole ones */
	{ 0, 9 },		/* two whole tables and a quarter */
	{ 7, 16 },		/* a quarter, and two whole tables */
};

static size_t part_first(const struct part *part, size_t table)
{
	return part->from * table / 4 / psize() + part->from_pages;
}

static size_t part_nr(const struct part *part, size_t table)
{
	return part->to * table / 4 / psize() + part->to_pages - part_first(part, table);
}

/* Everything is guarded, except what is in the part. */
static void expect_guards_around(struct __test_metadata *_metadata,
				 FIXTURE_DATA(large) * self, size_t first, size_t nr)
{
	size_t end = first + nr;

	EXPECT_EQ(first, guarded_in_pagemap(self->mem, first));
	EXPECT_EQ(self->nr - end, guarded_in_pagemap(self->mem + pages(end), self->nr - end));
	if (first) {
		EXPECT_TRUE(is_guarded(self->mem));
		EXPECT_TRUE(is_guarded(self->mem + pages(first - 1)));
	}
	if (end < self->nr) {
		EXPECT_TRUE(is_guarded(self->mem + pages(end)));
		EXPECT_TRUE(is_guarded(self->mem + pages(self->nr - 1)));
	}
}

static void guard_everything(struct __test_metadata *_metadata,
			     FIXTURE_DATA(large) * self)
{
	ASSERT_EQ(0, guard_install(self->mem, self->len));
	EXPECT_EQ(self->nr, guarded_in_pagemap(self->mem, self->nr));
}

#define for_each_part(first, count)							\
	for (const struct part *_part = parts; _part < parts + ARRAY_SIZE(parts) &&	\
	     ((first) = part_first(_part, self->table),				\
	      (count) = part_nr(_part, self->table), true); _part++)

TEST_F(large, part_removed)
{
	size_t first, nr;

	for_each_part(first, nr) {
		ASSERT_EQ(0, guard_remove(self->mem + pages(first), pages(nr)));
		EXPECT_EQ(0, guarded_in_pagemap(self->mem + pages(first), nr));
		EXPECT_EQ(0, touch(self->mem + pages(first), WRITE).sig);
		EXPECT_EQ(0, touch(self->mem + pages(first + nr - 1), READ).sig);
		expect_guards_around(_metadata, self, first, nr);
		guard_everything(_metadata, self);
	}
}

TEST_F(large, part_unmapped)
{
	size_t first, nr;

	for_each_part(first, nr) {
		char *part = self->mem + pages(first);

		ASSERT_EQ(0, munmap(part, pages(nr)));
		EXPECT_EQ(0, nr_vmas(part, pages(nr)));
		expect_guards_around(_metadata, self, first, nr);

		/* New memory there has no guards. */
		ASSERT_EQ(part, map_backing(part, pages(nr), PROT_READ | PROT_WRITE, first));
		EXPECT_EQ(0, guarded_in_pagemap(part, nr));
		EXPECT_EQ(0, touch(part, WRITE).sig);
		guard_everything(_metadata, self);
	}
}

/* The VMA is divided, and merged again. */
TEST_F(large, part_protected)
{
	size_t first, nr;

	for_each_part(first, nr) {
		char *part = self->mem + pages(first);

		ASSERT_EQ(0, protect(part, pages(nr), PROT_READ));
		EXPECT_EQ(self->nr, guarded_in_pagemap(self->mem, self->nr));
		ASSERT_EQ(0, guard_remove(part, pages(nr)));
		EXPECT_EQ(0, guarded_in_pagemap(part, nr));
		EXPECT_EQ(0, touch(part, READ).sig);
		EXPECT_EQ(SIGSEGV, touch(part, WRITE).sig);
		expect_guards_around(_metadata, self, first, nr);

		ASSERT_EQ(0, protect(part, pages(nr), PROT_READ | PROT_WRITE));
		EXPECT_EQ(0, touch(part, WRITE).sig);
		guard_everything(_metadata, self);
	}
}

/*
 * A part that gets the permissions of its neighbour is merged with it, and the
 * border moves through a page table. One side is unmapped then.
 */
TEST_F(large, border_moved)
{
	const size_t half = self->nr / 2, quarter = self->table / 4 / psize();
	char *down = self->mem + pages(half - quarter), *up = self->mem + pages(half + quarter);

	ASSERT_EQ(0, protect(self->mem, self->len / 2, PROT_READ));
	ASSERT_EQ(0, protect(down, pages(quarter), PROT_READ | PROT_WRITE));
	ASSERT_EQ(0, munmap(down, pages(half + quarter)));
	EXPECT_EQ(half - quarter, guarded_in_pagemap(self->mem, half - quarter));

	ASSERT_EQ(self->mem, map_backing(self->mem, self->len, PROT_READ | PROT_WRITE, 0));
	ASSERT_EQ(0, guard_install(self->mem, self->len));
	ASSERT_EQ(0, protect(self->mem, self->len / 2, PROT_READ));
	ASSERT_EQ(0, protect(up - pages(quarter), pages(quarter), PROT_READ));
	ASSERT_EQ(0, munmap(self->mem, pages(half + quarter)));
	EXPECT_EQ(half - quarter, guarded_in_pagemap(up, half - quarter));
}

/* To a place that is aligned like the old one, and to one that is not. */
TEST_F(large, part_moved)
{
	size_t first, nr, offset;
	char *to, *part;

	for (offset = 0; offset < 2; offset++) {
		for_each_part(first, nr) {
			part = self->mem + pages(first);
			to = reserve(pages(nr), self->table,
				     pages(first + offset * 16) % self->table);
			ASSERT_EQ(to, mremap(part, pages(nr), pages(nr),
					     MREMAP_MAYMOVE | MREMAP_FIXED, to));
			EXPECT_EQ(nr, guarded_in_pagemap(to, nr));
			EXPECT_TRUE(is_guarded(to));
			EXPECT_TRUE(is_guarded(to + pages(nr - 1)));
			expect_guards_around(_metadata, self, first, nr);

			/* The new place has guards of its own. */
			ASSERT_EQ(0, guard_remove(to + pages(nr / 2), psize()));
			EXPECT_EQ(nr - 1, guarded_in_pagemap(to, nr));
			expect_guards_around(_metadata, self, first, nr);

			ASSERT_EQ(0, munmap(to, pages(nr)));
			ASSERT_EQ(part, map_backing(part, pages(nr), PROT_READ | PROT_WRITE,
						    first));
			ASSERT_EQ(0, guard_install(part, pages(nr)));
		}
	}
}

/* Parent and child remove parts. Neither must see what the other does. */
TEST_F(large, part_removed_after_fork)
{
	const size_t half = self->nr / 2;
	size_t first, nr;
	pid_t pid;

	for_each_part(first, nr) {
		char *part = self->mem + pages(first);

		pid = fork();
		if (!pid) {
			if (guarded_in_pagemap(self->mem, self->nr) != self->nr)
				_exit(1);
			if (guard_remove(part, pages(nr)) || touch(part, WRITE).sig)
				_exit(2);
			_exit(guarded_in_pagemap(self->mem, self->nr) == self->nr - nr ? 0 : 3);
		}
		EXPECT_EQ(0, wait_child(pid));
		EXPECT_EQ(self->nr, guarded_in_pagemap(self->mem, self->nr));
	}

	ASSERT_EQ(0, guard_remove(self->mem, pages(half)));
	pid = fork();
	if (!pid)
		_exit(guarded_in_pagemap(self->mem, self->nr) != self->nr - half ||
		      touch(self->mem, WRITE).sig || !is_guarded(self->mem + pages(half)));
	EXPECT_EQ(0, wait_child(pid));
	EXPECT_EQ(self->nr - half, guarded_in_pagemap(self->mem, self->nr));
}

/*
 * May this user lock so much memory? mlock2() never locks DAX memory, but
 * populates it up to the guards.
 */
static bool may_lock(size_t len)
{
	char *mem = xmap(len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
	bool may = !under_test.is_dax && !mlock_range(mem, len);

	munmap(mem, len);
	return may;
}

/* DONTNEED, FREE, mlock() and clear_refs leave all guards where they are. */
TEST_F(large, other_calls_keep_guards)
{
	static const int advices[] = { MADV_DONTNEED, MADV_FREE, MADV_WILLNEED };
	const uint64_t dirty = pagemap(self->witness) & PM_SOFT_DIRTY;
	const bool lockable = may_lock(self->len);
	size_t i, first, nr;

	for_each_part(first, nr) {
		for (i = 0; i < ARRAY_SIZE(advices); i++)
			advise(self->mem + pages(first), pages(nr), advices[i]);
		if (lockable)
			EXPECT_EQ(0, mlock_range(self->mem + pages(first), pages(nr)));
		EXPECT_EQ(0, munlock(self->mem + pages(first), pages(nr)));
		write_file("/proc/self/clear_refs", "4", 2);
		EXPECT_EQ(self->nr, guarded_in_pagemap(self->mem, self->nr));
		EXPECT_TRUE(is_guarded(self->mem + pages(first)));
		/* Nothing is stored to a shared page table. */
		if (guards_are_shared())
			EXPECT_EQ(dirty, pagemap(self->witness) & PM_SOFT_DIRTY);
	}
}

/* INSTALL over pages, over guards and over both */
TEST_F(large, installed_over_parts)
{
	size_t first, nr;

	for_each_part(first, nr) {
		ASSERT_EQ(0, guard_remove(self->mem, self->len));
		ASSERT_EQ(0, guard_install(self->mem + pages(first), pages(nr)));
		if (first)
			fill(self->mem + pages(first - 1), 1, 0);
		guard_everything(_metadata, self);
		EXPECT_TRUE(is_guarded(self->mem + pages(first + nr - 1)));
	}
}

/* ------------------------------------------------------------------------
 * Races
 */

/* After REMOVE, no CPU may go on with the old page table. */
TEST_F(large, racing_accesses_never_pass_a_guard)
{
	struct race race = { .mem = self->mem, .nr = self->nr };

	ASSERT_EQ(0, guard_remove(self->mem, self->len));
	run_race(_metadata, &race);
}

struct half {
	pthread_barrier_t *start;
	char *mem;
	size_t len;
	int failed;
};

static void *remove_half(void *arg)
{
	struct half *half = arg;
	int i;

	for (i = 0; i < LARGE_ROUNDS; i++) {
		pthread_barrier_wait(half->start);
		half->failed |= guard_remove(half->mem, half->len);
		half->failed |= guarded_in_pagemap(half->mem, half->len / psize()) != 0;
		half->failed |= !!touch(half->mem, WRITE).sig;
		pthread_barrier_wait(half->start);
	}
	return NULL;
}

/* Two threads remove parts of one page table, each to its end. */
TEST_F(large, two_parts_removed_at_once)
{
	const size_t nr = self->table / psize();
	struct half halves[2];
	pthread_barrier_t start;
	pthread_t threads[2];
	int i;

	pthread_barrier_init(&start, NULL, 3);
	for (i = 0; i < 2; i++) {
		halves[i] = (struct half){ &start, self->mem + i * self->table / 2,
					   self->table / 2, 0 };
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, remove_half, &halves[i]));
	}
	for (i = 0; i < LARGE_ROUNDS; i++) {
		ASSERT_EQ(0, guard_install(self->mem, self->table));
		pthread_barrier_wait(&start);
		pthread_barrier_wait(&start);
		EXPECT_EQ(0, guarded_in_pagemap(self->mem, nr));
		/* So that INSTALL finds no page table there */
		ASSERT_EQ(self->mem, map_backing(self->mem, self->table,
						 PROT_READ | PROT_WRITE, 0));
	}
	for (i = 0; i < 2; i++) {
		pthread_join(threads[i], NULL);
		EXPECT_EQ(0, halves[i].failed);
	}
}

struct watcher {
	char *mem;
	size_t nr;
	size_t (*guards)(char *start, size_t nr);
	pthread_barrier_t start;
	unsigned long looks;
	bool removed;
	size_t fewest;
};

static void *watcher_thread(void *arg)
{
	struct watcher *watcher = arg;
	size_t found;
	int i;

	for (i = 0; i < LARGE_ROUNDS; i++) {
		pthread_barrier_wait(&watcher->start);
		while (!__atomic_load_n(&watcher->removed, __ATOMIC_ACQUIRE)) {
			found = watcher->guards(watcher->mem, watcher->nr);
			if (found < watcher->fewest)
				watcher->fewest = found;
			__atomic_add_fetch(&watcher->looks, 1, __ATOMIC_RELEASE);
		}
		pthread_barrier_wait(&watcher->start);
	}
	return NULL;
}

/* The guards that stay must be there all the time, whatever happens to their table. */
static void watch_while_a_part_is_removed(struct __test_metadata *_metadata,
					  FIXTURE_DATA(large) * self,
					  size_t (*guards)(char *start, size_t nr))
{
	const size_t nr = self->table / psize() / 8;
	struct watcher watcher = { self->mem + self->table / 2, nr, guards, .fewest = nr };
	unsigned long until;
	pthread_t thread;
	int i;

	pthread_barrier_init(&watcher.start, NULL, 2);
	ASSERT_EQ(0, pthread_create(&thread, NULL, watcher_thread, &watcher));
	for (i = 0; i < LARGE_ROUNDS; i++) {
		__atomic_store_n(&watcher.removed, false, __ATOMIC_RELEASE);
		until = watcher.looks + 2;
		pthread_barrier_wait(&watcher.start);
		while (__atomic_load_n(&watcher.looks, __ATOMIC_ACQUIRE) < until)
			sched_yield();
		ASSERT_EQ(0, guard_remove(self->mem, psize()));
		__atomic_store_n(&watcher.removed, true, __ATOMIC_RELEASE);
		pthread_barrier_wait(&watcher.start);
		ASSERT_EQ(self->mem, map_backing(self->mem, self->table,
						 PROT_READ | PROT_WRITE, 0));
		ASSERT_EQ(0, guard_install(self->mem, self->table));
	}
	pthread_join(thread, NULL);
	EXPECT_EQ(nr, watcher.fewest);
}

TEST_F(large, other_guards_stay_visible_while_a_part_is_removed)
{
	watch_while_a_part_is_removed(_metadata, self, guarded_in_pagemap);
}

/* A page fault that missed the guard would raise SIGBUS: the file is empty. */
TEST_F(large, other_guards_raise_sigsegv_while_a_part_is_removed)
{
	if (is_file(variant->backing))
		ASSERT_EQ(0, ftruncate(under_test.fd, 0));
	watch_while_a_part_is_removed(_metadata, self, guarded);
}

struct rival {
	char *mem;
	size_t table;
	int id;
	bool stop;
	int failed;
};

/* Install and remove the whole of a table, or a part of it. */
static void *rival_thread(void *arg)
{
	struct rival *rival = arg;
	unsigned int i;

	for (i = rival->id; !__atomic_load_n(&rival->stop, __ATOMIC_ACQUIRE); i += 3) {
		size_t from = i % 4 * rival->table / 4, to = rival->table;

		if (i % 8 >= 4)
			to = from + rival->table / 4;
		rival->failed |= advise(rival->mem + from, to - from,
					i % 3 ? MADV_GUARD_INSTALL : MADV_GUARD_REMOVE);
		touch(rival->mem + from, WRITE);
	}
	return NULL;
}

/* Nothing may be stored to the page table that another large guard uses. */
TEST_F(large, rivals_leave_other_guards_alone)
{
	const size_t others = self->nr - self->table / psize();
	struct rival rivals[3];
	pthread_t threads[3];
	int i;

	for (i = 0; i < 3; i++) {
		rivals[i] = (struct rival){ self->mem, self->table, i };
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, rival_thread, &rivals[i]));
	}
	for (i = 0; i < LARGE_ROUNDS; i++) {
		ASSERT_EQ(0, guard_install(self->mem, self->table));
		ASSERT_EQ(0, guard_remove(self->mem, self->table));
		ASSERT_EQ(others, guarded_in_pagemap(self->mem + self->table, others));
		sched_yield();
	}
	for (i = 0; i < 3; i++)
		__atomic_store_n(&rivals[i].stop, true, __ATOMIC_RELEASE);
	for (i = 0; i < 3; i++) {
		pthread_join(threads[i], NULL);
		EXPECT_EQ(0, rivals[i].failed);
	}
	ASSERT_EQ(0, guard_remove(self->mem, self->table));
	EXPECT_EQ(0, guarded_in_pagemap(self->mem, self->table / psize()));
}

/* ------------------------------------------------------------------------
 * Page tables
 */

#define MANY_TABLES	256
/* For other memory that the process may touch meanwhile */
#define OTHER_TABLES	4

static long page_tables(void)
{
	return page_tables_kb() * 1024 / (long)psize();
}

TEST(large_guards_share_a_page_table)
{
	const size_t table = table_size(), len = MANY_TABLES * table;
	long before, with, part, after;
	char *mem;
	pid_t pid;

	if (!guards_are_shared())
		SKIP(return, "large guards have page tables of their own on this kernel");
	if (table > MAX_HUGE)
		SKIP(return, "a page table maps %zu MiB, too much for this test",
		     table >> 20);
	mem = mmap(NULL, len + table, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	ASSERT_NE(MAP_FAILED, mem);
	mem = (char *)(((unsigned long)mem + table - 1) & -table);

	before = page_tables();
	ASSERT_EQ(0, guard_install(mem, len));
	with = page_tables();
	/* The shared one, and at most two tables at each of two levels above it */
	EXPECT_LE(with - before, 5);

	pid = fork();
	if (!pid) {
		/* Tables for the guards: no more than the parent has, in all */
		_exit(page_tables() > with + 5 || guarded_in_pagemap(mem, 1) != 1);
	}
	EXPECT_EQ(0, wait_child(pid));

	ASSERT_EQ(0, guard_remove(mem + table / 2, psize()));
	part = page_tables();
	EXPECT_LE(with + 1, part);
	EXPECT_GE(with + 1 + OTHER_TABLES, part);
	ASSERT_EQ(0, guard_remove(mem, len));
	EXPECT_GE(part + OTHER_TABLES, page_tables());
	ASSERT_EQ(0, munmap(mem, len));
	after = page_tables();
	/* The shared one stays for the next large guard. */
	EXPECT_LE(after, before + 1 + OTHER_TABLES);
}

static struct scan result;

/* Returns how many guards PAGEMAP_SCAN finds before it has found @max pages. */
static size_t scan_guards(char *mem, size_t len, size_t max)
{
	const struct page_region *region = result.regions;
	char *walk_end;

	if (scan_some(&result, mem, mem + len, max, 1, &walk_end) != 1 ||
	    region->start != (unsigned long)mem ||
	    region->end != (unsigned long)walk_end)
		return 0;
	return (region->end - region->start) / psize();
}

TEST(pagemap_scan_ends_inside_a_large_guard)
{
	const size_t table = table_size(), nr = table / psize();
	char *mem;

	if (table > MAX_HUGE)
		SKIP(return, "a page table maps %zu MiB, too much for this test",
		     table >> 20);
	mem = reserve(2 * table, table, 0);
	ASSERT_EQ(mem, map_at(mem, 2 * table, PROT_READ | PROT_WRITE));
	ASSERT_EQ(0, guard_install(mem, 2 * table));
	EXPECT_EQ(2 * nr, scan_guards(mem, 2 * table, 2 * nr));
	EXPECT_EQ(nr / 2, scan_guards(mem, 2 * table, nr / 2));
	EXPECT_EQ(nr + 1, scan_guards(mem, 2 * table, nr + 1));
	EXPECT_EQ(nr, scan_guards(mem + table / 2, table, nr));
}

/* Each flush of the TLBs takes long if a machine is emulated on a busy one. */
#define COLLAPSE_SECONDS	30

struct collapser {
	pthread_t thread;
	pthread_barrier_t start, end;
	char *mem;
	size_t len;
	bool stop;
	bool done;		/* with this round */
	unsigned long collapsed;
};

static void *collapse_thread(void *arg)
{
	struct collapser *collapser = arg;

	for (;;) {
		pthread_barrier_wait(&collapser->start);
		if (collapser->stop)
			return NULL;
		if (!advise(collapser->mem, collapser->len, MADV_COLLAPSE))
			collapser->collapsed++;
		__atomic_store_n(&collapser->done, true, __ATOMIC_RELEASE);
		pthread_barrier_wait(&collapser->end);
	}
}

static bool collapser_start(struct collapser *collapser, char *mem, size_t len)
{
	*collapser = (struct collapser){ .mem = mem, .len = len };
	pthread_barrier_init(&collapser->start, NULL, 2);
	pthread_barrier_init(&collapser->end, NULL, 2);
	return !pthread_create(&collapser->thread, NULL, collapse_thread, collapser);
}

static void collapser_end(struct collapser *collapser)
{
	collapser->stop = true;
	pthread_barrier_wait(&collapser->start);
	pthread_join(collapser->thread, NULL);
}

static void collapse_start(struct collapser *collapser)
{
	__atomic_store_n(&collapser->done, false, __ATOMIC_RELEASE);
	pthread_barrier_wait(&collapser->start);
}

static bool collapses(struct collapser *collapser)
{
	return !__atomic_load_n(&collapser->done, __ATOMIC_ACQUIRE);
}

/* How often a huge page was allocated for a collapse */
static long huge_pages_for_collapse(void)
{
	return read_key("/proc/vmstat", "thp_collapse_alloc ");
}

/*
 * A collapse finds small pages, and allocates a huge page without a lock.
 * Meanwhile, a large guard takes the place of the small pages, and is removed.
 * The collapse must not put back a page table that is not there any more.
 */
TEST(racing_collapse_puts_back_no_page_table)
{
	const size_t table = table_size(), nr = table / psize();
	const time_t until = now() + COLLAPSE_SECONDS;
	struct collapser collapser;
	long before, attempts = 0;
	char *mem;
	int i;

	if (!guards_are_shared())
		SKIP(return, "large guards have page tables of their own on this kernel");
	if (table > MAX_HUGE)
		SKIP(return, "a page table maps %zu MiB, too much for this test",
		     table >> 20);
	/*
	 * The new mappings merge with the VMA of the page after the table, and so get
	 * its anon_vma. Nothing is collapsed without one.
	 */
	mem = map_at(reserve(table + psize(), table, 0), table + psize(),
		     PROT_READ | PROT_WRITE);
	ASSERT_NE(MAP_FAILED, mem);
	fill(mem + table, 1, 0);
	fill(mem, 1, 0);
	if (advise(mem, table, MADV_COLLAPSE))
		SKIP(return, "MADV_COLLAPSE: %s", strerror(errno));

	ASSERT_TRUE(collapser_start(&collapser, mem, table));
	for (i = 0; i < LARGE_ROUNDS && now() < until; i++) {
		/* The guard prevents a huge page. */
		ASSERT_EQ(mem, map_at(mem, table, PROT_READ | PROT_WRITE));
		ASSERT_EQ(0, guard_install(mem, psize()));
		ASSERT_EQ(0, guard_remove(mem, psize()));
		fill(mem, 1, 0);
		before = huge_pages_for_collapse();
		collapse_start(&collapser);
		while (collapses(&collapser) && huge_pages_for_collapse() == before)
			sched_yield();
		ASSERT_EQ(mem, map_at(mem, table, PROT_READ | PROT_WRITE));
		ASSERT_EQ(0, guard_install(mem, table));
		dawdle(10000 * i);
		ASSERT_EQ(0, guard_remove(mem, table));
		pthread_barrier_wait(&collapser.end);
		attempts += huge_pages_for_collapse() != before;
		ASSERT_EQ(0, present(mem, nr));
		ASSERT_EQ(NR_SMALL, zeroed(mem, NR_SMALL));
	}
	collapser_end(&collapser);
	EXPECT_LT(0, attempts);
}

/*
 * A collapse of file pages removes the page tables from all mappings of the
 * file. REMOVE may have taken one of them away just before. The collapse must not
 * count that one again: the process would be charged for fewer page tables than it
 * has.
 */
TEST(racing_collapse_elsewhere_removes_no_page_table_twice)
{
	const size_t table = table_size();
	const time_t until = now() + COLLAPSE_SECONDS;
	struct collapser collapser;
	char *mem, *elsewhere;
	long before;
	int i;

	if (!guards_are_shared())
		SKIP(return, "large guards have page tables of their own on this kernel");
	if (table > MAX_HUGE)
		SKIP(return, "a page table maps %zu MiB, too much for this test",
		     table >> 20);
	ASSERT_EQ(0, set_backing(MEMFD_SHARED, table, false));
	mem = map_backing(reserve(table, table, 0), table, PROT_READ | PROT_WRITE, 0);
	ASSERT_NE(MAP_FAILED, mem);
	elsewhere = map_backing(reserve(table, table, 0), table, PROT_READ | PROT_WRITE, 0);
	ASSERT_NE(MAP_FAILED, elsewhere);
	fill(elsewhere, 1, 0);
	if (advise(elsewhere, table, MADV_COLLAPSE))
		SKIP(return, "MADV_COLLAPSE: %s", strerror(errno));
	ASSERT_EQ(0, guard_install(mem, table));
	before = page_tables();

	ASSERT_TRUE(collapser_start(&collapser, elsewhere, table));
	for (i = 0; i < LARGE_ROUNDS && now() < until; i++) {
		punch(table);
		fill(elsewhere, 1, 0);
		collapse_start(&collapser);
		while (collapses(&collapser)) {
			ASSERT_EQ(0, guard_install(mem, table));
			dawdle(1000 * i);
			ASSERT_EQ(0, guard_remove(mem, table));
		}
		pthread_barrier_wait(&collapser.end);
	}
	collapser_end(&collapser);
	EXPECT_LT(0, collapser.collapsed);
	EXPECT_LE(before, page_tables());
}

/*
 * 64 TiB of guards, or as much as memory allows. Reading /proc, fork() and exit must
 * not take long, and must not take much memory. The test takes 60 seconds on an idle
 * emulated machine. A single walk that looked at each guard would take several
 * minutes.
 */
#define MOST		((size_t)1 << 46)
#define MOST_SECONDS	200

static size_t map_the_most(char **mem)
{
	const size_t table = table_size();
	size_t len, room;

	/* An entry for each page table, in the parent and in the child */
	room = read_key("/proc/meminfo", "MemAvailable:") * 1024 / 4 / sizeof(long) * table;
	for (len = MOST; len > table; len /= 2) {
		if (len > room)
			continue;
		*mem = mmap(NULL, len, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (*mem != MAP_FAILED)
			return len;
	}
	return 0;
}

static bool read_all(const char *path)
{
	char buffer[65536];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = -1;

	while (fd >= 0 && (got = read(fd, buffer, sizeof(buffer))) > 0)
		;
	if (fd >= 0)
		close(fd);
	return fd >= 0 && !got;
}

/* The harness has timeouts for fixtures only. */
FIXTURE(most)
{
	char *mem;
	size_t len;
};

/*
 * Look at a few first: if they share no page table, those of 64 TiB of guards
 * would take all memory.
 */
static bool large_guards_are_cheap(void)
{
	const size_t nr = 64, len = nr * table_size();
	char *mem = mmap(NULL, len, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	long before = page_tables_kb();
	bool cheap;

	if (mem == MAP_FAILED)
		return false;
	cheap = !guard_install(mem, len) &&
		page_tables_kb() - before < (long)(nr / 2 * kb(1));
	munmap(mem, len);
	return cheap;
}

FIXTURE_SETUP(most)
{
	if (!guards_are_shared())
		SKIP(return, "large guards have page tables of their own on this kernel");
	ASSERT_TRUE(large_guards_are_cheap());
	self->len = map_the_most(&self->mem);
	ASSERT_NE(0, self->len);
	TH_LOG("%zu GiB", self->len >> 30);
}

FIXTURE_TEARDOWN(most)
{
}

TEST_F_TIMEOUT(most, guards_of_64_tib, 2 * MOST_SECONDS)
{
	static const char *const files[] = {
		"/proc/self/maps", "/proc/self/smaps", "/proc/self/smaps_rollup",
		"/proc/self/numa_maps", "/proc/self/status",
	};
	const long most_kb = self->len / table_size() * sizeof(long) / 1024;
	const unsigned long node = 1UL << first_node();
	const time_t begin = now();
	long before = page_tables_kb();
	int status;
	size_t i, nr;
	pid_t pid;

	ASSERT_EQ(0, guard_install(self->mem, self->len));
	EXPECT_LE(page_tables_kb() - before, most_kb + most_kb / 64 + 64);
	for (i = 0; i < ARRAY_SIZE(files); i++) {
		/* Not every kernel has all of them. */
		if (!access(files[i], R_OK))
			EXPECT_TRUE(read_all(files[i]));
	}
	nr = self->len / psize();
	EXPECT_EQ(nr, scan_guards(self->mem, self->len, nr));
	/* Both look for pages. Without NUMA there is no mbind(). */
	EXPECT_EQ(0, advise(self->mem, self->len, MADV_COLD));
	if (syscall(__NR_mbind, self->mem, self->len, MPOL_BIND, &node,
		    8 * sizeof(node), MPOL_MF_MOVE))
		EXPECT_EQ(ENOSYS, errno);
	write_file("/proc/self/clear_refs", "4", 2);
	EXPECT_EQ(0, protect(self->mem, self->len, PROT_READ));
	EXPECT_EQ(0, advise(self->mem, self->len, MADV_DONTNEED));
	EXPECT_TRUE(is_guarded(self->mem + self->len / 2));

	pid = fork();
	ASSERT_NE(-1, pid);
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (!is_guarded(self->mem) || !is_guarded(self->mem + self->len - psize()))
			_exit(1);
		raise(SIGKILL);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	ASSERT_EQ(0, guard_remove(self->mem, self->len));
	EXPECT_FALSE(is_guarded(self->mem + self->len - psize()));
	ASSERT_EQ(0, munmap(self->mem, self->len));
	EXPECT_GE(MOST_SECONDS, now() - begin);
}

int main(int argc, char **argv)
{
	guard_init();
	return test_harness_run(argc, argv);
}
