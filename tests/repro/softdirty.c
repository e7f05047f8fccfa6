// SPDX-License-Identifier: GPL-2.0
/* A page is written, the soft-dirty bits are cleared, INSTALL: is the guard soft-dirty? */
#include "repro.h"

#define SOFT_DIRTY	(1ULL << 55)

static bool is_soft_dirty(char *page)
{
	unsigned long long entry;
	int fd = open("/proc/self/pagemap", O_RDONLY);

	if (pread(fd, &entry, sizeof(entry), (unsigned long)page / PAGE * sizeof(entry)) != sizeof(entry))
		err(1, "pagemap");
	close(fd);
	return entry & SOFT_DIRTY;
}

int main(void)
{
	char *mem = map(PAGE, RW, MAP_PRIVATE);
	FILE *clear = fopen("/proc/self/clear_refs", "w");

	plan(1);
	mem[0] = 1;
	if (!is_soft_dirty(mem)) {
		printf("ok 1 install_is_a_change # SKIP the kernel has no soft-dirty bits\n");
		return 0;
	}
	if (!clear || fputs("4", clear) < 0 || fclose(clear) || is_soft_dirty(mem))
		err(1, "clear_refs");
	advise(mem, PAGE, MADV_GUARD_INSTALL);
	verdict(is_soft_dirty(mem), "install_is_a_change", "the entry is%s soft-dirty",
		is_soft_dirty(mem) ? "" : " not");
	return 0;
}
