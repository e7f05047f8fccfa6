// SPDX-License-Identifier: GPL-2.0
/*
 * Measures the page-fault rate of one thread while a second thread installs and
 * removes guards, relative to the rate while the second thread only spins.  This
 * needs two processors that really run at the same time; the clock is an ordinary
 * one, so only ratios are meaningful.
 *
 * A round measures each way in turn, in two time windows: one for the reference,
 * one for the way itself.  A row is the median of the rounds' ratios, with the
 * minimum and the maximum; the first round warms up and is not counted.
 *
 * Prints a line for each row, as guard-bench does:
 *	NAME METHOD MEDIAN LEAST GREATEST RUNS UNIT WORK
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>

#include "clock.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#define MADV_GUARD_REMOVE 103
#endif

#define PAGE 4096UL
#define ROUNDS 41
#define WINDOW 0.2		/* seconds */
#define FAULTS 2048UL		/* between flushes of both TLBs */
#define SIZE (64UL << 20)
/* Far apart, so that they are two VMAs.  Guards are not at the pages that fault. */
#define AREA ((char *)(1UL << 44))
#define OTHER ((char *)(1UL << 45))
#define MIDDLE (SIZE / 2)

struct way {
	const char *name;
	const char *method;
	const char *what;
	void (*work)(void *page);
	char *page;
};

static const struct way *way;
static atomic_bool begun, stop;

static void check(int error, const char *what)
{
	if (error)
		err(1, "%s", what);
}

static void nothing(void *page)
{
	(void)page;
}

static void guard(void *page)
{
	check(madvise(page, PAGE, MADV_GUARD_INSTALL), "MADV_GUARD_INSTALL");
	check(madvise(page, PAGE, MADV_GUARD_REMOVE), "MADV_GUARD_REMOVE");
}

static void protect(void *page)
{
	check(mprotect(page, PAGE, PROT_NONE), "mprotect");
	check(mprotect(page, PAGE, PROT_READ | PROT_WRITE), "mprotect");
}

/* The reference is no second thread for the first way, the first way for the others. */
static const struct way ways[] = {
	{ "beside-spin", "plain", "faults beside a loop, vs alone", nothing, AREA },
	{ "beside-same", "guard", "beside guards in the same VMA", guard, AREA + MIDDLE },
	{ "beside-other", "guard", "beside guards in another VMA", guard, OTHER + MIDDLE },
	{ "beside-same", "mprotect", "beside PROT_NONE in the same VMA", protect, AREA + MIDDLE },
	{ "beside-other", "mprotect", "beside PROT_NONE in another VMA", protect, OTHER + MIDDLE },
};
#define WAYS (sizeof(ways) / sizeof(ways[0]))

static double seconds(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

static void run_on(int cpu)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(cpu, &cpus);
	check(sched_setaffinity(0, sizeof(cpus), &cpus), "processor");
}

static void *other_thread(void *unused)
{
	run_on(1);
	while (!stop) {
		way->work(way->page);
		begun = true;
	}
	return unused;
}

/* Page faults per second. */
static double fault_rate(void)
{
	double begin = seconds(), took;
	long faults = 0;
	size_t i;

	do {
		for (i = 0; i < FAULTS; i++)
			*(volatile char *)(AREA + i * PAGE) = 1;
		check(madvise(AREA, FAULTS * PAGE, MADV_DONTNEED), "MADV_DONTNEED");
		faults += FAULTS;
		took = seconds() - begin;
	} while (took < WINDOW);
	return faults / took;
}

static double fault_rate_beside(const struct way *beside)
{
	pthread_t thread;
	double rate;

	way = beside;
	begun = stop = false;
	if (pthread_create(&thread, NULL, other_thread, NULL))
		errx(1, "no thread");
	while (!begun)
		sched_yield();
	rate = fault_rate();
	stop = true;
	pthread_join(thread, NULL);
	return rate;
}

static void map(char *address)
{
	char *got = mmap(address, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE |
			 MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);

	if (got != address)
		err(1, "mmap");
	/* Populate a first page, which takes a different path, and the guards' page table. */
	got[0] = got[MIDDLE + PAGE] = 1;
}

static bool have_guards(void)
{
	bool have = !madvise(AREA + MIDDLE, PAGE, MADV_GUARD_INSTALL);

	if (!have && errno != EINVAL)
		err(1, "MADV_GUARD_INSTALL");
	return have && !madvise(AREA + MIDDLE, PAGE, MADV_GUARD_REMOVE);
}

int main(void)
{
	static double ratios[WAYS][ROUNDS];
	bool guards;
	size_t i;
	int round;

	/* Use small pages, whatever the kernel's default is. */
	check(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0), "PR_SET_THP_DISABLE");
	run_on(0);
	map(AREA);
	map(OTHER);
	guards = have_guards();
	for (round = -1; round < ROUNDS; round++) {
		for (i = 0; i < WAYS; i++) {
			double other;

			if (!guards && ways[i].work == guard)
				continue;
			other = i ? fault_rate_beside(&ways[0]) : fault_rate();
			ratios[i][round < 0 ? 0 : round] =
				fault_rate_beside(&ways[i]) / other;
		}
	}
	for (i = 0; i < WAYS; i++) {
		double middle = median(ratios[i], ROUNDS);

		printf("%s\t%s\t", ways[i].name, ways[i].method);
		if (guards || ways[i].work != guard)
			printf("%.3f\t%.3f\t%.3f\t%d", middle, ratios[i][0],
			       ratios[i][ROUNDS - 1], ROUNDS);
		else
			printf("-\t-\t-\t0");
		printf("\tratio\t%s\n", ways[i].what);
	}
	return 0;
}
