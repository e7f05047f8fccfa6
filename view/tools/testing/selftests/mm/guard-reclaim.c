// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guard pages where the kernel moves or frees memory: swap, KSM, migration
 * between nodes, memory failure and the OOM reaper.
 */
#define _GNU_SOURCE
#include "../kselftest_harness.h"
#include <fcntl.h>
#include <linux/loop.h>
#include <linux/mempolicy.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include "guard_fixture.h"
#include "guard_util.h"
#include "thp_settings.h"

/* ------------------------------------------------------------------------
 * Swap
 */

/*
 * Swap space of the test's own if it is allowed to add some, else that of the
 * system.
 */
FIXTURE(swap)
{
	char *mem;
	char device[32];
	bool own;
};

FIXTURE_VARIANT(swap)
{
	enum backing backing;
	bool in_file;	/* what is swapped is below a private mapping, not in it */
};

FIXTURE_VARIANT_ADD(swap, anon)
{
	.backing = ANON,
};

FIXTURE_VARIANT_ADD(swap, shmem)
{
	.backing = SHMEM,
};

FIXTURE_VARIANT_ADD(swap, memfd_shared)
{
	.backing = MEMFD_SHARED,
};

FIXTURE_VARIANT_ADD(swap, memfd_private)
{
	.backing = MEMFD_PRIVATE,
};

FIXTURE_VARIANT_ADD(swap, below_memfd_private)
{
	.backing = MEMFD_PRIVATE,
	.in_file = true,
};

static int swap_on_loop(char *device, size_t size)
{
	struct loop_info64 info = { .lo_flags = LO_FLAGS_AUTOCLEAR };
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	size_t nr = 256;
	uint32_t *header;
	int backing, loop = -1, nr_loop, ret = -1;

	if (control < 0)
		return -1;
	backing = memfd(pages(nr));
	header = mmap(NULL, psize(), PROT_READ | PROT_WRITE, MAP_SHARED, backing, 0);
	if (header == MAP_FAILED)
		goto out;
	/* What mkswap(8) writes. */
	header[256] = 1;
	header[257] = nr - 1;
	memcpy((char *)header + psize() - 10, "SWAPSPACE2", 10);
	munmap(header, psize());

	nr_loop = ioctl(control, LOOP_CTL_GET_FREE);
	snprintf(device, size, "/dev/loop%d", nr_loop);
	loop = open(device, O_RDWR | O_CLOEXEC);
	if (loop < 0 || ioctl(loop, LOOP_SET_FD, backing) ||
	    ioctl(loop, LOOP_SET_STATUS64, &info))
		goto out;
	ret = swapon(device, SWAP_FLAG_PREFER | SWAP_FLAG_PRIO_MASK);
out:
	if (loop >= 0)
		close(loop);
	close(backing);
	close(control);
	return ret;
}

/* Returns true once all pages of @mem are swapped out. */
static bool swap_out(char *mem)
{
	int try;

	/* Pages that were just written may be busy. */
	for (try = 0; try < 10; try++) {
		advise(mem, pages(NR_SMALL), MADV_PAGEOUT);
		if (smaps_kb(mem, pages(NR_SMALL), "Swap:") == kb(NR_SMALL))
			return true;
		sched_yield();
	}
	return false;
}

FIXTURE_SETUP(swap)
{
	char *file;
	bool swapped;
	int ret;

	self->own = !swap_on_loop(self->device, sizeof(self->device));
	ret = set_backing(variant->backing, pages(NR_SMALL), false);
	if (ret == EOPNOTSUPP)
		SKIP(return, "%s", backing_error(ret));
	ASSERT_EQ(0, ret);
	self->mem = map_backing(reserve(pages(NR_SMALL), psize(), 0), pages(NR_SMALL),
				PROT_READ | PROT_WRITE, 0);
	ASSERT_NE(MAP_FAILED, self->mem);
	advise(self->mem, pages(NR_SMALL), MADV_NOHUGEPAGE);
	if (variant->in_file) {
		file = mmap(NULL, pages(NR_SMALL), PROT_READ | PROT_WRITE, MAP_SHARED,
			    under_test.fd, 0);
		ASSERT_NE(MAP_FAILED, file);
		ASSERT_EQ(NR_SMALL, readable(file, NR_SMALL));
		swapped = swap_out(file);
		munmap(file, pages(NR_SMALL));
	} else {
		fill(self->mem, NR_SMALL, 0);
		swapped = swap_out(self->mem);
	}
	if (swapped)
		return;
	if (self->own)
		swapoff(self->device);
	SKIP(return, "nothing can be swapped out: there is no swap, and %s",
	     self->own ? "adding some did not help" : "none can be added");
}

