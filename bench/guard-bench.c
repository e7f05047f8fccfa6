// SPDX-License-Identifier: GPL-2.0
/*
 * What guard pages cost, in instructions: a table of rows, each a piece of
 * work that is set up, timed and undone.
 *
 * That the clock counts instructions is checked first.  What reading it takes
 * is measured and subtracted from every timing.
 *
 * A sample is the median of a row's timings (so many a sample as the row says),
 * which leaves out the timer's interrupts in the short ones.  A row is the
 * median of its samples, with the least and the greatest beside it; a first
 * sample, which warms things up, is dropped.
 *
 * usage: guard-bench [-l] [-r RUNS] [PATTERN]...
 *   PATTERN  only rows whose name it matches, as in the shell
 *   -l       list the rows
 *
 * Prints a line for each row, tabs between the columns:
 *	NAME METHOD MEDIAN LEAST GREATEST RUNS UNIT WORK
 * with "-" for what the kernel cannot do.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#define MADV_GUARD_REMOVE 103
#endif

#define KIB (1UL << 10)
#define MIB (1UL << 20)
#define GIB (1UL << 30)
#define PAGE (4 * KIB)
#define TABLE (2 * MIB)			/* what one page table maps */

#define MAX_RUNS 101
#define MAX_BATCH 500

/* Addresses where nothing else is, with no table shared with anything. */
#define AREA ((char *)(1UL << 44))
#define ELSEWHERE ((char *)(1UL << 45) + PAGE)	/* not table by table */

struct work {
	void (*setup)(void);
	void (*timed)(void);
	void (*undo)(void);
};

struct row {
	const char *name;
	const char *method;	/* guard, mprotect, mmap; plain: never met a guard */
	const char *unit;	/* page, call, cycle, ratio */
	const char *what;
	size_t size;		/* of the memory the work is about */
	int batch;		/* timings a sample */
	struct work work;
	struct work less;	/* if given: what the work adds to this */
	struct work over;	/* if given: how many times this it takes */
};

static size_t size;		/* the current row's */
static int64_t overhead;	/* of a timing */

static void ok(int error, const char *what)
{
	if (error)
		err(1, "%s", what);
}

/* Pieces of work. */

static void nothing(void)
{
}

static char *map_at(char *address, size_t length, int prot)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED;
	char *got = mmap(address, length, prot, flags, -1, 0);

	if (got == MAP_FAILED)
		err(1, "mmap");
	return got;
}

static void map(void)
{
	map_at(AREA, size, PROT_READ | PROT_WRITE);
}

static void unmap(void)
{
	ok(munmap(AREA, size), "munmap");
}

static void install(void)
{
	ok(madvise(AREA, size, MADV_GUARD_INSTALL), "MADV_GUARD_INSTALL");
}

static void remove_guards(void)
{
	ok(madvise(AREA, size, MADV_GUARD_REMOVE), "MADV_GUARD_REMOVE");
}

static void dontneed(void)
{
	ok(madvise(AREA, size, MADV_DONTNEED), "MADV_DONTNEED");
}

static void protect_none(void)
{
	ok(mprotect(AREA, size, PROT_NONE), "mprotect");
}

static void protect_read(void)
{
	ok(mprotect(AREA, size, PROT_READ), "mprotect");
}

static void map_none(void)
{
	map_at(AREA, size, PROT_NONE);
}

static void touch(char *address)
{
	*(volatile char *)address = 1;
}

static void touch_all(void)
{
	size_t i;

	for (i = 0; i < size; i += PAGE)
		touch(AREA + i);
}

static void fork_and_exit(void)
{
	pid_t child = _Fork();

	if (!child)
		_exit(0);
	ok(child < 0, "fork");
	ok(waitpid(child, NULL, 0) != child, "waitpid");
}

static void move(void)
{
	char *got = mremap(AREA, size, size, MREMAP_MAYMOVE | MREMAP_FIXED,
			   ELSEWHERE);

	ok(got != ELSEWHERE, "mremap");
}

static void unmap_elsewhere(void)
{
	ok(munmap(ELSEWHERE, size), "munmap");
}

static void map_populated(void)
{
	map();
	touch_all();
}

static void map_last_populated(void)
{
	map();
	touch(AREA + size - PAGE);
}

static void map_tables(void)
{
	size_t i;

	map();
	for (i = 0; i < size; i += TABLE)
		touch(AREA + i);
}

static void map_guards(void)
{
	map();
	install();
}

static void map_removed_guards(void)
{
	map_guards();
	remove_guards();
}

/* Work on one page in the middle, beside one that is there already. */

