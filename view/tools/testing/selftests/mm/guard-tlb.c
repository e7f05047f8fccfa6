// SPDX-License-Identifier: GPL-2.0-only
/*
 * How often installing and moving guard pages interrupts other CPUs to flush
 * their TLBs, beside a thread that changes or frees memory all the time.
 * guard-races.c, guard-thp.c and guard-reclaim.c test what a missing flush
 * would do.
 */
#define _GNU_SOURCE
#include "../kselftest_harness.h"
#include <linux/perf_event.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include "guard_util.h"

#define MIB			(1UL << 20)
/* TLB_REMOTE_SEND_IPI of enum tlb_flush_reason */
#define FILTER			"reason == 4"
#define NR_ROUNDS		1000
/*
 * The other thread must do that many rounds, so that unneeded flushes would
 * show.
 */
#define NR_RIVAL_ROUNDS		20
/* Finishing at the same time as another thread may cost a flush, rarely. */
#define NR_TOLERATED		(NR_ROUNDS / 100)
/* when waiting for a flush that has to happen now and then */
#define MAX_ROUNDS		500000

struct flush_test {
	int counter;
	char *mine;		/* 4 MiB, aligned */
	char *rivals;		/* likewise */
	cpu_set_t allowed;
	pthread_t rival;
	atomic_bool stop;
	atomic_long rival_rounds;
};

FIXTURE(flush)
{
	struct flush_test test;
};

/*
 * Count the interrupts that the calling thread sends. Returns a negative errno
 * on failure.
 */
