// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guard pages when calls run out of memory: by fault injection, which the kernel
 * needs CONFIG_FAULT_INJECTION for, and at the limit of a cgroup.
 */
#define _GNU_SOURCE
#include "../kselftest_harness.h"
#include <fcntl.h>
#include <limits.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include "guard_util.h"
#include "thp_settings.h"

/* ------------------------------------------------------------------------
 * Fault injection
 */

/* By default, allocations that may sleep and page allocations do not fail. */
static const struct {
	const char *path;
	const char *value;
} fail_knobs[] = {
	{ "/sys/kernel/debug/failslab/ignore-gfp-wait", "N" },
	{ "/sys/kernel/debug/failslab/verbose", "0" },
	{ "/sys/kernel/debug/fail_page_alloc/ignore-gfp-wait", "N" },
	{ "/sys/kernel/debug/fail_page_alloc/min-order", "0" },
	{ "/sys/kernel/debug/fail_page_alloc/verbose", "0" },
};

FIXTURE(failing)
{
	char *mem;	/* reserved: page tables are for the test to make */
	size_t len;
	int fd;
	char old[ARRAY_SIZE(fail_knobs)][16];
};

FIXTURE_SETUP(failing)
{
	size_t i;

	self->fd = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	if (self->fd < 0)
		SKIP(return, "fail-nth: %s (CONFIG_FAULT_INJECTION)", strerror(errno));
	for (i = 0; i < ARRAY_SIZE(fail_knobs); i++)
		if (access(fail_knobs[i].path, W_OK) ||
		    !read_file(fail_knobs[i].path, self->old[i], sizeof(self->old[i])))
			SKIP(return, "%s: %s", fail_knobs[i].path, strerror(errno));
	for (i = 0; i < ARRAY_SIZE(fail_knobs); i++)
		write_file(fail_knobs[i].path, fail_knobs[i].value,
			   strlen(fail_knobs[i].value) + 1);
	self->len = 4 * table_size();
	self->mem = reserve(self->len, table_size(), 0);
}

FIXTURE_TEARDOWN(failing)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(fail_knobs); i++)
		write_file(fail_knobs[i].path, self->old[i], strlen(self->old[i]) + 1);
}

/*
 * Make the @nth allocation of this thread from now on fail, or none if @nth is
 * 0.
 */
static void fail_nth(int fd, unsigned int nth)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%u", nth);

	if (pwrite(fd, text, len, 0) != len)
		ksft_exit_fail_msg("fail-nth: %s\n", strerror(errno));
}

/* Returns true if an allocation failed, and disables further failures. */
static bool has_failed(int fd)
{
	char text[16] = "";

	if (pread(fd, text, sizeof(text) - 1, 0) <= 0)
		ksft_exit_fail_msg("fail-nth: %s\n", strerror(errno));
	fail_nth(fd, 0);
	return !strtoul(text, NULL, 10);
}

/*
 * Each half of a page table begins with a guard, a page of data and an empty
 * page.
 */
static void dot(struct __test_metadata *_metadata, char *mem, size_t len)
{
	size_t i;

	for (i = 0; i < len; i += table_size() / 2) {
		ASSERT_EQ(0, guard_install(mem + i, psize()));
		fill(mem + i + psize(), 1, i);
	}
}

static bool is_dotted(char *mem, size_t len)
{
	size_t i;

	for (i = 0; i < len; i += table_size() / 2)
		if (!guarded(mem + i, 1) || !filled(mem + i + psize(), 1, i) ||
		    !zeroed(mem + i + pages(2), 1))
			return false;
	return true;
}

static char *map_for_failing(char *mem, size_t len)
{
	if (map_at(mem, len, PROT_READ | PROT_WRITE) == mem)
		advise(mem, len, MADV_NOHUGEPAGE);
	return mem;
}

