// SPDX-License-Identifier: GPL-2.0-only
/*
 * Requests over large ranges, many VMAs and long vectors: they must let go of
 * their lock and of the CPU when another thread waits for it, go on after a
 * signal, and end when they are killed.
 */
#define _GNU_SOURCE
#include "../kselftest_harness.h"
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include "guard_util.h"

/* ------------------------------------------------------------------------
 * A range of many page tables
 */

struct long_request {
	pthread_t thread;
	char *mem;
	size_t len;
	int advice;
	int ret;
};

static void *long_request_thread(void *arg)
{
	struct long_request *request = arg;

	request->ret = advise(request->mem, request->len, request->advice);
	return NULL;
}

/*
 * Allocate all page tables of a range. INSTALL over a whole table that exists writes
 * each of its entries, while it may let many missing ones share one at once.
 */
static void make_tables(char *mem, size_t len)
{
	size_t i;

	for (i = 0; i < len; i += table_size())
		touch(mem + i, WRITE);
	advise(mem, len, MADV_DONTNEED);
}

#define LONG_REQUEST_TABLES	4096
#define LONG_REQUEST_ROUNDS	100

/*
 * While one thread works on thousands of page tables, another changes the VMA,
 * for which it needs the lock. Returns true if it gets the lock before the last
 * table is done. Both threads share a CPU, so that the second one runs in
 * between.
 */
