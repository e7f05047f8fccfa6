// SPDX-License-Identifier: GPL-2.0
/* The model: the state of each page of the arena, and how calls change it. */
#include "fuzz.h"

static bool beyond_end(struct run *r, const struct page *p)
{
	return p->kind != ANON && !p->own && p->offset >= r->object[p->object].size;
}

/* sparc64 handles a write to a missing page as a read first, then as a write. */
#ifdef __sparc__
#define READS_FIRST true
#else
#define READS_FIRST false
#endif

/* The result of an access; FORCE: by a debugger, which ignores protection. */
enum fate fate(struct run *r, const struct page *p, bool write, bool force)
{
	if (p->kind == HOLE || p->guard)
		return SEGV;
	if (force) {
		if (write && p->kind == SHARED && !(p->prot & PROT_WRITE))
			return SEGV;
	} else if (!(p->prot & (write ? PROT_WRITE : PROT_READ))) {
		enum fate read = READS_FIRST && write ? fate(r, p, false, false) : WORKS;

		return read == WORKS ? SEGV : read;
	}
	if (p->poison == YES || beyond_end(r, p))
		return BUS;
	if (p->poison == MAYBE)
		return UNSURE;
	/* Only pages that were written to are known to be present. */
	if (p->uffd & (UFFD_MISSING | UFFD_MINOR) && (!p->own || p->lazy))
		return UNSURE;
	return write && p->uffd & UFFD_WP ? UNSURE : WORKS;
}

uint64_t value_of(struct run *r, const struct page *p)
{
	if (p->own)
		return p->value;
	return p->kind == ANON ? 0 : r->object[p->object].value[p->offset];
}

void write_page(struct run *r, struct page *p, uint64_t value)
{
	p->poison = NO;
	if (p->kind == SHARED) {
		r->object[p->object].value[p->offset] = value;
		return;
	}
	p->own = true;
	p->lazy = false;
	p->value = value;
}

/* Drop the page's own contents, and poison. */
static void discard(struct page *p)
{
	p->own = p->lazy = false;
	p->poison = NO;
}

void unmap(struct page *p, unsigned count)
{
	memset(p, 0, count * sizeof(*p));
}

bool is_dax(const struct page *p)
{
	return have.dax && (p->kind == SHARED || p->kind == PRIVATE) && p->object == DISK;
}

/* Is that page of a private mapping a copy that was just made, and not the file's? */
static bool is_copy(const struct page *p, uint64_t entry)
{
	/* pagemap does not show PM_FILE for the pages of a DAX file. */
	return entry & PM_PRESENT && !(entry & PM_FILE) &&
	       (!is_dax(p) || entry & PM_EXCLUSIVE);
}

/*
 * The kernel may have populated pages of a private file mapping with copies of their own.
 * These keep their contents when the file changes, so record them.
 */
void settle(struct run *r, unsigned first, unsigned count)
{
	bool any = false;
	unsigned i;

	for (i = first; i < first + count; i++)
		any |= r->page[i].kind == PRIVATE && !r->page[i].own && !r->page[i].guard;
	if (!any)
		return;
	read_pagemap(r);
	for (i = first; i < first + count; i++) {
		struct page *p = &r->page[i];
		uint64_t e = r->entries[i];

		if (p->kind == PRIVATE && !p->own && !p->guard && !beyond_end(r, p) &&
		    (is_copy(p, e) || e & PM_SWAP))
			write_page(r, p, value_of(r, p));
	}
}

/* Apply a request to one page; return 0, or -errno, which ends the request. */
static long advise(struct run *r, struct page *p, int advice)
{
	switch (advice) {
	case MADV_GUARD_INSTALL:
		if (p->lock)
			return -EINVAL;
		discard(p);
		p->guard = true;
		return 0;
	case MADV_GUARD_REMOVE:
		p->guard = false;
		return 0;
	case MADV_DONTNEED:
		if (p->lock)
			return -EINVAL;
		/* fall through */
	case MADV_DONTNEED_LOCKED:
		discard(p);
		if (have.wrong_model)
			p->guard = false;
		return 0;
	case MADV_FREE:
		if (p->lock || p->kind != ANON)
			return -EINVAL;
		p->lazy = p->own;
		p->poison = NO;
		return 0;
	case MADV_COLD:
	case MADV_PAGEOUT:
		return p->lock ? -EINVAL : 0;
	case MADV_REMOVE:
		if (p->lock || p->kind == ANON)
			return -EINVAL;
		if (p->kind == PRIVATE)
			return -EACCES;
		if (p->offset < r->object[p->object].size)
			r->object[p->object].value[p->offset] = 0;
		return 0;
	case MADV_WIPEONFORK:
		if (p->kind != ANON)
			return -EINVAL;
		p->wipe = true;
		return 0;
	case MADV_KEEPONFORK:
		p->wipe = false;
		return 0;
	case MADV_DONTFORK:
	case MADV_DOFORK:
		p->dontfork = advice == MADV_DONTFORK;
		return 0;
	default:
		return 0;
	}
}

