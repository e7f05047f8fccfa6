// SPDX-License-Identifier: GPL-2.0
/*
 * Compare the results of the same scenarios on two kernels, mainline and this series,
 * with the claims of tests/claims.tsv, and print the tables of docs/mainline.md.
 *
 * usage: claims CLAIMS MAINLINE-VERSION MAINLINE-LOGS SERIES-LOGS
 *
 * The logs are directories of vm/scenario. Fails, with a line for each reason, if the
 * evidence of a claim names no test, if a test that fails on mainline is not evidence of
 * a claim, or if a test fails on this series.
 */
#include <err.h>
#include <errno.h>
#include <fnmatch.h>
#include <glob.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXIT_TIMEOUT	124
#define MAX_CLAIMS	256
#define MAX_RESULTS	16384

enum state { PASSED, FAILED, HANGS, SKIPPED };

struct result {
	char *program;	/* the name in the scenario, without a final ".N" */
	char *test;
	char *figure;	/* what a program of tests/repro measured, or NULL */
	enum state state;
	bool claimed;
};

struct kernel {
	const char *name;
	struct result results[MAX_RESULTS];
	int nr;
};

struct claim {
	char *kind, *id, *text, *earlier, *evidence;
};

static struct kernel mainline, series = { .name = "this series" };
static struct claim claims[MAX_CLAIMS];
static int nr_claims;
static int complaints;

static void __attribute__((format(printf, 1, 2))) complain(const char *format, ...)
{
	va_list args;

	fputs("error: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	complaints++;
}

static char *copy(const char *text)
{
	char *new = strdup(text);

	if (!new)
		err(2, "strdup");
	return new;
}

static FILE *xopen(const char *path)
{
	FILE *file = fopen(path, "r");

	if (!file)
		err(2, "%s", path);
	return file;
}

static struct result *add(struct kernel *kernel, const char *program, const char *test,
			  enum state state)
{
	struct result *r = &kernel->results[kernel->nr++];
	char *dot;

	if (kernel->nr == MAX_RESULTS)
		errx(2, "more than %d results", MAX_RESULTS);
	*r = (struct result){ copy(program), copy(test), NULL, state, false };
	dot = strrchr(r->program, '.');
	if (dot && dot[1] && !dot[1 + strspn(dot + 1, "0123456789")])
		*dot = '\0';
	return r;
}

/* "ok N NAME # TEXT" and "not ok N NAME # TEXT"; false if the line is another one. */
static bool read_result(struct kernel *kernel, const char *program, char *line, const char *hung)
{
	bool ok = !strncmp(line, "ok ", 3);
	char *name, *text;
	struct result *r;

	if (!ok && strncmp(line, "not ok ", 7))
		return false;
	strtol(line + (ok ? 3 : 7), &name, 10);
	name += strspn(name, " -");
	text = strstr(name, " #");
	if (text) {
		*text = '\0';
		text += 2 + strspn(text + 2, " ");
	}
	r = add(kernel, program, name, ok ? PASSED : strcmp(name, hung) ? FAILED : HANGS);
	if (text && !strncmp(text, "SKIP", 4))
		r->state = SKIPPED;
	else if (text && *text)
		r->figure = copy(text);
	return true;
}

static void read_log(struct kernel *kernel, const char *program, int code, const char *path)
{
	char *line = NULL, running[512] = "", hung[512] = "";
	FILE *file = xopen(path);
	long planned = -1;
	int first = kernel->nr;
	size_t size = 0;
	ssize_t len;

	while ((len = getline(&line, &size, file)) > 0) {
		if (line[len - 1] == '\n')
			line[len - 1] = '\0';
		if (read_result(kernel, program, line, hung)) {
			*running = '\0';
		} else if (!strncmp(line, "1..", 3)) {
			planned = atol(line + 3);
		} else if (strstr(line, ": Test terminated by timeout")) {
			strcpy(hung, running);
		} else {
			sscanf(line, "# RUN %511s", running);
		}
	}
	free(line);
	fclose(file);
	if (*running)
		add(kernel, program, running, code == EXIT_TIMEOUT ? HANGS : FAILED);
	if (planned < 0 || kernel->nr - first != planned)
		complain("%s: %s: %d results instead of %ld (%s)", kernel->name, program,
			 kernel->nr - first, planned, path);
}

/* Lines "SPLAT in PROGRAM: TEXT" of the verdict of a scenario. */
static void read_splats(struct kernel *kernel, const char *path)
{
	char line[1024], program[128];
	FILE *file = xopen(path);

	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "SPLAT in %127[^:]", program) == 1)
			add(kernel, program, "splat", FAILED);
		else if (!strncmp(line, "SPLAT", 5))
			add(kernel, "-", "splat", FAILED);
	fclose(file);
}

