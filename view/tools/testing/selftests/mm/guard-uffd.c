// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guard pages in memory that is registered with userfaultfd: userfaultfd must
 * neither see a fault on a guard nor fill or remove one.
 */
#define _GNU_SOURCE
#include "../kselftest_harness.h"
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include "guard_fixture.h"
#include "guard_util.h"

/* ------------------------------------------------------------------------
 * Faults on guards
 */

/* For missing pages: all pages are missing afterwards. */
static int uffd_open_missing(uint64_t features)
{
	if (is_regular_file())
		return -1;
	empty_backing();
	return uffd_open(features);
}

/* With UFFD_FEATURE_SIGBUS an event would raise SIGBUS. */
TEST_F(guard, guard_comes_before_userfaultfd)
{
	int uffd = uffd_open_missing(UFFD_FEATURE_SIGBUS);

	if (uffd < 0)
		SKIP(return, "userfaultfd: %s", uffd_error());
	ASSERT_EQ(0, uffd_register(uffd, self->mem, self->len, true, false, false));
	ASSERT_EQ(0, guard_install(self->mem, self->len - psize()));
	EXPECT_EQ(self->nr - 1, guarded(self->mem, self->nr - 1));
	EXPECT_EQ(SIGBUS, touch(self->mem + self->len - psize(), READ).sig);
}

struct toucher {
	pthread_t thread;
	char *addr;
	enum access access;
	struct fault fault;
	int done[2];	/* a pipe that is closed at the end */
};

static void *touch_thread(void *arg)
{
	struct toucher *toucher = arg;

	toucher->fault = touch(toucher->addr, toucher->access);
	close(toucher->done[1]);
	return NULL;
}

static bool touch_start(struct toucher *toucher, char *addr, enum access access)
{
	*toucher = (struct toucher){ .addr = addr, .access = access };
	return !pipe(toucher->done) &&
	       !pthread_create(&toucher->thread, NULL, touch_thread, toucher);
}

/*
 * Wait for an event of @uffd or the end of the access. Returns true for an
 * event.
 */
static bool touch_waits(struct toucher *toucher, int uffd)
{
	struct pollfd pollfd[2] = {
		{ .fd = uffd, .events = POLLIN },
		{ .fd = toucher->done[0] },
	};
	struct uffd_msg msg;

	return poll(pollfd, 2, -1) > 0 && read(uffd, &msg, sizeof(msg)) > 0;
}

/* Unregistering wakes a waiter, so that it cannot wait for ever. */
static struct fault touch_end(struct toucher *toucher, int uffd, char *mem, size_t len)
{
	uffd_unregister(uffd, mem, len);
	pthread_join(toucher->thread, NULL);
	close(toucher->done[0]);
	return toucher->fault;
}

TEST_F(guard, guard_raises_no_userfaultfd_event)
{
	char *last = self->mem + self->len - psize();
	int uffd = uffd_open_missing(0);
	struct toucher toucher;
	enum access access;

	if (uffd < 0)
		SKIP(return, "userfaultfd: %s", uffd_error());
	ASSERT_EQ(0, guard_install(self->mem, self->len));
	for (access = READ; access <= WRITE; access++) {
		ASSERT_EQ(0, uffd_register(uffd, self->mem, self->len, true, false, false));
		ASSERT_TRUE(touch_start(&toucher, last, access));
		EXPECT_FALSE(touch_waits(&toucher, uffd));
		EXPECT_TRUE(is_guard_fault(touch_end(&toucher, uffd, self->mem, self->len), last));
	}
}

static int uffd_wake(int uffd, void *addr, size_t len)
{
	struct uffdio_range range = { (unsigned long)addr, len };

	return ioctl(uffd, UFFDIO_WAKE, &range) ? errno : 0;
}

TEST_F(guard, userfaultfd_waiter_sees_new_guard)
{
	int uffd = uffd_open_missing(0);
	struct toucher toucher;
	enum access access;

	if (uffd < 0)
		SKIP(return, "userfaultfd: %s", uffd_error());
	for (access = READ; access <= WRITE; access++) {
		ASSERT_EQ(0, uffd_register(uffd, self->mem, self->len, true, false, false));
		ASSERT_TRUE(touch_start(&toucher, self->mem, access));
		EXPECT_TRUE(touch_waits(&toucher, uffd));
		EXPECT_EQ(0, guard_install(self->mem, self->len));
		EXPECT_EQ(0, uffd_wake(uffd, self->mem, self->len));
		EXPECT_FALSE(touch_waits(&toucher, uffd));
		EXPECT_TRUE(is_guard_fault(touch_end(&toucher, uffd, self->mem, self->len),
					   self->mem));
		ASSERT_EQ(0, guard_remove(self->mem, self->len));
	}
}

