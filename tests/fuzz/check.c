// SPDX-License-Identifier: GPL-2.0
/* Compares the arena with the model. */
#include "fuzz.h"

#include <sys/stat.h>

#include "../pagemap-scan.h"

struct features have;

void read_pagemap(struct run *r)
{
	size_t bytes = r->pages * 8;

	/* After a fork, the open file still refers to the parent. */
	if (r->stale) {
		int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

		close(r->pagemap);
		r->pagemap = fd;
		r->stale = false;
	}
	if (pread(r->pagemap, r->entries, bytes, (uintptr_t)r->base / ps * 8) != (ssize_t)bytes)
		fail(r, "cannot read pagemap: %s", strerror(errno));
}

static const char *describe(struct run *r, unsigned n)
{
	static __thread char text[160];
	static const char *const kinds[] = { "not mapped", "anonymous", "shared", "private" };
	const struct page *p = &r->page[n];

	snprintf(text, sizeof(text), "page %u (%s%s%s%s, prot %d, object %u+%u, file's size %u)", n,
		 kinds[p->kind], p->guard ? ", guard" : "", p->lock ? ", locked" : "",
		 p->uffd ? ", userfaultfd" : "", p->prot, p->object, p->offset,
		 p->kind > ANON ? r->object[p->object].size : 0);
	return text;
}

void check_value(struct run *r, unsigned n, uint64_t first, uint64_t last, const char *how)
{
	struct page *p = &r->page[n];
	uint64_t want = value_of(r, p);

	if (first == last && (first == want || (p->own && p->lazy && !first))) {
		if (p->lazy && first != want)
			p->own = p->lazy = false;
		return;
	}
	fail(r, "%s holds %#lx...%#lx instead of %#lx%s, by %s", describe(r, n), (long)first,
	     (long)last, (long)want, p->lazy ? " or 0" : "", how);
}

/*
 * Write a line for the access to the program, unless it should be left out because it
 * changes nothing and does not fail.
 */
static void write_probe(struct run *r, unsigned n, bool write, enum fate must, bool leave_out)
{
	if (!r->program || leave_out)
		return;
	if (must == SEGV || must == BUS)
		fprintf(r->program, "\tfaults(%u, %d, %s);\n", n, write,
			must == SEGV ? "SIGSEGV" : "SIGBUS");
	else if (must == UNSURE || r->page[n].lazy)
		fprintf(r->program, "\tany(touch(P(%u), 0));\n", n);
	else
		fprintf(r->program, "\tholds(%u, %#lx);\n", n, (long)value_of(r, &r->page[n]));
}

/* Read a page, or try to write to it if that must fail. */
void probe(struct run *r, unsigned n, bool write)
{
	struct page *p = &r->page[n];
	enum fate must = fate(r, p, write, false);
	char *page = r->base + n * ps;
	uint64_t first = 0, last = 0;
	int sig;

	if (write && must != SEGV && must != BUS)
		write = false, must = fate(r, p, write, false);
	r->report->checks++;
	r->report->guards_touched += p->guard;
	write_probe(r, n, write, must, r->child || r->last);
	fault_address = NULL;
	sig = write ? put(page, ~0ull) : get(page, &first, &last);
	/* On 32 bits, the access has two halves, and either of them may be the first. */
	if (sig && (uintptr_t)fault_address - (uintptr_t)page > 8 - sizeof(long)) {
		fail(r, "a fault at %p instead of on page %u", fault_address, n);
	} else if ((sig == SIGSEGV) != (must == SEGV) || (sig == SIGBUS && must == WORKS) ||
		   (!sig && must == BUS)) {
		fail(r, "%s: %s raises %s instead of %s", describe(r, n), write ? "write" : "read",
		     sig ? strsignal(sig) : "no fault",
		     must == SEGV ? "a segmentation fault" :
		     must == BUS  ? "a bus error" :
				    "no fault");
	} else if (!sig) {
		check_value(r, n, first, last, "reading");
	}
	if (r->report->failed)
		write_probe(r, n, write, must, false);
}

