/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The calls that guard-fuzz makes, beyond plain system calls.  The programs that
 * guard-fuzz writes include this file, so it does not depend on the others.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#define _FILE_OFFSET_BITS 64
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define MADV_GUARD_INSTALL	102
#define MADV_GUARD_REMOVE	103
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ	22
#define MADV_POPULATE_WRITE	23
#endif
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED	24
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE		25
#endif
#ifndef SYS_mseal
#define SYS_mseal		462
#endif

/* The middle of the arena is where page tables of all levels meet, if possible. */
#if __SIZEOF_LONG__ == 4
#define ARENA	(1ul << 30)
#elif defined(__riscv)		/* sv39 has 2^38 addresses */
#define ARENA	(1ul << 37)
#else
#define ARENA	(1ul << 39)
#endif
#define PIPE	16		/* pages in a pipe */

#ifdef FUZZ			/* guard-fuzz itself defines them elsewhere */
extern __thread char *base;
extern __thread sigjmp_buf fault;
extern __thread void *volatile fault_address;
extern __thread volatile sig_atomic_t accessing;
extern size_t ps;
#else
__thread char *base;
__thread sigjmp_buf fault;
__thread volatile sig_atomic_t accessing;
__thread void *volatile fault_address;
size_t ps;
#endif

struct handles {
	int memfd, file, uffd, pidfd, pipe[2], mem;
	int modes;	/* what userfaultfd can be registered for on this machine */
};

#define P(n)	(base + (size_t)(n) * ps)

/* Return what a call returned, or -errno; 0 for an address, from mmap() or mremap(). */
static inline long sys(long ret)
{
	unsigned long address = ret;

	if (ret == -1)
		return -errno;
	return address >= ARENA / 2 && address < -4095ul ? 0 : ret;
}
#define SYS(call)	sys((long)(call))

/*
 * On these, a system call that accesses a page beyond a file's end not only returns
 * EFAULT, but also raises SIGBUS (do_sigbus of their do_page_fault()).
 */
#if defined(__alpha__) || defined(__loongarch__) || defined(__mips__) || defined(__or1k__) || \
	defined(__sparc__) || defined(__xtensa__)
#define CALLS_RAISE_SIGBUS 1
#else
#define CALLS_RAISE_SIGBUS 0
#endif

static inline void on_fault(int sig, siginfo_t *info, void *context)
{
	(void)context;
	/*
	 * The fault is not in get(), put() or jump().  If it is a system call's, ignore
	 * it; otherwise it is a bug and has to end the run.
	 */
	if (!accessing) {
		if (sig != SIGBUS || !CALLS_RAISE_SIGBUS)
			signal(sig, SIG_DFL);
		return;
	}
	accessing = 0;
	fault_address = info->si_addr;
	siglongjmp(fault, sig);
}

static inline void catch_faults(void)
{
	struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER };

	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
}

/*
 * A page holds its value in its first and in its last word.  get() and put() return 0, or
 * the signal that the access raised.
 */
static inline int get(char *page, uint64_t *first, uint64_t *last)
{
	int sig = sigsetjmp(fault, 0);

	if (!sig) {
		accessing = 1;
		*first = *(volatile uint64_t *)page;
		*last = *(volatile uint64_t *)(page + ps - 8);
		accessing = 0;
	}
	return sig;
}

static inline int put(char *page, volatile uint64_t value)
{
	int sig = sigsetjmp(fault, 0);

	if (!sig) {
		accessing = 1;
		*(volatile uint64_t *)page = value;
		*(volatile uint64_t *)(page + ps - 8) = value;
		accessing = 0;
	}
	return sig;
}

/* Jump to the first byte of a page that is not executable. */
static inline int jump(char *page)
{
	int sig = sigsetjmp(fault, 0);

	if (!sig) {
		accessing = 1;
		((void (*)(void))page)();
		accessing = 0;
	}
	return sig;
}

