/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Threads that access a range while guards are installed there and removed.
 */
#ifndef __GUARD_RACE_H__
#define __GUARD_RACE_H__

#include <pthread.h>
#include <sched.h>
#include "../kselftest_harness.h"
#include "guard_util.h"

#define RACE_ROUNDS	16
#define RACE_THREADS	3

/* State of the range. It is known between calls: OPEN or GUARDED. */
enum state { OPEN, INSTALLING, GUARDED, REMOVING, NR_STATES };

struct race {
	char *mem;
	size_t nr;
	bool pageout;		/* now and then */
	bool punch;		/* the file, so that faults have to allocate again */
	unsigned long state;	/* counts up through the states */
	bool stop;
	unsigned long touches[RACE_THREADS];
	unsigned long leaked;	/* accesses to a guard that succeeded */
	unsigned long refused;	/* accesses to open memory that did not */
};

struct racer {
	struct race *race;
	int id;
	pthread_t thread;
};

static void *race_thread(void *arg)
{
	struct racer *racer = arg;
	struct race *race = racer->race;
	unsigned long before, after, i;

	for (i = racer->id; !__atomic_load_n(&race->stop, __ATOMIC_ACQUIRE); i++) {
		char *page = race->mem + pages(i % race->nr);
		int sig;

		before = __atomic_load_n(&race->state, __ATOMIC_ACQUIRE);
		sig = touch(page, i % 3 ? WRITE : READ).sig;
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		after = __atomic_load_n(&race->state, __ATOMIC_ACQUIRE);
		if (before == after && before % NR_STATES == GUARDED && !sig)
			__atomic_add_fetch(&race->leaked, 1, __ATOMIC_RELAXED);
		if (before == after && before % NR_STATES == OPEN && sig)
			__atomic_add_fetch(&race->refused, 1, __ATOMIC_RELAXED);
		__atomic_add_fetch(&race->touches[racer->id], 1, __ATOMIC_RELEASE);
		if (i % 16 == 0)
			sched_yield(); /* there may be fewer CPUs than threads */
	}
	return NULL;
}

/* Let each thread touch a few pages in the current state. */
static void race_wait(struct race *race)
{
	unsigned long until;
	int i;

	for (i = 0; i < RACE_THREADS; i++) {
		until = __atomic_load_n(&race->touches[i], __ATOMIC_ACQUIRE) + 3;
		while (__atomic_load_n(&race->touches[i], __ATOMIC_ACQUIRE) < until)
			sched_yield();
	}
}

static void race_next(struct race *race)
{
	__atomic_add_fetch(&race->state, 1, __ATOMIC_SEQ_CST);
}

/* After INSTALL has returned, no access may succeed on any CPU. */
static void run_race(struct __test_metadata *_metadata, struct race *race)
{
	const size_t len = pages(race->nr);
	struct racer racers[RACE_THREADS];
	int i;

	for (i = 0; i < RACE_THREADS; i++) {
		racers[i] = (struct racer){ .race = race, .id = i };
		ASSERT_EQ(0, pthread_create(&racers[i].thread, NULL, race_thread,
					    &racers[i]));
	}
	for (i = 0; i < RACE_ROUNDS; i++) {
		race_wait(race);
		if (race->pageout && i % 4 == 3)
			advise(race->mem, len, MADV_PAGEOUT);
		if (race->punch)
			punch(len);
		race_next(race);
		ASSERT_EQ(0, guard_install(race->mem, len));
		race_next(race);
		race_wait(race);
		race_next(race);
		ASSERT_EQ(0, guard_remove(race->mem, len));
		race_next(race);
	}
	__atomic_store_n(&race->stop, true, __ATOMIC_RELEASE);
	for (i = 0; i < RACE_THREADS; i++)
		pthread_join(racers[i].thread, NULL);
	EXPECT_EQ(0, race->leaked);
	EXPECT_EQ(0, race->refused);
}

#endif
