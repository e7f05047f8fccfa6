// SPDX-License-Identifier: GPL-2.0-only
/*
 * The arguments of MADV_GUARD_INSTALL and MADV_GUARD_REMOVE: alignment, length,
 * holes and refused mappings in the range, and the vectors of process_madvise().
 */
#define _GNU_SOURCE
#include "../kselftest_harness.h"
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include "guard_fixture.h"
#include "guard_util.h"

/* ------------------------------------------------------------------------
 * Arguments
 */

FIXTURE(call)
{
	char *mem;
};

FIXTURE_VARIANT(call)
{
	int advice;
};

FIXTURE_VARIANT_ADD(call, install)
{
	.advice = MADV_GUARD_INSTALL,
};

FIXTURE_VARIANT_ADD(call, remove)
{
	.advice = MADV_GUARD_REMOVE,
};

/* REMOVE starts with guards everywhere, INSTALL without guards. */
FIXTURE_SETUP(call)
{
	size_t len = variant->advice == MADV_GUARD_REMOVE ? pages(NR_SMALL) : 0;

	self->mem = map_small(NR_SMALL);
	ASSERT_EQ(0, guard_install(self->mem, len));
}

FIXTURE_TEARDOWN(call)
{
}

/* Returns how many pages the call under test has changed. */
static size_t done(int advice, char *start, size_t nr)
{
	size_t found = guarded(start, nr);

	return advice == MADV_GUARD_INSTALL ? found : nr - found;
}

TEST_F(call, unaligned_address_is_refused)
{
	EXPECT_EQ(EINVAL, advise(self->mem + 1, psize(), variant->advice));
	EXPECT_EQ(EINVAL, advise(self->mem + psize() - 1, 1, variant->advice));
	EXPECT_EQ(EINVAL, advise(self->mem + psize() / 2, 0, variant->advice));
	EXPECT_EQ(0, done(variant->advice, self->mem, NR_SMALL));
}

TEST_F(call, overflow_is_refused)
{
	EXPECT_EQ(EINVAL, advise(self->mem, ULONG_MAX, variant->advice));
	EXPECT_EQ(EINVAL, advise(self->mem, ULONG_MAX - psize() + 2, variant->advice));
	EXPECT_EQ(EINVAL, advise(self->mem, -(unsigned long)psize(), variant->advice));
	EXPECT_EQ(EINVAL, advise(self->mem, -(unsigned long)self->mem + psize(),
				 variant->advice));
	EXPECT_EQ(0, done(variant->advice, self->mem, NR_SMALL));
}

TEST_F(call, length_zero_succeeds_unchecked)
{
	char *vdso = find_mapping("[vdso]", NULL) ?: self->mem;
	char *hole = self->mem + pages(1);

	EXPECT_EQ(0, advise(self->mem, 0, variant->advice));
	EXPECT_EQ(0, done(variant->advice, self->mem, NR_SMALL));
	ASSERT_EQ(0, munmap(hole, psize()));
	EXPECT_EQ(0, advise(hole, 0, variant->advice));
	EXPECT_EQ(0, advise(vdso, 0, variant->advice));
}

TEST_F(call, length_is_rounded_up)
{
	EXPECT_EQ(0, advise(self->mem, 1, variant->advice));
	EXPECT_EQ(1, done(variant->advice, self->mem, NR_SMALL));
	EXPECT_EQ(0, advise(self->mem, psize() + 1, variant->advice));
	EXPECT_EQ(2, done(variant->advice, self->mem, NR_SMALL));
	EXPECT_EQ(0, advise(self->mem, pages(3), variant->advice));
	EXPECT_EQ(3, done(variant->advice, self->mem, NR_SMALL));
}

/* ------------------------------------------------------------------------
 * Holes, and refused mappings in the range
 */

TEST_F(call, hole_is_passed_over_and_reported)
{
	ASSERT_EQ(0, munmap(self->mem + pages(4), pages(4)));
	EXPECT_EQ(ENOMEM, advise(self->mem, pages(NR_SMALL), variant->advice));
	EXPECT_EQ(4, done(variant->advice, self->mem, 4));
	EXPECT_EQ(8, done(variant->advice, self->mem + pages(8), 8));
}

