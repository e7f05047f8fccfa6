/* SPDX-License-Identifier: GPL-2.0 */
/* Types and functions of guard-fuzz; see guard-fuzz.c. */
#ifndef GUARD_FUZZ_H
#define GUARD_FUZZ_H

#define FUZZ
#include "calls.h"

#include <limits.h>
#include <stdbool.h>

#define ANY	LONG_MIN	/* a result that is not predicted */

enum kind { HOLE, ANON, SHARED, PRIVATE };	/* SHARED and PRIVATE map an object */
enum certainty { NO, YES, MAYBE };
enum lock { UNLOCKED, LOCKED, ONFAULT };

/* The state that a page of the arena must have. */
struct page {
	enum kind kind;
	int prot;
	enum lock lock;
	bool guard;
	bool own;		/* ANON: written to; PRIVATE: has its own copy */
	bool lazy;		/* after MADV_FREE: its contents may be gone */
	bool dontfork, wipe;
	int uffd;		/* UFFD_MISSING, UFFD_WP, UFFD_MINOR */
	enum certainty poison;	/* by UFFDIO_POISON */
	unsigned object, offset;
	uint64_t value;		/* if it has its own contents */
};

/* Shared memory or a file, with the contents that all mappings of it show. */
enum { MEMFD, DISK, FIRST_ANONYMOUS, OBJECTS = 10 };
struct object {
	unsigned size;		/* in pages */
	uint64_t *value;
};

/* One step.  Its effect depends only on this and on the model. */
struct step {
	unsigned op, id;
	unsigned page, count, page2, count2;
	uint64_t arg;
};

#define MMAP_KINDS	10		/* the step's argument chooses one */
/* Arguments of the step mmap: writable anonymous memory, or shared memory. */
#define MMAP_ANONYMOUS	0x10708
#define MMAP_MEMFD	0x10704
#define HUGE_FROM	16		/* first page of the arena where a huge page can be */

#define LOG	12
struct report {			/* shared between processes */
	volatile bool failed;
	volatile unsigned step;
	unsigned long checks, guards_touched, fork_checks;
	unsigned long done[64], skipped[64];
	unsigned logged;
	char log[LOG][160];
	char why[300];
};

struct run {
	char *base;
	unsigned pages;		/* of this slice of the arena */
	unsigned file_pages;
	unsigned huge;		/* pages in a huge page if one fits, else 0 */
	unsigned tables;	/* whole page tables in this slice */
	unsigned first_table;	/* the page at which the first of them begins */
	struct page *page;
	struct object object[OBJECTS];
	struct handles handles;
	enum lock future;	/* of new mappings, by mlockall(MCL_FUTURE) */
	int pagemap;
	bool threads;		/* there are other slices */
	bool sparing;		/* touch few pages until the end */
	bool child;
	bool stale;		/* pagemap refers to the parent process */
	bool last;		/* there are no more steps */
	const struct step *steps;
	unsigned nr_steps, at;
	struct report *report;
	FILE *program;		/* if set, write the run to it as C */
	uint64_t *entries;
	char *buffer;
};

struct op {
	const char *name;
	unsigned weight;
	bool whole_mm;		/* affects all slices: only in runs with one thread */
	bool (*run)(struct run *r, const struct step *s);	/* false if not possible now */
};
extern const struct op ops[];
extern const unsigned nr_ops;

/* The features of this kernel, and two options. */
extern struct features {
	bool pagemap, scan, smaps, force, huge, aliases, dax, mainline, wrong_model;
} have;

/* guard-fuzz.c */
void fail(struct run *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
void result(struct run *r, long got, long want, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
uint64_t mix(uint64_t x);

/* model.c */
enum fate { WORKS, UNSURE, BUS, SEGV };
enum fate fate(struct run *r, const struct page *p, bool write, bool force);
uint64_t value_of(struct run *r, const struct page *p);
void write_page(struct run *r, struct page *p, uint64_t value);
void settle(struct run *r, unsigned first, unsigned count);
long model_madvise(struct run *r, unsigned first, unsigned count, int advice);
void model_fork(struct run *r);
void model_resize(struct run *r, unsigned object, unsigned size);
void model_move(struct run *r, unsigned from, unsigned old, unsigned to, unsigned new, bool keep);
void unmap(struct page *p, unsigned count);
bool is_dax(const struct page *p);
void set_lock(struct page *p, enum lock lock);
int new_object(struct run *r);
bool uniform(const struct run *r, unsigned first, unsigned count);

/* check.c */
void probe(struct run *r, unsigned n, bool write);
void check_value(struct run *r, unsigned n, uint64_t first, uint64_t last, const char *how);
void check_pagemap(struct run *r);
void check_step(struct run *r, const struct step *s);
void check_all(struct run *r);
void read_pagemap(struct run *r);
void find_features(void);

#define PM_EXCLUSIVE	(1ull << 56)
#define PM_UFFD_WP	(1ull << 57)
#define PM_GUARD	(1ull << 58)
#define PM_FILE		(1ull << 61)
#define PM_SWAP		(1ull << 62)
#define PM_PRESENT	(1ull << 63)

#endif
