// SPDX-License-Identifier: GPL-2.0
/*
 * Prints how the stacks of a process's threads are guarded, without the first thread,
 * whose stack the kernel made:
 *
 *	threads 100 guarded 98 prot-none 1 unguarded 1 vmas 57 guards 98
 *
 * A stack is guarded if the nearest guard page below its stack pointer is in the same
 * VMA and is no other stack's. It is a prot-none stack if a PROT_NONE VMA ends where its
 * VMA begins. The last number counts the ranges of guard pages in the whole process. A
 * kernel with guard pages says where they are (PAGEMAP_SCAN); others know of none.
 *
 * usage: stacks PID
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../pagemap-scan.h"

#define LAST_PAGE 0x7ffffffff000UL
#define TRIES 100000

struct range {
	uint64_t start, end;
	bool accessible, taken;
};

struct ranges {
	struct range *at;
	size_t count;
};

static void add(struct ranges *to, uint64_t start, uint64_t end, bool accessible)
{
	if (!(to->count & (to->count - 1))) {
		to->at = realloc(to->at, (to->count ? 2 * to->count : 1) * sizeof(*to->at));
		if (!to->at)
			err(2, "realloc");
	}
	to->at[to->count++] = (struct range){ start, end, accessible, false };
}

/* The last range that starts at or below @address. */
static struct range *find(struct ranges *in, uint64_t address)
{
	size_t from = 0, to = in->count, middle;

	while (from < to) {
		middle = (from + to) / 2;
		if (in->at[middle].start <= address)
			from = middle + 1;
		else
			to = middle;
	}
	return from ? &in->at[from - 1] : NULL;
}

static void read_vmas(int pid, struct ranges *vmas)
{
	char path[64], line[4096], access[5];
	uint64_t start, end;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	file = fopen(path, "r");
	if (!file)
		err(2, "%s", path);
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "%lx-%lx %4s", &start, &end, access) == 3)
			add(vmas, start, end, strncmp(access, "---", 3));
	fclose(file);
}

static void read_guards(int pid, struct ranges *guards)
{
	/* With a larger array, the kernel may report a wrong walk_end after 512 ranges. */
	static struct page_region found[512];
	struct pm_scan_arg scan = {
		.size = sizeof(scan),
		.end = LAST_PAGE,
		.vec = (uintptr_t)found,
		.vec_len = sizeof(found) / sizeof(*found),
		.category_mask = PAGE_IS_GUARD,
		.return_mask = PAGE_IS_GUARD,
	};
	char path[64];
	int fd, count, i;

	snprintf(path, sizeof(path), "/proc/%d/pagemap", pid);
	fd = open(path, O_RDONLY);
	if (fd < 0)
		err(2, "%s", path);
	while (scan.start < LAST_PAGE) {
		count = ioctl(fd, PAGEMAP_SCAN, &scan);
		if (count < 0 && errno == EINVAL)
			break;
		if (count < 0)
			err(2, "PAGEMAP_SCAN");
		for (i = 0; i < count; i++)
			add(guards, found[i].start, found[i].end, false);
		scan.start = scan.walk_end;
	}
	close(fd);
}

/* The stack pointer of a thread, once it is waiting; 0 if the thread has ended. */
static uint64_t stack_pointer(int pid, int tid)
{
	char path[64], said[512], *word, *last, *before_last;
	int tries, fd;
	ssize_t length;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/syscall", pid, tid);
	for (tries = 0; tries < TRIES; tries++) {
		fd = open(path, O_RDONLY);
		length = fd < 0 ? -1 : read(fd, said, sizeof(said) - 1);
		if (length < 0 && errno != ENOENT && errno != ESRCH)
			err(2, "%s", path);
		close(fd);
		if (length <= 0)
			return 0;
		said[length] = '\0';
		last = before_last = NULL;
		for (word = strtok(said, " \n"); word; word = strtok(NULL, " \n")) {
			before_last = last;
			last = word;
		}
		if (before_last)
			return strtoul(before_last, NULL, 16);
		sched_yield();
	}
	errx(2, "%s: the thread does not wait", path);
}

int main(int argc, char **argv)
{
	struct ranges pointers = { 0 }, vmas = { 0 }, guards = { 0 };
	int pid, tid, threads = 0, guarded = 0, prot_none = 0;
	struct range *vma, *guard;
	struct dirent *task;
	char path[64];
	uint64_t sp;
	DIR *tasks;
	size_t i;

	if (argc != 2 || atoi(argv[1]) <= 0)
		errx(2, "usage: stacks PID");
	pid = atoi(argv[1]);
	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	tasks = opendir(path);
	if (!tasks)
		err(2, "%s", path);
	while ((task = readdir(tasks))) {
		tid = atoi(task->d_name);
		sp = tid && tid != pid ? stack_pointer(pid, tid) : 0;
		if (sp)
			add(&pointers, sp, sp, true);
	}
	read_vmas(pid, &vmas);
	read_guards(pid, &guards);
	for (i = 0; i < pointers.count; i++) {
		sp = pointers.at[i].start;
		vma = find(&vmas, sp);
		if (!vma || sp >= vma->end)
			continue;	/* the thread has ended since */
		threads++;
		guard = find(&guards, sp);
		if (guard && guard->start >= vma->start && !guard->taken) {
			guard->taken = true;
			guarded++;
		} else if (vma > vmas.at && vma[-1].end == vma->start && !vma[-1].accessible) {
			prot_none++;
		}
	}
	printf("threads %d guarded %d prot-none %d unguarded %d vmas %zu guards %zu\n", threads,
	       guarded, prot_none, threads - guarded - prot_none, vmas.count, guards.count);
	return 0;
}
