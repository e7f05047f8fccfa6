// SPDX-License-Identifier: GPL-2.0
/*
 * Measures what guard pages cost, in instructions.  Each row of the table is a piece
 * of work that is set up, timed and undone.  Some rows count something else: how often
 * a call takes mmap_lock, by its tracepoint, or how many huge pages khugepaged
 * allocates.
 *
 * First, the program checks that the clock counts instructions.  It measures what
 * reading the clock takes, and subtracts that from every timing.
 *
 * A sample is the lower quartile of a batch of timings; the row gives the size of the
 * batch.  For short work, this excludes timings with a timer interrupt or with a slab
 * cache or free list that just ran empty.  The result of a row is the median of its
 * samples, with the minimum and the maximum; the first sample warms up and is not
 * counted.
 *
 * usage: guard-bench [-l|-t] [-r RUNS] [PATTERN]...
 *   PATTERN  measure only rows whose name matches this shell pattern
 *   -l       list the rows
 *   -t       test whether calls take mmap_lock as often as they should, which is
 *            never for most of them; needs no special clock, prints KTAP
 *   -r       number of samples of a row (default 5)
 *
 * Prints a line for each row, with tabs between the columns:
 *	NAME METHOD MEDIAN LEAST GREATEST RUNS UNIT WORK
 * A "-" means that the kernel has no guard pages.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <linux/userfaultfd.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "usage.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#define MADV_GUARD_REMOVE 103
#endif

#define KIB (1UL << 10)
#define MIB (1UL << 20)
#define GIB (1UL << 30)
/* The least number of pages that one page table maps on any architecture. */
#define TABLE 512

#define MAX_RUNS 101
#define MAX_BATCH 500

/*
 * Addresses far from all other mappings, so that no page table is shared.  This takes
 * an address space of 46 bits.
 */
#define AREA ((char *)(1UL << 44))
#define ELSEWHERE ((char *)(1UL << 45) + page)	/* mremap cannot move whole tables here */

struct work {
	void (*setup)(void);
	void (*timed)(void);
	void (*undo)(void);
};

struct row {
	const char *name;
	const char *method;	/* guard, mprotect, mmap; plain: without any guard */
	const char *unit;	/* page, guard, table, call, cycle, ratio */
	const char *what;
	size_t size;		/* of the memory in bytes, or TABLE */
	int batch;		/* number of timings per sample */
	struct work work;
	struct work less;	/* if given, its time is subtracted */
	struct work over;	/* if given, the result is relative to its time */
	int64_t (*count)(void);	/* if given, counts this instead of instructions */
	int locks;		/* the count that -t expects */
};

static size_t page;
static size_t size;		/* the current row's, in bytes */
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

	for (i = 0; i < size; i += page)
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