static char *one_page(void)
{
	return AREA + size / 2;
}

static void map_beside_page(void)
{
	map();
	touch(one_page() - PAGE);
}

static void map_beside_guard(void)
{
	map();
	ok(madvise(one_page() - PAGE, PAGE, MADV_GUARD_INSTALL),
	   "MADV_GUARD_INSTALL");
}

static void install_one(void)
{
	ok(madvise(one_page(), PAGE, MADV_GUARD_INSTALL), "MADV_GUARD_INSTALL");
}

static void remove_one(void)
{
	ok(madvise(one_page(), PAGE, MADV_GUARD_REMOVE), "MADV_GUARD_REMOVE");
}

static void dontneed_one(void)
{
	ok(madvise(one_page(), PAGE, MADV_DONTNEED), "MADV_DONTNEED");
}

static void protect_one(void)
{
	ok(mprotect(one_page(), PAGE, PROT_NONE), "mprotect");
}

static void unprotect_one(void)
{
	ok(mprotect(one_page(), PAGE, PROT_READ | PROT_WRITE), "mprotect");
}

static void map_none_one(void)
{
	map_at(one_page(), PAGE, PROT_NONE);
}

static void map_over_one(void)
{
	map_at(one_page(), PAGE, PROT_READ | PROT_WRITE);
}

static void unmap_one(void)
{
	ok(munmap(one_page(), PAGE), "munmap");
}

static void touch_one(void)
{
	touch(one_page());
}

static void map_beside_guards(void)
{
	map_beside_guard();
	install_one();
}

static void map_beside_one(void)
{
	map_beside_page();
	touch_one();
}

static void map_protected_one(void)
{
	map_beside_page();
	protect_one();
}

/* Each page of a table a range of its own. */
static void advise_by_ranges(int advice)
{
	static struct iovec ranges[TABLE / PAGE];
	static int self;
	size_t i;

	if (!self) {
		for (i = 0; i < TABLE / PAGE; i++) {
			ranges[i].iov_base = AREA + i * PAGE;
			ranges[i].iov_len = PAGE;
		}
		self = syscall(SYS_pidfd_open, getpid(), 0);
		ok(self < 0, "pidfd_open");
	}
	ok(syscall(SYS_process_madvise, self, ranges, TABLE / PAGE, advice, 0) != TABLE,
	   "process_madvise");
}

static void install_by_ranges(void)
{
	advise_by_ranges(MADV_GUARD_INSTALL);
}

static void remove_by_ranges(void)
{
	advise_by_ranges(MADV_GUARD_REMOVE);
}

static void madvise_nothing(void)
{
	ok(madvise(AREA, 0, MADV_DONTNEED), "madvise");
}

/* A stack's life: its last page is used, its first is the guard. */

static void stack_plain(void)
{
	map();
	touch(AREA + size - PAGE);
	unmap();
}

static void stack_guard(void)
{
	map();
	ok(madvise(AREA, PAGE, MADV_GUARD_INSTALL), "MADV_GUARD_INSTALL");
	touch(AREA + size - PAGE);
	unmap();
}

static void stack_mprotect(void)
{
	map();
	ok(mprotect(AREA, PAGE, PROT_NONE), "mprotect");
	touch(AREA + size - PAGE);
	unmap();
}

/* As glibc up to 2.41 does: all without access first. */
static void stack_mmap(void)
{
	map_none();
	ok(mprotect(AREA + PAGE, size - PAGE, PROT_READ | PROT_WRITE),
	   "mprotect");
	touch(AREA + size - PAGE);
	unmap();
}

