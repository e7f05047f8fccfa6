// SPDX-License-Identifier: GPL-2.0-only
/*
 * Accesses to guard pages that the process does not make itself: system calls,
 * ptrace, core dumps, uprobes, and devices that share its page tables (HMM).
 */
#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64	/* an address is an offset in /proc/PID/mem */
#include "../kselftest_harness.h"
#include <fcntl.h>
#include <lib/test_hmm_uapi.h>
#include <linux/elf.h>
#include <linux/futex.h>
#include <linux/perf_event.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include "guard_fixture.h"
#include "guard_util.h"
#include "thp_settings.h"

/* ------------------------------------------------------------------------
 * System calls, ptrace and core dumps
 */

TEST_F(guard, read_into_a_guard)
{
	int fd = memfd(pages(2));

	ASSERT_EQ(0, guard_install(self->mem + psize(), psize()));
	EXPECT_EQ(-1, pread(fd, self->mem + psize(), psize(), 0));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(psize(), pread(fd, self->mem, pages(2), 0));
	EXPECT_EQ(1, guarded(self->mem, 2));
}

TEST_F(guard, write_from_a_guard)
{
	int fd = memfd(pages(2));

	ASSERT_EQ(0, guard_install(self->mem + psize(), psize()));
	EXPECT_EQ(-1, pwrite(fd, self->mem + psize(), psize(), 0));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(psize(), pwrite(fd, self->mem, pages(2), 0));
	EXPECT_EQ(1, guarded(self->mem, 2));
}

TEST_F(guard, process_vm_access_to_a_guard)
{
	char *buf = map_small(2);
	struct iovec local = { buf, pages(2) };
	struct iovec remote = { self->mem, pages(2) };
	struct iovec guard = { self->mem + psize(), psize() };

	fill(self->mem, 1, 0);
	ASSERT_EQ(0, guard_install(self->mem + psize(), psize()));
	if (process_vm_readv(getpid(), &local, 1, &remote, 1, 0) < 0 && errno != EFAULT)
		SKIP(return, "process_vm_readv: %s", strerror(errno));
	EXPECT_EQ(-1, process_vm_readv(getpid(), &local, 1, &guard, 1, 0));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-1, process_vm_writev(getpid(), &local, 1, &guard, 1, 0));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(psize(), process_vm_readv(getpid(), &local, 1, &remote, 1, 0));
	EXPECT_EQ(1, filled(buf, 1, 0));
	EXPECT_EQ(psize(), process_vm_writev(getpid(), &local, 1, &remote, 1, 0));
	EXPECT_EQ(1, guarded(self->mem, 2));
}

TEST_F(guard, proc_mem_access_to_a_guard)
{
	int fd = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	off_t start = (off_t)(unsigned long)self->mem;
	char *buf = map_small(2);

	ASSERT_LE(0, fd);
	if (start < 0)
		SKIP(return, "the address is too high for an offset in /proc/PID/mem");
	fill(self->mem, 1, 0);
	ASSERT_EQ(0, guard_install(self->mem + psize(), psize()));
	EXPECT_EQ(-1, pread(fd, buf, psize(), start + psize()));
	EXPECT_EQ(EIO, errno);
	EXPECT_EQ(-1, pwrite(fd, buf, psize(), start + psize()));
	EXPECT_EQ(EIO, errno);
	EXPECT_EQ(psize(), pread(fd, buf, pages(2), start));
	EXPECT_EQ(1, filled(buf, 1, 0));
	EXPECT_EQ(1, guarded(self->mem, 2));
}