/* If memory runs out, mremap() moves back what it has moved. */
TEST_F(failing, mremap_puts_guards_back)
{
	char *mem = map_for_failing(self->mem, self->len), *to, *ret;
	unsigned int nth = 0, failures = 0;
	bool failed;
	int error;
	pid_t pid;

	dot(_metadata, mem, self->len);
	do {
		/*
		 * The offset differs each time, so no page table can move as a
		 * whole.
		 */
		to = reserve(self->len, table_size(), pages(++nth % 128));
		fail_nth(self->fd, nth);
		ret = mremap(mem, self->len, self->len, MREMAP_MAYMOVE | MREMAP_FIXED, to);
		error = errno;
		failed = has_failed(self->fd);
		if (ret == MAP_FAILED) {
			ASSERT_EQ(ENOMEM, error);
			failures++;
		} else {
			ASSERT_EQ(to, ret);
			mem = to;
		}
		ASSERT_TRUE(is_dotted(mem, self->len)) {
			TH_LOG("allocation %u, %s", nth, ret == MAP_FAILED ? "failed" : "moved");
		}
		ASSERT_EQ(1, nr_vmas(mem, self->len));
	} while (failed);
	ASSERT_EQ(to, mem);
	/* At least one allocation per page table failed. */
	EXPECT_LE(4, failures);
	pid = fork();
	if (!pid)
		_exit(!is_dotted(mem, self->len));
	EXPECT_EQ(0, wait_child(pid));
}

/*
 * A call that runs out of memory leaves guards in the part it has processed,
 * leaves the rest unchanged, and can be repeated. The range begins in the middle of
 * the first page table, and a VMA ends in the middle of the second, so neither of
 * the two can be shared. The last two page tables exist and hold data.
 */
TEST_F(failing, install_leaves_guards_or_nothing)
{
	const size_t half = table_size() / 2, len = self->len - half;
	const size_t nr = len / psize(), step = nr / 8;
	unsigned int nth = 0, failures = 0, nothing = 0;
	size_t i, reached, data;
	uint64_t *entries;
	bool failed;
	char *mem;
	int ret;

	do {
		mem = map_for_failing(self->mem, self->len) + half;
		ASSERT_EQ(0, dont_dump(mem + 2 * half, len - 2 * half));
		for (i = nr / 2; i < nr; i += step)
			fill(mem + pages(i + 1), 1, i);
		fail_nth(self->fd, ++nth);
		ret = guard_install(mem, len);
		failed = has_failed(self->fd);
		if (ret) {
			ASSERT_EQ(ENOMEM, ret);
			failures++;
			entries = read_pagemap(mem, nr);
			for (reached = 0; entries[reached] & PM_GUARD; reached++)
				;
			for (data = 0, i = reached; i < nr; i++) {
				data += !!(entries[i] & PM_PRESENT);
				ASSERT_FALSE(entries[i] & PM_SWAP);
			}
			free(entries);
			for (i = nr / 2; i < nr; i += step)
				if (i + 1 >= reached)
					data -= filled(mem + pages(i + 1), 1, i);
			ASSERT_EQ(0, data);
			ASSERT_EQ(reached > 0, vma_flag(mem, "gu"));
			nothing += !reached;
			ASSERT_EQ(reached, guarded(mem, reached));
			ASSERT_EQ(0, guard_install(mem, len));
		}
		ASSERT_EQ(nr, guarded(mem, nr));
	} while (failed);
	/* One failure for each missing page table, in order. */
	EXPECT_LE(2, failures);
	EXPECT_LE(1, nothing);
}

/*
 * A page table is deposited for each huge page. The first one takes the guards, and is
 * shared from then on. The second one is freed.
 */
TEST_F(failing, install_over_huge_pages_allocates_nothing)
{
	const size_t len = 2 * read_pmd_pagesize(), nr = len / psize();
	long before, after;
	bool failed;
	char *mem;
	int ret;

	if (!len || len > 2 * MAX_HUGE || !thp_is_enabled())
		SKIP(return, "there are no huge pages of up to %zu MiB", MAX_HUGE >> 20);
	mem = map_at(self->mem, len, PROT_READ | PROT_WRITE);
	ASSERT_EQ(0, advise(mem, len, MADV_HUGEPAGE));
	fill(mem, nr, 0);
	if (mapped_huge(mem, len) != nr)
		SKIP(return, "no huge page was allocated");
	before = page_tables_kb();
	fail_nth(self->fd, 1);
	ret = guard_install(mem, len);
	failed = has_failed(self->fd);
	after = page_tables_kb();
	EXPECT_FALSE(failed);
	EXPECT_EQ(0, ret);
	EXPECT_EQ(nr, guarded(mem, nr));
	EXPECT_EQ(guards_are_shared() ? kb(1) : 0, before - after);
}

