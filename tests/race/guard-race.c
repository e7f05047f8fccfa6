// SPDX-License-Identifier: GPL-2.0
/*
 * guard-race: threads of two processes install and remove guards, while other threads
 * do everything that can change page tables and mappings to the same memory: reclaim,
 * huge pages, KSM, migration, truncation, fork, userfaultfd, mprotect and so on.
 *
 * The order of events is unknown, so each page has a role, which determines what must
 * be true at all times:
 *
 *	GUARD	a guard from the start, which must not be removed
 *	DATA	holds a value that must not change; never a guard
 *	CHURN	owned by one installer thread, which knows whether it is a guard
 *	FREE	never a guard; may lose its contents at any time
 *	TABLE	changed by a few threads at the same time, in rounds: what may be true
 *		after a round depends on all that they did
 *
 * Both processes map the same shared memory and files.  Each has its own guards, at
 * the same places.
 *
 * usage: guard-race [-s SECONDS] [-z SWAP-DEVICE]
 *   SECONDS  how long the threads run, or up to a minute longer, until each kind of
 *	      thread has had an effect
 *
 * Prints KTAP, with a test for each kind of thread.  A kind that this kernel does not
 * support is skipped, with the reason; a kind that never had an effect fails.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <linux/mempolicy.h>
#include <linux/userfaultfd.h>

#define MADV_GUARD_INSTALL	102
#define MADV_GUARD_REMOVE	103
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE		25
#endif
#ifndef UFFD_FEATURE_WP_ASYNC
#define UFFD_FEATURE_WP_ASYNC	(1 << 15)
#endif
#ifndef UFFD_FEATURE_WP_UNPOPULATED
#define UFFD_FEATURE_WP_UNPOPULATED (1 << 13)
#endif

#define PM_GUARD	(1ull << 58)
#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

/* --- The memory and the roles of its pages --- */

enum role { GUARD, DATA, CHURN, FREE, TABLE };

/*
 * The units of a mapping: mixed roles, data for huge pages, churn, two whole page tables,
 * the file's end.
 */
enum { MIXED, HUGE, LOOSE, TABLES, TABLES_END, TAIL, NR_UNITS };

enum backing { PRIVATE, SHARED };

static struct memory {
	const char *name;
	enum backing backing;
	bool file;		/* has a descriptor and can be truncated */
	int fd;
	bool dax;
	char *mem;
	unsigned char *guarded;	/* pages of CHURN: whether the owner made it a guard */
	struct table_page *tables;	/* pages of TABLE */
} memories[] = {
	{ "anonymous", PRIVATE, false, -1, false, NULL, NULL, NULL },
	{ "shared", SHARED, false, -1, false, NULL, NULL, NULL },
	{ "memfd", SHARED, true, -1, false, NULL, NULL, NULL },
	{ "private memfd", PRIVATE, true, -1, false, NULL, NULL, NULL },
	{ "file", SHARED, true, -1, false, NULL, NULL, NULL },
	{ "private file", PRIVATE, true, -1, false, NULL, NULL, NULL },
};

#define NR_MEMORIES	ARRAY_SIZE(memories)
#define NR_INSTALLERS	2
#define NR_OWNERS	(NR_INSTALLERS + 1)	/* the last owner is vectorer() */
#define BLOCK		8	/* neighbouring pages with one owner */
#define MAX_RANGES	1024	/* IOV_MAX */

static size_t ps, nr, unit;	/* page size; pages in a mapping, and in a unit of it */

static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

static enum role role_of(size_t page)
{
	switch (page / unit) {
	case MIXED:
		return mix(page) % 4;
	case HUGE:	/* huge pages exist only while the last page is no guard */
		return page % unit == unit - 1 ? CHURN : DATA;
	case LOOSE:
		return CHURN;
	case TABLES:
	case TABLES_END:
		return TABLE;
	default:	/* no data, because this part of the file is truncated at times */
		return (enum role[]){ GUARD, CHURN, CHURN, FREE }[page % 4];
	}
}

static unsigned owner_of(size_t page)
{
	return page / BLOCK % NR_OWNERS;
}

/* There are few values, so that KSM finds identical pages. */
static unsigned long stamp(size_t page)
{
	return 1 + page % 16;
}

static char *at(const struct memory *m, size_t page)
{
	return m->mem + page * ps;
}

/* To map the memory at a place where something is mapped. */
static int map_flags(const struct memory *m)
{
	return (m->backing == SHARED ? MAP_SHARED : MAP_PRIVATE) |
	       (m->file ? 0 : MAP_ANONYMOUS) | MAP_FIXED;
}

/* --- Threads --- */

struct thread {
	const struct kind *kind;
	unsigned id;
	uint64_t random;
	pthread_t thread;
};

struct kind {
	const char *name;
	unsigned threads;	/* in each process */
	void (*step)(struct thread *t);
};

/* Results of each kind of thread in both processes. */
static struct tally {
	unsigned long steps, done;	/* done: steps that had an effect */
	char failed[200], skipped[200];
	bool fails;
} *tallies;

static bool *stop;
/* All threads have their stacks before mapper() makes holes in the address space. */
static pthread_barrier_t all_there;
static const char *swap_device;
static int pagemap, self, nodes;	/* nodes: number of NUMA nodes, at most 2 */

static struct tally *tally(struct thread *t);

