// SPDX-License-Identifier: GPL-2.0
/*
 * guard-fuzz: runs random sequences of operations that can affect guard pages, and after
 * each step compares the kernel with a model of the state of each page.
 *
 *   calls.h       the calls that it makes
 *   model.c       the model: the state that each page must have
 *   ops.c         the steps
 *   check.c       the comparison
 *   guard-fuzz.c  runs: seeds, threads, and the reduction of a run that failed
 *
 * The seed determines a run: the steps are the same on every machine.  In a run with
 * several threads, each has a slice of the arena with its own model; the threads share
 * the address space, and often the mapping.
 *
 * Prints KTAP, with one test for each run.
 */
#include "fuzz.h"

#include <err.h>
#include <pthread.h>
#include <stdarg.h>
#include <time.h>

#define SHRINK_TRIALS	600

__thread char *base;
__thread sigjmp_buf fault;
__thread void *volatile fault_address;
__thread volatile sig_atomic_t accessing;
size_t ps;

static struct options {
	uint64_t seed;
	unsigned steps, runs, seconds, threads, limit;
	bool verbose, program;
	const char *without[16];
	unsigned nr_without;
} opt = { .seed = 1, .steps = 1000, .runs = 1, .threads = 1, .limit = 300 };

static struct report *reports;		/* one for each slice, shared with the children */
static unsigned huge_pages;

/*
 * The whole page tables of a slice in a large arena.  Below and above them, it has a part
 * of one more, which it has in common with the next slice if there are several.
 */
#define TABLES		4
#define TABLES_EACH	1	/* with several threads */

/* A run with a large arena: the arena has whole page tables, and huge pages. */
static bool is_large(uint64_t seed)
{
	return huge_pages && seed % 4 == 3;
}

/*
 * Runs with a large arena begin with guards everywhere: those with several threads, and
 * every other one with a single thread.
 */
static bool begins_guarded(uint64_t seed)
{
	return is_large(seed) && (opt.threads > 1 || !(seed & 4));
}

uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

void fail(struct run *r, const char *format, ...)
{
	va_list args;

	if (r->report->failed)
		return;
	va_start(args, format);
	vsnprintf(r->report->why, sizeof(r->report->why), format, args);
	va_end(args);
	r->report->failed = true;
}

static const char *number(long value, char *text)
{
	if (value < 0 && value > -4096)
		sprintf(text, "-%s", strerrorname_np(-value) ? strerrorname_np(-value) : "?");
	else
		sprintf(text, "%ld", value);
	return text;
}

/* Log the result of a call, write the call to the program, and check the result. */
void result(struct run *r, long got, long want, const char *format, ...)
{
	char call[140], g[32], w[32];
	va_list args;

	va_start(args, format);
	vsnprintf(call, sizeof(call), format, args);
	va_end(args);
	snprintf(r->report->log[r->report->logged++ % LOG], sizeof(r->report->log[0]),
		 "%u%s: %s = %s", r->at, r->child ? " (child)" : "", call, number(got, g));
	if (opt.verbose) {
		printf("# %s\n", r->report->log[(r->report->logged - 1) % LOG]);
		fflush(stdout);
	}
	if (r->program && strcmp(call, "fork()")) {
		if (want == ANY)
			fprintf(r->program, "\tany(%s);\n", call);
		else
			fprintf(r->program, "\tis(%s, %s);\n", number(want, w), call);
	}
	if (want != ANY && got != want)
		fail(r, "%s returns %s instead of %s", call, number(got, g), number(want, w));
}

static unsigned named(const char *name)
{
	unsigned op;

	for (op = 0; strcmp(ops[op].name, name);)
		op++;
	return op;
}

/* The first steps make mappings to work on: of any kind, or two that get huge pages. */
static void begin_with(struct step *s, unsigned i, unsigned pages, unsigned huge)
{
	static const char *const for_huge[] = { "mmap", "mmap", "MADV_HUGEPAGE",
						"MADV_POPULATE_WRITE" };

	s->op = named(huge ? for_huge[i] : "mmap");
	s->page = i * pages / 4;
	s->count = pages / 4 + 1;
	if (huge) {
		s->page = i == 1 ? HUGE_FROM + huge : 0;
		s->count = i == 1 ? huge : pages;
		if (i < 2)
			s->arg = s->arg & 1 ? MMAP_ANONYMOUS : MMAP_MEMFD;
	}
	if (s->page + s->count > pages)
		s->count = pages - s->page;
}

