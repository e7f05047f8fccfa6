// SPDX-License-Identifier: GPL-2.0
/*
 * A hole is punched into a file while another mapping faults its pages in again.  The kernel
 * then unmaps single pages once more, from all mappings, and drops the guards there.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include "ktap.h"

#define PAGES	256
#define ROUNDS	20

static volatile char *other;
static atomic_bool stop;

static void *faulter(void *unused)
{
	for (size_t i = 0; !stop; i++)
		(void)other[i * 7 % PAGES * page_size()];
	return unused;
}

int main(void)
{
	size_t size = PAGES * page_size();
	int fd = memfd_create("zap", 0), left = 0;
	pthread_t thread;
	char *p;

	plan(1);
	if (fd < 0 || ftruncate(fd, size))
		cannot("memfd_create");
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	other = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED || other == MAP_FAILED)
		cannot("mmap");
	guard(p, size);
	if (pthread_create(&thread, NULL, faulter, NULL))
		cannot("pthread_create");
	for (int i = 0; i < ROUNDS; i++) {
		memset((char *)other, 1, size);
		if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, size))
			cannot("fallocate");
	}
	stop = true;
	pthread_join(thread, NULL);
	for (int i = 0; i < PAGES; i++)
		left += !!(pagemap(p + i * page_size()) & PM_GUARD);
	printf("# %d of %d guards are left\n", left, PAGES);
	check(left == PAGES, "faults in another mapping while a hole is punched drop no guard");
	return done();
}
