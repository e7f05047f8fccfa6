/* SPDX-License-Identifier: GPL-2.0 */
/* Reads counters of this process and of the kernel in /proc. */
#ifndef BENCH_USAGE_H
#define BENCH_USAGE_H

#include <err.h>
#include <stdio.h>
#include <string.h>

static inline FILE *open_or_die(const char *path)
{
	FILE *file = fopen(path, "r");

	if (!file)
		err(1, "%s", path);
	return file;
}

/* The number that follows @key at the start of a line of @path. */
static inline long read_number(const char *path, const char *key)
{
	FILE *file = open_or_die(path);
	long number = -1;
	char line[512];

	while (number < 0 && fgets(line, sizeof(line), file))
		if (!strncmp(line, key, strlen(key)))
			sscanf(line + strlen(key), "%ld", &number);
	fclose(file);
	if (number < 0)
		errx(1, "no %s in %s", key, path);
	return number;
}

static inline long count_vmas(void)
{
	FILE *maps = open_or_die("/proc/self/maps");
	long lines = 0;
	int c;

	while ((c = getc(maps)) != EOF)
		lines += c == '\n';
	fclose(maps);
	return lines;
}

#endif