#define WAITER_ROUNDS	60

/*
 * A fault on a missing page sends an event and waits. If a guard is installed
 * before the fault waits, the fault must not wait: nobody would wake it. The
 * last page stays a guard if the guard has more pages.
 */
static bool fault_waits_at_new_guard(struct __test_metadata *_metadata, int uffd,
				     char *mem, size_t len, int round)
{
	char *last = mem + len - psize();
	struct toucher toucher;
	struct pollfd done;
	bool stuck;

	ASSERT_EQ(0, uffd_register(uffd, mem, len, true, false, false));
	ASSERT_TRUE(touch_start(&toucher, last, round % 2 ? READ : WRITE));
	dawdle(1000 * round);
	EXPECT_EQ(0, guard_install(mem, len));
	EXPECT_EQ(0, uffd_wake(uffd, mem, len));
	if (last != mem)
		EXPECT_EQ(0, guard_remove(mem, psize()));
	done = (struct pollfd){ .fd = toucher.done[0] };
	stuck = poll(&done, 1, 10000) != 1;
	EXPECT_TRUE(is_guard_fault(touch_end(&toucher, uffd, mem, len), last));
	ASSERT_EQ(0, guard_remove(mem, len));
	return stuck;
}

TEST(racing_install_leaves_no_userfaultfd_waiter)
{
	int uffd = uffd_open(0), round, stuck = 0;
	char *mem = map_small(1);

	if (uffd < 0)
		SKIP(return, "userfaultfd: %s", strerror(errno));
	for (round = 0; round < WAITER_ROUNDS && !stuck; round++)
		stuck = fault_waits_at_new_guard(_metadata, uffd, mem, psize(), round);
	EXPECT_FALSE(stuck);
}

/*
 * The guard fills a page table, which may be another one after a part of the guard
 * was removed. In shared memory a fault waits before there is a page table.
 */
TEST(racing_install_of_a_large_guard_leaves_no_userfaultfd_waiter)
{
	int uffd = uffd_open(UFFD_FEATURE_MISSING_SHMEM), round, stuck = 0;
	const size_t table = table_size();
	char *mem;

	if (uffd < 0)
		SKIP(return, "userfaultfd: %s", strerror(errno));
	if (table > MAX_HUGE)
		SKIP(return, "a page table maps %zu MiB, too much for this test",
		     table >> 20);
	ASSERT_EQ(0, set_backing(MEMFD_SHARED, table, false));
	empty_backing();
	mem = reserve(table, table, 0);
	for (round = 0; round < WAITER_ROUNDS && !stuck; round++) {
		ASSERT_EQ(mem, map_backing(mem, table, PROT_READ | PROT_WRITE, 0));
		stuck = fault_waits_at_new_guard(_metadata, uffd, mem, table, round);
	}
	EXPECT_FALSE(stuck);
}

/* ------------------------------------------------------------------------
 * INSTALL and REMOVE
 */

/* For write protection. The range is registered already. */
static int uffd_open_wp(char *mem, size_t len)
{
	uint64_t features = UFFD_FEATURE_PAGEFAULT_FLAG_WP | UFFD_FEATURE_WP_UNPOPULATED;
	int uffd;

	if (under_test.is_shmem)
		features |= UFFD_FEATURE_WP_HUGETLBFS_SHMEM;
	if (is_regular_file())
		features |= UFFD_FEATURE_WP_ASYNC;
	uffd = uffd_open(features);
	if (uffd >= 0 && uffd_register(uffd, mem, len, false, true, false)) {
		close(uffd);
		return -1;
	}
	return uffd;
}

/*
 * A call that retried on its own markers would not return, and the harness
 * would end the test.
 */
TEST_F(guard, install_over_write_protected_pages)
{
	int uffd = uffd_open_wp(self->mem, self->len);

	if (uffd < 0)
		SKIP(return, "userfaultfd cannot write-protect: %s", strerror(errno));
	fill(self->mem, self->nr, 0);
	ASSERT_EQ(0, uffd_protect(uffd, self->mem, self->len, true));
	ASSERT_TRUE(pagemap(self->mem) & PM_UFFD_WP);
	ASSERT_EQ(0, guard_install(self->mem, self->len));
	EXPECT_EQ(self->nr, guarded(self->mem, self->nr));
	ASSERT_EQ(0, guard_remove(self->mem, self->len));
	/* Both the data and the write protection are gone. */
	EXPECT_EQ(self->nr, discarded(self->mem, self->nr, 0));
	EXPECT_FALSE(pagemap(self->mem) & PM_UFFD_WP);
}