/*
 * Fork until no allocation fails. Either there is no child, or it has all that the
 * parent has. Returns how often there was none.
 */
static unsigned int fork_until_it_succeeds(struct __test_metadata *_metadata,
					   FIXTURE_DATA(failing) * self, char *mem,
					   bool (*is_intact)(char *mem, size_t len))
{
	unsigned int nth = 0, failures = 0;
	bool failed;
	int error;
	pid_t pid;

	do {
		fail_nth(self->fd, ++nth);
		pid = fork();
		if (!pid)
			_exit(!is_intact(mem, self->len));
		error = errno;
		failed = has_failed(self->fd);
		if (pid > 0) {
			ASSERT_EQ(0, wait_child(pid));
		} else {
			ASSERT_TRUE(error == ENOMEM || error == EAGAIN);
			failures++;
		}
	} while (failed);
	EXPECT_TRUE(is_intact(mem, self->len));
	return failures;
}

TEST_F_TIMEOUT(failing, fork_gives_all_guards_or_fails, 300)
{
	char *mem = map_for_failing(self->mem, self->len);

	dot(_metadata, mem, self->len);
	EXPECT_LE(4, fork_until_it_succeeds(_metadata, self, mem, is_dotted));
}

static bool is_one_guard(char *mem, size_t len)
{
	return guarded_in_pagemap(mem, len / psize()) == len / psize() && is_guarded(mem);
}

TEST_F(failing, fork_gives_large_guards_or_fails)
{
	char *mem = map_for_failing(self->mem, self->len);

	ASSERT_EQ(0, guard_install(mem, self->len));
	fork_until_it_succeeds(_metadata, self, mem, is_one_guard);
}

static int unmap(char *mem, size_t len)
{
	return munmap(mem, len) ? errno : 0;
}

static int make_read_only(char *mem, size_t len)
{
	return protect(mem, len, PROT_READ);
}

/*
 * A VMA that cannot be split stays as it is; the parts of one that is split
 * keep their guards.
 */
TEST_F(failing, division_of_a_vma_loses_no_guard)
{
	int (*const divide[])(char *mem, size_t len) = {
		unmap, make_read_only, dont_dump, mlock_range,
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(divide); i++) {
		unsigned int nth = 0, failures = 0;
		bool failed;
		char *mem;
		int ret;

		do {
			mem = map_for_failing(self->mem, pages(NR_SMALL));
			stripe(mem, NR_SMALL);
			fail_nth(self->fd, ++nth);
			ret = divide[i](mem + pages(4), pages(8));
			failed = has_failed(self->fd);
			if (ret == ENOMEM || ret == EAGAIN)
				failures++;
			else
				ASSERT_EQ(0, ret);
			if (ret || divide[i] != unmap)
				ASSERT_EQ(NR_SMALL, striped(mem, NR_SMALL));
			ASSERT_TRUE(child_sees_guards(mem, 4, 2));
			ASSERT_TRUE(child_sees_guards(mem + pages(12), 4, 2));
		} while (failed);
		EXPECT_EQ(0, ret);
		/* At least the allocation of the new VMA failed. */
		EXPECT_LE(1, failures);
	}
}

static int remove_guards(char *mem, size_t len)
{
	return guard_remove(mem, len);
}

/*
 * Large guards may share a page table. A part that changes needs one of its own
 * first. Without memory for it, REMOVE stops there, and other calls change nothing.
 */
