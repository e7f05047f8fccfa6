// SPDX-License-Identifier: GPL-2.0
/*
 * Make every other page of a mapping a guard, once with mprotect(PROT_NONE) and
 * once with madvise(MADV_GUARD_INSTALL), and compare the costs. Prints the second
 * part of the table.
 *
 * Exits with 1 if the kernel has no guard pages, if mprotect() does not fail at
 * vm.max_map_count, or if a page is wrong: a guard must raise SIGSEGV, the page
 * after it must be writable.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "../bench/usage.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

#define GUARDS 100000L		/* number of guards to place with each method */
#define SAMPLE 100		/* one guard in this many is touched */
#define BATCH 20		/* number of guards that are timed together */

struct usage {
	long vmas;
	long page_tables;	/* KiB, of this process */
	long slabs;		/* KiB, of the whole kernel: VMAs and their tree */
};

struct result {
	const char *method;
	long placed;
	long verified;		/* guards that a system call could not read */
	long touched;		/* guards that raised SIGSEGV on access */
	int error;		/* errno of the call that failed, or 0 */
	double seconds[GUARDS / BATCH];	/* of each whole batch */
	struct usage before;
	struct usage after;
};

static size_t page_size;
static long max_map_count;
static sigjmp_buf fault;
static void *volatile fault_address;

static int by_mprotect(void *page)
{
	return mprotect(page, page_size, PROT_NONE);
}

static int by_guard_install(void *page)
{
	return madvise(page, page_size, MADV_GUARD_INSTALL);
}

static struct usage usage_now(void)
{
	FILE *refresh = fopen("/proc/sys/vm/stat_refresh", "r");

