// SPDX-License-Identifier: GPL-2.0
/*
 * mprotect() beside the first guard of a VMA.  It reads the flags of the VMA, compares and
 * writes them later.  If the guard flag is set in between, mprotect() splits a VMA that it
 * does not change, or it writes the old flags back.  In the second case, the VMA loses the
 * flag, and the next child does not get the guard.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include "ktap.h"

#define VMAS	2000
#define ROUNDS	5
#define STRIDE	(4 * page_size())

static char *base;
static atomic_int turn, stop;
static pthread_barrier_t barrier;

static void *installer(void *unused)
{
	for (;;) {
		pthread_barrier_wait(&barrier);
		if (stop)
			return unused;
		for (int i = 0; i < VMAS; i++) {
			while (turn < i)
				;
			for (volatile int spin = i * 7 % 61; spin; spin--)
				;
			guard(base + i * STRIDE, page_size());
		}
		pthread_barrier_wait(&barrier);
	}
}

static int vmas(void)
{
	FILE *f = fopen("/proc/self/maps", "r");
	int c, n = 0;

	if (!f)
		cannot("/proc/self/maps");
	while ((c = getc(f)) != EOF)
		n += c == '\n';
	fclose(f);
	return n;
}

/* VMAS mappings of three pages, with a hole behind each. */
static void map_vmas(int fd)
{
	base = mmap(NULL, VMAS * STRIDE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (base == MAP_FAILED)
		cannot("mmap");
	for (int i = 0; i < VMAS; i++)
		if (munmap(base + i * STRIDE + 3 * page_size(), page_size()))
			cannot("munmap");
}

static int guards(void)
{
	int n = 0;

	for (int i = 0; i < VMAS; i++)
		n += !!(pagemap(base + i * STRIDE) & PM_GUARD);
	return n;
}

/* Guards that a child lacks. */
static int lost_by_child(void)
{
	int status;
	pid_t pid = fork();

	if (pid < 0)
		cannot("fork");
	if (!pid)
		_exit(guards() != VMAS);
	if (waitpid(pid, &status, 0) != pid)
		cannot("waitpid");
	return status != 0;
}

static void race(int fd, int prot, long *more, int *lost)
{
	*more = *lost = 0;
	for (int round = 0; round < ROUNDS && !*lost; round++) {
		int before;

		map_vmas(fd);
		before = vmas();
		turn = -1;
		pthread_barrier_wait(&barrier);
		for (int i = 0; i < VMAS; i++) {
			turn = i;
			for (volatile int spin = i * 3 % 53; spin; spin--)
				;
			if (mprotect(base + i * STRIDE, prot == PROT_READ ? 3 * page_size() :
				     page_size(), prot))
				cannot("mprotect");
		}
		pthread_barrier_wait(&barrier);
		*more += vmas() - before;
		*lost = lost_by_child();
		munmap(base, VMAS * STRIDE);
	}
}

int main(void)
{
	int fd = memfd_create("mprotect", 0), lost;
	pthread_t thread;
	long more;

	plan(2);
	if (fd < 0 || ftruncate(fd, VMAS * STRIDE))
		cannot("memfd_create");
	pthread_barrier_init(&barrier, NULL, 2);
	if (pthread_create(&thread, NULL, installer, NULL))
		cannot("pthread_create");
	race(fd, PROT_READ | PROT_WRITE, &more, &lost);
	printf("# %ld VMAs more than before\n", more);
	check(!more, "mprotect() that changes nothing splits no VMA");
	race(fd, PROT_READ, &more, &lost);
	check(!lost, "mprotect() keeps the note that a VMA has guards");
	stop = 1;
	pthread_barrier_wait(&barrier);
	pthread_join(thread, NULL);
	return done();
}