/*
 * A range of whole page tables, which may lose a part at its end or at its start: page
 * tables that consist of guards are shared, and cut.
 */
static void whole_tables(const struct run *r, uint64_t y, unsigned *page, unsigned *count)
{
	unsigned table = y % r->tables, nr = 1 + (y >> 4) % (r->tables - table);
	unsigned part = (y >> 8) % huge_pages;

	*page = r->first_table + table * huge_pages;
	*count = nr * huge_pages;
	switch (y >> 20 & 3) {
	case 0:
		*count -= part;
		break;
	case 1:
		*page += part;
		*count -= part;
	}
}

/* A page table can be shared after the one that was there has been unmapped as a whole. */
static bool tables_often(unsigned op)
{
	return !strcmp(ops[op].name, "mmap") || !strcmp(ops[op].name, "munmap") ||
	       !strcmp(ops[op].name, "MADV_GUARD_INSTALL");
}

/* Often guard all that the step before has mapped, which shares whole page tables. */
static void guard_after_mmap(struct step *s, const struct step *before)
{
	if (strcmp(ops[before->op].name, "mmap") || s->arg >> 58 & 1)
		return;
	s->op = named("MADV_GUARD_INSTALL");
	s->page = before->page;
	s->count = before->count;
	s->arg |= 1;	/* with its last page */
}

/*
 * Generate the steps.  Each run leaves out some kinds of steps: the fewer kinds there
 * are, the more often two of them affect the same pages.
 */
static void generate(const struct run *r, struct step *steps, unsigned nr, uint64_t seed)
{
	unsigned weights[64], total = 0, pages = r->pages, op, i, focus[3];

	for (op = 0; op < nr_ops; op++) {
		bool always = !strcmp(ops[op].name, "mmap") ||
			      !strcmp(ops[op].name, "MADV_GUARD_INSTALL") ||
			      !strcmp(ops[op].name, "write");

		weights[op] = always || mix(seed * 64 + op) % 3 ? ops[op].weight : 0;
		if (opt.threads > 1 && ops[op].whole_mm)
			weights[op] = 0;
		for (i = 0; i < opt.nr_without; i++)
			if (strstr(ops[op].name, opt.without[i]))
				weights[op] = 0;
		total += weights[op];
	}
	for (i = 0; i < 3; i++)
		focus[i] = mix(seed + i) % pages;

	for (i = 0; i < nr; i++) {
		struct step *s = &steps[i];
		uint64_t x = mix(mix(seed) + i), y = mix(x), z = mix(y);
		unsigned *range = &s->page, pick = x % total, j;

		s->id = i;
		s->arg = mix(z);
		for (s->op = 0; pick >= weights[s->op]; s->op++)
			pick -= weights[s->op];
		for (j = 0; j < 2; j++, range += 2, y = z) {
			unsigned shape = y >> 20 & 7;

			range[0] = (y >> 8) % pages;
			if (y & 1)
				range[0] = (focus[(y >> 1) % 3] + pages + (y >> 8) % 5 - 2) % pages;
			range[1] = 1 + (y >> 24) % (shape < 4 ? 4 : shape < 7 ? pages / 4 : pages);
			if (r->tables && (y >> 40 & 3) < (tables_often(s->op) ? 3 : 1))
				whole_tables(r, y >> 42, &range[0], &range[1]);
			if (range[0] + range[1] > pages)
				range[1] = pages - range[0];
		}
		if (i < 4 && !begins_guarded(seed))
			begin_with(s, i, pages, r->huge);
		else if (i && r->tables)
			guard_after_mmap(s, &steps[i - 1]);
		/* Every other run has one kind of mapping, so that they are merged. */
		if (mix(seed + 8) & 1 && !strcmp(ops[s->op].name, "mmap"))
			s->arg -= s->arg % MMAP_KINDS - mix(seed + 9) % MMAP_KINDS;
		if (s->arg >> 60 & 1)
			s->count2 = s->count;
		if (s->page2 + s->count2 > pages)
			s->count2 = pages - s->page2;
	}
}