TEST_F(guard, install_over_write_protect_markers)
{
	int uffd = uffd_open_wp(self->mem, self->len);

	if (uffd < 0)
		SKIP(return, "userfaultfd cannot write-protect: %s", strerror(errno));
	ASSERT_EQ(0, uffd_protect(uffd, self->mem, self->len, true));
	ASSERT_TRUE(pagemap(self->mem) & PM_UFFD_WP);
	ASSERT_EQ(0, guard_install(self->mem, self->len));
	EXPECT_EQ(self->nr, guarded(self->mem, self->nr));
	ASSERT_EQ(0, guard_remove(self->mem, self->len));
	EXPECT_EQ(self->nr, fresh(self->mem, self->nr, 0));
	EXPECT_FALSE(pagemap(self->mem) & PM_UFFD_WP);
}

/* In a file mapping the write protection outlives the pages, as markers. */
TEST_F(guard, install_over_write_protection_left_by_dontneed)
{
	int uffd = uffd_open_wp(self->mem, self->len);

	if (uffd < 0)
		SKIP(return, "userfaultfd cannot write-protect: %s", strerror(errno));
	fill(self->mem, self->nr, 0);
	ASSERT_EQ(0, uffd_protect(uffd, self->mem, self->len, true));
	ASSERT_EQ(0, advise(self->mem, self->len, MADV_DONTNEED));
	ASSERT_EQ(under_test.backing == ANON ? 0 : PM_UFFD_WP,
		  pagemap(self->mem) & (PM_UFFD_WP | PM_PRESENT));
	ASSERT_EQ(0, guard_install(self->mem, self->len));
	EXPECT_EQ(self->nr, guarded(self->mem, self->nr));
	ASSERT_EQ(0, guard_remove(self->mem, self->len));
	EXPECT_EQ(self->nr, discarded(self->mem, self->nr, 0));
	EXPECT_FALSE(pagemap(self->mem) & PM_UFFD_WP);
}

struct installer {
	pthread_t thread;
	char *addr;
	size_t len;
	int ret;
	int pipe;
};

static void *install_thread(void *arg)
{
	struct installer *installer = arg;

	installer->ret = guard_install(installer->addr, installer->len);
	close(installer->pipe);
	return NULL;
}

/* INSTALL discards data, so it has to send a remove event. */
TEST_F(guard, install_sends_remove_event)
{
	const bool wp = is_regular_file();
	int uffd = uffd_open(UFFD_FEATURE_EVENT_REMOVE |
			     (wp ? UFFD_FEATURE_WP_ASYNC : UFFD_FEATURE_SIGBUS));
	struct installer installer = { .addr = self->mem };
	struct pollfd pollfd[2] = {};
	struct uffd_msg msg = {};
	int done[2];

	if (uffd < 0)
		SKIP(return, "userfaultfd: %s", strerror(errno));
	fill(self->mem, self->nr, 0);
	ASSERT_EQ(0, uffd_register(uffd, self->mem, self->len, !wp, wp, false));
	ASSERT_EQ(0, pipe(done));
	installer.len = variant->four_vmas ? self->len / 4 : self->len;
	installer.pipe = done[1];
	pollfd[0] = (struct pollfd){ .fd = uffd, .events = POLLIN };
	pollfd[1] = (struct pollfd){ .fd = done[0] };
	ASSERT_EQ(0, pthread_create(&installer.thread, NULL, install_thread, &installer));
	/* Either there is an event, or the call returns without one. */
	ASSERT_LT(0, poll(pollfd, 2, -1));
	EXPECT_EQ(sizeof(msg), read(uffd, &msg, sizeof(msg)));
	EXPECT_EQ(UFFD_EVENT_REMOVE, msg.event);
	EXPECT_EQ((unsigned long)self->mem, msg.arg.remove.start);
	EXPECT_EQ((unsigned long)self->mem + installer.len, msg.arg.remove.end);
	ASSERT_EQ(0, pthread_join(installer.thread, NULL));
	EXPECT_EQ(0, installer.ret);
	EXPECT_EQ(installer.len / psize(), guarded(self->mem, installer.len / psize()));
}

