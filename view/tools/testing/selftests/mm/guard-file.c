// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guard pages in mappings of files: a guard belongs to the mapping, and the file
 * stays as it is. The tests of the fixture "dax" need a DAX file system.
 */
#define _GNU_SOURCE
#include "../kselftest_harness.h"
#include <fcntl.h>
#include <glob.h>
#include <linux/fs.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include "guard_race.h"
#include "guard_util.h"

/* ------------------------------------------------------------------------
 * Files
 */

FIXTURE(file)
{
	char *mem;	/* the mapping under test, of NR_SMALL pages */
	char *other;	/* the same pages, always shared */
};

FIXTURE_VARIANT(file)
{
	enum backing backing;
};

FIXTURE_VARIANT_ADD(file, memfd_shared)
{
	.backing = MEMFD_SHARED,
};

FIXTURE_VARIANT_ADD(file, memfd_private)
{
	.backing = MEMFD_PRIVATE,
};

FIXTURE_VARIANT_ADD(file, regular_shared)
{
	.backing = FILE_SHARED,
};

FIXTURE_VARIANT_ADD(file, regular_private)
{
	.backing = FILE_PRIVATE,
};

/*
 * The alignment lets a fault map the surrounding pages in all of the mapping.
 */
FIXTURE_SETUP(file)
{
	const size_t len = pages(NR_SMALL);
	int ret = set_backing(variant->backing, len, false);

	if (ret)
		SKIP(return, "no place for a file: %s", backing_error(ret));
	self->mem = map_backing(reserve(len, len, 0), len, PROT_READ | PROT_WRITE, 0);
	ASSERT_NE(MAP_FAILED, self->mem);
	advise(self->mem, len, MADV_NOHUGEPAGE);
	self->other = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, under_test.fd, 0);
	ASSERT_NE(MAP_FAILED, self->other);
}

FIXTURE_TEARDOWN(file)
{
}

TEST_F(file, guards_leave_the_file_alone)
{
	char *copy = map_small(NR_SMALL);

	fill(self->mem, 8, 0);
	ASSERT_EQ(0, guard_install(self->mem, pages(NR_SMALL)));
	ASSERT_EQ(pages(NR_SMALL), pread(under_test.fd, copy, pages(NR_SMALL), 0));
	EXPECT_EQ(8, discarded(copy, 8, 0));
	EXPECT_EQ(8, fresh(copy + pages(8), 8, 8));
	EXPECT_EQ(NR_SMALL, guarded(self->mem, NR_SMALL));
	ASSERT_EQ(0, guard_remove(self->mem, pages(NR_SMALL)));
	ASSERT_EQ(pages(NR_SMALL), pread(under_test.fd, copy, pages(NR_SMALL), 0));
	EXPECT_EQ(8, discarded(copy, 8, 0));
	EXPECT_EQ(8, discarded(self->mem, 8, 0));
	EXPECT_EQ(8, fresh(self->mem + pages(8), 8, 8));
}

TEST_F(file, write_to_the_file_below_guards)
{
	ASSERT_EQ(0, guard_install(self->mem, pages(8)));
	fill(self->other, 4, 100);
	ASSERT_EQ(psize(), pwrite(under_test.fd, self->other, psize(), pages(4)));
	EXPECT_EQ(8, guarded(self->mem, NR_SMALL));
	ASSERT_EQ(0, guard_remove(self->mem, pages(8)));
	EXPECT_EQ(4, filled(self->mem, 4, 100));
	EXPECT_EQ(1, filled(self->mem + pages(4), 1, 100));
	EXPECT_EQ(3, fresh(self->mem + pages(5), 3, 5));
}

TEST_F(file, another_mapping_of_the_file_is_not_affected)
{
	ASSERT_EQ(NR_SMALL, readable(self->other, NR_SMALL));
	ASSERT_EQ(NR_SMALL, readable(self->mem, NR_SMALL));
	ASSERT_EQ(0, guard_install(self->mem, pages(NR_SMALL)));
	EXPECT_EQ(NR_SMALL, present(self->other, NR_SMALL));
	EXPECT_FALSE(vma_flag(self->other, "gu"));
	EXPECT_EQ(NR_SMALL, fresh(self->other, NR_SMALL, 0));
	fill(self->other, NR_SMALL, 100);
	EXPECT_EQ(NR_SMALL, guarded(self->mem, NR_SMALL));
}

