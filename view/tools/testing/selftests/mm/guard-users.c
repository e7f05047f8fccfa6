// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guard pages beside what programs use them with: signal stacks, seccomp,
 * io_uring, ptrace, robust futexes, rseq, allocators, and mappings of special
 * kinds.
 */
#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64	/* of the parts of an io_uring */
#include "../kselftest_harness.h"
#include <endian.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/futex.h>
#include <linux/io_uring.h>
#include <linux/rseq.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include "guard_util.h"

#if defined(__x86_64__) && !defined(__ILP32__)
#include <sys/user.h>
#endif

#ifndef MAP_DROPPABLE
#define MAP_DROPPABLE		0x08
#endif
#ifndef __NR_memfd_secret
#define __NR_memfd_secret	447
#endif

/* Pages in a mapping. */
#define NR	16

static void handle(int sig, void (*handler)(int sig, siginfo_t *info, void *ucontext))
{
	/* SA_NODEFER: siglongjmp() then need not restore the signal mask. */
	struct sigaction sa = {
		.sa_sigaction = handler,
		.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK,
	};

	sigaction(sig, &sa, NULL);
}

/* @nr small pages, nothing populated, with PROT_NONE around them. */
static char *map(size_t nr, int flags)
{
	char *mem = mmap(NULL, pages(nr + 2), PROT_NONE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (mem != MAP_FAILED)
		mem = mmap(mem + psize(), pages(nr), PROT_READ | PROT_WRITE,
			   MAP_ANONYMOUS | MAP_FIXED | flags, -1, 0);
	if (mem == MAP_FAILED)
		ksft_exit_fail_msg("cannot map %zu pages\n", nr);
	madvise(mem, pages(nr), MADV_NOHUGEPAGE); /* EINVAL: no huge pages at all */
	return mem;
}

/*
 * Run @fn in a process that shares the memory of this one and nothing else, as
 * far as the kernel is concerned: no robust list, no rseq, handlers of its own.
 */
static int run_beside(int (*fn)(void *arg), char *arg, int flags)
{
	return wait_child(start_beside(fn, arg, CLONE_VFORK | flags));
}

/* ------------------------------------------------------------------------
 * Stacks
 *
 * There are DATA pages of other data, a guard, and STACK pages of a stack that
 * grows towards them. Without the guard, an overflow of the stack would end in
 * the data.
 */

#define DATA	8
#define STACK	32

/* On hppa stacks grow up. */
#ifdef __hppa__
#define STACK_AT	0
#define GUARD_AT	STACK
#define DATA_AT		(STACK + 1)
#else
#define STACK_AT	(DATA + 1)
#define GUARD_AT	DATA
#define DATA_AT		0
#endif

/* The stack is next to the guard, on the side from which it grows. */
#define STACK_FROM	(GUARD_AT < STACK_AT ? GUARD_AT : STACK_AT)

static char *stack_mem;	/* all of it */

static char *map_stack(void)
{
	/* Shared, so that the data can be looked at when a child has died. */
	char *mem = map(DATA + 1 + STACK, MAP_SHARED);

	fill(mem + pages(DATA_AT), DATA, 0);
	if (guard_install(mem + pages(GUARD_AT), psize()))
		ksft_exit_fail_msg("cannot guard a stack\n");
	stack_mem = mem;
	return mem;
}

/* The guard is a part of the stack, as it is if a library is given memory. */
static void use_as_signal_stack(char *mem)
{
	stack_t stack = {
		.ss_sp = mem + pages(STACK_FROM),
		.ss_size = pages(STACK + 1),
	};

	sigaltstack(&stack, NULL);
}

static bool is_in(char *addr, char *start, size_t nr)
{
	return addr >= start && addr < start + pages(nr);
}

/* Recurse until the stack and most of the data below it are used up. */
static int __attribute__((noinline)) run_over(int depth)
{
	volatile char frame[256];

	frame[0] = depth;
	frame[sizeof(frame) - 1] = depth;
	if (is_in((char *)frame, stack_mem + pages(DATA_AT), DATA))
		return depth;
	return run_over(depth + 1) + frame[0];
}

static void run_over_in_handler(int sig, siginfo_t *info, void *ucontext)
{
	run_over(0);
}

static void exit_in_handler(int sig, siginfo_t *info, void *ucontext)
{
	_exit(1);
}

/* The compiler knows that raise() does not call back into this file. */
static char *volatile handled_at;

static void note_in_handler(int sig, siginfo_t *info, void *ucontext)
{
	handled_at = __builtin_frame_address(0);
}

TEST(handlers_run_on_a_guarded_signal_stack)
{
	char *mem = map_stack();
	int i;

	use_as_signal_stack(mem);
	handle(SIGUSR1, note_in_handler);
	for (i = 0; i < 100; i++) {
		handled_at = NULL;
		raise(SIGUSR1);
		ASSERT_TRUE(is_in(handled_at, mem + pages(STACK_AT), STACK));
	}
	EXPECT_EQ(1, guarded(mem, DATA + 1 + STACK));
	EXPECT_EQ(DATA, filled(mem + pages(DATA_AT), DATA, 0));
}

/* A handler for the fault does not help: it would need the stack. */
TEST(handler_that_overflows_its_guarded_signal_stack_dies)
{
	char *mem = map_stack();
	pid_t pid;

	use_as_signal_stack(mem);
	handle(SIGUSR1, run_over_in_handler);
	pid = fork();
	if (!pid) {
		signal(SIGSEGV, SIG_DFL);
		raise(SIGUSR1);
		_exit(0);
	}
	EXPECT_EQ(128 + SIGSEGV, wait_child(pid));
	pid = fork();
	if (!pid) {
		handle(SIGSEGV, exit_in_handler);
		raise(SIGUSR1);
		_exit(0);
	}
	EXPECT_EQ(128 + SIGSEGV, wait_child(pid));
	EXPECT_EQ(DATA, filled(mem + pages(DATA_AT), DATA, 0));
	EXPECT_EQ(1, guarded(mem, DATA + 1 + STACK));
}

TEST(signal_on_a_signal_stack_of_guards_kills)
{
	char *mem = map_stack();
	pid_t pid;

	use_as_signal_stack(mem);
	handle(SIGUSR1, note_in_handler);
	ASSERT_EQ(0, guard_install(mem + pages(STACK_AT), pages(STACK)));
	pid = fork();
	if (!pid) {
		raise(SIGUSR1);
		_exit(0);
	}
	EXPECT_EQ(128 + SIGSEGV, wait_child(pid));
	ASSERT_EQ(0, guard_remove(mem + pages(STACK_AT), pages(STACK)));
	raise(SIGUSR1);
	EXPECT_TRUE(is_in(handled_at, mem + pages(STACK_AT), STACK));
}

static void run_over_stack(char *arg)
{
	run_over(0);
}

static void *stack_thread(void *signal_stack)
{
	static struct fault fault;

	use_as_signal_stack(signal_stack);
	fault = fault_of(run_over_stack, NULL);
	return &fault;
}

/*
 * Run @fn in a thread with its stack at @mem and a signal stack. Returns its
 * result.
 */
static void *run_on_stack(void *(*fn)(void *signal_stack), char *mem)
{
	char *signal_stack = map_stack();
	pthread_attr_t attr;
	pthread_t thread;
	void *ret = NULL;

	stack_mem = mem;
	pthread_attr_init(&attr);
	if (pthread_attr_setstack(&attr, mem + pages(STACK_FROM), pages(STACK + 1)) ||
	    pthread_create(&thread, &attr, fn, signal_stack))
		ksft_exit_fail_msg("cannot create a thread\n");
	pthread_join(thread, &ret);
	return ret;
}

TEST(stack_overflow_is_handled_on_a_guarded_signal_stack)
{
	char *mem = map_stack();
	struct fault *fault = run_on_stack(stack_thread, mem);

	ASSERT_NE(NULL, fault);
	EXPECT_EQ(SIGSEGV, fault->sig);
	EXPECT_TRUE(is_in(fault->addr, mem + pages(GUARD_AT), 1));
	EXPECT_EQ(1, guarded(mem + pages(GUARD_AT), 1));
	EXPECT_EQ(DATA, filled(mem + pages(DATA_AT), DATA, 0));
}

/* ------------------------------------------------------------------------
 * A handler that removes the guard it ran into, and goes on
 */

static struct {
	char *start;
	size_t nr;
	volatile size_t opened;
} lazy;

/* If the guard cannot be removed, the default action ends the process. */
static void open_guard(int sig, siginfo_t *info, void *ucontext)
{
	unsigned long page = (unsigned long)info->si_addr & ~(psize() - 1UL);

	if (!is_in((char *)page, lazy.start, lazy.nr) ||
	    __atomic_add_fetch(&lazy.opened, 1, __ATOMIC_RELAXED) > 16 * lazy.nr ||
	    guard_remove((char *)page, psize()))
		signal(sig, SIG_DFL);
}

static void open_guards_of(char *start, size_t nr)
{
	lazy.start = start;
	lazy.nr = nr;
	lazy.opened = 0;
	handle(SIGSEGV, open_guard);
}

TEST(handler_opens_the_guards_it_runs_into)
{
	char *mem = map(2 * NR, MAP_PRIVATE);

	ASSERT_EQ(0, guard_install(mem, pages(2 * NR)));
	open_guards_of(mem, NR);
	fill(mem, NR, 0);
	EXPECT_EQ(NR, lazy.opened);
	catch_faults();
	EXPECT_EQ(NR, filled(mem, NR, 0));
	EXPECT_EQ(NR, guarded(mem + pages(NR), NR));
}

TEST(handler_opens_guards_for_a_read_beside_data)
{
	char *mem = map(2 * NR, MAP_PRIVATE);
	size_t i, sum = 0;

	fill(mem, 2 * NR, 0);
	for (i = 0; i < 2 * NR; i += 2)
		ASSERT_EQ(0, guard_install(mem + pages(i), psize()));
	open_guards_of(mem, 2 * NR);
	for (i = 0; i < 2 * NR; i += 2)
		sum += *(volatile char *)(mem + pages(i));
	EXPECT_EQ(0, sum);
	EXPECT_EQ(NR, lazy.opened);
	catch_faults();
	for (i = 0; i < 2 * NR; i += 2)
		EXPECT_EQ(1, filled(mem + pages(i + 1), 1, i + 1));
}

static void *add_thread(void *mem)
{
	size_t i;

	for (i = 0; i < lazy.nr; i++)
		__atomic_add_fetch((unsigned int *)((char *)mem + pages(i)), 1,
				   __ATOMIC_RELAXED);
	return NULL;
}

/*
 * Some threads remove a guard that another has just removed, whose page is in
 * use.
 */
TEST(handlers_of_several_threads_open_the_same_guards)
{
	const size_t nr = 16 * NR;
	char *mem = map(nr, MAP_PRIVATE);
	pthread_t threads[4];
	size_t i, round;

	for (round = 0; round < 10; round++) {
		ASSERT_EQ(0, guard_install(mem, pages(nr)));
		open_guards_of(mem, nr);
		for (i = 0; i < ARRAY_SIZE(threads); i++)
			ASSERT_EQ(0, pthread_create(&threads[i], NULL, add_thread, mem));
		for (i = 0; i < ARRAY_SIZE(threads); i++)
			pthread_join(threads[i], NULL);
		catch_faults();
		EXPECT_LE(nr, lazy.opened);
		for (i = 0; i < nr; i++)
			ASSERT_EQ(ARRAY_SIZE(threads), *(unsigned int *)(mem + pages(i)));
	}
}

static void *stack_opening_thread(void *signal_stack)
{
	static int depth;

	use_as_signal_stack(signal_stack);
	depth = run_over(0);
	return &depth;
}

TEST(handler_opens_the_guard_of_the_stack_it_interrupted)
{
	char *mem = map_stack();

	open_guards_of(mem + pages(GUARD_AT), 1);
	EXPECT_NE(NULL, run_on_stack(stack_opening_thread, mem));
	EXPECT_EQ(1, lazy.opened);
	catch_faults();
	EXPECT_EQ(0, guarded(mem, DATA + 1 + STACK));
	EXPECT_EQ(0, zeroed(mem + pages(GUARD_AT), 1));
}

/* ------------------------------------------------------------------------
 * Below a seccomp filter that refuses the advice
 */

FIXTURE(seccomp)
{
};

FIXTURE_VARIANT(seccomp)
{
	int error;
};

FIXTURE_VARIANT_ADD(seccomp, eperm)
{
	.error = EPERM,
};

FIXTURE_VARIANT_ADD(seccomp, enosys)
{
	.error = ENOSYS,
};

FIXTURE_SETUP(seccomp)
{
}

FIXTURE_TEARDOWN(seccomp)
{
}

/* The lower half of argument @n of a system call. */
#define ARG(n)	(offsetof(struct seccomp_data, args[n]) + \
		 (__BYTE_ORDER == __BIG_ENDIAN ? 4 : 0))

