// SPDX-License-Identifier: GPL-2.0
/*
 * A process with guard pages between data, in anonymous, shared and file memory and,
 * with glibc 2.42 and later, under the stacks of its threads. Clients trace it, dump it,
 * or read its memory.
 *
 * usage: guarded [once]
 *   Prints the address of each area. Page N of an area is a guard if N % 4 is 1, and
 *   otherwise contains the area's name and N.
 *   SIGUSR1 makes it check all areas, and the guards of the threads' stacks. It prints
 *   "as it was" and the number of changes, or what is wrong. With "once", it does this
 *   once without a signal, and exits.
 *   SIGUSR2 makes it change the areas and print "changed". The first change installs
 *   guards, removes guards, or installs and removes guards, depending on N % 8; the
 *   second one removes all guards.
 *   SIGTERM ends it. The exit code is 1 if anything was wrong.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "stack.h"

#define MADV_GUARD_INSTALL 102
#define MADV_GUARD_REMOVE 103
#define PAGE 4096
#define PAGES 16
#define THREADS 3

static struct area {
	const char *name;
	int flags;
	bool file;
	char *p;
} areas[] = {
	{ "anonymous", MAP_PRIVATE | MAP_ANONYMOUS, false, NULL },
	{ "shared", MAP_SHARED | MAP_ANONYMOUS, false, NULL },
	{ "file-private", MAP_PRIVATE, true, NULL },
	{ "file-shared", MAP_SHARED, true, NULL },
};

static bool wrong;
static int changes;
static struct stack stacks[THREADS];
static pthread_barrier_t started;

/* Is N % 8 one of these digits, for page N? */
static bool one_of(int page, const char *digits)
{
	return strchr(digits, '0' + page % 8);
}

static bool is_guard(int page)
{
	return one_of(page, changes == 0 ? "15" : changes == 1 ? "126" : "");
}

static void write_page(char *to, const struct area *a, int page, bool again)
{
	snprintf(to, 64, "%s page %d%s", a->name, page, again ? " again" : "");
}

/* A guard discards private memory, but not shared memory. */
static void content(char *to, const struct area *a, int page)
{
	if (changes && a->flags & MAP_PRIVATE && one_of(page, "1246"))
		*to = '\0';
	else
		write_page(to, a, page, changes && one_of(page, "356"));
}

static void guard(struct area *a, int page)
{
	if (madvise(a->p + page * PAGE, PAGE, MADV_GUARD_INSTALL))
		err(1, "MADV_GUARD_INSTALL in %s memory", a->name);
}

static void unguard(struct area *a, int page, int pages)
{
	if (madvise(a->p + page * PAGE, pages * PAGE, MADV_GUARD_REMOVE))
		err(1, "MADV_GUARD_REMOVE in %s memory", a->name);
}

static void make(struct area *a)
{
	int page, fd = -1;
	char path[64];

	if (a->file) {
		snprintf(path, sizeof(path), "/tmp/%s", a->name);
		fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		if (fd < 0 || ftruncate(fd, PAGES * PAGE))
			err(1, "%s", path);
	}
	a->p = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, a->flags, fd, 0);
	if (a->p == MAP_FAILED)
		err(1, "mmap");
	close(fd);
	for (page = 0; page < PAGES; page++)
		write_page(a->p + page * PAGE, a, page, false);
	for (page = 0; page < PAGES; page++)
		if (is_guard(page))
			guard(a, page);
	/* Installing and removing a guard must not affect the pages next to it. */
	guard(a, 1);
	unguard(a, 0, 2);
	guard(a, 1);
	printf("%s %p\n", a->name, a->p);
}

static void change(struct area *a)
{
	int page;

	if (changes > 1) {
		unguard(a, 0, PAGES);
		return;
	}
	for (page = 0; page < PAGES; page++) {
		if (one_of(page, "5"))
			unguard(a, page, 1);
		if (one_of(page, "356"))
			write_page(a->p + page * PAGE, a, page, true);
		if (one_of(page, "246"))
			guard(a, page);
		if (one_of(page, "4"))
			unguard(a, page, 1);
	}
}

static void through_process_madvise(struct area *a)
{
	struct iovec ranges[] = {
		{ a->p + 5 * PAGE, PAGE },
		{ a->p + 9 * PAGE, PAGE },
	};
	int self = syscall(SYS_pidfd_open, getpid(), 0);

	if (syscall(SYS_process_madvise, self, ranges, 2, MADV_GUARD_REMOVE, 0) != 2 * PAGE ||
	    syscall(SYS_process_madvise, self, ranges, 2, MADV_GUARD_INSTALL, 0) != 2 * PAGE)
		err(1, "process_madvise");
	close(self);
}

static void complain(const char *name, int page, const char *what)
{
	printf("wrong: %s, page %d %s\n", name, page, what);
	wrong = true;
}

static void look(void)
{
	char expected[64];
	size_t i;
	int page;
	char *p;

	for (i = 0; i < sizeof(areas) / sizeof(*areas); i++)
		for (page = 0; page < PAGES; page++) {
			p = areas[i].p + page * PAGE;
			content(expected, &areas[i], page);
			if (is_guard(page) && readable(p))
				complain(areas[i].name, page, "is no guard any more");
			else if (!is_guard(page) && !readable(p))
				complain(areas[i].name, page, "cannot be read");
			else if (!is_guard(page) && strcmp(p, expected))
				complain(areas[i].name, page, "has lost its data");
		}
	for (i = 0; i < THREADS; i++) {
		for (p = stacks[i].guard; p < stacks[i].bottom; p += PAGE)
			if (readable(p))
				complain("stack", i, "is not guarded any more");
		if (!readable(stacks[i].bottom))
			complain("stack", i, "cannot be read");
	}
	if (!wrong)
		printf("as it was after %d changes\n", changes);
}

static void *thread(void *arg)
{
	stacks[(intptr_t)arg] = my_stack();
	pthread_barrier_wait(&started);
	for (;;)
		pause();
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t ids[THREADS];
	sigset_t signals;
	size_t i;
	bool once = argc > 1 && !strcmp(argv[1], "once");
	int sig;

	setbuf(stdout, NULL);
	sigemptyset(&signals);
	sigaddset(&signals, SIGUSR1);
	sigaddset(&signals, SIGUSR2);
	sigaddset(&signals, SIGTERM);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	for (i = 0; i < sizeof(areas) / sizeof(*areas); i++)
		make(&areas[i]);
	through_process_madvise(&areas[0]);
	pthread_barrier_init(&started, NULL, THREADS + 1);
	for (i = 0; i < THREADS; i++)
		if (pthread_create(&ids[i], NULL, thread, (void *)i))
			errx(1, "pthread_create");
	pthread_barrier_wait(&started);
	for (i = 0; i < THREADS; i++)
		printf("stack %p\n", stacks[i].bottom);
	puts("ready");
	do {
		sig = SIGTERM;
		if (!once && sigwait(&signals, &sig))
			err(1, "sigwait");
		if (sig == SIGUSR1 || once)
			look();
		if (sig == SIGUSR2) {
			changes++;
			for (i = 0; i < sizeof(areas) / sizeof(*areas); i++)
				change(&areas[i]);
			puts("changed");
		}
	} while (sig != SIGTERM);
	return wrong;
}