/* Map the file so that mprotect() can never make the mapping writable. */
static void guard_read_only(struct __test_metadata *_metadata, int fd, bool shared)
{
	char *mem = mmap(NULL, pages(NR_SMALL), PROT_READ,
			 shared ? MAP_SHARED : MAP_PRIVATE, fd, 0);

	ASSERT_NE(MAP_FAILED, mem);
	ASSERT_EQ(NR_SMALL, filled(mem, NR_SMALL, FILE_SEED));
	ASSERT_EQ(0, guard_install(mem, pages(8)));
	EXPECT_EQ(8, guarded(mem, NR_SMALL));
	EXPECT_EQ(8, filled(mem + pages(8), 8, FILE_SEED + 8));
	EXPECT_EQ(shared ? EACCES : 0, protect(mem, pages(NR_SMALL), PROT_READ | PROT_WRITE));
	EXPECT_TRUE(child_sees_guards(mem, NR_SMALL, 8));
	ASSERT_EQ(0, guard_remove(mem, pages(NR_SMALL)));
	EXPECT_EQ(NR_SMALL, filled(mem, NR_SMALL, FILE_SEED));
	munmap(mem, pages(NR_SMALL));
}

TEST_F(file, read_only_descriptor_can_be_guarded)
{
	char path[32];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", under_test.fd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		SKIP(return, "%s: %s", path, strerror(errno));
	guard_read_only(_metadata, fd, under_test.shared);
}

TEST(sealed_memfd_can_be_guarded)
{
	static const int seals[] = { F_SEAL_FUTURE_WRITE, F_SEAL_WRITE };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(seals); i++) {
		ASSERT_EQ(0, set_backing(MEMFD_SHARED, pages(NR_SMALL), false));
		ASSERT_EQ(0, fcntl(under_test.fd, F_ADD_SEALS, seals[i]));
		guard_read_only(_metadata, under_test.fd, true);
		guard_read_only(_metadata, under_test.fd, false);
	}
}

/* Every access raises SIGBUS, because there is no page in the file. */
static bool is_beyond_the_end(char *page)
{
	return touch(page, READ).sig == SIGBUS && touch(page, WRITE).sig == SIGBUS;
}

TEST_F(file, guard_beyond_the_end_of_the_file)
{
	ASSERT_EQ(0, ftruncate(under_test.fd, pages(4)));
	ASSERT_EQ(12, count(self->mem + pages(4), 12, is_beyond_the_end));
	ASSERT_EQ(0, guard_install(self->mem + pages(2), pages(8)));
	EXPECT_EQ(8, guarded(self->mem + pages(2), 8));
	EXPECT_EQ(6, count(self->mem + pages(10), 6, is_beyond_the_end));
	EXPECT_TRUE(child_sees_guards(self->mem, 10, 8));
	ASSERT_EQ(0, guard_remove(self->mem, pages(NR_SMALL)));
	EXPECT_EQ(4, fresh(self->mem, 4, 0));
	EXPECT_EQ(12, count(self->mem + pages(4), 12, is_beyond_the_end));
}

/*
 * There are guards on both sides of the new end of the file, and data around
 * them.
 */