TEST_F(call, hole_at_either_end_is_reported)
{
	ASSERT_EQ(0, munmap(self->mem, pages(4)));
	ASSERT_EQ(0, munmap(self->mem + pages(12), pages(4)));
	EXPECT_EQ(ENOMEM, advise(self->mem, pages(8), variant->advice));
	EXPECT_EQ(4, done(variant->advice, self->mem + pages(4), 4));
	EXPECT_EQ(ENOMEM, advise(self->mem + pages(8), pages(8), variant->advice));
	EXPECT_EQ(8, done(variant->advice, self->mem + pages(4), 8));
}

TEST_F(call, nothing_mapped_is_reported)
{
	ASSERT_EQ(0, munmap(self->mem, pages(NR_SMALL)));
	EXPECT_EQ(ENOMEM, advise(self->mem, pages(NR_SMALL), variant->advice));
}

/* Move a mapping that both calls refuse into the third quarter. */
static bool refuse_third_quarter(char *mem)
{
	size_t len;
	char *vdso = find_mapping("[vdso]", &len);

	return vdso && len <= pages(4) &&
	       mremap(vdso, len, len, MREMAP_MAYMOVE | MREMAP_FIXED,
		      mem + pages(8)) != MAP_FAILED;
}

TEST_F(call, refused_mapping_stops_the_call)
{
	ASSERT_EQ(0, munmap(self->mem + pages(8), pages(4)));
	if (!refuse_third_quarter(self->mem))
		SKIP(return, "the vDSO cannot be moved");
	EXPECT_EQ(EINVAL, advise(self->mem, pages(NR_SMALL), variant->advice));
	EXPECT_EQ(8, done(variant->advice, self->mem, 8));
	EXPECT_EQ(0, done(variant->advice, self->mem + pages(12), 4));
}

TEST_F(call, refused_mapping_outranks_a_hole)
{
	ASSERT_EQ(0, munmap(self->mem + pages(4), pages(8)));
	if (!refuse_third_quarter(self->mem))
		SKIP(return, "the vDSO cannot be moved");
	EXPECT_EQ(EINVAL, advise(self->mem, pages(NR_SMALL), variant->advice));
	EXPECT_EQ(4, done(variant->advice, self->mem, 4));
	EXPECT_EQ(0, done(variant->advice, self->mem + pages(12), 4));
}

TEST(locked_mapping_stops_install_and_outranks_a_hole)
{
	char *mem = map_small(NR_SMALL);

	ASSERT_EQ(0, munmap(mem + pages(4), pages(4)));
	if (mlock(mem + pages(8), pages(4)))
		SKIP(return, "mlock: %s", strerror(errno));
	EXPECT_EQ(EINVAL, guard_install(mem, pages(NR_SMALL)));
	EXPECT_EQ(4, guarded(mem, 4));
	EXPECT_EQ(0, guarded(mem + pages(8), 8));
	/* REMOVE goes all the way, and finds the hole. */
	EXPECT_EQ(ENOMEM, guard_remove(mem, pages(NR_SMALL)));
	EXPECT_EQ(4, zeroed(mem, 4));
}

/* ------------------------------------------------------------------------
 * process_madvise()
 */

TEST_F(call, process_madvise_of_own_process)
{
	struct iovec iov[3] = {
		{ self->mem, pages(2) },
		{ self->mem + pages(4), pages(3) },
		{ self->mem + pages(10), psize() },
	};

	EXPECT_EQ(pages(6), advise_process(getpid(), iov, 3, variant->advice));
	EXPECT_EQ(2, done(variant->advice, self->mem, 4));
	EXPECT_EQ(3, done(variant->advice, self->mem + pages(4), 6));
	EXPECT_EQ(1, done(variant->advice, self->mem + pages(10), 6));
	EXPECT_EQ(0, advise_process(getpid(), iov, 0, variant->advice));
}

TEST_F(call, process_madvise_reports_whole_ranges_done)
{
	struct iovec iov[3] = {
		{ self->mem, pages(2) },
		{ self->mem + pages(3), pages(3) },
		{ self->mem + pages(12), pages(2) },
	};

	/*
	 * There is a hole in the second range: its mapped parts are processed,
	 * but the range is not counted.
	 */
	ASSERT_EQ(0, munmap(self->mem + pages(4), psize()));
	EXPECT_EQ(pages(2), advise_process(getpid(), iov, 3, variant->advice));
	EXPECT_EQ(3, done(variant->advice, self->mem, 4));
	EXPECT_EQ(0, done(variant->advice, self->mem + pages(12), 4));
}

