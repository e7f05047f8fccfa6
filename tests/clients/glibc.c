// SPDX-License-Identifier: GPL-2.0
/*
 * Tests how glibc 2.42 and later uses guard pages under thread stacks.  Each run tests
 * one case and exits with 0 if glibc behaves as expected.
 *
 * usage: glibc version|vmas|overflow|many|reuse|resize [locked|locked-later]
 *   locked        after mlockall(MCL_CURRENT | MCL_FUTURE); glibc must use PROT_NONE
 *                 then, because locked memory cannot have guard pages
 *   locked-later  mlockall() after a stack is in glibc's cache
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <gnu/libc-version.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../bench/usage.h"
#include "stack.h"

#define MAX_THREADS 10000
#define KiB 1024UL

static bool locked;
static pthread_barrier_t started, finish;
static pthread_t threads[MAX_THREADS];

/* Check that no page of the guard can be read, but all pages of the stack. */
static struct stack checked_stack(void)
{
	struct stack s = my_stack();
	char *p;

	for (p = s.guard; p < s.bottom; p += 4096)
		if (readable(p))
			errx(1, "%zu KiB of guard: %p can be read", (s.bottom - s.guard) / KiB, p);
	for (; p < s.top; p += 4096)
		if (!readable(p))
			errx(1, "%zu KiB of guard: %p, %zu KiB above it, cannot be read",
			     (s.bottom - s.guard) / KiB, p, (p - s.bottom) / KiB);
	return s;
}

static void start(pthread_t *thread, size_t stack, size_t guard, void *(*run)(void *), void *arg)
{
	pthread_attr_t attr;
	int error;

	pthread_attr_init(&attr);
	if (stack)
		pthread_attr_setstacksize(&attr, stack);
	if (guard)
		pthread_attr_setguardsize(&attr, guard);
	error = pthread_create(thread, &attr, run, arg);
	if (error)
		errx(1, "pthread_create: %s", strerror(error));
	pthread_attr_destroy(&attr);
}

static void *check(void *result)
{
	*(struct stack *)result = checked_stack();
	return NULL;
}

/* Run a thread that checks its stack, and return that stack after the thread has ended. */
static struct stack one_thread(size_t stack, size_t guard)
{
	pthread_t thread;
	struct stack s;

	start(&thread, stack, guard, check, &s);
	pthread_join(thread, NULL);
	if ((size_t)(s.bottom - s.guard) != guard)
		errx(1, "%zu KiB of guard instead of %zu", (s.bottom - s.guard) / KiB, guard / KiB);
	return s;
}

static void *wait_for_all(void *arg)
{
	(void)arg;
	pthread_barrier_wait(&started);
	pthread_barrier_wait(&finish);
	return NULL;
}

static void together(int count, size_t stack, int from, int to)
{
	int before = count_vmas(), added, i;

	pthread_barrier_init(&started, NULL, count + 1);
	pthread_barrier_init(&finish, NULL, count + 1);
	for (i = 0; i < count; i++)
		start(&threads[i], stack, 0, wait_for_all, NULL);
	pthread_barrier_wait(&started);
	added = count_vmas() - before;
	pthread_barrier_wait(&finish);
	for (i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
	printf("%d threads added %d VMAs\n", count, added);
	if (added < from || added > to)
		errx(1, "from %d to %d were expected", from, to);
}

static struct stack own;

static void on_segv(int sig, siginfo_t *info, void *context)
{
	char *p = info->si_addr;

	(void)sig;
	(void)context;
	_exit(p >= own.guard && p < own.bottom ? 42 : 1);
}

/* Each frame reads its caller's, so that the compiler cannot turn this into a loop. */
static int deeper(volatile char *caller, unsigned long depth)
{
	volatile char frame[512];

	frame[0] = caller[0];
	return depth ? deeper(frame, depth - 1) + frame[0] : 0;
}

static void *overflow(void *arg)
{
	static char alternate[65536];
	stack_t stack = { .ss_sp = alternate, .ss_size = sizeof(alternate) };
	struct sigaction action = { .sa_sigaction = on_segv, .sa_flags = SA_SIGINFO | SA_ONSTACK };
	char seed = 0;

	(void)arg;
	own = my_stack();
	if (sigaltstack(&stack, NULL) || sigaction(SIGSEGV, &action, NULL))
		err(1, "SIGSEGV handler");
	deeper(&seed, ULONG_MAX);
	return NULL;
}

static void overflow_is_caught(size_t stack, size_t guard)
{
	pthread_t thread;
	pid_t pid = fork();
	int status;

	if (!pid) {
		start(&thread, stack, guard, overflow, NULL);
		pthread_join(thread, NULL);
		_exit(2);
	}
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) != 42)
		errx(1, "the overflow was not caught in the guard: %#x", status);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "", *how = argc > 2 ? argv[2] : "";
	static const size_t guards[] = { 4, 64, 4, 256, 16, 8, 64, 4 };
	struct stack first, again;
	size_t i;

	setbuf(stdout, NULL);
	printf("glibc %s\n", gnu_get_libc_version());
	if (!strcmp(how, "locked-later"))
		one_thread((!strcmp(what, "resize") ? 2048 : 1024) * KiB, 4 * KiB);
	locked = *how;
	if (locked && mlockall(MCL_CURRENT | MCL_FUTURE))
		err(1, "mlockall");

	if (!strcmp(what, "version")) {
		return strverscmp(gnu_get_libc_version(), "2.42") < 0;
	} else if (!strcmp(what, "vmas")) {
		if (locked)	/* two VMAs per thread */
			together(200, 64 * KiB, 390, 410);
		else
			together(200, 0, 0, 10);
	} else if (!strcmp(what, "many")) {
		together(MAX_THREADS, 64 * KiB, 0, 500);
	} else if (!strcmp(what, "overflow")) {
		overflow_is_caught(1024 * KiB, 0);
		overflow_is_caught(1024 * KiB, 64 * KiB);
	} else if (!strcmp(what, "reuse")) {
		first = one_thread(1024 * KiB, 4 * KiB);
		again = one_thread(1024 * KiB, 4 * KiB);
		if (first.top != again.top)
			errx(1, "the stack of the first thread was not used again");
	} else if (!strcmp(what, "resize")) {
		first = one_thread(2048 * KiB, 4 * KiB);
		for (i = 0; i < sizeof(guards) / sizeof(*guards); i++) {
			/* Also vary the size of the stack, as far as the cached stack suffices. */
			again = one_thread((1024 - 64 * (i % 3)) * KiB, guards[i] * KiB);
			if (first.top != again.top)
				errx(1, "%zu KiB of guard: the cached stack was not used", guards[i]);
		}
		/* Then overflow it, with a guard of the same size and one of another size. */
		one_thread(1024 * KiB, 4 * KiB);
		overflow_is_caught(1024 * KiB, 4 * KiB);
		overflow_is_caught(1024 * KiB, 128 * KiB);
	} else {
		errx(2, "usage: glibc version|vmas|overflow|many|reuse|resize [locked|locked-later]");
	}
	return 0;
}
