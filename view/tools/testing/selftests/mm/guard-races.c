// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guard pages beside accesses of other threads and beside calls that change the
 * VMA. INSTALL does not hold the mmap_lock for writing, so a VMA may get its
 * first guard while another thread decides what to do with the VMA.
 */
#define _GNU_SOURCE
#include "../kselftest_harness.h"
#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include "guard_fixture.h"
#include "guard_race.h"
#include "guard_util.h"

/* ------------------------------------------------------------------------
 * Accesses
 */

TEST_F(guard, racing_accesses_never_pass_a_guard)
{
	struct race race = { .mem = self->mem, .nr = self->nr, .pageout = true };

	run_race(_metadata, &race);
}

/* ------------------------------------------------------------------------
 * Calls that change the VMA
 */

/* Other calls that change the range or its VMA while guards are installed. */
enum vma_change { PROTECT, PROTECT_HALF, LOCK, DUMP, DONTNEED, NR_CHANGES };

struct changer {
	char *mem;
	size_t len;
	enum vma_change change;
	bool stop;
	pthread_barrier_t start, end;
};

static void *change_thread(void *arg)
{
	struct changer *changer = arg;
	char *mem = changer->mem;
	size_t len = changer->len;

	for (;;) {
		pthread_barrier_wait(&changer->start);
		if (changer->stop)
			return NULL;
		switch (changer->change) {
		case PROTECT:
			mprotect(mem, len, PROT_READ);
			mprotect(mem, len, PROT_READ | PROT_WRITE);
			break;
		case PROTECT_HALF:
			mprotect(mem + len / 2, len / 2, PROT_READ);
			mprotect(mem + len / 2, len / 2, PROT_READ | PROT_WRITE);
			break;
		case LOCK:
			mlock2(mem, len / 2, MLOCK_ONFAULT);
			munlock(mem, len / 2);
			break;
		case DUMP:
			madvise(mem, len / 2, MADV_DONTDUMP);
			madvise(mem, len, MADV_DODUMP);
			break;
		default:
			madvise(mem, len, MADV_DONTNEED);
		}
		pthread_barrier_wait(&changer->end);
	}
}

/*
 * Each round makes a new mapping, so that the first guard has to set the VMA
 * flag while the other thread changes other flags. fork() would not copy the
 * guard if the flag was lost.
 */
TEST_F(guard, racing_vma_changes_lose_no_guard)
{
	struct changer changer = { .mem = self->mem, .len = self->len };
	unsigned long lost = 0, missing = 0;
	int round, ret;
	pthread_t thread;

	pthread_barrier_init(&changer.start, NULL, 2);
	pthread_barrier_init(&changer.end, NULL, 2);
	ASSERT_EQ(0, pthread_create(&thread, NULL, change_thread, &changer));
	for (round = 0; round < 8 * NR_CHANGES; round++) {
		size_t page = round % self->nr;

		ASSERT_EQ(self->mem, map_backing(self->mem, self->len,
						 PROT_READ | PROT_WRITE, 0));
		changer.change = round % NR_CHANGES;
		pthread_barrier_wait(&changer.start);
		/*
		 * Locked memory refuses guards, so INSTALL fails if mlock()
		 * comes first.
		 */
		do {
			ret = guard_install(self->mem + pages(page), psize());
		} while (ret == EINVAL && changer.change == LOCK);
		pthread_barrier_wait(&changer.end);
		ASSERT_EQ(0, ret);
		missing += guarded(self->mem + pages(page), 1) != 1;
		lost += !child_sees_guards(self->mem + pages(page), 1, 1);
	}
	changer.stop = true;
	pthread_barrier_wait(&changer.start);
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(0, missing);
	EXPECT_EQ(0, lost);
}

static void *split_thread(void *arg)
{
	struct changer *changer = arg;

	for (;;) {
		pthread_barrier_wait(&changer->start);
		if (changer->stop)
			return NULL;
		mprotect(changer->mem + changer->len / 4, changer->len / 2, PROT_READ);
		pthread_barrier_wait(&changer->end);
	}
}

#define SPLIT_ROUNDS	100

/* The VMA stays split: merging would restore a lost note. */
TEST(racing_split_loses_no_guard)
{
	struct changer changer = { .len = pages(NR_SMALL) };
	int round, lost = 0;
	pthread_t thread;
	char *page;

	changer.mem = map_small(NR_SMALL);
	pthread_barrier_init(&changer.start, NULL, 2);
	pthread_barrier_init(&changer.end, NULL, 2);
	ASSERT_EQ(0, pthread_create(&thread, NULL, split_thread, &changer));
	for (round = 0; round < SPLIT_ROUNDS; round++) {
		ASSERT_EQ(changer.mem, map_at(changer.mem, changer.len,
					      PROT_READ | PROT_WRITE));
		page = changer.mem + (round % 2 ? changer.len - psize() : 0);
		pthread_barrier_wait(&changer.start);
		dawdle(1000 * round);
		ASSERT_EQ(0, guard_install(page, psize()));
		pthread_barrier_wait(&changer.end);
		lost += !child_sees_guards(page, 1, 1);
	}
	changer.stop = true;
	pthread_barrier_wait(&changer.start);
	pthread_join(thread, NULL);
	EXPECT_EQ(0, lost);
}