static int open_counter(void)
{
	struct perf_event_attr attr = {
		.size = sizeof(attr),
		.type = PERF_TYPE_TRACEPOINT,
	};
	FILE *id;
	int fd;

	id = fopen("/sys/kernel/tracing/events/tlb/tlb_flush/id", "r");
	if (!id)
		return -errno;
	if (fscanf(id, "%llu", (unsigned long long *)&attr.config) != 1)
		attr.config = 0;
	fclose(id);

	fd = syscall(__NR_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
	if (fd < 0 || ioctl(fd, PERF_EVENT_IOC_SET_FILTER, FILTER))
		return -errno;
	return fd;
}

static long nr_flushes(struct flush_test *test)
{
	uint64_t n;

	if (read(test->counter, &n, sizeof(n)) != sizeof(n))
		ksft_exit_fail_msg("cannot read the counter\n");
	return n;
}

/* A range that shares no page table with others. */
static char *map_tables(size_t len)
{
	size_t align = 2 * MIB;
	char *p = mmap(NULL, len + 2 * align, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	p = (char *)(((uintptr_t)p + 2 * align - 1) & ~(align - 1));
	madvise(p, len, MADV_NOHUGEPAGE); /* EINVAL: no huge pages at all */
	return p;
}

static void populate(char *p, size_t len)
{
	for (size_t i = 0; i < len; i += psize())
		((volatile char *)p)[i] = 1;
}

static void *change_protection(void *arg)
{
	struct flush_test *test = arg;
	int prot = PROT_READ;

	populate(test->rivals, 4 * MIB);
	while (!test->stop) {
		mprotect(test->rivals, 4 * MIB, prot);
		prot ^= PROT_WRITE;
		test->rival_rounds++;
	}
	return NULL;
}

static void *free_elsewhere(void *arg)
{
	struct flush_test *test = arg;

	while (!test->stop) {
		populate(test->rivals, MIB);
		madvise(test->rivals, MIB, MADV_DONTNEED);
		test->rival_rounds++;
	}
	return NULL;
}

/*
 * Frees memory in the first half of the first page table of the installing
 * thread.
 */
static void *free_beside(void *arg)
{
	struct flush_test *test = arg;

	while (!test->stop) {
		populate(test->mine, MIB);
		madvise(test->mine, MIB, MADV_DONTNEED);
		test->rival_rounds++;
	}
	return NULL;
}

/*
 * Stays on another CPU and makes no system call: the CPU of a thread that waits
 * for mmap_lock needs no interrupt.
 */
static void *spin(void *arg)
{
	struct flush_test *test = arg;

	move_to_another_cpu(&test->allowed);
	while (!test->stop)
		test->rival_rounds++;
	return NULL;
}

static void start_rival(struct flush_test *test, void *(*rival)(void *))
{
	test->stop = false;
	test->rival_rounds = 0;
	if (pthread_create(&test->rival, NULL, rival, test))
		ksft_exit_fail_msg("cannot make a thread\n");
	while (test->rival_rounds < 2)
		sched_yield();
}

static void stop_rival(struct flush_test *test)
{
	test->stop = true;
	pthread_join(test->rival, NULL);
}

/* MADV_DONTNEED has to flush, but not every hypervisor's flush is an event. */
static bool can_see_flushes(struct flush_test *test)
{
	long before = nr_flushes(test);

	start_rival(test, free_elsewhere);
	for (int i = 0; i < NR_ROUNDS && nr_flushes(test) == before; i++) {
		populate(test->mine, psize());
		madvise(test->mine, psize(), MADV_DONTNEED);
	}
	stop_rival(test);
	return nr_flushes(test) != before;
}

FIXTURE_SETUP(flush)
{
	struct flush_test *test = &self->test;

	if (nr_cpus(&test->allowed) < 2)
		SKIP(return, "needs two CPUs");
	test->counter = open_counter();
	if (test->counter < 0)
		SKIP(return, "cannot count flushes: %s", strerror(-test->counter));
	test->mine = map_tables(4 * MIB);
	test->rivals = map_tables(4 * MIB);
	ASSERT_NE(NULL, test->mine);
	ASSERT_NE(NULL, test->rivals);
	if (!can_see_flushes(test))
		SKIP(return, "flushes by MADV_DONTNEED raise no event");
}

FIXTURE_TEARDOWN(flush)
{
	close(self->test.counter);
}

/* Flushes by one call. */
static long install(struct flush_test *test, char *page)
{
	long before = nr_flushes(test);

	if (madvise(page, psize(), MADV_GUARD_INSTALL))
		ksft_exit_fail_msg("INSTALL: %s\n", strerror(errno));
	return nr_flushes(test) - before;
}

static void uninstall(char *page)
{
	if (madvise(page, psize(), MADV_GUARD_REMOVE))
		ksft_exit_fail_msg("REMOVE: %s\n", strerror(errno));
}

/* Install and remove a guard where nothing was ever mapped. */
static long install_in_new_memory(struct flush_test *test)
{
	long until = test->rival_rounds + NR_RIVAL_ROUNDS, flushes = 0;

	for (int i = 0; i < NR_ROUNDS || test->rival_rounds < until; i++) {
		flushes += install(test, test->mine);
		uninstall(test->mine);
	}
	return flushes;
}

TEST_F(flush, install_in_new_memory_beside_mprotect_flushes_nothing)
{
	struct flush_test *test = &self->test;

	start_rival(test, change_protection);
	EXPECT_EQ(0, install_in_new_memory(test));
	stop_rival(test);
}

TEST_F(flush, install_in_new_memory_beside_frees_flushes_nothing)
{
	struct flush_test *test = &self->test;

	start_rival(test, free_elsewhere);
	EXPECT_EQ(0, install_in_new_memory(test));
	stop_rival(test);
}

/*
 * As an allocator does: free an object, and install a guard after the next
 * one.
 */
TEST_F(flush, install_beside_frees_in_other_tables_flushes_nothing)
{
	struct flush_test *test = &self->test;
	char *object = test->mine, *behind = test->mine + psize();
	long until, flushes = 0;

	start_rival(test, free_elsewhere);
	until = test->rival_rounds + NR_RIVAL_ROUNDS;
	for (int i = 0; i < NR_ROUNDS || test->rival_rounds < until; i++) {
		populate(object, psize());
		install(test, object);	/* frees a page: that takes a flush */
		uninstall(object);
		flushes += install(test, behind);
		uninstall(behind);
	}
	stop_rival(test);
	EXPECT_GE(NR_TOLERATED, flushes);
}

TEST_F(flush, install_beside_frees_in_the_same_table_flushes)
{
	struct flush_test *test = &self->test;
	char *page = test->mine + 3 * MIB / 2;
	long flushes = 0;

	start_rival(test, free_beside);
	for (int i = 0; i < MAX_ROUNDS && !flushes; i++) {
		flushes += install(test, page);
		uninstall(page);
	}
	stop_rival(test);
	EXPECT_LT(0, flushes);
}

TEST_F(flush, install_over_pages_flushes_once)
{
	struct flush_test *test = &self->test;
	long until, flushes = 0;
	int n;

	start_rival(test, change_protection);
	until = test->rival_rounds + NR_RIVAL_ROUNDS;
	for (n = 0; n < NR_ROUNDS || test->rival_rounds < until; n++) {
		populate(test->mine, psize());
		flushes += install(test, test->mine);
		uninstall(test->mine);
	}
	stop_rival(test);
	EXPECT_LT(0, flushes);
	EXPECT_GE(n + NR_TOLERATED, flushes);
}

/*
 * The entries move from one or two PMD tables to one or two others. They cannot
 * move with a whole PMD table.
 */
TEST_F(flush, mremap_of_large_guards_flushes_once_for_each_pmd_table)
{
	struct flush_test *test = &self->test;
	const size_t len = 512 * table_size();
	long flushes;
	char *mem, *to;

	if (!guards_are_shared())
		SKIP(return, "large guards have page tables of their own on this kernel");
	mem = map_tables(len);
	ASSERT_NE(NULL, mem);
	to = reserve(len, len, ((uintptr_t)mem + table_size()) % len);
	ASSERT_EQ(0, guard_install(mem, len));

	stay_on_this_cpu();
	start_rival(test, spin);
	flushes = nr_flushes(test);
	ASSERT_EQ(to, mremap(mem, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, to));
	flushes = nr_flushes(test) - flushes;
	stop_rival(test);
	EXPECT_LT(0, flushes);
	EXPECT_GE(8, flushes);
	EXPECT_EQ(len / psize(), guarded_in_pagemap(to, len / psize()));
}

int main(int argc, char **argv)
{
	guard_init();
	return test_harness_run(argc, argv);
}