TEST_F(guard, remove_keeps_write_protection)
{
	int uffd = uffd_open_wp(self->mem, self->len);

	if (uffd < 0)
		SKIP(return, "userfaultfd cannot write-protect: %s", strerror(errno));
	fill(self->mem, 1, 0);
	ASSERT_EQ(0, guard_install(self->mem + psize(), psize()));
	ASSERT_EQ(0, uffd_protect(uffd, self->mem, self->len, true));
	ASSERT_TRUE(is_guarded(self->mem + psize()));
	ASSERT_EQ(0, guard_remove(self->mem, self->len));
	EXPECT_TRUE(pagemap(self->mem) & PM_UFFD_WP);
	EXPECT_TRUE(pagemap(self->mem + pages(2)) & PM_UFFD_WP);
	EXPECT_EQ(1, filled(self->mem, 1, 0));
}

/* Reads the events for which a system call waits. */
struct monitor {
	pthread_t thread;
	int uffd;
	int done[2];	/* a pipe that is closed after the call */
	int nr_events;
	struct uffd_msg msg;	/* the last */
};

static void *monitor_thread(void *arg)
{
	struct monitor *monitor = arg;
	struct pollfd pollfd[2] = {
		{ .fd = monitor->uffd, .events = POLLIN },
		{ .fd = monitor->done[0] },
	};

	while (poll(pollfd, 2, -1) > 0 &&
	       read(monitor->uffd, &monitor->msg, sizeof(monitor->msg)) > 0)
		monitor->nr_events++;
	return NULL;
}

static bool monitor_start(struct monitor *monitor, int uffd)
{
	*monitor = (struct monitor){ .uffd = uffd };
	return !pipe2(monitor->done, O_CLOEXEC) &&
	       !pthread_create(&monitor->thread, NULL, monitor_thread, monitor);
}

/* Returns the event that came, or 0. */
static int monitor_end(struct monitor *monitor)
{
	close(monitor->done[1]);
	pthread_join(monitor->thread, NULL);
	close(monitor->done[0]);
	return monitor->msg.event;
}

TEST(process_madvise_sends_remove_event_for_each_range)
{
	int uffd = uffd_open(UFFD_FEATURE_EVENT_REMOVE | UFFD_FEATURE_SIGBUS);
	char *mem = map_small(NR_SMALL);
	struct iovec iov[2] = {
		{ mem, psize() },
		{ mem + pages(4), pages(2) },
	};
	struct monitor monitor;

	if (uffd < 0)
		SKIP(return, "userfaultfd with UFFD_FEATURE_EVENT_REMOVE: %s", strerror(errno));
	fill(mem, NR_SMALL, 0);
	ASSERT_EQ(0, uffd_register(uffd, mem, pages(NR_SMALL), true, false, false));
	ASSERT_TRUE(monitor_start(&monitor, uffd));
	EXPECT_EQ(pages(3), advise_process(getpid(), iov, 2, MADV_GUARD_INSTALL));
	EXPECT_EQ(UFFD_EVENT_REMOVE, monitor_end(&monitor));
	EXPECT_EQ(2, monitor.nr_events);
	EXPECT_EQ((unsigned long)mem + pages(4), monitor.msg.arg.remove.start);
	EXPECT_EQ((unsigned long)mem + pages(6), monitor.msg.arg.remove.end);
	EXPECT_EQ(3, guarded(mem, NR_SMALL));
}

/* The ranges follow each other in one page table. */
TEST(process_madvise_sends_remove_event_where_nothing_is_mapped)
{
	int uffd = uffd_open(UFFD_FEATURE_EVENT_REMOVE | UFFD_FEATURE_SIGBUS);
	char *mem = map_small(NR_SMALL);
	struct iovec iov[3] = {
		{ mem, psize() },
		{ mem + pages(2), psize() },
		{ mem + pages(4), psize() },
	};
	struct monitor monitor;

	if (uffd < 0)
		SKIP(return, "userfaultfd with UFFD_FEATURE_EVENT_REMOVE: %s", strerror(errno));
	ASSERT_EQ(0, uffd_register(uffd, mem, pages(NR_SMALL), true, false, false));
	ASSERT_TRUE(monitor_start(&monitor, uffd));
	EXPECT_EQ(pages(3), advise_process(getpid(), iov, 3, MADV_GUARD_INSTALL));
	EXPECT_EQ(UFFD_EVENT_REMOVE, monitor_end(&monitor));
	EXPECT_EQ(3, monitor.nr_events);
	EXPECT_EQ(3, guarded(mem, NR_SMALL));
}

