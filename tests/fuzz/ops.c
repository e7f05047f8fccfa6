// SPDX-License-Identifier: GPL-2.0
/*
 * The steps of a run.  Each function makes a call, updates the model, and checks the
 * result of the call.
 */
#include "fuzz.h"

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP	4
#endif
#ifndef MLOCK_ONFAULT
#define MLOCK_ONFAULT		1
#endif
#ifndef PR_SET_VMA
#define PR_SET_VMA		0x53564d41
#endif

/* Page I of a step writes the value TAG + I. */
#define TAG(s)	(((uint64_t)(s)->id + 1) << 20)

#define FILE_NAME(object)	((object) == MEMFD ? "h.memfd" : "h.file")

#define each_page(p, r, first, count) \
	(p = &(r)->page[first]; p < &(r)->page[(first) + (count)]; p++)

static const char *protection(int prot)
{
	return prot == PROT_NONE ? "PROT_NONE" : prot == PROT_READ ? "PROT_READ" :
	       prot & PROT_EXEC ? "PROT_READ | PROT_EXEC" : "PROT_READ | PROT_WRITE";
}

static int some_protection(uint64_t random)
{
	static const int prots[] = { PROT_NONE, PROT_READ, PROT_READ | PROT_EXEC };

	return random % 8 < 3 ? prots[random % 8] : PROT_READ | PROT_WRITE;
}

static bool any_uffd(const struct run *r, unsigned first, unsigned count)
{
	const struct page *p;

	for each_page(p, r, first, count)
		if (p->uffd)
			return true;
	return false;
}

static bool overlap(unsigned a, unsigned na, unsigned b, unsigned nb)
{
	return a < b + nb && b < a + na;
}

static bool do_mmap(struct run *r, const struct step *s)
{
	static const struct { const char *flags; int map; enum kind kind; int object; } maps[] = {
		{ "MAP_PRIVATE | MAP_ANONYMOUS", MAP_PRIVATE | MAP_ANONYMOUS, ANON, -1 },
		{ "MAP_SHARED | MAP_ANONYMOUS", MAP_SHARED | MAP_ANONYMOUS, SHARED, -1 },
		{ "MAP_SHARED", MAP_SHARED, SHARED, MEMFD },
		{ "MAP_PRIVATE", MAP_PRIVATE, PRIVATE, MEMFD },
		{ "MAP_SHARED", MAP_SHARED, SHARED, DISK },
		{ "MAP_PRIVATE", MAP_PRIVATE, PRIVATE, DISK },
	};
	unsigned which = s->arg % MMAP_KINDS, i;
	int prot = some_protection(s->arg >> 8), object, fd;
	bool populate = !((s->arg >> 16) % 4);
	unsigned offset = 0;
	long got;

	which = which < sizeof(maps) / sizeof(maps[0]) ? which : 0;
	/* Often map the same as before this range, so that the two are merged. */
	for (i = 0; s->page && s->arg >> 40 & 1 && i < sizeof(maps) / sizeof(maps[0]); i++) {
		const struct page *p = &r->page[s->page - 1];

		if (p->kind == maps[i].kind && (i == 0 || (int)p->object == maps[i].object)) {
			which = i;
			prot = p->prot;
		}
	}
	if (have.aliases && maps[which].kind == SHARED)
		which = maps[which].object < 0 ? 0 : which + 1;
	object = maps[which].object;
	fd = object < 0 ? -1 : object == MEMFD ? r->handles.memfd : r->handles.file;
	if (maps[which].kind == SHARED && object < 0) {
		object = new_object(r);
		if (object < 0)
			return false;
		r->object[object].size = s->count;
		memset(r->object[object].value, 0, s->count * 8);
	} else if (object >= 0) {
		/* Huge pages need the same alignment in the file and in memory. */
		offset = s->arg >> 20 & 1 ? (s->arg >> 24) % r->file_pages :
			 r->huge ? (s->page + r->huge - HUGE_FROM) % r->huge : s->page;
		if (offset + s->count > r->file_pages)
			offset = 0;
	}

	got = SYS(mmap(P(s->page), s->count * ps, prot,
		       maps[which].map | MAP_FIXED | (populate ? MAP_POPULATE : 0), fd,
		       offset * ps));
	unmap(&r->page[s->page], s->count);
	for (i = 0; i < s->count; i++)
		r->page[s->page + i] = (struct page){
			.kind = maps[which].kind, .prot = prot,
			.object = object < 0 ? 0 : object, .offset = offset + i,
		};
	for (i = 0; i < s->count; i++)
		set_lock(&r->page[s->page + i], r->future);
	settle(r, s->page, s->count);
	result(r, got, 0, "mmap(P(%u), %u * ps, %s, %s | MAP_FIXED%s, %s, %u * ps)", s->page,
	       s->count, protection(prot), maps[which].flags, populate ? " | MAP_POPULATE" : "",
	       fd < 0 ? "-1" : FILE_NAME(object), offset);
	return true;
}