static void map_shared(void)
{
	char *got = mmap(AREA, size, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

	ok(got != AREA, "mmap");
	touch_all();
}

static void map_last_populated(void)
{
	map();
	touch(AREA + size - page);
}

static void map_tables(void)
{
	size_t i;

	map();
	for (i = 0; i < size; i += TABLE * page)
		touch(AREA + i);
}

static void map_guards(void)
{
	map();
	install();
}

/* Page tables that exist get guards of their own, and do not share one. */
static void map_empty_tables(void)
{
	map_tables();
	dontneed();
}

static void map_own_guards(void)
{
	map_empty_tables();
	install();
}

/* Guards on every other page, as an allocator has them between its objects. */
static void install_lone(void)
{
	size_t i;

	for (i = 0; i < size; i += 2 * page)
		ok(madvise(AREA + i, page, MADV_GUARD_INSTALL),
		   "MADV_GUARD_INSTALL");
}

static void map_lone_guards(void)
{
	map();
	install_lone();
}

static void map_lone_guards_populated(void)
{
	map_populated();
	install_lone();
}

static void map_half_populated(void)
{
	size_t i;

	map();
	for (i = page; i < size; i += 2 * page)
		touch(AREA + i);
}

/* Guards as mremap() or a checkpointer leaves them. */

static void map_moved_guards(void)
{
	map_guards();
	move();
}

static void remove_elsewhere(void)
{
	ok(madvise(ELSEWHERE, size, MADV_GUARD_REMOVE), "MADV_GUARD_REMOVE");
}

/* Work on one page in the middle, next to a page or guard that exists already. */

static char *one_page(void)
{
	return AREA + size / 2;
}

static void map_beside_page(void)
{
	map();
	touch(one_page() - page);
}

static void map_beside_guard(void)
{
	map();
	ok(madvise(one_page() - page, page, MADV_GUARD_INSTALL),
	   "MADV_GUARD_INSTALL");
}

/* The page tables above the missing one are there. */
static void map_beside_table(void)
{
	map();
	touch(AREA + size - page);
}

static void install_start(void)
{
	ok(madvise(AREA, page, MADV_GUARD_INSTALL), "MADV_GUARD_INSTALL");
}

static void install_one(void)
{
	ok(madvise(one_page(), page, MADV_GUARD_INSTALL), "MADV_GUARD_INSTALL");
}

static void remove_one(void)
{
	ok(madvise(one_page(), page, MADV_GUARD_REMOVE), "MADV_GUARD_REMOVE");
}

static void map_shared_guarded(void)
{
	map_shared();
	install_one();
}

static void map_shared_once_guarded(void)
{
	map_shared_guarded();
	remove_one();
}

static void dontneed_one(void)
{
	ok(madvise(one_page(), page, MADV_DONTNEED), "MADV_DONTNEED");
}

static void protect_one(void)
{
	ok(mprotect(one_page(), page, PROT_NONE), "mprotect");
}

static void unprotect_one(void)
{
	ok(mprotect(one_page(), page, PROT_READ | PROT_WRITE), "mprotect");
}

static void map_none_one(void)
{
	map_at(one_page(), page, PROT_NONE);
}

static void map_over_one(void)
{
	map_at(one_page(), page, PROT_READ | PROT_WRITE);
}

static void unmap_one(void)
{
	ok(munmap(one_page(), page), "munmap");
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

/* One call for @nr ranges of one page each. */
static void advise_vector(const struct iovec *ranges, size_t nr, int advice)
{
	static int self = -1;

	if (self < 0)
		self = pidfd_open(getpid(), 0);
	ok(self < 0, "pidfd_open");
	ok(process_madvise(self, ranges, nr, advice, 0) != (ssize_t)(nr * page),
	   "process_madvise");
}

/* One call in which each page is a range of its own. */
static void advise_by_ranges(int advice)
{
	static struct iovec ranges[TABLE];
	size_t i;

	if (!ranges[0].iov_len)		/* only once, because this is timed, too */
		for (i = 0; i < TABLE; i++)
			ranges[i] = (struct iovec) { AREA + i * page, page };
	advise_vector(ranges, TABLE, advice);
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

/* The life of a stack: its last page is used, its first page is the guard. */

static void stack_plain(void)
{
	map();
	touch(AREA + size - page);
	unmap();
}

static void stack_guard(void)
{
	map();
	install_start();
	touch(AREA + size - page);
	unmap();
}

static void stack_mprotect(void)
{
	map();
	ok(mprotect(AREA, page, PROT_NONE), "mprotect");
	touch(AREA + size - page);
	unmap();
}

/* As in glibc up to 2.41: map all of it PROT_NONE, then allow access to the stack. */
static void stack_mmap(void)
{
	map_none();
	ok(mprotect(AREA + page, size - page, PROT_READ | PROT_WRITE),
	   "mprotect");
	touch(AREA + size - page);
	unmap();
}

/* The same between other stacks: the guard shares a page table with the lower one. */

static void map_stacks(bool guard)
{
	char *stack;

	for (stack = AREA - 4 * size; stack < AREA + 5 * size; stack += size) {
		if (stack == AREA)
			continue;
		map_at(stack, size, PROT_READ | PROT_WRITE);
		if (guard)
			ok(madvise(stack, page, MADV_GUARD_INSTALL),
			   "MADV_GUARD_INSTALL");
		touch(stack + size - page);
	}
}

static void map_stacks_plain(void)
{
	map_stacks(false);
}

static void map_stacks_guard(void)
{
	map_stacks(true);
}

static void map_stacks_mprotect(void)
{
	char *stack;

	map_stacks(false);
	for (stack = AREA - 4 * size; stack < AREA + 5 * size; stack += size)
		if (stack != AREA)
			ok(mprotect(stack, page, PROT_NONE), "mprotect");
}

static void unmap_stacks(void)
{
	ok(munmap(AREA - 4 * size, 9 * size), "munmap");
}

/* Calls that may have to take mmap_lock. */

static void install_every_other(size_t nr)
{
	struct iovec ranges[8];
	size_t i;

	for (i = 0; i < nr; i++)
		ranges[i] = (struct iovec) { AREA + 2 * i * page, page };
	advise_vector(ranges, nr, MADV_GUARD_INSTALL);
}

static void install_vector_of_one(void)
{
	install_every_other(1);
}

static void install_vector(void)
{
	install_every_other(8);
}

static void map_two_vmas(void)
{
	map();
	ok(mprotect(AREA, size / 2, PROT_READ), "mprotect");
}

static int uffd;

static void map_registered(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register area = {
		.range = { (uintptr_t)AREA, size },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};

	map();
	uffd = syscall(SYS_userfaultfd, O_CLOEXEC);
	ok(uffd < 0 || ioctl(uffd, UFFDIO_API, &api) ||
	   ioctl(uffd, UFFDIO_REGISTER, &area), "userfaultfd");
}

static void unmap_registered(void)
{
	close(uffd);
	unmap();
}

#define MMAP_LOCK "/sys/kernel/tracing/events/mmap_lock/mmap_lock_acquire_returned/"

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_TRUNC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		err(1, "%s", path);
	close(fd);
}

static void trace_locks(bool on)
{
	char filter[32];

	snprintf(filter, sizeof(filter), "common_pid == %d", getpid());
	put("/sys/kernel/tracing/trace", "");
	put(MMAP_LOCK "filter", filter);
	put(MMAP_LOCK "enable", on ? "1" : "0");
}

/* Must not take mmap_lock itself: does not allocate, and the buffer is populated. */
static int64_t traced(const char *what)
{
	static char text[256 * KIB];
	size_t length = 0;
	int64_t nr = 0;
	ssize_t got;
	char *line;
	int fd = open("/sys/kernel/tracing/trace", O_RDONLY);

	while ((got = read(fd, text + length, sizeof(text) - 1 - length)) > 0)
		length += got;
	ok(fd < 0 || got < 0 || length == sizeof(text) - 1, "trace");
	close(fd);
	text[length] = '\0';
	for (line = text; (line = strstr(line, what)); line++)
		nr++;
	return nr;
}

static int64_t read_locks(void)
{
	return traced("write=false success=true");
}

static int64_t write_locks(void)
{
	return traced("write=true success=true");
}

#define LOCKS(name, method, what, size, reads, writes, ...)		\
	{ "read:" name, method, "call", "mmap_lock read: " what, size, 1,	\
	  .work = { __VA_ARGS__ }, .count = read_locks, .locks = reads },	\
	{ "write:" name, method, "call", "mmap_lock write: " what, size, 1,	\
	  .work = { __VA_ARGS__ }, .count = write_locks, .locks = writes }

/* Memory of small pages that khugepaged scans. */

static size_t huge_page_size(void)
{
	return read_number("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size", "");
}

static void guard_tables(size_t length)
{
	size_t i, step = huge_page_size();

	map_populated();
	for (i = 0; i < length; i += step)
		ok(madvise(AREA + i, page, MADV_GUARD_INSTALL),
		   "MADV_GUARD_INSTALL");
}

static void allow_huge(void)
{
	ok(prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0), "PR_SET_THP_DISABLE");
	ok(madvise(AREA, size, MADV_HUGEPAGE), "MADV_HUGEPAGE");
}

static void map_small_pages(void)
{
	map_populated();
	allow_huge();
}

static void map_guarded_tables(void)
{
	guard_tables(size);
	allow_huge();
}

static void map_guarded_table(void)
{
	guard_tables(huge_page_size());
	allow_huge();
}

static void map_huge(void)
{
	map();
	allow_huge();
	touch_all();
}

/* A checkpointer clears the soft-dirty bits of a process after it has dumped it. */
static void map_clean_guards(void)
{
	map_own_guards();
	put("/proc/self/clear_refs", "4");
}

static void unmap_huge(void)
{
	unmap();
	ok(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0), "PR_SET_THP_DISABLE");
}

