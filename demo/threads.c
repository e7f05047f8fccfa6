// SPDX-License-Identifier: GPL-2.0
/*
 * Start threads with the C library's default stacks, count the VMAs they add,
 * and let one of them overflow its stack. Prints one row of the table.
 *
 * Exits with 1 if the overflow gets past the guard, or if the number of VMAs does not
 * match the C library's kind of guard: two per thread for the PROT_NONE guards of
 * glibc up to 2.41, a handful in total for the guard pages of 2.42 and later.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <gnu/libc-version.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../bench/usage.h"

#define THREADS 200
#define A_HANDFUL (THREADS / 20)

/* What kind of guard stopped the overflow. */
enum verdict {
	IN_OWN_VMA = 10,	/* a PROT_NONE mapping */
	IN_STACK_VMA,		/* part of the readable, writable stack mapping */
	MISSED,			/* the fault was not in the guard */
};

static pthread_barrier_t started, finish;
static uintptr_t guard_start, guard_end;

/* Get the permissions, such as "rw-p", of the mapping that contains @addr. */
static void vma_perms(uintptr_t addr, char perms[5])
{
	FILE *maps = fopen("/proc/self/maps", "r");
	unsigned long start, end;
	char line[512];

	strcpy(perms, "none");
	if (!maps)
		return;
	while (fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%lx-%lx %4s", &start, &end, perms) == 3 &&
		    addr >= start && addr < end)
			break;
		strcpy(perms, "none");
	}
	fclose(maps);
}

/*
 * Runs on the alternate stack. Reading a file with stdio is safe here, because the
 * fault was in overflow(), not inside the C library.
 */
static void on_segv(int sig, siginfo_t *info, void *context)
{
	uintptr_t addr = (uintptr_t)info->si_addr;
	char perms[5];

	(void)sig;
	(void)context;
	if (addr < guard_start || addr >= guard_end)
		_exit(MISSED);
	vma_perms(addr, perms);
	if (!strcmp(perms, "---p"))
		_exit(IN_OWN_VMA);
	_exit(strcmp(perms, "rw-p") ? MISSED : IN_STACK_VMA);
}

/* Each frame reads its caller's, so that the compiler cannot turn this into a loop. */
static int overflow(volatile char *caller, unsigned long depth)
{
	volatile char frame[512];

	frame[0] = caller[0];
	return depth ? overflow(frame, depth - 1) + frame[0] : 0;
}

static void overflow_stack(void)
{
	static char alternate[65536];
	stack_t stack = { .ss_sp = alternate, .ss_size = sizeof(alternate) };
	struct sigaction action = {
		.sa_sigaction = on_segv,
		.sa_flags = SA_SIGINFO | SA_ONSTACK,
	};
	pthread_attr_t attr;
	size_t size, guard;
	void *bottom;
	char seed = 0;

	if (pthread_getattr_np(pthread_self(), &attr) ||
	    pthread_attr_getstack(&attr, &bottom, &size) ||
	    pthread_attr_getguardsize(&attr, &guard))
		errx(1, "no attributes for this thread");
	guard_end = (uintptr_t)bottom;
	guard_start = guard_end - guard;
	if (sigaltstack(&stack, NULL) || sigaction(SIGSEGV, &action, NULL))
		err(1, "SIGSEGV handler");
	overflow(&seed, ULONG_MAX);
}

static void *thread(void *overflows)
{
	pthread_barrier_wait(&started);
	if (overflows)
		overflow_stack();
	pthread_barrier_wait(&finish);
	return NULL;
}

/*
 * Start the threads and return the number of VMAs they add. If @overflows, the middle
 * thread overflows its stack once all threads run; the stack of another thread is
 * right below its guard.
 */
static int run_threads(int overflows)
{
	pthread_t threads[THREADS];
	int i, error, before, added;

	pthread_barrier_init(&started, NULL, THREADS + 1);
	pthread_barrier_init(&finish, NULL, THREADS + 1);
	before = count_vmas();
	for (i = 0; i < THREADS; i++) {
		error = pthread_create(&threads[i], NULL, thread,
				       overflows && i == THREADS / 2 ?
				       &overflows : NULL);
		if (error) {
			errno = error;
			err(1, "thread %d", i);
		}
	}
	pthread_barrier_wait(&started);
	added = count_vmas() - before;
	pthread_barrier_wait(&finish);
	for (i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	return added;
}

/* Overflow a stack in a child and return the verdict. */
static int overflow_in_child(void)
{
	pid_t child = fork();
	int status;

	if (child < 0)
		err(1, "fork");
	if (!child) {
		run_threads(1);
		_exit(0);
	}
	if (waitpid(child, &status, 0) != child)
		err(1, "waitpid");
	if (!WIFEXITED(status))
		errx(1, "the child that overflows died of signal %d",
		     WTERMSIG(status));
	return WEXITSTATUS(status);
}

int main(int argc, char **argv)
{
	const char *version = gnu_get_libc_version();
	int guard_pages = strverscmp(version, "2.42") >= 0;
	int verdict = overflow_in_child();
	int added = run_threads(0);
	char name[64];

	snprintf(name, sizeof(name), "glibc %s, %s", version,
		 argc > 1 ? argv[1] : "");
	printf("  %-30s %7d %10d   %-17s %s\n", name, THREADS, added,
	       verdict == IN_OWN_VMA ? "PROT_NONE mapping" :
	       verdict == IN_STACK_VMA ? "guard page" : "?",
	       verdict == IN_OWN_VMA || verdict == IN_STACK_VMA ?
	       "SIGSEGV" : "NOT CAUGHT");
	fflush(stdout);

	if (verdict != (guard_pages ? IN_STACK_VMA : IN_OWN_VMA))
		errx(1, "glibc %s: the overflow did not end in a %s guard (%d)",
		     version, guard_pages ? "MADV_GUARD_INSTALL" : "PROT_NONE",
		     verdict);
	if (guard_pages ? added > A_HANDFUL : added < 2 * THREADS - A_HANDFUL)
		errx(1, "glibc %s: %d threads added %d VMAs, %s expected",
		     version, THREADS, added,
		     guard_pages ? "a handful" : "two per thread");
	return 0;
}