/* ------------------------------------------------------------------------
 * Requests of userfaultfd
 */

static int uffd_copy(int uffd, char *dst, char *src, size_t len, int64_t *copied)
{
	struct uffdio_copy arg = {
		.dst = (unsigned long)dst,
		.src = (unsigned long)src,
		.len = len,
	};
	int ret = ioctl(uffd, UFFDIO_COPY, &arg) ? errno : 0;

	*copied = arg.copy;
	return ret;
}

TEST_F(guard, uffdio_copy_onto_a_guard)
{
	int uffd = uffd_open_missing(UFFD_FEATURE_SIGBUS);
	char *src = map_small(2);
	int64_t copied;

	if (uffd < 0)
		SKIP(return, "userfaultfd: %s", uffd_error());
	ASSERT_EQ(0, uffd_register(uffd, self->mem, self->len, true, false, false));
	fill(src, 2, 0);
	ASSERT_EQ(0, guard_install(self->mem + psize(), psize()));
	EXPECT_EQ(EEXIST, uffd_copy(uffd, self->mem + psize(), src, psize(), &copied));
	EXPECT_EQ(1, guarded(self->mem + psize(), 1));
	/* The pages before the guard are filled, and reported as such. */
	EXPECT_EQ(EAGAIN, uffd_copy(uffd, self->mem, src, pages(2), &copied));
	EXPECT_EQ(psize(), copied);
	EXPECT_EQ(1, filled(self->mem, 1, 0));
	EXPECT_EQ(1, guarded(self->mem, 2));
	ASSERT_EQ(0, guard_remove(self->mem, self->len));
	EXPECT_EQ(0, uffd_copy(uffd, self->mem + psize(), src, psize(), &copied));
}

TEST_F(guard, uffdio_zeropage_onto_a_guard)
{
	struct uffdio_zeropage arg = {
		.range = { (unsigned long)self->mem, psize() },
	};
	int uffd = uffd_open_missing(UFFD_FEATURE_SIGBUS);

	if (uffd < 0)
		SKIP(return, "userfaultfd: %s", uffd_error());
	ASSERT_EQ(0, uffd_register(uffd, self->mem, self->len, true, false, false));
	ASSERT_EQ(0, guard_install(self->mem, psize()));
	EXPECT_EQ(-1, ioctl(uffd, UFFDIO_ZEROPAGE, &arg));
	EXPECT_EQ(EEXIST, errno);
	EXPECT_EQ(1, guarded(self->mem, 1));
	ASSERT_EQ(0, guard_remove(self->mem, psize()));
	EXPECT_EQ(0, ioctl(uffd, UFFDIO_ZEROPAGE, &arg));
}

/* The fault handlers of these architectures call BUG() for a poisoned page. */
#if defined(__csky__) || defined(__m68k__) || defined(__microblaze__) || \
	defined(__mips__) || defined(__nios2__) || defined(__or1k__) || \
	defined(__sh__) || defined(__sparc__) || defined(__xtensa__)
#define POISON_IS_FATAL		true
#else
#define POISON_IS_FATAL		false
#endif

/* The fault handlers of these do not distinguish it from other errors. */
#if defined(__arc__) || defined(__arm__) || defined(__hexagon__)
#define POISON_SIGNAL		SIGSEGV
#else
#define POISON_SIGNAL		SIGBUS
#endif

TEST_F(guard, uffdio_poison_onto_a_guard)
{
	struct uffdio_poison arg = {
		.range = { (unsigned long)self->mem, psize() },
	};
	int uffd = uffd_open_missing(UFFD_FEATURE_POISON | UFFD_FEATURE_SIGBUS);

	if (POISON_IS_FATAL)
		SKIP(return,
		     "the fault handler of this architecture calls BUG() for a poisoned page");
	if (uffd < 0)
		SKIP(return, "userfaultfd: %s", uffd_error());
	ASSERT_EQ(0, uffd_register(uffd, self->mem, self->len, true, false, false));
	ASSERT_EQ(0, guard_install(self->mem, psize()));
	EXPECT_EQ(-1, ioctl(uffd, UFFDIO_POISON, &arg));
	EXPECT_EQ(EEXIST, errno);
	EXPECT_EQ(1, guarded(self->mem, 1));
	ASSERT_EQ(0, guard_remove(self->mem, psize()));
	EXPECT_EQ(0, ioctl(uffd, UFFDIO_POISON, &arg));
	EXPECT_EQ(POISON_SIGNAL, touch(self->mem, READ).sig);
}