static bool do_munmap(struct run *r, const struct step *s)
{
	long got = SYS(munmap(P(s->page), s->count * ps));

	unmap(&r->page[s->page], s->count);
	result(r, got, 0, "munmap(P(%u), %u * ps)", s->page, s->count);
	return true;
}

static bool do_mprotect(struct run *r, const struct step *s)
{
	int prot = some_protection(s->arg);
	long want = 0, got = SYS(mprotect(P(s->page), s->count * ps, prot));
	struct page *p;

	for each_page(p, r, s->page, s->count) {
		if (p->kind == HOLE) {
			want = -ENOMEM;
			break;
		}
		p->prot = prot;
	}
	settle(r, s->page, s->count);	/* mprotect() populates locked memory */
	result(r, got, want, "mprotect(P(%u), %u * ps, %s)", s->page, s->count, protection(prot));
	return true;
}

/* Some lengths are not aligned; the kernel rounds them up. */
static bool advise(struct run *r, const struct step *s, int advice, const char *name)
{
	unsigned less = s->arg & 7 ? 0 : s->arg % 4000;
	long got = SYS(madvise(P(s->page), s->count * ps - less, advice));
	long want = model_madvise(r, s->page, s->count, advice);

	if (less)
		result(r, got, want, "madvise(P(%u), %u * ps - %u, %s)", s->page, s->count, less,
		       name);
	else
		result(r, got, want, "madvise(P(%u), %u * ps, %s)", s->page, s->count, name);
	return true;
}
#define ADVISE_IF(possible, name)					\
	static bool do_##name(struct run *r, const struct step *s)	\
	{								\
		return possible && advise(r, s, MADV_##name, "MADV_" #name);	\
	}
#define ADVISE(name) ADVISE_IF(true, name)
ADVISE(GUARD_INSTALL)
ADVISE(GUARD_REMOVE)
ADVISE(DONTNEED)
ADVISE(DONTNEED_LOCKED)
ADVISE(FREE)
ADVISE(COLD)
ADVISE(PAGEOUT)
ADVISE(WILLNEED)
ADVISE(POPULATE_READ)
ADVISE(POPULATE_WRITE)
ADVISE(REMOVE)
ADVISE(NORMAL)
ADVISE(RANDOM)
ADVISE(SEQUENTIAL)
ADVISE(DONTFORK)
ADVISE(DOFORK)
ADVISE(WIPEONFORK)
ADVISE(KEEPONFORK)
ADVISE(DONTDUMP)
ADVISE(DODUMP)
ADVISE(MERGEABLE)
ADVISE(UNMERGEABLE)
ADVISE_IF(have.huge, HUGEPAGE)
ADVISE_IF(have.huge, NOHUGEPAGE)

/* The result is not predicted, but MADV_COLLAPSE must not succeed over a guard. */
static bool do_COLLAPSE(struct run *r, const struct step *s)
{
	long got = SYS(madvise(P(s->page), s->count * ps, MADV_COLLAPSE));
	bool guarded = false;
	unsigned n, i;

	if (!r->huge)
		return false;
	for (n = 0; n < r->pages; n++) {
		if ((uintptr_t)P(n) / ps % r->huge || n < s->page ||
		    n + r->huge > s->page + s->count)
			continue;
		for (i = n; i < n + r->huge; i++)
			guarded |= r->page[i].guard && r->page[i].kind == ANON;
	}
	result(r, got, ANY, "madvise(P(%u), %u * ps, MADV_COLLAPSE)", s->page, s->count);
	if (!got && guarded)
		fail(r, "MADV_COLLAPSE over a guard succeeds");
	return true;
}

/* Requests with wrong arguments. */
static bool do_wrong(struct run *r, const struct step *s)
{
	int advice = s->arg & 1 ? MADV_GUARD_INSTALL : MADV_GUARD_REMOVE;

	switch (s->arg >> 1 & 3) {
	case 0:
		result(r, SYS(madvise(P(s->page) + 8, s->count * ps, advice)), -EINVAL,
		       "madvise(P(%u) + 8, %u * ps, %d)", s->page, s->count, advice);
		break;
	case 1:
		result(r, SYS(madvise(P(s->page), -(size_t)(s->page + 1) * ps, advice)), -EINVAL,
		       "madvise(P(%u), -%u * ps, %d)", s->page, s->page + 1, advice);
		break;
	case 2:
		result(r, SYS(madvise(P(s->page), -1, advice)), -EINVAL, "madvise(P(%u), -1, %d)",
		       s->page, advice);
		break;
	default:
		result(r, SYS(madvise(P(s->page), 0, advice)), 0, "madvise(P(%u), 0, %d)", s->page,
		       advice);
	}
	return true;
}

/* Three ranges, of which the second may overlap the others. */
static bool do_vector(struct run *r, const struct step *s)
{
	static const struct {
		int advice;
		const char *name;
	} advices[] = {
		{ MADV_GUARD_INSTALL, "MADV_GUARD_INSTALL" },
		{ MADV_GUARD_REMOVE, "MADV_GUARD_REMOVE" },
		{ MADV_COLD, "MADV_COLD" },
		{ MADV_PAGEOUT, "MADV_PAGEOUT" },
	};
	unsigned which = s->arg % 8, half = s->count / 2, i;
	unsigned first[] = { s->page, s->page2, s->page + half };
	unsigned count[] = { half, s->count2, s->count - half };
	long want = 0, got, err = 0;
	int advice;

	which = which < 4 ? which : which % 2;
	advice = advices[which].advice;
	got = vector(&r->handles, advice, first[0], count[0], first[1], count[1], first[2],
		     count[2]);
	for (i = 0; i < 3 && !err; i++) {
		err = model_madvise(r, first[i], count[i], advice);
		if (!err)
			want += count[i];
	}
	result(r, got, want ? want : err, "vector(&h, %s, %u, %u, %u, %u, %u, %u)",
	       advices[which].name, first[0], count[0], first[1], count[1], first[2], count[2]);
	return true;
}

/* Check that all locked pages that can be populated are populated. */
static void check_locked(struct run *r, unsigned first, unsigned count)
{
	unsigned i;

	read_pagemap(r);
	for (i = first; i < first + count; i++) {
		const struct page *p = &r->page[i];

		if (p->lock == LOCKED && p->prot && fate(r, p, false, false) == WORKS &&
		    !(r->entries[i] & (PM_PRESENT | PM_SWAP))) {
			fail(r, "page %u is locked but not populated", i);
			return;
		}
	}
}

/* What mlock() must return for this page. */
static long populates(struct run *r, const struct page *p)
{
	bool write = p->prot & PROT_WRITE && p->kind != SHARED;
	enum fate f = p->prot ? fate(r, p, write, true) : SEGV;

	if (f == UNSURE || (f == BUS && p->poison))
		return ANY;
	return f == WORKS ? 0 : -ENOMEM;
}

static bool lock_range(struct run *r, const struct step *s, enum lock lock)
{
	long want = 0, got;
	struct page *p;

	if (lock == UNLOCKED)
		got = SYS(munlock(P(s->page), s->count * ps));
	else
		got = SYS(syscall(SYS_mlock2, P(s->page), s->count * ps,
				  lock == ONFAULT ? MLOCK_ONFAULT : 0));
	for each_page(p, r, s->page, s->count) {
		if (p->kind == HOLE) {
			want = -ENOMEM;
			break;
		}
		set_lock(p, lock);
	}
	if (!want && lock != UNLOCKED) {
		for each_page(p, r, s->page, s->count) {
			/* MLOCK_ONFAULT has no effect where nothing is locked. */
			if (lock == LOCKED || is_dax(p))
				want = populates(r, p);
			if (want)
				break;
		}
		settle(r, s->page, s->count);
		if (lock == LOCKED && !want && !got)
			check_locked(r, s->page, s->count);
	}
	if (lock == UNLOCKED)
		result(r, got, want, "munlock(P(%u), %u * ps)", s->page, s->count);
	else
		result(r, got, want, "syscall(SYS_mlock2, P(%u), %u * ps, %d)", s->page, s->count,
		       lock == ONFAULT);
	return true;
}

static bool do_mlock(struct run *r, const struct step *s)
{
	return lock_range(r, s, s->arg % 4 ? LOCKED : ONFAULT);
}

static bool do_munlock(struct run *r, const struct step *s)
{
	return lock_range(r, s, UNLOCKED);
}

static bool do_mlockall(struct run *r, const struct step *s)
{
	static const int which[] = { MCL_CURRENT, MCL_FUTURE, MCL_CURRENT | MCL_FUTURE };
	int flags = which[s->arg % 3] | (s->arg >> 2 & 1 ? MCL_ONFAULT : 0);
	enum lock lock = flags & MCL_ONFAULT ? ONFAULT : LOCKED;
	bool failing = have.mainline;
	long got = SYS(mlockall(flags));
	struct page *p;

	if (!got) {
		r->future = flags & MCL_FUTURE ? lock : UNLOCKED;
		for each_page(p, r, 0, r->pages) {
			if (flags & MCL_CURRENT && p->kind != HOLE)
				set_lock(p, lock);
			/* The kernel does not populate what follows these in the mapping. */
			failing |= p->kind != HOLE && !p->guard && p->prot &&
				   fate(r, p, p->prot & PROT_WRITE, true) != WORKS;
		}
		settle(r, 0, r->pages);
		if (flags & MCL_CURRENT && lock == LOCKED && !failing)
			check_locked(r, 0, r->pages);
	}
	/* mlockall() needs a privilege. */
	result(r, got, geteuid() ? ANY : 0, "mlockall(%d)", flags);
	return true;
}

static bool do_munlockall(struct run *r, const struct step *s)
{
	long got = SYS(munlockall());
	struct page *p;

	(void)s;
	r->future = UNLOCKED;
	for each_page(p, r, 0, r->pages)
		p->lock = UNLOCKED;
	result(r, got, 0, "munlockall()");
	return true;
}

/* An mremap() that fails may already have unmapped its target. */
static void look_for_holes(struct run *r, unsigned first, unsigned count)
{
	unsigned char core;
	unsigned i;

	for (i = first; i < first + count; i++)
		if (mincore(P(i), ps, &core) == -1)
			unmap(&r->page[i], 1);
}

/*
 * The model does not know the boundary between two mappings that look the same.  EFAULT
 * is correct for a range that crosses one.
 */
static long may_be_two(long got, unsigned count)
{
	return got == -EFAULT && count > 1 ? -EFAULT : 0;
}

static bool do_mremap_size(struct run *r, const struct step *s)
{
	unsigned old = s->count, new = s->count2, i;
	bool free = true;
	long got, want;

	if (!uniform(r, s->page, old) || s->page + new > r->pages)
		return false;
	for (i = old; i < new; i++)
		free &= r->page[s->page + i].kind == HOLE;
	/* To see whether the mapping can grow, the kernel may look beyond the slice. */
	got = SYS(mremap(P(s->page), old * ps, new * ps, 0));
	if (new <= old) {
		want = 0;
		unmap(&r->page[s->page + new], old - new);
	} else {
		want = free ? may_be_two(got, old) : got == -EFAULT && old > 1 ? got : -ENOMEM;
		if (!got && free)
			model_move(r, s->page, old, s->page, new, false);
		settle(r, s->page, new);
	}
	result(r, got, want, "mremap(P(%u), %u * ps, %u * ps, 0)", s->page, old, new);
	return true;
}

static bool do_mremap_move(struct run *r, const struct step *s)
{
	bool keep = s->arg % 4 == 0, copy = s->arg % 8 == 1;
	unsigned from = s->page, to = s->page2, old = s->count, new = s->count2;
	int flags = MREMAP_MAYMOVE | MREMAP_FIXED | (keep ? MREMAP_DONTUNMAP : 0);
	long got, want;

	if (s->arg >> 8 & 1 || keep)
		new = old;
	if (to + new > r->pages || overlap(from, old, to, new))
		return false;
	if (copy)
		old = 0;
	else if (!uniform(r, from, old < new ? old : new))
		return false;
	/* Mainline also unlocks the rest of the old mapping. */
	if (r->page[from].kind == HOLE || (have.mainline && keep && r->page[from].lock))
		return false;

	got = SYS(mremap(P(from), old * ps, new * ps, flags, P(to)));
	want = copy && r->page[from].kind != SHARED ? -EINVAL :
						      may_be_two(got, old < new ? old : new);
	if (got) {
		look_for_holes(r, to, new);
		if (old > new)
			look_for_holes(r, from + new, old - new);
	} else {
		if (old > new)
			unmap(&r->page[from + new], old - new);
		model_move(r, from, old < new ? old : new, to, new, keep);
		settle(r, to, new);
	}
	result(r, got, want,
	       "mremap(P(%u), %u * ps, %u * ps, MREMAP_MAYMOVE | MREMAP_FIXED%s, P(%u))", from, old,
	       new, keep ? " | MREMAP_DONTUNMAP" : "", to);
	return true;
}

/* The result that a write must have, if several are correct and it had GOT. */
static long of_write(const struct page *p, enum fate must, long got)
{
	if (must == SEGV)
		return SIGSEGV;
	if (must == BUS)
		return SIGBUS;
	/* Where a write is handled as a read first, a missing page may show instead. */
	if (!(p->prot & PROT_WRITE))
		return got == SIGBUS ? SIGBUS : SIGSEGV;
	return must == UNSURE && got == SIGBUS ? SIGBUS : 0;
}

static bool do_write(struct run *r, const struct step *s)
{
	unsigned i;

	for (i = 0; i < s->count && !r->report->failed; i++) {
		unsigned n = s->page + i;
		enum fate must = fate(r, &r->page[n], true, false);
		long got = put(P(n), TAG(s) + i);

		if (!got)
			write_page(r, &r->page[n], TAG(s) + i);
		result(r, got, of_write(&r->page[n], must, got), "put(P(%u), %#lx)", n,
		       (long)TAG(s) + i);
	}
	return true;
}

static bool do_read(struct run *r, const struct step *s)
{
	unsigned n;

	for (n = s->page; n < s->page + s->count && !r->report->failed; n++)
		probe(r, n, false);
	return true;
}

static bool do_jump(struct run *r, const struct step *s)
{
	if (r->page[s->page].kind != HOLE && !r->page[s->page].guard)
		return false;
	result(r, jump(P(s->page)), SIGSEGV, "jump(P(%u))", s->page);
	return true;
}

/* The kernel's own accesses get as far as the first page that it cannot access. */
static long as_far(struct run *r, unsigned first, unsigned count, bool write, bool force, long got,
		   int err)
{
	long least = 0, most, n = got < 0 ? 0 : got;

	while (least < (long)count && fate(r, &r->page[first + least], write, force) == WORKS)
		least++;
	for (most = least; most < (long)count && fate(r, &r->page[first + most], write, force) <= UNSURE;)
		most++;
	n = n < least ? least : n > most ? most : n;
	return n ? n : err;
}

static void check_read(struct run *r, unsigned first, long got, const char *how)
{
	long i;

	for (i = 0; i < got && !r->report->failed; i++)
		check_value(r, first + i, *(uint64_t *)(r->buffer + i * ps),
			    *(uint64_t *)(r->buffer + (i + 1) * ps - 8), how);
}

static void model_write(struct run *r, const struct step *s, long got)
{
	long i;

	for (i = 0; i < got; i++)
		write_page(r, &r->page[s->page + i], TAG(s) + i);
}

static bool do_readv(struct run *r, const struct step *s)
{
	long got = vm_readv(r->buffer, s->page, s->count);

	result(r, got, as_far(r, s->page, s->count, false, false, got, -EFAULT),
	       "vm_readv(buffer, %u, %u)", s->page, s->count);
	check_read(r, s->page, got, "process_vm_readv()");
	return true;
}

static bool do_writev(struct run *r, const struct step *s)
{
	long got = vm_writev(s->page, s->count, TAG(s));
	long want = as_far(r, s->page, s->count, true, false, got, -EFAULT);

	model_write(r, s, got);
	result(r, got, want, "vm_writev(%u, %u, %#lx)", s->page, s->count, (long)TAG(s));
	return true;
}

static bool do_mem_read(struct run *r, const struct step *s)
{
	long got;

	if (!have.force)
		return false;
	got = mem_read(&r->handles, r->buffer, s->page, s->count);
	result(r, got, as_far(r, s->page, s->count, false, true, got, -EIO),
	       "mem_read(&h, buffer, %u, %u)", s->page, s->count);
	check_read(r, s->page, got, "/proc/self/mem");
	return true;
}

static bool do_mem_write(struct run *r, const struct step *s)
{
	long got, want;

	if (!have.force)
		return false;
	got = mem_write(&r->handles, s->page, s->count, TAG(s));
	want = as_far(r, s->page, s->count, true, true, got, -EIO);
	model_write(r, s, got);
	result(r, got, want, "mem_write(&h, %u, %u, %#lx)", s->page, s->count, (long)TAG(s));
	return true;
}

static bool do_pipe_write(struct run *r, const struct step *s)
{
	unsigned count = s->count < PIPE ? s->count : PIPE;
	long got = pipe_write(&r->handles, r->buffer, s->page, count);

	result(r, got, as_far(r, s->page, count, false, false, got, -EFAULT),
	       "pipe_write(&h, buffer, %u, %u)", s->page, count);
	check_read(r, s->page, got, "write()");
	return true;
}

static bool do_pipe_read(struct run *r, const struct step *s)
{
	unsigned count = s->count < PIPE ? s->count : PIPE;
	long got = pipe_read(&r->handles, s->page, count, TAG(s));
	long want = as_far(r, s->page, count, true, false, got, -EFAULT);

	model_write(r, s, got);
	result(r, got, want, "pipe_read(&h, %u, %u, %#lx)", s->page, count, (long)TAG(s));
	return true;
}

static int file_of(struct run *r, unsigned object)
{
	return object == MEMFD ? r->handles.memfd : r->handles.file;
}

static bool do_truncate(struct run *r, const struct step *s)
{
	unsigned object = s->arg & 1 ? DISK : MEMFD;
	unsigned size = s->arg >> 1 & 1 ? r->file_pages : (s->arg >> 4) % (r->file_pages + 1);
	long got = SYS(ftruncate(file_of(r, object), size * ps));

	model_resize(r, object, size);
	result(r, got, 0, "ftruncate(%s, %u * ps)", FILE_NAME(object), size);
	return true;
}

static bool do_punch(struct run *r, const struct step *s)
{
	unsigned object = s->arg & 1 ? DISK : MEMFD, i;
	unsigned first = s->page % r->file_pages;
	unsigned count = s->count < r->file_pages - first ? s->count : r->file_pages - first;
	long got = SYS(fallocate(file_of(r, object), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				 first * ps, count * ps));

	for (i = first; i < first + count; i++)
		r->object[object].value[i] = 0;
	result(r, got, 0,
	       "fallocate(%s, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, %u * ps, %u * ps)",
	       FILE_NAME(object), first, count);
	return true;
}

static bool do_file_write(struct run *r, const struct step *s)
{
	unsigned object = s->arg & 1 ? DISK : MEMFD, i;
	unsigned first = s->page % r->file_pages;
	unsigned count = s->count < r->file_pages - first ? s->count : r->file_pages - first;
	long got = file_write(file_of(r, object), first, count, TAG(s));
	struct object *o = &r->object[object];

	for (i = 0; i < count; i++)
		o->value[first + i] = TAG(s) + i;
	if (o->size < first + count)
		o->size = first + count;
	result(r, got, count, "file_write(%s, %u, %u, %#lx)", FILE_NAME(object), first, count,
	       (long)TAG(s));
	return true;
}

static bool do_file_read(struct run *r, const struct step *s)
{
	unsigned object = s->arg & 1 ? DISK : MEMFD, i;
	struct object *o = &r->object[object];
	long got = whole(pread(file_of(r, object), r->buffer, r->file_pages * ps, 0));

	result(r, got, o->size, "whole(pread(%s, buffer, %u * ps, 0))", FILE_NAME(object),
	       r->file_pages);
	for (i = 0; i < o->size && !r->report->failed; i++)
		if (*(uint64_t *)(r->buffer + i * ps) != o->value[i])
			fail(r, "page %u of %s holds %#lx instead of %#lx", i, FILE_NAME(object),
			     *(long *)(r->buffer + i * ps), (long)o->value[i]);
	return true;
}

/*
 * userfaultfd supports anonymous and shared memory: reduce the step's range to the part
 * before any other memory.
 */
static bool uffd_can(const struct run *r, struct step *s)
{
	unsigned count = 0;

	for (; count < s->count; count++) {
		const struct page *p = &r->page[s->page + count];

		if (p->kind == HOLE || p->kind == PRIVATE ||
		    (p->kind == SHARED && p->object == DISK))
			break;
	}
	s->count = count;
	return count && r->handles.uffd >= 0;
}

static bool register_range(struct run *r, const struct step *s)
{
	static const int some[] = { UFFD_MISSING, UFFD_MISSING, UFFD_WP, UFFD_MISSING | UFFD_WP,
				    UFFD_MINOR };
	int modes = some[s->arg % 5];
	struct page *p;
	long got;

	if (modes & ~r->handles.modes)
		return false;
	/* On mainline, MADV_GUARD_INSTALL does not return in such a range. */
	if (have.mainline && modes & UFFD_WP)
		for each_page(p, r, s->page, s->count)
			if (p->kind == SHARED)
				return false;
	if (modes == UFFD_MINOR)
		for each_page(p, r, s->page, s->count)
			if (p->kind != SHARED)
				return false;
	got = uffd_register(&r->handles, s->page, s->count, modes);
	for each_page(p, r, s->page, s->count)
		if ((p->uffd & modes) != modes)
			p->uffd = modes;
	result(r, got, 0, "uffd_register(&h, %u, %u, %d)", s->page, s->count, modes);
	return true;
}

static bool do_uffd_register(struct run *r, const struct step *step)
{
	struct step s = *step;

	return uffd_can(r, &s) && register_range(r, &s);
}

/* The other steps register their range first, if no page of it is registered. */
static bool uffd_ready(struct run *r, struct step *s)
{
	return uffd_can(r, s) && (any_uffd(r, s->page, s->count) || register_range(r, s));
}

static bool do_uffd_unregister(struct run *r, const struct step *step)
{
	struct step s = *step;
	struct page *p;
	long got;

	if (!uffd_can(r, &s))
		return false;
	got = uffd_unregister(&r->handles, s.page, s.count);
	for each_page(p, r, s.page, s.count)
		p->uffd = 0;
	result(r, got, 0, "uffd_unregister(&h, %u, %u)", s.page, s.count);
	return true;
}

/*
 * How far these requests come depends on which pages are populated.  But they must never
 * replace a guard, or a page that was written to.
 */
static bool uffd_fills(struct run *r, const struct step *step, unsigned long request,
		       const char *name)
{
	struct step part = *step, *s = &part;
	long got, want = ANY, i;
	struct page *p;

	if (!uffd_ready(r, s))
		return false;
	for each_page(p, r, s->page, s->count)
		if (p->guard && have.mainline)	/* mainline overwrites guards */
			return false;
	got = uffd_fill(&r->handles, request, s->page, s->count, request == UFFD_COPY ? TAG(s) : 0);
	if (r->page[s->page].guard && s->count == 1)
		want = -EEXIST;
	result(r, got, r->page[s->page].kind == SHARED && got < 0 ? ANY : want,
	       "uffd_fill(&h, %s, %u, %u, %#lx)", name, s->page, s->count,
	       request == UFFD_COPY ? (long)TAG(s) : 0);
	for (i = 0; i < got && !r->report->failed; i++) {
		p = &r->page[s->page + i];
		if (p->guard || (p->own && !p->lazy && request != UFFD_CONTINUE)) {
			fail(r, "%s replaces %s, page %ld", name,
			     p->guard ? "a guard" : "written data", s->page + i);
		} else if (request == UFFD_POISON) {
			/* Other mappings of the shared memory may remove it. */
			p->poison = p->kind == ANON ? YES : MAYBE;
			p->own = p->lazy = false;
		} else if (request == UFFD_CONTINUE) {
			p->poison = NO;
		} else {
			write_page(r, p, request == UFFD_COPY ? TAG(s) + i : 0);
			p->own &= request == UFFD_COPY;
		}
	}
	return true;
}

static bool do_uffd_copy(struct run *r, const struct step *s)
{
	return uffd_fills(r, s, UFFD_COPY, "UFFD_COPY");
}

static bool do_uffd_zeropage(struct run *r, const struct step *s)
{
	return uffd_fills(r, s, UFFD_ZEROPAGE, "UFFD_ZEROPAGE");
}

static bool do_uffd_poison(struct run *r, const struct step *s)
{
	return !NO_POISON && uffd_fills(r, s, UFFD_POISON, "UFFD_POISON");
}

static bool do_uffd_continue(struct run *r, const struct step *s)
{
	const struct page *p;

	for each_page(p, r, s->page, s->count)
		if (p->kind != SHARED)
			return false;
	return uffd_fills(r, s, UFFD_CONTINUE, "UFFD_CONTINUE");
}

static bool do_uffd_protect(struct run *r, const struct step *step)
{
	struct step part = *step, *s = &part;

	if (!uffd_ready(r, s))
		return false;
	result(r, uffd_protect(&r->handles, s->page, s->count, s->arg & 1), ANY,
	       "uffd_protect(&h, %u, %u, %d)", s->page, s->count, (int)s->arg & 1);
	return true;
}

static bool do_uffd_move(struct run *r, const struct step *s)
{
	struct step target = *s, source = *s;
	unsigned to = s->page, from = s->page2, count;
	long got, i;

	source.page = from;
	if (from + s->count > r->pages || !uffd_can(r, &source))
		return false;
	target.count = source.count;
	if (!uffd_ready(r, &target))
		return false;
	count = target.count;
	if (overlap(to, count, from, count))
		return true;
	got = uffd_move(&r->handles, to, from, count);
	result(r, got, ANY, "uffd_move(&h, %u, %u, %u)", to, from, count);
	for (i = 0; i < got && !r->report->failed; i++) {
		struct page *t = &r->page[to + i], *f = &r->page[from + i];

		if (t->guard || f->guard || (t->own && !t->lazy) || t->kind != ANON) {
			fail(r, "UFFDIO_MOVE replaces or moves page %ld, from page %ld", to + i,
			     from + i);
			return true;
		}
		t->own = f->own;
		t->lazy = f->lazy;
		t->value = f->value;
		t->poison = NO;
		f->own = f->lazy = false;
	}
	return true;
}

static bool do_clear_refs(struct run *r, const struct step *s)
{
	const char *what = s->arg % 4 ? "4" : "1";	/* soft-dirty, referenced */

	result(r, clear_refs(what), 0, "clear_refs(\"%s\")", what);
	return true;
}

/* mbind() splits and merges mappings. */
static bool do_mbind(struct run *r, const struct step *s)
{
	int policy = s->arg % 3;

	result(r, bind_to_node(s->page, s->count, policy), ANY, "bind_to_node(%u, %u, %d)", s->page,
	       s->count, policy);
	return true;
}

static bool do_name(struct run *r, const struct step *s)
{
	long name = s->arg & 1 ? (long)"name" : 0;

	result(r, SYS(prctl(PR_SET_VMA, 0, P(s->page), s->count * ps, name)), ANY,
	       "prctl(PR_SET_VMA, 0, P(%u), %u * ps, %s)", s->page, s->count,
	       name ? "\"name\"" : "0");
	return true;
}

/* Changes that a child makes to its memory must not be visible in the parent. */
static void change_in_child(struct run *r, const struct step *s)
{
	struct page *p;
	unsigned n;

	for (n = s->page; n < s->page + s->count; n++) {
		p = &r->page[n];
		if ((p->kind == ANON || p->kind == PRIVATE) && fate(r, p, true, false) == WORKS &&
		    !put(P(n), TAG(s)))
			write_page(r, p, TAG(s));
	}
	do_GUARD_INSTALL(r, s);
	check_all(r);
	do_GUARD_REMOVE(r, s);
	check_all(r);
}

/* The contents of sealed memory that is not writable must not be discarded. */
static void seal_in_child(struct run *r, const struct step *s)
{
	bool sealed = false;
	struct page *p;
	unsigned n;
	long err;

	for each_page(p, r, s->page, s->count)
		if (p->kind == HOLE || (p->kind == PRIVATE && !(p->prot & PROT_WRITE)))
			return;	/* for private file mappings, kernels differ */
	err = SYS(syscall(SYS_mseal, P(s->page), s->count * ps, 0));
	result(r, err, ANY, "syscall(SYS_mseal, P(%u), %u * ps, 0)", s->page, s->count);
	if (err)
		return;
	for (n = s->page; n < s->page + s->count && !sealed; n++) {
		p = &r->page[n];
		if (p->kind == ANON && !(p->prot & PROT_WRITE))
			sealed = true;
		else
			model_madvise(r, n, 1, MADV_GUARD_INSTALL);
	}
	result(r, SYS(madvise(P(s->page), s->count * ps, MADV_GUARD_INSTALL)), sealed ? -EPERM : 0,
	       "madvise(P(%u), %u * ps, MADV_GUARD_INSTALL)", s->page, s->count);
	check_all(r);
	do_GUARD_REMOVE(r, s);
	check_all(r);
}

static bool do_fork(struct run *r, const struct step *s)
{
	bool again = s->arg % 8 == 7;
	pid_t child;
	int status;

	if (r->program) {
		fprintf(r->program, "\tif (!fork()) {\n");
		fflush(r->program);
	}
	child = fork();
	if (child == -1)
		return false;
	if (!child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		model_fork(r);
		r->report->fork_checks++;
		check_all(r);
		if (!r->report->failed && again)
			do_fork(r,
				&(struct step){ .id = s->id, .page = s->page, .count = s->count });
		else if (!r->report->failed && s->arg % 8 < 2)
			change_in_child(r, s);
		else if (!r->report->failed && s->arg % 8 == 2)
			seal_in_child(r, s);
		if (r->program)
			fflush(r->program);
		_exit(0);
	}
	if (waitpid(child, &status, 0) != child || status)
		fail(r, "the child ended with status %#x", status);
	if (r->program)
		fprintf(r->program, "\t_exit(failed);\n\t}\n\tended();\n");
	result(r, 0, ANY, "fork()");
	return true;
}

#define ADVICE(name, weight)	{ "MADV_" #name, weight, false, do_##name }
const struct op ops[] = {
	{ "mmap", 40, false, do_mmap },
	{ "munmap", 10, false, do_munmap },
	{ "mprotect", 40, false, do_mprotect },
	ADVICE(GUARD_INSTALL, 150),
	ADVICE(GUARD_REMOVE, 60),
	ADVICE(DONTNEED, 30),
	ADVICE(DONTNEED_LOCKED, 10),
	ADVICE(FREE, 20),
	ADVICE(COLD, 10),
	ADVICE(PAGEOUT, 30),
	ADVICE(WILLNEED, 10),
	ADVICE(POPULATE_READ, 20),
	ADVICE(POPULATE_WRITE, 20),
	ADVICE(REMOVE, 10),
	ADVICE(NORMAL, 15),
	ADVICE(RANDOM, 10),
	ADVICE(SEQUENTIAL, 5),
	ADVICE(DONTFORK, 3),
	ADVICE(DOFORK, 10),
	ADVICE(WIPEONFORK, 3),
	ADVICE(KEEPONFORK, 10),
	ADVICE(DONTDUMP, 5),
	ADVICE(DODUMP, 10),
	ADVICE(MERGEABLE, 5),
	ADVICE(UNMERGEABLE, 10),
	ADVICE(HUGEPAGE, 15),
	ADVICE(NOHUGEPAGE, 5),
	ADVICE(COLLAPSE, 20),
	{ "wrong requests", 5, false, do_wrong },
	{ "process_madvise", 30, false, do_vector },
	{ "mlock", 15, false, do_mlock },
	{ "munlock", 30, false, do_munlock },
	{ "mlockall", 4, true, do_mlockall },
	{ "munlockall", 10, true, do_munlockall },
	{ "mremap in place", 20, false, do_mremap_size },
	{ "mremap to", 60, false, do_mremap_move },
	{ "write", 60, false, do_write },
	{ "read", 20, false, do_read },
	{ "jump", 10, false, do_jump },
	{ "process_vm_readv", 10, false, do_readv },
	{ "process_vm_writev", 15, false, do_writev },
	{ "read /proc/self/mem", 10, false, do_mem_read },
	{ "write /proc/self/mem", 10, false, do_mem_write },
	{ "write to a pipe", 10, false, do_pipe_write },
	{ "read from a pipe", 10, false, do_pipe_read },
	{ "truncate", 15, false, do_truncate },
	{ "punch a hole", 15, false, do_punch },
	{ "write to the file", 10, false, do_file_write },
	{ "read the file", 5, false, do_file_read },
	{ "uffd register", 15, false, do_uffd_register },
	{ "uffd unregister", 15, false, do_uffd_unregister },
	{ "UFFDIO_COPY", 15, false, do_uffd_copy },
	{ "UFFDIO_ZEROPAGE", 8, false, do_uffd_zeropage },
	{ "UFFDIO_POISON", 20, false, do_uffd_poison },
	{ "UFFDIO_CONTINUE", 8, false, do_uffd_continue },
	{ "UFFDIO_WRITEPROTECT", 15, false, do_uffd_protect },
	{ "UFFDIO_MOVE", 15, false, do_uffd_move },
	{ "clear_refs", 10, false, do_clear_refs },
	{ "mbind", 5, false, do_mbind },
	{ "name", 5, false, do_name },
	{ "fork", 40, false, do_fork },
};
const unsigned nr_ops = sizeof(ops) / sizeof(ops[0]);