FIXTURE_TEARDOWN(swap)
{
	munmap(self->mem, pages(NR_SMALL));
	if (self->own)
		swapoff(self->device);
}

/*
 * Swap entries of shared memory belong to the file, so INSTALL does not free
 * them.
 */
static bool swap_is_kept(const FIXTURE_VARIANT(swap) * variant)
{
	return under_test.shared || variant->in_file;
}

/* How many pages still have their content. */
static size_t untouched(const FIXTURE_VARIANT(swap) * variant, char *start,
			size_t nr, size_t page)
{
	return variant->in_file ? fresh(start, nr, page) : filled(start, nr, page);
}

TEST_F(swap, install_over_swapped_pages)
{
	size_t left = swap_is_kept(variant) ? NR_SMALL : NR_SMALL - 8;

	ASSERT_EQ(kb(NR_SMALL), smaps_kb(self->mem, pages(NR_SMALL), "Swap:"));
	ASSERT_EQ(0, guard_install(self->mem, pages(8)));
	EXPECT_EQ(kb(left), smaps_kb(self->mem, pages(NR_SMALL), "Swap:"));
	EXPECT_EQ(8, guarded(self->mem, 8));
	EXPECT_EQ(kb(left), smaps_kb(self->mem, pages(NR_SMALL), "Swap:"));
	EXPECT_EQ(NR_SMALL - 8, untouched(variant, self->mem + pages(8), NR_SMALL - 8, 8));
	ASSERT_EQ(0, guard_remove(self->mem, pages(NR_SMALL)));
	EXPECT_EQ(8, variant->in_file ? fresh(self->mem, 8, 0) : discarded(self->mem, 8, 0));
}

TEST_F(swap, remove_leaves_swapped_pages)
{
	size_t left = swap_is_kept(variant) ? NR_SMALL : NR_SMALL - 1;

	/* Without a guard in the VMA, REMOVE would skip it. */
	ASSERT_EQ(0, guard_install(self->mem, psize()));
	ASSERT_EQ(0, guard_remove(self->mem, pages(NR_SMALL)));
	EXPECT_EQ(kb(left), smaps_kb(self->mem, pages(NR_SMALL), "Swap:"));
	EXPECT_EQ(NR_SMALL - 1, untouched(variant, self->mem + psize(), NR_SMALL - 1, 1));
}

/* The guards of a whole page table hide nothing that is swapped out below them. */
TEST_F(swap, large_guard_leaves_swapped_pages)
{
	const size_t table = table_size();
	size_t swapped;
	char *mem;

	if (table > MAX_HUGE)
		SKIP(return, "a page table maps %zu MiB, too much for this test",
		     table >> 20);
	mem = map_backing(reserve(table, table, 0), table, PROT_READ | PROT_WRITE, 0);
	ASSERT_NE(MAP_FAILED, mem);
	swapped = smaps_kb(mem, table, "Swap:");
	if (variant->in_file)
		ASSERT_EQ(kb(NR_SMALL), swapped);
	ASSERT_EQ(0, guard_install(mem, table));
	EXPECT_EQ(swapped, smaps_kb(mem, table, "Swap:"));
	munmap(mem, table);
}

static bool is_write_protected(char *page)
{
	return pagemap(page) & PM_UFFD_WP;
}

/*
 * In a private mapping of shared memory, write protection puts markers into empty
 * entries. smaps must still count what is swapped out below them.
 */
TEST_F(swap, write_protection_leaves_swapped_pages)
{
	int uffd = uffd_open(0);

	if (uffd < 0)
		SKIP(return, "userfaultfd: %s", strerror(errno));
	if (uffd_register(uffd, self->mem, pages(NR_SMALL), false, true, false))
		SKIP(return, "userfaultfd cannot write-protect");
	ASSERT_EQ(0, uffd_protect(uffd, self->mem, pages(NR_SMALL), true));
	EXPECT_EQ(NR_SMALL, count(self->mem, NR_SMALL, is_write_protected));
	EXPECT_EQ(kb(NR_SMALL), smaps_kb(self->mem, pages(NR_SMALL), "Swap:"));
	ASSERT_EQ(0, uffd_protect(uffd, self->mem, pages(NR_SMALL), false));
	EXPECT_EQ(0, count(self->mem, NR_SMALL, is_write_protected));
	EXPECT_EQ(kb(NR_SMALL), smaps_kb(self->mem, pages(NR_SMALL), "Swap:"));
	EXPECT_EQ(NR_SMALL, untouched(variant, self->mem, NR_SMALL, 0));
}

