// SPDX-License-Identifier: GPL-2.0
/*
 * Tests guard-malloc.so, which must be preloaded; fails without it. Prints KTAP.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS 4
#define ROUNDS 3000
#define NEIGHBOURS 16

static const size_t sizes[] = { 4096, 5008, 8192, 65536, 1 << 20, 5 << 20 };

#define NR(array) (sizeof(array) / sizeof(*(array)))

/* Volatile pointers, so that the compiler does not optimize calls of malloc() and free(). */
static void *(*volatile allocate)(size_t) = malloc;
static void (*volatile release)(void *) = free;

static char *filled(size_t size)
{
	char *p = allocate(size);

	if (!p)
		exit(2);
	memset(p, 0x5a, size);
	return p;
}

/* Run @what on @size bytes in a child; return the signal that ended it, or 0. */
static int signal_of(void (*what)(size_t size), size_t size)
{
	struct rlimit none = { 0, 0 };
	pid_t pid = fork();
	int status;

	if (!pid) {
		setrlimit(RLIMIT_CORE, &none);
		if (!freopen("/dev/null", "w", stderr))
			_exit(2);
		what(size);
		_exit(0);
	}
	return waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void write_the_last_byte(size_t size) { ((volatile char *)filled(size))[size - 1] = 1; }
static void write_one_byte_more(size_t size) { ((volatile char *)filled(size))[size] = 1; }
static void read_one_byte_more(size_t size) { (void)((volatile char *)filled(size))[size]; }

/* Allocations on both sides are writable. */
static void write_one_byte_more_of_many(size_t size)
{
	char *many[NEIGHBOURS];
	size_t i;

	for (i = 0; i < NEIGHBOURS; i++)
		many[i] = filled(size);
	((volatile char *)many[NEIGHBOURS / 2])[size] = 1;
}

static void write_what_was_freed_before_others_came(size_t size)
{
	volatile char *p = filled(size);
	size_t i;

	release((char *)p);
	for (i = 0; i < NEIGHBOURS; i++)
		filled(size);
	p[0] = 1;
}

static void write_freed(size_t size)
{
	volatile char *p = filled(size);

	release((char *)p);
	p[size / 2] = 1;
}

static void read_freed_by_realloc(size_t size)
{
	volatile char *p = filled(size);
	char *(*volatile resize)(void *, size_t) = (void *)realloc;

	if (resize((char *)p, 2 * size))
		(void)p[0];
}

static void free_twice(size_t size)
{
	void *p = filled(size);

	release(p);
	release(p);
}

static void free_the_middle(size_t size) { release(filled(size) + size / 2); }

/* A child has its parent's allocations, and can free them without affecting the parent. */
static void free_in_a_child(size_t size)
{
	volatile char *p = filled(size);
	pid_t pid = fork();
	int status;

	if (!pid) {
		if (p[size - 1] != 0x5a)
			_exit(1);
		release((char *)p);
		p[0] = 1;
		_exit(0);
	}
	if (waitpid(pid, &status, 0) == pid && p[0] == 0x5a && p[size - 1] == 0x5a &&
	    WIFSIGNALED(status))
		raise(WTERMSIG(status));
}

static bool each_size(void (*what)(size_t size), int sig)
{
	size_t i;

	for (i = 0; i < NR(sizes); i++)
		if (signal_of(what, sizes[i]) != sig) {
			printf("# %zu bytes\n", sizes[i]);
			return false;
		}
	return true;
}

static bool aligned(void)
{
	size_t align, size;
	void *p;

	for (size = 1; size < 1 << 20; size = size * 3 + 1)
		for (align = 16; align <= 1 << 21; align *= 2) {
			if (posix_memalign(&p, align, size) || (uintptr_t)p % align ||
			    malloc_usable_size(p) < size)
				return false;
			memset(p, 1, malloc_usable_size(p));
			free(p);
			p = aligned_alloc(align, size);
			if (!p || (uintptr_t)p % align)
				return false;
			free(p);
			p = allocate(size);
			if (!p || (uintptr_t)p % 16)
				return false;
			free(p);
		}
	return posix_memalign(&p, 24, 1) == EINVAL;
}

static bool all(const char *p, int c, size_t size)
{
	size_t i;

	for (i = 0; i < size; i++)
		if (p[i] != c)
			return false;
	return true;
}

/* Allocate more than the quarantine holds, so that addresses are reused. */
static bool zeroed(void)
{
	void *(*volatile clear)(size_t, size_t) = calloc;
	char *p;
	int i;

	for (i = 0; i < 20000; i++) {
		p = clear(5, 3000);
		if (!p || !all(p, 0, 15000))
			return false;
		memset(p, 1, 15000);
		free(p);
	}
	return !clear(SIZE_MAX / 2, 3);
}

static bool resized(void)
{
	size_t old = 1, size;
	char *p = filled(old);

	for (size = 2; size < 4 << 20; old = size, size = size * 5 / 3 + 1) {
		p = realloc(p, size);
		if (!p || !all(p, 0x5a, old < size ? old : size))
			return false;
		memset(p, 0x5a, size);
	}
	for (size = old / 2; size > 2; size /= 2) {
		p = realloc(p, size);
		if (!p || !all(p, 0x5a, size))
			return false;
	}
	free(p);
	return !allocate(SIZE_MAX / 2);
}

static void *churn(void *arg)
{
	unsigned int seed = (uintptr_t)arg;
	char *held[64] = { NULL };
	size_t size[64], i;
	int round;

	for (round = 0; round < ROUNDS; round++) {
		i = rand_r(&seed) % 64;
		if (held[i] && !all(held[i], (int)(uintptr_t)arg, size[i]))
			return NULL;
		free(held[i]);
		size[i] = rand_r(&seed) % 20000;
		held[i] = allocate(size[i]);
		if (!held[i])
			return NULL;
		memset(held[i], (int)(uintptr_t)arg, size[i]);
	}
	for (i = 0; i < 64; i++)
		free(held[i]);
	return arg;
}

static bool threads(void)
{
	pthread_t thread[THREADS];
	bool fine = true;
	void *result;
	uintptr_t i;

	for (i = 0; i < THREADS; i++)
		if (pthread_create(&thread[i], NULL, churn, (void *)(i + 1)))
			return false;
	/* A child must not inherit a lock that another thread holds. */
	for (i = 0; i < 20; i++)
		fine &= !signal_of(write_the_last_byte, 8192);
	for (i = 0; i < THREADS; i++)
		fine &= !pthread_join(thread[i], &result) && result;
	return fine;
}

int main(void)
{
	const struct {
		const char *name;
		bool fine;
	} tests[] = {
		{ "the last byte can be written", each_size(write_the_last_byte, 0) },
		{ "a write one byte behind is SIGSEGV", each_size(write_one_byte_more, SIGSEGV) },
		{ "a read one byte behind is SIGSEGV", each_size(read_one_byte_more, SIGSEGV) },
		{ "one byte behind, among others, is SIGSEGV", each_size(write_one_byte_more_of_many, SIGSEGV) },
		{ "a write after free is SIGSEGV", each_size(write_freed, SIGSEGV) },
		{ "a write after free and other allocations is SIGSEGV",
		  each_size(write_what_was_freed_before_others_came, SIGSEGV) },
		{ "a read after realloc is SIGSEGV", each_size(read_freed_by_realloc, SIGSEGV) },
		{ "the second free is SIGABRT", each_size(free_twice, SIGABRT) },
		{ "a free of the middle is SIGABRT", each_size(free_the_middle, SIGABRT) },
		{ "a child's free is its own", each_size(free_in_a_child, SIGSEGV) },
		{ "aligned as asked for", aligned() },
		{ "calloc gives zeroes", zeroed() },
		{ "realloc keeps what there was", resized() },
		{ "threads, and forks meanwhile", threads() },
	};
	size_t i, failed = 0;

	printf("TAP version 13\n1..%zu\n", NR(tests));
	for (i = 0; i < NR(tests); i++) {
		printf("%s %zu %s\n", tests[i].fine ? "ok" : "not ok", i + 1, tests[i].name);
		failed += !tests[i].fine;
	}
	return failed != 0;
}