TEST_F(file, truncate_keeps_guards)
{
	fill(self->mem, NR_SMALL, 0);
	ASSERT_EQ(0, guard_install(self->mem + pages(2), pages(4)));
	ASSERT_EQ(0, guard_install(self->mem + pages(10), pages(2)));
	ASSERT_EQ(0, ftruncate(under_test.fd, pages(4)));
	EXPECT_EQ(4, guarded(self->mem + pages(2), 4));
	EXPECT_EQ(2, guarded(self->mem + pages(10), 2));
	EXPECT_EQ(4, count(self->mem + pages(6), 4, is_beyond_the_end));
	EXPECT_EQ(4, count(self->mem + pages(12), 4, is_beyond_the_end));
	EXPECT_EQ(2, filled(self->mem, 2, 0));

	ASSERT_EQ(0, ftruncate(under_test.fd, under_test.len));
	EXPECT_EQ(6, guarded(self->mem, NR_SMALL));
	EXPECT_TRUE(child_sees_guards(self->mem, NR_SMALL, 6));
	EXPECT_EQ(4, zeroed(self->mem + pages(6), 4));
	EXPECT_EQ(4, zeroed(self->mem + pages(12), 4));
	ASSERT_EQ(0, guard_remove(self->mem, pages(NR_SMALL)));
	EXPECT_EQ(2, discarded(self->mem + pages(2), 2, 2));
	EXPECT_EQ(2, zeroed(self->mem + pages(4), 2));
	EXPECT_EQ(2, zeroed(self->mem + pages(10), 2));
}

/*
 * All pages hold data. Guards are at both ends of pages 2 to 9, inside and
 * outside.
 */
static void prepare_hole(struct __test_metadata *_metadata, char *mem)
{
	fill(mem, NR_SMALL, 0);
	ASSERT_EQ(0, guard_install(mem + pages(1), pages(2)));
	ASSERT_EQ(0, guard_install(mem + pages(5), pages(1)));
	ASSERT_EQ(0, guard_install(mem + pages(9), pages(3)));
}

/* Pages 2 to 9 of the file are gone; private copies of them are not. */
static void expect_hole(struct __test_metadata *_metadata, char *mem)
{
	EXPECT_EQ(6, guarded(mem, NR_SMALL));
	EXPECT_TRUE(child_sees_guards(mem, NR_SMALL, 6));
	EXPECT_EQ(1, filled(mem, 1, 0));
	EXPECT_EQ(4, filled(mem + pages(12), 4, 12));
	if (under_test.shared) {
		EXPECT_EQ(2, zeroed(mem + pages(3), 2));
		EXPECT_EQ(3, zeroed(mem + pages(6), 3));
	} else {
		EXPECT_EQ(2, filled(mem + pages(3), 2, 3));
		EXPECT_EQ(3, filled(mem + pages(6), 3, 6));
	}
	ASSERT_EQ(0, guard_remove(mem, pages(NR_SMALL)));
	EXPECT_EQ(1, discarded(mem + pages(1), 1, 1));
	EXPECT_EQ(1, zeroed(mem + pages(2), 1));
	EXPECT_EQ(1, zeroed(mem + pages(5), 1));
	EXPECT_EQ(1, zeroed(mem + pages(9), 1));
	EXPECT_EQ(2, discarded(mem + pages(10), 2, 10));
}

TEST_F(file, punch_hole_keeps_guards)
{
	prepare_hole(_metadata, self->mem);
	if (fallocate(under_test.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		      pages(2), pages(8)))
		SKIP(return, "the file system does not punch holes: %s", strerror(errno));
	expect_hole(_metadata, self->mem);
}

/* Use the mapping itself if MADV_REMOVE allows that, else another one. */
TEST_F(file, madv_remove_keeps_guards)
{
	char *by = under_test.shared ? self->mem : self->other;
	int ret;

	prepare_hole(_metadata, self->mem);
	ret = advise(by + pages(2), pages(8), MADV_REMOVE);
	if (ret)
		SKIP(return, "the file system does not punch holes: %s", strerror(ret));
	expect_hole(_metadata, self->mem);
}

/* Faultaround maps pages of the page cache, but not over a guard. */
TEST_F(file, faults_beside_a_guard_keep_it)
{
	const size_t nr_guards = (NR_SMALL + 2) / 3;
	size_t i;

	ASSERT_EQ(0, guard_every(3, self->mem, NR_SMALL));
	ASSERT_EQ(0, touch(self->mem + psize(), READ).sig);
	ASSERT_EQ(nr_guards, count(self->mem, NR_SMALL, is_guard_in_pagemap));
	for (i = 1; i < NR_SMALL - 1; i += 3)
		ASSERT_EQ(2, fresh(self->mem + pages(i), 2, i));
	EXPECT_EQ(nr_guards, guarded(self->mem, NR_SMALL));
	for (i = 2; i < NR_SMALL - 1; i += 3)
		ASSERT_EQ(0, touch(self->mem + pages(i), WRITE).sig);
	EXPECT_EQ(nr_guards, guarded(self->mem, NR_SMALL));
}

