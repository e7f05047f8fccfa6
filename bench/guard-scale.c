// SPDX-License-Identifier: GPL-2.0
/*
 * Measures the cost of guards against their number and against the size of a range, for
 * guard pages and for mprotect(PROT_NONE).
 *
 *	guards	1 to 100,000 guards on every other page: instructions, VMAs, and
 *		kernel memory (page tables, VMAs and their tree)
 *	fork	fork and exit of a child of a process that has all these guards
 *	range	one call for a range without any pages, 2 MiB to 1 TiB, or to the size
 *		whose page tables do not fit into memory; and for the same range,
 *		range-fork (fork and exit of a child), range-remove and range-munmap
 *
 * Prints a line for each point, with tabs between the columns and "-" for what was not
 * measured.  All values are medians; instructions are per guard (range: per page):
 *	KIND METHOD NUMBER INSTRUCTIONS LEAST GREATEST RUNS
 *	VMAS VMPTE-KIB VMA-SLAB-KIB MAPLE-SLAB-KIB SUNRECLAIM-KIB
 *	LEAST GREATEST of VMPTE-KIB + VMA-SLAB-KIB + MAPLE-SLAB-KIB
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "usage.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#define MADV_GUARD_REMOVE 103
#endif

#define PAGE 4096UL
#define RUNS 3
#define GUARDS 100000L
#define MIN_RANGE (2UL << 20)
#define MAX_RANGE (1UL << 40)
#define AREA ((char *)(1UL << 44))	/* nothing else is near it */

struct method {
	const char *name;
	int (*place)(void *address, size_t length);
	int (*remove)(void *address, size_t length);
};

enum {
	VMAS,
	PAGE_TABLES,	/* KiB, of this process */
	VMA_SLAB,	/* KiB, of the whole kernel */
	MAPLE_SLAB,
	UNRECLAIMABLE,
	MEMORY,		/* sum of PAGE_TABLES, VMA_SLAB and MAPLE_SLAB */
	USAGES
};

struct usage {
	long of[USAGES];
};

struct point {
	long guards;
	double each;
	struct usage usage;
};

/* 1, 2, 5, 10, ... guards, and the number at which PROT_NONE fails. */
#define MAX_POINTS 20

struct pass {
	int nr;
	struct point points[MAX_POINTS];
	double fork_each;
};

static int guard_pages(void *address, size_t length)
{
	return madvise(address, length, MADV_GUARD_INSTALL);
}

static int remove_guard_pages(void *address, size_t length)
{
	return madvise(address, length, MADV_GUARD_REMOVE);
}

static int protect_none(void *address, size_t length)
{
	return mprotect(address, length, PROT_NONE);
}

static int protect_again(void *address, size_t length)
{
	return mprotect(address, length, PROT_READ | PROT_WRITE);
}

static const struct method methods[] = {
	{ "guard", guard_pages, remove_guard_pages },
	{ "mprotect", protect_none, protect_again },
};
#define METHODS (sizeof(methods) / sizeof(methods[0]))

static void map(size_t size)
{
	if (mmap(AREA, size, PROT_READ | PROT_WRITE, MAP_PRIVATE |
		 MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) != AREA)
		err(1, "mmap");
}

static void unmap(size_t size)
{
	if (munmap(AREA, size))
		err(1, "munmap");
}

/* The counters. */

/* KiB in the pages of a slab cache. */
static long slab(const char *name)
{
	FILE *file = open_or_die("/proc/slabinfo");
	char line[512], word[64];
	long pages, slabs, found = -1;

	while (found < 0 && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%63s %*d %*d %*d %*d %ld : tunables %*d %*d %*d : slabdata %*d %ld",
			   word, &pages, &slabs) == 3 && !strcmp(word, name))
			found = pages * slabs * (PAGE / 1024);
	}
	fclose(file);
	if (found < 0)
		errx(1, "no separate slab cache %s", name);
	return found;
}

/* Free the slabs that earlier passes left empty. */
static void shrink(const char *name)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "/sys/kernel/slab/%s/shrink", name);
	fd = open(path, O_WRONLY);
	if (fd < 0 || write(fd, "1", 1) != 1)
		err(1, "%s", path);
	close(fd);
}

static struct usage usage_now(void)
{
	struct usage usage = { {
		[VMAS] = count_vmas(),
		[PAGE_TABLES] = read_number("/proc/self/status", "VmPTE:"),
		[VMA_SLAB] = slab("vm_area_struct"),
		[MAPLE_SLAB] = slab("maple_node"),
		[UNRECLAIMABLE] = read_number("/proc/meminfo", "SUnreclaim:"),
	} };

	usage.of[MEMORY] = usage.of[PAGE_TABLES] + usage.of[VMA_SLAB] +
			   usage.of[MAPLE_SLAB];
	return usage;
}

static struct usage added(const struct usage *before)
{
	struct usage usage = usage_now();
	int i;

	for (i = 0; i < USAGES; i++)
		usage.of[i] -= before->of[i];
	return usage;
}

static int64_t time_fork(void)
{
	int64_t begin = now();
	pid_t child = _Fork();

	if (!child)
		_exit(0);
	if (child < 0 || waitpid(child, NULL, 0) != child)
		err(1, "fork");
	return now() - begin;
}

/* A pass places all guards and reads the counters at every point. */

