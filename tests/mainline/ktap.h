/* SPDX-License-Identifier: GPL-2.0 */
/* What the programs in this directory share: KTAP, and the two requests. */
#ifndef KTAP_H
#define KTAP_H

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL	102
#define MADV_GUARD_REMOVE	103
#endif

static int ktap_tests, ktap_failed;

static inline void plan(int tests)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("TAP version 13\n1..%d\n", tests);
}

static inline void check(bool passed, const char *what)
{
	printf("%sok %d %s\n", passed ? "" : "not ", ++ktap_tests, what);
	ktap_failed += !passed;
}

static inline int done(void)
{
	return ktap_failed != 0;
}

/* The test cannot run: that is a failure, on both kernels. */
static inline void cannot(const char *what)
{
	printf("Bail out! %s: %s\n", what, strerror(errno));
	exit(1);
}

static inline size_t page_size(void)
{
	return sysconf(_SC_PAGESIZE);
}

static inline char *map_anon(size_t size)
{
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		cannot("mmap");
	return p;
}

static inline void guard(char *p, size_t size)
{
	if (madvise(p, size, MADV_GUARD_INSTALL))
		cannot("MADV_GUARD_INSTALL");
}

static inline uint64_t pagemap(const char *p)
{
	uint64_t entry;
	int fd = open("/proc/self/pagemap", O_RDONLY);

	if (fd < 0 || pread(fd, &entry, 8, (uintptr_t)p / page_size() * 8) != 8)
		cannot("/proc/self/pagemap");
	close(fd);
	return entry;
}

#define PM_UFFD_WP	(1ULL << 57)
#define PM_GUARD	(1ULL << 58)
#define PM_PRESENT	(1ULL << 63)

/* The number after NAME in FILE, such as VmLck: in /proc/self/status. */
static inline unsigned long long number_in(const char *file, const char *name)
{
	char line[512];
	unsigned long long value = 0;
	bool found = false;
	FILE *f = fopen(file, "r");

	if (!f)
		cannot(file);
	while (fgets(line, sizeof(line), f)) {
		if (strncmp(line, name, strlen(name)))
			continue;
		found = sscanf(line + strlen(name), " %llu", &value) == 1;
		break;
	}
	fclose(f);
	if (!found)
		cannot(name);
	return value;
}

#endif /* KTAP_H */