TEST_F(swap, swapoff_keeps_guards)
{
	if (!self->own)
		SKIP(return, "the test could not add swap space of its own");
	ASSERT_EQ(0, guard_install(self->mem + psize(), pages(5)));
	ASSERT_EQ(0, swapoff(self->device));
	self->own = false;
	EXPECT_EQ(5, guarded(self->mem + psize(), 5));
	EXPECT_EQ(1, untouched(variant, self->mem, 1, 0));
	EXPECT_EQ(NR_SMALL - 6, untouched(variant, self->mem + pages(6), NR_SMALL - 6, 6));
}

/* Swapping in one page may read ahead its neighbours. */
TEST_F(swap, swap_in_passes_over_guards)
{
	size_t i, kept = 0;

	ASSERT_EQ(0, guard_every(2, self->mem, NR_SMALL));
	EXPECT_EQ(1, untouched(variant, self->mem + pages(7), 1, 7));
	EXPECT_EQ(NR_SMALL / 2, guarded(self->mem, NR_SMALL));
	if (self->own) {
		ASSERT_EQ(0, swapoff(self->device));
		self->own = false;
	}
	for (i = 1; i < NR_SMALL; i += 2)
		kept += untouched(variant, self->mem + pages(i), 1, i);
	EXPECT_EQ(NR_SMALL / 2, kept);
	EXPECT_EQ(NR_SMALL / 2, guarded(self->mem, NR_SMALL));
	EXPECT_TRUE(child_sees_guards(self->mem, NR_SMALL, NR_SMALL / 2));
}

TEST_F(swap, fork_copies_guards_between_swapped_pages)
{
	size_t i, kept = 0;
	pid_t pid;

	ASSERT_EQ(0, guard_every(2, self->mem, NR_SMALL));
	pid = fork();
	if (!pid) {
		for (i = 1; i < NR_SMALL; i += 2)
			kept += untouched(variant, self->mem + pages(i), 1, i);
		_exit(kept != NR_SMALL / 2 ||
		      guarded(self->mem, NR_SMALL) != NR_SMALL / 2);
	}
	EXPECT_EQ(0, wait_child(pid));
	EXPECT_EQ(NR_SMALL / 2, guarded(self->mem, NR_SMALL));
}

/* ------------------------------------------------------------------------
 * KSM
 */

#define KSM	"/sys/kernel/mm/ksm/"

/* Run ksmd until @nr pages of this process are merged, or for ten seconds. */
static bool ksm_merges(long nr)
{
	static const struct {
		const char *path;
		unsigned long fast;
	} knobs[] = {
		{ KSM "run", 1 },
		{ KSM "pages_to_scan", 1000 },
		{ KSM "sleep_millisecs", 0 },
	};
	unsigned long old[ARRAY_SIZE(knobs)];
	time_t start = now();
	long merged;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(knobs); i++) {
		old[i] = read_num(knobs[i].path);
		write_num(knobs[i].path, knobs[i].fast);
	}
	do {
		sched_yield();
		merged = read_key("/proc/self/ksm_stat", "ksm_merging_pages ");
	} while (merged < nr && now() < start + 10);
	for (i = 0; i < ARRAY_SIZE(knobs); i++)
		write_num(knobs[i].path, old[i]);
	return merged >= nr;
}

TEST(install_over_ksm_pages)
{
	char *mem = map_small(4);

	if (access(KSM "run", W_OK))
		SKIP(return, KSM "run: %s", strerror(errno));
	memset(mem, 0xa5, pages(4));
	ASSERT_EQ(0, advise(mem, pages(4), MADV_MERGEABLE));
	if (!ksm_merges(4))
		SKIP(return, "ksmd has not merged the pages");

	ASSERT_EQ(0, guard_install(mem, pages(2)));
	EXPECT_EQ(2, guarded(mem, 4));
	EXPECT_EQ((char)0xa5, mem[pages(2)]);
	EXPECT_EQ((char)0xa5, mem[pages(4) - 1]);
	ASSERT_EQ(0, guard_remove(mem, pages(4)));
	EXPECT_EQ(2, zeroed(mem, 2));
}

