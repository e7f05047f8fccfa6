// SPDX-License-Identifier: GPL-2.0
/*
 * One call over 100,000 VMAs of a page each. A second thread on the same CPU measures
 * for how long it does not run. As root.
 */
#include "repro.h"

#define NR	100000

static atomic_bool go, stop;
static double longest;

static void *watch(void *unused)
{
	double last = seconds();

	stay_on(0);
	while (!stop) {
		double now = seconds();

		if (go && now - last > longest)
			longest = now - last;
		last = now;
	}
	return unused;
}

static void call(char *mem, int advice, const char *name)
{
	pthread_t other;
	double begin;

	go = stop = false;
	longest = 0;
	other = thread(watch, NULL);
	usleep(20000);
	stay_on(0);
	go = true;
	begin = seconds();
	advise(mem, NR * PAGE, advice);
	begin = seconds() - begin;
	usleep(20000);
	stop = true;
	pthread_join(other, NULL);
	verdict(longest < begin / 4, name, "another thread does not run for %.2f of the call",
		longest / begin);
}

int main(void)
{
	FILE *limit = fopen("/proc/sys/vm/max_map_count", "w");
	char *mem = map(NR * PAGE, PROT_NONE, MAP_PRIVATE | MAP_NORESERVE);
	long i;

	if (!limit || fprintf(limit, "%d\n", 3 * NR) < 0 || fclose(limit))
		err(1, "max_map_count");
	for (i = 0; i < NR; i += 2)
		if (mprotect(mem + i * PAGE, PAGE, PROT_READ))
			err(1, "mprotect");
	advise(mem, NR * PAGE, MADV_GUARD_INSTALL);
	plan(2);
	call(mem, MADV_GUARD_INSTALL, "install_lets_others_run");
	call(mem, MADV_GUARD_REMOVE, "remove_lets_others_run");
	return 0;
}