/* From now on, both requests end in @error. */
static int refuse(int error)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_madvise, 0, 4),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ARG(2)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, MADV_GUARD_INSTALL, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, MADV_GUARD_REMOVE, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { ARRAY_SIZE(filter), filter };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog))
		return errno;
	return 0;
}

TEST_F(seccomp, refused_advice_changes_nothing)
{
	char *mem = map(NR, MAP_PRIVATE);
	int error;

	fill(mem, NR, 0);
	ASSERT_EQ(0, guard_install(mem, pages(4)));
	error = refuse(variant->error);
	if (error)
		SKIP(return, "no seccomp filter: %s", strerror(error));
	EXPECT_EQ(variant->error, guard_install(mem + pages(4), pages(4)));
	EXPECT_EQ(variant->error, guard_remove(mem, pages(NR)));
	/*
	 * The filter refuses the requests before their arguments are checked.
	 */
	EXPECT_EQ(variant->error, guard_install(mem + 1, pages(4)));
	EXPECT_EQ(4, guarded(mem, NR));
	EXPECT_EQ(NR - 4, filled(mem + pages(4), NR - 4, 4));
	EXPECT_EQ(0, advise(mem, pages(NR), MADV_DONTNEED));
	EXPECT_EQ(4, guarded(mem, NR));
}

/* A child has the filter, and its parent's guards. */
TEST_F(seccomp, guards_are_inherited_where_they_are_refused)
{
	char *mem = map(NR, MAP_PRIVATE);
	int error;
	pid_t pid;

	ASSERT_EQ(0, guard_install(mem, pages(4)));
	error = refuse(variant->error);
	if (error)
		SKIP(return, "no seccomp filter: %s", strerror(error));
	pid = fork();
	if (!pid)
		_exit(guard_install(mem, pages(NR)) != variant->error ||
		      guarded(mem, NR) != 4 || munmap(mem, pages(4)) ||
		      guard_remove(mem, pages(NR)) != variant->error);
	EXPECT_EQ(0, wait_child(pid));
	EXPECT_EQ(4, guarded(mem, NR));
}

/* ------------------------------------------------------------------------
 * msync
 */

FIXTURE(msync)
{
	int fd;
	char *mem;	/* NR dirty pages of a file, the second quarter guarded */
	char *buf;
};

FIXTURE_SETUP(msync)
{
	self->fd = open_regular_file();
	if (self->fd < 0)
		SKIP(return, "no place for a file: %s", strerror(errno));
	ASSERT_EQ(0, ftruncate(self->fd, pages(NR)));
	self->mem = mmap(NULL, pages(NR), PROT_READ | PROT_WRITE, MAP_SHARED, self->fd, 0);
	ASSERT_NE(MAP_FAILED, self->mem);
	self->buf = map(NR, MAP_PRIVATE);
	fill(self->mem, NR, 0);
	ASSERT_EQ(0, guard_install(self->mem + pages(NR / 4), pages(NR / 4)));
}

FIXTURE_TEARDOWN(msync)
{
}

TEST_F(msync, succeeds_and_keeps_guards)
{
	const int flags[] = { MS_ASYNC, MS_SYNC, MS_SYNC | MS_INVALIDATE };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		EXPECT_EQ(0, msync(self->mem, pages(NR), flags[i]));
		EXPECT_EQ(0, msync(self->mem + pages(NR / 4), pages(NR / 4), flags[i]));
		EXPECT_EQ(NR / 4, guarded(self->mem, NR));
	}
	EXPECT_EQ(NR / 4, filled(self->mem, NR / 4, 0));
	EXPECT_EQ(NR / 2, filled(self->mem + pages(NR / 2), NR / 2, NR / 2));
}

