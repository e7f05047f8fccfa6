// SPDX-License-Identifier: GPL-2.0
/*
 * Statistics: at its end, each process writes a line with its VMAs, page tables and the
 * kernel's memory for VMAs at the peak of its allocations. This does not use stdio
 * streams, which would allocate.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "guard-malloc.h"

struct sample {
	size_t live;	/* number of allocations */
	long vmas;
	long tables;	/* KiB */
	long slabs;	/* KiB */
};

static const char *stats_path;
static struct sample start, peak;

static long number(const char *path, const char *key)
{
	char text[4096], *at;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, text, sizeof(text) - 1);

	close(fd);
	text[n > 0 ? n : 0] = '\0';
	at = strstr(text, key);
	return at ? strtol(at + strlen(key), NULL, 10) : 0;
}

/* The kernel's memory for VMAs of all processes, in KiB; needs root. */
static long vma_slabs(void)
{
	static const char *const names[] = {
		"vm_area_struct", "vma_lock", "maple_node", "anon_vma", "anon_vma_chain"
	};
	static char text[65536];
	long bytes = 0, objects, size;
	char key[32], *at;
	size_t i, n = 0;
	ssize_t got;
	int fd = open("/proc/slabinfo", O_RDONLY | O_CLOEXEC);

	while (fd >= 0 && (got = read(fd, text + n, sizeof(text) - 1 - n)) > 0)
		n += got;
	text[n] = '\0';
	close(fd);
	for (i = 0; i < sizeof(names) / sizeof(*names); i++) {
		snprintf(key, sizeof(key), "\n%s ", names[i]);
		at = strstr(text, key);
		if (at && sscanf(at + strlen(key), "%*d %ld %ld", &objects, &size) == 2)
			bytes += objects * size;
	}
	return bytes / 1024;
}

static struct sample sample(void)
{
	static char text[65536];
	struct sample s = { 0 };
	ssize_t n, i;
	int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);

	while ((n = read(fd, text, sizeof(text))) > 0)
		for (i = 0; i < n; i++)
			s.vmas += text[i] == '\n';
	close(fd);
	s.tables = number("/proc/self/status", "VmPTE:");
	s.slabs = vma_slabs();
	return s;
}

/* Takes a sample each time the number of allocations exceeds the last peak by an eighth. */
void stats_peak(size_t live, bool anyway)
{
	if (!stats_path || (live < peak.live + peak.live / 8 + 16 && !anyway))
		return;
	peak = sample();
	peak.live = live;
}

void stats_begin(const char *path)
{
	stats_path = path;
	if (path)
		peak = start = sample();
}

void stats_write(const char *mode, size_t allocations, bool failed)
{
	char line[256];
	int fd, n;

	if (!stats_path)
		return;
	n = snprintf(line, sizeof(line), "%s %s %zu %zu %ld %ld %ld %d\n",
		     program_invocation_short_name, mode, allocations, peak.live, peak.vmas,
		     peak.tables - start.tables, peak.slabs - start.slabs, failed);
	fd = open(stats_path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
	if (fd < 0 || write(fd, line, n) != n)
		abort();
	close(fd);
}
