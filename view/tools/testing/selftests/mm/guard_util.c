// SPDX-License-Identifier: GPL-2.0-only
/*
 * Helpers of the guard page tests.
 */
#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64	/* an address is an offset in /proc/self/pagemap */
#include <limits.h>
#include <linux/magic.h>
#include <linux/mempolicy.h>
#include <linux/userfaultfd.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include "guard_util.h"
#include "thp_settings.h"

#ifndef STATX_ATTR_DAX
#define STATX_ATTR_DAX		0x00200000
#endif

int advise(void *addr, size_t len, int advice)
{
	return madvise(addr, len, advice) ? errno : 0;
}

int guard_install(void *addr, size_t len)
{
	return advise(addr, len, MADV_GUARD_INSTALL);
}

int guard_remove(void *addr, size_t len)
{
	return advise(addr, len, MADV_GUARD_REMOVE);
}

/* Make every @step-th page a guard. */
int guard_every(size_t step, char *addr, size_t nr)
{
	size_t i;
	int ret = 0;

	for (i = 0; i < nr && !ret; i += step)
		ret = guard_install(addr + i * psize(), psize());
	return ret;
}

int protect(void *addr, size_t len, int prot)
{
	return mprotect(addr, len, prot) ? errno : 0;
}

size_t pages(size_t nr)
{
	return nr * psize();
}

static __thread sigjmp_buf fault_env;
static __thread int fault_expected;
static __thread struct fault fault_seen;

static void fault_handler(int sig, siginfo_t *info, void *ucontext)
{
	if (!fault_expected) {
		signal(sig, SIG_DFL);
		return;
	}
	fault_seen = (struct fault){ sig, info->si_code, info->si_addr };
	siglongjmp(fault_env, 1);
}

void catch_faults(void)
{
	/* SA_NODEFER: siglongjmp() then need not restore the signal mask. */
	struct sigaction sa = {
		.sa_sigaction = fault_handler,
		.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK,
	};

	sigaction(SIGSEGV, &sa, NULL);
	sigaction(SIGBUS, &sa, NULL);
}

/* Call @call with @arg, and return the fault that it raises, or none. */
struct fault fault_of(void (*call)(char *arg), char *arg)
{
	fault_seen = (struct fault){};
	fault_expected = 1;
	if (!sigsetjmp(fault_env, 0))
		call(arg);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	fault_expected = 0;
	return fault_seen;
}

static void read_byte(char *addr)
{
	static __thread char sink;

	sink = *(volatile char *)addr;
	(void)sink;
}

static void write_byte(char *addr)
{
	*(volatile char *)addr = 1;
}

static void execute(char *addr)
{
	((void (*)(void))addr)();
}

struct fault touch(char *addr, enum access access)
{
	/* No __atomic_store_n(): on hppa it is a call of the kernel. */
	static void (* const accesses[])(char *addr) = {
		[READ] = read_byte, [WRITE] = write_byte, [EXEC] = execute,
	};

	return fault_of(accesses[access], addr);
}

bool is_guard_fault(struct fault fault, char *addr)
{
	unsigned long mask = ~0UL;

#ifdef __s390__
	mask = ~(psize() - 1UL); /* only the page of the fault is known */
#elif defined(__hppa__)
	mask = ~3UL;	/* an instruction's address comes with its privilege */
#elif defined(__alpha__)
	mask = ~7UL;	/* accesses are of eight bytes */
#endif
	return fault.sig == SIGSEGV && fault.code == GUARD_SI_CODE &&
	       ((unsigned long)fault.addr & mask) == ((unsigned long)addr & mask);
}

/* A page that is not guarded stays as it is, but may become populated. */
bool is_guarded(char *page)
{
	return is_guard_fault(touch(page, READ), page) &&
	       touch(page + psize() - 1, WRITE).sig == SIGSEGV;
}