/* ------------------------------------------------------------------------
 * The first guard of a VMA, beside a call that leaves the VMA as it is. The call
 * must not take the note of the VMA, which INSTALL sets, for a change of its own.
 *
 * One thread makes the call for each VMA of a row in turn, and another installs a
 * guard in each. For each VMA there are some calls before the guard is installed,
 * one that may run at the same time, and some after it.
 */

static long locked_kb(void)
{
	return read_key("/proc/self/status", "VmLck:");
}

struct remover {
	pthread_t thread;
	char *mem;
	size_t nr;
	int round;
	bool go;
};

static void *remove_thread(void *arg)
{
	struct remover *remover = arg;

	while (!__atomic_load_n(&remover->go, __ATOMIC_ACQUIRE))
		sched_yield();
	dawdle(5000 * remover->round);
	guard_remove(remover->mem, pages(remover->nr));
	return NULL;
}

/* Every other page is a guard until another thread removes all of them. */
TEST(mlockall_populates_although_guards_are_removed)
{
	struct remover remover = { .nr = 64 };
	cpu_set_t allowed;
	size_t i;

	if (nr_cpus(&allowed) < 2)
		SKIP(return, "a race needs two CPUs");
	for (remover.round = 0; remover.round < 20; remover.round++) {
		remover.go = false;
		remover.mem = xmap(pages(2 * remover.nr), PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS);
		for (i = 0; i < remover.nr; i += 2)
			ASSERT_EQ(0, guard_install(remover.mem + pages(i), psize()));
		ASSERT_EQ(0, pthread_create(&remover.thread, NULL, remove_thread,
					    &remover));
		__atomic_store_n(&remover.go, true, __ATOMIC_RELEASE);
		if (mlockall(MCL_CURRENT)) {
			pthread_join(remover.thread, NULL);
			SKIP(return, "mlockall: %s", lock_error());
		}
		pthread_join(remover.thread, NULL);
		ASSERT_EQ(remover.nr, present(remover.mem + pages(remover.nr),
					      remover.nr));
		munlockall();
		munmap(remover.mem, pages(2 * remover.nr));
	}
}

FIXTURE(first)
{
	char *mem;
	size_t nr;	/* of VMAs */
	long locked_kb;
};

FIXTURE_VARIANT(first)
{
	enum backing backing;
};

FIXTURE_VARIANT_ADD(first, anon)
{
	.backing = ANON,
};

FIXTURE_VARIANT_ADD(first, shmem)
{
	.backing = SHMEM,
};

FIXTURE_VARIANT_ADD(first, file_private)
{
	.backing = FILE_PRIVATE,
};

FIXTURE_VARIANT_ADD(first, file_shared)
{
	.backing = FILE_SHARED,
};

FIXTURE_SETUP(first)
{
	cpu_set_t allowed;

	if (nr_cpus(&allowed) < 2)
		SKIP(return, "a race needs two CPUs");
	self->locked_kb = locked_kb();
}

FIXTURE_TEARDOWN(first)
{
}

#define VMA_PAGES	4

/* Every other VMA differs in a flag, so that no two of them merge. */
static char *map_row(enum backing backing, size_t nr)
{
	char *mem = map_arena(backing, pages(nr * VMA_PAGES));
	size_t i;

	for (i = 0; mem && i < nr; i += 2)
		advise(mem + pages(i * VMA_PAGES), pages(VMA_PAGES), MADV_DONTDUMP);
	return mem;
}

struct rival {
	pthread_t thread;
	int (*call)(char *vma);
	char *vma;	/* which one, NULL: no more */
	unsigned long calls;
	int error;
};

static void *rival_thread(void *arg)
{
	struct rival *rival = arg;
	char *vma;
	int error;

	while ((vma = __atomic_load_n(&rival->vma, __ATOMIC_ACQUIRE))) {
		error = rival->call(vma);
		if (error)
			rival->error = error;
		__atomic_add_fetch(&rival->calls, 1, __ATOMIC_RELEASE);
	}
	return NULL;
}

/* Wait until the rival has begun a call for the VMA that it was given. */
static void wait_for_rival(struct rival *rival)
{
	unsigned long calls = __atomic_load_n(&rival->calls, __ATOMIC_ACQUIRE);

	while (__atomic_load_n(&rival->calls, __ATOMIC_ACQUIRE) < calls + 2)
		;
}