/* Populating stops at the first page that cannot be populated. */
static long populate(struct run *r, unsigned first, unsigned count, bool write)
{
	unsigned i;

	for (i = first; i < first + count; i++) {
		struct page *p = &r->page[i];

		if (p->kind == HOLE)
			return -ENOMEM;
		if (!(p->prot & (write ? PROT_WRITE : PROT_READ)))
			return -EINVAL;
		switch (fate(r, p, write, false)) {
		case SEGV:
			return -EFAULT;
		case BUS:
			return p->poison ? ANY : -EFAULT;
		case UNSURE:
			return ANY;
		case WORKS:
			break;
		}
	}
	return 0;
}

long model_madvise(struct run *r, unsigned first, unsigned count, int advice)
{
	bool hole = false;
	unsigned i;
	long err;

	if (advice == MADV_POPULATE_READ || advice == MADV_POPULATE_WRITE) {
		err = populate(r, first, count, advice == MADV_POPULATE_WRITE);
		settle(r, first, count);
		return err;
	}

	for (i = first; i < first + count; i++) {
		if (r->page[i].kind == HOLE) {
			hole = true;
			continue;
		}
		err = advise(r, &r->page[i], advice);
		if (err)
			return err;
	}
	return hole ? -ENOMEM : 0;
}

/* Turn the model into that of a child after fork(). */
void model_fork(struct run *r)
{
	unsigned i;

	for (i = 0; i < r->pages; i++) {
		struct page *p = &r->page[i];

		if (p->dontfork) {
			unmap(p, 1);
			continue;
		}
		if (p->wipe) {
			discard(p);
			p->guard = false;
		}
		if (p->poison)
			p->poison = MAYBE;
		p->lock = UNLOCKED;
		p->uffd = 0;
	}
	r->future = UNLOCKED;
	r->child = r->stale = true;
}

/* Truncating a file removes even the private copies of its pages. */
void model_resize(struct run *r, unsigned object, unsigned size)
{
	struct object *o = &r->object[object];
	unsigned i;

	for (i = size; i < o->size; i++)
		o->value[i] = 0;
	for (i = 0; i < r->pages && size < o->size; i++) {
		struct page *p = &r->page[i];

		if ((p->kind == SHARED || p->kind == PRIVATE) && p->object == object &&
		    p->offset >= size)
			discard(p);
	}
	o->size = size;
}

/* mremap(); KEEP: MREMAP_DONTUNMAP.  If OLD is 0, it maps the same object again. */
void model_move(struct run *r, unsigned from, unsigned old, unsigned to, unsigned new, bool keep)
{
	struct page first = r->page[from], *moved = calloc(new, sizeof(*moved));
	unsigned i;

	for (i = 0; i < new; i++) {
		if (i < old) {
			moved[i] = r->page[from + i];
		} else {
			moved[i] = first;
			moved[i].offset = first.offset + i;
			discard(&moved[i]);
			moved[i].guard = false;
		}
		if (from != to)
			moved[i].uffd = 0;
	}
	for (i = 0; i < old; i++) {
		struct page *p = &r->page[from + i];

		if (keep) {
			discard(p);
			p->guard = false;
			p->lock = UNLOCKED;
		} else {
			unmap(p, 1);
		}
	}
	memcpy(&r->page[to], moved, new * sizeof(*moved));
	free(moved);
}

/* A mapping of a DAX file is never locked, because its pages cannot be reclaimed. */
void set_lock(struct page *p, enum lock lock)
{
	p->lock = is_dax(p) ? UNLOCKED : lock;
}

/* Find an object that no page maps; -1 if there is none. */
int new_object(struct run *r)
{
	unsigned object, i;

	for (object = FIRST_ANONYMOUS; object < OBJECTS; object++) {
		for (i = 0; i < r->pages; i++) {
			const struct page *p = &r->page[i];

			if ((p->kind == SHARED || p->kind == PRIVATE) && p->object == object)
				break;
		}
		if (i == r->pages)
			return object;
	}
	return -1;
}

/* Could these pages be in one mapping, as far as the model knows? */
bool uniform(const struct run *r, unsigned first, unsigned count)
{
	const struct page *a = &r->page[first];
	unsigned i;

	for (i = 0; i < count; i++) {
		const struct page *b = a + i;

		if (b->kind == HOLE || b->kind != a->kind || b->prot != a->prot ||
		    b->lock != a->lock || b->uffd != a->uffd || b->dontfork != a->dontfork ||
		    b->wipe != a->wipe)
			return false;
		if (a->kind != ANON && (b->object != a->object || b->offset != a->offset + i))
			return false;
	}
	return true;
}