bool is_zero(char *page)
{
	unsigned long *word = (unsigned long *)page;
	size_t i;

	if (touch(page, READ).sig)
		return false;
	for (i = 0; i < psize() / sizeof(*word); i++)
		if (word[i])
			return false;
	return true;
}

int pagemap_fd(void)
{
	static int fd = -1;
	static pid_t pid;

	if (fd < 0 || pid != getpid()) {
		fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
		pid = getpid();
		if (fd < 0)
			ksft_exit_fail_msg("cannot open /proc/self/pagemap\n");
	}
	return fd;
}

uint64_t pagemap(char *page)
{
	return pagemap_get_entry(pagemap_fd(), page);
}

/* Returns the pagemap entries of @nr pages, to be freed. */
uint64_t *read_pagemap(char *start, size_t nr)
{
	const off_t offset = (unsigned long)start / psize() * sizeof(uint64_t);
	uint64_t *entries = calloc(nr, sizeof(*entries));

	if (pread(pagemap_fd(), entries, nr * sizeof(*entries), offset) !=
	    (ssize_t)(nr * sizeof(*entries)))
		ksft_exit_fail_msg("cannot read /proc/self/pagemap\n");
	return entries;
}

bool is_guard_in_pagemap(char *page)
{
	return pagemap(page) & PM_GUARD;
}

size_t count(char *start, size_t nr, bool (*is)(char *page))
{
	size_t i, found = 0;

	for (i = 0; i < nr; i++)
		found += is(start + pages(i));
	return found;
}

/*
 * Returns how many pages are guards. Small ranges are accessed page by page. In
 * large ranges accesses go to the ends, to every 16th page and to the first
 * pages that differ from the one before; pagemap tells about the others,
 * because signals are slow.
 */
size_t guarded(char *start, size_t nr)
{
	size_t i, found = 0, borders = 0;
	bool guard, before = false;
	uint64_t *entries;

	if (nr <= 4 * NR_SMALL)
		return count(start, nr, is_guarded);

	entries = read_pagemap(start, nr);
	for (i = 0; i < nr; i++) {
		guard = entries[i] & PM_GUARD;
		borders += guard != before;
		if (i % 16 == 0 || i == nr - 1 ||
		    (guard != before && borders < 4 * NR_SMALL))
			found += is_guarded(start + pages(i));
		else
			found += guard;
		before = guard;
	}
	free(entries);
	return found;
}

size_t zeroed(char *start, size_t nr)
{
	return count(start, nr, is_zero);
}

/* An access to the page does not fault. */
bool is_readable(char *page)
{
	return !touch(page, READ).sig;
}

size_t readable(char *start, size_t nr)
{
	return count(start, nr, is_readable);
}

/*
 * Give each page content of its own, which depends on @seed and the page's
 * number.
 */
void fill(char *start, size_t nr, unsigned long seed)
{
	size_t i;

	for (i = 0; i < nr; i++) {
		unsigned long *page = (unsigned long *)(start + pages(i));

		page[0] = seed + i + 1;
		page[psize() / sizeof(*page) - 1] = ~page[0];
	}
}

/* Returns how many pages still have the content that fill() gave them. */
size_t filled(char *start, size_t nr, unsigned long seed)
{
	size_t i, found = 0;

	for (i = 0; i < nr; i++) {
		unsigned long *page = (unsigned long *)(start + pages(i));

		found += is_readable((char *)page) && page[0] == seed + i + 1 &&
			 page[psize() / sizeof(*page) - 1] == ~page[0];
	}
	return found;
}

/* Without an access to them */
size_t guarded_in_pagemap(char *start, size_t nr)
{
	uint64_t *entries = read_pagemap(start, nr);
	size_t found = 0, i;

	for (i = 0; i < nr; i++)
		found += !!(entries[i] & PM_GUARD);
	free(entries);
	return found;
}

bool is_present(char *page)
{
	return pagemap(page) & PM_PRESENT;
}

size_t present(char *start, size_t nr)
{
	uint64_t *entries = read_pagemap(start, nr);
	size_t i, found = 0;

	for (i = 0; i < nr; i++)
		found += !!(entries[i] & PM_PRESENT);
	free(entries);
	return found;
}

