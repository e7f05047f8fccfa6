/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The fixture "guard": a test runs once for each backing and layout of the
 * mapping. Regular files are created in $TMPDIR, else in the current directory,
 * else in /tmp. The file system of that directory is the one that is tested.
 */
#ifndef __GUARD_FIXTURE_H__
#define __GUARD_FIXTURE_H__

#include "../kselftest_harness.h"
#include "guard_util.h"
#include "thp_settings.h"

FIXTURE(guard)
{
	char *mem;	/* the mapping, writable, nothing populated */
	size_t nr;	/* of pages in it */
	size_t len;	/* in bytes */
	size_t align;	/* where a move is to go */
};

FIXTURE_VARIANT(guard)
{
	enum backing backing;
	bool huge;	/* huge pages wanted, in two page tables */
	bool large;	/* folios of several pages wanted, but no huge pages */
	bool two_tables;/* small pages, across the border of two page tables */
	bool four_vmas;	/* alternating VMAs of the same permissions */
};

FIXTURE_VARIANT_ADD(guard, anon)
{
	.backing = ANON,
};

FIXTURE_VARIANT_ADD(guard, anon_two_tables)
{
	.backing = ANON,
	.two_tables = true,
};

FIXTURE_VARIANT_ADD(guard, anon_four_vmas)
{
	.backing = ANON,
	.four_vmas = true,
};

FIXTURE_VARIANT_ADD(guard, anon_huge)
{
	.backing = ANON,
	.huge = true,
};

FIXTURE_VARIANT_ADD(guard, anon_large)
{
	.backing = ANON,
	.large = true,
};

FIXTURE_VARIANT_ADD(guard, shmem)
{
	.backing = SHMEM,
};

FIXTURE_VARIANT_ADD(guard, memfd_shared)
{
	.backing = MEMFD_SHARED,
};

FIXTURE_VARIANT_ADD(guard, memfd_private)
{
	.backing = MEMFD_PRIVATE,
};

FIXTURE_VARIANT_ADD(guard, memfd_huge)
{
	.backing = MEMFD_SHARED,
	.huge = true,
};

FIXTURE_VARIANT_ADD(guard, file_shared)
{
	.backing = FILE_SHARED,
};

FIXTURE_VARIANT_ADD(guard, file_private)
{
	.backing = FILE_PRIVATE,
};

FIXTURE_SETUP(guard)
{
	size_t i, offset = 0;
	int ret;

	self->nr = NR_SMALL;
	self->align = psize();
	if (variant->huge) {
		size_t size = read_pmd_pagesize();

		if (!size || !thp_is_enabled())
			SKIP(return, "transparent huge pages are not available");
		if (size > MAX_HUGE)
			SKIP(return, "a huge page has %zu MiB, too much for this test", size >> 20);
		self->nr = 2 * size / psize();
		self->align = size;
	}
	if (variant->large) {
		/*
		 * Two folios, aligned so that they cannot be one of twice the
		 * size.
		 */
		offset = large_folio_size();
		if (!offset)
			SKIP(return, "no large folios: see hugepages-*kB/enabled of THP");
		self->nr = 2 * offset / psize();
		self->align = 4 * offset;
	}
	self->len = pages(self->nr);
	if (variant->two_tables) {
		self->align = table_size();
		offset = self->align - self->len / 2;
	}
	ret = set_backing(variant->backing, self->len, variant->huge);
	if (ret)
		SKIP(return, "no %s: %s", variant->huge ? "huge pages in shared memory" :
		     "place for a file", backing_error(ret));
	self->mem = map_backing(reserve(self->len, self->align, offset), self->len,
				PROT_READ | PROT_WRITE, 0);
	ASSERT_NE(MAP_FAILED, self->mem);
	/* EINVAL if the kernel was built without huge pages. */
	advise(self->mem, self->len,
	       variant->huge || variant->large ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	if (variant->large) {
		touch(self->mem, WRITE);
		if (present(self->mem, self->nr) != self->nr / 2)
			SKIP(return, "no memory for a large folio");
		ASSERT_EQ(0, advise(self->mem, self->len, MADV_DONTNEED));
	}
	for (i = 0; variant->four_vmas && i < self->nr; i += self->nr / 2) {
		ASSERT_EQ(0, advise(self->mem + pages(i), self->len / 4,
				    MADV_DONTDUMP));
	}
}

FIXTURE_TEARDOWN(guard)
{
}

/* mremap() moves one VMA at a time. */
static inline size_t mremap_len(const FIXTURE_DATA(guard) * self,
				const FIXTURE_VARIANT(guard) * variant)
{
	return variant->four_vmas ? self->len / 4 : self->len;
}

#endif