static uint64_t rnd(struct thread *t, uint64_t below)
{
	t->random = mix(t->random);
	return t->random % below;
}

/* Record the first failure of a kind of thread, and end the run. */
__attribute__((format(printf, 2, 3)))
static void fail(struct thread *t, const char *format, ...)
{
	struct tally *mine = tally(t);
	va_list args;

	if (!__atomic_exchange_n(&mine->fails, true, __ATOMIC_SEQ_CST)) {
		va_start(args, format);
		vsnprintf(mine->failed, sizeof(mine->failed), format, args);
		va_end(args);
	}
	__atomic_store_n(stop, true, __ATOMIC_SEQ_CST);
}

__attribute__((format(printf, 2, 3)))
static void skip(struct thread *t, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(tally(t)->skipped, sizeof(tally(t)->skipped), format, args);
	va_end(args);
}

/* Count an effect if @ok. */
static void did(struct thread *t, bool ok)
{
	if (ok)
		__atomic_add_fetch(&tally(t)->done, 1, __ATOMIC_RELAXED);
}

/* Choose a range of at most @max pages in one of the mappings. */
static struct memory *some(struct thread *t, size_t max, size_t *page, size_t *len)
{
	*len = 1 + rnd(t, max);
	*page = rnd(t, nr - *len + 1);
	return &memories[rnd(t, NR_MEMORIES)];
}

/* Choose a page with this role in one of the mappings. */
static struct memory *some_page(struct thread *t, enum role role, size_t *page)
{
	struct memory *m = &memories[rnd(t, NR_MEMORIES)];

	do {
		*page = rnd(t, nr);
	} while (role_of(*page) != role);
	return m;
}

static __thread sigjmp_buf fault;

static void on_fault(int sig)
{
	siglongjmp(fault, sig);
}

/* Read a value and return 0, or return the signal that the access raised. */
static int look(char *at, unsigned long *value)
{
	int sig = sigsetjmp(fault, 0);

	if (!sig)
		*value = *(volatile unsigned long *)at;
	return sig;
}

static int put(char *at, unsigned long value)
{
	int sig = sigsetjmp(fault, 0);

	if (!sig)
		*(volatile unsigned long *)at = value;
	return sig;
}

/* Check a page of GUARD or DATA; return what is wrong, or NULL. */
static const char *wrong(const struct memory *m, size_t page)
{
	unsigned long value = 0;
	int sig = look(at(m, page), &value);

	if (role_of(page) == GUARD)
		return sig == SIGSEGV ? NULL : "an access to a guard did not raise SIGSEGV";
	if (sig)
		return "an access to data raised a signal";
	return value == stamp(page) ? NULL : "data has changed";
}

static bool is_kept(size_t page)
{
	return role_of(page) == GUARD || role_of(page) == DATA;
}

static void check_kept(struct thread *t, const struct memory *m, size_t page)
{
	const char *why = is_kept(page) ? wrong(m, page) : NULL;

	if (why)
		fail(t, "%s, page %zu: %s", m->name, page, why);
}

/* --- Threads that install and remove guards --- */

/* Repeats INSTALL while another thread has the memory locked. */
static void guard(struct thread *t, char *from, size_t len, bool install)
{
	int advice = install ? MADV_GUARD_INSTALL : MADV_GUARD_REMOVE;
	struct iovec pages[BLOCK];
	bool one_by_one = len <= BLOCK * ps && !rnd(t, 4);
	size_t i;
	bool ok;

	for (i = 0; one_by_one && i < len / ps; i++)
		pages[i] = (struct iovec){ from + i * ps, ps };
	do {
		errno = EINVAL; /* a short process_madvise() does not set it */
		if (one_by_one)
			ok = syscall(SYS_process_madvise, self, pages, len / ps, advice, 0) ==
			     (ssize_t)len;
		else
			ok = !madvise(from, len, advice);
	} while (!ok && install && errno == EINVAL);
	if (!ok)
		fail(t, "%s: %s", install ? "INSTALL" : "REMOVE", strerror(errno));
}

/* Check pages of CHURN by their owner.  Beyond the end of a file, SIGBUS is correct. */
static void check_owned(struct thread *t, struct memory *m, size_t page, size_t len,
			const char *when)
{
	unsigned long value;
	size_t i;
	int sig;

	for (i = page; i < page + len; i++) {
		sig = look(at(m, i), &value);
		if (sig == SIGBUS && m->file && i / unit == TAIL && !m->guarded[i])
			continue;
		if (sig != (m->guarded[i] ? SIGSEGV : 0))
			fail(t, "%s, page %zu %s: %s, signal %d", m->name, i, when,
			     m->guarded[i] ? "a guard" : "no guard", sig);
	}
}

static void installer(struct thread *t)
{
	struct memory *m;
	size_t page, len;
	bool install = rnd(t, 2);

	do {
		m = some_page(t, CHURN, &page);
	} while (owner_of(page) != t->id);
	for (len = 1; (page + len) % BLOCK && role_of(page + len) == CHURN; len++)
		;
	check_owned(t, m, page, len, "before");
	guard(t, at(m, page), len * ps, install);
	memset(m->guarded + page, install, len);
	check_owned(t, m, page, len, install ? "after INSTALL" : "after REMOVE");
	did(t, true);
}