/* Returns the errno of the first call that failed, or 0. */
static int race_first_guards(char *mem, size_t nr, int (*call)(char *vma))
{
	struct rival rival = { .call = call, .vma = mem };
	size_t i;
	int error = 0;

	if (pthread_create(&rival.thread, NULL, rival_thread, &rival))
		return -1;
	for (i = 0; i < nr && !error; i++) {
		__atomic_store_n(&rival.vma, mem + pages(i * VMA_PAGES), __ATOMIC_RELEASE);
		wait_for_rival(&rival);
		dawdle(i * 7 % 509);
		error = guard_install(rival.vma, psize());
	}
	__atomic_store_n(&rival.vma, NULL, __ATOMIC_RELEASE);
	pthread_join(rival.thread, NULL);
	return error ?: rival.error;
}

#define MLOCK_VMAS	2000

static int munlock_vma(char *vma)
{
	return munlock(vma, pages(VMA_PAGES)) ? errno : 0;
}

/*
 * The amount of locked memory, and how much more can be locked, is as before.
 */
static void check_locked(struct __test_metadata *_metadata, long locked_kb_before)
{
	struct rlimit limit = { pages(8), pages(8) };
	const size_t too_much = limit.rlim_cur + psize();
	char *mem;

	ASSERT_EQ(locked_kb_before, locked_kb());
	mem = xmap(too_much, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS);
	/* There is no limit for root. */
	if (!getuid() && setuid(65534))
		SKIP(return, "setuid: %s", strerror(errno));
	ASSERT_EQ(0, setrlimit(RLIMIT_MEMLOCK, &limit));
	EXPECT_EQ(-1, mlock2(mem, too_much, MLOCK_ONFAULT));
	EXPECT_EQ(ENOMEM, errno);
	if (locked_kb_before)
		return;
	EXPECT_EQ(0, mlock2(mem, limit.rlim_cur, MLOCK_ONFAULT));
	EXPECT_EQ(0, munlock(mem, limit.rlim_cur));
}

TEST_F(first, munlock_unlocks_nothing_that_was_not_locked)
{
	self->mem = map_row(variant->backing, MLOCK_VMAS);
	if (!self->mem)
		SKIP(return, "no place for a file: %s", strerror(errno));
	ASSERT_EQ(0, race_first_guards(self->mem, MLOCK_VMAS, munlock_vma));
	check_locked(_metadata, self->locked_kb);
}

static int munlockall_vmas(char *vma)
{
	return munlockall() ? errno : 0;
}

/* Each call goes over all VMAs, so use few VMAs and many rounds. */
TEST_F(first, munlockall_unlocks_nothing_that_was_not_locked)
{
	const size_t nr = 8, rounds = 300;
	size_t i;

	for (i = 0; i < rounds; i++) {
		self->mem = map_row(variant->backing, nr);
		if (!self->mem)
			SKIP(return, "no place for a file: %s", strerror(errno));
		ASSERT_EQ(0, race_first_guards(self->mem, nr, munlockall_vmas));
		munmap(self->mem, pages(nr * VMA_PAGES));
	}
	check_locked(_metadata, self->locked_kb);
}

/*
 * Seal a page in the middle of each VMA. The VMA is split if the call takes the
 * new note for a change.
 */
#define NOOP_VMAS	2000

static int mprotect_again(char *vma)
{
	return protect(vma + psize(), psize(), PROT_READ | PROT_WRITE);
}

static void check_no_split(struct __test_metadata *_metadata, char *mem, size_t nr,
			   int (*call)(char *vma))
{
	const size_t len = pages(nr * VMA_PAGES);
	size_t i;

	ASSERT_EQ(nr, nr_vmas(mem, len));
	EXPECT_EQ(0, race_first_guards(mem, nr, call));
	EXPECT_EQ(nr, nr_vmas(mem, len));
	for (i = 0; i < nr; i++) {
		ASSERT_TRUE(is_guard_in_pagemap(mem + pages(i * VMA_PAGES)));
		ASSERT_FALSE(is_guard_in_pagemap(mem + pages(i * VMA_PAGES + 1)));
	}
}

TEST_F(first, mprotect_of_no_change_splits_no_vma)
{
	self->mem = map_row(variant->backing, NOOP_VMAS);
	if (!self->mem)
		SKIP(return, "no place for a file: %s", strerror(errno));
	check_no_split(_metadata, self->mem, NOOP_VMAS, mprotect_again);
}

static int madvise_again(char *vma)
{
	return advise(vma + psize(), psize(), MADV_DOFORK);
}

TEST_F(first, madvise_of_no_change_splits_no_vma)
{
	self->mem = map_row(variant->backing, NOOP_VMAS);
	if (!self->mem)
		SKIP(return, "no place for a file: %s", strerror(errno));
	check_no_split(_metadata, self->mem, NOOP_VMAS, madvise_again);
}