/* INSTALL discards poison markers, as MADV_DONTNEED does; REMOVE does not. */
TEST_F(guard, install_over_poison_and_remove_beside_it)
{
	struct uffdio_poison arg = {
		.range = { (unsigned long)self->mem, psize() },
	};
	int uffd = uffd_open_missing(UFFD_FEATURE_POISON | UFFD_FEATURE_SIGBUS);

	if (POISON_IS_FATAL)
		SKIP(return,
		     "the fault handler of this architecture calls BUG() for a poisoned page");
	if (uffd < 0)
		SKIP(return, "userfaultfd: %s", uffd_error());
	ASSERT_EQ(0, uffd_register(uffd, self->mem, self->len, true, false, false));
	ASSERT_EQ(0, ioctl(uffd, UFFDIO_POISON, &arg));
	/* Without a guard in the VMA, REMOVE would skip it. */
	ASSERT_EQ(0, guard_install(self->mem + psize(), psize()));
	ASSERT_EQ(0, guard_remove(self->mem, self->len));
	EXPECT_EQ(POISON_SIGNAL, touch(self->mem, READ).sig);
	ASSERT_EQ(0, guard_install(self->mem, self->len));
	EXPECT_EQ(self->nr, guarded(self->mem, self->nr));
}

static int uffd_move(int uffd, char *dst, char *src, size_t len)
{
	struct uffdio_move arg = {
		.dst = (unsigned long)dst,
		.src = (unsigned long)src,
		.len = len,
	};

	return ioctl(uffd, UFFDIO_MOVE, &arg) ? errno : 0;
}

TEST_F(guard, uffdio_move_onto_a_guard)
{
	int uffd = uffd_open(UFFD_FEATURE_MOVE | UFFD_FEATURE_SIGBUS);

	if (under_test.backing != ANON)
		SKIP(return, "UFFDIO_MOVE is for private anonymous memory");
	if (uffd < 0)
		SKIP(return, "userfaultfd: %s", strerror(errno));
	ASSERT_EQ(0, guard_install(self->mem + pages(2), psize()));
	fill(self->mem, 1, 0);
	ASSERT_EQ(0, uffd_register(uffd, self->mem, self->len, true, false, false));
	EXPECT_EQ(EEXIST, uffd_move(uffd, self->mem + pages(2), self->mem, psize()));
	EXPECT_EQ(1, guarded(self->mem + pages(2), 1));
	EXPECT_EQ(1, filled(self->mem, 1, 0));
	ASSERT_EQ(0, guard_remove(self->mem, self->len));
	EXPECT_EQ(0, uffd_move(uffd, self->mem + pages(2), self->mem, psize()));
	EXPECT_EQ(1, filled(self->mem + pages(2), 1, 0));
}

TEST_F(guard, uffdio_move_from_a_guard)
{
	int uffd = uffd_open(UFFD_FEATURE_MOVE | UFFD_FEATURE_SIGBUS);

	if (under_test.backing != ANON)
		SKIP(return, "UFFDIO_MOVE is for private anonymous memory");
	if (uffd < 0)
		SKIP(return, "userfaultfd: %s", strerror(errno));
	ASSERT_EQ(0, guard_install(self->mem, psize()));
	fill(self->mem + psize(), 1, 0);
	ASSERT_EQ(0, uffd_register(uffd, self->mem, self->len, true, false, false));
	EXPECT_EQ(EFAULT, uffd_move(uffd, self->mem + pages(2), self->mem, psize()));
	EXPECT_EQ(1, guarded(self->mem, 1));
	EXPECT_EQ(1, filled(self->mem + psize(), 1, 0));
	EXPECT_FALSE(is_present(self->mem + pages(2)));
}

TEST_F(guard, uffdio_writeprotect_skips_guards)
{
	int uffd = uffd_open_wp(self->mem, self->len);

	if (uffd < 0)
		SKIP(return, "userfaultfd cannot write-protect: %s", strerror(errno));
	ASSERT_EQ(0, guard_install(self->mem + psize(), psize()));
	ASSERT_EQ(0, uffd_protect(uffd, self->mem, self->len, true));
	EXPECT_TRUE(pagemap(self->mem) & PM_UFFD_WP);
	EXPECT_FALSE(pagemap(self->mem + psize()) & PM_UFFD_WP);
	EXPECT_EQ(1, guarded(self->mem + psize(), 1));
	ASSERT_EQ(0, uffd_protect(uffd, self->mem, self->len, false));
	EXPECT_FALSE(pagemap(self->mem) & PM_UFFD_WP);
	EXPECT_EQ(1, guarded(self->mem, self->nr));
}