/* If INSTALL lost the dirty bits, the file would lose the data. */
TEST_F(msync, writes_pages_that_guards_replaced)
{
	ASSERT_EQ(0, msync(self->mem, pages(NR), MS_SYNC));
	ASSERT_EQ(NR / 4, guarded(self->mem, NR));
	ASSERT_EQ(0, posix_fadvise(self->fd, 0, pages(NR), POSIX_FADV_DONTNEED));
	ASSERT_EQ(pages(NR), pread(self->fd, self->buf, pages(NR), 0));
	EXPECT_EQ(NR, filled(self->buf, NR, 0));
	ASSERT_EQ(0, guard_remove(self->mem, pages(NR)));
	EXPECT_EQ(NR, filled(self->mem, NR, 0));
}

/* ------------------------------------------------------------------------
 * io_uring
 */

FIXTURE(io_uring)
{
	int fd;
	struct io_uring_params params;
	char *rings;
	struct io_uring_sqe *sqes;
	int file;	/* a memfd of NR pages */
	char *mem;	/* NR pages, filled */
};

FIXTURE_SETUP(io_uring)
{
	size_t len;

	self->fd = syscall(__NR_io_uring_setup, 1, &self->params);
	if (self->fd < 0)
		SKIP(return, "no io_uring: %s", strerror(errno));
	ASSERT_TRUE(self->params.features & IORING_FEAT_SINGLE_MMAP);
	len = self->params.cq_off.cqes +
	      self->params.cq_entries * sizeof(struct io_uring_cqe);
	self->rings = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
			   self->fd, IORING_OFF_SQ_RING);
	ASSERT_NE(MAP_FAILED, self->rings);
	self->sqes = mmap(NULL, sizeof(*self->sqes), PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_POPULATE, self->fd, IORING_OFF_SQES);
	ASSERT_NE(MAP_FAILED, self->sqes);
	self->file = memfd_create("guard-users", MFD_CLOEXEC);
	ASSERT_EQ(0, ftruncate(self->file, pages(NR)));
	self->mem = map(NR, MAP_PRIVATE);
	fill(self->mem, NR, 0);
}

FIXTURE_TEARDOWN(io_uring)
{
}

/* The result of one request. */
static int submit(FIXTURE_DATA(io_uring) * self, struct io_uring_sqe sqe)
{
	unsigned int *sq_tail = (unsigned int *)(self->rings + self->params.sq_off.tail);
	unsigned int *array = (unsigned int *)(self->rings + self->params.sq_off.array);
	unsigned int *cq_head = (unsigned int *)(self->rings + self->params.cq_off.head);
	unsigned int *cq_tail = (unsigned int *)(self->rings + self->params.cq_off.tail);
	struct io_uring_cqe *cqes = (struct io_uring_cqe *)(self->rings +
							    self->params.cq_off.cqes);
	unsigned int head = *cq_head;
	int res;

	self->sqes[0] = sqe;
	array[0] = 0;
	__atomic_store_n(sq_tail, *sq_tail + 1, __ATOMIC_RELEASE);
	if (syscall(__NR_io_uring_enter, self->fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) != 1 ||
	    __atomic_load_n(cq_tail, __ATOMIC_ACQUIRE) == head)
		ksft_exit_fail_msg("io_uring_enter: %s\n", strerror(errno));
	res = cqes[head & (self->params.cq_entries - 1)].res;
	__atomic_store_n(cq_head, head + 1, __ATOMIC_RELEASE);
	return res;
}

static int submit_io(FIXTURE_DATA(io_uring) * self, int opcode, char *addr, size_t nr)
{
	return submit(self, (struct io_uring_sqe){
		.opcode = opcode,
		.fd = self->file,
		.addr = (unsigned long)addr,
		.len = pages(nr),
	});
}

static int submit_advice(FIXTURE_DATA(io_uring) * self, char *addr, size_t nr, int advice)
{
	return submit(self, (struct io_uring_sqe){
		.opcode = IORING_OP_MADVISE,
		.addr = (unsigned long)addr,
		.len = pages(nr),
		.fadvise_advice = advice,
	});
}

static int register_buffer(FIXTURE_DATA(io_uring) * self, char *addr, size_t nr)
{
	struct iovec iov = { addr, pages(nr) };

	return syscall(__NR_io_uring_register, self->fd, IORING_REGISTER_BUFFERS, &iov, 1) ?
	       errno : 0;
}

TEST_F(io_uring, buffer_with_a_guard_cannot_be_registered)
{
	ASSERT_EQ(0, guard_install(self->mem + pages(2), psize()));
	EXPECT_EQ(EFAULT, register_buffer(self, self->mem, 4));
	EXPECT_EQ(EFAULT, register_buffer(self, self->mem + pages(2), 1));
	EXPECT_EQ(1, guarded(self->mem, NR));
	EXPECT_EQ(2, filled(self->mem, 2, 0));
	/* Pages pinned before the failure have been released. */
	ASSERT_EQ(0, guard_install(self->mem, pages(3)));
	ASSERT_EQ(0, guard_remove(self->mem, pages(3)));
	EXPECT_EQ(3, zeroed(self->mem, 3));
	EXPECT_EQ(0, register_buffer(self, self->mem, 4));
}

/* The ring has the pages, the process has guards. */
TEST_F(io_uring, registered_buffer_outlives_its_mapping)
{
	char *buf = map(4, MAP_PRIVATE);

	ASSERT_EQ(0, register_buffer(self, self->mem, 4));
	ASSERT_EQ(0, guard_install(self->mem, pages(4)));
	EXPECT_EQ(4, guarded(self->mem, 4));
	EXPECT_EQ(pages(4), submit_io(self, IORING_OP_WRITE_FIXED, self->mem, 4));
	ASSERT_EQ(pages(4), pread(self->file, buf, pages(4), 0));
	EXPECT_EQ(4, filled(buf, 4, 0));

	/* Data read goes to the old pages, which are mapped nowhere else. */
	fill(buf, 4, 100);
	ASSERT_EQ(pages(4), pwrite(self->file, buf, pages(4), 0));
	EXPECT_EQ(pages(4), submit_io(self, IORING_OP_READ_FIXED, self->mem, 4));
	EXPECT_EQ(4, guarded(self->mem, 4));
	ASSERT_EQ(0, guard_remove(self->mem, pages(4)));
	EXPECT_EQ(4, zeroed(self->mem, 4));
	ASSERT_EQ(0, ftruncate(self->file, 0));
	ASSERT_EQ(0, ftruncate(self->file, pages(NR)));
	EXPECT_EQ(pages(4), submit_io(self, IORING_OP_WRITE_FIXED, self->mem, 4));
	ASSERT_EQ(pages(4), pread(self->file, buf, pages(4), 0));
	EXPECT_EQ(4, filled(buf, 4, 100));
	EXPECT_EQ(NR - 4, filled(self->mem + pages(4), NR - 4, 4));
}

TEST_F(io_uring, request_with_a_guard_for_a_buffer_fails)
{
	ASSERT_EQ(0, guard_install(self->mem + psize(), psize()));
	EXPECT_EQ(-EFAULT, submit_io(self, IORING_OP_READ, self->mem + psize(), 1));
	EXPECT_EQ(-EFAULT, submit_io(self, IORING_OP_WRITE, self->mem + psize(), 1));
	EXPECT_EQ(psize(), submit_io(self, IORING_OP_WRITE, self->mem, 2));
	EXPECT_EQ(1, guarded(self->mem, NR));
	ASSERT_EQ(0, guard_remove(self->mem + psize(), psize()));
	EXPECT_EQ(pages(2), submit_io(self, IORING_OP_WRITE, self->mem, 2));
}

/* A kernel worker makes the call in the memory of the process. */
TEST_F(io_uring, worker_installs_and_removes_guards)
{
	ASSERT_EQ(0, submit_advice(self, self->mem, 4, MADV_GUARD_INSTALL));
	EXPECT_EQ(4, guarded(self->mem, NR));
	EXPECT_EQ(NR - 4, filled(self->mem + pages(4), NR - 4, 4));
	EXPECT_EQ(-EINVAL, submit_advice(self, self->mem + 1, 4, MADV_GUARD_INSTALL));
	ASSERT_EQ(0, submit_advice(self, self->mem, NR, MADV_GUARD_REMOVE));
	EXPECT_EQ(4, zeroed(self->mem, 4));
	EXPECT_EQ(NR - 4, filled(self->mem + pages(4), NR - 4, 4));
}

