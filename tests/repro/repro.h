/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The programs of tests/repro show a fault that a kernel with guard pages may have. Each
 * prints KTAP, with one verdict a line and the figure that it comes from.
 */
#ifndef REPRO_H
#define REPRO_H

#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "../../bench/usage.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL	102
#define MADV_GUARD_REMOVE	103
#endif
#define PAGE			4096UL
#define MIB			(1UL << 20)
#define RW			(PROT_READ | PROT_WRITE)

static int verdicts;

static inline void plan(int tests)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("TAP version 13\n1..%d\n", tests);
}

/* One verdict: @ok unless the kernel has the fault; the text has the figure. */
static inline void __attribute__((format(printf, 3, 4)))
verdict(bool ok, const char *name, const char *format, ...)
{
	va_list args;

	printf("%sok %d %s # ", ok ? "" : "not ", ++verdicts, name);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
}

static inline char *map(size_t len, int prot, int flags)
{
	char *mem = mmap(NULL, len, prot, flags | MAP_ANONYMOUS, -1, 0);

	if (mem == MAP_FAILED)
		err(1, "mmap");
	return mem;
}

static inline void advise(char *mem, size_t len, int advice)
{
	if (madvise(mem, len, advice))
		err(1, "madvise %d", advice);
}

static inline void stay_on(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		err(1, "no CPU %d", cpu);
}

static inline pthread_t thread(void *(*call)(void *), void *arg)
{
	pthread_t thread;

	errno = pthread_create(&thread, NULL, call, arg);
	if (errno)
		err(1, "pthread_create");
	return thread;
}

static inline double seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static inline const char *error_name(int error)
{
	return error ? strerrorname_np(error) : "success";
}

#endif