TEST(ksm_passes_over_guards)
{
	char *mem = map_small(NR_SMALL), *page;
	size_t i;

	if (access(KSM "run", W_OK))
		SKIP(return, KSM "run: %s", strerror(errno));
	memset(mem, 0xa5, pages(NR_SMALL));
	ASSERT_EQ(0, guard_every(2, mem, NR_SMALL));
	ASSERT_EQ(0, advise(mem, pages(NR_SMALL), MADV_MERGEABLE));
	if (!ksm_merges(NR_SMALL / 2))
		SKIP(return, "ksmd has not merged the pages");
	EXPECT_EQ(kb(NR_SMALL / 2), smaps_kb(mem, pages(NR_SMALL), "KSM:"));
	EXPECT_EQ(NR_SMALL / 2, guarded(mem, NR_SMALL));
	EXPECT_TRUE(child_sees_guards(mem, NR_SMALL, NR_SMALL / 2));
	/* Unmerging is another page walk, and causes faults. */
	ASSERT_EQ(0, advise(mem, pages(NR_SMALL), MADV_UNMERGEABLE));
	EXPECT_EQ(0, smaps_kb(mem, pages(NR_SMALL), "KSM:"));
	EXPECT_EQ(NR_SMALL / 2, guarded(mem, NR_SMALL));
	for (i = 1; i < NR_SMALL; i += 2) {
		page = mem + pages(i);
		EXPECT_EQ((char)0xa5, page[1]);
		EXPECT_EQ((char)0xa5, page[psize() - 2]);
	}
}

/* ------------------------------------------------------------------------
 * Migration between nodes
 */

TEST_F(guard, migration_keeps_guards)
{
	const int first = first_node();
	const unsigned long node = 1UL << first;
	void *move[2] = { self->mem, self->mem + psize() };
	int nodes[2] = { first, first }, status[2] = {};

	fill(self->mem, self->nr, 0);
	ASSERT_EQ(0, guard_install(self->mem, psize()));
	ASSERT_EQ(0, guard_install(self->mem + self->len / 2, self->len / 2));
	if (access("/proc/self/numa_maps", F_OK))
		SKIP(return, "the kernel was built without NUMA");
	/* A huge page of a file has been unmapped as a whole. */
	ASSERT_EQ(0, touch(move[1], READ).sig);
	EXPECT_EQ(0, syscall(__NR_mbind, self->mem, self->len, MPOL_BIND, &node,
			     8 * sizeof(node), MPOL_MF_MOVE));
	syscall(__NR_migrate_pages, 0, 8 * sizeof(node), &node, &node);
	EXPECT_EQ(0, syscall(__NR_move_pages, 0, 2, move, nodes, status, MPOL_MF_MOVE));
	/* The first address is a guard, which has no page to move. */
	EXPECT_GT(0, status[0]);
	EXPECT_EQ(under_test.is_dax ? -EFAULT : first, status[1]);
	EXPECT_EQ(self->nr / 2 + 1, guarded(self->mem, self->nr));
	EXPECT_EQ(self->nr / 2 - 1, filled(self->mem + psize(), self->nr / 2 - 1, 1));
	EXPECT_TRUE(child_sees_guards(self->mem, self->nr, self->nr / 2 + 1));
}

static long move_to(char **moved, const int *nodes, int *status, size_t nr)
{
	return syscall(__NR_move_pages, 0, nr, moved, nodes, status, MPOL_MF_MOVE);
}

/* For a guard the status is ENOENT (no page), not EFAULT (no mapping). */
TEST(move_pages_reports_guards_as_missing_pages)
{
	char *mem = map_small(4);
	char *moved[4] = { mem, mem + psize(), mem + pages(2), mem + pages(3) };
	const int first = first_node();
	int nodes[4] = { first, first, first, first }, status[4], asked;

	if (access("/proc/self/numa_maps", F_OK))
		SKIP(return, "the kernel was built without NUMA");
	mem[psize()] = 1;
	ASSERT_EQ(0, guard_install(mem, psize()));
	ASSERT_EQ(0, munmap(mem + pages(3), psize()));
	for (asked = 0; asked < 2; asked++) {
		memset(status, 0x55, sizeof(status));
		EXPECT_LE(0, move_to(moved, asked ? NULL : nodes, status, 4));
		EXPECT_EQ(-ENOENT, status[0]);
		EXPECT_LE(0, status[1]);
		EXPECT_EQ(-ENOENT, status[2]);
		EXPECT_EQ(-EFAULT, status[3]);
	}
	EXPECT_EQ(1, guarded(mem, 3));
}