static const struct row rows[] = {
	/* By the page, over a range. */
	{ "install", "guard", "page", "install, nothing mapped", GIB, 1,
	  .work = { map, install, unmap } },
	{ "install", "mprotect", "page", "PROT_NONE, nothing mapped", GIB, 1,
	  .work = { map, protect_none, unmap } },
	{ "install", "mmap", "page", "PROT_NONE, nothing mapped", GIB, 1,
	  .work = { map, map_none, unmap } },
	{ "install-tables", "guard", "page", "install, tables already there",
	  GIB, 1, .work = { map_removed_guards, install, unmap } },
	{ "install-again", "guard", "page", "install again over guards", GIB, 1,
	  .work = { map_guards, install, unmap } },
	{ "remove", "guard", "page", "remove", GIB, 1,
	  .work = { map_guards, remove_guards, unmap } },
	{ "munmap-guards", "guard", "page", "munmap of guards", GIB, 1,
	  .work = { map_guards, unmap, nothing } },
	{ "install-one-mapped", "guard", "page",
	  "install, one page in 64 MiB mapped", 64 * MIB, 1,
	  .work = { map_last_populated, install, unmap } },
	{ "dontneed-guards", "guard", "page", "MADV_DONTNEED over guards",
	  GIB, 1, .work = { map_guards, dontneed, unmap } },
	{ "fork-guards", "guard", "page", "fork, exit of a child: guards add",
	  GIB, 1, .work = { map_guards, fork_and_exit, unmap },
	  .less = { map, fork_and_exit, unmap } },
	{ "mremap-guards", "guard", "page", "mremap of guards, by entries",
	  GIB, 1, .work = { map_guards, move, unmap_elsewhere } },
	{ "install-populated", "guard", "ratio",
	  "install over populated, to DONTNEED", 64 * MIB, 1,
	  .work = { map_populated, install, unmap },
	  .over = { map_populated, dontneed, unmap } },
	{ "install-populated", "mmap", "ratio",
	  "the same by PROT_NONE", 64 * MIB, 1,
	  .work = { map_populated, map_none, unmap },
	  .over = { map_populated, dontneed, unmap } },

	/* Whole calls. */
	{ "install-one", "guard", "call", "one-page install", TABLE, 100,
	  .work = { map_beside_guard, install_one, unmap } },
	{ "install-one", "mprotect", "call", "one page to PROT_NONE", TABLE, 100,
	  .work = { map_beside_page, protect_one, unmap } },
	{ "install-one", "mmap", "call", "one page to PROT_NONE", TABLE, 100,
	  .work = { map_beside_page, map_none_one, unmap } },
	{ "install-first", "guard", "call", "first guard of a mapping, its table",
	  TABLE, 100, .work = { map, install_one, unmap } },
	{ "install-first", "mprotect", "call", "the same by PROT_NONE",
	  TABLE, 100, .work = { map, protect_one, unmap } },
	{ "remove-one", "guard", "call", "one-page remove", TABLE, 100,
	  .work = { map_beside_guards, remove_one, unmap } },
	{ "remove-one", "mprotect", "call", "one page back from PROT_NONE", TABLE, 100,
	  .work = { map_protected_one, unprotect_one, unmap } },
	{ "remove-one", "mmap", "call", "one page back from PROT_NONE", TABLE, 100,
	  .work = { map_protected_one, map_over_one, unmap } },
	{ "install-ranges", "guard", "page", "process_madvise, by the page",
	  TABLE, 20, .work = { map, install_by_ranges, unmap } },
	{ "install-ranges-populated", "guard", "page", "the same over populated",
	  TABLE, 20, .work = { map_populated, install_by_ranges, unmap } },
	{ "remove-ranges", "guard", "page", "process_madvise, remove",
	  TABLE, 20, .work = { map_guards, remove_by_ranges, unmap } },
	{ "madvise-nothing", "plain", "call", "madvise of no bytes", TABLE, 100,
	  .work = { map, madvise_nothing, unmap } },

	/* What the guard adds to a stack's mmap, touch and munmap. */
	{ "stack", "guard", "cycle", "8 MiB stack: guard adds", 8 * MIB, 100,
	  .work = { nothing, stack_guard, nothing },
	  .less = { nothing, stack_plain, nothing } },
	{ "stack", "mprotect", "cycle", "8 MiB stack: guard adds", 8 * MIB, 100,
	  .work = { nothing, stack_mprotect, nothing },
	  .less = { nothing, stack_plain, nothing } },
	{ "stack", "mmap", "cycle", "8 MiB stack: guard adds",
	  8 * MIB, 100, .work = { nothing, stack_mmap, nothing },
	  .less = { nothing, stack_plain, nothing } },

	/* Memory that never meets a guard. */
	{ "fault", "plain", "page", "page fault", 64 * MIB, 1,
	  .work = { map, touch_all, unmap } },
	{ "munmap", "plain", "page", "munmap", 64 * MIB, 1,
	  .work = { map_populated, unmap, nothing } },
	{ "fork", "plain", "page", "fork and exit of a child", 64 * MIB, 1,
	  .work = { map_populated, fork_and_exit, unmap } },
	{ "mprotect", "plain", "page", "mprotect to read-only", 64 * MIB, 1,
	  .work = { map_populated, protect_read, unmap } },
	{ "dontneed", "plain", "page", "MADV_DONTNEED", 64 * MIB, 1,
	  .work = { map_populated, dontneed, unmap } },
	{ "dontneed-empty", "plain", "page",
	  "MADV_DONTNEED, 1 page in 512 mapped", GIB, 1,
	  .work = { map_tables, dontneed, unmap } },
	{ "mremap", "plain", "page", "mremap, by entries", 64 * MIB, 1,
	  .work = { map_populated, move, unmap_elsewhere } },
	{ "fault-one", "plain", "call", "page fault, table there", TABLE, 100,
	  .work = { map_beside_page, touch_one, unmap } },
	{ "munmap-one", "plain", "call", "munmap of one page of a mapping", TABLE, 100,
	  .work = { map_beside_one, unmap_one, unmap } },
	{ "munmap-small", "plain", "call", "munmap of two pages",
	  TABLE, 100, .work = { map_beside_one, unmap, nothing } },
	{ "fork-one", "plain", "call", "fork and exit of a small child", TABLE,
	  100, .work = { map_beside_one, fork_and_exit, unmap } },
	{ "mprotect-one", "plain", "call", "mprotect of two pages",
	  TABLE, 100, .work = { map_beside_one, protect_read, unmap } },
	{ "dontneed-one", "plain", "call", "MADV_DONTNEED of one page", TABLE, 100,
	  .work = { map_beside_one, dontneed_one, unmap } },
	{ "stack-plain", "plain", "cycle", "8 MiB: mmap, touch, munmap", 8 * MIB,
	  100, .work = { nothing, stack_plain, nothing } },
};