/* Find the owner's next run of pages at or after @page; return 0 if there is none. */
static size_t next_run(unsigned owner, size_t *page)
{
	size_t len = 0;

	while (*page < nr && (owner_of(*page) != owner || role_of(*page) != CHURN))
		(*page)++;
	while (*page + len < nr && owner_of(*page + len) == owner &&
	       role_of(*page + len) == CHURN)
		len++;
	return len;
}

/*
 * One call for all pages of a mapping that this thread owns.  It holds the VMA lock over
 * many ranges, while other threads wait to change the VMA.
 */
static void vectorer(struct thread *t)
{
	int advice = rnd(t, 2) ? MADV_GUARD_INSTALL : MADV_GUARD_REMOVE;
	struct memory *m = &memories[rnd(t, NR_MEMORIES)];
	struct iovec ranges[MAX_RANGES];
	size_t page, len, n = 0, i;
	ssize_t done = 0, ret;

	for (page = 0; n < MAX_RANGES && (len = next_run(NR_INSTALLERS, &page)); page += len) {
		check_owned(t, m, page, len, "before a vector");
		ranges[n++] = (struct iovec){ at(m, page), len * ps };
	}
	for (i = 0; i < n; ) {
		errno = EINVAL; /* a short process_madvise() does not set it */
		ret = syscall(SYS_process_madvise, self, ranges + i, n - i, advice, 0);
		if (ret < 0 && (errno != EINVAL || advice == MADV_GUARD_REMOVE)) {
			fail(t, "vector of %zu ranges: %s", n - i, strerror(errno));
			return;
		}
		for (done = 0; i < n && done < ret; i++)
			done += ranges[i].iov_len;
		if (ret >= 0 && done != ret)
			fail(t, "a vector ended within a range");
	}
	for (i = 0; i < n; i++) {
		page = ((char *)ranges[i].iov_base - m->mem) / ps;
		len = ranges[i].iov_len / ps;
		memset(m->guarded + page, advice == MADV_GUARD_INSTALL, len);
		check_owned(t, m, page, len, "after a vector");
	}
	did(t, n > 1);
}

/* Neither REMOVE of a range without guards nor INSTALL over guards changes anything. */
static void repeater(struct thread *t)
{
	struct memory *m;
	size_t page;

	m = some_page(t, rnd(t, 2) ? GUARD : DATA, &page);
	guard(t, at(m, page), ps, role_of(page) == GUARD);
	check_kept(t, m, page);
	did(t, true);
}

/* --- Threads that change the same whole page tables --- */

/*
 * They work in rounds.  After each round, one of them compares the pages with what all of
 * them have done, in whatever order.
 */
#define NR_TABLERS	3
#define STEPS_OF_ROUND	4

enum { INSTALLED = 1, REMOVED = 2, DROPPED = 4, WRITTEN = 8 };

struct table_page {
	bool guard, held;	/* before the round; held: has contents that must stay */
	unsigned char done;	/* in the round, by any thread */
};

static struct memory *tables_of;	/* the memory of this round; NULL: no more rounds */
static pthread_barrier_t round_limit;

static char *at_tables(const struct memory *m, size_t page)
{
	return at(m, TABLES * unit + page);
}

/* Choose a range: a few pages, a table, a part at the end or start of one, or both. */
static void some_of_tables(struct thread *t, size_t *page, size_t *len)
{
	size_t table = rnd(t, 2) * unit, part = 1 + rnd(t, unit - 1);

	switch (rnd(t, 5)) {
	case 0:
		*len = 1 + rnd(t, 8);
		*page = rnd(t, 2 * unit - *len);
		break;
	case 1:
		*page = table + part;
		*len = unit - part;
		break;
	case 2:
		*page = table;
		*len = part;
		break;
	case 3:
		*page = table;
		*len = unit;
		break;
	default:
		*page = 0;
		*len = 2 * unit;
	}
}

static void mark(struct memory *m, size_t page, size_t len, unsigned char what)
{
	size_t i;

	for (i = page; i < page + len; i++)
		__atomic_fetch_or(&m->tables[i].done, what, __ATOMIC_RELAXED);
}

/* Map memory again: without guards, and without its page tables where they are whole. */
static void map_tables(struct thread *t, struct memory *m, size_t page, size_t len)
{
	if (mmap(at_tables(m, page), len * ps, PROT_READ | PROT_WRITE, map_flags(m), m->fd,
		 (TABLES * unit + page) * ps) == MAP_FAILED)
		fail(t, "mmap: %s", strerror(errno));
	madvise(at_tables(m, page), len * ps, MADV_HUGEPAGE);
}

static void change_tables(struct thread *t, struct memory *m)
{
	size_t page, len, i;

	some_of_tables(t, &page, &len);
	switch (rnd(t, 8)) {
	case 0:
		map_tables(t, m, page, len);
		mark(m, page, len, REMOVED | DROPPED);
		break;
	case 1:
		madvise(at_tables(m, page), len * ps, MADV_DONTNEED);
		mark(m, page, len, DROPPED);
		break;
	case 2:
		i = page + rnd(t, len);
		if (!put(at_tables(m, i), stamp(i)))
			mark(m, i, 1, WRITTEN);
		break;
	case 3:
		madvise(at_tables(m, page), len * ps, MADV_COLLAPSE);
		break;
	case 4:
	case 5:
		guard(t, at_tables(m, page), len * ps, false);
		mark(m, page, len, REMOVED);
		break;
	default:
		guard(t, at_tables(m, page), len * ps, true);
		mark(m, page, len, INSTALLED | DROPPED);
	}
	did(t, true);
}