/* Two nodes with memory, data on the first of them. */
FIXTURE(numa)
{
	char *mem;
	int nodes[2];
};

static unsigned long node_mask(int node)
{
	return 1UL << node;
}

/* Returns how many of the pages with data are on the node. */
static size_t on_node(char *mem, int node)
{
	char *moved[NR_SMALL];
	int status[NR_SMALL] = {};
	size_t i, found = 0;

	for (i = 0; i < NR_SMALL; i++)
		moved[i] = mem + pages(i);
	if (move_to(moved, NULL, status, NR_SMALL))
		return 0;
	for (i = 1; i < NR_SMALL; i += 3)
		found += status[i] == node;
	return found;
}

FIXTURE_SETUP(numa)
{
	unsigned long mask[16] = {}, first;
	int node, nr = 0;

	if (syscall(__NR_get_mempolicy, NULL, mask, 8 * sizeof(mask), NULL,
		    MPOL_F_MEMS_ALLOWED))
		SKIP(return, "get_mempolicy: %s", strerror(errno));
	for (node = 0; node < 8 * (int)sizeof(*mask) && nr < 2; node++)
		if (mask[0] & node_mask(node))
			self->nodes[nr++] = node;
	if (nr < 2)
		SKIP(return, "there is only one NUMA node (numa=fake=2 makes two)");

	self->mem = map_small(NR_SMALL);
	first = node_mask(self->nodes[0]);
	ASSERT_EQ(0, syscall(__NR_set_mempolicy, MPOL_PREFERRED, &first,
			     8 * sizeof(first)));
	stripe(self->mem, NR_SMALL);
	ASSERT_EQ(0, syscall(__NR_set_mempolicy, MPOL_DEFAULT, NULL, 0));
	if (on_node(self->mem, self->nodes[0]) != 5)
		SKIP(return, "node %d has no memory left", self->nodes[0]);
}

FIXTURE_TEARDOWN(numa)
{
}

TEST_F(numa, mbind_moves_data_and_keeps_guards)
{
	unsigned long second = node_mask(self->nodes[1]);

	/* Data is on the wrong node; a guard is on no node. */
	EXPECT_EQ(0, syscall(__NR_mbind, self->mem, psize(), MPOL_BIND, &second,
			     8 * sizeof(second), MPOL_MF_STRICT));
	EXPECT_EQ(-1, syscall(__NR_mbind, self->mem, pages(NR_SMALL), MPOL_BIND, &second,
			      8 * sizeof(second), MPOL_MF_STRICT));
	EXPECT_EQ(EIO, errno);
	EXPECT_EQ(0, syscall(__NR_mbind, self->mem, pages(NR_SMALL), MPOL_BIND, &second,
			     8 * sizeof(second), MPOL_MF_MOVE | MPOL_MF_STRICT));
	EXPECT_EQ(5, on_node(self->mem, self->nodes[1]));
	EXPECT_EQ(NR_SMALL, striped(self->mem, NR_SMALL));
	EXPECT_TRUE(child_sees_guards(self->mem, NR_SMALL, 6));
}

TEST_F(numa, migrate_pages_moves_data_and_keeps_guards)
{
	unsigned long first = node_mask(self->nodes[0]);
	unsigned long second = node_mask(self->nodes[1]);

	ASSERT_LE(0, syscall(__NR_migrate_pages, 0, 8 * sizeof(first), &first, &second));
	EXPECT_EQ(5, on_node(self->mem, self->nodes[1]));
	EXPECT_EQ(NR_SMALL, striped(self->mem, NR_SMALL));
	EXPECT_TRUE(child_sees_guards(self->mem, NR_SMALL, 6));
}

TEST_F(numa, move_pages_moves_data_and_keeps_guards)
{
	int nodes[NR_SMALL], status[NR_SMALL] = {};
	char *moved[NR_SMALL];
	size_t i;

	for (i = 0; i < NR_SMALL; i++) {
		moved[i] = self->mem + pages(i);
		nodes[i] = self->nodes[1];
	}
	EXPECT_EQ(0, move_to(moved, nodes, status, NR_SMALL));
	for (i = 0; i < NR_SMALL; i++)
		EXPECT_EQ(i % 3 == 1 ? self->nodes[1] : -ENOENT, status[i]);
	EXPECT_EQ(5, on_node(self->mem, self->nodes[1]));
	EXPECT_EQ(NR_SMALL, striped(self->mem, NR_SMALL));
	EXPECT_TRUE(child_sees_guards(self->mem, NR_SMALL, 6));
}