void check_pagemap(struct run *r)
{
	unsigned i;

	read_pagemap(r);
	for (i = 0; i < r->pages && have.pagemap; i++) {
		const struct page *p = &r->page[i];
		uint64_t e = r->entries[i];

		if (!!(e & PM_GUARD) != p->guard ||
		    (p->guard && (e & PM_PRESENT || !(e & PM_SWAP))) ||
		    (p->kind == HOLE && e & (PM_PRESENT | PM_SWAP))) {
			if (r->program)
				fprintf(r->program, "\tis(%d, pagemap(%u));\n", p->guard, i);
			fail(r, "%s: pagemap shows %#llx", describe(r, i), (unsigned long long)e);
			return;
		}
	}
}

/* PAGEMAP_SCAN for ranges of guards. */
static int scan(int pagemap, char *from, char *to, struct page_region *regions, unsigned nr)
{
	struct pm_scan_arg arg = {
		.size = sizeof(arg),
		.start = (uintptr_t)from,
		.end = (uintptr_t)to,
		.vec = (uintptr_t)regions,
		.vec_len = nr,
		.category_mask = PAGE_IS_GUARD,
		.return_mask = PAGE_IS_GUARD | PAGE_IS_SWAPPED | PAGE_IS_PRESENT,
	};

	return ioctl(pagemap, PAGEMAP_SCAN, &arg);
}

static void check_scan(struct run *r)
{
	struct page_region *regions = (void *)r->buffer;
	int i, nr = scan(r->pagemap, r->base, r->base + r->pages * ps, regions, r->pages);
	unsigned n = 0;

	if (nr < 0) {
		fail(r, "PAGEMAP_SCAN: %s", strerror(errno));
		return;
	}
	for (i = 0; i <= nr; i++) {
		unsigned from = i < nr ? (regions[i].start - (uintptr_t)r->base) / ps : r->pages;
		unsigned to = i < nr ? (regions[i].end - (uintptr_t)r->base) / ps : r->pages;

		if (i < nr && regions[i].categories != (PAGE_IS_GUARD | PAGE_IS_SWAPPED)) {
			fail(r, "%s: PAGEMAP_SCAN: categories %#lx", describe(r, from),
			     (long)regions[i].categories);
			return;
		}
		for (; n < to; n++) {
			if (r->page[n].guard != (n >= from)) {
				fail(r, "%s: PAGEMAP_SCAN reports %s", describe(r, n),
				     n >= from ? "a guard" : "no guard");
				return;
			}
		}
	}
}

/* mincore() must fail for holes only; a guard in anonymous memory must not be in core. */
static void check_mincore(struct run *r)
{
	unsigned char core;
	unsigned i;

	for (i = 0; i < r->pages; i++) {
		const struct page *p = &r->page[i];
		bool hole = mincore(r->base + i * ps, ps, &core) == -1;

		if (hole != (p->kind == HOLE)) {
			fail(r, "%s: mincore: %s", describe(r, i),
			     hole ? strerror(errno) : "mapped");
			return;
		}
		if (p->kind == ANON && p->guard && core & 1) {
			fail(r, "%s: mincore: in core", describe(r, i));
			return;
		}
	}
}

/* In smaps, a mapping with a guard must have the flag "gu"; others may have it. */
static bool flag_missing(const char *from, const char *to, const struct page *page, unsigned *which)
{
	FILE *f = fopen("/proc/self/smaps", "re");
	unsigned long start = 0, end = 0, n;
	bool missing = false;
	char line[400];

	while (f && !missing && fgets(line, sizeof(line), f)) {
		if (*line < 'A' || *line > 'Z')
			sscanf(line, "%lx-%lx", &start, &end);
		if (strncmp(line, "VmFlags:", 8) || strstr(line, " gu"))
			continue;
		for (n = (uintptr_t)from; n < (uintptr_t)to && !missing; n += ps) {
			*which = (n - (uintptr_t)from) / ps;
			missing = n >= start && n < end && page[*which].guard;
		}
	}
	if (f)
		fclose(f);
	return missing;
}

static void check_smaps(struct run *r)
{
	unsigned n;

	if (flag_missing(r->base, r->base + r->pages * ps, r->page, &n))
		fail(r, "%s: smaps does not show \"gu\"", describe(r, n));
}

/*
 * Access some pages of a range, always including those where a run of guards begins or
 * ends.  Leave most pages that are not populated as they are, and all of them where a
 * huge page could be.
 */