/* Check a page after a round; the next round begins with what was found. */
static void check_table_page(struct thread *t, struct memory *m, size_t page)
{
	struct table_page *p = &m->tables[page];
	bool may = p->guard || p->done & INSTALLED, must = may && !(p->done & REMOVED);
	bool held = (p->held || p->done & WRITTEN) && !(p->done & DROPPED);
	unsigned long value = 0;
	int sig = look(at_tables(m, page), &value);

	if (sig ? sig != SIGSEGV || !may : must)
		fail(t, "%s, page %zu of the tables: %s, signal %d", m->name, page,
		     must ? "a guard" : may ? "maybe a guard" : "no guard", sig);
	if (!sig && value != stamp(page) && (value || held))
		fail(t, "%s, page %zu of the tables: has lost its contents", m->name, page);
	*p = (struct table_page){ .guard = sig, .held = !sig && value == stamp(page) };
}

/* Every other round begins with page tables that consist of guards. */
static struct memory *next_tables(struct thread *t)
{
	struct memory *m = &memories[rnd(t, NR_MEMORIES)];
	size_t page;

	if (rnd(t, 2))
		return m;
	map_tables(t, m, 0, 2 * unit);
	guard(t, at_tables(m, 0), 2 * unit * ps, true);
	for (page = 0; page < 2 * unit; page++)
		m->tables[page] = (struct table_page){ .guard = true };
	return m;
}

/* All rounds are one step: the threads must not end in different rounds. */
static void tabler(struct thread *t)
{
	struct memory *m;
	size_t page;
	int i;

	do {
		if (!t->id) {
			for (page = 0; tables_of && page < 2 * unit; page++)
				check_table_page(t, tables_of, page);
			tables_of = __atomic_load_n(stop, __ATOMIC_ACQUIRE) ? NULL :
				    next_tables(t);
		}
		pthread_barrier_wait(&round_limit);
		m = tables_of;	/* which the first thread may change after the round */
		for (i = 0; m && i < STEPS_OF_ROUND; i++)
			change_tables(t, m);
		pthread_barrier_wait(&round_limit);
	} while (m);
}

/* --- Threads that check memory --- */

static void reader(struct thread *t)
{
	struct memory *m;
	size_t page;

	m = some_page(t, rnd(t, 2) ? GUARD : DATA, &page);
	check_kept(t, m, page);
	did(t, true);
}

/* Write the same value again to make a page of DATA dirty or copy it; populate FREE. */
static void writer(struct thread *t)
{
	size_t page;
	struct memory *m = some_page(t, rnd(t, 2) ? FREE : DATA, &page);

	did(t, !put(at(m, page), stamp(page)));
}

static void pagemap_reader(struct thread *t)
{
	uint64_t entry;
	size_t page;
	struct memory *m = some_page(t, rnd(t, 2) ? GUARD : DATA, &page);

	if (pread(pagemap, &entry, sizeof(entry), (uintptr_t)at(m, page) / ps * sizeof(entry)) !=
	    sizeof(entry))
		fail(t, "pagemap: %s", strerror(errno));
	else if (!(entry & PM_GUARD) != (role_of(page) != GUARD))
		fail(t, "%s, page %zu: pagemap %016llx", m->name, page, (unsigned long long)entry);
	did(t, true);
}

static void by_the_kernel(struct thread *t)
{
	unsigned long value;
	struct iovec to = { &value, sizeof(value) }, from = { NULL, sizeof(value) };
	struct memory *m;
	ssize_t ret;
	size_t page;

	m = some_page(t, rnd(t, 2) ? GUARD : DATA, &page);
	from.iov_base = at(m, page);
	ret = process_vm_readv(getpid(), &to, 1, &from, 1, 0);
	if (role_of(page) == GUARD ? ret != -1 || errno != EFAULT :
				     ret != sizeof(value) || value != stamp(page))
		fail(t, "%s, page %zu: process_vm_readv: %zd, %s", m->name, page, ret,
		     ret < 0 ? strerror(errno) : "wrong value");
	did(t, true);
}

static void read_smaps(struct thread *t)
{
	static __thread char buf[1 << 16];
	int fd = open("/proc/self/smaps", O_RDONLY | O_CLOEXEC);

	while (read(fd, buf, sizeof(buf)) > 0)
		did(t, true);
	close(fd);
}

/* Check guards and data in a child, and kill it, possibly while it installs guards. */
static void forker(struct thread *t)
{
	size_t page, i;
	int status, n;
	pid_t pid = fork();
	char *mem;

	if (!pid) {
		for (n = 0; n < 200; n++) {
			i = rnd(t, NR_MEMORIES);
			page = rnd(t, nr);
			if (is_kept(page) && wrong(&memories[i], page))
				_exit(1);
		}
		mem = mmap(NULL, 1ul << 30, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
			   -1, 0);
		for (n = 0; mem != MAP_FAILED && n < 2; n++) {
			madvise(mem, 1ul << 30, MADV_GUARD_INSTALL);
			madvise(mem, 1ul << 29, MADV_GUARD_REMOVE);
		}
		_exit(0);
	}
	if (pid < 0)
		return;
	if (rnd(t, 2))
		usleep(rnd(t, 20000)); /* no synchronisation: kill the child at any moment */
	else
		waitid(P_PID, pid, &(siginfo_t){}, WEXITED | WNOWAIT);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	if (WIFEXITED(status) && WEXITSTATUS(status))
		fail(t, "guards or data are wrong in a child");
	did(t, true);
}