TEST_F(guard, ptrace_access_to_a_guard)
{
	pid_t pid;
	int status;

	fill(self->mem, 1, 0);
	ASSERT_EQ(0, guard_install(self->mem + psize(), psize()));
	pid = fork();
	if (!pid) {
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		raise(SIGSTOP);
		_exit(0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_TRUE(WIFSTOPPED(status));
	EXPECT_EQ(1, ptrace(PTRACE_PEEKDATA, pid, self->mem, 0));
	errno = 0;
	EXPECT_EQ(-1, ptrace(PTRACE_PEEKDATA, pid, self->mem + psize(), 0));
	EXPECT_EQ(EIO, errno);
	EXPECT_EQ(-1, ptrace(PTRACE_POKEDATA, pid, self->mem + psize(), 0));
	EXPECT_EQ(EIO, errno);
	kill(pid, SIGKILL);
	EXPECT_EQ(128 + SIGKILL, wait_child(pid));
}

TEST_F(guard, vmsplice_of_a_guard)
{
	struct iovec iov = { self->mem, psize() };
	int fds[2];

	ASSERT_EQ(0, pipe(fds));
	ASSERT_EQ(0, guard_install(self->mem, psize()));
	EXPECT_EQ(-1, vmsplice(fds[1], &iov, 1, SPLICE_F_NONBLOCK));
	EXPECT_EQ(EFAULT, errno);
	ASSERT_EQ(0, guard_remove(self->mem, psize()));
	EXPECT_EQ(psize(), vmsplice(fds[1], &iov, 1, SPLICE_F_NONBLOCK));
}

TEST_F(guard, futex_in_a_guard)
{
	ASSERT_EQ(0, guard_install(self->mem, psize()));
	EXPECT_EQ(-1, syscall(__NR_futex, self->mem, FUTEX_WAIT_PRIVATE, 1, NULL, NULL, 0));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-1, syscall(__NR_futex, self->mem, FUTEX_WAKE, 1, NULL, NULL, 0));
	EXPECT_EQ(EFAULT, errno);
	ASSERT_EQ(0, guard_remove(self->mem, psize()));
	EXPECT_EQ(0, syscall(__NR_futex, self->mem, FUTEX_WAKE, 1, NULL, NULL, 0));
}

/* Read @len bytes at @addr from a core file. A hole reads as zeroes. */
static ssize_t read_core(int fd, char *addr, void *buf, size_t len)
{
#if __SIZEOF_LONG__ == 8
	struct elf64_hdr ehdr;
	struct elf64_phdr phdr;
#else
	struct elf32_hdr ehdr;
	struct elf32_phdr phdr;
#endif
	unsigned long start = (unsigned long)addr;
	int i;

	if (pread(fd, &ehdr, sizeof(ehdr), 0) != sizeof(ehdr))
		return -1;
	for (i = 0; i < ehdr.e_phnum; i++) {
		if (pread(fd, &phdr, sizeof(phdr), ehdr.e_phoff + i * sizeof(phdr)) !=
		    sizeof(phdr))
			return -1;
		if (phdr.p_type == PT_LOAD && phdr.p_vaddr <= start &&
		    start + len <= phdr.p_vaddr + phdr.p_filesz)
			return pread(fd, buf, len, phdr.p_offset + start - phdr.p_vaddr);
	}
	return -1;
}

static const struct rlimit any_size = { RLIM_INFINITY, RLIM_INFINITY };

/* Why there will be no core file for dump_core(), or NULL. */
static const char *core_error(void)
{
	char pattern[16] = "", uses_pid[16] = "";
	struct rlimit old;

	read_file("/proc/sys/kernel/core_pattern", pattern, sizeof(pattern));
	read_file("/proc/sys/kernel/core_uses_pid", uses_pid, sizeof(uses_pid));
	if (strcmp(pattern, "core\n") || strcmp(uses_pid, "0\n"))
		return "core files do not go to \"core\"";
	if (getrlimit(RLIMIT_CORE, &old) || setrlimit(RLIMIT_CORE, &any_size))
		return "the size of core files is limited";
	/* If an ASSERT aborts the test, that is not to leave a core file. */
	setrlimit(RLIMIT_CORE, &old);
	if (access("/tmp", W_OK | X_OK))
		return "/tmp is not writable";
	return NULL;
}

/*
 * Returns a descriptor of the core file of a child, or -1. The file and its
 * directory are gone by then, whatever the test does next.
 */
static int dump_core(void)
{
	char dir[] = "/tmp/guard-pages.XXXXXX", path[64];
	pid_t pid;
	int fd;

	if (!mkdtemp(dir))
		return -1;
	pid = fork();
	if (!pid) {
		if (chdir(dir) || setrlimit(RLIMIT_CORE, &any_size) ||
		    prctl(PR_SET_DUMPABLE, 1))
			_exit(1);
		signal(SIGABRT, SIG_DFL);
		abort();
	}
	wait_child(pid);
	snprintf(path, sizeof(path), "%s/core", dir);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	unlink(path);
	rmdir(dir);
	return fd;
}

TEST(core_dump_has_a_hole_for_guards)
{
	char *mem = map_small(4), *buf = map_small(4);
	const char *error = core_error();
	int fd;

	if (error)
		SKIP(return, "%s", error);
	fill(mem, 4, 0);
	ASSERT_EQ(0, guard_install(mem + psize(), pages(2)));
	fd = dump_core();
	ASSERT_LE(0, fd);
	EXPECT_EQ(pages(4), read_core(fd, mem, buf, pages(4)));
	EXPECT_EQ(1, filled(buf, 1, 0));
	EXPECT_EQ(2, zeroed(buf + psize(), 2));
	EXPECT_EQ(1, filled(buf + pages(3), 1, 3));
}

/*
 * A core dump that faulted on each of these guards would take most of its
 * faults there.
 */
#define NR_DUMPED		8192

static long nr_faults(void)
{
	return read_key("/proc/vmstat", "pgfault ");
}

/* Other programs take faults meanwhile, but not so many every time. */
TEST(core_dump_takes_no_fault_for_a_guard)
{
	const size_t len = NR_DUMPED * psize();
	const char *error = core_error();
	long faults = NR_DUMPED;
	char *mem;
	int try, fd;

	if (error)
		SKIP(return, "%s", error);
	if (nr_faults() < 0)
		SKIP(return, "no pgfault in /proc/vmstat");
	mem = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, mem);
	mem[0] = 1;	/* A mapping that was never written is not dumped. */
	ASSERT_EQ(0, guard_install(mem + psize(), len - psize()));
	for (try = 0; try < 5 && faults >= NR_DUMPED / 2; try++) {
		faults = nr_faults();
		fd = dump_core();
		faults = nr_faults() - faults;
		ASSERT_LE(0, fd);
		close(fd);
	}
	EXPECT_GT(NR_DUMPED / 2, faults);
}