static void check_range(struct run *r, unsigned first, unsigned count, unsigned one_in,
			uint64_t random)
{
	unsigned i;

	for (i = first; i < first + count && i < r->pages && !r->report->failed; i++) {
		const struct page *p = &r->page[i];
		bool edge = i && p->guard != p[-1].guard;

		random = mix(random);
		if (count > 64 && !edge && random >> 32 & 15)
			continue;
		if (!p->guard && !(r->entries[i] & (PM_PRESENT | PM_SWAP)) && !r->last &&
		    !r->child && (r->huge || random >> 40 & 7))
			continue;
		if (p->guard || !((random >> 8) % one_in))
			probe(r, i, random & 1);
	}
}

void check_step(struct run *r, const struct step *s)
{
	uint64_t random = mix(s->arg ^ s->id);

	check_pagemap(r);
	check_range(r, s->page, s->count, r->sparing ? UINT_MAX : 4, random);
	check_range(r, s->page2, s->count2, r->sparing ? UINT_MAX : 4, ~random);
	if (random % 64 == 0 && !r->sparing)
		check_all(r);
	else if (random % 8 == 0 && have.smaps && !r->report->failed)
		check_smaps(r);
}

void check_all(struct run *r)
{
	check_pagemap(r);
	if (have.scan && !r->report->failed)
		check_scan(r);
	if (have.smaps && !r->report->failed && !r->child)
		check_smaps(r);
	if (!r->report->failed)
		check_mincore(r);
	check_range(r, 0, r->pages, 1, r->at);
}

/* Is there a page at which an object cannot be mapped that is mapped elsewhere, too? */
static bool caches_have_aliases(char *pages)
{
	int fd = memfd_create("guard-fuzz", MFD_CLOEXEC);
	bool not_here, nor_there;

	if (fd < 0 || ftruncate(fd, ps))
		return false;
	not_here = mmap(pages, ps, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED;
	nor_there = mmap(pages + ps, ps, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED;
	close(fd);
	return not_here || nor_there;
}

static bool on_dax(void)
{
	struct statx statx_buf = { .stx_attributes = 0 };
	int fd = temporary();
	bool dax = !statx(fd, "", AT_EMPTY_PATH, 0, &statx_buf) &&
		   statx_buf.stx_attributes & STATX_ATTR_DAX;

	close(fd);
	return dax;
}

static void missing(const char *what)
{
	fprintf(stderr, "# on this kernel, %s\n", what);
	if (!have.mainline) {
		printf("1..1\nnot ok 1 %s\n", what);
		exit(1);
	}
}

void find_features(void)
{
	char *page = mmap(NULL, 2 * ps, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	int mem = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	struct page_region regions[2];
	uint64_t entry = 0;
	unsigned n;

	mprotect(page, ps, PROT_NONE);
	have.force = pread(mem, &entry, 8, (uintptr_t)page) == 8;
	mprotect(page, ps, PROT_READ | PROT_WRITE);
	close(mem);
	have.huge = !madvise(page, ps, MADV_NOHUGEPAGE);
	if (madvise(page, ps, MADV_GUARD_INSTALL)) {
		printf("1..0 # SKIP the kernel has no guard pages\n");
		exit(4);
	}
	have.pagemap = pread(fd, &entry, 8, (uintptr_t)page / ps * 8) == 8 && entry & PM_GUARD;
	have.scan = scan(fd, page, page + 2 * ps, regions, 2) == 1;
	close(fd);
	have.smaps = !flag_missing(page, page + ps, &(struct page){ .guard = true }, &n);
	have.aliases = caches_have_aliases(page);
	have.dax = on_dax();
	munmap(page, 2 * ps);
	if (!have.pagemap)
		missing("pagemap does not show guards");
	if (!have.scan)
		missing("PAGEMAP_SCAN does not report guards");
	if (!have.smaps)
		missing("smaps does not show guards");
	if (have.aliases)
		fprintf(stderr, "# caches have aliases: no memory is mapped shared\n");
	if (have.dax)
		fprintf(stderr, "# the file system is DAX: its files are never locked\n");
	if (!have.huge)
		fprintf(stderr, "# the kernel was built without transparent huge pages\n");
	if (!have.force)
		fprintf(stderr, "# on this kernel, /proc/self/mem respects protection\n");
}