/* --- Threads that change VMAs --- */

/*
 * mover() and mapper() leave holes for a moment, and map over them.  They work far below
 * the addresses that the kernel chooses, so that no other mapping gets into a hole.
 */
#define HOLES		((char *)(1ul << 40))
#define HOLES_APART	(1ul << 30)
#define NR_MAPPED	32	/* pages that mapper() maps */

static void protector(struct thread *t)
{
	size_t page, len;
	struct memory *m = some(t, unit, &page, &len);

	did(t, !mprotect(at(m, page), len * ps, PROT_READ));
	mprotect(at(m, page), len * ps, PROT_READ | PROT_WRITE);
}

static void locker(struct thread *t)
{
	size_t page, len;
	struct memory *m = some(t, 32, &page, &len);

	did(t, !mlock2(at(m, page), len * ps, rnd(t, 2) ? MLOCK_ONFAULT : 0) || errno == ENOMEM);
	munlock(at(m, page), len * ps);
}

/*
 * Usually no memory is locked, so these calls must not change anything, in particular not
 * the count of locked memory.  mapper() maps new VMAs, whose first guard may be installed
 * at the same time.
 */
static void unlocker(struct thread *t)
{
	size_t page, len;
	struct memory *m = some(t, unit, &page, &len);

	if (rnd(t, 2)) {
		munlock(HOLES, NR_MAPPED * ps);
		return;
	}
	if (rnd(t, 8)) {
		did(t, !munlock(at(m, page), len * ps));
		return;
	}
	if (!rnd(t, 4))
		mlockall(MCL_CURRENT | MCL_ONFAULT);
	did(t, !munlockall());
}

static void dumper(struct thread *t)
{
	size_t page, len;
	struct memory *m = some(t, unit, &page, &len);

	did(t, !madvise(at(m, page), len * ps, MADV_DONTDUMP));
	madvise(at(m, page), len * ps, MADV_DODUMP);
}