	/* If permitted, make each CPU fold its own counts into the totals. */
	if (refresh) {
		getc(refresh);
		fclose(refresh);
	}
	return (struct usage) {
		.vmas = count_vmas(),
		.page_tables = read_number("/proc/self/status", "VmPTE:"),
		.slabs = read_number("/proc/meminfo", "SUnreclaim:"),
	};
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

static void on_segv(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	fault_address = info->si_addr;
	siglongjmp(fault, 1);
}

/* Does a system call that reads a signal set at @page fail with EFAULT? */
static int is_unreadable(void *page)
{
	/* SIG_BLOCK with the empty set of a fresh page changes nothing. */
	if (!syscall(SYS_rt_sigprocmask, SIG_BLOCK, page, NULL, _NSIG / 8))
		return 0;
	if (errno != EFAULT)
		err(1, "rt_sigprocmask");
	return 1;
}

/* Does touching @page raise SIGSEGV, with exactly that address? */
static int gives_sigsegv(volatile char *page)
{
	fault_address = NULL;
	/* With SA_NODEFER, there is no signal mask to save and restore. */
	if (!sigsetjmp(fault, 0)) {
		*page = 1;
		return 0;
	}
	return fault_address == page;
}

/* Check every guard; touch some, and write to the page after them. */
static void verify(struct result *result, char *area)
{
	struct sigaction action = {
		.sa_sigaction = on_segv,
		.sa_flags = SA_SIGINFO | SA_NODEFER,
	};
	long i;

	if (sigaction(SIGSEGV, &action, NULL))
		err(1, "SIGSEGV handler");
	for (i = 0; i < result->placed; i++) {
		char *page = area + 2 * i * page_size;

		if (!is_unreadable(page))
			errx(1, "%s: guard %ld can be read", result->method, i);
		result->verified++;
		if (i % SAMPLE)
			continue;
		if (!gives_sigsegv(page))
			errx(1, "%s: guard %ld does not raise SIGSEGV",
			     result->method, i);
		result->touched++;
		if (gives_sigsegv(page + page_size))
			errx(1, "%s: the page after guard %ld raises SIGSEGV",
			     result->method, i);
	}
	signal(SIGSEGV, SIG_DFL);
}

static struct result place_guards(const char *method,
				  int (*place)(void *page))
{
	struct result result = { .method = method };
	double begin = 0;
	size_t length = 2 * GUARDS * page_size;
	char *area = mmap(NULL, length, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (area == MAP_FAILED)
		err(1, "mmap");
	result.before = usage_now();
	while (result.placed < GUARDS && !result.error) {
		if (result.placed % BATCH == 0)
			begin = now();
		if (place(area + 2 * result.placed * page_size))
			result.error = errno;
		else if (++result.placed % BATCH == 0)
			result.seconds[result.placed / BATCH - 1] = now() - begin;
	}
	result.after = usage_now();
	verify(&result, area);
	munmap(area, length);
	return result;
}

static void need_guard_pages(void)
{
	void *page = mmap(NULL, page_size, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		err(1, "mmap");
	if (by_guard_install(page))
		err(1, "this kernel has no guard pages: madvise(MADV_GUARD_INSTALL)");
	munmap(page, page_size);
}

static long vmas_added(const struct result *result)
{
	return result->after.vmas - result->before.vmas;
}

static long page_tables_added(const struct result *result)
{
	return result->after.page_tables - result->before.page_tables;
}

static long slabs_added(const struct result *result)
{
	return result->after.slabs - result->before.slabs;
}

static double bytes_each(const struct result *result)
{
	return (page_tables_added(result) + slabs_added(result)) * 1024.0 /
	       result->placed;
}

static int compare_seconds(const void *a, const void *b)
{
	double left = *(const double *)a, right = *(const double *)b;

	return (left > right) - (left < right);
}

/* Use the median batch, because the host may have been busy at times. */
static double seconds_each(const struct result *result)
{
	double sorted[GUARDS / BATCH];
	long batches = result->placed / BATCH;

	memcpy(sorted, result->seconds, sizeof(sorted));
	qsort(sorted, batches, sizeof(*sorted), compare_seconds);
	return sorted[batches / 2] / BATCH;
}

/* Did it stop at the limit on VMAs? */
static int hit_max_map_count(const struct result *result)
{
	return result->error == ENOMEM &&
	       labs(result->after.vmas - max_map_count) <= 2;
}

static void print_row(const char *what, long old, long new)
{
	printf("  %-36s %19ld %19ld\n", what, old, new);
}

static void print_table(const struct result *old, const struct result *new)
{
	char stopped[32] = "nothing";

	if (hit_max_map_count(old))
		snprintf(stopped, sizeof(stopped), "max_map_count %ld",
			 max_map_count);
	printf("  %-36s %19s %19s\n", "one-page guards, every other page",
	       old->method, new->method);
	print_row("asked for", GUARDS, GUARDS);
	print_row("placed", old->placed, new->placed);
	printf("  %-36s %19s %19s\n", "stopped by", stopped, "nothing");
	print_row("checked: no access", old->verified, new->verified);
	print_row("touched: SIGSEGV", old->touched, new->touched);
	print_row("VMAs added", vmas_added(old), vmas_added(new));
	print_row("page tables added, KiB", page_tables_added(old),
		  page_tables_added(new));
	print_row("kernel slabs added, KiB", slabs_added(old),
		  slabs_added(new));
	printf("  %-36s %19.0f %19.0f\n", "kernel memory each, bytes",
	       bytes_each(old), bytes_each(new));
	printf("  %-36s %17.0f x %17.0f x\n", "median time each",
	       seconds_each(old) / seconds_each(new), 1.0);
	fflush(stdout);
}

int main(void)
{
	struct result old, new;

	page_size = sysconf(_SC_PAGESIZE);
	max_map_count = read_number("/proc/sys/vm/max_map_count", "");
	need_guard_pages();
	/* mprotect() last: the kernel frees its VMAs some time after munmap(). */
	new = place_guards("MADV_GUARD_INSTALL", by_guard_install);
	if (new.error)
		errx(1, "%s stopped after %ld guards: %s", new.method,
		     new.placed, strerror(new.error));
	old = place_guards("mprotect(PROT_NONE)", by_mprotect);
	print_table(&old, &new);

	if (vmas_added(&new))
		errx(1, "%s added %ld VMAs", new.method, vmas_added(&new));
	if (!hit_max_map_count(&old))
		errx(1, "%s did not stop at vm.max_map_count %ld but at %ld VMAs: %s",
		     old.method, max_map_count, old.after.vmas,
		     strerror(old.error));
	return 0;
}