/* Returns 0 and the first word of a page, or the signal that reading it raises. */
int look(char *page, unsigned long *value)
{
	int sig = touch(page, READ).sig;

	if (!sig)
		*value = *(volatile unsigned long *)page;
	return sig;
}

long page_tables_kb(void)
{
	return read_key("/proc/self/status", "VmPTE:");
}

size_t kb(size_t nr)
{
	return pages(nr) / 1024;
}

/* Seconds, for timeouts. */
time_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec;
}

/* The size of the range that a page table maps, or a guess if it is unknown. */
size_t table_size(void)
{
	size_t size = read_pmd_pagesize();

	return size ?: pages(psize() / sizeof(long));
}

/*
 * Do large guards share a page table here? The architectures that can do it use
 * a lock for each page table if they support four CPUs. Xen PV guests do not do
 * it.
 */
bool guards_are_shared(void)
{
#if defined(__x86_64__) || defined(__aarch64__) || (defined(__riscv) && __riscv_xlen == 64)
	char guest[8] = "";

	read_file("/sys/hypervisor/guest_type", guest, sizeof(guest));
	if (!strcmp(guest, "PV\n"))
		return false;
	return read_key("/sys/devices/system/cpu/kernel_max", "") >= 3;
#else
	return false;
#endif
}

struct under_test under_test = { .fd = -1 };

static size_t up_to(size_t size, size_t unit)
{
	return (size + unit - 1) / unit * unit;
}

#ifdef __hppa__
#define COLOURS	0x400000	/* SHM_COLOUR: SHMLBA is what shmat() wants */
#else
#define COLOURS	SHMLBA
#endif

/*
 * Reserve @len bytes, starting @offset after a multiple of @align, with at
 * least a page of PROT_NONE at either end. If caches have aliases, shared
 * memory can only be mapped every COLOURS bytes, from @colour on.
 */