#define MIGRATIONS	10

struct migrant {
	char *mem;
	int nodes[2];
	int moved;	/* how often it was moved as requested */
	bool stop;
};

static void *migrate_thread(void *arg)
{
	struct migrant *migrant = arg;
	int i, node, status;

	for (i = 0; i < MIGRATIONS; i++) {
		node = migrant->nodes[i % 2];
		if (!move_to(&migrant->mem, &node, &status, 1))
			migrant->moved += status == node;
	}
	__atomic_store_n(&migrant->stop, true, __ATOMIC_RELEASE);
	return NULL;
}

/*
 * The migration entry of a huge page is a huge entry too, which REMOVE must not
 * split.
 */
TEST_F(numa, remove_does_not_split_migrating_huge_page)
{
	const size_t len = read_pmd_pagesize(), nr = len / psize();
	struct migrant migrant = {
		.nodes = { self->nodes[0], self->nodes[1] },
	};
	pthread_t thread;
	char *mem;

	if (!len || len > MAX_HUGE || !thp_is_enabled())
		SKIP(return, "no transparent huge pages of %zu MiB at most", MAX_HUGE >> 20);
	mem = map_at(reserve(2 * len, len, 0), len + psize(), PROT_READ | PROT_WRITE);
	ASSERT_NE(MAP_FAILED, mem);
	ASSERT_EQ(0, advise(mem, len + psize(), MADV_HUGEPAGE));
	/* Without a guard in the VMA, REMOVE would skip it. */
	ASSERT_EQ(0, guard_install(mem + len, psize()));
	fill(mem, nr, 0);
	migrant.mem = mem;
	migrate_thread(&migrant);
	if (migrant.moved < MIGRATIONS || mapped_huge(mem, len) != nr)
		SKIP(return, "no huge page that can be moved");

	migrant.moved = 0;
	migrant.stop = false;
	ASSERT_EQ(0, pthread_create(&thread, NULL, migrate_thread, &migrant));
	while (!__atomic_load_n(&migrant.stop, __ATOMIC_ACQUIRE))
		ASSERT_EQ(0, guard_remove(mem, len));
	pthread_join(thread, NULL);
	EXPECT_EQ(MIGRATIONS, migrant.moved);
	EXPECT_EQ(nr, mapped_huge(mem, len));
	EXPECT_EQ(nr, filled(mem, nr, 0));
	EXPECT_EQ(1, guarded(mem + len, 1));
}

#define NUMA_BALANCING	"/proc/sys/kernel/numa_balancing"

static long minor_faults(void)
{
	struct rusage usage;

	return getrusage(RUSAGE_THREAD, &usage) ? 0 : usage.ru_minflt;
}

static void *pause_thread(void *arg)
{
	pause();
	return NULL;
}

/*
 * NUMA balancing makes pages inaccessible to see which thread faults. The data
 * stays populated, so a minor fault means that the memory was scanned. Only
 * threads that use CPU time are scanned.
 */
TEST_F(numa, balancing_keeps_guards)
{
	time_t start = now();
	unsigned long old;
	pthread_t thread;
	long faults = 0;
	size_t i;

	if (access(NUMA_BALANCING, W_OK))
		SKIP(return, NUMA_BALANCING ": %s", strerror(errno));
	/* Balancing skips the local pages of a single-threaded process. */
	ASSERT_EQ(0, pthread_create(&thread, NULL, pause_thread, NULL));
	old = read_num(NUMA_BALANCING);
	write_num(NUMA_BALANCING, 1);
	while (faults < 3 * 5 && now() < start + 20) {
		faults -= minor_faults();
		for (i = 1; i < NR_SMALL; i += 3)
			touch(self->mem + pages(i), READ);
		faults += minor_faults();
	}
	write_num(NUMA_BALANCING, old);
	if (faults < 3 * 5)
		SKIP(return, "NUMA balancing has not scanned the memory three times");
	EXPECT_EQ(NR_SMALL, striped(self->mem, NR_SMALL));
	EXPECT_TRUE(child_sees_guards(self->mem, NR_SMALL, 6));
}

/* ------------------------------------------------------------------------
 * Memory failure. Each test takes a page from the system. The page comes back
 * only if the module hwpoison-inject is loaded. Else it is lost until the next
 * boot.
 */

