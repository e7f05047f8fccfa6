// SPDX-License-Identifier: GPL-2.0
/*
 * 512 MiB of populated shared memory with one guard, or with one that has been removed:
 * does fork() copy the page tables, which it does not copy without a guard?
 */
#include "repro.h"

#define LEN	(512 * MIB)

struct size {
	long rss, tables;	/* KiB */
};

static struct size size_of_child(void)
{
	struct size size;
	int fds[2];
	pid_t pid;

	if (pipe(fds))
		err(1, "pipe");
	pid = fork();
	if (!pid) {
		size.rss = read_number("/proc/self/status", "VmRSS:");
		size.tables = read_number("/proc/self/status", "VmPTE:");
		_exit(write(fds[1], &size, sizeof(size)) != sizeof(size));
	}
	close(fds[1]);
	if (read(fds[0], &size, sizeof(size)) != sizeof(size) || waitpid(pid, NULL, 0) != pid)
		err(1, "the child");
	close(fds[0]);
	return size;
}

static void measure(struct size without, const char *name)
{
	struct size size = size_of_child();

	verdict(size.tables < without.tables + 512, name,
		"RSS of the child %ld KiB, page tables %ld KiB; without a guard %ld and %ld KiB",
		size.rss, size.tables, without.rss, without.tables);
}

int main(void)
{
	char *mem = map(LEN, RW, MAP_SHARED), *page = mem + 100 * MIB;
	struct size without;
	size_t i;

	plan(2);
	advise(mem, LEN, MADV_NOHUGEPAGE);
	for (i = 0; i < LEN; i += PAGE)
		mem[i] = 1;
	without = size_of_child();
	advise(page, PAGE, MADV_GUARD_INSTALL);
	measure(without, "fork_copies_one_page_table_for_a_guard");
	advise(page, PAGE, MADV_GUARD_REMOVE);
	measure(without, "fork_copies_nothing_for_a_guard_that_was_removed");
	return 0;
}