TEST_F(file, readahead_and_populate_beside_a_guard_keep_it)
{
	const size_t nr_guards = (NR_SMALL + 2) / 3;
	size_t i;

	ASSERT_EQ(0, guard_every(3, self->mem, NR_SMALL));
	/*
	 * Drop the page cache, so that there is something to read if the file
	 * is on a disk.
	 */
	fsync(under_test.fd);
	posix_fadvise(under_test.fd, 0, 0, POSIX_FADV_DONTNEED);
	ASSERT_EQ(0, advise(self->mem, pages(NR_SMALL), MADV_WILLNEED));
	EXPECT_EQ(nr_guards, guarded(self->mem, NR_SMALL));
	for (i = 1; i < NR_SMALL - 1; i += 3)
		ASSERT_EQ(0, advise(self->mem + pages(i), pages(2), MADV_POPULATE_READ));
	EXPECT_EQ(NR_SMALL - nr_guards, present(self->mem, NR_SMALL));
	EXPECT_EQ(nr_guards, guarded(self->mem, NR_SMALL));
	for (i = 1; i < NR_SMALL - 1; i += 3)
		ASSERT_EQ(0, advise(self->mem + pages(i), pages(2), MADV_POPULATE_WRITE));
	EXPECT_EQ(nr_guards, guarded(self->mem, NR_SMALL));
	ASSERT_EQ(0, guard_remove(self->mem, pages(NR_SMALL)));
	EXPECT_EQ(NR_SMALL, fresh(self->mem, NR_SMALL, 0));
}

TEST_F(file, fork_shares_data_and_copies_guards)
{
	pid_t pid;

	ASSERT_EQ(0, guard_install(self->mem, pages(8)));
	pid = fork();
	if (!pid) {
		if (guarded(self->mem, NR_SMALL) != 8 ||
		    guard_remove(self->mem, pages(8)))
			_exit(1);
		fill(self->mem, 8, 0);
		_exit(guard_install(self->mem + pages(8), pages(8)) ||
		      filled(self->mem, 8, 0) != 8 ||
		      guarded(self->mem, NR_SMALL) != 8);
	}
	EXPECT_EQ(0, wait_child(pid));
	EXPECT_EQ(8, guarded(self->mem, 8));
	EXPECT_EQ(8, fresh(self->mem + pages(8), 8, 8));
	ASSERT_EQ(0, guard_remove(self->mem, pages(8)));
	/* What the child wrote is visible if the mapping is shared. */
	EXPECT_EQ(8, discarded(self->mem, 8, 0));
}

static int uffd_continue(int uffd, char *mem, size_t len, int64_t *mapped)
{
	struct uffdio_continue arg = {
		.range = { (unsigned long)mem, len },
	};
	int ret = ioctl(uffd, UFFDIO_CONTINUE, &arg) ? errno : 0;

	*mapped = arg.mapped;
	return ret;
}