static int mseal_again(char *vma)
{
	return syscall(__NR_mseal, vma + psize(), psize(), 0) ? errno : 0;
}

TEST_F(first, mseal_of_sealed_memory_splits_no_vma)
{
	self->mem = map_row(variant->backing, NOOP_VMAS);
	if (!self->mem)
		SKIP(return, "no place for a file: %s", strerror(errno));
	if (syscall(__NR_mseal, self->mem, pages(NOOP_VMAS * VMA_PAGES), 0))
		SKIP(return, "mseal: %s", strerror(errno));
	check_no_split(_metadata, self->mem, NOOP_VMAS, mseal_again);
}

static int name(char *vma, size_t len)
{
	return prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, vma, len, "guard-vma") ? errno : 0;
}

static int name_again(char *vma)
{
	return name(vma + psize(), psize());
}

TEST_F(first, naming_again_splits_no_vma)
{
	int error;

	if (is_file(variant->backing))
		SKIP(return, "only anonymous memory can be named");
	self->mem = map_row(variant->backing, NOOP_VMAS);
	error = name(self->mem, pages(NOOP_VMAS * VMA_PAGES));
	if (error)
		SKIP(return, "PR_SET_VMA_ANON_NAME: %s", strerror(error));
	check_no_split(_metadata, self->mem, NOOP_VMAS, name_again);
}

/* ------------------------------------------------------------------------
 * remap_file_pages(), which is for shared memory
 */

static int remap(char *addr, size_t nr, size_t page)
{
	return syscall(__NR_remap_file_pages, addr, pages(nr), 0, page, 0) ? errno : 0;
}

FIXTURE(remap)
{
	char *mem;	/* 8 pages, each with its number in the first word */
};

FIXTURE_VARIANT(remap)
{
	enum backing backing;
};

FIXTURE_VARIANT_ADD(remap, shmem)
{
	.backing = SHMEM,
};

FIXTURE_VARIANT_ADD(remap, file_shared)
{
	.backing = FILE_SHARED,
};

FIXTURE_SETUP(remap)
{
	size_t i;

	self->mem = map_arena(variant->backing, pages(8));
	if (!self->mem)
		SKIP(return, "no place for a file: %s", strerror(errno));
	for (i = 0; i < 8; i++)
		*(unsigned long *)(self->mem + pages(i)) = i;
	if (remap(self->mem, 8, 0) == ENOSYS)
		SKIP(return, "the kernel has no remap_file_pages()");
}

FIXTURE_TEARDOWN(remap)
{
}

/* Does @addr show page @page of the file? */
static bool shows(char *addr, unsigned long page)
{
	unsigned long value;

	return !look(addr, &value) && value == page;
}

/*
 * Install a guard in the first or the second of two VMAs, and remove it again
 * or not.
 */
TEST_F(remap, two_vmas_of_which_one_has_guards)
{
	int where, keep;

	for (where = 0; where < 2; where++) {
		for (keep = 0; keep < 2; keep++) {
			ASSERT_EQ(0, remap(self->mem, 8, 0));
			ASSERT_EQ(0, remap(self->mem + psize(), 1, 6));
			ASSERT_EQ(3, nr_vmas(self->mem, pages(8)));
			ASSERT_EQ(0, guard_install(self->mem + pages(where), psize()));
			if (!keep)
				ASSERT_EQ(0, guard_remove(self->mem + pages(where), psize()));
			EXPECT_EQ(0, remap(self->mem, 2, 2));
			EXPECT_TRUE(shows(self->mem, 2));
			EXPECT_TRUE(shows(self->mem + psize(), 3));
			EXPECT_TRUE(shows(self->mem + pages(2), 2));
		}
	}
}

#define REMAP_ROUNDS	2000

static int remap_all(char *mem)
{
	return remap(mem, 8, 0);
}

/* Each call creates a new VMA, which has never had a guard. */
TEST_F(remap, beside_the_first_guard)
{
	struct rival rival = { .call = remap_all, .vma = self->mem };
	cpu_set_t allowed;
	int i;

	if (nr_cpus(&allowed) < 2)
		SKIP(return, "a race needs two CPUs");
	ASSERT_EQ(0, pthread_create(&rival.thread, NULL, rival_thread, &rival));
	for (i = 0; i < REMAP_ROUNDS; i++) {
		ASSERT_EQ(0, guard_install(self->mem, psize()));
		dawdle(i * 7 % 509);
	}
	__atomic_store_n(&rival.vma, NULL, __ATOMIC_RELEASE);
	pthread_join(rival.thread, NULL);
	EXPECT_EQ(0, rival.error);
}

int main(int argc, char **argv)
{
	guard_init();
	return test_harness_run(argc, argv);
}