/* Measuring. */

static int64_t time_once(const struct work *work)
{
	int64_t begin, end;

	work->setup();
	begin = now();
	work->timed();
	end = now();
	work->undo();
	return end - begin - overhead;
}

static double time_batch(const struct work *work, int batch)
{
	double times[MAX_BATCH];
	int i;

	for (i = 0; i < batch; i++)
		times[i] = time_once(work);
	return median(times, batch);
}

static double sample(const struct row *row)
{
	bool by_page = row->unit[0] == 'p';
	double value = time_batch(&row->work, row->batch);

	if (row->less.timed)
		value -= time_batch(&row->less, row->batch);
	if (row->over.timed)
		value /= time_batch(&row->over, row->batch);
	return by_page ? value / (row->size / PAGE) : value;
}

static void measure(const struct row *row, int runs, bool possible)
{
	double values[MAX_RUNS], middle;
	int i;

	printf("%s\t%s\t", row->name, row->method);
	if (possible) {
		size = row->size;
		sample(row);
		for (i = 0; i < runs; i++)
			values[i] = sample(row);
		middle = median(values, runs);
		printf("%.3f\t%.3f\t%.3f\t%d", middle, values[0],
		       values[runs - 1], runs);
	} else {
		printf("-\t-\t-\t0");
	}
	printf("\t%s\t%s\n", row->unit, row->what);
	fflush(stdout);
}

static void measure_overhead(void)
{
	static const struct work empty = { nothing, nothing, nothing };

	overhead = time_batch(&empty, MAX_BATCH);
}

static bool have_guards(void)
{
	int error;

	size = PAGE;
	map();
	error = madvise(AREA, size, MADV_GUARD_INSTALL);
	if (error && errno != EINVAL)
		err(1, "MADV_GUARD_INSTALL");
	unmap();
	return !error;
}

static bool wanted(const struct row *row, char **patterns)
{
	if (!*patterns)
		return true;
	for (; *patterns; patterns++)
		if (!fnmatch(*patterns, row->name, 0))
			return true;
	return false;
}

static void usage(void)
{
	fputs("usage: guard-bench [-l] [-r RUNS] [PATTERN]...\n", stderr);
	exit(2);
}

int main(int argc, char **argv)
{
	size_t nr = sizeof(rows) / sizeof(rows[0]), i;
	bool list = false, guards;
	int runs = 5, opt;

	while ((opt = getopt(argc, argv, "lr:")) != -1) {
		if (opt == 'l')
			list = true;
		else if (opt == 'r')
			runs = atoi(optarg);
		else
			usage();
	}
	if (runs < 1 || runs > MAX_RUNS)
		usage();
	if (list) {
		for (i = 0; i < nr; i++)
			printf("%-20s %-9s %-6s %s\n", rows[i].name,
			       rows[i].method, rows[i].unit, rows[i].what);
		return 0;
	}
	check_clock();
	measure_overhead();
	/* Pages are small ones, whatever the kernel's default. */
	ok(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0), "PR_SET_THP_DISABLE");
	guards = have_guards();
	for (i = 0; i < nr; i++)
		if (wanted(&rows[i], argv + optind))
			measure(&rows[i], runs, guards || rows[i].method[0] != 'g');
	return 0;
}