/* Mapping pages that the file has is what UFFDIO_CONTINUE does. */
TEST_F(file, uffdio_continue_onto_a_guard)
{
	int uffd = uffd_open(UFFD_FEATURE_MINOR_SHMEM | UFFD_FEATURE_SIGBUS);
	int64_t mapped;

	if (uffd < 0 || is_regular_file())
		SKIP(return, "userfaultfd: %s", uffd_error());
	ASSERT_EQ(0, uffd_register(uffd, self->mem, pages(NR_SMALL), false, false, true));
	ASSERT_EQ(0, guard_install(self->mem + psize(), psize()));
	EXPECT_EQ(EEXIST, uffd_continue(uffd, self->mem + psize(), psize(), &mapped));
	EXPECT_EQ(1, guarded(self->mem + psize(), 1));
	/* The pages before the guard are mapped, and reported as such. */
	EXPECT_EQ(EAGAIN, uffd_continue(uffd, self->mem, pages(2), &mapped));
	EXPECT_EQ(psize(), mapped);
	EXPECT_EQ(1, fresh(self->mem, 1, 0));
	EXPECT_EQ(1, guarded(self->mem + psize(), 1));
	EXPECT_EQ(SIGBUS, touch(self->mem + pages(2), READ).sig);
	ASSERT_EQ(0, guard_remove(self->mem + psize(), psize()));
	EXPECT_EQ(0, uffd_continue(uffd, self->mem + psize(), psize(), &mapped));
	EXPECT_EQ(1, fresh(self->mem + psize(), 1, 1));
}

struct faulter {
	pthread_t thread;
	char *mem;
	size_t nr;
	bool stop;
};

static void *fault_thread(void *arg)
{
	struct faulter *faulter = arg;
	size_t i = 0;

	while (!__atomic_load_n(&faulter->stop, __ATOMIC_ACQUIRE)) {
		touch(faulter->mem + pages(i++ * 7 % faulter->nr), READ);
		sched_yield();
	}
	return NULL;
}

#define FAULT_ROUNDS	10

/*
 * When a file loses a page that is mapped again at the same time, the kernel
 * unmaps that single page once more. A thread provokes that in another mapping.
 * In this mapping, which never mapped the page, the guard must survive it.
 */
TEST_F(file, racing_faults_elsewhere_drop_no_guard)
{
	const size_t nr = 16 * NR_SMALL;
	struct faulter faulter = { .nr = nr };
	char *mem;
	int i;

	ASSERT_EQ(0, ftruncate(under_test.fd, pages(nr)));
	mem = map_backing(reserve(pages(nr), psize(), 0), pages(nr),
			  PROT_READ | PROT_WRITE, 0);
	ASSERT_NE(MAP_FAILED, mem);
	ASSERT_EQ(0, guard_install(mem, pages(nr)));
	faulter.mem = mmap(NULL, pages(nr), PROT_READ | PROT_WRITE, MAP_SHARED,
			   under_test.fd, 0);
	ASSERT_NE(MAP_FAILED, faulter.mem);
	ASSERT_EQ(0, pthread_create(&faulter.thread, NULL, fault_thread, &faulter));
	for (i = 0; i < FAULT_ROUNDS; i++) {
		fill(faulter.mem, nr, 0);
		if (fallocate(under_test.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			      0, pages(nr)))
			SKIP(break, "the file system does not punch holes: %s",
			     strerror(errno));
		ASSERT_EQ(nr, count(mem, nr, is_guard_in_pagemap));
	}
	__atomic_store_n(&faulter.stop, true, __ATOMIC_RELEASE);
	pthread_join(faulter.thread, NULL);
	EXPECT_EQ(nr, guarded(mem, nr));
}

/* ------------------------------------------------------------------------
 * DAX: the memory of a device is mapped. The fixtures "guard" and "file" cover
 * regular files with small pages; here the mapping is as large as a huge page.
 */

FIXTURE(dax)
{
	char *mem;
	size_t nr;
	size_t len;
	size_t first;	/* what to guard */
	size_t nr_guards;
};

FIXTURE_VARIANT(dax)
{
	enum backing backing;
	bool huge;	/* one fault maps all of it */
	bool sync;	/* for MAP_SYNC: the file system has to write its metadata first */
};

FIXTURE_VARIANT_ADD(dax, shared)
{
	.backing = FILE_SHARED,
};

FIXTURE_VARIANT_ADD(dax, shared_huge)
{
	.backing = FILE_SHARED,
	.huge = true,
};

FIXTURE_VARIANT_ADD(dax, sync)
{
	.backing = FILE_SHARED,
	.sync = true,
};

FIXTURE_VARIANT_ADD(dax, sync_huge)
{
	.backing = FILE_SHARED,
	.huge = true,
	.sync = true,
};