/* The rings are kernel pages in a VM_MIXEDMAP mapping. */
TEST_F(io_uring, rings_are_refused)
{
	EXPECT_EQ(EINVAL, guard_install(self->rings, psize()));
	EXPECT_EQ(EINVAL, guard_remove(self->rings, psize()));
	EXPECT_EQ(EINVAL, guard_install(self->sqes, psize()));
	EXPECT_EQ(psize(), submit_io(self, IORING_OP_WRITE, self->mem, 1));
}

/* ------------------------------------------------------------------------
 * PROCMAP_QUERY and smaps_rollup
 */

#ifdef PROCMAP_QUERY
static int query(int fd, char *addr, unsigned long flags, struct procmap_query *query)
{
	*query = (struct procmap_query){
		.size = sizeof(*query),
		.query_flags = flags,
		.query_addr = (unsigned long)addr,
	};
	return ioctl(fd, PROCMAP_QUERY, query) ? errno : 0;
}
#endif

TEST(procmap_query_shows_one_vma_for_all_guards)
{
#ifdef PROCMAP_QUERY
	char *mem = map(NR, MAP_PRIVATE);
	struct procmap_query before, after;
	int fd = open("/proc/self/maps", O_RDONLY);
	int error = query(fd, mem, 0, &before);
	size_t i;

	if (error == ENOTTY)
		SKIP(return, "the kernel has no PROCMAP_QUERY");
	ASSERT_EQ(0, error);
	ASSERT_EQ((unsigned long)mem, before.vma_start);
	ASSERT_EQ((unsigned long)mem + pages(NR), before.vma_end);
	ASSERT_EQ(PROCMAP_QUERY_VMA_READABLE | PROCMAP_QUERY_VMA_WRITABLE, before.vma_flags);
	for (i = 0; i < NR; i += 2)
		ASSERT_EQ(0, guard_install(mem + pages(i), psize()));
	ASSERT_EQ(NR / 2, guarded(mem, NR));
	for (i = 0; i < NR; i++) {
		ASSERT_EQ(0, query(fd, mem + pages(i), PROCMAP_QUERY_VMA_WRITABLE, &after));
		after.query_flags = before.query_flags;
		after.query_addr = before.query_addr;
		EXPECT_EQ(0, memcmp(&before, &after, sizeof(after)));
	}
#else
	SKIP(return, "the headers had no PROCMAP_QUERY when this test was compiled");
#endif
}

/* KiB, of a field that comes before the size of the page tables. */
static long rollup(const char *field)
{
	static char text[4096];
	int fd = open("/proc/self/smaps_rollup", O_RDONLY);
	ssize_t len = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	char *found;

	close(fd);
	if (len < 0)
		return -1;
	text[len] = '\0';
	found = strstr(text, field);
	return found ? strtol(found + strlen(field), NULL, 10) : -1;
}

/* KiB that the process may populate for other reasons meanwhile. */
#define ROLLUP_SLACK	((long)pages(NR) / 1024)

TEST(smaps_rollup_counts_no_guards)
{
	const size_t nr = 64 * NR;
	const long kb = pages(nr) / 1024;
	char *mem = map(2 * nr, MAP_PRIVATE);
	long anon, swap;
	size_t i;

	fill(mem, nr, 0);
	anon = rollup("\nAnonymous:");
	if (anon < 0)
		SKIP(return, "no smaps_rollup: %s", strerror(errno));
	swap = rollup("\nSwap:");
	ASSERT_LE(kb, anon + swap);

	/* Guards where nothing was mapped. */
	ASSERT_EQ(0, guard_install(mem + pages(nr), pages(nr)));
	EXPECT_EQ(NR, guarded(mem + pages(nr), NR));
	EXPECT_GE(ROLLUP_SLACK, labs(rollup("\nAnonymous:") - anon));
	EXPECT_GE(ROLLUP_SLACK, labs(rollup("\nSwap:") - swap));

	/* Guards over every other page of the data. */
	for (i = 0; i < nr; i += 2)
		ASSERT_EQ(0, guard_install(mem + pages(i), psize()));
	EXPECT_GE(ROLLUP_SLACK, labs(rollup("\nAnonymous:") + rollup("\nSwap:") -
				     (anon + swap - kb / 2)));
}

/* ------------------------------------------------------------------------
 * MAP_DROPPABLE
 */

FIXTURE(droppable)
{
	char *mem;	/* NR pages */
};

FIXTURE_SETUP(droppable)
{
	self->mem = mmap(NULL, pages(NR), PROT_READ | PROT_WRITE,
			 MAP_ANONYMOUS | MAP_DROPPABLE, -1, 0);
	if (self->mem == MAP_FAILED)
		SKIP(return, "no MAP_DROPPABLE: %s", strerror(errno));
	madvise(self->mem, pages(NR), MADV_NOHUGEPAGE);
}

FIXTURE_TEARDOWN(droppable)
{
}

TEST_F(droppable, memory_can_be_guarded)
{
	fill(self->mem, NR, 0);
	ASSERT_EQ(0, guard_install(self->mem, pages(NR / 2)));
	EXPECT_EQ(NR / 2, guarded(self->mem, NR));
	ASSERT_EQ(0, guard_remove(self->mem, pages(NR)));
	EXPECT_EQ(NR / 2, zeroed(self->mem, NR / 2));
}

TEST_F(droppable, dropping_the_data_keeps_guards)
{
	size_t i, dropped = 0;
	int try;

	/* MADV_PAGEOUT cannot drop pages in the LRU batch of another CPU. */
	stay_on_this_cpu();
	fill(self->mem, NR, 0);
	for (i = 0; i < NR; i += 2)
		ASSERT_EQ(0, guard_install(self->mem + pages(i), psize()));
	/* Pages that were just written may be busy. */
	for (try = 0; try < 10 && !dropped; try++) {
		ASSERT_EQ(0, advise(self->mem, pages(NR), MADV_PAGEOUT));
		EXPECT_EQ(NR / 2, guarded(self->mem, NR));
		for (i = 1; i < NR; i += 2)
			dropped += zeroed(self->mem + pages(i), 1);
		sched_yield();
	}
	EXPECT_NE(0, dropped);
}

/* As for MADV_WIPEONFORK. */
TEST_F(droppable, guards_are_not_inherited)
{
	pid_t pid;

	ASSERT_EQ(0, guard_install(self->mem, pages(NR / 2)));
	pid = fork();
	if (!pid)
		_exit(zeroed(self->mem, NR) != NR);
	EXPECT_EQ(0, wait_child(pid));
	EXPECT_EQ(NR / 2, guarded(self->mem, NR));
}

/*
 * mlock() skips it, so it never becomes locked memory, which would refuse
 * guards.
 */
TEST_F(droppable, mlock_does_not_keep_guards_away)
{
	if (mlock(self->mem, pages(NR)))
		SKIP(return, "mlock: %s", strerror(errno));
	EXPECT_EQ(0, guard_install(self->mem, pages(NR / 2)));
	EXPECT_EQ(NR / 2, guarded(self->mem, NR));
}

/* ------------------------------------------------------------------------
 * memfd_secret: file pages that are not in the kernel's direct map. Like those of
 * any file they belong to the file, so a guard hides them and does not free them.
 */

FIXTURE(secret)
{
	int fd;
	char *mem;	/* NR pages */
};

/*
 * Other kernels lock secret memory, which then refuses guards like all locked
 * memory.
 */
static bool is_locked(char *addr)
{
	FILE *file = fopen("/proc/self/smaps", "r");
	unsigned long from, to;
	bool inside = false, locked = false;
	char line[1024];

	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			inside = from <= (unsigned long)addr && (unsigned long)addr < to;
		else if (inside && !strncmp(line, "VmFlags:", 8))
			locked = strstr(line, " lo ");
	}
	if (file)
		fclose(file);
	return locked;
}

static int open_secret(size_t nr)
{
	int fd = syscall(__NR_memfd_secret, 0);

	if (fd >= 0 && ftruncate(fd, pages(nr))) {
		close(fd);
		fd = -1;
	}
	return fd;
}

