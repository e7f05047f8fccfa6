// SPDX-License-Identifier: GPL-2.0
/*
 * One thread installs and removes a guard where nothing was ever mapped; another thread
 * of the process calls mprotect() for other memory. How many TLB shootdowns does each
 * INSTALL with its REMOVE add? /proc/interrupts counts them.
 */
#include "repro.h"

#define LEN	(64 * MIB)

static atomic_bool stop, changing;

static long shootdowns(void)
{
	FILE *file = open_or_die("/proc/interrupts");
	long sum = 0, value;
	char line[1024];

	while (fgets(line, sizeof(line), file)) {
		char *at = strstr(line, "TLB:"), *end;

		if (!at)
			continue;
		for (at += 4; value = strtol(at, &end, 10), end != at; at = end)
			sum += value;
	}
	fclose(file);
	return sum;
}

static void *change(void *unused)
{
	char *mem = map(LEN, RW, MAP_PRIVATE);
	int prot = RW;

	stay_on(0);
	advise(mem, LEN, MADV_NOHUGEPAGE);
	memset(mem, 1, LEN);
	while (!stop) {
		changing = true;
		prot ^= PROT_WRITE;
		mprotect(mem, LEN, prot);
	}
	return unused;
}

int main(void)
{
	char *mem = map(2 * MIB, RW, MAP_PRIVATE);
	long rounds, before;
	pthread_t other;
	double each;

	stay_on(1);
	plan(1);
	advise(mem, PAGE, MADV_GUARD_INSTALL);
	other = thread(change, NULL);
	while (!changing)
		;
	before = shootdowns();
	for (rounds = 0; rounds < 10000; rounds++) {
		advise(mem + PAGE, PAGE, MADV_GUARD_INSTALL);
		advise(mem + PAGE, PAGE, MADV_GUARD_REMOVE);
	}
	each = (double)(shootdowns() - before) / rounds;
	stop = true;
	pthread_join(other, NULL);
	verdict(each < 0.1, "install_beside_mprotect_interrupts_no_cpu", "%.2f for each", each);
	return 0;
}
