// SPDX-License-Identifier: GPL-2.0
/*
 * Installs guards over populated memory in one call, while another thread changes the
 * VMA with mprotect(): how many of the pages are processed while one mprotect() waits?
 */
#include "repro.h"

#define RANGES	128
#define RANGE	(2 * MIB)
#define LEN	(RANGES * RANGE)
#define NR	((long)(LEN / PAGE))

static char *mem;
static atomic_bool go, stop;
static long most;
static int statm;

static long resident(void)
{
	char text[128] = "";
	long rss = 0;

	if (pread(statm, text, sizeof(text) - 1, 0) < 0 || sscanf(text, "%*d %ld", &rss) != 1)
		err(1, "/proc/self/statm");
	return rss;
}

static void *change(void *unused)
{
	int prot = RW;

	stay_on(0);
	while (!go)
		;
	while (!stop) {
		long gone = resident();

		prot ^= PROT_WRITE;
		mprotect(mem + LEN, PAGE, prot);
		gone -= resident();
		if (gone > most)
			most = gone;
		usleep(1000);
	}
	return unused;
}

static void install(bool by_vector, const char *name)
{
	struct iovec vec[RANGES];
	pthread_t other;
	char *area = map(LEN + 4 * MIB, PROT_NONE, MAP_PRIVATE);
	long done;
	int fd, i;

	mem = (char *)(((unsigned long)area + RANGE - 1) & -RANGE);
	if (mprotect(mem, LEN + PAGE, RW))
		err(1, "mprotect");
	advise(mem, LEN + PAGE, MADV_NOHUGEPAGE);
	memset(mem, 1, LEN + PAGE);
	for (i = 0; i < RANGES; i++)
		vec[i] = (struct iovec){ mem + i * RANGE, RANGE };
	go = stop = false;
	most = 0;
	fd = syscall(SYS_pidfd_open, getpid(), 0);
	other = thread(change, NULL);
	stay_on(1);
	go = true;
	usleep(3000);
	done = by_vector ? syscall(SYS_process_madvise, fd, vec, RANGES, MADV_GUARD_INSTALL, 0) :
			   madvise(mem, LEN, MADV_GUARD_INSTALL);
	if (done < 0)
		err(1, "%s", name);
	stop = true;
	pthread_join(other, NULL);
	close(fd);
	verdict(most < NR / 2, name, "%ld of %ld pages while one mprotect() waits", most, NR);
	munmap(area, LEN + 4 * MIB);
}

int main(void)
{
	statm = open("/proc/self/statm", O_RDONLY);
	plan(2);
	install(false, "madvise_lets_mprotect_pass");
	install(true, "process_madvise_lets_mprotect_pass");
	return 0;
}
