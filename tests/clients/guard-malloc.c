// SPDX-License-Identifier: GPL-2.0
/*
 * A guarded allocator that can be preloaded into any program. Each allocation ends at
 * a page that raises SIGSEGV on access, and freed memory raises SIGSEGV until it is
 * allocated again.
 *
 *	cc -O2 -shared -fPIC -o guard-malloc.so guard-malloc*.c
 *	LD_PRELOAD=./guard-malloc.so program
 *
 * The environment:
 *	GUARD_MALLOC		guards (the default) or prot-none
 *	GUARD_MALLOC_MIN	smaller allocations use the C library (default: a page)
 *	GUARD_MALLOC_QUARANTINE	number of free pages that are not reused yet
 *	GUARD_MALLOC_STATS	a file to which each process appends a line of figures
 *
 * All memory is in one mapping, which is reserved at the start and handed out in slots:
 * the pages with the data, followed by at least one guard. Everything except the data of
 * live allocations is inaccessible. The two modes differ only in shut(), open_up() and
 * reserve():
 *
 * guards: the mapping is readable and writable. Before addresses are used for the first
 * time, they become guards, TABLE pages at a time. Allocating removes the guards on the
 * data; freeing installs them again, which also discards the data.
 *
 * prot-none: the mapping is PROT_NONE from the start, so a guard costs no call. Allocating
 * calls mprotect(). Freeing maps new memory over the data with one mmap(); unlike
 * mprotect(), this leaves no anon_vma, which would prevent adjacent free slots from being
 * merged into one VMA.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

#include "guard-malloc.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#define MADV_GUARD_REMOVE 103
#endif

#define ARENA		(1UL << 38)
#define ALIGN		16UL	/* what malloc() promises */
#define TABLE		512UL	/* pages that one page table maps */
#define CLASSES		200
#define QUARANTINE	65536UL	/* pages */

#define EXIT_NO_GUARDS	2

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *p, size_t size);
void *__libc_memalign(size_t align, size_t size);
void __libc_free(void *p);

enum state { NOT_THE_FIRST, LIVE, FREE };

/* There is one for each page of the arena; a slot's first page has the slot's description. */
struct slot {
	size_t size;		/* as requested */
	uint32_t next;		/* in a free slot: the next slot in its list */
	uint16_t offset;	/* in a live slot: where in the page the data starts */
	uint8_t class;
	uint8_t state;
};

static bool ready, prot_none, said;
static size_t min_size, max_quarantine, page;
static char *arena;
static struct slot *slots;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

/* Page numbers; page 0 is never part of a slot, so 0 ends a list. */
static size_t frontier = 1;		/* first page that was never used */
static size_t guarded = 1;		/* first page that was never a guard */
static uint32_t free_slots[CLASSES];
static uint32_t oldest, newest;		/* the quarantine */
static size_t quarantined;

static size_t allocations, live;

static const char *mode(void)
{
	return prot_none ? "prot-none" : "guards";
}

/* Does not use stdio streams or dprintf(), which would allocate. */
static __attribute__((format(printf, 1, 2))) void say(const char *format, ...)
{
	char line[256];
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	if (write(2, line, n) != n)
		return;
}

static _Noreturn void fatal(const char *what, const void *p)
{
	say("guard-malloc: %s: %p: %s\n", what, p, strerror(errno));
	abort();
}

