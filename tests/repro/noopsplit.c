// SPDX-License-Identifier: GPL-2.0
/*
 * mprotect() and madvise() that change nothing, while another thread installs the first
 * guard of the VMA: do they split the VMA?
 */
#include "repro.h"
#include <sys/prctl.h>

#define NR	2000		/* VMAs */
#define EACH	(4 * PAGE)	/* three pages, and a gap */
#define ROUNDS	8

static char *mem;
static pthread_barrier_t barrier;
static atomic_int at;

static void *install(void *unused)
{
	int round, i;

	for (round = 0; round < ROUNDS; round++) {
		pthread_barrier_wait(&barrier);
		for (i = 0; i < NR; i++) {
			while (at < i)
				;
			for (volatile int delay = i * 7 % 61; delay > 0; delay--)
				;
			advise(mem + i * EACH, PAGE, MADV_GUARD_INSTALL);
		}
		pthread_barrier_wait(&barrier);
	}
	return unused;
}

static int protect_again(char *page)
{
	return mprotect(page, PAGE, RW);
}

static int advise_again(char *page)
{
	return madvise(page, PAGE, MADV_DOFORK);
}

static void race(int (*call)(char *page), int flags, const char *name)
{
	pthread_t other = thread(install, NULL);
	long added = 0;
	int round, i;

	for (round = 0; round < ROUNDS; round++) {
		mem = map(NR * EACH, PROT_NONE, flags | MAP_NORESERVE);
		for (i = 0; i < NR; i++)
			if (mprotect(mem + i * EACH, 3 * PAGE, RW))
				err(1, "mprotect");
		added -= count_vmas();
		at = -1;
		pthread_barrier_wait(&barrier);
		for (i = 0; i < NR; i++) {
			at = i;
			for (volatile int delay = i * 3 % 53; delay > 0; delay--)
				;
			if (call(mem + i * EACH + PAGE))
				err(1, "%s", name);
		}
		pthread_barrier_wait(&barrier);
		added += count_vmas();
		munmap(mem, NR * EACH);
	}
	pthread_join(other, NULL);
	verdict(!added, name, "%ld VMAs added by %d calls", added, ROUNDS * NR);
}

int main(void)
{
	pthread_barrier_init(&barrier, NULL, 2);
	plan(4);
	race(protect_again, MAP_PRIVATE, "mprotect_of_no_change_splits_no_private_vma");
	race(advise_again, MAP_PRIVATE, "madvise_of_no_change_splits_no_private_vma");
	race(protect_again, MAP_SHARED, "mprotect_of_no_change_splits_no_shared_vma");
	race(advise_again, MAP_SHARED, "madvise_of_no_change_splits_no_shared_vma");
	return 0;
}