/* ------------------------------------------------------------------------
 * uprobes
 */

/*
 * Probe this process at @offset in the code, with a reference counter at
 * @counter unless that is 0. Returns a negative errno on failure. A probe goes
 * into all mappings of the file or into none.
 */
static int probe(const char *path, off_t offset, off_t counter)
{
	struct perf_event_attr attr = {
		.size = sizeof(attr),
		.config = (uint64_t)counter << 32,
		.config1 = (unsigned long)path,
		.config2 = offset,
	};
	FILE *file = fopen("/sys/bus/event_source/devices/uprobe/type", "r");
	int fd;

	if (!file)
		return -errno;
	if (fscanf(file, "%u", &attr.type) != 1)
		attr.type = -1;
	fclose(file);
	fd = syscall(__NR_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* A probe goes into all mappings of a file or into none. */
TEST(uprobe_passes_over_guards)
{
	char path[64];
	int fd = open_regular_file(), event;
	char *code;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ftruncate(fd, pages(1)));
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", getpid(), fd);
	code = mmap(NULL, pages(1), PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
	if (code == MAP_FAILED)
		SKIP(return, "an executable mapping of the file: %s", strerror(errno));
	event = probe(path, 0, 0);
	if (event < 0)
		SKIP(return, "uprobes: %s", strerror(-event));
	close(event);

	ASSERT_EQ(0, guard_install(code, psize()));
	event = probe(path, 0, 0);
	ASSERT_LE(0, event);
	close(event);
	EXPECT_EQ(1, guarded(code, 1));
	ASSERT_EQ(0, guard_remove(code, psize()));
	event = probe(path, 0, 0);
	EXPECT_LE(0, event);
	close(event);
}

FIXTURE(probes)
{
	int fd;
	char path[64];
	char *code;	/* two pages each */
	char *data;
	volatile short *counter;
};

/* In the file: the code, and the data after it. */
#define FIRST_PROBE		0
#define SECOND_PROBE		64
#define COUNTER			16

static char *map_file(int fd, char *addr, int prot, off_t offset)
{
	return mmap(addr, 2 * psize(), prot,
		    MAP_PRIVATE | (addr ? MAP_FIXED : 0), fd, offset);
}

/* Probe at @offset in the code, with the counter. */
static int counted_probe(const char *path, off_t offset)
{
	return probe(path, offset, 2 * psize() + COUNTER);
}

/* The code is all zeroes. */
static bool has_breakpoint(char *code)
{
	return *(volatile uint32_t *)code;
}

FIXTURE_SETUP(probes)
{
	int event;

	self->fd = memfd_create("guard-proc", MFD_CLOEXEC);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, ftruncate(self->fd, 4 * psize()));
	snprintf(self->path, sizeof(self->path), "/proc/%d/fd/%d", getpid(), self->fd);
	self->code = map_file(self->fd, NULL, PROT_READ | PROT_EXEC, 0);
	self->data = map_file(self->fd, NULL, PROT_READ | PROT_WRITE, 2 * psize());
	ASSERT_NE(MAP_FAILED, self->code);
	ASSERT_NE(MAP_FAILED, self->data);
	self->counter = (void *)(self->data + COUNTER);

	event = counted_probe(self->path, FIRST_PROBE);
	if (event < 0)
		SKIP(return, "uprobes: %s", strerror(-event));
	ASSERT_TRUE(has_breakpoint(self->code));
	ASSERT_EQ(1, *self->counter);
	close(event);
	ASSERT_FALSE(has_breakpoint(self->code));
	ASSERT_EQ(0, *self->counter);
	/* The counter is as in a process that was never probed. */
	ASSERT_EQ(0, madvise(self->data, 2 * psize(), MADV_DONTNEED));
	ASSERT_EQ(0, guard_install(self->data, psize()));
	ASSERT_EQ(0, guard_remove(self->data, psize()));
}

FIXTURE_TEARDOWN(probes)
{
}

TEST_F(probes, guarded_code_has_no_breakpoint)
{
	int event;

	ASSERT_EQ(0, guard_install(self->code, psize()));
	event = counted_probe(self->path, FIRST_PROBE);
	ASSERT_LE(0, event);
	EXPECT_EQ(0, *self->counter);
	close(event);
	EXPECT_TRUE(is_guard_in_pagemap(self->code));
	ASSERT_EQ(0, guard_remove(self->code, psize()));
	EXPECT_FALSE(has_breakpoint(self->code));
	event = counted_probe(self->path, FIRST_PROBE);
	ASSERT_LE(0, event);
	EXPECT_TRUE(has_breakpoint(self->code));
	close(event);
	EXPECT_FALSE(has_breakpoint(self->code));
}

/* The code can be probed although its counter is inaccessible. */
TEST_F(probes, guarded_counter_does_not_prevent_a_probe)
{
	int event;

	ASSERT_EQ(0, guard_install(self->data, psize()));
	event = counted_probe(self->path, FIRST_PROBE);
	ASSERT_LE(0, event);
	EXPECT_TRUE(has_breakpoint(self->code));
	close(event);
	EXPECT_FALSE(has_breakpoint(self->code));
	EXPECT_TRUE(is_guard_in_pagemap(self->data));
	ASSERT_EQ(0, guard_remove(self->data, psize()));
	EXPECT_EQ(0, *self->counter);
	event = counted_probe(self->path, FIRST_PROBE);
	ASSERT_LE(0, event);
	EXPECT_EQ(1, *self->counter);
	close(event);
	EXPECT_EQ(0, *self->counter);
}

TEST_F(probes, counter_guarded_later_leaves_no_breakpoint)
{
	int event = counted_probe(self->path, FIRST_PROBE);

	ASSERT_LE(0, event);
	ASSERT_EQ(1, *self->counter);
	ASSERT_EQ(0, guard_install(self->data, psize()));
	close(event);
	EXPECT_FALSE(has_breakpoint(self->code));
	EXPECT_TRUE(is_guard_in_pagemap(self->data));
}

/*
 * The guard discarded the count, so closing the probe has nothing to subtract.
 */
TEST_F(probes, counter_guarded_and_back_leaves_no_breakpoint)
{
	int event = counted_probe(self->path, FIRST_PROBE);

	ASSERT_LE(0, event);
	ASSERT_EQ(1, *self->counter);
	ASSERT_EQ(0, guard_install(self->data, psize()));
	ASSERT_EQ(0, guard_remove(self->data, psize()));
	EXPECT_EQ(0, *self->counter);
	close(event);
	EXPECT_FALSE(has_breakpoint(self->code));
	EXPECT_EQ(0, *self->counter);
}

TEST_F(probes, uncounted_probe_is_not_subtracted)
{
	int first, second;

	ASSERT_EQ(0, guard_install(self->data, psize()));
	first = counted_probe(self->path, FIRST_PROBE);
	ASSERT_LE(0, first);
	ASSERT_EQ(0, guard_remove(self->data, psize()));
	EXPECT_EQ(0, *self->counter);
	second = counted_probe(self->path, SECOND_PROBE);
	ASSERT_LE(0, second);
	EXPECT_EQ(1, *self->counter);
	close(first);
	EXPECT_EQ(1, *self->counter);
	EXPECT_FALSE(has_breakpoint(self->code + FIRST_PROBE));
	EXPECT_TRUE(has_breakpoint(self->code + SECOND_PROBE));
	close(second);
	EXPECT_EQ(0, *self->counter);
}

/* This is the same as a counter that is mapped after the code. */
TEST_F(probes, next_mapping_of_the_counter_is_counted)
{
	int event;

	ASSERT_EQ(0, guard_install(self->data, psize()));
	event = counted_probe(self->path, FIRST_PROBE);
	ASSERT_LE(0, event);
	/*
	 * A split makes uprobes look at the VMA again, and the guard is still
	 * there.
	 */
	ASSERT_EQ(0, mprotect(self->data + psize(), psize(), PROT_READ));
	EXPECT_TRUE(is_guard_in_pagemap(self->data));
	ASSERT_EQ(self->data, map_file(self->fd, self->data,
				       PROT_READ | PROT_WRITE, 2 * psize()));
	EXPECT_EQ(1, *self->counter);
	close(event);
	EXPECT_EQ(0, *self->counter);
	EXPECT_FALSE(has_breakpoint(self->code));
}

TEST_F(probes, code_is_mapped_while_its_counter_is_guarded)
{
	int event;

	ASSERT_EQ(0, munmap(self->code, 2 * psize()));
	ASSERT_EQ(0, guard_install(self->data, psize()));
	event = counted_probe(self->path, FIRST_PROBE);
	ASSERT_LE(0, event);
	ASSERT_EQ(self->code, map_file(self->fd, self->code,
				       PROT_READ | PROT_EXEC, 0));
	EXPECT_TRUE(has_breakpoint(self->code));
	EXPECT_TRUE(is_guard_in_pagemap(self->data));
	close(event);
	EXPECT_FALSE(has_breakpoint(self->code));
}

/*
 * If the fault ends in SIGBUS, the probe fails, whether the VMA has guards
 * elsewhere or not.
 */
static int probe_without_page(const char *path, char *mem)
{
	struct uffdio_api api = {
		.api = UFFD_API,
		.features = UFFD_FEATURE_SIGBUS | UFFD_FEATURE_MINOR_SHMEM,
	};
	int event, uffd = syscall(__NR_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);

	if (uffd < 0 || ioctl(uffd, UFFDIO_API, &api) ||
	    uffd_register(uffd, mem, psize(), false, false, true))
		return -EOPNOTSUPP;
	if (madvise(mem, psize(), MADV_DONTNEED))
		return -errno;
	event = counted_probe(path, FIRST_PROBE);
	close(uffd);
	return event;
}

TEST_F(probes, other_faults_of_code_are_errors)
{
	int event;

	ASSERT_EQ(0, guard_install(self->code + psize(), psize()));
	event = probe_without_page(self->path, self->code);
	if (event == -EOPNOTSUPP)
		SKIP(return, "userfaultfd has no minor faults for shared memory");
	EXPECT_EQ(-EFAULT, event);
}

TEST_F(probes, other_faults_of_counters_are_errors)
{
	int event;

	ASSERT_EQ(0, guard_install(self->data + psize(), psize()));
	event = probe_without_page(self->path, self->data);
	if (event == -EOPNOTSUPP)
		SKIP(return, "userfaultfd has no minor faults for shared memory");
	EXPECT_EQ(-EFAULT, event);
	EXPECT_FALSE(has_breakpoint(self->code));
}

/* Probes that race with a thread that installs and removes guards. */
#define NR_ROUNDS		20

static atomic_bool stop;

static void *guard_and_unguard(void *page)
{
	while (!stop) {
		guard_install(page, psize());
		guard_remove(page, psize());
	}
	return NULL;
}

/*
 * Returns how many probes failed, plus how many breakpoints were left behind.
 */
static int race(const char *path, char *code, char *page)
{
	int i, event, wrong = 0;
	pthread_t thread;

	stop = false;
	if (pthread_create(&thread, NULL, guard_and_unguard, page))
		return -1;
	for (i = 0; i < NR_ROUNDS; i++) {
		event = counted_probe(path, SECOND_PROBE);
		if (event < 0)
			wrong++;
		else
			close(event);
		if (page != code && has_breakpoint(code + SECOND_PROBE))
			wrong++;
	}
	stop = true;
	pthread_join(thread, NULL);
	return wrong + has_breakpoint(code + SECOND_PROBE);
}

TEST_F(probes, racing_guards_of_code)
{
	EXPECT_EQ(0, race(self->path, self->code, self->code));
}

TEST_F(probes, racing_guards_of_a_counter)
{
	EXPECT_EQ(0, race(self->path, self->code, self->data));
}

/* ------------------------------------------------------------------------
 * Device memory (HMM)
 */

static int hmm(int fd, unsigned long command, char *mem, size_t nr, void *buf)
{
	struct hmm_dmirror_cmd cmd = {
		.addr = (unsigned long)mem,
		.ptr = (unsigned long)buf,
		.npages = nr,
	};

	return ioctl(fd, command, &cmd) ? errno : 0;
}

FIXTURE(hmm)
{
	char *mem;	/* striped */
	int fd;
};

FIXTURE_SETUP(hmm)
{
	self->fd = open("/dev/hmm_dmirror0", O_RDWR | O_CLOEXEC);
	if (self->fd < 0)
		SKIP(return, "/dev/hmm_dmirror0: %s (CONFIG_TEST_HMM)", strerror(errno));
	self->mem = map_small(NR_SMALL);
	stripe(self->mem, NR_SMALL);
}

FIXTURE_TEARDOWN(hmm)
{
}

/* The device's view of each page. */
static size_t hmm_seen(int fd, char *mem, unsigned char guard, unsigned char data)
{
	unsigned char seen[NR_SMALL];
	size_t i, found = 0;

	memset(seen, HMM_DMIRROR_PROT_ERROR, sizeof(seen));
	if (hmm(fd, HMM_DMIRROR_SNAPSHOT, mem, NR_SMALL, seen))
		return 0;
	for (i = 0; i < NR_SMALL; i++)
		if (i % 3 < 2)
			found += seen[i] == (i % 3 ? data : guard);
	return found;
}

/* Guards and data are 11 of the 16 pages. */
TEST_F(hmm, device_sees_no_page_in_a_guard)
{
	EXPECT_EQ(11, hmm_seen(self->fd, self->mem, HMM_DMIRROR_PROT_NONE,
			       HMM_DMIRROR_PROT_WRITE));
	EXPECT_EQ(NR_SMALL, striped(self->mem, NR_SMALL));
}

TEST_F(hmm, device_cannot_access_a_guard)
{
	char *buf = map_small(2);
	int how;

	for (how = 0; how < 2; how++) {
		unsigned long command = how ? HMM_DMIRROR_WRITE : HMM_DMIRROR_READ;

		EXPECT_EQ(EFAULT, hmm(self->fd, command, self->mem, 1, buf));
		EXPECT_EQ(EFAULT, hmm(self->fd, command, self->mem + pages(2), 2, buf));
	}
	EXPECT_EQ(0, hmm(self->fd, HMM_DMIRROR_READ, self->mem + psize(), 1, buf));
	EXPECT_EQ(1, filled(buf, 1, 1));
	EXPECT_EQ(NR_SMALL, striped(self->mem, NR_SMALL));
}

/* The device has mapped the page, and must be told that it is gone. */
TEST_F(hmm, device_loses_a_page_that_becomes_a_guard)
{
	char *page = self->mem + psize(), *buf = map_small(1);

	ASSERT_EQ(0, hmm(self->fd, HMM_DMIRROR_READ, page, 1, buf));
	ASSERT_EQ(0, guard_install(page, psize()));
	EXPECT_EQ(EFAULT, hmm(self->fd, HMM_DMIRROR_READ, page, 1, buf));
	ASSERT_EQ(0, guard_remove(page, psize()));
	EXPECT_EQ(0, hmm(self->fd, HMM_DMIRROR_READ, page, 1, buf));
	EXPECT_EQ(1, zeroed(buf, 1));
}

/*
 * The call reports what the device has in the end, which is not all of the
 * range.
 */
TEST_F(hmm, migration_to_device_memory_keeps_guards)
{
	char *buf = map_small(NR_SMALL);

	hmm(self->fd, HMM_DMIRROR_MIGRATE_TO_DEV, self->mem, NR_SMALL, buf);
	EXPECT_EQ(11, hmm_seen(self->fd, self->mem, HMM_DMIRROR_PROT_NONE,
			       HMM_DMIRROR_PROT_DEV_PRIVATE_LOCAL |
			       HMM_DMIRROR_PROT_WRITE));
	/* Accesses bring the data back. */
	EXPECT_EQ(NR_SMALL, striped(self->mem, NR_SMALL));
	EXPECT_EQ(11, hmm_seen(self->fd, self->mem, HMM_DMIRROR_PROT_NONE,
			       HMM_DMIRROR_PROT_WRITE));
	/* fork() does not care where the data is. */
	hmm(self->fd, HMM_DMIRROR_MIGRATE_TO_DEV, self->mem, NR_SMALL, buf);
	EXPECT_TRUE(child_sees_guards(self->mem, NR_SMALL, 6));
	EXPECT_EQ(NR_SMALL, striped(self->mem, NR_SMALL));
}

TEST_F(hmm, install_over_device_memory)
{
	char *data = self->mem + psize(), *buf = map_small(NR_SMALL);

	ASSERT_EQ(0, hmm(self->fd, HMM_DMIRROR_MIGRATE_TO_DEV, data, 1, buf));
	ASSERT_EQ(0, guard_install(data, psize()));
	EXPECT_EQ(7, guarded(self->mem, NR_SMALL));
	EXPECT_EQ(EFAULT, hmm(self->fd, HMM_DMIRROR_READ, data, 1, buf));
	ASSERT_EQ(0, guard_remove(self->mem, pages(NR_SMALL)));
	EXPECT_EQ(4, zeroed(self->mem, 4));
	EXPECT_EQ(1, filled(self->mem + pages(4), 1, 4));
}

TEST_F(hmm, remove_leaves_device_memory)
{
	char *data = self->mem + psize(), *buf = map_small(NR_SMALL);

	ASSERT_EQ(0, hmm(self->fd, HMM_DMIRROR_MIGRATE_TO_DEV, data, 1, buf));
	ASSERT_EQ(0, guard_remove(self->mem, pages(3)));
	EXPECT_EQ(0, hmm(self->fd, HMM_DMIRROR_READ, data, 1, buf));
	EXPECT_EQ(1, filled(buf, 1, 1));
	EXPECT_EQ(1, filled(data, 1, 1));
	EXPECT_EQ(1, zeroed(self->mem, 1));
}

TEST_F(hmm, exclusive_access_beside_and_to_guards)
{
	char *data = self->mem + psize(), *buf = map_small(NR_SMALL);

	/*
	 * Exclusive access is for all of the range or none of it, and there is
	 * a guard in it.
	 */
	EXPECT_EQ(EBUSY, hmm(self->fd, HMM_DMIRROR_EXCLUSIVE, self->mem, 2, buf));
	EXPECT_EQ(EBUSY, hmm(self->fd, HMM_DMIRROR_EXCLUSIVE, data, 3, buf));
	EXPECT_EQ(NR_SMALL, striped(self->mem, NR_SMALL));
	ASSERT_EQ(0, hmm(self->fd, HMM_DMIRROR_EXCLUSIVE, data, 1, buf));
	ASSERT_EQ(0, guard_install(data, psize()));
	EXPECT_EQ(7, guarded(self->mem, NR_SMALL));
	ASSERT_EQ(0, guard_remove(data, psize()));
	EXPECT_EQ(1, zeroed(data, 1));
}

int main(int argc, char **argv)
{
	guard_init();
	return test_harness_run(argc, argv);
}