TEST_F(call, process_madvise_reports_error_if_none_done)
{
	struct iovec iov[2] = {
		{ self->mem, pages(2) },
		{ self->mem + pages(4), pages(2) },
	};

	ASSERT_EQ(0, munmap(self->mem, psize()));
	EXPECT_EQ(-1, advise_process(getpid(), iov, 2, variant->advice));
	EXPECT_EQ(ENOMEM, errno);
	EXPECT_EQ(1, done(variant->advice, self->mem + psize(), 1));
	EXPECT_EQ(0, done(variant->advice, self->mem + pages(4), 4));
	iov[0].iov_base++;
	EXPECT_EQ(-1, advise_process(getpid(), iov, 1, variant->advice));
	EXPECT_EQ(EINVAL, errno);
}

#ifdef __aarch64__
/* The top byte of an address may be the program's own. */
TEST_F(call, tagged_addresses_are_those_without_a_tag)
{
	char *tagged = (char *)((unsigned long)self->mem | 0x2aUL << 56);
	struct iovec iov = { tagged + pages(4), pages(2) };
	char *byte = self->mem + 8;

	if (prctl(PR_SET_TAGGED_ADDR_CTRL, PR_TAGGED_ADDR_ENABLE, 0, 0, 0))
		SKIP(return, "no tagged addresses: %s", strerror(errno));
	ASSERT_EQ(0, advise(tagged, pages(2), variant->advice));
	EXPECT_EQ(2, done(variant->advice, self->mem, NR_SMALL));
	ASSERT_EQ(pages(2), advise_process(getpid(), &iov, 1, variant->advice));
	EXPECT_EQ(2, done(variant->advice, self->mem + pages(4), 2));
	EXPECT_EQ(4, done(variant->advice, self->mem, NR_SMALL));
	EXPECT_EQ(variant->advice == MADV_GUARD_INSTALL,
		  is_guard_fault(touch(tagged + 8, READ), byte));
}
#endif

/* Start a process that does nothing until it is killed. */
static pid_t start_idle(int dumpable)
{
	int ready[2];
	pid_t pid;
	char c;

	if (pipe(ready))
		return -1;
	pid = fork();
	if (!pid) {
		prctl(PR_SET_DUMPABLE, dumpable);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		write(ready[1], "", 1);
		for (;;)
			pause();
	}
	read(ready[0], &c, 1);
	close(ready[0]);
	close(ready[1]);
	return pid;
}

