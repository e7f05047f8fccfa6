// SPDX-License-Identifier: GPL-2.0
/*
 * Threads, for tools that run or examine a program.
 *
 * usage: threads wait N       N threads fill some of their stack, and wait while
 *                             /clients/stacks looks at their stacks
 *        threads pause N      N threads do the same, and wait for ever after "ready"
 *        threads overflow N   a thread uses 64 KiB more than its stack; the stacks of N
 *                             other threads are below it
 */
#define _GNU_SOURCE
#include <err.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define STACK (256UL << 10)

static pthread_barrier_t started, overflow, finish;

static int use_stack(int pages)
{
	volatile char page[4096];

	memset((char *)page, pages, sizeof(page));
	return pages ? page[0] + use_stack(pages - 1) + page[0] : 0;
}

static void *wait_for_others(void *arg)
{
	bool first = arg;

	use_stack(8);
	pthread_barrier_wait(&started);
	if (first) {
		pthread_barrier_wait(&overflow);
		use_stack((STACK + (64UL << 10)) / 4096);
		_exit(0);
	}
	pthread_barrier_wait(&finish);
	return NULL;
}

static pthread_t start(bool first)
{
	pthread_attr_t attr;
	pthread_t thread;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK);
	if (pthread_create(&thread, &attr, wait_for_others, (void *)(intptr_t)first))
		errx(1, "pthread_create");
	pthread_attr_destroy(&attr);
	return thread;
}

int main(int argc, char **argv)
{
	int count = argc == 3 ? atoi(argv[2]) : 0, i, status;
	bool overflows;
	pthread_t *threads;
	char pid[16];

	if (count < 1)
		errx(2, "usage: threads wait|pause|overflow N");
	threads = calloc(count, sizeof(*threads));
	overflows = !strcmp(argv[1], "overflow");
	pthread_barrier_init(&started, NULL, count + 1 + overflows);
	pthread_barrier_init(&overflow, NULL, 2);
	pthread_barrier_init(&finish, NULL, count + 1);
	if (overflows)	/* glibc puts each stack right below the one before */
		start(true);
	for (i = 0; i < count; i++)
		threads[i] = start(false);
	pthread_barrier_wait(&started);
	if (overflows) {
		pthread_barrier_wait(&overflow);
	} else if (!strcmp(argv[1], "pause")) {
		puts("ready");
		fflush(stdout);
	} else {
		snprintf(pid, sizeof(pid), "%d", getpid());
		if (!fork()) {
			execl("/clients/stacks", "stacks", pid, NULL);
			_exit(127);
		}
		if (wait(&status) < 0 || status)
			errx(1, "stacks: status %#x", status);
	}
	if (overflows || !strcmp(argv[1], "pause"))
		pause();
	pthread_barrier_wait(&finish);
	for (i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
	free(threads);
	return 0;
}
