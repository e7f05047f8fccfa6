// SPDX-License-Identifier: GPL-2.0
/*
 * munlock() of memory that was never locked, while another thread installs the first guard
 * of the VMA.  mlock_fixup() reads the flags twice.  If the guard flag is set in between,
 * mlock_fixup() takes the VMA for a locked one and subtracts its pages from the number of
 * locked pages.  A negative number lifts RLIMIT_MEMLOCK.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include "ktap.h"

#define SIZE	(64UL << 20)
#define ROUNDS	20000

static _Atomic(char *) target;
static atomic_bool stop;
static atomic_long unlocks;

static void *unlocker(void *unused)
{
	while (!stop) {
		char *p = target;

		if (p) {
			munlock(p, SIZE);
			unlocks++;
		}
	}
	return unused;
}

static bool may_lock_too_much(void)
{
	char *p = map_anon(SIZE);
	bool may = !mlock(p, SIZE);

	munmap(p, SIZE);
	return may;
}

int main(void)
{
	struct rlimit limit = { 65536, 65536 };
	unsigned long long locked = 0;
	pthread_t thread;
	long i;

	plan(3);
	if (setrlimit(RLIMIT_MEMLOCK, &limit) || setgid(65534) || setuid(65534))
		cannot("giving up privileges");
	check(!may_lock_too_much(), "the limit of locked memory holds before the race");
	if (pthread_create(&thread, NULL, unlocker, NULL))
		cannot("pthread_create");

	for (i = 0; i < ROUNDS && !locked; i++) {
		char *p = map_anon(SIZE);
		long before = unlocks;

		/* A VMA with an anon_vma: the flag is set without the mmap_lock. */
		p[2 * page_size()] = 1;
		target = p;
		while (unlocks < before + 2)
			sched_yield();
		for (volatile int spin = i % 64; spin; spin--)
			;
		guard(p, page_size());
		target = NULL;
		munmap(p, SIZE);
		if (i % 100 == 0 || i == ROUNDS - 1)
			locked = number_in("/proc/self/status", "VmLck:");
	}
	stop = true;
	pthread_join(thread, NULL);
	printf("# %ld rounds, VmLck %lld KiB\n", i, (long long)(locked << 10) >> 10);
	check(!locked, "munlock() of unlocked memory subtracts nothing");
	check(!may_lock_too_much(), "the limit of locked memory holds after the race");
	return done();
}