static void read_kernel(struct kernel *kernel, const char *logs)
{
	char pattern[4096], line[4096], program[128], log[2048];
	size_t i;
	glob_t dirs;
	int code;

	snprintf(pattern, sizeof(pattern), "%s/*/results", logs);
	if (glob(pattern, 0, NULL, &dirs))
		errx(2, "no results of scenarios in %s", logs);
	for (i = 0; i < dirs.gl_pathc; i++) {
		FILE *file = xopen(dirs.gl_pathv[i]);

		while (fgets(line, sizeof(line), file)) {
			if (!strncmp(line, "kernel-log:", 11))
				continue;
			if (sscanf(line, "%127s %*s %*s %*s %*s %*s %d %2047s", program, &code, log) != 3)
				errx(2, "%s: not a result: %s", dirs.gl_pathv[i], line);
			read_log(kernel, program, code, log);
			add(kernel, program, "splat", PASSED);
		}
		fclose(file);
		strcpy(strrchr(dirs.gl_pathv[i], '/'), "/verdict");
		read_splats(kernel, dirs.gl_pathv[i]);
	}
	globfree(&dirs);
}

static void read_claims(const char *path)
{
	FILE *file = xopen(path);
	char *line = NULL;
	size_t size = 0;
	ssize_t len;

	while ((len = getline(&line, &size, file)) > 0) {
		struct claim *c = &claims[nr_claims];
		char *rest = copy(line);

		if (*rest == '#' || *rest == '\n')
			continue;
		if (++nr_claims == MAX_CLAIMS)
			errx(2, "more than %d claims", MAX_CLAIMS);
		rest[strcspn(rest, "\n")] = '\0';
		c->kind = strsep(&rest, "\t");
		c->id = strsep(&rest, "\t");
		c->text = strsep(&rest, "\t");
		c->earlier = strsep(&rest, "\t");
		c->evidence = strsep(&rest, "\t");
		if (!c->evidence || rest || !*c->evidence ||
		    (strcmp(c->kind, "fault") && strcmp(c->kind, "differs")))
			errx(2, "%s: not \"fault|differs, id, claim, 6.18, evidence\": %s", path, line);
	}
	free(line);
	fclose(file);
}

/* Evidence is PROGRAM:PATTERN; the pattern may leave out fixture and variant. */
static bool matches(const struct result *r, const char *evidence)
{
	const char *pattern = strchr(evidence, ':') + 1;
	char any[512];

	if (strlen(r->program) != (size_t)(pattern - 1 - evidence) ||
	    strncmp(r->program, evidence, pattern - 1 - evidence))
		return false;
	snprintf(any, sizeof(any), "*.%s", pattern);
	return !fnmatch(pattern, r->test, 0) || !fnmatch(any, r->test, 0);
}

/* What the tests of a claim show on a kernel. */
static const char *judge(struct kernel *kernel, const struct claim *c, const char *version)
{
	bool seen = false, passed = false, read = false;
	char *words = copy(c->evidence), *rest = words, *word;
	int i, found;

	while ((word = strsep(&rest, " "))) {
		if (!strncmp(word, "read:", 5)) {
			read |= version && !strcmp(word + 5, version);
			continue;
		}
		if (!strchr(word, ':'))
			errx(2, "claim %s: evidence is PROGRAM:TEST or read:VERSION, not %s", c->id, word);
		for (found = i = 0; i < kernel->nr; i++) {
			struct result *r = &kernel->results[i];

			if (!matches(r, word))
				continue;
			found++;
			r->claimed = true;
			seen |= r->state == FAILED || r->state == HANGS;
			passed |= r->state == PASSED;
		}
		if (!found)
			complain("claim %s: no test on %s matches its evidence %s", c->id, kernel->name, word);
	}
	free(words);
	return seen ? "seen" : read ? "read" : passed ? "not seen" : "not tried";
}