FIXTURE_SETUP(secret)
{
	self->fd = open_secret(NR);
	if (self->fd < 0)
		SKIP(return, "no memfd_secret: %s", strerror(errno));
	self->mem = mmap(NULL, pages(NR), PROT_READ | PROT_WRITE, MAP_SHARED, self->fd, 0);
	ASSERT_NE(MAP_FAILED, self->mem);
	if (is_locked(self->mem))
		SKIP(return, "the kernel has secret memory locked");
}

FIXTURE_TEARDOWN(secret)
{
}

TEST_F(secret, memory_can_be_guarded)
{
	char *other = mmap(NULL, pages(NR), PROT_READ | PROT_WRITE, MAP_SHARED, self->fd, 0);

	ASSERT_NE(MAP_FAILED, other);
	fill(self->mem, NR / 2, 0);
	ASSERT_EQ(0, guard_install(self->mem + pages(NR / 4), pages(NR / 2)));
	EXPECT_EQ(NR / 2, guarded(self->mem, NR));
	EXPECT_TRUE(child_sees_guards(self->mem, NR, NR / 2));
	EXPECT_EQ(NR / 4, filled(self->mem, NR / 4, 0));
	EXPECT_EQ(NR / 2, filled(other, NR / 2, 0));
	fill(other + pages(NR / 2), NR / 2, NR / 2);
	ASSERT_EQ(0, guard_remove(self->mem, pages(NR)));
	EXPECT_EQ(NR, filled(self->mem, NR, 0));
}

/* With or without a guard, others have no access. */
TEST_F(secret, memory_stays_secret)
{
	struct iovec from = { self->mem, pages(NR) };
	struct iovec to = { map(NR, MAP_PRIVATE), pages(NR) };

	fill(self->mem, NR, 0);
	ASSERT_EQ(0, guard_install(self->mem, pages(NR)));
	EXPECT_EQ(-1, process_vm_readv(getpid(), &to, 1, &from, 1, 0));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(NR, guarded(self->mem, NR));
	ASSERT_EQ(0, guard_remove(self->mem, pages(NR)));
	EXPECT_EQ(NR, filled(self->mem, NR, 0));
	EXPECT_EQ(-1, process_vm_readv(getpid(), &to, 1, &from, 1, 0));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(NR, zeroed(to.iov_base, NR));
}

/*
 * Returns how many pages can be populated before the limit is reached, or 0 if
 * it is not.
 */
static size_t populate_secret(char *mem, size_t nr)
{
	size_t i;

	for (i = 0; i < nr; i++)
		if (touch(mem + pages(i), WRITE).sig == SIGBUS)
			return i;
	return 0;
}

/*
 * The pages count as locked memory of the user as long as they are in the file,
 * guards or not. When the file is freed, its pages return to the kernel's
 * direct map, or the kernel could not use them again.
 */
TEST(secret_memory_below_guards_is_accounted_for)
{
	const size_t nr = 8 * NR;
	struct rlimit limit;
	size_t round, room = 0;
	char *mem, *new;
	int fd;

	ASSERT_EQ(0, getrlimit(RLIMIT_MEMLOCK, &limit));
	limit.rlim_cur = pages(nr / 2);
	if (setrlimit(RLIMIT_MEMLOCK, &limit))
		SKIP(return, "setrlimit: %s", strerror(errno));
	fd = open_secret(nr);
	if (fd < 0)
		SKIP(return, "no memfd_secret: %s", strerror(errno));
	close(fd);
	for (round = 0; round < 4; round++) {
		fd = open_secret(nr);
		ASSERT_LE(0, fd);
		mem = mmap(NULL, pages(nr), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		ASSERT_NE(MAP_FAILED, mem);
		close(fd);
		if (!round)
			room = populate_secret(mem, nr);
		if (!room)
			SKIP(return, "the user has too much locked memory, or no limit on it");
		ASSERT_EQ(0, round ? room - populate_secret(mem, nr) : 0);
		ASSERT_EQ(0, guard_install(mem, pages(room)));
		EXPECT_EQ(room, guarded(mem, room));
		EXPECT_EQ(SIGBUS, touch(mem + pages(room), WRITE).sig);
		ASSERT_EQ(0, guard_remove(mem, pages(room / 2)));
		EXPECT_EQ(room / 2, count(mem, room / 2, is_readable));
		EXPECT_EQ(SIGBUS, touch(mem + pages(room), WRITE).sig);
		ASSERT_EQ(0, munmap(mem, pages(nr)));

		new = map(nr, MAP_PRIVATE);
		EXPECT_EQ(nr, zeroed(new, nr));
		fill(new, nr, 0);
		EXPECT_EQ(nr, filled(new, nr, 0));
	}
}

/*
 * mlock() skips it, so it does not become locked memory, which would refuse
 * guards.
 */
TEST_F(secret, mlock_does_not_keep_guards_away)
{
	ASSERT_EQ(0, guard_install(self->mem, psize()));
	mlock2(self->mem, pages(NR), MLOCK_ONFAULT);
	ASSERT_FALSE(is_locked(self->mem));
	EXPECT_EQ(0, guard_install(self->mem, pages(NR)));
	EXPECT_EQ(NR, guarded(self->mem, NR));
	ASSERT_EQ(0, guard_remove(self->mem, pages(NR)));
	EXPECT_EQ(NR, zeroed(self->mem, NR));
}

TEST_F(secret, locked_from_the_start_refuses_install)
{
	char *mem;

	if (mlockall(MCL_FUTURE))
		SKIP(return, "mlockall: %s", strerror(errno));
	mem = mmap(NULL, pages(NR), PROT_READ | PROT_WRITE, MAP_SHARED, self->fd, 0);
	ASSERT_NE(MAP_FAILED, mem);
	ASSERT_TRUE(is_locked(mem));
	EXPECT_EQ(EINVAL, guard_install(mem, pages(NR)));
	EXPECT_EQ(0, guard_remove(mem, pages(NR)));
	EXPECT_EQ(0, guarded(mem, NR));
	/* The other mapping of the file is not locked. */
	EXPECT_EQ(0, guard_install(self->mem, pages(NR)));
	EXPECT_EQ(NR, guarded(self->mem, NR));
}

/* ------------------------------------------------------------------------
 * INSTALL injected by ptrace, as checkpointers and debuggers do
 */

#if defined(__x86_64__) && !defined(__ILP32__)
extern char injected_call[];

asm(".pushsection .text\n"
    "injected_call: syscall\n"
    "	int3\n"
    ".popsection\n");

static long inject_advice(pid_t pid, char *addr, size_t len, int advice)
{
	struct user_regs_struct saved, regs;
	int status;

	if (ptrace(PTRACE_GETREGS, pid, 0, &saved))
		return -errno;
	regs = saved;
	regs.rip = (unsigned long)injected_call;
	regs.orig_rax = -1;	/* not to be restarted */
	regs.rax = __NR_madvise;
	regs.rdi = (unsigned long)addr;
	regs.rsi = len;
	regs.rdx = advice;
	if (ptrace(PTRACE_SETREGS, pid, 0, &regs) || ptrace(PTRACE_CONT, pid, 0, 0) ||
	    waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status) ||
	    WSTOPSIG(status) != SIGTRAP || ptrace(PTRACE_GETREGS, pid, 0, &regs) ||
	    ptrace(PTRACE_SETREGS, pid, 0, &saved))
		return -ESRCH;
	return regs.rax;
}
#endif