/* Move a unit: aligned, so that whole page tables move, or not aligned. */
static void mover(struct thread *t)
{
	static __thread char *mem, *base;
	size_t len = unit * ps, i, shift;
	unsigned long value;
	char *to;

	if (!base) {
		base = mmap(HOLES + HOLES_APART, 6 * len, PROT_NONE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		base += len - (uintptr_t)base % len;
		mem = mmap(base, len, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		for (i = 0; i < unit; i += 4) {
			put(mem + i * ps, stamp(i));
			guard(t, mem + (i + 1) * ps, ps, true);
		}
	}
	shift = rnd(t, 2) ? 0 : rnd(t, unit) * ps;
	to = base + (mem - base < (ssize_t)(2 * len) ? 3 * len : 0) + shift;
	if (mremap(mem, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, to) != to) {
		fail(t, "mremap: %s", strerror(errno));
		return;
	}
	mem = to;
	for (i = 0; i < unit; i += 4)
		if (look(mem + i * ps, &value) || value != stamp(i) ||
		    look(mem + (i + 1) * ps, &value) != SIGSEGV || look(mem + (i + 2) * ps, &value))
			fail(t, "page %zu or the two after it are wrong after mremap", i);
	did(t, true);
}

/* Move page tables that consist of guards: as wholes, or entry by entry. */
static void table_mover(struct thread *t)
{
	static __thread char *base, *mem;
	size_t len = 2 * unit * ps, shift = rnd(t, 2) ? 0 : rnd(t, unit) * ps, i;
	unsigned long value;
	char *to;

	if (!base) {
		base = mmap(HOLES + 2 * HOLES_APART, 4 * len, PROT_NONE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		base += -(uintptr_t)base % (unit * ps);
	}
	if (!mem || rnd(t, 2)) {
		if (mem)
			munmap(mem, len);
		mem = mmap(base, len, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		guard(t, mem, len, true);
	}
	to = base + (mem - base < (ssize_t)(len + len / 2) ? 2 * len : 0) + shift;
	if (mremap(mem, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, to) != to) {
		fail(t, "mremap of page tables: %s", strerror(errno));
		return;
	}
	mem = to;
	for (i = 0; i < len; i += len / 32)
		if (look(mem + i, &value) != SIGSEGV)
			fail(t, "a guard at %zu of %zu is gone after mremap", i, len);
	did(t, true);
}

/* Unmap and map the middle of a mapping that only this thread uses. */
static void mapper(struct thread *t)
{
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
	char *mem = HOLES;
	size_t n = NR_MAPPED, hole = 8 + rnd(t, 8), i;
	unsigned long value;

	mmap(mem, n * ps, PROT_READ | PROT_WRITE, flags, -1, 0);
	guard(t, mem, 4 * ps, true);
	guard(t, mem + (n - 4) * ps, 4 * ps, true);
	munmap(mem + hole * ps, 8 * ps);
	mmap(mem + hole * ps, 8 * ps, PROT_READ | PROT_WRITE, flags, -1, 0);
	for (i = 0; i < n; i++)
		if (look(mem + i * ps, &value) != (i < 4 || i >= n - 4 ? SIGSEGV : 0))
			fail(t, "page %zu of %zu is wrong; 8 pages from %zu on were remapped", i,
			     n, hole);
	did(t, true);
}

/* --- Threads that take pages away --- */

static void reclaimer(struct thread *t)
{
	size_t page, len;
	struct memory *m = some(t, unit, &page, &len);

	did(t, !madvise(at(m, page), len * ps, rnd(t, 4) ? MADV_PAGEOUT : MADV_COLD));
}

static void swapper(struct thread *t)
{
	if (!swap_device) {
		skip(t, "no swap device was given (-z)");
		return;
	}
	if (rnd(t, 64)) /* rarely, so that pages stay swapped out for some time */
		return;
	did(t, !swapoff(swap_device));
	swapon(swap_device, 0);
}

static void discarder(struct thread *t)
{
	size_t page;
	struct memory *m = some_page(t, rnd(t, 2) ? FREE : GUARD, &page);

	did(t, !madvise(at(m, page), ps, rnd(t, 2) ? MADV_DONTNEED : MADV_FREE));
}

/* Punch holes at pages of FREE; truncate the file to a part of TAIL and extend it again. */
static void truncater(struct thread *t)
{
	struct memory *m;
	size_t page;

	do {
		m = some_page(t, FREE, &page);
	} while (!m->file);
	switch (rnd(t, 3)) {
	case 0:
		did(t, !fallocate(m->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, page * ps, ps));
		break;
	case 1:
		did(t, !madvise(at(m, page), ps, MADV_REMOVE));
		break;
	default:
		did(t, !ftruncate(m->fd, (TAIL * unit + rnd(t, unit)) * ps));
		if (ftruncate(m->fd, nr * ps))
			fail(t, "ftruncate: %s", strerror(errno));
	}
}

/* --- Threads that move pages --- */

static void collapser(struct thread *t)
{
	struct memory *m = &memories[rnd(t, NR_MEMORIES)];

	if (access("/sys/kernel/mm/transparent_hugepage", F_OK))
		skip(t, "the kernel has no huge pages");
	did(t, !madvise(at(m, rnd(t, NR_UNITS) * unit), unit * ps, MADV_COLLAPSE));
}

static void merger(struct thread *t)
{
	size_t page, len;
	struct memory *m = some(t, unit, &page, &len);

	if (access("/sys/kernel/mm/ksm", F_OK))
		skip(t, "the kernel has no KSM");
	did(t, !madvise(at(m, page), len * ps, MADV_MERGEABLE));
	madvise(at(m, page), len * ps, rnd(t, 8) ? MADV_MERGEABLE : MADV_UNMERGEABLE);
}

static void migrater(struct thread *t)
{
	size_t page, len, i;
	struct memory *m = some(t, 16, &page, &len);
	unsigned long mask = 1ul << rnd(t, 2);
	int to[16], status[16];
	void *where[16];

	if (nodes < 2) {
		skip(t, "there is only one NUMA node");
		return;
	}
	if (!rnd(t, 4)) {
		did(t, !syscall(SYS_mbind, at(m, page), len * ps, MPOL_BIND, &mask, 8, MPOL_MF_MOVE));
		syscall(SYS_mbind, at(m, page), len * ps, MPOL_DEFAULT, NULL, 0, 0);
		return;
	}
	for (i = 0; i < len; i++) {
		where[i] = at(m, page + i);
		to[i] = rnd(t, 2);
	}
	did(t, syscall(SYS_move_pages, 0, len, where, to, status, MPOL_MF_MOVE) >= 0);
}

/* --- Threads that change bits of entries --- */

static void cleaner(struct thread *t)
{
	int fd = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);

	did(t, write(fd, rnd(t, 2) ? "4" : "1", 1) == 1);
	close(fd);
}

/*
 * Asynchronous write protection: the kernel resolves write faults itself.  In a DAX file,
 * faults on write-protected pages never end (docs/base-bugs.md).
 */
static void write_protecter(struct thread *t)
{
	struct uffdio_api api = {
		.api = UFFD_API,
		.features = UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_WP_UNPOPULATED,
	};
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_WP };
	struct uffdio_writeprotect wp = { .mode = UFFDIO_WRITEPROTECT_MODE_WP };
	size_t page, len;
	struct memory *m;
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);

	do {
		m = some(t, unit, &page, &len);
	} while (m->dax);
	if (fd < 0 || ioctl(fd, UFFDIO_API, &api)) {
		skip(t, "asynchronous write protection: %s", strerror(errno));
	} else {
		reg.range.start = wp.range.start = (uintptr_t)at(m, page);
		reg.range.len = wp.range.len = len * ps;
		did(t, !ioctl(fd, UFFDIO_REGISTER, &reg) && !ioctl(fd, UFFDIO_WRITEPROTECT, &wp));
	}
	close(fd);
}

/* --- The kinds of threads --- */

static const struct kind kinds[] = {
	{ "install and remove", NR_INSTALLERS, installer },
	{ "install and remove in vectors", 1, vectorer },
	{ "install over guards, remove from data", 1, repeater },
	{ "whole page tables", NR_TABLERS, tabler },
	{ "reads", 1, reader },
	{ "writes", 1, writer },
	{ "pagemap", 1, pagemap_reader },
	{ "process_vm_readv", 1, by_the_kernel },
	{ "smaps", 1, read_smaps },
	{ "fork, exit and kill", 1, forker },
	{ "mprotect", 1, protector },
	{ "mlock", 1, locker },
	{ "munlock and munlockall", 1, unlocker },
	{ "MADV_DONTDUMP", 1, dumper },
	{ "mremap", 1, mover },
	{ "mremap of whole page tables", 1, table_mover },
	{ "mmap and munmap", 1, mapper },
	{ "reclaim", 1, reclaimer },
	{ "swapoff and swapon", 1, swapper },
	{ "MADV_DONTNEED and MADV_FREE", 1, discarder },
	{ "truncation and hole punching", 1, truncater },
	{ "MADV_COLLAPSE", 1, collapser },
	{ "MADV_MERGEABLE", 1, merger },
	{ "NUMA migration", 1, migrater },
	{ "clear_refs", 1, cleaner },
	{ "userfaultfd write protection", 1, write_protecter },
};

#define NR_KINDS	ARRAY_SIZE(kinds)
#define MAX_THREADS	(NR_KINDS * NR_INSTALLERS)
#define EXTRA_SECONDS	60	/* for kinds of threads that had no effect yet */

static struct tally *tally(struct thread *t)
{
	return &tallies[t->kind - kinds];
}

static void *run(void *arg)
{
	struct thread *t = arg;

	pthread_barrier_wait(&all_there);
	do { /* at least once: tabler() waits for others of its kind */
		t->kind->step(t);
		__atomic_add_fetch(&tally(t)->steps, 1, __ATOMIC_RELAXED);
		sched_yield();
	} while (!__atomic_load_n(stop, __ATOMIC_ACQUIRE) && !*tally(t)->skipped);
	return NULL;
}

/* --- Preparation and results --- */

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		printf("# %s was not changed: %s\n", path, strerror(errno));
	close(fd);
}

