/* SPDX-License-Identifier: GPL-2.0 */
#include <stdbool.h>
#include <stddef.h>

/* The figures of GUARD_MALLOC_STATS, in guard-malloc-stats.c; nothing without a path. */
void stats_begin(const char *path);
void stats_peak(size_t live, bool anyway);
void stats_write(const char *mode, size_t allocations, bool failed);
