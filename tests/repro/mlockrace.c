// SPDX-License-Identifier: GPL-2.0
/*
 * munlock() of memory that is not locked, while another thread installs the first guard
 * in that VMA. If munlock() takes what INSTALL changes in the VMA for a change of its
 * own, it subtracts the VMA from the locked memory of the process, which can then lock
 * more than RLIMIT_MEMLOCK.
 *
 * usage: mlockrace ROUNDS, as an ordinary user
 */
#include "repro.h"

#define LEN	(64 * MIB)

static _Atomic(char *) current;
static atomic_bool stop;
static atomic_long unlocked;

static void *unlock(void *unused)
{
	stay_on(0);
	while (!stop) {
		char *mem = current;

		if (mem && !munlock(mem, LEN))
			unlocked++;
	}
	return unused;
}

/* The kernel prints a negative number as a very large one. */
static long locked_kb(void)
{
	FILE *file = open_or_die("/proc/self/status");
	unsigned long long kb = 0;
	char line[512];

	while (fgets(line, sizeof(line), file))
		sscanf(line, "VmLck: %llu", &kb);
	fclose(file);
	return kb;
}

int main(int argc, char **argv)
{
	const struct rlimit limit = { 65536, 65536 };
	long rounds = argc > 1 ? atol(argv[1]) : 0, done, locked = 0;
	pthread_t other;
	char *mem;
	int error;

	if (rounds <= 0)
		errx(2, "usage: mlockrace ROUNDS");
	if (!getuid())
		errx(2, "run mlockrace as an ordinary user: root may lock any amount");
	if (setrlimit(RLIMIT_MEMLOCK, &limit))
		err(1, "setrlimit");
	mem = map(LEN, RW, MAP_PRIVATE);
	if (!mlock(mem, LEN))
		errx(1, "mlock() of 64 MiB succeeds before any guard");
	munmap(mem, LEN);
	plan(2);

	other = thread(unlock, NULL);
	stay_on(1);
	for (done = 0; done < rounds && !locked; done++) {
		long before;

		mem = map(LEN, RW, MAP_PRIVATE | MAP_NORESERVE);
		mem[2 * PAGE] = 1;
		before = unlocked;
		current = mem;
		for (int i = 0; unlocked < before + 2 && i < 100000; i++)
			;
		for (volatile int i = rand() % 64; i; i--)
			;
		advise(mem, PAGE, MADV_GUARD_INSTALL);
		current = NULL;
		munmap(mem, LEN);
		if (done % 50 == 49)
			locked = locked_kb();
	}
	stop = true;
	pthread_join(other, NULL);
	locked = locked_kb();
	verdict(!locked, "locked_memory_is_not_negative", "VmLck %ld MiB after %ld rounds",
		locked / 1024, done);
	mem = map(LEN, RW, MAP_PRIVATE);
	error = mlock(mem, LEN) ? errno : 0;
	verdict(error, "memory_over_the_limit_cannot_be_locked",
		"mlock() of 64 MiB with a limit of 64 KiB: %s", error_name(error));
	return 0;
}