#ifndef MADV_HWPOISON
#define MADV_HWPOISON		100
#endif
#ifndef MADV_SOFT_OFFLINE
#define MADV_SOFT_OFFLINE	101
#endif

static int poison_error;

static void break_page(char *page)
{
	poison_error = advise(page, psize(), MADV_HWPOISON);
}

/* Break a page. The kernel may send SIGBUS to the process that breaks a page in use. */
static int poison(char *page, uint64_t *pfn)
{
	*pfn = PAGEMAP_PFN(pagemap(page));
	poison_error = 0;
	fault_of(break_page, page);
	return poison_error;
}

/* Give the page back to the system, if possible. */
static void give_back(uint64_t pfn)
{
	FILE *file = fopen("/sys/kernel/debug/hwpoison/unpoison-pfn", "w");

	if (!file)
		return;
	fprintf(file, "%llu", (unsigned long long)pfn);
	fclose(file);
}

TEST(memory_failure_beside_guards)
{
	char *mem = map_small(4), *broken = mem + psize();
	uint64_t pfn, none;
	int ret;

	fill(mem, 4, 0);
	ASSERT_EQ(0, guard_install(mem, psize()));
	ASSERT_EQ(0, guard_install(mem + pages(2), psize()));
	ret = poison(broken, &pfn);
	if (ret)
		SKIP(return, "MADV_HWPOISON: %s", strerror(ret));
	EXPECT_EQ(SIGBUS, touch(broken, READ).sig);
	EXPECT_EQ(2, guarded(mem, 4));
	EXPECT_TRUE(child_sees_guards(mem, 4, 2));
	/* A guard has no page that could be poisoned. */
	EXPECT_EQ(EFAULT, poison(mem, &none));
	EXPECT_EQ(EFAULT, advise(mem, psize(), MADV_SOFT_OFFLINE));
	EXPECT_EQ(2, guarded(mem, 4));
	/* REMOVE only removes guards, not the marker of a poisoned page. */
	ASSERT_EQ(0, guard_remove(mem, pages(4)));
	EXPECT_EQ(SIGBUS, touch(broken, READ).sig);
	EXPECT_EQ(1, filled(mem + pages(3), 1, 3));
	/* INSTALL discards the poisoned page, as MADV_DONTNEED does. */
	ASSERT_EQ(0, guard_install(mem, pages(3)));
	EXPECT_EQ(3, guarded(mem, 4));
	ASSERT_EQ(0, guard_remove(mem, pages(4)));
	EXPECT_EQ(3, zeroed(mem, 3));
	give_back(pfn);
}

TEST(soft_offline_beside_guards)
{
	char *mem = map_small(NR_SMALL);
	uint64_t pfn;
	int ret;

	stripe(mem, NR_SMALL);
	pfn = PAGEMAP_PFN(pagemap(mem + psize()));
	ret = advise(mem + psize(), psize(), MADV_SOFT_OFFLINE);
	if (ret)
		SKIP(return, "MADV_SOFT_OFFLINE: %s", strerror(ret));
	EXPECT_NE(pfn, PAGEMAP_PFN(pagemap(mem + psize())));
	EXPECT_EQ(NR_SMALL, striped(mem, NR_SMALL));
	EXPECT_TRUE(child_sees_guards(mem, NR_SMALL, 6));
	give_back(pfn);
}

/* ------------------------------------------------------------------------
 * OOM killer
 */

/*
 * Stop a dying process in exit(), before it gives up its memory. Returns false
 * if it did not stop.
 */
static bool stop_at_exit(pid_t pid)
{
	int status;

	if (ptrace(PTRACE_SEIZE, pid, 0, PTRACE_O_TRACEEXIT))
		return false;
	kill(pid, SIGKILL);
	return waitpid(pid, &status, 0) == pid && WIFSTOPPED(status) &&
	       status >> 16 == PTRACE_EVENT_EXIT;
}

