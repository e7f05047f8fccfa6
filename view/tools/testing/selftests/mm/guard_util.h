/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Helpers of the guard page tests, and the mapping under test.
 *
 * Calls return 0 or the errno, so that a test can compare. Functions that take
 * @nr count in pages.
 */
#ifndef __GUARD_UTIL_H__
#define __GUARD_UTIL_H__

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/mman.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "../kselftest.h"
#include "vm_util.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL	102
#define MADV_GUARD_REMOVE	103
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE		25
#endif
#ifndef PAGE_IS_GUARD
#define PAGE_IS_GUARD		BIT_ULL(8)
#endif
#ifndef __NR_mseal
#define __NR_mseal		462
#endif
#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE	0x0010
#endif
#define PM_GUARD		BIT_ULL(58)

/* In seconds: kernels that check each access are ten times slower than others. */
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT	120

/*
 * The si_code of a fault on a guard depends on the architecture. Where it is that
 * of PROT_NONE, it does not distinguish the two.
 */
#if defined(__alpha__) || defined(__csky__) || defined(__hexagon__) || \
	defined(__hppa__) || defined(__loongarch__) || defined(__microblaze__) || \
	defined(__mips__) || defined(__nios2__) || defined(__or1k__) || \
	defined(__sparc__) || defined(__xtensa__)
#define GUARD_SI_CODE		SEGV_ACCERR
#else
#define GUARD_SI_CODE		SEGV_MAPERR
#endif

/* Pages in a mapping of small pages. */
#define NR_SMALL		16
/* Tests skip larger huge pages and large folios, which would take too long. */
#define MAX_HUGE		((size_t)64 << 20)
#define MAX_LARGE		((size_t)2 << 20)
/* fill() gives this content to the first page of a file. */
#define FILE_SEED		1000000

/* Catch faults for touch(), and skip all tests if the kernel has no guard pages. */
void guard_init(void);

int advise(void *addr, size_t len, int advice);
int guard_install(void *addr, size_t len);
int guard_remove(void *addr, size_t len);
int guard_every(size_t step, char *addr, size_t nr);
int protect(void *addr, size_t len, int prot);
ssize_t advise_process(pid_t pid, struct iovec *iov, size_t nr, int advice);
bool seal(char *mem, size_t len);
int dont_dump(char *mem, size_t len);
int mlock_range(char *mem, size_t len);
bool can_lock(char *mem, size_t len);
const char *lock_error(void);

enum access { READ, WRITE, EXEC };

struct fault {
	int sig;	/* 0: there was none */
	int code;
	char *addr;
};

void catch_faults(void);
struct fault fault_of(void (*call)(char *arg), char *arg);
struct fault touch(char *addr, enum access access);
int look(char *page, unsigned long *value);
bool is_guard_fault(struct fault fault, char *addr);

/* What a page is, found out by accesses to it. */
bool is_guarded(char *page);
bool is_zero(char *page);
bool is_readable(char *page);

/* How many pages of a range are that. */
size_t count(char *start, size_t nr, bool (*is)(char *page));
size_t guarded(char *start, size_t nr);
size_t zeroed(char *start, size_t nr);
size_t readable(char *start, size_t nr);
void fill(char *start, size_t nr, unsigned long seed);
size_t filled(char *start, size_t nr, unsigned long seed);

int pagemap_fd(void);
uint64_t pagemap(char *page);
uint64_t *read_pagemap(char *start, size_t nr);
bool is_guard_in_pagemap(char *page);
size_t guarded_in_pagemap(char *start, size_t nr);
bool is_present(char *page);
size_t present(char *start, size_t nr);

#define MAX_REGIONS	4096

struct scan {
	long ret;
	unsigned int error;
	struct page_region regions[MAX_REGIONS];
};

void scan(struct scan *scan, char *start, size_t len, uint64_t mask,
	  uint64_t inverted, uint64_t flags);
long scan_some(struct scan *scan, char *from, char *end, size_t max_pages,
	       size_t vec_len, char **walk_end);

size_t pages(size_t nr);
size_t kb(size_t nr);
size_t table_size(void);
bool guards_are_shared(void);
long page_tables_kb(void);
size_t large_folio_size(void);
size_t mapped_huge(char *mem, size_t len);
char *find_mapping(const char *name, size_t *len);
time_t now(void);
void dawdle(size_t loops);

char *map_at(char *addr, size_t len, int prot);
char *map_small(size_t nr);
void *xmap(size_t len, int prot, int flags);
char *reserve(size_t len, size_t align, size_t offset);
int memfd(size_t len);
int open_regular_file(void);

int wait_child(pid_t pid);
bool child_sees_guards(char *start, size_t nr, size_t expected);
pid_t start_beside(int (*fn)(void *arg), void *arg, int flags);
int nr_cpus(cpu_set_t *allowed);
void stay_on_this_cpu(void);
void move_to_another_cpu(const cpu_set_t *allowed);
int first_node(void);

int uffd_open(uint64_t features);
int uffd_protect(int uffd, void *addr, size_t len, bool on);
const char *uffd_error(void);

/* The mapping under test: see guard_util.c. */
enum backing {
	ANON,
	SHMEM,		/* MAP_SHARED | MAP_ANONYMOUS */
	MEMFD_SHARED,
	MEMFD_PRIVATE,
	FILE_SHARED,	/* a regular file */
	FILE_PRIVATE,
};

struct under_test {
	enum backing backing;
	bool shared;
	bool is_shmem;		/* whether mapped privately or not */
	bool is_dax;		/* likewise */
	bool has_data;		/* the file has content at the moment */
	int fd;			/* -1: there is no file to be had */
	size_t len;		/* of the file, twice that of the mapping */
	size_t colour;		/* see reserve() */
};

extern struct under_test under_test;

int set_backing(enum backing backing, size_t len, bool huge);
const char *backing_error(int error);
char *map_backing(char *addr, size_t len, int prot, size_t page);
void empty_backing(void);
void punch(size_t len);
bool has_pages(void);
size_t rss_kb(size_t nr);
size_t fresh(char *start, size_t nr, size_t page);
size_t discarded(char *start, size_t nr, size_t page);
bool is_regular_file(void);

void stripe(char *mem, size_t nr);
size_t striped(char *mem, size_t nr);
size_t unstriped(char *mem, size_t nr);

bool is_file(enum backing backing);
bool is_shared(enum backing backing);
char *map_arena(enum backing backing, size_t len);

#endif