/* Make the kernel's background threads process the memory as often as possible. */
static void hurry(void)
{
	write_file("/sys/kernel/mm/ksm/pages_to_scan", "1000");
	write_file("/sys/kernel/mm/ksm/sleep_millisecs", "10");
	write_file("/sys/kernel/mm/ksm/run", "1");
	write_file("/sys/kernel/mm/transparent_hugepage/khugepaged/scan_sleep_millisecs", "10");
	write_file("/sys/kernel/mm/transparent_hugepage/khugepaged/alloc_sleep_millisecs", "10");
	write_file("/sys/kernel/mm/transparent_hugepage/shmem_enabled", "advise");
	write_file("/proc/sys/kernel/numa_balancing", "1");
}

static void *xmap(void *where, size_t len, int prot, int flags, int fd)
{
	void *mem = mmap(where, len, prot, flags, fd, 0);

	if (mem == MAP_FAILED)
		err(1, "mmap");
	return mem;
}

static bool is_dax(int fd)
{
	struct statx statx_buf = { .stx_attributes = 0 };

	return !statx(fd, "", AT_EMPTY_PATH, 0, &statx_buf) &&
	       statx_buf.stx_attributes & STATX_ATTR_DAX;
}

static int open_backing(const struct memory *m)
{
	const char *dir = getenv("TMPDIR") ?: "/tmp";
	int fd = -1;

	if (strstr(m->name, "memfd"))
		fd = memfd_create(m->name, MFD_CLOEXEC);
	else if (m->file)
		fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (m->file && (fd < 0 || ftruncate(fd, nr * ps)))
		err(1, "%s in %s", m->name, dir);
	return fd;
}

/* Create a mapping.  It begins at a page table boundary, so a unit can be a huge page. */
static void prepare(struct memory *m)
{
	char *mem = xmap(NULL, (nr + unit) * ps, PROT_NONE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
	size_t page;

	m->fd = open_backing(m);
	m->dax = m->file && is_dax(m->fd);
	m->mem = mem + (-(uintptr_t)mem % (unit * ps));
	m->guarded = calloc(nr, 1);
	m->tables = calloc(2 * unit, sizeof(*m->tables));
	xmap(m->mem, nr * ps, PROT_READ | PROT_WRITE, map_flags(m), m->fd);
	madvise(m->mem, nr * ps, MADV_HUGEPAGE);
	for (page = 0; page < nr; page++) {
		if (role_of(page) == DATA)
			*(unsigned long *)at(m, page) = stamp(page);
		if (role_of(page) == GUARD && madvise(at(m, page), ps, MADV_GUARD_INSTALL))
			err(1, "MADV_GUARD_INSTALL of %s memory", m->name);
	}
}

static size_t unit_size(void)
{
	unsigned long size = 2 << 20;
	FILE *f = fopen("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size", "re");

	if (f && fscanf(f, "%lu", &size) != 1)
		size = 2 << 20;
	if (f)
		fclose(f);
	if (size > 4 << 20)
		size = 64 * ps; /* such huge pages would take too much memory */
	return size;
}

/* Events of the whole system that the log reports. */
static const char *const events[] = {
	"pgfault", "pswpout", "pswpin", "pgmigrate_success", "numa_pages_migrated",
	"thp_collapse_alloc", "thp_split_pmd", "thp_migration_success", "cow_ksm",
	"guard_table_share", "guard_table_unshare",
};

static unsigned long event(const char *name)
{
	FILE *f = fopen("/proc/vmstat", "re");
	unsigned long value = 0;
	char key[64];

	while (f && fscanf(f, "%63s %lu", key, &value) == 2 && strcmp(key, name))
		value = 0;
	if (f)
		fclose(f);
	return value;
}

/* After munlockall(), the count of locked memory must be 0; it must not be negative. */
static void check_locked(struct thread *t)
{
	FILE *f = fopen("/proc/self/status", "re");
	long long kb = -1;
	char line[256];

	munlockall();
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "VmLck: %lld", &kb) == 1)
			break;
	if (f)
		fclose(f);
	if (kb)
		fail(t, "VmLck is %lld kB after munlockall", kb);
}