TEST_F(failing, division_of_a_large_guard_loses_no_guard)
{
	int (*const divide[])(char *mem, size_t len) = {
		remove_guards, unmap, make_read_only, dont_dump, mlock_range,
	};
	const size_t table = table_size(), nr = table / psize();
	size_t i, guards, expected;

	for (i = 0; i < ARRAY_SIZE(divide); i++) {
		unsigned int nth = 0, failures = 0;
		char *mem = self->mem;
		bool failed;
		int ret;

		do {
			map_for_failing(mem, self->len);
			ASSERT_EQ(0, guard_install(mem, self->len));
			fail_nth(self->fd, ++nth);
			ret = divide[i](mem + table / 2, table);
			failed = has_failed(self->fd);
			if (ret == ENOMEM || ret == EAGAIN)
				failures++;
			else
				ASSERT_EQ(0, ret);

			guards = guarded_in_pagemap(mem, self->len / psize());
			expected = self->len / psize();
			if (!ret && (divide[i] == remove_guards || divide[i] == unmap))
				expected -= nr;
			if (ret && divide[i] == remove_guards) {
				ASSERT_LE(expected - nr / 2, guards);
			} else {
				ASSERT_EQ(expected, guards);
			}
			ASSERT_TRUE(is_guarded(mem));
			ASSERT_TRUE(is_guarded(mem + table / 2 - psize()));
			ASSERT_TRUE(is_guarded(mem + 3 * table / 2));
			ASSERT_TRUE(is_guarded(mem + 2 * table));
		} while (failed);
		EXPECT_EQ(0, ret);
		/* REMOVE divides no VMA, but it divides a shared page table. */
		if (divide[i] != remove_guards || guards_are_shared())
			EXPECT_LE(1, failures);
	}
}

/* The guards go to a place that is aligned differently, so by entries. */
TEST_F(failing, mremap_of_large_guards_puts_them_back)
{
	char *mem = map_for_failing(self->mem, self->len), *to, *ret;
	const size_t nr = self->len / psize();
	unsigned int nth = 0, failures = 0;
	bool failed;

	do {
		map_for_failing(mem, self->len);
		ASSERT_EQ(0, guard_install(mem, self->len));
		to = reserve(self->len, table_size(), pages(8));
		fail_nth(self->fd, ++nth);
		ret = mremap(mem, self->len, self->len, MREMAP_MAYMOVE | MREMAP_FIXED, to);
		failed = has_failed(self->fd);
		failures += ret == MAP_FAILED;
		to = ret == MAP_FAILED ? mem : ret;
		ASSERT_EQ(nr, guarded_in_pagemap(to, nr)) {
			TH_LOG("allocation %u, %s", nth, ret == MAP_FAILED ? "failed" : "moved");
		}
	} while (failed);
	/* At least one allocation per page table failed. */
	EXPECT_LE(4, failures);
}

/* ------------------------------------------------------------------------
 * Limits of a cgroup
 */

#define CHARGED_TABLES	1024

static bool put_text(const char *dir, const char *file, const char *text)
{
	char path[PATH_MAX];
	bool ok;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	if (fd >= 0)
		close(fd);
	return ok;
}

/* Map what CHARGED_TABLES page tables map. */
static char *map_tables(void)
{
	const size_t len = CHARGED_TABLES * table_size();
	char *mem = reserve(len, table_size(), 0);

	if (mmap(mem, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS |
		 MAP_NORESERVE | MAP_FIXED, -1, 0) != mem)
		ksft_exit_fail_msg("cannot map %zu bytes\n", len);
	advise(mem, len, MADV_NOHUGEPAGE);
	return mem;
}

/*
 * Guard all pages that a page table maps, except the last one, table by table. So
 * each has guards of its own: tables full of guards may be shared.
 */
static int install_in_tables(char *mem)
{
	int error = 0;
	size_t i;

	for (i = 0; !error && i < CHARGED_TABLES; i++)
		error = guard_install(mem + i * table_size(), table_size() - psize());
	return error;
}

/*
 * Runs in a cgroup of its own. Returns 0 if most of the page tables are charged
 * to it.
 */