TEST_F(guard, oom_reaper_takes_data_between_guards)
{
	char path[64], byte = 'x', zero[16] = {};
	uint64_t entries[NR_SMALL];
	int pidfd, fd, ready[2];
	size_t i, left = 0, guards = 0;
	struct iovec local = { zero, 1 }, remote;
	pid_t pid;

	ASSERT_EQ(0, pipe(ready));
	stripe(self->mem, self->nr);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		/*
		 * The child needs copies of its own, because the reaper skips
		 * shared pages.
		 */
		fill(self->mem + psize(), 1, 1);
		write(ready[1], &byte, 1);
		for (;;)
			pause();
	}
	ASSERT_EQ(1, read(ready[0], &byte, 1));
	pidfd = syscall(__NR_pidfd_open, pid, 0);
	ASSERT_LE(0, pidfd);
	if (!stop_at_exit(pid))
		SKIP(return, "the process cannot be stopped when it exits");
	EXPECT_EQ(0, syscall(__NR_process_mrelease, pidfd, 0));

	snprintf(path, sizeof(path), "/proc/%d/pagemap", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, fd);
	ASSERT_EQ(sizeof(entries), pread(fd, entries, sizeof(entries), (unsigned long)
					 self->mem / psize() * sizeof(*entries)));
	for (i = 0; i < NR_SMALL; i++) {
		left += !!(entries[i] & PM_PRESENT);
		guards += !!(entries[i] & PM_GUARD);
	}
	if (!under_test.shared)
		EXPECT_EQ(0, left);
	/*
	 * Guards stay guards. An access would not tell: it fails for any page
	 * that is gone.
	 */
	EXPECT_EQ((NR_SMALL + 2) / 3, guards);
	remote = (struct iovec){ self->mem, 1 };
	EXPECT_EQ(-1, process_vm_readv(pid, &local, 1, &remote, 1, 0));
	ptrace(PTRACE_CONT, pid, 0, 0);
	EXPECT_EQ(128 + SIGKILL, wait_child(pid));
	EXPECT_EQ(self->nr, striped(self->mem, self->nr));
}

/* ------------------------------------------------------------------------
 * Races
 */

#define RECLAIM_ROUNDS	60

struct reclaimer {
	pthread_t thread;
	char *mem;
	size_t len;
	bool done;
};

static void *reclaim_thread(void *arg)
{
	struct reclaimer *reclaimer = arg;

	advise(reclaimer->mem, reclaimer->len, MADV_PAGEOUT);
	__atomic_store_n(&reclaimer->done, true, __ATOMIC_RELEASE);
	return NULL;
}

/* Returns how many pages could be read although a guard has replaced them. */
static int passed_on_reclaim(struct reclaimer *reclaimer)
{
	char *page = reclaimer->mem, *end = page + reclaimer->len;
	int fd = pagemap_fd(), passed = 0;
	bool known = false;

	while (page < end && !__atomic_load_n(&reclaimer->done, __ATOMIC_ACQUIRE)) {
		if (pagemap_get_entry(fd, page) & (PM_PRESENT | PM_SWAP)) {
			known = is_readable(page);
			continue;
		}
		if (known) {
			guard_install(page, psize());
			passed += is_readable(page);
			guard_remove(page, psize());
		}
		/*
		 * Reclaim frees some dozens of pages together, after one flush.
		 */
		page += pages(16);
		known = false;
	}
	return passed;
}

/*
 * Reclaim empties many entries before it flushes the TLBs once. A CPU may still
 * have a translation of a page whose entry is empty. That translation must not
 * outlive the call that makes the page a guard.
 */
TEST(racing_reclaim_lets_no_access_pass_a_guard)
{
	struct reclaimer reclaimer = { .len = table_size() };
	time_t enough = now() + 15;
	int round, passed = 0;

	if (reclaimer.len > MAX_HUGE)
		SKIP(return, "a page table maps %zu MiB, too much for this test",
		     reclaimer.len >> 20);
	reclaimer.mem = map_at(reserve(reclaimer.len, reclaimer.len, 0), reclaimer.len,
			       PROT_READ | PROT_WRITE);
	ASSERT_NE(MAP_FAILED, reclaimer.mem);
	advise(reclaimer.mem, reclaimer.len, MADV_NOHUGEPAGE);
	for (round = 0; round < RECLAIM_ROUNDS && now() < enough; round++) {
		fill(reclaimer.mem, reclaimer.len / psize(), round);
		/*
		 * Free the pages now, so that reclaim does not swap them out.
		 */
		ASSERT_EQ(0, advise(reclaimer.mem, reclaimer.len, MADV_FREE));
		reclaimer.done = false;
		ASSERT_EQ(0, pthread_create(&reclaimer.thread, NULL, reclaim_thread,
					    &reclaimer));
		passed += passed_on_reclaim(&reclaimer);
		pthread_join(reclaimer.thread, NULL);
	}
	EXPECT_LT(0, round);
	EXPECT_EQ(0, passed);
}

int main(int argc, char **argv)
{
	guard_init();
	return test_harness_run(argc, argv);
}
