// SPDX-License-Identifier: GPL-2.0
/* remap_file_pages() over two VMAs, one of which once had a guard. */
#include "repro.h"

static int remap(bool had_guard)
{
	int fd = memfd_create("remapfp", 0);
	char *mem;

	if (fd < 0 || ftruncate(fd, 8 * PAGE))
		err(1, "memfd");
	mem = mmap(NULL, 4 * PAGE, RW, MAP_SHARED, fd, 0);
	if (mem == MAP_FAILED)
		err(1, "mmap");
	if (syscall(SYS_remap_file_pages, mem + PAGE, PAGE, 0, 6, 0))
		err(1, "remap_file_pages");
	if (had_guard) {
		advise(mem, PAGE, MADV_GUARD_INSTALL);
		advise(mem, PAGE, MADV_GUARD_REMOVE);
	}
	return syscall(SYS_remap_file_pages, mem, 2 * PAGE, 0, 2, 0) ? errno : 0;
}

int main(void)
{
	int error;

	plan(1);
	error = remap(false);
	if (error)
		errx(1, "remap_file_pages() over two VMAs without guards: %s", error_name(error));
	error = remap(true);
	verdict(!error, "remap_file_pages_over_a_vma_that_had_a_guard", "%s", error_name(error));
	return 0;
}