static void reserve(void)
{
	int prot = prot_none ? PROT_NONE : PROT_READ | PROT_WRITE;

	arena = mmap(NULL, ARENA, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	slots = mmap(NULL, ARENA / page * sizeof(*slots), PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (arena == MAP_FAILED || slots == MAP_FAILED)
		fatal("cannot reserve memory", NULL);
	if (prot_none || !madvise(arena, page, MADV_GUARD_INSTALL))
		return;
	say("guard-malloc: this kernel has no guard pages (MADV_GUARD_INSTALL: %s); GUARD_MALLOC=prot-none works without them\n",
	    strerror(errno));
	_exit(EXIT_NO_GUARDS);
}

/* Make pages inaccessible, and forget what they hold. */
static int shut(size_t first, size_t count)
{
	char *p = arena + first * page;

	if (!prot_none)
		return madvise(p, count * page, MADV_GUARD_INSTALL);
	return mmap(p, count * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS |
		    MAP_NORESERVE | MAP_FIXED, -1, 0) == p ? 0 : -1;
}

/* Make pages accessible; they read as zero. */
static int open_up(size_t first, size_t count)
{
	char *p = arena + first * page;

	if (!prot_none)
		return madvise(p, count * page, MADV_GUARD_REMOVE);
	return mprotect(p, count * page, PROT_READ | PROT_WRITE);
}

/* There are eight classes for each doubling of the size. Return the pages of a class ... */
static size_t class_pages(unsigned int class)
{
	return class < 8 ? class + 1 : (8UL + class % 8 + 1) << (class / 8 - 1);
}

/* ... and the smallest class of at least @pages. */
static unsigned int class_of(size_t pages)
{
	unsigned int shift = 0;

	if (pages <= 8)
		return pages - 1;
	while (((pages - 1) >> shift) >= 16)
		shift++;
	return (shift + 1) * 8 + ((pages - 1) >> shift) - 8;
}

static __attribute__((destructor)) void finish(void)
{
	if (ready && !said)
		stats_write(mode(), allocations, said);
}

static void before_fork(void) { pthread_mutex_lock(&mutex); }
static void after_fork(void) { pthread_mutex_unlock(&mutex); }

static size_t setting(const char *name, size_t otherwise)
{
	const char *value = getenv(name);

	return value ? strtoul(value, NULL, 0) : otherwise;
}

/* Until this has run, malloc() uses the C library's allocator. */
static __attribute__((constructor)) void begin(void)
{
	const char *asked = getenv("GUARD_MALLOC");

	page = getauxval(AT_PAGESZ);
	prot_none = asked && !strcmp(asked, "prot-none");
	if (asked && strcmp(asked, mode())) {
		say("guard-malloc: GUARD_MALLOC must be guards or prot-none, not %s\n", asked);
		_exit(EXIT_NO_GUARDS);
	}
	min_size = setting("GUARD_MALLOC_MIN", page);
	max_quarantine = setting("GUARD_MALLOC_QUARANTINE", QUARANTINE);
	reserve();
	pthread_atfork(before_fork, after_fork, after_fork);
	stats_begin(getenv("GUARD_MALLOC_STATS"));
	ready = true;
}

/* Take a free slot, or one that was never used; return 0 if there is none. */
static size_t take_slot(unsigned int class, size_t pages, size_t align)
{
	uint32_t *link = &free_slots[class];
	size_t mask = align > page ? align / page - 1 : 0;
	size_t base = (size_t)arena / page, end, first, tries;

	for (tries = 0; *link && tries < 16; link = &slots[*link].next, tries++) {
		first = *link;
		if ((base + first) & mask)
			continue;
		*link = slots[first].next;
		return first;
	}
	first = ((base + frontier + mask) & ~mask) - base;
	end = first + class_pages(class);
	if (end > ARENA / page)
		return 0;
	if (!prot_none && end > guarded) {
		/* Data that is as large as a page table's range gets no guards before its use. */
		size_t from = pages >= TABLE ? first + pages : guarded;
		size_t to = (end + TABLE - 1) & ~(TABLE - 1);

		if (pages >= TABLE && first > guarded && shut(guarded, first - guarded))
			return 0;
		if (shut(from, to - from))
			return 0;
		guarded = to;
	}
	frontier = end;
	return first;
}

static void give_slot(uint32_t first)
{
	struct slot *slot = &slots[first];

	slot->next = free_slots[slot->class];
	free_slots[slot->class] = first;
}

static size_t data_pages(size_t size)
{
	return (size + page - 1) / page;
}

static bool ours(const void *p)
{
	return ready && (size_t)((const char *)p - arena) < ARENA;
}

static bool guard_this(size_t size, size_t align)
{
	return ready && (size >= min_size || align >= page);
}

static void *guarded_malloc(size_t size, size_t align)
{
	unsigned int class;
	size_t pages, first;
	struct slot *slot;
	char *p;

	if (align < ALIGN)
		align = ALIGN;
	if (size > ARENA / 2 || align > ARENA / 2) {
		errno = ENOMEM;
		return NULL;
	}
	size += !size;
	pages = data_pages(size);
	class = class_of(pages + 1);

	pthread_mutex_lock(&mutex);
	first = take_slot(class, pages, align);
	if (first) {
		slots[first].class = class;
		allocations++;
		live++;
		stats_peak(live, false);
	}
	pthread_mutex_unlock(&mutex);
	if (!first || open_up(first, pages)) {
		pthread_mutex_lock(&mutex);
		stats_peak(live, true);
		if (first) {
			give_slot(first);
			live--;
		}
		if (!said) {
			said = true;
			say("guard-malloc: no memory for another allocation, %zu are live\n", live);
			stats_write(mode(), allocations, said);
		}
		pthread_mutex_unlock(&mutex);
		errno = ENOMEM;
		return NULL;
	}
	p = arena + (first + pages) * page - size;
	p = (char *)((uintptr_t)p & ~(align - 1));
	slot = &slots[first];
	slot->size = size;
	slot->offset = (uintptr_t)p & (page - 1);
	slot->state = LIVE;
	return p;
}

static struct slot *slot_of(void *p)
{
	struct slot *slot = &slots[(size_t)((char *)p - arena) / page];

	errno = EINVAL;
	if (slot->state == FREE)
		fatal("freed already", p);
	if (slot->state != LIVE || slot->offset != ((uintptr_t)p & (page - 1)))
		fatal("never allocated", p);
	return slot;
}

static void guarded_free(void *p)
{
	struct slot *slot = slot_of(p);
	size_t first = slot - slots, pages = data_pages(slot->size);

	/* No other thread can allocate the slot yet, so this does not need the lock. */
	slot->state = FREE;
	if (shut(first, pages))
		fatal("cannot be made inaccessible", p);
	pthread_mutex_lock(&mutex);
	live--;
	slot->next = 0;
	if (newest)
		slots[newest].next = first;
	else
		oldest = first;
	newest = first;
	quarantined += class_pages(slot->class);
	while (quarantined > max_quarantine) {
		first = oldest;
		oldest = slots[first].next;
		if (!oldest)
			newest = 0;
		quarantined -= class_pages(slots[first].class);
		give_slot(first);
	}
	pthread_mutex_unlock(&mutex);
}

void *malloc(size_t size)
{
	return guard_this(size, 1) ? guarded_malloc(size, 1) : __libc_malloc(size);
}

void free(void *p)
{
	int error = errno;

	if (ours(p))
		guarded_free(p);
	else
		__libc_free(p);
	errno = error;
}

void *calloc(size_t count, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(count, size, &bytes)) {
		errno = ENOMEM;
		return NULL;
	}
	/* Memory reads as zero after its guards were removed, whether it is fresh or reused. */
	return guard_this(bytes, 1) ? guarded_malloc(bytes, 1) : __libc_calloc(count, size);
}

size_t malloc_usable_size(void *p)
{
	static size_t (*next)(void *p);
	struct slot *slot;

	if (!p)
		return 0;
	if (ours(p)) {
		slot = slot_of(p);
		return data_pages(slot->size) * page - slot->offset;
	}
	if (!next)
		next = (size_t (*)(void *))dlsym(RTLD_NEXT, "malloc_usable_size");
	return next(p);
}

void *realloc(void *p, size_t size)
{
	size_t old;
	void *new;

	if (!p)
		return malloc(size);
	if (!ours(p) && !guard_this(size, 1))
		return __libc_realloc(p, size);
	if (!size) {
		free(p);
		return NULL;
	}
	old = malloc_usable_size(p);
	new = malloc(size);
	if (!new)
		return NULL;
	memcpy(new, p, old < size ? old : size);
	free(p);
	return new;
}

void *memalign(size_t align, size_t size)
{
	if (align & (align - 1)) {
		errno = EINVAL;
		return NULL;
	}
	return guard_this(size, align) ? guarded_malloc(size, align) : __libc_memalign(align, size);
}

void *aligned_alloc(size_t align, size_t size) { return memalign(align, size); }
void *valloc(size_t size) { return memalign(page, size); }

int posix_memalign(void **p, size_t align, size_t size)
{
	int error = errno, failed;

	if (align % sizeof(void *) || align & (align - 1) || !align)
		return EINVAL;
	*p = memalign(align, size);
	failed = *p ? 0 : errno;
	errno = error;
	return failed;
}