char *reserve(size_t len, size_t align, size_t offset)
{
	const size_t unit = under_test.shared || under_test.fd >= 0 ? COLOURS : psize();
	unsigned long addr;
	size_t total;
	char *arena;

	align = up_to(align, unit);
	offset = up_to(offset, unit) + under_test.colour;
	total = len + align + offset + pages(2);
	arena = mmap(NULL, total, PROT_NONE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (arena == MAP_FAILED)
		ksft_exit_fail_msg("no room for %zu bytes\n", total);
	addr = up_to((unsigned long)arena + psize(), align);
	return (char *)(addr + offset);
}

char *map_at(char *addr, size_t len, int prot)
{
	return mmap(addr, len, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}

/* @nr small pages, nothing populated. */
char *map_small(size_t nr)
{
	char *mem = map_at(reserve(pages(nr), psize(), 0), pages(nr),
			   PROT_READ | PROT_WRITE);

	if (mem == MAP_FAILED)
		ksft_exit_fail_msg("cannot map %zu pages\n", nr);
	madvise(mem, pages(nr), MADV_NOHUGEPAGE); /* EINVAL: no huge pages at all */
	return mem;
}

void *xmap(size_t len, int prot, int flags)
{
	void *mem = mmap(NULL, len, prot, flags, -1, 0);

	if (mem == MAP_FAILED)
		ksft_exit_fail_msg("no room for %zu bytes\n", len);
	return mem;
}

/* Returns the exit status, or 128 plus the signal. */
int wait_child(pid_t pid)
{
	int status;

	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Returns true if a child finds exactly this many guards. */
bool child_sees_guards(char *start, size_t nr, size_t expected)
{
	pid_t pid = fork();

	if (!pid)
		_exit(guarded(start, nr) != expected);
	return !wait_child(pid);
}

int memfd(size_t len)
{
	int fd = memfd_create("guard-pages", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || ftruncate(fd, len))
		ksft_exit_fail_msg("memfd_create: %s\n", strerror(errno));
	return fd;
}

/*
 * Start @fn in a process that shares the memory of this one. There is one stack
 * for such processes, so only one may run at a time. It begins in the middle,
 * because on some architectures stacks grow up. @arg is also where
 * CLONE_CHILD_CLEARTID clears the ID.
 */
pid_t start_beside(int (*fn)(void *arg), void *arg, int flags)
{
	/* The type is for the alignment. */
	static long double stack[8192];

	return clone(fn, stack + ARRAY_SIZE(stack) / 2, CLONE_VM | SIGCHLD | flags, arg,
		     NULL, NULL, arg);
}

int nr_cpus(cpu_set_t *allowed)
{
	sched_getaffinity(0, sizeof(*allowed), allowed);
	return CPU_COUNT(allowed);
}

/* Stay on this CPU, with all threads that are created from now on. */
void stay_on_this_cpu(void)
{
	cpu_set_t here;

	CPU_ZERO(&here);
	CPU_SET(sched_getcpu(), &here);
	sched_setaffinity(0, sizeof(here), &here);
}

/* Move to another CPU, if there is one. */
void move_to_another_cpu(const cpu_set_t *allowed)
{
	cpu_set_t others = *allowed;

	CPU_CLR(sched_getcpu(), &others);
	if (CPU_COUNT(&others))
		sched_setaffinity(0, sizeof(others), &others);
}

/* The first NUMA node that this process may use, 0 without NUMA. */
int first_node(void)
{
	unsigned long mask[16] = {};

	if (syscall(__NR_get_mempolicy, NULL, mask, 8 * sizeof(mask), NULL,
		    MPOL_F_MEMS_ALLOWED) || !mask[0])
		return 0;
	return __builtin_ctzl(mask[0]);
}

/*
 * Spend some time. Tests vary it from round to round, to hit different moments
 * of a race.
 */
void dawdle(size_t loops)
{
	for (; loops; loops--)
		__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

char *find_mapping(const char *name, size_t *len)
{
	FILE *file = fopen("/proc/self/maps", "r");
	unsigned long start = 0, end = 0;
	char line[512];

	while (!start && file && fgets(line, sizeof(line), file))
		if (strstr(line, name))
			sscanf(line, "%lx-%lx", &start, &end);
	fclose(file);
	if (len)
		*len = end - start;
	return (char *)start;
}

/* Returns true if the range can be locked while it has no guards. */
bool can_lock(char *mem, size_t len)
{
	bool can = !mlock(mem, len) && vma_flag(mem, "lo");

	munlock(mem, len);
	advise(mem, len, MADV_DONTNEED);
	return can;
}

const char *lock_error(void)
{
	return under_test.is_dax ? "DAX is never locked" : strerror(errno);
}

bool seal(char *mem, size_t len)
{
	return !syscall(__NR_mseal, mem, len, 0);
}

/*
 * Changes to the middle of a VMA that split it, and the calls that undo them.
 */
int dont_dump(char *mem, size_t len)
{
	return advise(mem, len, MADV_DONTDUMP);
}

int mlock_range(char *mem, size_t len)
{
	return mlock2(mem, len, MLOCK_ONFAULT) ? errno : 0;
}

ssize_t advise_process(pid_t pid, struct iovec *iov, size_t nr, int advice)
{
	int pidfd = syscall(__NR_pidfd_open, pid, 0);
	ssize_t ret = syscall(__NR_process_madvise, pidfd, iov, nr, advice, 0);
	int error = errno;

	close(pidfd);
	errno = error;
	return ret;
}

/* Returns how many pages of a range are mapped by huge pages. */
size_t mapped_huge(char *mem, size_t len)
{
	return smaps_kb(mem, len, under_test.backing == ANON ? "AnonHugePages:" :
			"ShmemPmdMapped:") * 1024 / psize();
}

/*
 * Returns a negative number if userfaultfd or one of the features is missing;
 * see errno.
 */
int uffd_open(uint64_t features)
{
	struct uffdio_api api = { .api = UFFD_API, .features = features };
	int fd = syscall(__NR_userfaultfd,
			 O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
	int error;

	if (fd >= 0 && ioctl(fd, UFFDIO_API, &api)) {
		error = errno;
		close(fd);
		errno = error;
		return -1;
	}
	return fd;
}

int uffd_protect(int uffd, void *addr, size_t len, bool on)
{
	struct uffdio_writeprotect arg = {
		.range = { (unsigned long)addr, len },
		.mode = on ? UFFDIO_WRITEPROTECT_MODE_WP : 0,
	};

	return ioctl(uffd, UFFDIO_WRITEPROTECT, &arg) ? errno : 0;
}

/* ------------------------------------------------------------------------
 * The mapping under test. Its backing is a property of the variant. Each test is
 * a process of its own, so there is only one.
 *
 * Tests fill page @page of the mapping with the content @page, by fill(). Files
 * have other content before that.
 */

/* Create an unlinked regular file. Returns -1 if there is no place for it. */
int open_regular_file(void)
{
	const char * const dirs[] = { getenv("TMPDIR"), ".", "/tmp" };
	char path[PATH_MAX];
	int fd = -1;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(dirs) && fd < 0; i++) {
		if (!dirs[i])
			continue;
		snprintf(path, sizeof(path), "%s/guard-pages.XXXXXX", dirs[i]);
		fd = mkostemp(path, O_CLOEXEC);
		if (fd >= 0)
			unlink(path);
	}
	return fd;
}

/* Map the backing from page @page on, or new memory if there is no file. */
char *map_backing(char *addr, size_t len, int prot, size_t page)
{
	int flags = MAP_FIXED;
	char *twice;

	flags |= under_test.shared ? MAP_SHARED : MAP_PRIVATE;
	if (under_test.fd >= 0)
		return mmap(addr, len, prot, flags, under_test.fd, pages(page));
	if (!under_test.shared)
		return map_at(addr, len, prot);

	/*
	 * The object is larger than the mapping, so that the mapping can grow.
	 */
	twice = mmap(NULL, 2 * len, prot, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (twice == MAP_FAILED)
		return twice;
	munmap(twice + len, len);
	return mremap(twice, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, addr);
}

/* Give the file content, in huge pages or in pages of any size. */
static int write_backing(bool huge)
{
	size_t align = huge ? read_pmd_pagesize() : psize();
	char *mem = huge ? reserve(under_test.len, align, 0) : NULL;
	int ret = 0;
	size_t i;

	mem = mmap(mem, under_test.len, PROT_READ | PROT_WRITE,
		   MAP_SHARED | (huge ? MAP_FIXED : 0), under_test.fd, 0);
	if (mem == MAP_FAILED)
		return errno;
#ifdef __hppa__
	/* The colour depends on the address of the inode in the kernel. */
	under_test.colour = (unsigned long)mem % COLOURS;
#endif
	advise(mem, under_test.len, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	/*
	 * MADV_COLLAPSE needs the page tables to exist. DAX needs no collapse.
	 */
	for (i = 0; huge && i < under_test.len; i += align)
		mem[i] = 0;
	if (huge && !under_test.is_dax)
		ret = advise(mem, under_test.len, MADV_COLLAPSE);
	fill(mem, under_test.len / psize(), FILE_SEED);
	munmap(mem, under_test.len);
	under_test.has_data = true;
	return ret;
}

static bool is_dax(int fd)
{
	struct statx statx_buf = {};

	return !statx(fd, "", AT_EMPTY_PATH, 0, &statx_buf) &&
	       statx_buf.stx_attributes & STATX_ATTR_DAX;
}

/* Prepare for map_backing() of @len bytes. Returns 0 or the errno. */
int set_backing(enum backing backing, size_t len, bool huge)
{
	struct statfs statfs;

	under_test.backing = backing;
	under_test.shared = backing == SHMEM || backing == MEMFD_SHARED ||
			    backing == FILE_SHARED;
	under_test.is_shmem = backing != ANON;
	under_test.len = 2 * len;
#ifdef __hppa__
	/* Unlike a file, it has another colour each time it is mapped. */
	if (backing == SHMEM)
		return EOPNOTSUPP;
#endif
	if (backing == ANON || backing == SHMEM)
		return 0;

	if (backing == MEMFD_SHARED || backing == MEMFD_PRIVATE) {
		under_test.fd = memfd(under_test.len);
	} else {
		under_test.fd = open_regular_file();
		if (under_test.fd < 0 || fstatfs(under_test.fd, &statfs) ||
		    ftruncate(under_test.fd, under_test.len))
			return errno;
		under_test.is_shmem = statfs.f_type == TMPFS_MAGIC;
		under_test.is_dax = is_dax(under_test.fd);
	}
	return write_backing(huge);
}

/*
 * Does the kernel account for pages of this mapping? It does not for those of a
 * DAX file.
 */
bool has_pages(void)
{
	return !under_test.is_dax || !under_test.shared;
}

/* The resident set size of @nr written pages. */
size_t rss_kb(size_t nr)
{
	return has_pages() ? kb(nr) : 0;
}

const char *backing_error(int error)
{
	return error == EOPNOTSUPP ? "cannot map shared anonymous memory at a chosen address" :
				     strerror(error);
}

/* Leave a file without pages: userfaultfd reports only missing pages. */
void empty_backing(void)
{
	if (under_test.fd < 0)
		return;
	if (fallocate(under_test.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		      0, under_test.len))
		ksft_exit_fail_msg("fallocate: %s\n", strerror(errno));
	under_test.has_data = false;
}

void punch(size_t len)
{
	if (fallocate(under_test.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, len))
		ksft_exit_fail_msg("fallocate: %s\n", strerror(errno));
}

/*
 * Returns how many pages, from page @page of the mapping on, are as if the
 * mapping had never been written.
 */
size_t fresh(char *start, size_t nr, size_t page)
{
	if (under_test.has_data)
		return filled(start, nr, FILE_SEED + page);
	return zeroed(start, nr);
}

/*
 * The same after fill() and after the mapping has lost its pages. Data written
 * to shared memory is in the file, and not lost with the mapping.
 */
size_t discarded(char *start, size_t nr, size_t page)
{
	return under_test.shared ? filled(start, nr, page) : fresh(start, nr, page);
}

bool is_regular_file(void)
{
	return under_test.backing != ANON && !under_test.is_shmem;
}

/*
 * Why userfaultfd does not work for the mapping under test. Regular files can be
 * registered for asynchronous write protection only.
 */
const char *uffd_error(void)
{
	return is_regular_file() ? "not for regular files" : strerror(errno);
}

/* Repeat: a guard, a page of data, an empty page. */
void stripe(char *mem, size_t nr)
{
	size_t i;

	if (guard_every(3, mem, nr))
		ksft_exit_fail_msg("cannot install guards\n");
	for (i = 1; i < nr; i += 3)
		fill(mem + pages(i), 1, i);
}

size_t striped(char *mem, size_t nr)
{
	size_t i, found = 0;

	for (i = 0; i < nr; i++) {
		char *page = mem + pages(i);

		found += i % 3 == 0 ? guarded(page, 1) :
			 i % 3 == 1 ? filled(page, 1, i) : fresh(page, 1, i);
	}
	return found;
}

/* The same after the mapping has lost its pages and guards. */
size_t unstriped(char *mem, size_t nr)
{
	size_t i, found = 0;

	for (i = 0; i < nr; i++)
		found += (i % 3 == 1 ? discarded : fresh)(mem + pages(i), 1, i);
	return found;
}

/* The largest enabled folio size of which four fit into one PMD. */
size_t large_folio_size(void)
{
	static const char * const states[] = { "never", "always", "inherit", "madvise", NULL };
	unsigned long orders = thp_is_enabled() ? thp_supported_orders() : 0;
	char name[64];
	size_t size;

	for (size = MAX_LARGE; size > psize(); size /= 2) {
		snprintf(name, sizeof(name), "hugepages-%zukB/enabled", size >> 10);
		if (4 * size <= read_pmd_pagesize() && orders & (size / psize()) &&
		    thp_read_string(name, states))
			return size;
	}
	return 0;
}

bool is_file(enum backing backing)
{
	return backing == FILE_PRIVATE || backing == FILE_SHARED;
}

bool is_shared(enum backing backing)
{
	return backing == SHMEM || backing == FILE_SHARED;
}

/*
 * Map @len bytes of a backing that is not the one under test, in an arena of its
 * own: nothing else merges with it or shares its page tables. It begins with a
 * page table, and a table's worth of address space is free on each side. Returns
 * NULL if there is no place for a file.
 */
char *map_arena(enum backing backing, size_t len)
{
	int flags = MAP_FIXED | (is_shared(backing) ? MAP_SHARED : MAP_PRIVATE);
	size_t table = table_size();
	static int file = -1;	/* a process has one backing, and may map it again */
	char *mem;

	if (!is_file(backing))
		flags |= MAP_ANONYMOUS;
	else if (file < 0)
		file = open_regular_file();
	if (is_file(backing) && (file < 0 || ftruncate(file, len)))
		return NULL;
	mem = xmap(len + 3 * table, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE);
	mem = (char *)(((unsigned long)mem + 2 * table - 1) & -table);
	mem = mmap(mem, len, PROT_READ | PROT_WRITE, flags, is_file(backing) ? file : -1,
		   0);
	if (mem == MAP_FAILED)
		ksft_exit_fail_msg("mmap: %s\n", strerror(errno));
	advise(mem, len, MADV_NOHUGEPAGE); /* EINVAL: no huge pages at all */
	return mem;
}

/*
 * PAGEMAP_SCAN for the pages that match @mask, with the categories in @inverted
 * inverted.
 */
void scan(struct scan *scan, char *start, size_t len, uint64_t mask,
	  uint64_t inverted, uint64_t flags)
{
	struct pm_scan_arg arg = {
		.size = sizeof(arg),
		.flags = flags,
		.start = (unsigned long)start,
		.end = (unsigned long)start + len,
		.vec = (unsigned long)scan->regions,
		.vec_len = MAX_REGIONS,
		.category_mask = mask,
		.category_inverted = inverted,
		.return_mask = PAGE_IS_GUARD | PAGE_IS_SWAPPED | PAGE_IS_WRITTEN |
			       PAGE_IS_PRESENT | PAGE_IS_FILE | PAGE_IS_PFNZERO |
			       PAGE_IS_HUGE,
	};

	scan->ret = ioctl(pagemap_fd(), PAGEMAP_SCAN, &arg);
	scan->error = scan->ret < 0 ? errno : 0;
}

/* Scan for guards from page @from on, and stop after @max_pages of them. */
long scan_some(struct scan *scan, char *from, char *end, size_t max_pages,
	       size_t vec_len, char **walk_end)
{
	struct pm_scan_arg arg = {
		.size = sizeof(arg),
		.start = (unsigned long)from,
		.end = (unsigned long)end,
		.vec = (unsigned long)scan->regions,
		.vec_len = vec_len,
		.max_pages = max_pages,
		.category_mask = PAGE_IS_GUARD,
		.return_mask = PAGE_IS_GUARD,
	};

	scan->ret = ioctl(pagemap_fd(), PAGEMAP_SCAN, &arg);
	*walk_end = (char *)(unsigned long)arg.walk_end;
	return scan->ret;
}

void guard_init(void)
{
	char *mem = map_small(1);

	catch_faults();
	if (guard_install(mem, psize()) == EINVAL) {
		ksft_print_header();
		ksft_exit_skip("the kernel has no MADV_GUARD_INSTALL\n");
	}
	munmap(mem, psize());
}