/* Unregistering removes the write protection and nothing else. */
TEST_F(guard, uffd_unregister_keeps_guards)
{
	int uffd = uffd_open_wp(self->mem, self->len);

	if (uffd < 0)
		SKIP(return, "userfaultfd cannot write-protect: %s", strerror(errno));
	ASSERT_EQ(0, guard_install(self->mem, self->len / 2));
	ASSERT_EQ(0, uffd_protect(uffd, self->mem, self->len, true));
	ASSERT_EQ(0, uffd_unregister(uffd, self->mem, self->len));
	EXPECT_EQ(self->nr / 2, guarded(self->mem, self->nr));
	EXPECT_FALSE(pagemap(self->mem + self->len / 2) & PM_UFFD_WP);
}

TEST_F(guard, async_write_protection_beside_guards)
{
	int uffd = uffd_open(UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_WP_UNPOPULATED);

	if (under_test.is_dax)
		SKIP(return, "DAX faults for ever on a uffd-wp marker");
	if (uffd < 0)
		SKIP(return, "userfaultfd: %s", strerror(errno));
	if (uffd_register(uffd, self->mem, self->len, false, true, false))
		SKIP(return, "userfaultfd cannot write-protect");
	stripe(self->mem, self->nr);
	ASSERT_EQ(0, uffd_protect(uffd, self->mem, self->len, true));
	ASSERT_TRUE(pagemap(self->mem + psize()) & PM_UFFD_WP);
	ASSERT_TRUE(pagemap(self->mem + pages(2)) & PM_UFFD_WP);
	/* A write removes the protection of a page. A guard has none. */
	EXPECT_TRUE(is_guard_fault(touch(self->mem, WRITE), self->mem));
	EXPECT_EQ(PM_GUARD, pagemap(self->mem) & (PM_GUARD | PM_UFFD_WP));
	fill(self->mem + psize(), 1, 1);
	EXPECT_FALSE(pagemap(self->mem + psize()) & PM_UFFD_WP);
	EXPECT_TRUE(pagemap(self->mem + pages(2)) & PM_UFFD_WP);
	EXPECT_EQ(self->nr, striped(self->mem, self->nr));
	/* A guard that replaces a protected page removes the protection. */
	ASSERT_EQ(0, guard_install(self->mem + pages(2), psize()));
	ASSERT_EQ(0, guard_remove(self->mem + pages(2), psize()));
	EXPECT_FALSE(pagemap(self->mem + pages(2)) & PM_UFFD_WP);
}

/* ------------------------------------------------------------------------
 * fork, mremap and munmap
 */

TEST_F(guard, fork_after_uffd_unregister_copies_guards)
{
	const bool wp = is_regular_file();
	int uffd = uffd_open(wp ? UFFD_FEATURE_WP_ASYNC : 0);

	if (uffd < 0)
		SKIP(return, "userfaultfd: %s", strerror(errno));
	ASSERT_EQ(0, guard_install(self->mem, self->len / 2));
	ASSERT_EQ(0, uffd_register(uffd, self->mem, self->len / 2, !wp, wp, false));
	ASSERT_EQ(0, uffd_unregister(uffd, self->mem, self->len / 2));
	EXPECT_TRUE(child_sees_guards(self->mem, self->nr, self->nr / 2));
}

/* Guards at 0, 3, ..., data at 1, 4, ...; the rest raises SIGBUS when missing. */
static size_t guards_under_userfaultfd(char *mem)
{
	size_t i, found = 0;

	for (i = 0; i < NR_SMALL; i++)
		found += i % 3 == 0 ? guarded(mem + pages(i), 1) :
			 i % 3 == 1 ? filled(mem + pages(i), 1, i) :
				      touch(mem + pages(i), READ).sig == SIGBUS;
	return found;
}