/* Allocate pages to write from: page I holds the value TAG + I. */
static inline char *filled(unsigned count, uint64_t tag)
{
	char *pages =
		mmap(NULL, count * ps, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned i;

	if (pages == MAP_FAILED) {
		perror("mmap");
		_exit(2);
	}
	for (i = 0; tag && i < count; i++)
		put(pages + i * ps, tag + i);
	return pages;
}

/* Return the number of whole pages that a call moved, or -errno. */
static inline long whole(long bytes)
{
	return bytes == -1 ? -errno : bytes / (long)ps;
}

static inline long vm_readv(char *to, unsigned page, unsigned count)
{
	struct iovec local = { to, count * ps }, remote = { P(page), count * ps };

	return whole(process_vm_readv(getpid(), &local, 1, &remote, 1, 0));
}

static inline long vm_writev(unsigned page, unsigned count, uint64_t tag)
{
	char *from = filled(count, tag);
	struct iovec local = { from, count * ps }, remote = { P(page), count * ps };
	long ret = whole(process_vm_writev(getpid(), &local, 1, &remote, 1, 0));

	munmap(from, count * ps);
	return ret;
}

/* /proc/self/mem ignores the protection of mappings. */
static inline long mem_read(struct handles *h, char *to, unsigned page, unsigned count)
{
	return whole(pread(h->mem, to, count * ps, (uintptr_t)P(page)));
}

static inline long mem_write(struct handles *h, unsigned page, unsigned count, uint64_t tag)
{
	char *from = filled(count, tag);
	long ret = whole(pwrite(h->mem, from, count * ps, (uintptr_t)P(page)));

	munmap(from, count * ps);
	return ret;
}

/* Empty the pipe, including an empty page that a fault may leave in it. */
static inline void drain(struct handles *h, char *to)
{
	ssize_t got;

	while ((got = read(h->pipe[0], to, PIPE * ps)) > 0)
		to += got;
}

static inline long pipe_write(struct handles *h, char *to, unsigned page, unsigned count)
{
	long ret = whole(write(h->pipe[1], P(page), count * ps));

	drain(h, to);
	return ret;
}

static inline long pipe_read(struct handles *h, unsigned page, unsigned count, uint64_t tag)
{
	char *from = filled(count, tag);
	long ret;

	if (write(h->pipe[1], from, count * ps) != (ssize_t)(count * ps)) {
		perror("pipe");
		_exit(2);
	}
	ret = whole(read(h->pipe[0], P(page), count * ps));
	drain(h, from);
	munmap(from, count * ps);
	return ret;
}

static inline long file_write(int fd, unsigned page, unsigned count, uint64_t tag)
{
	char *from = filled(count, tag);
	long ret = whole(pwrite(fd, from, count * ps, page * ps));

	munmap(from, count * ps);
	return ret;
}

/* Make one request for three ranges; return the number of pages, or -errno. */
static inline long vector(struct handles *h, int advice, unsigned p1, unsigned c1, unsigned p2,
			  unsigned c2, unsigned p3, unsigned c3)
{
	struct iovec v[] = { { P(p1), c1 * ps }, { P(p2), c2 * ps }, { P(p3), c3 * ps } };

	return whole(syscall(SYS_process_madvise, h->pidfd, v, 3, advice, 0));
}

static inline long clear_refs(const char *what)
{
	int fd = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
	long ret = write(fd, what, 1) == 1 ? 0 : -errno;

	close(fd);
	return ret;
}

static inline long bind_to_node(unsigned page, unsigned count, int policy)
{
	unsigned long node = 1;

	return SYS(syscall(SYS_mbind, P(page), count * ps, policy, policy ? &node : NULL,
			   policy ? 64 : 0, 2));
}

/* The numbers of userfaultfd, because older headers do not have all of them. */
#define UFFD_MISSING	1
#define UFFD_WP		2
#define UFFD_MINOR	4
#define UFFD_REGISTER	_IOWR(0xaa, 0x00, uint64_t[4])
#define UFFD_UNREGISTER	_IOR(0xaa, 0x01, uint64_t[2])
#define UFFD_COPY	_IOWR(0xaa, 0x03, uint64_t[5])
#define UFFD_ZEROPAGE	_IOWR(0xaa, 0x04, uint64_t[4])
#define UFFD_MOVE	_IOWR(0xaa, 0x05, uint64_t[5])
#define UFFD_PROTECT	_IOWR(0xaa, 0x06, uint64_t[3])
#define UFFD_CONTINUE	_IOWR(0xaa, 0x07, uint64_t[4])
#define UFFD_POISON	_IOWR(0xaa, 0x08, uint64_t[4])
#define UFFD_API_	_IOWR(0xaa, 0x3f, uint64_t[3])
/*
 * SIGBUS, so that faults do not wait for a handler; write protection of shared memory and
 * of unpopulated pages, minor faults, poison, move.
 */
#define UFFD_FEATURES	(1 << 7 | 1 << 10 | 1 << 12 | 1 << 13 | 1 << 14 | 1 << 16)

static inline int uffd_open(int *modes)
{
	uint64_t api[3] = { 0xaa };
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	if (fd == -1 || ioctl(fd, UFFD_API_, api))
		return -1;
	close(fd);
	fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	*modes = UFFD_MISSING | (api[1] & 1 ? UFFD_WP : 0) | (api[1] & 1 << 10 ? UFFD_MINOR : 0);
	api[1] &= UFFD_FEATURES;
	api[0] = 0xaa;
	return ioctl(fd, UFFD_API_, api) ? -1 : fd;
}

static inline long uffd_register(struct handles *h, unsigned page, unsigned count, int modes)
{
	uint64_t arg[4] = { (uintptr_t)P(page), count * ps, modes };

	return SYS(ioctl(h->uffd, UFFD_REGISTER, arg));
}

static inline long uffd_unregister(struct handles *h, unsigned page, unsigned count)
{
	uint64_t arg[2] = { (uintptr_t)P(page), count * ps };

	return SYS(ioctl(h->uffd, UFFD_UNREGISTER, arg));
}

static inline long uffd_protect(struct handles *h, unsigned page, unsigned count, int on)
{
	uint64_t arg[3] = { (uintptr_t)P(page), count * ps, on };

	return SYS(ioctl(h->uffd, UFFD_PROTECT, arg));
}

/*
 * On these, UFFDIO_POISON cannot be tested: the page fault handlers of the first four
 * BUG() on VM_FAULT_HWPOISON, the other two do not know it (docs/arch.md).
 */
#if defined(__m68k__) || defined(__mips__) || defined(__sh__) || defined(__sparc__) || \
	defined(__arc__) || defined(__arm__)
#define NO_POISON 1
#else
#define NO_POISON 0
#endif

/* The other requests report how far they came; return that in pages, or -errno. */
static inline long uffd_fill(struct handles *h, unsigned long request, unsigned page,
			     unsigned count, uint64_t tag)
{
	char *from = filled(count, tag);
	uint64_t arg[5] = { (uintptr_t)P(page), count * ps };
	int64_t done;

	if (request == UFFD_COPY) {
		arg[1] = (uintptr_t)from;
		arg[2] = count * ps;
	}
	done = ioctl(h->uffd, request, arg) ? -errno : (long)(count * ps);
	if (done == -EAGAIN)
		done = arg[request == UFFD_COPY ? 4 : 3];
	munmap(from, count * ps);
	return done < 0 ? done : done / (long)ps;
}

static inline long uffd_move(struct handles *h, unsigned to, unsigned from, unsigned count)
{
	uint64_t arg[5] = { (uintptr_t)P(to), (uintptr_t)P(from), count * ps };
	int64_t done = ioctl(h->uffd, UFFD_MOVE, arg) ? -errno : (long)(count * ps);

	if (done == -EAGAIN)
		done = arg[4];
	return done < 0 ? done : done / (long)ps;
}

static inline int temporary(void)
{
	char name[200];
	const char *dir = getenv("TMPDIR");
	int fd;

	snprintf(name, sizeof(name), "%s/guard-fuzz.XXXXXX", dir ? dir : "/tmp");
	fd = mkostemp(name, O_CLOEXEC);
	unlink(name);
	return fd;
}

static inline void open_handles(struct handles *h, unsigned pages)
{
	h->memfd = memfd_create("guard-fuzz", MFD_CLOEXEC);
	h->file = temporary();
	h->uffd = uffd_open(&h->modes);
	h->pidfd = syscall(SYS_pidfd_open, getpid(), 0);
	h->mem = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	if (pipe2(h->pipe, O_CLOEXEC | O_NONBLOCK) ||
	    fcntl(h->pipe[1], F_SETPIPE_SZ, PIPE * ps) < 0 || h->memfd < 0 || h->file < 0 ||
	    h->mem < 0 || h->pidfd < 0 || ftruncate(h->memfd, pages * ps) ||
	    ftruncate(h->file, pages * ps)) {
		perror("guard-fuzz: cannot open a file that it needs");
		_exit(2);
	}
}

#ifndef FUZZ
/* The rest is for programs that guard-fuzz writes. */
static struct handles h;
static char *buffer;
static int failed;

static inline void wrong(int line, const char *what, long got, long want)
{
	printf("line %d: %s: %#lx instead of %#lx\n", line, what, got, want);
	fflush(stdout);
	failed = 1;
}

#define is(want, call) do {						\
	long got_ = SYS(call);						\
	if (got_ != (long)(want))					\
		wrong(__LINE__, #call, got_, (long)(want));		\
} while (0)
#define any(call)	((void)SYS(call))
#define holds(n, value)	holds_(__LINE__, P(n), value)
#define faults(n, write, sig)	is(sig, touch(P(n), write))

static inline int touch(char *page, int write)
{
	uint64_t first, last;

	return write ? put(page, ~0ull) : get(page, &first, &last);
}

static inline void holds_(int line, char *page, uint64_t value)
{
	uint64_t first = 0, last = 0;
	int sig = get(page, &first, &last);

	if (sig)
		wrong(line, strsignal(sig), sig, 0);
	else if (first != value || last != value)
		wrong(line, "contents", first != value ? first : last, value);
}

/* Does pagemap show a guard? */
static inline int pagemap(unsigned n)
{
	int fd = open("/proc/self/pagemap", O_RDONLY);
	uint64_t entry = 0;

	if (pread(fd, &entry, 8, (uintptr_t)P(n) / ps * 8) != 8)
		perror("pagemap");
	close(fd);
	return entry >> 58 & 1;
}

static inline void ended(void)
{
	int status;

	wait(&status);
	failed |= status != 0;
}

static inline void begin(unsigned pages, int before)
{
	ps = sysconf(_SC_PAGESIZE);
	base = (char *)ARENA - before * (ssize_t)ps;
	buffer = filled(pages, 0);
	open_handles(&h, pages);
	catch_faults();
}
#endif