static void print_evidence(const struct claim *c)
{
	char *words = copy(c->evidence), *rest = words, *word, last[128] = "";

	while ((word = strsep(&rest, " "))) {
		char *colon = strchr(word, ':');

		if (!strncmp(word, "read:", 5))
			continue;
		*colon = '\0';
		printf("%s", *last ? ", " : "");
		if (strcmp(last, word))
			printf("%s: ", word);
		printf("`%s`", colon + 1);
		snprintf(last, sizeof(last), "%s", word);
	}
	free(words);
}

static void print_claims(const char *version)
{
	int i;

	printf("\n| | shortcoming | 6.18 | %s | this series | tests |\n", mainline.name);
	puts("| --- | --- | --- | --- | --- | --- |");
	for (i = 0; i < nr_claims; i++) {
		const struct claim *c = &claims[i];

		if (strcmp(c->kind, "fault"))
			continue;
		printf("| %s | %s | %s | %s | ", c->id, c->text, c->earlier, judge(&mainline, c, version));
		printf("%s | ", judge(&series, c, NULL));
		print_evidence(c);
		puts(" |");
	}
	printf("\n| | difference | %s | tests |\n| --- | --- | --- | --- |\n", mainline.name);
	for (i = 0; i < nr_claims; i++) {
		const struct claim *c = &claims[i];

		if (strcmp(c->kind, "differs"))
			continue;
		printf("| %s | %s | %s | ", c->id, c->text, judge(&mainline, c, version));
		judge(&series, c, NULL);
		print_evidence(c);
		puts(" |");
	}
}

static const char *figure(const struct kernel *kernel, const struct result *like)
{
	int i;

	for (i = 0; i < kernel->nr; i++)
		if (!strcmp(kernel->results[i].program, like->program) &&
		    !strcmp(kernel->results[i].test, like->test))
			return kernel->results[i].figure ?: "";
	return "";
}

static void print_figures(void)
{
	int i;

	printf("\n| program | test | %s | this series |\n| --- | --- | --- | --- |\n", mainline.name);
	for (i = 0; i < mainline.nr; i++) {
		const struct result *r = &mainline.results[i];

		if (r->figure)
			printf("| %s | `%s` | %s%s | %s |\n", r->program, r->test,
			       r->state == PASSED ? "" : "fails: ", r->figure, figure(&series, r));
	}
}

static void print_totals(const struct kernel *kernel)
{
	int i, total[4] = { 0 };

	for (i = 0; i < kernel->nr; i++)
		if (strcmp(kernel->results[i].test, "splat"))
			total[kernel->results[i].state]++;
	printf("| %s | %d | %d | %d | %d |\n", kernel->name, total[PASSED], total[FAILED],
	       total[HANGS], total[SKIPPED]);
}

/* Each test that fails is evidence of a claim on mainline, and there is none on this series. */
static void check(const struct kernel *kernel, bool may_fail)
{
	int i;

	for (i = 0; i < kernel->nr; i++) {
		const struct result *r = &kernel->results[i];

		if (r->state == PASSED || r->state == SKIPPED || (may_fail && r->claimed))
			continue;
		complain("%s: %s: %s %s%s", kernel->name, r->program, r->test,
			 r->state == HANGS ? "does not end in time" : "fails",
			 may_fail ? "; it is not evidence of a claim in tests/claims.tsv" : "");
	}
}

int main(int argc, char **argv)
{
	char name[64];

	if (argc != 5)
		errx(2, "usage: claims CLAIMS MAINLINE-VERSION MAINLINE-LOGS SERIES-LOGS");
	snprintf(name, sizeof(name), "mainline %s", argv[2]);
	mainline.name = name;
	read_claims(argv[1]);
	read_kernel(&mainline, argv[3]);
	read_kernel(&series, argv[4]);
	puts("\n| | passed | failed | out of time | skipped |\n| --- | --- | --- | --- | --- |");
	print_totals(&mainline);
	print_totals(&series);
	print_claims(argv[2]);
	print_figures();
	putchar('\n');
	check(&mainline, true);
	check(&series, false);
	return complaints ? 1 : 0;
}