static bool gives_way(struct __test_metadata *_metadata, int advice)
{
	struct long_request request = {
		.len = LONG_REQUEST_TABLES * table_size(), .advice = advice,
	};
	bool before = advice == MADV_GUARD_REMOVE, in_between = false;
	char *last;
	int round;

	stay_on_this_cpu();
	for (round = 0; round < LONG_REQUEST_ROUNDS && !in_between; round++) {
		request.mem = mmap(NULL, request.len, PROT_READ | PROT_WRITE, MAP_PRIVATE |
				   MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		ASSERT_NE(MAP_FAILED, request.mem);
		last = request.mem + request.len - psize();
		advise(request.mem, request.len, MADV_NOHUGEPAGE);
		make_tables(request.mem, request.len);
		if (before)
			ASSERT_EQ(0, guard_install(request.mem, request.len));
		ASSERT_EQ(0, pthread_create(&request.thread, NULL, long_request_thread,
					    &request));
		while (is_guard_in_pagemap(request.mem) == before)
			;
		ASSERT_EQ(0, protect(last, psize(), PROT_READ));
		in_between = is_guard_in_pagemap(last - psize()) == before;
		pthread_join(request.thread, NULL);
		EXPECT_EQ(0, request.ret);
		EXPECT_EQ(!before, is_guard_in_pagemap(last));
		EXPECT_EQ(!before, is_guard_in_pagemap(last - psize()));
		EXPECT_EQ(!before, is_guard_in_pagemap(request.mem + request.len / 2));
		munmap(request.mem, request.len);
	}
	return in_between;
}

TEST(install_yields_contended_vma_lock)
{
	if (sizeof(long) < 8)
		SKIP(return, "needs a 64-bit address space");
	if (table_size() > MAX_HUGE)
		SKIP(return, "a page table maps %zu MiB, too much for this test",
		     table_size() >> 20);
	EXPECT_TRUE(gives_way(_metadata, MADV_GUARD_INSTALL));
}

TEST(remove_yields_contended_vma_lock)
{
	if (sizeof(long) < 8)
		SKIP(return, "needs a 64-bit address space");
	if (table_size() > MAX_HUGE)
		SKIP(return, "a page table maps %zu MiB, too much for this test",
		     table_size() >> 20);
	EXPECT_TRUE(gives_way(_metadata, MADV_GUARD_REMOVE));
}

/* A process that shares the memory of this one makes the call and is killed. */
struct victim {
	char *mem;
	size_t len;
	int advice;
	const cpu_set_t *cpus;	/* NULL: any CPU */
	bool done;
};

static int victim_main(void *arg)
{
	struct victim *victim = arg;

	if (victim->cpus)
		move_to_another_cpu(victim->cpus);
	advise(victim->mem, victim->len, victim->advice);
	__atomic_store_n(&victim->done, true, __ATOMIC_SEQ_CST);
	return 0;
}

static pid_t start_victim(struct victim *victim)
{
	__atomic_store_n(&victim->done, false, __ATOMIC_SEQ_CST);
	return start_beside(victim_main, victim, 0);
}

static bool is_done(struct victim *victim)
{
	return __atomic_load_n(&victim->done, __ATOMIC_SEQ_CST);
}

/*
 * A process that shares the memory of this one guards a large range, and is
 * killed as soon as it has begun. If the last page is a guard, the call went on to
 * its end.
 */
TEST(install_can_be_killed)
{
	const size_t tables = 8192, enough = 64;
	struct victim victim = {
		.len = tables * table_size(), .advice = MADV_GUARD_INSTALL,
	};
	pid_t pid;

	victim.mem = mmap(NULL, victim.len, PROT_READ | PROT_WRITE, MAP_PRIVATE |
			  MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (victim.mem == MAP_FAILED)
		SKIP(return, "mmap: %s", strerror(errno));
	advise(victim.mem, victim.len, MADV_NOHUGEPAGE);
	make_tables(victim.mem, victim.len);
	pid = start_victim(&victim);
	ASSERT_LT(0, pid);
	while (!is_guard_in_pagemap(victim.mem + enough * table_size()) &&
	       !is_done(&victim))
		;
	kill(pid, SIGKILL);
	wait_child(pid);
	if (is_done(&victim))
		SKIP(return, "the call was faster than the signal");
	EXPECT_EQ(1, guarded(victim.mem, 1));
	EXPECT_EQ(0, guarded(victim.mem + victim.len - psize(), 1));
}

/* ------------------------------------------------------------------------
 * Vectors of many ranges
 */

/* One page table per range, and as many ranges as one call takes: 2 GiB. */
struct ranges {
	struct iovec iov[IOV_MAX];
	size_t nr;
	size_t len;
	char *mem;
	ssize_t ret;
	bool done;
};

static bool map_ranges(struct ranges *ranges)
{
	size_t i;

	ranges->nr = (INT_MAX - psize()) / table_size();
	if (ranges->nr > IOV_MAX)
		ranges->nr = IOV_MAX;
	ranges->len = ranges->nr * table_size();
	ranges->mem = mmap(NULL, ranges->len, PROT_READ | PROT_WRITE, MAP_PRIVATE |
			   MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (ranges->nr < 2 || ranges->mem == MAP_FAILED)
		return false;
	for (i = 0; i < ranges->nr; i++)
		ranges->iov[i] = (struct iovec){ ranges->mem + i * table_size(),
						 table_size() };
	advise(ranges->mem, ranges->len, MADV_NOHUGEPAGE);
	return true;
}

/*
 * Accesses the ends of each range, and reads pagemap for the pages in between.
 */
static size_t guarded_ranges(struct ranges *ranges)
{
	const size_t per_range = table_size() / psize();
	size_t i, found = 0;

	for (i = 0; i < ranges->nr; i++) {
		uint64_t *entries = read_pagemap(ranges->iov[i].iov_base, per_range);
		size_t page = 0;

		while (page < per_range && entries[page] & PM_GUARD)
			page++;
		free(entries);
		found += page == per_range && guarded(ranges->iov[i].iov_base, 1);
	}
	return found;
}

static unsigned long rings;

static void ring(int sig)
{
	__atomic_add_fetch(&rings, 1, __ATOMIC_RELAXED);
}

/* Only a fatal signal ends the call early. */
TEST(process_madvise_goes_on_through_signals)
{
	static const int advices[] = { MADV_GUARD_INSTALL, MADV_GUARD_REMOVE };
	struct itimerval timer = { { 0, 1000 }, { 0, 100 } }, off = {};
	struct sigaction sa = { .sa_handler = ring };
	static struct ranges ranges;
	unsigned long before;
	int interrupted = 0;
	ssize_t ret;
	size_t i;

	if (!map_ranges(&ranges))
		SKIP(return, "no address space for the ranges");
	/* Otherwise the ranges share a table, and the calls are too fast. */
	make_tables(ranges.mem, ranges.len);
	ASSERT_EQ(0, sigaction(SIGALRM, &sa, NULL));
	for (i = 0; i < ARRAY_SIZE(advices); i++) {
		ASSERT_EQ(0, setitimer(ITIMER_REAL, &timer, NULL));
		before = __atomic_load_n(&rings, __ATOMIC_RELAXED);
		ret = advise_process(getpid(), ranges.iov, ranges.nr, advices[i]);
		interrupted += before != __atomic_load_n(&rings, __ATOMIC_RELAXED);
		setitimer(ITIMER_REAL, &off, NULL);
		ASSERT_EQ(ranges.len, ret);
		ASSERT_EQ(i ? 0 : ranges.nr, guarded_ranges(&ranges));
	}
	if (!interrupted)
		SKIP(return, "the calls were faster than the signals");
}

struct request {
	pthread_t thread;
	struct iovec *iov;
	size_t nr;
	const cpu_set_t *cpus;
	int advice;
	ssize_t ret;
};

static bool range_is_done(struct request *request, size_t i)
{
	return is_guard_in_pagemap(request->iov[i].iov_base) ==
	       (request->advice == MADV_GUARD_INSTALL);
}

/* Returns how many ranges have been processed. They are processed in order. */
static size_t ranges_done(struct request *request)
{
	size_t done = 0, end = request->nr;

	while (done < end) {
		size_t middle = (done + end) / 2;

		if (range_is_done(request, middle))
			done = middle + 1;
		else
			end = middle;
	}
	return done;
}

static int install_ranges(void *arg)
{
	struct ranges *ranges = arg;

	advise_process(getpid(), ranges->iov, ranges->nr, MADV_GUARD_INSTALL);
	__atomic_store_n(&ranges->done, true, __ATOMIC_SEQ_CST);
	return 0;
}

/*
 * As install_can_be_killed, but the victim has many ranges left. After kill()
 * has returned, the victim may finish no more than the range that it is at.
 */
TEST(process_madvise_can_be_killed)
{
	static struct ranges ranges;
	struct request request = { .iov = ranges.iov, .advice = MADV_GUARD_INSTALL };
	struct pollfd pollfd = { .events = POLLIN };
	size_t killed;
	pid_t pid;

	if (!map_ranges(&ranges))
		SKIP(return, "no address space for the ranges");
	request.nr = ranges.nr;
	make_tables(ranges.mem, ranges.len);
	pid = start_beside(install_ranges, &ranges, 0);
	ASSERT_LT(0, pid);
	pollfd.fd = syscall(__NR_pidfd_open, pid, 0);
	ASSERT_LE(0, pollfd.fd);
	while (!is_guard_in_pagemap(ranges.iov[ranges.nr / 64].iov_base) &&
	       !__atomic_load_n(&ranges.done, __ATOMIC_SEQ_CST))
		;
	kill(pid, SIGKILL);
	killed = ranges_done(&request);
	ASSERT_EQ(1, poll(&pollfd, 1, 10000));
	wait_child(pid);
	if (killed >= ranges.nr - ranges.nr / 8)
		SKIP(return, "the call was faster than the signal");
	EXPECT_GE(killed + ranges.nr / 16 + 1, ranges_done(&request));
	EXPECT_EQ(1, guarded(ranges.mem, 1));
	EXPECT_EQ(0, guarded(ranges.mem + ranges.len - psize(), 1));
}

/* ------------------------------------------------------------------------
 * Vectors of ranges in one VMA. While process_madvise() works on them, another
 * thread changes the VMA, for which it needs its lock. The threads run on two CPUs
 * if there are two: on one CPU, the call may be preempted without giving way.
 */

FIXTURE(vector)
{
	struct iovec *iov;
	char *mem;	/* the ranges, and a page after them */
	char *last;
	size_t len;	/* of the ranges */
	cpu_set_t cpus;
};

FIXTURE_VARIANT(vector)
{
	enum backing backing;
};

FIXTURE_VARIANT_ADD(vector, anon)
{
	.backing = ANON,
};

FIXTURE_VARIANT_ADD(vector, shmem)
{
	.backing = SHMEM,
};

FIXTURE_VARIANT_ADD(vector, file_private)
{
	.backing = FILE_PRIVATE,
};

FIXTURE_VARIANT_ADD(vector, file_shared)
{
	.backing = FILE_SHARED,
};

#define NR_RANGES	1024	/* IOV_MAX */
#define RANGE_PAGES	8
#define VECTOR_ROUNDS	40

FIXTURE_SETUP(vector)
{
	size_t i;

	self->len = pages(NR_RANGES * RANGE_PAGES);
	self->mem = map_arena(variant->backing, self->len + psize());
	if (!self->mem)
		SKIP(return, "no place for a file: %s", strerror(errno));
	self->last = self->mem + self->len;
	self->iov = calloc(NR_RANGES, sizeof(*self->iov));
	for (i = 0; i < NR_RANGES; i++)
		self->iov[i] = (struct iovec){ self->mem + pages(i * RANGE_PAGES),
					       pages(RANGE_PAGES) };
	nr_cpus(&self->cpus);
	stay_on_this_cpu();
}

FIXTURE_TEARDOWN(vector)
{
	free(self->iov);
}

/* Write to the pages, or in a file mapping read them. */
static int populate(enum backing backing, char *mem, size_t len)
{
	size_t i;

	for (i = 0; i < len; i += psize()) {
		if (is_file(backing))
			(void)*(volatile char *)(mem + i);
		else
			*(volatile char *)(mem + i) = 1;
	}
	return 0;
}

static void *request_thread(void *arg)
{
	struct request *request = arg;
	int self = syscall(__NR_pidfd_open, getpid(), 0);

	move_to_another_cpu(request->cpus);
	request->ret = syscall(__NR_process_madvise, self, request->iov, request->nr,
			       request->advice, 0);
	close(self);
	return NULL;
}

/*
 * Returns how many more ranges are processed while this thread waits for the lock,
 * to change the protection of the page at @last, which is in none of the ranges.
 * If the call was nearly over by then, returns the number of all ranges.
 */
static size_t ranges_while_waiting(struct __test_metadata *_metadata,
				   struct request *request, char *last, int prot)
{
	size_t before, during;

	ASSERT_EQ(0, pthread_create(&request->thread, NULL, request_thread, request));
	while (!range_is_done(request, 0))
		;
	before = ranges_done(request);
	ASSERT_EQ(0, protect(last, psize(), prot));
	during = ranges_done(request) - before;
	pthread_join(request->thread, NULL);
	ASSERT_EQ(request->nr * request->iov[0].iov_len, request->ret);
	ASSERT_EQ(request->nr, ranges_done(request));
	return before <= request->nr / 2 ? during : request->nr;
}

/*
 * The minimum of several rounds, since a thread that is about to wait may lose the
 * CPU.
 */
static size_t fewest_ranges_while_waiting(struct __test_metadata *_metadata,
					  FIXTURE_DATA(vector) * self,
					  enum backing backing, size_t enough)
{
	struct request request = {
		.iov = self->iov, .nr = NR_RANGES, .cpus = &self->cpus,
		.advice = MADV_GUARD_INSTALL,
	};
	size_t during, fewest = NR_RANGES;
	int round;

	for (round = 0; round < VECTOR_ROUNDS && fewest > enough; round++) {
		ASSERT_EQ(0, guard_remove(self->mem, self->len));
		populate(backing, self->mem, self->len);
		during = ranges_while_waiting(_metadata, &request, self->last,
					      round % 2 ? PROT_READ | PROT_WRITE : PROT_READ);
		if (during < fewest)
			fewest = during;
	}
	return fewest;
}

TEST_F(vector, install_yields_lock_between_ranges)
{
	/* After each page table at the latest. */
	const size_t enough = table_size() / pages(RANGE_PAGES) + 1;
	size_t fewest;

	if (enough > NR_RANGES / 4)
		SKIP(return, "a page table maps %zu MiB, too much for this test",
		     table_size() >> 20);
	fewest = fewest_ranges_while_waiting(_metadata, self, variant->backing, enough);
	if (fewest == NR_RANGES)
		SKIP(return, "the calls ended before the other thread waited");
	EXPECT_GE(enough, fewest);
}

/*
 * REMOVE is fast. To make it last, each range is a page table, with a guard and
 * hundreds of empty entries.
 */
TEST(remove_yields_lock_between_ranges)
{
	static struct ranges ranges;
	struct request request = { .advice = MADV_GUARD_REMOVE };
	size_t i, during, fewest, enough;
	cpu_set_t cpus;
	int round;

	if (!map_ranges(&ranges) || ranges.nr < 256)
		SKIP(return, "no address space for the ranges");
	nr_cpus(&cpus);
	stay_on_this_cpu();
	request.cpus = &cpus;
	request.iov = ranges.iov;
	request.nr = ranges.nr - 1;	/* the last one is for protect() */
	fewest = request.nr;
	enough = request.nr / 2 - 1;	/* without giving way: half of them or more */
	for (round = 0; round < VECTOR_ROUNDS && fewest > enough; round++) {
		for (i = 0; i < request.nr; i++)
			ASSERT_EQ(0, guard_install(ranges.iov[i].iov_base, psize()));
		during = ranges_while_waiting(_metadata, &request,
					      ranges.iov[request.nr].iov_base,
					      round % 2 ? PROT_READ | PROT_WRITE : PROT_READ);
		if (during < fewest)
			fewest = during;
	}
	if (fewest == request.nr)
		SKIP(return, "the calls ended before the other thread waited");
	EXPECT_GE(enough, fewest);
}

/* ------------------------------------------------------------------------
 * A range of many small VMAs
 */

FIXTURE(many)
{
	char *mem;	/* a VMA for each page */
	size_t len;
};

#define NR_MANY		30000

FIXTURE_SETUP(many)
{
	size_t i;

	self->len = pages(NR_MANY);
	self->mem = map_arena(ANON, self->len);
	for (i = 0; i < NR_MANY; i += 2)
		if (protect(self->mem + pages(i), psize(), PROT_READ))
			SKIP(return, "no room for %d VMAs", NR_MANY);
}

FIXTURE_TEARDOWN(many)
{
}

/* Watches whether a call of another thread is half done. */
struct watcher {
	pthread_t thread;
	char *first, *last;
	unsigned long looks, turns;	/* turns: looks that found it half done */
	bool stop;
};

static void *watcher_thread(void *arg)
{
	struct watcher *watcher = arg;

	while (!__atomic_load_n(&watcher->stop, __ATOMIC_RELAXED)) {
		if (is_guard_in_pagemap(watcher->first) != is_guard_in_pagemap(watcher->last))
			__atomic_add_fetch(&watcher->turns, 1, __ATOMIC_RELAXED);
		__atomic_add_fetch(&watcher->looks, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

/* The CPU time of this thread. */
static long milliseconds(void)
{
	struct timespec time;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
	return time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

/*
 * Does a thread on the same CPU run during the call? With preemption it always
 * does. Returns 1 for yes, 0 for no, and -1 if the call was too short to tell.
 */
static int others_have_a_turn(struct watcher *watcher, size_t len, int advice)
{
	unsigned long before = __atomic_load_n(&watcher->turns, __ATOMIC_RELAXED);
	long begin;

	sched_yield(); /* start with a fresh time slice */
	begin = milliseconds();
	if (advise(watcher->first, len, advice))
		return 0;
	if (before != __atomic_load_n(&watcher->turns, __ATOMIC_RELAXED))
		return 1;
	return milliseconds() - begin < 20 ? -1 : 0;
}

TEST_F(many, long_calls_leave_the_cpu_to_others)
{
	struct watcher watcher = {
		.first = self->mem, .last = self->mem + self->len - psize(),
	};
	int install, remove;

	/*
	 * Allocate the page tables first: the allocation may reschedule by
	 * itself.
	 */
	ASSERT_EQ(0, guard_install(self->mem, self->len));
	ASSERT_EQ(0, guard_remove(self->mem, self->len));
	stay_on_this_cpu();
	ASSERT_EQ(0, pthread_create(&watcher.thread, NULL, watcher_thread, &watcher));
	while (!__atomic_load_n(&watcher.looks, __ATOMIC_RELAXED))
		sched_yield();
	install = others_have_a_turn(&watcher, self->len, MADV_GUARD_INSTALL);
	remove = others_have_a_turn(&watcher, self->len, MADV_GUARD_REMOVE);
	__atomic_store_n(&watcher.stop, true, __ATOMIC_RELAXED);
	pthread_join(watcher.thread, NULL);
	if (install < 0 && remove < 0)
		SKIP(return, "the calls were too short");
	EXPECT_NE(0, install);
	EXPECT_NE(0, remove);
}

/* Returns how many steps of @step bytes the victim has done. */
static size_t steps_gone(struct victim *victim, size_t step)
{
	const bool install = victim->advice == MADV_GUARD_INSTALL;
	size_t gone = 0, end = victim->len / step;

	while (gone < end) {
		size_t middle = (gone + end) / 2;

		if (is_guard_in_pagemap(victim->mem + middle * step) == install)
			gone = middle + 1;
		else
			end = middle;
	}
	return gone;
}

/*
 * Returns how many steps the victim does after kill() has returned: the minimum
 * of several rounds, because this thread may lose the CPU before it looks.
 * Returns -1 if the victim was always nearly done.
 */
static long steps_after_kill(struct __test_metadata *_metadata, struct victim *victim,
			     size_t step, long enough)
{
	const size_t all = victim->len / step;
	bool install = victim->advice == MADV_GUARD_INSTALL;
	long after, fewest = -1;
	size_t gone;
	pid_t pid;
	int round;

	for (round = 0; round < 20 && (fewest < 0 || fewest > enough); round++) {
		ASSERT_EQ(0, advise(victim->mem, victim->len, install ? MADV_GUARD_REMOVE :
									MADV_GUARD_INSTALL));
		pid = start_victim(victim);
		ASSERT_LT(0, pid);
		while (is_guard_in_pagemap(victim->mem) != install && !is_done(victim))
			;
		kill(pid, SIGKILL);
		gone = steps_gone(victim, step);
		wait_child(pid);
		after = steps_gone(victim, step) - gone;
		if (gone < all / 2 && !is_done(victim) && (fewest < 0 || after < fewest))
			fewest = after;
	}
	return fewest;
}

TEST_F(many, install_can_be_killed)
{
	struct victim victim = {
		.mem = self->mem, .len = self->len, .advice = MADV_GUARD_INSTALL,
	};
	const long enough = NR_MANY / 8;
	long fewest = steps_after_kill(_metadata, &victim, psize(), enough);

	if (fewest < 0)
		SKIP(return, "the calls were faster than the signals");
	EXPECT_GE(enough, fewest);
}

TEST_F(many, remove_can_be_killed)
{
	struct victim victim = {
		.mem = self->mem, .len = self->len, .advice = MADV_GUARD_REMOVE,
	};
	const long enough = NR_MANY / 8;
	long fewest = steps_after_kill(_metadata, &victim, psize(), enough);

	if (fewest < 0)
		SKIP(return, "the calls were faster than the signals");
	EXPECT_GE(enough, fewest);
}

/*
 * The victim is killed while another thread waits for the lock and cannot take
 * it: that thread is on this CPU, which a thread of higher priority keeps.
 */
#define CONTENDED_TABLES	2048

static int set_priority(int policy, int priority)
{
	struct sched_param param = { .sched_priority = priority };

	return sched_setscheduler(0, policy, &param) ? errno : 0;
}

struct waiter {
	pthread_t thread;
	char *mem;
	pid_t tid;
	bool go, through;
};

static char state_of(pid_t tid)
{
	char path[64], state = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	file = fopen(path, "r");
	if (file && fscanf(file, "%*d (%*[^)]) %c", &state) != 1)
		state = 0;
	if (file)
		fclose(file);
	return state;
}

static void *waiter_thread(void *arg)
{
	struct waiter *waiter = arg;

	__atomic_store_n(&waiter->tid, gettid(), __ATOMIC_RELEASE);
	while (!__atomic_load_n(&waiter->go, __ATOMIC_ACQUIRE))
		sched_yield();
	protect(waiter->mem, psize(), PROT_READ);
	__atomic_store_n(&waiter->through, true, __ATOMIC_RELEASE);
	return NULL;
}

static void start_waiter(struct waiter *waiter)
{
	*waiter = (struct waiter){
		.mem = xmap(psize(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS),
	};
	if (pthread_create(&waiter->thread, NULL, waiter_thread, waiter))
		ksft_exit_fail_msg("no thread\n");
	while (!__atomic_load_n(&waiter->tid, __ATOMIC_ACQUIRE))
		sched_yield();
}

static bool is_through(struct waiter *waiter)
{
	return __atomic_load_n(&waiter->through, __ATOMIC_ACQUIRE);
}

/*
 * Reading this takes no lock of the memory. The kernel adds up the counters of
 * all CPUs for it.
 */
static long anon_kb(void)
{
	return read_key("/proc/self/status", "RssAnon:");
}

/*
 * Returns the KiB of pages that the call discards after it was killed, or -1 if
 * the lock was not contended or if only @half_kb were left by then.
 */
static long kb_after_kill(struct victim *victim, long half_kb)
{
	struct waiter waiter;
	long killed, after = -1;
	pid_t pid;

	start_waiter(&waiter);
	pid = start_victim(victim);
	if (pid < 0)
		ksft_exit_fail_msg("no process\n");
	while (!is_guard_in_pagemap(victim->mem) && !is_done(victim))
		;
	__atomic_store_n(&waiter.go, true, __ATOMIC_RELEASE);
	while (state_of(waiter.tid) != 'D' && !is_through(&waiter) && !is_done(victim))
		sched_yield();
	set_priority(SCHED_FIFO, 1);
	kill(pid, SIGKILL);
	/* pagemap would wait for the lock. */
	killed = anon_kb();
	while (waitpid(pid, NULL, WNOHANG) == 0)
		;
	if (!is_through(&waiter) && killed > half_kb)
		after = killed - anon_kb();
	set_priority(SCHED_OTHER, 0);
	pthread_join(waiter.thread, NULL);
	munmap(waiter.mem, psize());
	return after;
}

/*
 * Write to a page of each page table. Then INSTALL cannot let them share one,
 * and the pages that are left show how far it has come.
 */
static void write_to_tables(char *mem)
{
	size_t i;

	for (i = 0; i < CONTENDED_TABLES; i++)
		touch(mem + i * table_size() + psize(), WRITE);
}

/* The range is two VMAs, so that the call takes the mmap_lock. */
TEST(install_killed_while_the_lock_is_contended)
{
	const long all_kb = CONTENDED_TABLES * kb(1);
	struct victim victim = {
		.len = CONTENDED_TABLES * table_size(), .advice = MADV_GUARD_INSTALL,
	};
	long before, after, most = -1;
	cpu_set_t allowed;
	int round;

	if (nr_cpus(&allowed) < 2)
		SKIP(return, "needs two CPUs");
	if (sizeof(long) < 8)
		SKIP(return, "needs a 64-bit address space");
	if (table_size() > MAX_HUGE)
		SKIP(return, "a page table maps %zu MiB, too much for this test",
		     table_size() >> 20);
	if (set_priority(SCHED_FIFO, 1))
		SKIP(return, "sched_setscheduler: %s", strerror(errno));
	set_priority(SCHED_OTHER, 0);
	victim.cpus = &allowed;
	stay_on_this_cpu();
	/* In some rounds, the victim waits for the lock when it is killed. */
	for (round = 0; round < 10; round++) {
		victim.mem = xmap(victim.len, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE);
		advise(victim.mem, victim.len, MADV_NOHUGEPAGE);
		ASSERT_EQ(0, protect(victim.mem + victim.len - psize(), psize(), PROT_READ));
		write_to_tables(victim.mem);
		before = anon_kb();
		after = kb_after_kill(&victim, before - all_kb / 2);
		if (after > most)
			most = after;
		munmap(victim.mem, victim.len);
	}
	if (most < 0)
		SKIP(return, "the lock was not contended when the signal came");
	EXPECT_GE(all_kb / 8, most);
}

int main(int argc, char **argv)
{
	guard_init();
	return test_harness_run(argc, argv);
}
