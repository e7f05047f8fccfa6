// SPDX-License-Identifier: GPL-2.0
/* Exits with 0 if the kernel supports MADV_GUARD_INSTALL, with 1 otherwise. */
#include <sys/mman.h>

int main(void)
{
	void *p = mmap(0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED || madvise(p, 4096, 102);
}