static void stop_idle(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

TEST_F(call, process_madvise_of_another_process_is_refused)
{
	struct iovec iov = { self->mem, psize() };
	pid_t pid = start_idle(1);

	ASSERT_LT(0, pid);
	EXPECT_EQ(-1, advise_process(pid, &iov, 1, variant->advice));
	EXPECT_EQ(EINVAL, errno);
	stop_idle(pid);
	EXPECT_EQ(0, done(variant->advice, self->mem, NR_SMALL));
}

/*
 * Become an ordinary user, who may inspect his own children. Fails in a user
 * namespace that does not have that user.
 */
static bool drop_privileges(void)
{
	if (!geteuid() && (setresgid(65534, 65534, 65534) ||
			   setresuid(65534, 65534, 65534)))
		return false;
	return !prctl(PR_SET_DUMPABLE, 1);
}

TEST_F(call, process_madvise_refusals_without_privileges)
{
	struct iovec iov = { self->mem, psize() };
	pid_t own, hidden;

	if (!drop_privileges())
		SKIP(return, "root cannot become user 65534: %s", strerror(errno));
	own = start_idle(1);
	hidden = start_idle(0);
	ASSERT_LT(0, own);
	ASSERT_LT(0, hidden);
	/* EINVAL comes before the check for CAP_SYS_NICE. */
	EXPECT_EQ(-1, advise_process(own, &iov, 1, variant->advice));
	EXPECT_EQ(EINVAL, errno);
	/* The caller may not even inspect this process. */
	EXPECT_EQ(-1, advise_process(hidden, &iov, 1, variant->advice));
	EXPECT_EQ(EACCES, errno);
	stop_idle(own);
	stop_idle(hidden);
	/* The own process needs no privilege. */
	EXPECT_EQ(psize(), advise_process(getpid(), &iov, 1, variant->advice));
	EXPECT_EQ(1, done(variant->advice, self->mem, NR_SMALL));
}

/*
 * The places of guards are as secret as the contents of memory. The permissions
 * of the files and ptrace_may_access() see to that, whether there are guards or
 * not.
 */
TEST(guards_of_a_hidden_process_cannot_be_seen)
{
	static const char *const files[] = { "pagemap", "smaps", "mem" };
	char path[64];
	size_t i;
	pid_t pid;

	if (!drop_privileges())
		SKIP(return, "root cannot become user 65534: %s", strerror(errno));
	pid = start_idle(0);
	ASSERT_LT(0, pid);
	for (i = 0; i < ARRAY_SIZE(files); i++) {
		snprintf(path, sizeof(path), "/proc/%d/%s", pid, files[i]);
		EXPECT_EQ(-1, open(path, O_RDONLY | O_CLOEXEC));
		EXPECT_EQ(EACCES, errno);
	}
	stop_idle(pid);
}

TEST(process_madvise_of_as_many_ranges_as_possible)
{
	struct iovec iov[IOV_MAX + 1];
	const size_t nr = IOV_MAX;
	char *mem = map_small(2 * nr + 2);
	size_t i;

	for (i = 0; i <= nr; i++)
		iov[i] = (struct iovec){ mem + pages(2 * i), psize() };
	EXPECT_EQ(-1, advise_process(getpid(), iov, nr + 1, MADV_GUARD_INSTALL));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(0, guarded(mem, 2 * nr));
	EXPECT_EQ(pages(nr), advise_process(getpid(), iov, nr, MADV_GUARD_INSTALL));
	EXPECT_EQ(nr, guarded(mem, 2 * nr));

	/*
	 * The range in the middle is bad: those before it count, those after it
	 * are left alone.
	 */
	iov[nr / 2].iov_base++;
	EXPECT_EQ(pages(nr / 2), advise_process(getpid(), iov, nr, MADV_GUARD_REMOVE));
	EXPECT_EQ(0, guarded(mem, nr));
	EXPECT_EQ(nr / 2, guarded(mem + pages(nr), nr));
	iov[nr / 2].iov_base--;
	EXPECT_EQ(pages(nr), advise_process(getpid(), iov, nr, MADV_GUARD_REMOVE));
	EXPECT_EQ(0, guarded(mem, 2 * nr));
}

TEST_F(call, process_madvise_of_overlapping_ranges)
{
	struct iovec iov[3] = {
		{ self->mem, pages(4) },
		{ self->mem + pages(2), pages(4) },
		{ self->mem, pages(4) },
	};

	EXPECT_EQ(pages(12), advise_process(getpid(), iov, 3, variant->advice));
	EXPECT_EQ(6, done(variant->advice, self->mem, NR_SMALL));
}

/*
 * A range may leave the VMA of the range before it, and the next one return to
 * that VMA.
 */
TEST_F(guard, process_madvise_of_one_page_all_and_one_page)
{
	struct iovec iov[3] = {
		{ self->mem, psize() },
		{ self->mem, self->len },
		{ self->mem, psize() },
	};
	const size_t all = self->len + pages(2);

	fill(self->mem, self->nr / 2, 0);
	EXPECT_EQ(all, advise_process(getpid(), iov, 3, MADV_GUARD_INSTALL));
	EXPECT_EQ(self->nr, guarded(self->mem, self->nr));
	EXPECT_TRUE(child_sees_guards(self->mem, self->nr, self->nr));
	EXPECT_EQ(all, advise_process(getpid(), iov, 3, MADV_GUARD_REMOVE));
	EXPECT_EQ(0, guarded(self->mem, self->nr));
}

/*
 * Single pages from the last to the first. Some are mapped, and some are in the
 * VMA or page table of the page before.
 */
TEST_F(guard, process_madvise_of_single_pages)
{
	const size_t nr = NR_SMALL / 2, step = self->nr / nr;
	struct iovec iov[NR_SMALL / 2];
	size_t i, page;

	fill(self->mem, self->nr / 2, 0);
	for (i = 0; i < nr; i++) {
		page = (nr - 1 - i) * step;
		iov[i] = (struct iovec){ self->mem + pages(page), psize() };
	}
	EXPECT_EQ(pages(nr), advise_process(getpid(), iov, nr, MADV_GUARD_INSTALL));
	EXPECT_EQ(nr, guarded(self->mem, self->nr));
	EXPECT_TRUE(child_sees_guards(self->mem, self->nr, nr));
	for (page = 0; page < self->nr; page += step) {
		EXPECT_EQ(1, guarded(self->mem + pages(page), 1));
		if (page < self->nr / 2)
			EXPECT_EQ(step - 1, filled(self->mem + pages(page + 1),
						   step - 1, page + 1));
	}
	EXPECT_EQ(pages(nr), advise_process(getpid(), iov, nr, MADV_GUARD_REMOVE));
	EXPECT_EQ(0, guarded(self->mem, self->nr));
	for (page = 0; page < self->nr / 2; page += step)
		EXPECT_EQ(1, discarded(self->mem + pages(page), 1, page));
}

/* Ranges that ascend in one page table, some of them mapped, keep what is between them. */
TEST(process_madvise_of_ascending_ranges_in_a_page_table)
{
	const size_t nr = 32;
	struct iovec iov[32];
	char *mem = map_small(3 * nr);
	size_t i;

	fill(mem, 3 * nr, 0);
	for (i = 0; i < nr; i++) {
		/* Two pages out of three, on which nothing is mapped in some ranges. */
		iov[i] = (struct iovec){ mem + pages(3 * i), pages(2) };
		if (i % 4 < 2)
			ASSERT_EQ(0, advise(iov[i].iov_base, pages(2), MADV_DONTNEED));
	}
	EXPECT_EQ(pages(2 * nr), advise_process(getpid(), iov, nr, MADV_GUARD_INSTALL));
	EXPECT_EQ(2 * nr, guarded(mem, 3 * nr));
	for (i = 0; i < nr; i++) {
		EXPECT_EQ(2, guarded(iov[i].iov_base, 2));
		EXPECT_EQ(1, filled(mem + pages(3 * i + 2), 1, 3 * i + 2));
	}
	EXPECT_EQ(pages(2 * nr), advise_process(getpid(), iov, nr, MADV_GUARD_REMOVE));
	EXPECT_EQ(0, guarded(mem, 3 * nr));
	for (i = 0; i < nr; i++) {
		EXPECT_EQ(2, zeroed(iov[i].iov_base, 2));
		EXPECT_EQ(1, filled(mem + pages(3 * i + 2), 1, 3 * i + 2));
	}
}

/* A range that begins in the page table of the range before may end in the next one. */
TEST(process_madvise_of_ranges_across_page_tables)
{
	const size_t size = table_size(), nr = size / psize();
	char *mem = map_at(reserve(2 * size, size, 0), 2 * size, PROT_READ | PROT_WRITE);
	struct iovec iov[4] = {
		{ mem + pages(nr - 6), psize() },
		{ mem + pages(nr - 4), psize() },
		{ mem + pages(nr - 2), pages(4) },
		{ mem + pages(nr + 4), psize() },
	};

	ASSERT_NE(MAP_FAILED, mem);
	fill(mem + pages(nr - 8), 16, 0);
	EXPECT_EQ(pages(7), advise_process(getpid(), iov, 4, MADV_GUARD_INSTALL));
	EXPECT_EQ(7, guarded(mem + pages(nr - 8), 16));
	EXPECT_EQ(4, guarded(iov[2].iov_base, 4));
	EXPECT_EQ(9, readable(mem + pages(nr - 8), 16));
	EXPECT_EQ(pages(7), advise_process(getpid(), iov, 4, MADV_GUARD_REMOVE));
	EXPECT_EQ(0, guarded(mem + pages(nr - 8), 16));
	EXPECT_EQ(7, zeroed(mem + pages(nr - 8), 16));

	/* Pages are mapped before and after a range whose end finds nothing mapped. */
	fill(mem + pages(nr - 8), 16, 0);
	ASSERT_EQ(0, advise(mem + pages(nr), pages(2), MADV_DONTNEED));
	EXPECT_EQ(pages(7), advise_process(getpid(), iov, 4, MADV_GUARD_INSTALL));
	EXPECT_EQ(7, guarded(mem + pages(nr - 8), 16));
	EXPECT_EQ(4, guarded(iov[2].iov_base, 4));
	EXPECT_EQ(1, guarded(iov[3].iov_base, 1));
	EXPECT_EQ(9, readable(mem + pages(nr - 8), 16));
}

/* An empty range is not checked, and does not end the call. */
TEST_F(call, process_madvise_of_empty_ranges)
{
	struct iovec iov[5] = {
		{ self->mem + pages(8), 0 },
		{ self->mem, pages(2) },
		{ self->mem + pages(NR_SMALL), 0 },
		{ self->mem + pages(4), pages(2) },
		{ NULL, 0 },
	};

	EXPECT_EQ(pages(4), advise_process(getpid(), iov, 5, variant->advice));
	EXPECT_EQ(4, done(variant->advice, self->mem, NR_SMALL));
	EXPECT_EQ(0, advise_process(getpid(), iov, 1, variant->advice));
}

int main(int argc, char **argv)
{
	guard_init();
	return test_harness_run(argc, argv);
}