#define KHUGEPAGED "/sys/kernel/mm/transparent_hugepage/khugepaged/"

static long full_scans(void)
{
	return read_number(KHUGEPAGED "full_scans", "");
}

/* Let khugepaged scan everything twice. */
static void scan(void)
{
	int scans, tries;
	long begin;

	put(KHUGEPAGED "pages_to_scan", "100000000");
	for (scans = 0; scans < 2; scans++) {
		begin = full_scans();
		for (tries = 100000; full_scans() == begin && tries; tries--) {
			/* This wakes khugepaged for one scan, unless it is already awake. */
			put(KHUGEPAGED "scan_sleep_millisecs", "100000000");
			usleep(1000);
		}
		if (!tries)
			errx(1, "khugepaged does not scan");
	}
}

static int64_t huge_pages(void)
{
	return read_number("/proc/vmstat", "thp_collapse_alloc ");
}

static const struct row rows[] = {
	/* Per page of a range. */
	{ "install", "guard", "page", "install, nothing mapped", GIB, 1,
	  .work = { map, install, unmap } },
	{ "install", "mprotect", "page", "PROT_NONE, nothing mapped", GIB, 1,
	  .work = { map, protect_none, unmap } },
	{ "install", "mmap", "page", "PROT_NONE, nothing mapped", GIB, 1,
	  .work = { map, map_none, unmap } },
	{ "install-tables", "guard", "page", "install, tables already there",
	  GIB, 1, .work = { map_empty_tables, install, unmap } },
	{ "install-again", "guard", "page", "install again over guards", GIB, 1,
	  .work = { map_guards, install, unmap } },
	{ "remove", "guard", "page", "remove", GIB, 1,
	  .work = { map_guards, remove_guards, unmap } },
	{ "remove-tables", "guard", "page", "remove, from tables of their own",
	  GIB, 1, .work = { map_own_guards, remove_guards, unmap } },
	{ "munmap-tables", "guard", "page", "munmap, from tables of their own",
	  GIB, 1, .work = { map_own_guards, unmap, nothing } },
	{ "munmap-guards", "guard", "page", "munmap of guards", GIB, 1,
	  .work = { map_guards, unmap, nothing } },
	{ "install-one-mapped", "guard", "page",
	  "install, one page in 64 MiB mapped", 64 * MIB, 1,
	  .work = { map_last_populated, install, unmap } },
	{ "dontneed-guards", "guard", "page", "MADV_DONTNEED over guards",
	  GIB, 1, .work = { map_guards, dontneed, unmap } },
	{ "fork-guards", "guard", "page", "fork and exit: added by guards",
	  GIB, 1, .work = { map_guards, fork_and_exit, unmap },
	  .less = { map, fork_and_exit, unmap } },
	{ "fork-shared", "guard", "ratio",
	  "fork beside a guard in shared memory", 512 * MIB, 1,
	  .work = { map_shared_guarded, fork_and_exit, unmap },
	  .over = { map_shared, fork_and_exit, unmap } },
	{ "fork-shared-removed", "guard", "ratio",
	  "the same, the guard removed again", 512 * MIB, 1,
	  .work = { map_shared_once_guarded, fork_and_exit, unmap },
	  .over = { map_shared, fork_and_exit, unmap } },
	{ "mremap-guards", "guard", "page", "mremap of guards, by entries",
	  GIB, 1, .work = { map_guards, move, unmap_elsewhere } },
	{ "remove-moved", "guard", "page", "remove after mremap by entries",
	  GIB, 1, .work = { map_moved_guards, remove_elsewhere, unmap_elsewhere } },
	{ "remove-clean", "guard", "page", "remove, soft-dirty bits cleared",
	  GIB, 1, .work = { map_clean_guards, remove_guards, unmap } },
	{ "install-huge", "guard", "ratio", "install over huge pages, vs DONTNEED",
	  64 * MIB, 1, .work = { map_huge, install, unmap_huge },
	  .over = { map_huge, dontneed, unmap_huge } },
	{ "install-populated", "guard", "ratio",
	  "install over populated, vs DONTNEED", 64 * MIB, 1,
	  .work = { map_populated, install, unmap },
	  .over = { map_populated, dontneed, unmap } },
	{ "install-populated", "mmap", "ratio",
	  "PROT_NONE over populated, likewise", 64 * MIB, 1,
	  .work = { map_populated, map_none, unmap },
	  .over = { map_populated, dontneed, unmap } },

	/* Per guard on every other page. */
	{ "fork-lone", "guard", "guard", "fork and exit: added, the others mapped",
	  64 * MIB, 1, .work = { map_lone_guards_populated, fork_and_exit, unmap },
	  .less = { map_half_populated, fork_and_exit, unmap } },
	{ "fork-lone-empty", "guard", "guard", "fork and exit: added, the others empty",
	  64 * MIB, 1, .work = { map_lone_guards, fork_and_exit, unmap },
	  .less = { map, fork_and_exit, unmap } },
	{ "munmap-lone", "guard", "guard", "munmap, the other pages empty",
	  64 * MIB, 1, .work = { map_lone_guards, unmap, nothing } },
	{ "dontneed-lone", "guard", "guard", "MADV_DONTNEED, the other pages empty",
	  64 * MIB, 1, .work = { map_lone_guards, dontneed, unmap } },
	{ "remove-lone", "guard", "guard", "remove, the other pages empty",
	  64 * MIB, 1, .work = { map_lone_guards, remove_guards, unmap } },

	/* Whole calls. */
	{ "install-one", "guard", "call", "one-page install", TABLE, 100,
	  .work = { map_beside_guard, install_one, unmap } },
	{ "install-one", "mprotect", "call", "one page to PROT_NONE", TABLE, 100,
	  .work = { map_beside_page, protect_one, unmap } },
	{ "install-one", "mmap", "call", "one page to PROT_NONE", TABLE, 100,
	  .work = { map_beside_page, map_none_one, unmap } },
	{ "install-first", "guard", "call", "first guard of a mapping, and table",
	  TABLE, 100, .work = { map, install_one, unmap } },
	{ "install-table", "guard", "call", "first guard of a page table",
	  16 * MIB, 100, .work = { map_beside_table, install_start, unmap } },
	{ "install-first", "mprotect", "call", "first PROT_NONE page of a mapping",
	  TABLE, 100, .work = { map, protect_one, unmap } },
	{ "remove-one", "guard", "call", "one-page remove", TABLE, 100,
	  .work = { map_beside_guards, remove_one, unmap } },
	{ "remove-one", "mprotect", "call", "one page back from PROT_NONE", TABLE, 100,
	  .work = { map_protected_one, unprotect_one, unmap } },
	{ "remove-one", "mmap", "call", "one page back from PROT_NONE", TABLE, 100,
	  .work = { map_protected_one, map_over_one, unmap } },
	{ "install-ranges", "guard", "page", "one-page ranges, install",
	  TABLE, 20, .work = { map, install_by_ranges, unmap } },
	{ "install-ranges-populated", "guard", "page", "one-page ranges, over populated",
	  TABLE, 20, .work = { map_populated, install_by_ranges, unmap } },
	{ "remove-ranges", "guard", "page", "one-page ranges, remove",
	  TABLE, 20, .work = { map_guards, remove_by_ranges, unmap } },
	{ "madvise-nothing", "plain", "call", "madvise of no bytes", TABLE, 100,
	  .work = { map, madvise_nothing, unmap } },

	/* What the guard adds to the mmap, touch and munmap of a stack. */
	{ "stack", "guard", "cycle", "8 MiB stack: added by guard", 8 * MIB, 100,
	  .work = { nothing, stack_guard, nothing },
	  .less = { nothing, stack_plain, nothing } },
	{ "stack", "mprotect", "cycle", "8 MiB stack: added by guard", 8 * MIB, 100,
	  .work = { nothing, stack_mprotect, nothing },
	  .less = { nothing, stack_plain, nothing } },
	{ "stack", "mmap", "cycle", "8 MiB stack: added by guard",
	  8 * MIB, 100, .work = { nothing, stack_mmap, nothing },
	  .less = { nothing, stack_plain, nothing } },

	{ "stack-among", "guard", "cycle", "8 MiB + 4 KiB stack among stacks",
	  8 * MIB + 4 * KIB, 100, .work = { map_stacks_guard, stack_guard, unmap_stacks },
	  .less = { map_stacks_plain, stack_plain, unmap_stacks } },
	{ "stack-among", "mprotect", "cycle", "8 MiB + 4 KiB stack among stacks",
	  8 * MIB + 4 * KIB, 100, .work = { map_stacks_mprotect, stack_mprotect, unmap_stacks },
	  .less = { map_stacks_plain, stack_plain, unmap_stacks } },

	/* Memory that never has a guard. */
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
	{ "fault-one", "plain", "call", "page fault, table exists", TABLE, 100,
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

	/* Counts. */
	{ "khugepaged", "guard", "table", "huge pages, a guard in each range",
	  32 * MIB, 1, .work = { map_guarded_tables, scan, unmap_huge },
	  .count = huge_pages },
	{ "khugepaged-beside", "guard", "table", "huge pages, a guard in 1 of 16",
	  32 * MIB, 1, .work = { map_guarded_table, scan, unmap_huge },
	  .count = huge_pages },
	{ "khugepaged", "plain", "table", "huge pages, no guard", 32 * MIB, 1,
	  .work = { map_small_pages, scan, unmap_huge }, .count = huge_pages },

	LOCKS("madvise-nothing", "plain", "madvise, no bytes", TABLE, 0, 0,
	      map, madvise_nothing, unmap),
	LOCKS("install-one", "guard", "install a page", TABLE, 0, 0,
	      map_beside_guard, install_one, unmap),
	LOCKS("install-one", "mprotect", "to PROT_NONE", TABLE, 0, 1,
	      map_beside_page, protect_one, unmap),
	LOCKS("install-one", "mmap", "to PROT_NONE", TABLE, 0, 1,
	      map_beside_page, map_none_one, unmap),
	LOCKS("remove-one", "guard", "remove a page", TABLE, 0, 0,
	      map_beside_guards, remove_one, unmap),
	LOCKS("remove-one", "mprotect", "from PROT_NONE", TABLE, 0, 1,
	      map_protected_one, unprotect_one, unmap),
	LOCKS("install", "guard", "install a VMA", 8 * MIB, 0, 0,
	      map, install, unmap),
	LOCKS("remove", "guard", "remove a VMA", 8 * MIB, 0, 0,
	      map_guards, remove_guards, unmap),
	LOCKS("install-populated", "guard", "over populated", 8 * MIB, 0, 0,
	      map_populated, install, unmap),
	LOCKS("install-vector-1", "guard", "process_madvise", TABLE, 0, 0,
	      map_beside_guard, install_vector_of_one, unmap),
	LOCKS("install-vector-8", "guard", "8 ranges", TABLE, 0, 0,
	      map_beside_guard, install_vector, unmap),
	LOCKS("install-two-vmas", "guard", "two VMAs", TABLE, 1, 0,
	      map_two_vmas, install, unmap),
	LOCKS("install-uffd", "guard", "userfaultfd", TABLE, 1, 0,
	      map_registered, install_one, unmap_registered),
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

/* Measuring. */

static int64_t count_once(const struct work *work, int64_t (*count)(void))
{
	int64_t begin, end;

	work->setup();
	begin = count();
	work->timed();
	end = count();
	work->undo();
	return end - begin;
}

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
	return lower_quartile(times, batch);
}

static double sample(const struct row *row)
{
	double value = row->count ? count_once(&row->work, row->count) :
		       time_batch(&row->work, row->batch);

	if (row->less.timed)
		value -= time_batch(&row->less, row->batch);
	if (row->over.timed)
		value /= time_batch(&row->over, row->batch);
	if (!strcmp(row->unit, "page"))
		value /= size / page;
	if (!strcmp(row->unit, "guard"))
		value /= size / page / 2;
	if (!strcmp(row->unit, "table"))
		value /= size / huge_page_size();
	return value;
}

static bool counts_locks(const struct row *row)
{
	return row->count == read_locks || row->count == write_locks;
}

static void samples(const struct row *row, double *values, int runs)
{
	int i;

	size = row->size == TABLE ? TABLE * page : row->size;
	if (counts_locks(row))
		trace_locks(true);
	sample(row);
	for (i = 0; i < runs; i++)
		values[i] = sample(row);
	if (counts_locks(row))
		trace_locks(false);
}

static void measure(const struct row *row, int runs, bool possible)
{
	double values[MAX_RUNS], middle;

	printf("%s\t%s\t", row->name, row->method);
	if (possible) {
		samples(row, values, runs);
		middle = median(values, runs);
		printf("%.3f\t%.3f\t%.3f\t%d", middle, values[0],
		       values[runs - 1], runs);
	} else {
		printf("-\t-\t-\t0");
	}
	printf("\t%s\t%s\n", row->unit, row->what);
	fflush(stdout);
}

static bool test(const struct row *row, int nr, int runs)
{
	double values[MAX_RUNS];
	bool good;

	samples(row, values, runs);
	median(values, runs);	/* sorts */
	good = values[0] == row->locks && values[runs - 1] == row->locks;
	printf("%sok %d %s, by %s\n", good ? "" : "not ", nr, row->what,
	       row->method);
	if (!good)
		printf("# %g to %g times, not %d\n", values[0],
		       values[runs - 1], row->locks);
	return good;
}

static void measure_overhead(void)
{
	static const struct work empty = { nothing, nothing, nothing };

	overhead = time_batch(&empty, MAX_BATCH);
}

static bool have_guards(void)
{
	int error;

	size = page;
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
	fputs("usage: guard-bench [-l|-t] [-r RUNS] [PATTERN]...\n", stderr);
	exit(2);
}

static int list(void)
{
	size_t i;

	for (i = 0; i < ROWS; i++)
		printf("%-23s %-9s %-6s %s\n", rows[i].name, rows[i].method,
		       rows[i].unit, rows[i].what);
	return 0;
}

static int test_all(int runs, char **patterns)
{
	int nr = 0, failed = 0;
	size_t i;

	puts("TAP version 13");
	for (i = 0; i < ROWS; i++)
		if (counts_locks(&rows[i]) && wanted(&rows[i], patterns))
			failed += !test(&rows[i], ++nr, runs);
	printf("1..%d\n", nr);
	return failed || !nr;
}

static int measure_all(int runs, char **patterns)
{
	bool guards = have_guards();
	int nr = 0;
	size_t i;

	check_clock();
	measure_overhead();
	for (i = 0; i < ROWS; i++) {
		if (!wanted(&rows[i], patterns))
			continue;
		measure(&rows[i], runs, guards || rows[i].method[0] != 'g');
		nr++;
	}
	if (!nr)
		errx(2, "no such row; guard-bench -l lists them");
	return 0;
}

int main(int argc, char **argv)
{
	int (*verb)(int runs, char **patterns) = measure_all;
	int runs = 5, opt;

	while ((opt = getopt(argc, argv, "ltr:")) != -1) {
		if (opt == 'l')
			return list();
		else if (opt == 't')
			verb = test_all;
		else if (opt == 'r')
			runs = atoi(optarg);
		else
			usage();
	}
	if (runs < 1 || runs > MAX_RUNS)
		usage();
	page = sysconf(_SC_PAGESIZE);
	/* Use small pages, whatever the kernel's default is. */
	ok(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0), "PR_SET_THP_DISABLE");
	return verb(runs, argv + optind);
}