static bool is_point(long guards)
{
	while (guards % 10 == 0)
		guards /= 10;
	return guards == 1 || guards == 2 || guards == 5;
}

static void pass(const struct method *method, struct pass *pass)
{
	size_t size = 2 * GUARDS * PAGE;
	int64_t took = 0, begin, plain;
	struct usage before;
	bool more = true;
	long guards = 0;

	map(size);
	plain = time_fork();
	before = usage_now();
	while (more) {
		begin = now();
		do {
			more = !method->place(AREA + 2 * guards * PAGE, PAGE);
			guards += more;
		} while (more && !is_point(guards));
		took += now() - begin;
		if (!more && errno != ENOMEM)
			err(1, "%s", method->name);
		pass->points[pass->nr++] = (struct point) {
			guards, (double)took / guards, added(&before)
		};
		more = more && guards < GUARDS;
	}
	pass->fork_each = (double)(time_fork() - plain) / guards;
}

/* Run a pass in a process of its own, with its own page tables. */
static void pass_alone(const struct method *method, struct pass *result)
{
	pid_t child;

	/* Let RCU free what the previous pass has left. */
	sleep(1);
	shrink("vm_area_struct");
	shrink("maple_node");
	child = fork();
	if (!child) {
		pass(method, result);
		_exit(0);
	}
	if (child < 0 || waitpid(child, NULL, 0) != child)
		err(1, "fork");
	if (!result->nr)
		errx(1, "a pass died");
}

static void print(const char *kind, const char *method, long number,
		  double *values)
{
	double middle = median(values, RUNS);

	printf("%s\t%s\t%ld\t%.6g\t%.6g\t%.6g\t%d", kind, method, number, middle,
	       values[0], values[RUNS - 1], RUNS);
}

static void many(const struct method *method, struct pass *passes)
{
	double values[RUNS];
	int i, run, of;

	memset(passes, 0, RUNS * sizeof(*passes));
	for (run = 0; run < RUNS; run++)
		pass_alone(method, &passes[run]);
	for (i = 0; i < passes[0].nr; i++) {
		for (run = 0; run < RUNS; run++)
			values[run] = passes[run].points[i].each;
		print("guards", method->name, passes[0].points[i].guards, values);
		for (of = 0; of < USAGES; of++) {
			for (run = 0; run < RUNS; run++)
				values[run] = passes[run].points[i].usage.of[of];
			if (of < MEMORY)
				printf("\t%g", median(values, RUNS));
		}
		median(values, RUNS);	/* sorts */
		printf("\t%g\t%g\n", values[0], values[RUNS - 1]);
	}
	for (run = 0; run < RUNS; run++)
		values[run] = passes[run].fork_each;
	print("fork", method->name, passes[0].points[i - 1].guards, values);
	printf("\t-\t-\t-\t-\t-\t-\t-\n");
	fflush(stdout);
}

enum { INSTALL, FORK, REMOVE, MUNMAP, CALLS };

static const char *const calls[CALLS] = {
	"range", "range-fork", "range-remove", "range-munmap"
};

static void time_range(const struct method *method, size_t size, int64_t *took,
		       long *page_tables)
{
	int64_t begin, plain;

	map(size);
	plain = time_fork();
	*page_tables = read_number("/proc/self/status", "VmPTE:");
	begin = now();
	if (method->place(AREA, size))
		err(1, "%s of %zu bytes", method->name, size);
	took[INSTALL] = now() - begin;
	*page_tables = read_number("/proc/self/status", "VmPTE:") - *page_tables;

	took[FORK] = time_fork() - plain;

	begin = now();
	if (method->remove(AREA, size))
		err(1, "%s of %zu bytes, removed", method->name, size);
	took[REMOVE] = now() - begin;

	if (method->place(AREA, size))
		err(1, "%s of %zu bytes, again", method->name, size);
	begin = now();
	unmap(size);
	took[MUNMAP] = now() - begin;
}

static void ranges(const struct method *method)
{
	long page_tables = 0, free_memory = 0;
	int64_t took[RUNS][CALLS];
	double values[RUNS];
	size_t size;
	int run, call;

	for (size = MIN_RANGE; size <= MAX_RANGE && 2 * page_tables <= free_memory; size *= 2) {
		time_range(method, size, took[0], &page_tables);
		for (run = 0; run < RUNS; run++)
			time_range(method, size, took[run], &page_tables);
		for (call = 0; call < CALLS; call++) {
			for (run = 0; run < RUNS; run++)
				values[run] = (double)took[run][call] / (size / PAGE);
			print(calls[call], method->name, size / PAGE, values);
			if (call == INSTALL)
				printf("\t-\t%ld\t-\t-\t-\t-\t-\n", page_tables);
			else
				printf("\t-\t-\t-\t-\t-\t-\t-\n");
		}
		fflush(stdout);
		free_memory = read_number("/proc/meminfo", "MemAvailable:");
	}
}

int main(void)
{
	struct pass *passes = mmap(NULL, RUNS * sizeof(*passes),
				   PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	size_t i;

	if (passes == MAP_FAILED)
		err(1, "mmap");
	check_clock();
	/* Use small pages, whatever the kernel's default is. */
	if (prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0))
		err(1, "PR_SET_THP_DISABLE");
	for (i = 0; i < METHODS; i++)
		many(&methods[i], passes);
	for (i = 0; i < METHODS; i++)
		ranges(&methods[i]);
	return 0;
}