FIXTURE_VARIANT_ADD(dax, private_huge)
{
	.backing = FILE_PRIVATE,
	.huge = true,
};

/* If address and file offset differ by a page, there is no huge page. */
FIXTURE_SETUP(dax)
{
	int flags = variant->sync ? MAP_SHARED_VALIDATE | MAP_SYNC :
		    variant->backing == FILE_SHARED ? MAP_SHARED : MAP_PRIVATE;
	int ret;

	self->len = read_pmd_pagesize();
	if (!self->len)
		SKIP(return, "transparent huge pages are not available");
	if (self->len > MAX_HUGE)
		SKIP(return, "a huge page has %zu MiB, too much for this test", self->len >> 20);
	self->nr = self->len / psize();
	self->first = self->nr / 3;
	self->nr_guards = self->nr / 4;
	ret = set_backing(variant->backing, self->len, variant->huge);
	if (under_test.fd < 0)
		SKIP(return, "no place for a file: %s", strerror(ret));
	if (!under_test.is_dax)
		SKIP(return, "not on a DAX file system");
	ASSERT_EQ(0, ret);
	self->mem = mmap(reserve(self->len, self->len, variant->huge ? 0 : psize()),
			 self->len, PROT_READ | PROT_WRITE, flags | MAP_FIXED,
			 under_test.fd, 0);
	ASSERT_NE(MAP_FAILED, self->mem);
}

FIXTURE_TEARDOWN(dax)
{
}

/* Map all pages. Private pages show the content of the file. */
static size_t map_dax(char *mem, size_t nr)
{
	if (under_test.shared)
		fill(mem, nr, 0);
	else
		readable(mem, nr);
	return present(mem, nr);
}

static struct scan result;

static size_t in_huge_pages(char *mem, size_t len)
{
	size_t nr = 0;
	long i;

	scan(&result, mem, len, PAGE_IS_HUGE, 0, 0);
	for (i = 0; i < result.ret; i++)
		nr += (result.regions[i].end - result.regions[i].start) / psize();
	return nr;
}

TEST_F(dax, install_over_data)
{
	char *other = mmap(reserve(self->len, self->len, 0), self->len,
			   PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, under_test.fd, 0);
	const size_t huge = variant->huge ? self->nr : 0, after = self->first + self->nr_guards;

	ASSERT_NE(MAP_FAILED, other);
	ASSERT_EQ(self->nr, map_dax(self->mem, self->nr));
	ASSERT_EQ(huge, in_huge_pages(self->mem, self->len));
	ASSERT_EQ(self->nr, readable(other, self->nr));
	ASSERT_EQ(0, guard_install(self->mem + pages(self->first), pages(self->nr_guards)));
	EXPECT_EQ(0, in_huge_pages(self->mem, self->len));
	EXPECT_EQ(huge, in_huge_pages(other, self->len));
	EXPECT_EQ(0, present(self->mem + pages(self->first), self->nr_guards));
	EXPECT_EQ(self->nr_guards, guarded(self->mem, self->nr));
	EXPECT_EQ(self->first, discarded(self->mem, self->first, 0));
	EXPECT_EQ(self->nr - after, discarded(self->mem + pages(after),
					      self->nr - after, after));
	EXPECT_TRUE(child_sees_guards(self->mem, self->nr, self->nr_guards));
	ASSERT_EQ(0, guard_remove(self->mem, self->len));
	EXPECT_EQ(self->nr, readable(self->mem, self->nr));
	EXPECT_EQ(1, discarded(self->mem + pages(self->first), 1, self->first));
}

/* Reading a hole of the file maps a zero page, a huge one if possible. */
TEST_F(dax, install_over_a_hole)
{
	punch(under_test.len);
	ASSERT_EQ(self->nr, readable(self->mem, self->nr));
	ASSERT_EQ(variant->huge ? self->nr : 0, in_huge_pages(self->mem, self->len));
	ASSERT_EQ(0, guard_install(self->mem + pages(self->first), pages(self->nr_guards)));
	EXPECT_EQ(0, in_huge_pages(self->mem, self->len));
	EXPECT_EQ(self->nr_guards, guarded(self->mem, self->nr));
	EXPECT_EQ(self->first, zeroed(self->mem, self->first));
	ASSERT_EQ(0, guard_remove(self->mem, self->len));
	EXPECT_EQ(self->nr, zeroed(self->mem, self->nr));
	fill(self->mem, self->nr, 0);
	EXPECT_EQ(self->nr, filled(self->mem, self->nr, 0));
}