TEST(userfaultfd_of_a_child_cannot_fill_its_guards)
{
	int uffd = uffd_open(UFFD_FEATURE_EVENT_FORK | UFFD_FEATURE_SIGBUS);
	char *mem = map_small(NR_SMALL), *source = map_small(1);
	int go[2], child_uffd;
	struct monitor monitor;
	int64_t copied;
	char byte = 0;
	pid_t pid;

	if (uffd < 0)
		SKIP(return, "userfaultfd with UFFD_FEATURE_EVENT_FORK: %s", strerror(errno));
	fill(source, 1, 2);
	stripe(mem, NR_SMALL);
	ASSERT_EQ(0, uffd_register(uffd, mem, pages(NR_SMALL), true, false, false));
	ASSERT_EQ(0, pipe(go));
	ASSERT_TRUE(monitor_start(&monitor, uffd));
	pid = fork();
	if (!pid) {
		/* When the parent exits, the monitor reads end of file. */
		close(go[1]);
		close(monitor.done[1]);
		read(go[0], &byte, 1);
		if (filled(mem + pages(2), 1, 2) != 1)
			_exit(1);
		advise(mem + pages(2), psize(), MADV_DONTNEED);
		_exit(guards_under_userfaultfd(mem) != NR_SMALL);
	}
	ASSERT_EQ(UFFD_EVENT_FORK, monitor_end(&monitor));
	child_uffd = monitor.msg.arg.fork.ufd;
	EXPECT_EQ(EEXIST, uffd_copy(child_uffd, mem, source, psize(), &copied));
	EXPECT_EQ(0, uffd_copy(child_uffd, mem + pages(2), source, psize(), &copied));
	write(go[1], &byte, 1);
	EXPECT_EQ(0, wait_child(pid));
	EXPECT_EQ(NR_SMALL, guards_under_userfaultfd(mem));
}

TEST(userfaultfd_follows_guards_that_are_moved)
{
	int uffd = uffd_open(UFFD_FEATURE_EVENT_REMAP | UFFD_FEATURE_SIGBUS);
	char *mem = map_small(NR_SMALL), *source = map_small(1);
	char *to = reserve(pages(NR_SMALL), table_size(), pages(3));
	struct monitor monitor;
	int64_t copied;

	if (uffd < 0)
		SKIP(return, "userfaultfd with UFFD_FEATURE_EVENT_REMAP: %s", strerror(errno));
	fill(source, 1, 2);
	stripe(mem, NR_SMALL);
	ASSERT_EQ(0, uffd_register(uffd, mem, pages(NR_SMALL), true, false, false));
	ASSERT_TRUE(monitor_start(&monitor, uffd));
	EXPECT_EQ(to, mremap(mem, pages(NR_SMALL), pages(NR_SMALL),
			     MREMAP_MAYMOVE | MREMAP_FIXED, to));
	ASSERT_EQ(UFFD_EVENT_REMAP, monitor_end(&monitor));
	EXPECT_EQ((unsigned long)mem, monitor.msg.arg.remap.from);
	EXPECT_EQ((unsigned long)to, monitor.msg.arg.remap.to);
	EXPECT_EQ(NR_SMALL, guards_under_userfaultfd(to));
	EXPECT_EQ(EEXIST, uffd_copy(uffd, to, source, psize(), &copied));
	EXPECT_EQ(0, uffd_copy(uffd, to + pages(2), source, psize(), &copied));
	EXPECT_EQ(1, filled(to + pages(2), 1, 2));
	EXPECT_EQ(6, guarded(to, NR_SMALL));
	EXPECT_TRUE(child_sees_guards(to, NR_SMALL, 6));
}

TEST(userfaultfd_hears_of_guards_that_are_unmapped)
{
	int uffd = uffd_open(UFFD_FEATURE_EVENT_UNMAP | UFFD_FEATURE_SIGBUS);
	char *mem = map_small(NR_SMALL);
	struct monitor monitor;

	if (uffd < 0)
		SKIP(return, "userfaultfd with UFFD_FEATURE_EVENT_UNMAP: %s", strerror(errno));
	ASSERT_EQ(0, guard_install(mem, pages(NR_SMALL)));
	ASSERT_EQ(0, uffd_register(uffd, mem, pages(NR_SMALL), true, false, false));
	ASSERT_TRUE(monitor_start(&monitor, uffd));
	EXPECT_EQ(0, munmap(mem + pages(4), pages(8)));
	ASSERT_EQ(UFFD_EVENT_UNMAP, monitor_end(&monitor));
	EXPECT_EQ((unsigned long)mem + pages(4), monitor.msg.arg.remove.start);
	EXPECT_EQ((unsigned long)mem + pages(12), monitor.msg.arg.remove.end);
	EXPECT_EQ(4, guarded(mem, 4));
	EXPECT_EQ(4, guarded(mem + pages(12), 4));
	ASSERT_EQ(mem + pages(4), map_at(mem + pages(4), pages(8), PROT_READ | PROT_WRITE));
	EXPECT_EQ(8, zeroed(mem + pages(4), 8));
}

int main(int argc, char **argv)
{
	guard_init();
	return test_harness_run(argc, argv);
}
