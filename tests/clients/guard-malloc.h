/* SPDX-License-Identifier: GPL-2.0 */
#include <stdbool.h>
#include <stddef.h>

/* Statistics (guard-malloc-stats.c); these functions do nothing if the path is NULL. */
void stats_begin(const char *path);
void stats_peak(size_t live, bool anyway);
void stats_write(const char *mode, size_t allocations, bool failed);