TEST(tracer_injects_install_and_remove)
{
#if defined(__x86_64__) && !defined(__ILP32__)
	char *mem = map(NR, MAP_PRIVATE);
	int status;
	pid_t pid;

	fill(mem, NR, 0);
	pid = fork();
	if (!pid) {
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		raise(SIGSTOP);
		raise(guarded(mem, NR) == 8 && filled(mem + pages(8), 8, 8) == 8 ?
		      SIGSTOP : SIGKILL);
		_exit(guarded(mem, NR) != 4 || zeroed(mem, 4) != 4);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_TRUE(WIFSTOPPED(status));
	ASSERT_EQ(0, inject_advice(pid, mem, pages(8), MADV_GUARD_INSTALL));
	EXPECT_EQ(-EINVAL, inject_advice(pid, mem + 1, pages(8), MADV_GUARD_INSTALL));
	errno = 0;
	EXPECT_EQ(-1, ptrace(PTRACE_PEEKDATA, pid, mem, 0));
	EXPECT_EQ(EIO, errno);
	/* This process has another mm. */
	EXPECT_EQ(NR, filled(mem, NR, 0));

	/*
	 * The tracer sees the faults first, and passes them on to the handler.
	 */
	do {
		ASSERT_EQ(0, ptrace(PTRACE_CONT, pid, 0, WSTOPSIG(status) == SIGSEGV ?
				    SIGSEGV : 0));
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
	} while (WIFSTOPPED(status) && WSTOPSIG(status) == SIGSEGV);
	ASSERT_TRUE(WIFSTOPPED(status));
	ASSERT_EQ(0, inject_advice(pid, mem, pages(4), MADV_GUARD_REMOVE));
	ASSERT_EQ(0, ptrace(PTRACE_DETACH, pid, 0, 0));
	EXPECT_EQ(0, wait_child(pid));
#else
	SKIP(return, "the registers of this architecture are not known here");
#endif
}

/* ------------------------------------------------------------------------
 * Allocators: mremap between guards, REMOVE beside others
 */

/* Guard, @nr pages of data, guard. */
static char *make_object(size_t nr)
{
	char *mem = map(nr + 2, MAP_PRIVATE);

	fill(mem + psize(), nr, 0);
	if (guard_install(mem, psize()) || guard_install(mem + pages(nr + 1), psize()))
		ksft_exit_fail_msg("cannot guard an object\n");
	return mem;
}

TEST(mremap_of_an_object_leaves_the_guards_beside_it)
{
	char *mem = make_object(4), *new;

	EXPECT_EQ(MAP_FAILED, mremap(mem + psize(), pages(4), pages(8), 0));
	EXPECT_EQ(ENOMEM, errno);
	EXPECT_EQ(2, guarded(mem, 6));
	EXPECT_EQ(4, filled(mem + psize(), 4, 0));

	new = mremap(mem + psize(), pages(4), pages(8), MREMAP_MAYMOVE);
	ASSERT_NE(MAP_FAILED, new);
	EXPECT_EQ(4, filled(new, 4, 0));
	EXPECT_EQ(4, zeroed(new + pages(4), 4));
	EXPECT_EQ(1, guarded(mem, 1));
	EXPECT_EQ(1, guarded(mem + pages(5), 1));
	EXPECT_TRUE(child_sees_guards(mem, 1, 1));
	EXPECT_TRUE(child_sees_guards(mem + pages(5), 1, 1));
	/* There is nothing between them. */
	EXPECT_EQ(ENOMEM, guard_remove(mem, pages(6)));
	EXPECT_EQ(1, zeroed(mem, 1));
	EXPECT_EQ(1, zeroed(mem + pages(5), 1));
}

TEST(mremap_of_an_object_with_its_guards_grows_behind_them)
{
	char *mem = make_object(1);
	size_t nr;

	for (nr = 1; nr < 64; nr *= 2) {
		char *new = mremap(mem, pages(nr + 2), pages(2 * nr + 2), MREMAP_MAYMOVE);
		char *end = new + pages(nr + 1);

		ASSERT_NE(MAP_FAILED, new);
		mem = new;
		ASSERT_EQ(2, guarded(mem, 2 * nr + 2));
		ASSERT_EQ(1, guarded(end, 1));
		/* Remove the last guard to make room for data. */
		ASSERT_EQ(0, guard_remove(end, psize()));
		ASSERT_EQ(0, guard_install(mem + pages(2 * nr + 1), psize()));
		ASSERT_EQ(nr, filled(mem + psize(), nr, 0));
		ASSERT_EQ(nr, zeroed(end, nr));
		fill(mem + psize(), 2 * nr, 0);
		ASSERT_EQ(1, guarded(mem, 1));
		ASSERT_EQ(1, guarded(mem + pages(2 * nr + 1), 1));
		ASSERT_TRUE(child_sees_guards(mem, 2 * nr + 2, 2));
	}
}

TEST(mremap_to_a_place_between_guards_keeps_them)
{
	char *mem = make_object(4), *object = map(2, MAP_PRIVATE);

	fill(object, 2, 100);
	ASSERT_EQ(0, guard_install(mem + pages(2), psize()));
	ASSERT_EQ(mem + psize(), mremap(object, pages(2), pages(4),
					MREMAP_MAYMOVE | MREMAP_FIXED, mem + psize()));
	EXPECT_EQ(2, filled(mem + psize(), 2, 100));
	EXPECT_EQ(2, zeroed(mem + pages(3), 2));
	EXPECT_EQ(1, guarded(mem, 1));
	EXPECT_EQ(1, guarded(mem + pages(5), 1));
	EXPECT_TRUE(child_sees_guards(mem, 6, 2));
}

TEST(mremap_that_shrinks_an_object_keeps_the_guard_behind_it)
{
	char *mem = make_object(4);

	ASSERT_EQ(mem + psize(), mremap(mem + psize(), pages(4), pages(2), 0));
	EXPECT_EQ(2, filled(mem + psize(), 2, 0));
	EXPECT_EQ(SIGSEGV, touch(mem + pages(3), READ).sig);
	EXPECT_EQ(1, guarded(mem, 1));
	EXPECT_EQ(1, guarded(mem + pages(5), 1));
	EXPECT_TRUE(child_sees_guards(mem, 3, 1));
	EXPECT_TRUE(child_sees_guards(mem + pages(5), 1, 1));

	/* Now it can grow in place, up to the guard. */
	ASSERT_EQ(mem + psize(), mremap(mem + psize(), pages(2), pages(4), 0));
	EXPECT_EQ(2, filled(mem + psize(), 2, 0));
	EXPECT_EQ(2, zeroed(mem + pages(3), 2));
	EXPECT_EQ(MAP_FAILED, mremap(mem + psize(), pages(4), pages(5), 0));
	EXPECT_TRUE(child_sees_guards(mem, 6, 2));
}

/* Every fourth page of the arena is for guards, each of the others belongs to a tenant. */
#define TENANTS	3

struct tenant {
	pthread_t thread;
	char *arena;
	size_t nr;
	size_t which;
	size_t rounds;
	size_t wrong;	/* pages that faulted, or had other data */
	bool *done;
};

static void *tenant_thread(void *arg)
{
	struct tenant *tenant = arg;
	size_t round, i;

	/* Check once more at the end. */
	for (round = 0; !__atomic_load_n(tenant->done, __ATOMIC_ACQUIRE) || !round; round++) {
		for (i = tenant->which; i < tenant->nr; i += TENANTS + 1) {
			char *page = tenant->arena + pages(i);

			if (round && filled(page, 1, round + i) != 1)
				tenant->wrong++;
			if (touch(page, WRITE).sig || touch(page + psize() - 1, WRITE).sig)
				tenant->wrong++;
			else
				fill(page, 1, round + i + 1);
		}
		__atomic_store_n(&tenant->rounds, round + 1, __ATOMIC_RELEASE);
	}
	return NULL;
}

TEST(remove_over_an_arena_keeps_the_data_of_other_threads)
{
	const size_t nr = 16 * NR;
	char *mem = map(nr, MAP_PRIVATE);
	struct tenant tenants[TENANTS];
	bool done = false;
	size_t i, round;

	for (i = 0; i < TENANTS; i++) {
		tenants[i] = (struct tenant){
			.arena = mem, .nr = nr, .which = i + 1, .done = &done,
		};
		ASSERT_EQ(0, pthread_create(&tenants[i].thread, NULL, tenant_thread, &tenants[i]));
	}
	/* Go on until each thread has done some rounds. */
	for (round = 0; round < 50 || __atomic_load_n(&tenants[round % TENANTS].rounds,
						      __ATOMIC_ACQUIRE) < 20; round++) {
		size_t guards = 0, gone = 0;

		for (i = 0; i < nr; i += TENANTS + 1) {
			ASSERT_EQ(0, guard_install(mem + pages(i), psize()));
			guards += is_guarded(mem + pages(i));
		}
		ASSERT_EQ(0, guard_remove(mem, pages(nr)));
		for (i = 0; i < nr; i += TENANTS + 1)
			gone += is_zero(mem + pages(i));
		ASSERT_EQ(nr / (TENANTS + 1), guards);
		ASSERT_EQ(nr / (TENANTS + 1), gone);
	}
	__atomic_store_n(&done, true, __ATOMIC_RELEASE);
	for (i = 0; i < TENANTS; i++) {
		pthread_join(tenants[i].thread, NULL);
		EXPECT_EQ(0, tenants[i].wrong);
	}
}

/* ------------------------------------------------------------------------
 * Objects that end at a guard, read many bytes at a time
 */

typedef unsigned char vector __attribute__((vector_size(16), aligned(1)));

/* In one instruction, or as many as the architecture needs. */
static void load_16(char *addr)
{
	volatile vector sink;

	sink = *(volatile vector *)addr;
	(void)sink;
}

#if defined(__i386__) || defined(__x86_64__)
static void __attribute__((target("sse2"))) load_sse2(char *addr)
{
	asm volatile("movdqu %0, %%xmm0" : : "m"(*(char (*)[16])addr) : "xmm0");
}

static void __attribute__((target("avx"))) load_avx(char *addr)
{
	asm volatile("vmovdqu %0, %%ymm0" : : "m"(*(char (*)[32])addr) : "xmm0");
}
#endif

static void expect_loads(struct __test_metadata *_metadata, void (*load)(char *addr),
			 size_t size)
{
	char *mem = make_object(1), *start = mem + psize(), *end = mem + pages(2);
	struct fault fault;
	size_t i;

	EXPECT_EQ(0, fault_of(load, start).sig);
	EXPECT_EQ(0, fault_of(load, end - size).sig);
	for (i = 1; i < size; i++) {
		fault = fault_of(load, end - size + i);
		EXPECT_EQ(SIGSEGV, fault.sig);
		EXPECT_TRUE(is_in(fault.addr, end, 1));
		fault = fault_of(load, start - i);
		EXPECT_EQ(SIGSEGV, fault.sig);
		EXPECT_TRUE(is_in(fault.addr, mem, 1));
	}
	EXPECT_EQ(2, guarded(mem, 3));
	EXPECT_EQ(1, filled(start, 1, 0));
}

TEST(vector_loads_fault_if_they_reach_a_guard)
{
	expect_loads(_metadata, load_16, sizeof(vector));
}

TEST(sse2_loads_fault_if_they_reach_a_guard)
{
#if defined(__i386__) || defined(__x86_64__)
	if (!__builtin_cpu_supports("sse2"))
		SKIP(return, "the CPU has no SSE2");
	expect_loads(_metadata, load_sse2, 16);
#else
	SKIP(return, "SSE2 is specific to x86");
#endif
}

TEST(avx_loads_fault_if_they_reach_a_guard)
{
#if defined(__i386__) || defined(__x86_64__)
	if (!__builtin_cpu_supports("avx"))
		SKIP(return, "the CPU has no AVX, or the kernel does not support it");
	expect_loads(_metadata, load_avx, 32);
#else
	SKIP(return, "AVX is specific to x86");
#endif
}

/*
 * Volatile pointers keep the compiler from replacing the calls to the library.
 */
static size_t (*volatile length)(const char *s) = strlen;
static void *(*volatile find)(const void *s, int c, size_t n) = memchr;
static int (*volatile compare)(const void *s, const void *t, size_t n) = memcmp;
static void *(*volatile copy)(void *to, const void *from, size_t n) = memcpy;
static char *(*volatile copy_string)(char *to, const char *from) = strcpy;

struct copies {
	char *from, *to;	/* where the objects end */
	size_t len;
	bool fine;
};

static void copy_strings(char *arg)
{
	struct copies *copies = (struct copies *)arg;

	for (copies->len = 1; copies->len <= 512; copies->len++) {
		size_t len = copies->len;
		char *from = copies->from - len, *to = copies->to - len;

		memset(from, 'a', len - 1);
		from[len - 1] = '\0';
		copy_string(to, from);
		copies->fine = copies->fine && length(to) == len - 1 &&
			       !find(from, 'b', len) && !compare(from, to, len);
		copy(to, from, len);
	}
}

/*
 * String functions read as many bytes at a time as they can, but never beyond
 * the end.
 */
TEST(string_functions_do_not_reach_the_guard_behind_an_object)
{
	struct copies copies = {
		.from = make_object(1) + pages(2), .to = make_object(1) + pages(2),
		.fine = true,
	};

	ASSERT_EQ(1, guarded(copies.from, 1));
	ASSERT_EQ(1, guarded(copies.to, 1));
	EXPECT_EQ(0, fault_of(copy_strings, (char *)&copies).sig) {
		TH_LOG("%zu bytes", copies.len);
	}
	EXPECT_TRUE(copies.fine);
}

/* ------------------------------------------------------------------------
 * System V shared memory
 */

FIXTURE(shm)
{
	int id;
	char *mem;	/* NR pages, filled */
};

FIXTURE_SETUP(shm)
{
	self->id = shmget(IPC_PRIVATE, pages(NR), IPC_CREAT | 0600);
	if (self->id < 0)
		SKIP(return, "no shared memory: %s", strerror(errno));
	self->mem = shmat(self->id, NULL, 0);
	ASSERT_NE((void *)-1, self->mem);
	fill(self->mem, NR, 0);
}

FIXTURE_TEARDOWN(shm)
{
	if (self->id >= 0)
		shmctl(self->id, IPC_RMID, NULL);
}

static long nr_attached(int id)
{
	struct shmid_ds ds;

	return shmctl(id, IPC_STAT, &ds) ? -1 : (long)ds.shm_nattch;
}

TEST_F(shm, guards_belong_to_one_attachment)
{
	char *other = shmat(self->id, NULL, 0);
	char *readonly = shmat(self->id, NULL, SHM_RDONLY);

	ASSERT_NE((void *)-1, other);
	ASSERT_NE((void *)-1, readonly);
	ASSERT_EQ(0, guard_install(self->mem, pages(NR / 2)));
	ASSERT_EQ(0, guard_install(readonly, pages(NR / 4)));
	EXPECT_EQ(NR / 2, guarded(self->mem, NR));
	EXPECT_EQ(NR / 4, guarded(readonly, NR));
	EXPECT_EQ(NR, filled(other, NR, 0));
	fill(other, NR, 100);
	EXPECT_EQ(NR / 2, filled(self->mem + pages(NR / 2), NR / 2, 100 + NR / 2));
	ASSERT_EQ(0, guard_remove(self->mem, pages(NR)));
	EXPECT_EQ(NR, filled(self->mem, NR, 100));
}

/*
 * Each VMA counts as an attachment, so PROT_NONE guards would change the
 * number.
 */
TEST_F(shm, guards_do_not_change_the_number_of_attachments)
{
	pid_t pid;
	size_t i;

	for (i = 0; i < NR; i += 2)
		ASSERT_EQ(0, guard_install(self->mem + pages(i), psize()));
	EXPECT_EQ(NR / 2, guarded(self->mem, NR));
	EXPECT_EQ(1, nr_attached(self->id));
	pid = fork();
	if (!pid)
		_exit(nr_attached(self->id) != 2 || guarded(self->mem, NR) != NR / 2 ||
		      shmdt(self->mem) || nr_attached(self->id) != 1);
	EXPECT_EQ(0, wait_child(pid));
	EXPECT_EQ(1, nr_attached(self->id));
	EXPECT_EQ(NR / 2, guarded(self->mem, NR));
}

TEST_F(shm, detaching_drops_guards)
{
	ASSERT_EQ(0, guard_install(self->mem, pages(NR)));
	ASSERT_EQ(NR, guarded(self->mem, NR));
	ASSERT_EQ(0, shmdt(self->mem));
	EXPECT_EQ(0, nr_attached(self->id));
	ASSERT_EQ(self->mem, shmat(self->id, self->mem, 0));
	EXPECT_EQ(NR, filled(self->mem, NR, 0));
}

TEST_F(shm, attaching_over_guards_drops_them)
{
	ASSERT_EQ(0, guard_install(self->mem, pages(NR)));
	ASSERT_EQ(NR, guarded(self->mem, NR));
	ASSERT_EQ(self->mem, shmat(self->id, self->mem, SHM_REMAP));
	EXPECT_EQ(1, nr_attached(self->id));
	EXPECT_EQ(NR, filled(self->mem, NR, 0));
}

/* SHM_LOCK locks the pages of the segment, not the mapping. */
TEST_F(shm, locked_segment_can_be_guarded)
{
	if (shmctl(self->id, SHM_LOCK, NULL))
		SKIP(return, "SHM_LOCK: %s", strerror(errno));
	EXPECT_EQ(0, guard_install(self->mem, pages(NR / 2)));
	EXPECT_EQ(NR / 2, guarded(self->mem, NR));
	ASSERT_EQ(0, shmctl(self->id, SHM_UNLOCK, NULL));
	EXPECT_EQ(NR / 2, guarded(self->mem, NR));
	ASSERT_EQ(0, guard_remove(self->mem, pages(NR)));
	EXPECT_EQ(NR, filled(self->mem, NR, 0));
}

/* The segment is freed with its last attachment, guarded or not. */
TEST_F(shm, removed_segment_goes_with_a_guarded_attachment)
{
	ASSERT_EQ(0, guard_install(self->mem, pages(NR / 2)));
	ASSERT_EQ(0, shmctl(self->id, IPC_RMID, NULL));
	EXPECT_EQ(NR / 2, guarded(self->mem, NR));
	EXPECT_EQ(NR / 2, filled(self->mem + pages(NR / 2), NR / 2, NR / 2));
	ASSERT_EQ(0, guard_remove(self->mem, pages(NR)));
	EXPECT_EQ(NR, filled(self->mem, NR, 0));
	ASSERT_EQ(0, guard_install(self->mem, pages(NR)));
	ASSERT_EQ(0, shmdt(self->mem));
	EXPECT_EQ(-1, nr_attached(self->id));
	self->id = -1;
}

/* ------------------------------------------------------------------------
 * What the kernel writes to when a thread ends: robust futexes, its ID
 */

struct robust_lock {
	struct robust_list list;
	unsigned int word;
};

/* A list of its head, at @mem, and a lock of this thread on each of the @nr next pages. */
static int hold_locks(char *mem, size_t nr)
{
	struct robust_list_head *head = (struct robust_list_head *)mem;
	struct robust_list *last = &head->list;
	size_t i;

	head->futex_offset = offsetof(struct robust_lock, word);
	head->list_op_pending = NULL;
	for (i = 1; i <= nr; i++) {
		struct robust_lock *lock = (struct robust_lock *)(mem + pages(i));

		lock->word = syscall(__NR_gettid);
		last->next = &lock->list;
		last = &lock->list;
	}
	last->next = &head->list;
	return syscall(__NR_set_robust_list, head, sizeof(*head)) ? errno : 0;
}

static bool owner_died(char *page)
{
	return ((struct robust_lock *)page)->word & FUTEX_OWNER_DIED;
}

static int end_with_locks(void *mem)
{
	return hold_locks(mem, 3);
}

static int end_with_a_guard_in_the_list(void *mem)
{
	return hold_locks(mem, 3) ?: guard_install((char *)mem + pages(2), psize());
}

TEST(robust_list_is_followed_up_to_a_guard)
{
	char *mem = map(NR, MAP_PRIVATE);

	/* First without a guard. */
	ASSERT_EQ(0, run_beside(end_with_locks, mem, 0));
	ASSERT_EQ(3, count(mem + psize(), 3, owner_died));

	ASSERT_EQ(0, run_beside(end_with_a_guard_in_the_list, mem, 0));
	EXPECT_EQ(1, guarded(mem, NR));
	EXPECT_TRUE(owner_died(mem + psize()));
	EXPECT_FALSE(owner_died(mem + pages(3)));
	ASSERT_EQ(0, guard_remove(mem, pages(NR)));
	EXPECT_EQ(1, zeroed(mem + pages(2), 1));
}

static void *end_with_its_list_in_a_guard(void *mem)
{
	static int error;

	error = hold_locks(mem, 1) ?: guard_install(mem, psize());
	return &error;
}

TEST(thread_ends_with_its_robust_list_in_a_guard)
{
	char *mem = map(NR, MAP_PRIVATE);
	pthread_t thread;
	void *error;

	ASSERT_EQ(0, pthread_create(&thread, NULL, end_with_its_list_in_a_guard, mem));
	ASSERT_EQ(0, pthread_join(thread, &error));
	ASSERT_EQ(0, *(int *)error);
	EXPECT_EQ(1, guarded(mem, NR));
	EXPECT_FALSE(owner_died(mem + psize()));
	ASSERT_EQ(0, guard_remove(mem, psize()));
	EXPECT_EQ(1, zeroed(mem, 1));
}

static int end_with_a_guard(void *mem)
{
	return guard_install(mem, psize());
}

/*
 * CLONE_CHILD_CLEARTID: pthread_join() waits for the kernel to clear the word.
 */
TEST(thread_ends_with_its_id_in_a_guard)
{
	char *mem = map(NR, MAP_PRIVATE);

	fill(mem, NR, 0);
	ASSERT_EQ(0, run_beside(end_with_a_guard, mem, CLONE_CHILD_CLEARTID));
	EXPECT_EQ(1, guarded(mem, NR));
	EXPECT_EQ(NR - 1, filled(mem + psize(), NR - 1, 1));
	ASSERT_EQ(0, guard_remove(mem, psize()));
	EXPECT_EQ(1, zeroed(mem, 1));
}

/* ------------------------------------------------------------------------
 * Restartable sequences
 *
 * The kernel writes to the rseq area of a thread whenever the thread was
 * interrupted, and kills the thread if it cannot. A process made by run_beside()
 * has no area of the C library, so it can register one of its own.
 */

#define RSEQ_SIZE	32
#define SIGNATURE	0x53053053
/* Exit codes of processes that were not killed. */
#define ALIVE		0
#define NO_RSEQ		100

static long register_rseq(char *area)
{
#ifdef __NR_rseq
	return syscall(__NR_rseq, area, RSEQ_SIZE, 0, SIGNATURE) ? errno : 0;
#else
	return ENOSYS;
#endif
}

/*
 * raise() would send the signal to the thread beside which this process runs.
 */
static int interrupt(void)
{
	handle(SIGUSR1, note_in_handler);
	kill(getpid(), SIGUSR1);
	return ALIVE;
}

static int use_rseq(void *area)
{
	return register_rseq(area) ? NO_RSEQ : interrupt();
}

static int guard_rseq(void *area)
{
	if (register_rseq(area))
		return NO_RSEQ;
	guard_install(area, psize());
	return interrupt();
}

static int guard_sequence(void *area)
{
	char *sequence = (char *)area + psize();

	if (register_rseq(area))
		return NO_RSEQ;
	guard_install(sequence, psize());
	((volatile struct rseq *)area)->rseq_cs = (unsigned long)sequence;
	return interrupt();
}

static int register_guard(void *area)
{
	return guard_install(area, psize()) ?: register_rseq(area);
}

TEST(rseq_area_that_becomes_a_guard_kills_its_thread)
{
	char *mem = map(NR, MAP_PRIVATE);

	fill(mem + psize(), NR - 1, 1);
	if (run_beside(use_rseq, mem, 0) == NO_RSEQ)
		SKIP(return, "the kernel has no rseq()");
	EXPECT_EQ(128 + SIGSEGV, run_beside(guard_rseq, mem, 0));
	/* The other thread is unaffected. */
	EXPECT_EQ(1, guarded(mem, NR));
	EXPECT_EQ(NR - 1, filled(mem + psize(), NR - 1, 1));
	ASSERT_EQ(0, guard_remove(mem, psize()));
	EXPECT_EQ(1, zeroed(mem, 1));
	EXPECT_EQ(ALIVE, run_beside(use_rseq, mem, 0));
}

TEST(rseq_critical_section_in_a_guard_kills_its_thread)
{
	char *mem = map(NR, MAP_PRIVATE);

	if (run_beside(use_rseq, mem, 0) == NO_RSEQ)
		SKIP(return, "the kernel has no rseq()");
	EXPECT_EQ(128 + SIGSEGV, run_beside(guard_sequence, mem, 0));
	EXPECT_EQ(1, guarded(mem, NR));
}

/* Older kernels notice only when they write to the area. */
TEST(rseq_area_in_a_guard_is_refused)
{
	char *mem = map(NR, MAP_PRIVATE);
	int ret;

	if (run_beside(use_rseq, mem, 0) == NO_RSEQ)
		SKIP(return, "the kernel has no rseq()");
	ret = run_beside(register_guard, mem, 0);
	EXPECT_TRUE(ret == EFAULT || ret == 128 + SIGSEGV);
	EXPECT_EQ(1, guarded(mem, NR));
}

int main(int argc, char **argv)
{
	guard_init();
	return test_harness_run(argc, argv);
}