static int install_in_cgroup(const char *dir)
{
	char current[PATH_MAX + 32], *mem;
	long before;

	snprintf(current, sizeof(current), "%s/memory.current", dir);
	mem = map_tables();
	if (!put_text(dir, "cgroup.procs", "0"))
		return 1;
	before = read_key(current, "");
	if (before < 0 || install_in_tables(mem))
		return 1;
	return read_key(current, "") - before < (long)pages(CHARGED_TABLES) / 10 * 9;
}

/*
 * Run @test in a child, with a new cgroup below that of @root. Returns the
 * result of @test, or a negative errno if there is no cgroup.
 */
static int with_new_cgroup(const char *root, int (*test)(const char *group))
{
	char group[PATH_MAX];
	pid_t pid;
	int ret;

	/* A test that was killed may have left a group. */
	snprintf(group, sizeof(group), "%s/guards-%d", root, getpid());
	if (mkdir(group, 0700))
		return -errno;
	pid = fork();
	if (!pid)
		_exit(test(group));
	ret = wait_child(pid);
	rmdir(group);
	return ret < 0 ? 255 : ret;
}

/* The same, with a new cgroup that counts memory. */
static int with_memory_cgroup(const char *root, int (*test)(const char *group),
			      const char **step)
{
	char path[PATH_MAX], enabled[256] = "";
	bool memory;
	int ret;

	snprintf(path, sizeof(path), "%s/cgroup.subtree_control", root);
	read_file(path, enabled, sizeof(enabled));
	memory = strstr(enabled, "memory");
	*step = "enabling the memory controller of cgroup v2";
	if (!memory && !put_text(root, "cgroup.subtree_control", "+memory"))
		return -errno;
	*step = "making a cgroup";
	ret = with_new_cgroup(root, test);
	if (!memory)
		put_text(root, "cgroup.subtree_control", "-memory");
	return ret;
}

/*
 * Run @test in a child, with the directory of a new cgroup. Returns the result
 * of @test, or a negative errno if there is no cgroup to be had because @step
 * failed.
 */
static int with_cgroup(int (*test)(const char *group), const char **step)
{
	char dir[] = "/tmp/guard-pages.XXXXXX";
	int ret;

	*step = "making a directory in /tmp";
	if (!mkdtemp(dir))
		return -errno;
	/* In a namespace of its own, the mount ends with this process. */
	if (!unshare(CLONE_NEWNS))
		mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
	*step = "mounting cgroup v2";
	if (mount("guard-pages", dir, "cgroup2", 0, NULL)) {
		ret = -errno;
	} else {
		ret = with_memory_cgroup(dir, test, step);
		umount(dir);
	}
	rmdir(dir);
	return ret;
}

static void expect_in_cgroup(struct __test_metadata *_metadata,
			     int (*test)(const char *group))
{
	const char *step;
	int failed;

	if (geteuid())
		SKIP(return, "needs root, for a cgroup");
	if (sizeof(long) < 8)
		SKIP(return, "needs a 64-bit address space");
	if (table_size() > MAX_HUGE)
		SKIP(return, "a page table maps %zu MiB, too much for this test",
		     table_size() >> 20);
	failed = with_cgroup(test, &step);
	if (failed < 0)
		SKIP(return, "%s: %s", step, strerror(-failed));
	EXPECT_EQ(0, failed);
}

/* Guards need memory for page tables only, which is charged to their owner. */
TEST(page_tables_of_guards_are_charged_to_the_cgroup)
{
	expect_in_cgroup(_metadata, install_in_cgroup);
}

/*
 * Allow a quarter of the page tables to be allocated on top of the present
 * memory.
 */
static void limit_tables(int fd, const char *group)
{
	char current[PATH_MAX + 32], text[32];

	snprintf(current, sizeof(current), "%s/memory.current", group);
	snprintf(text, sizeof(text), "%ld",
		 read_key(current, "") + (long)pages(CHARGED_TABLES / 4));
	if (write(fd, text, strlen(text)) < 0)
		_exit(20);
}

/*
 * Lift the limit first: a fault over the limit that does not OOM-kill would
 * loop for ever.
 */
