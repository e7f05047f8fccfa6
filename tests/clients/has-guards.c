// SPDX-License-Identifier: GPL-2.0
/* Exits with 0 if the kernel has MADV_GUARD_INSTALL, 1 if it has not. */
#include <sys/mman.h>

int main(void)
{
	void *p = mmap(0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED || madvise(p, 4096, 102);
}