/* fsync() write-protects all mappings of dirty pages. */
TEST_F(dax, fsync_passes_over_guards)
{
	int i;

	ASSERT_EQ(self->nr, map_dax(self->mem, self->nr));
	ASSERT_EQ(0, guard_install(self->mem + pages(self->first), pages(self->nr_guards)));
	for (i = 0; i < 2; i++) {
		fill(self->mem, self->first, i);
		ASSERT_EQ(0, fsync(under_test.fd));
		ASSERT_EQ(self->nr_guards, guarded(self->mem, self->nr));
		ASSERT_EQ(self->first, filled(self->mem, self->first, i));
	}
	ASSERT_EQ(0, guard_remove(self->mem, self->len));
	EXPECT_EQ(self->nr_guards, discarded(self->mem + pages(self->first),
					     self->nr_guards, self->first));
}

/*
 * The file system unmaps the range first, to see whether the memory of the
 * device is in use elsewhere.
 */
TEST_F(dax, punching_a_hole_keeps_guards)
{
	ASSERT_EQ(self->nr, map_dax(self->mem, self->nr));
	ASSERT_EQ(0, guard_install(self->mem + pages(self->first), pages(self->nr_guards)));
	punch(under_test.len);
	EXPECT_EQ(self->nr_guards, guarded(self->mem, self->nr));
	EXPECT_EQ(self->first, zeroed(self->mem, self->first));
	EXPECT_TRUE(child_sees_guards(self->mem, self->nr, self->nr_guards));
	ASSERT_EQ(0, guard_remove(self->mem, self->len));
	EXPECT_EQ(self->nr, zeroed(self->mem, self->nr));
}

/* Since boot. The taint of the kernel would only tell of the first one. */
static long nr_warnings(void)
{
	return read_key("/sys/kernel/warn_count", "");
}

/*
 * A DAX fault finds an entry empty, has the file system allocate a block, and
 * then maps that block. By then the entry may be a guard.
 */
TEST_F(dax, racing_faults_never_pass_a_guard)
{
	struct race race = { .mem = self->mem, .nr = self->nr, .punch = true };
	const long before = nr_warnings();

	ASSERT_LE(0, before);
	run_race(_metadata, &race);
	EXPECT_EQ(before, nr_warnings());
}

/*
 * A device may map pages that are larger than the range of a page table. What
 * is in its memory may be of value to somebody, so only read it.
 */
TEST(device_dax_is_refused)
{
	const size_t len = read_pmd_pagesize();
	char *mem, *copy = map_small(4);
	glob_t devices;
	int fd = -1;

	if (!glob("/dev/dax*", 0, NULL, &devices))
		fd = open(devices.gl_pathv[0], O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		SKIP(return, "no accessible DAX device");
	mem = mmap(reserve(len, len, 0), len, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0);
	if (mem == MAP_FAILED)
		SKIP(return, "mapping %zu KiB of %s: %s", len >> 10, devices.gl_pathv[0],
		     strerror(errno));
	ASSERT_EQ(EINVAL, guard_install(mem, len));
	ASSERT_EQ(4, readable(mem, 4));
	memcpy(copy, mem, pages(4));
	EXPECT_EQ(EINVAL, guard_install(mem, len));
	EXPECT_EQ(EINVAL, guard_remove(mem, len));
	ASSERT_EQ(4, readable(mem, 4));
	EXPECT_EQ(0, memcmp(copy, mem, pages(4)));
	EXPECT_FALSE(vma_flag(mem, "gu"));
}

int main(int argc, char **argv)
{
	guard_init();
	return test_harness_run(argc, argv);
}