static void unlimit(int fd)
{
	if (write(fd, "max", 3) != 3)
		_exit(21);
}

/*
 * Returns in how many page tables, from the first on, the first page is a
 * guard.
 */
static size_t guarded_tables(char *mem)
{
	size_t i, n = 0;

	for (i = 0; i < CHARGED_TABLES; i++)
		n += guarded(mem + i * table_size(), 1) == 1 && n == i;
	return n;
}

/*
 * Join the cgroup and map what CHARGED_TABLES page tables map, at *mem. Returns a
 * descriptor for the limit, or -1.
 */
static int join_cgroup(const char *group, char **mem)
{
	char max[PATH_MAX + 32];

	*mem = map_tables();
	/* The OOM killer may kill nobody, so the calls have to fail. */
	if (!put_text("/proc/self", "oom_score_adj", "-1000") ||
	    !put_text(group, "cgroup.procs", "0"))
		return -1;
	snprintf(max, sizeof(max), "%s/memory.max", group);
	return open(max, O_WRONLY | O_CLOEXEC);
}

/* Returns 0, or the number of the step that failed. */
static int fail_in_cgroup(const char *group)
{
	const size_t len = CHARGED_TABLES * table_size();
	char *mem, *to, *ret;
	int fd, error;
	size_t n;
	pid_t pid;

	fd = join_cgroup(group, &mem);
	if (fd < 0)
		return 1;
	to = reserve(len, table_size(), psize());

	limit_tables(fd, group);
	error = install_in_tables(mem);
	unlimit(fd);
	n = guarded_tables(mem);
	if (error != ENOMEM || !n || n == CHARGED_TABLES)
		return 2;
	if (install_in_tables(mem) || guarded_tables(mem) != CHARGED_TABLES)
		return 3;

	limit_tables(fd, group);
	pid = fork();
	unlimit(fd);
	if (!pid)
		_exit(0);
	if (pid > 0)
		return wait_child(pid) ? 4 : 5;
	pid = fork();
	if (!pid)
		_exit(guarded_tables(mem) != CHARGED_TABLES);
	if (wait_child(pid))
		return 6;

	limit_tables(fd, group);
	ret = mremap(mem, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, to);
	error = errno;
	unlimit(fd);
	if (ret != MAP_FAILED || error != ENOMEM || guarded_tables(mem) != CHARGED_TABLES)
		return 7;
	ret = mremap(mem, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, to);
	return ret == to && guarded_tables(to) == CHARGED_TABLES ? 0 : 8;
}

TEST(limit_of_the_cgroup_stops_install_fork_and_mremap)
{
	expect_in_cgroup(_metadata, fail_in_cgroup);
}

/* Returns 0, or the number of the step that failed. */
static int replace_in_cgroup(const char *group)
{
	static struct iovec iov[CHARGED_TABLES];
	const size_t len = table_size() - psize();
	ssize_t done;
	char *mem;
	size_t i;
	int fd;

	fd = join_cgroup(group, &mem);
	if (fd < 0)
		return 1;
	for (i = 0; i < CHARGED_TABLES; i++) {
		mem[pages(i)] = 1;
		iov[i] = (struct iovec){ mem + i * table_size(), len };
	}

	limit_tables(fd, group);
	/* One call, but none of the page tables can be shared. */
	done = advise_process(getpid(), iov, CHARGED_TABLES, MADV_GUARD_INSTALL);
	unlimit(fd);
	if (done != (ssize_t)(CHARGED_TABLES * len))
		return 2;
	return guarded_tables(mem) == CHARGED_TABLES ? 0 : 3;
}

/* The pages that INSTALL frees make room for its page tables. */
TEST(install_frees_pages_before_it_allocates_page_tables)
{
	if (table_size() - psize() > INT_MAX / CHARGED_TABLES)
		SKIP(return, "the ranges are longer than one call accepts");
	expect_in_cgroup(_metadata, replace_in_cgroup);
}

int main(int argc, char **argv)
{
	guard_init();
	return test_harness_run(argc, argv);
}