/* Check each page after all threads have ended. */
static void check_all(struct thread *t)
{
	struct memory *m;
	size_t page;

	for (m = memories; m < memories + NR_MEMORIES; m++)
		for (page = 0; page < nr; page++) {
			check_kept(t, m, page);
			if (role_of(page) == CHURN)
				check_owned(t, m, page, 1, "at the end");
		}
}

/* Has each kind of thread had an effect, or a reason to have none? */
static bool all_had_effect(void)
{
	size_t k;

	for (k = 0; k < NR_KINDS; k++)
		if (!__atomic_load_n(&tallies[k].done, __ATOMIC_RELAXED) && !*tallies[k].skipped)
			return false;
	return true;
}

/* On a slow machine, a collapse may need longer than @seconds to succeed once. */
static void run_all(uint64_t seed, unsigned seconds)
{
	static struct thread threads[MAX_THREADS];
	struct thread *last = threads;
	size_t n = 0, k, i;

	for (k = 0; k < NR_KINDS; k++)
		n += kinds[k].threads;
	pthread_barrier_init(&all_there, NULL, n);
	pthread_barrier_init(&round_limit, NULL, NR_TABLERS);
	pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	self = syscall(SYS_pidfd_open, getpid(), 0);
	for (n = 0, k = 0; k < NR_KINDS; k++)
		for (i = 0; i < kinds[k].threads; i++, n++) {
			threads[n] = (struct thread){ &kinds[k], i, mix(seed + n), 0 };
			if (pthread_create(&threads[n].thread, NULL, run, &threads[n]))
				errx(1, "cannot create a thread for %s", kinds[k].name);
		}
	for (i = 0; (i < seconds || (i < seconds + EXTRA_SECONDS && !all_had_effect())) && !*stop; i++)
		sleep(1);
	__atomic_store_n(stop, true, __ATOMIC_SEQ_CST);
	for (i = 0; i < n; i++) {
		pthread_join(threads[i].thread, NULL);
		if (threads[i].kind->step == unlocker)
			last = &threads[i];
	}
	check_locked(last);
	check_all(&threads[0]);
}

static int report(const unsigned long *before)
{
	int bad = 0;
	size_t k;

	for (k = 0; k < ARRAY_SIZE(events); k++)
		printf("# %s: %lu\n", events[k], event(events[k]) - before[k]);
	printf("1..%zu\n", NR_KINDS);
	for (k = 0; k < NR_KINDS; k++) {
		struct tally *mine = &tallies[k];
		bool idle = !mine->done && !*mine->skipped;

		printf("# %s: %lu steps, %lu with effect%s%s\n", kinds[k].name, mine->steps,
		       mine->done, mine->fails ? ": " : "", mine->failed);
		printf("%sok %zu %s%s%s\n", mine->fails || idle ? "not " : "", k + 1, kinds[k].name,
		       *mine->skipped ? " # SKIP " : "", mine->skipped);
		bad |= mine->fails || idle;
	}
	return bad;
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_fault, .sa_flags = SA_NODEFER };
	const int shared = MAP_SHARED | MAP_ANONYMOUS;
	unsigned long before[ARRAY_SIZE(events)];
	unsigned seconds = 20;
	int c, status;
	pid_t pid;
	size_t i;

	while ((c = getopt(argc, argv, "s:z:")) != -1) {
		if (c == 's')
			seconds = strtoul(optarg, NULL, 0);
		else if (c == 'z')
			swap_device = optarg;
		else
			errx(2, "usage: guard-race [-s SECONDS] [-z SWAP-DEVICE]");
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("TAP version 13\n");
	ps = sysconf(_SC_PAGESIZE);
	unit = unit_size() / ps;
	nr = NR_UNITS * unit;
	while (nodes < 2 && !access(nodes ? "/sys/devices/system/node/node1" :
					    "/sys/devices/system/node/node0", F_OK))
		nodes++;
	tallies = xmap(NULL, NR_KINDS * sizeof(*tallies), PROT_READ | PROT_WRITE, shared, -1);
	stop = xmap(NULL, sizeof(*stop), PROT_READ | PROT_WRITE, shared, -1);
	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
	hurry();
	for (i = 0; i < ARRAY_SIZE(events); i++)
		before[i] = event(events[i]);
	for (i = 0; i < NR_MEMORIES; i++)
		prepare(&memories[i]);

	pid = fork();
	if (!pid)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	run_all(pid ? 1 : 1000, seconds);
	if (!pid)
		_exit(0);
	waitpid(pid, &status, 0);
	if (status)
		errx(1, "the other process ended with status %#x", status);
	return report(before);
}