static void prepare(struct run *r)
{
	unsigned i;

	r->page = calloc(r->pages, sizeof(*r->page));
	r->entries = calloc(r->pages, 8);
	r->buffer = mmap(NULL, (r->pages + 1) * ps, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (i = 0; i < OBJECTS; i++) {
		r->object[i].value = calloc(r->pages, 8);
		r->object[i].size = r->pages;
	}
	r->file_pages = r->pages;
	open_handles(&r->handles, r->pages);
	r->pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	catch_faults();
}

/*
 * Map the slices of all threads and guard them at once.  The page tables that two slices
 * have in common are shared ones then, and the threads cut them.
 */
static void begin_guarded(struct run *runs, unsigned nr)
{
	size_t len = nr * runs[0].pages * ps;
	unsigned i, page;

	if (mmap(runs[0].base, len, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED ||
	    madvise(runs[0].base, len, MADV_GUARD_INSTALL))
		err(2, "cannot guard the arena");
	for (i = 0; i < nr; i++)
		for (page = 0; page < runs[i].pages; page++)
			runs[i].page[page] = (struct page){
				.kind = ANON, .prot = PROT_READ | PROT_WRITE, .guard = true,
			};
}

/* The same for one slice, by steps, so that they are part of the program. */
static void begin_guarded_alone(struct run *r)
{
	struct step s = { .count = r->pages, .arg = MMAP_ANONYMOUS };

	base = r->base;
	ops[named("mmap")].run(r, &s);
	s.arg = 1;
	ops[named("MADV_GUARD_INSTALL")].run(r, &s);
}

static bool any_failed(void)
{
	unsigned i;

	for (i = 0; i < opt.threads; i++)
		if (reports[i].failed)
			return true;
	return false;
}

static void *run_steps(void *arg)
{
	struct run *r = arg;
	unsigned i;

	base = r->base;
	for (i = 0; i < r->nr_steps && !(r->threads ? any_failed() : r->report->failed); i++) {
		const struct step *s = &r->steps[i];

		r->report->step = i;
		r->at = s->id;
		if (!ops[s->op].run(r, s)) {
			r->report->skipped[s->op]++;
			continue;
		}
		r->report->done[s->op]++;
		if (!r->report->failed)
			check_step(r, s);
	}
	r->last = true;
	if (!r->report->failed && !(r->threads && any_failed()))
		check_all(r);
	return NULL;
}

/* Runs next to the threads: makes calls on the whole arena that change no contents. */
static volatile bool enough;
static void *disturb(void *arg)
{
	static const int advices[] = {
		MADV_COLD, MADV_PAGEOUT, MADV_WILLNEED, MADV_NORMAL, MADV_RANDOM, MADV_DONTDUMP,
		MADV_DODUMP, MADV_NORMAL,
	};
	struct run *r = arg;	/* the arena as a whole */
	unsigned i, page;
	pid_t child;

	base = r->base;
	for (i = 0; !enough; i++) {
		page = mix(i) % r->pages;
		switch (i % 16) {
		case 14:
			clear_refs("4");
			break;
		case 15:
			child = fork();
			if (!child)
				_exit(0);
			waitpid(child, NULL, 0);
			break;
		case 13:
			vm_readv(r->buffer, page, r->pages - page);
			break;
		default:
			madvise(P(page), (r->pages - page) * ps, advices[i % 8]);
		}
	}
	return NULL;
}

/* Lay out the slices around the middle of the arena, where a page table begins. */
static void lay_out(struct run *r, unsigned slice, unsigned slices, uint64_t seed)
{
	bool large = is_large(seed);
	int middle;	/* the page of this slice that is at the middle of the arena */

	memset(r, 0, sizeof(*r));
	r->threads = slices > 1;
	if (large) {
		r->tables = r->threads ? TABLES_EACH : TABLES;
		r->first_table = r->threads ? huge_pages / 2 : HUGE_FROM;
		r->pages = r->tables * huge_pages + 2 * r->first_table;
		r->huge = r->threads ? 0 : huge_pages;
		middle = (int)(slices / 2 - slice) * (int)r->pages + (int)r->first_table;
	} else {
		r->pages = r->threads ? 24 : 64;
		middle = (int)(slices * r->pages / 2 - slice * r->pages);
	}
	r->base = (char *)ARENA - middle * (ssize_t)ps;
	r->report = &reports[slice];
}

/* Run a function in a child process, for at most opt.limit seconds; true if it failed. */
static bool in_child(void (*run)(void *), void *arg)
{
	pid_t child;
	int status;

	fflush(stdout);
	child = fork();
	if (child == -1)
		err(2, "fork");
	if (!child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		alarm(opt.limit);
		run(arg);
		fflush(stdout);
		_exit(0);
	}
	waitpid(child, &status, 0);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 2)
		exit(2);
	if (status && !any_failed()) {
		if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
			snprintf(reports[0].why, sizeof(reports[0].why), "no end after %u seconds",
				 opt.limit);
		else
			snprintf(reports[0].why, sizeof(reports[0].why), "ended with status %#x",
				 (unsigned)status);
		reports[0].failed = true;
	}
	return any_failed();
}

static void begin_program(struct run *r, uint64_t seed)
{
	r->program = stdout;
	/* Line buffering, so that a run that a signal ends has printed its steps. */
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("/* guard-fuzz, seed %llu */\n#include \"calls.h\"\n\nint main(void)\n{\n\tbegin(%u, %d);\n\n",
	       (unsigned long long)seed, r->pages,
	       (int)((ssize_t)(ARENA - (uintptr_t)r->base) / (ssize_t)ps));
}

static void end_program(void)
{
	printf("\treturn failed;\n}\n");
}

static void run_seed(void *arg)
{
	uint64_t seed = *(uint64_t *)arg;
	struct run *runs = calloc(opt.threads, sizeof(*runs)), whole;
	pthread_t threads[opt.threads + 1];
	unsigned i;

	for (i = 0; i < opt.threads; i++) {
		struct run *r = &runs[i];
		struct step *steps = calloc(opt.steps, sizeof(*steps));

		lay_out(r, i, opt.threads, seed);
		generate(r, steps, opt.steps, seed + ((uint64_t)i << 32));
		r->steps = steps;
		r->nr_steps = opt.steps;
		prepare(r);
	}
	if (opt.threads == 1) {
		if (opt.program)
			begin_program(&runs[0], seed);
		if (begins_guarded(seed))
			begin_guarded_alone(&runs[0]);
		run_steps(&runs[0]);
		if (opt.program)
			end_program();
		return;
	}
	if (begins_guarded(seed))
		begin_guarded(runs, opt.threads);
	whole = runs[0];
	whole.pages *= opt.threads;
	whole.buffer = mmap(NULL, whole.pages * ps, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (i = 0; i < opt.threads; i++)
		pthread_create(&threads[i], NULL, run_steps, &runs[i]);
	pthread_create(&threads[i], NULL, disturb, &whole);
	for (i = 0; i < opt.threads; i++)
		pthread_join(threads[i], NULL);
	enough = true;
	pthread_join(threads[i], NULL);
}

/* Reduce a run to fewer steps and smaller ranges while the same kind of step fails. */
struct trial {
	struct step *steps;
	unsigned nr, slice, slices, op;
	uint64_t seed;
	bool sparing, program;
};

static void run_trial(void *arg)
{
	struct trial *t = arg;
	struct run r;

	lay_out(&r, t->slice, t->slices, t->seed);
	r.threads = false;
	r.steps = t->steps;
	r.nr_steps = t->nr;
	r.sparing = t->sparing;
	prepare(&r);
	if (t->program)
		begin_program(&r, t->seed);
	if (begins_guarded(t->seed))
		begin_guarded_alone(&r);
	run_steps(&r);
	if (t->program)
		end_program();
}

static bool still_fails(struct trial *t)
{
	unsigned i;

	for (i = 0; i < opt.threads; i++)
		memset(&reports[i], 0, sizeof(reports[i]));
	return in_child(run_trial, t) && t->steps[reports[t->slice].step].op == t->op;
}

static bool without(struct trial *t, unsigned first, unsigned count)
{
	struct step *all = t->steps, *some = calloc(t->nr, sizeof(*some));
	unsigned nr = t->nr;

	memcpy(some, all, first * sizeof(*some));
	memcpy(some + first, all + first + count, (nr - first - count) * sizeof(*some));
	t->steps = some;
	t->nr = nr - count;
	if (still_fails(t)) {
		/* It may fail at an earlier step now. */
		if (reports[t->slice].step + 1 < t->nr)
			t->nr = reports[t->slice].step + 1;
		return true;
	}
	t->steps = all;
	t->nr = nr;
	free(some);
	return false;
}

static void shrink(uint64_t seed, unsigned slice)
{
	struct step *steps = calloc(opt.steps, sizeof(*steps));
	struct trial t = {
		steps, reports[slice].step + 1, slice, opt.threads, 0, seed, true, false
	};
	unsigned trials = 0, chunk, i;
	struct run r;

	opt.limit = opt.limit < 20 ? opt.limit : 20;
	lay_out(&r, slice, opt.threads, seed);
	generate(&r, steps, opt.steps, seed + ((uint64_t)slice << 32));
	t.op = steps[t.nr - 1].op;
	if (!still_fails(&t)) {
		t.sparing = false;
		if (!still_fails(&t)) {
			printf("# it does not fail again on its own; cannot reduce it\n");
			return;
		}
	}
	for (chunk = t.nr / 2; chunk && trials < SHRINK_TRIALS; chunk /= 2) {
		for (i = 0; i + chunk <= t.nr && trials < SHRINK_TRIALS; trials++)
			if (!without(&t, i, chunk))
				i += chunk;
	}
	for (i = 0; i < t.nr && trials < SHRINK_TRIALS; i++) {
		struct step *s = &t.steps[i], before = *s;

		for (chunk = s->count / 2; chunk && trials < SHRINK_TRIALS; trials++) {
			before = *s;
			s->count -= chunk;
			if (!still_fails(&t)) {
				*s = before;
				chunk /= 2;
			} else if (chunk >= s->count) {
				chunk = s->count / 2;
			}
		}
	}

	printf("# reduced to %u steps, the last is \"%s\"; cc -Itests/fuzz; it exits with 1:\n",
	       t.nr, ops[t.op].name);
	t.program = true;
	still_fails(&t);
	printf("# in the reduced run: %s\n",
	       reports[slice].failed ? reports[slice].why : "nothing failed");
}

static void totals(const unsigned long *done, const unsigned long *skipped)
{
	unsigned i;

	for (i = 0; i < nr_ops; i++)
		printf("# %8lu %s%s", done[i], ops[i].name, skipped[i] ? "" : "\n"),
		skipped[i] ? printf(" (%lu not possible at the time)\n", skipped[i]) : 0;
}

/* How many page tables were shared, and how many of these cut, since the system started. */
struct tables {
	long shared, cut;	/* -1: the kernel does not count them */
};

static struct tables count_tables(void)
{
	struct tables t = { -1, -1 };
	FILE *f = fopen("/proc/vmstat", "r");
	char name[64];
	long value;

	while (f && fscanf(f, "%63s %ld", name, &value) == 2) {
		if (!strcmp(name, "guard_table_share"))
			t.shared = value;
		if (!strcmp(name, "guard_table_unshare"))
			t.cut = value;
	}
	if (f)
		fclose(f);
	return t;
}

enum verdict { PASS, FAIL, SKIP };

/*
 * One more test: a run with a large arena that shares no page table, or cuts none, does
 * not test what it is there for.
 */
static enum verdict report_tables(struct tables before, unsigned test, unsigned large)
{
	struct tables after = count_tables();
	bool ok = after.shared > before.shared && after.cut > before.cut;

	if (before.shared < 0 || !large) {
		printf("ok %u shared page tables # SKIP %s\n", test, large ?
		       "the kernel does not count them (CONFIG_GUARD_TABLE, CONFIG_DEBUG_VM)" :
		       "no seed with a large arena");
		return SKIP;
	}
	printf("# %ld page tables shared, %ld cut\n", after.shared - before.shared,
	       after.cut - before.cut);
	printf("%sok %u shared page tables\n", ok ? "" : "not ", test);
	return ok ? PASS : FAIL;
}

static void usage(void)
{
	fprintf(stderr,
		"usage: guard-fuzz [-s SEED] [-n STEPS] [-r RUNS | -S SECONDS] [-t THREADS] [-l LIMIT] [-x STEP]... [-mwcv]\n"
		"  -s  seed of the first run (default 1); each run adds 1\n"
		"  -n  steps in a run, for each of its threads (default 1000)\n"
		"  -r  number of runs (default 1)\n"
		"  -S  start runs for this many seconds\n"
		"  -t  number of threads (default 1)\n"
		"  -l  time limit of a run in seconds (default 300)\n"
		"  -x  leave out all steps whose name contains this\n"
		"  -m  tolerate or skip what does not work on mainline (docs/mainline.md)\n"
		"  -w  use a wrong model, which must be noticed: MADV_DONTNEED drops guards\n"
		"  -c  only write the first run as a C program\n"
		"  -v  print each step\n");
	exit(2);
}

static unsigned long argument(const char *text)
{
	char *end;
	unsigned long value = strtoul(text, &end, 0);

	if (end == text || *end)
		errx(2, "not a number: %s", text);
	return value;
}

static unsigned find_huge_pages(void)
{
	FILE *f = fopen("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size", "r");
	unsigned long size = 0;

	if (f && fscanf(f, "%lu", &size) != 1)
		size = 0;
	if (f)
		fclose(f);
	return size / ps > 2048 ? 0 : size / ps;
}

int main(int argc, char **argv)
{
	unsigned long done[64] = { 0 }, skipped[64] = { 0 }, checks = 0, guards = 0, forks = 0;
	unsigned run, i, j, failed = 0, large = 0;
	enum verdict tables;
	struct tables before = count_tables();
	time_t end;
	int o;

	while ((o = getopt(argc, argv, "s:n:r:S:t:l:x:mwcv")) != -1) {
		switch (o) {
		case 's': opt.seed = argument(optarg); break;
		case 'n': opt.steps = argument(optarg); break;
		case 'r': opt.runs = argument(optarg); break;
		case 'S': opt.seconds = argument(optarg); break;
		case 't': opt.threads = argument(optarg); break;
		case 'l': opt.limit = argument(optarg); break;
		case 'x':
			if (opt.nr_without == 16)
				errx(2, "too many -x");
			opt.without[opt.nr_without++] = optarg;
			break;
		case 'm': have.mainline = true; break;
		case 'w': have.wrong_model = true; break;
		case 'c': opt.program = true; break;
		case 'v': opt.verbose = true; break;
		default: usage();
		}
	}
	if (optind != argc || !opt.threads || opt.threads > 64 || !opt.steps || opt.steps > 1 << 20)
		usage();

	ps = sysconf(_SC_PAGESIZE);
	huge_pages = find_huge_pages();
	if (!opt.program)
		printf("TAP version 13\n");
	find_features();
	reports = mmap(NULL, opt.threads * sizeof(*reports), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (reports == MAP_FAILED)
		err(2, "mmap");

	end = time(NULL) + opt.seconds;
	for (run = 0; opt.seconds ? time(NULL) < end : run < opt.runs; run++) {
		uint64_t seed = opt.seed + run;
		bool bad;

		memset(reports, 0, opt.threads * sizeof(*reports));
		large += is_large(seed);
		bad = in_child(run_seed, &seed);
		if (opt.program)
			return bad;
		for (j = 0; j < opt.threads; j++) {
			for (i = 0; i < nr_ops; i++) {
				done[i] += reports[j].done[i];
				skipped[i] += reports[j].skipped[i];
			}
			checks += reports[j].checks;
			guards += reports[j].guards_touched;
			forks += reports[j].fork_checks;
		}
		for (j = 0; bad && j < opt.threads; j++) {
			struct report *r = &reports[j];

			if (!r->failed)
				continue;
			printf("# seed %llu, slice %u, step %u: %s\n", (unsigned long long)seed, j,
			       r->step, r->why);
			for (i = r->logged > LOG ? r->logged - LOG : 0; i < r->logged; i++)
				printf("#   %s\n", r->log[i % LOG]);
			shrink(seed, j);
			break;
		}
		printf("%sok %u seed %llu\n", bad ? "not " : "", run + 1, (unsigned long long)seed);
		fflush(stdout);
		failed += bad;
	}

	totals(done, skipped);
	printf("# %lu pages touched, %lu of them guards; %lu children compared\n", checks, guards,
	       forks);
	tables = report_tables(before, run + 1, large);
	failed += tables == FAIL;
	printf("1..%u\n# Totals: pass:%u fail:%u xfail:0 xpass:0 skip:%u error:0\n", run + 1,
	       run + 1 - failed - (tables == SKIP), failed, tables == SKIP);
	return failed ? 1 : 0;
}
