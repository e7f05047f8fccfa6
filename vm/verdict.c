// SPDX-License-Identifier: GPL-2.0
/*
 * Evaluate the log of one test program, with or without KTAP.
 *
 * Prints a line for each problem, skip and known failure, then one line
 *	PASSED FAILED SKIPPED
 * and exits with one of the codes below (docs/testing.md has the table).
 *
 * Of nested results only the innermost count: the line that sums them up counts
 * only if it is a failure and none of them failed. If the log has no KTAP, the
 * program's exit code is the result.
 */
#include <ctype.h>
#include <err.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	EXIT_PASS = 0,
	EXIT_FAIL = 1,
	EXIT_USAGE = 2,
	EXIT_TRUNCATED = 3,
	EXIT_SKIP = 4,		/* all tests were skipped */
	EXIT_NO_TESTS = 5,
	EXIT_TIMEOUT = 124,
	EXIT_DIED = 255,
};

#define MAX_DEPTH	8
#define MAX_KNOWN	256

/* One nesting level of the log. */
struct level {
	size_t indent;
	long plan;	/* -1: none seen */
	long seen;
	long failed;
};

/* A failure that the unpatched base has, too. */
struct known {
	char *test;
	char *reason;
	long failed;
};

struct log {
	const char *name;
	struct level stack[MAX_DEPTH];
	int depth;
	struct known known[MAX_KNOWN];
	int nr_known;
	long passed, failed, skipped, excused;
	bool ktap;
	bool broken;
	bool bailed;
};

static void __attribute__((format(printf, 2, 3)))
say(const struct log *log, const char *fmt, ...)
{
	va_list args;

	printf("%s: ", log->name);
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	putchar('\n');
}

static char *trim(char *s)
{
	char *end;

	while (isspace((unsigned char)*s))
		s++;
	end = s + strlen(s);
	while (end > s && isspace((unsigned char)end[-1]))
		*--end = '\0';
	return s;
}

static struct known *known_find(struct log *log, const char *test)
{
	int i;

	for (i = 0; i < log->nr_known; i++)
		if (!strcmp(log->known[i].test, test))
			return &log->known[i];
	return NULL;
}

static void count_pass(struct log *log)
{
	log->passed++;
}

static void count_fail(struct log *log, const char *test)
{
	struct known *known = known_find(log, test);

	if (known) {
		say(log, "known failure: %s: %s", test, known->reason);
		known->failed++;
		log->excused++;
		log->skipped++;
	} else {
		say(log, "FAILED: %s", test);
		log->failed++;
	}
}

/* A skip without a reason is a failure, because it may hide a bug. */
static void count_skip(struct log *log, const char *test, const char *reason)
{
	if (*reason) {
		say(log, "skipped: %s%s%s", test, *test ? ": " : "", reason);
		log->skipped++;
	} else {
		say(log, "FAILED: skipped without a reason: %s", test);
		log->failed++;
	}
}

static void broken(struct log *log, const char *what)
{
	say(log, "TRUNCATED: %s", what);
	log->broken = true;
}

static void level_push(struct log *log, size_t indent)
{
	if (log->depth == MAX_DEPTH)
		errx(EXIT_FAIL, "%s: results nested too deeply", log->name);
	log->stack[log->depth++] = (struct level){ .indent = indent, .plan = -1 };
}

static struct level level_pop(struct log *log)
{
	struct level level = log->stack[--log->depth];
	char what[80];

	if (log->bailed || level.plan == level.seen)
		return level;
	if (level.plan < 0)
		snprintf(what, sizeof(what), "%ld results and no plan", level.seen);
	else
		snprintf(what, sizeof(what), "%ld results, but %ld planned",
			 level.seen, level.plan);
	broken(log, what);
	return level;
}

/* Return the level of a line with this indent, which is new if it is a deeper one. */
static struct level *level_at(struct log *log, size_t indent)
{
	while (log->depth && log->stack[log->depth - 1].indent > indent)
		level_pop(log);
	if (!log->depth || log->stack[log->depth - 1].indent < indent)
		level_push(log, indent);
	return &log->stack[log->depth - 1];
}

/* Parse a line like "ok 3 name # SKIP reason"; @rest is what follows the "ok". */
static void parse_result(struct log *log, size_t indent, bool ok, char *rest)
{
	static const char * const excuses[] = { "SKIP", "XFAIL", "TODO" };
	struct level inner = { .seen = 0 }, *level;
	char *end, *hash, *reason = NULL;
	size_t i, len;
	long nr;

	log->ktap = true;
	while (log->depth && log->stack[log->depth - 1].indent > indent)
		inner = level_pop(log);
	level = level_at(log, indent);
	level->seen++;

	nr = strtol(rest, &end, 10);
	if (end != rest && nr != level->seen && !log->broken)
		broken(log, "the results are not numbered consecutively");
	rest = trim(end);
	if (!strncmp(rest, "- ", 2))
		rest += 2;

	for (hash = strchr(rest, '#'); hash && !reason; hash = strchr(hash + 1, '#')) {
		for (i = 0; i < sizeof(excuses) / sizeof(excuses[0]); i++) {
			len = strlen(excuses[i]);
			if (strncmp(hash + 2, excuses[i], len) || hash[1] != ' ')
				continue;
			*hash = '\0';
			reason = trim(hash + 2 + len);
			break;
		}
		if (reason)
			break;
	}
	rest = trim(rest);

	if (inner.seen) {
		if (!ok && !reason && !inner.failed)
			count_fail(log, rest);
	} else if (reason) {
		count_skip(log, rest, reason);
	} else if (ok) {
		count_pass(log);
	} else {
		count_fail(log, rest);
	}
	if (!ok && !reason)
		level->failed++;
}

static void parse_plan(struct log *log, size_t indent, char *rest)
{
	struct level *level = level_at(log, indent);
	char *end, *skip;
	long plan = strtol(rest, &end, 10);

	log->ktap = true;
	if (level->plan >= 0) {
		broken(log, "a second plan");
		return;
	}
	level->plan = plan;
	skip = strstr(end, "# SKIP");
	if (!plan && skip)
		count_skip(log, "", trim(skip + strlen("# SKIP")));
}

static bool is_version(const char *s)
{
	return !strncmp(s, "TAP version ", 12) || !strncmp(s, "KTAP version ", 13);
}

static void parse_line(struct log *log, char *line)
{
	size_t indent = strspn(line, " ");
	char *s = line + indent;

	if (is_version(s)) {
		/* A version line on the same level ends the previous report. */
		log->ktap = true;
		if (level_at(log, indent)->seen || level_at(log, indent)->plan >= 0) {
			level_pop(log);
			level_push(log, indent);
		}
	} else if (!strncmp(s, "1..", 3) && isdigit((unsigned char)s[3])) {
		parse_plan(log, indent, s + 3);
	} else if (!strncmp(s, "ok ", 3)) {
		parse_result(log, indent, true, s + 3);
	} else if (!strncmp(s, "not ok ", 7)) {
		parse_result(log, indent, false, s + 7);
	} else if (!strncmp(s, "Bail out!", 9)) {
		log->ktap = true;
		log->bailed = true;
		count_fail(log, trim(s));
	}
}

/* Read lines "PROGRAM | TEST | REASON"; TEST is "-" for a program without KTAP. */
static void read_known(struct log *log, const char *path)
{
	char *line = NULL, *program, *test, *reason;
	FILE *f = fopen(path, "r");
	size_t size = 0;
	int nr = 0;

	if (!f)
		err(EXIT_USAGE, "%s", path);
	while (getline(&line, &size, f) > 0) {
		nr++;
		program = trim(line);
		if (!*program || *program == '#')
			continue;
		test = strchr(program, '|');
		reason = test ? strchr(test + 1, '|') : NULL;
		if (!reason)
			errx(EXIT_USAGE, "%s:%d: not \"program | test | reason\"", path, nr);
		*test++ = '\0';
		*reason++ = '\0';
		if (!*trim(test) || !*trim(reason))
			errx(EXIT_USAGE, "%s:%d: not \"program | test | reason\"", path, nr);
		if (strcmp(trim(program), log->name))
			continue;
		if (log->nr_known == MAX_KNOWN)
			errx(EXIT_USAGE, "%s: more than %d for %s", path, MAX_KNOWN, log->name);
		log->known[log->nr_known++] = (struct known){
			.test = strdup(trim(test)), .reason = strdup(trim(reason)),
		};
	}
	free(line);
	fclose(f);
}

/* A known failure that passes is an error: its entry would hide a new failure. */
static void check_known(struct log *log)
{
	int i;

	for (i = 0; i < log->nr_known; i++) {
		if (log->known[i].failed)
			continue;
		say(log, "FAILED: listed as a known failure, but did not fail: %s",
		    log->known[i].test);
		log->failed++;
	}
}

/* Without KTAP, the exit code is the only result. */
static void count_exit_code(struct log *log, long code, bool empty, char *last)
{
	if (code == EXIT_SKIP)
		count_skip(log, "", last);
	else if (code)
		count_fail(log, "-");
	else if (!empty)
		count_pass(log);
}

static int verdict(struct log *log, long code)
{
	if (code == EXIT_TIMEOUT) {
		say(log, "TIMED OUT");
		log->failed++;
		return EXIT_TIMEOUT;
	}
	if (code == EXIT_DIED) {
		say(log, "FAILED: the guest died");
		log->failed++;
		return EXIT_DIED;
	}
	if (log->broken) {
		say(log, "FAILED: truncated log; the program's exit code: %ld", code);
		log->failed++;
		return EXIT_TRUNCATED;
	}
	check_known(log);
	if (code && code != EXIT_SKIP && !log->failed && !log->excused) {
		say(log, "FAILED: exit code %ld, though no test failed", code);
		log->failed++;
	}
	if (log->failed)
		return EXIT_FAIL;
	if (log->passed || log->excused)
		return EXIT_PASS;
	if (log->skipped) {
		say(log, "FAILED: all tests were skipped");
		return EXIT_SKIP;
	}
	say(log, "FAILED: no test ran");
	return EXIT_NO_TESTS;
}

int main(int argc, char **argv)
{
	struct log log = { .name = "test" };
	char *line = NULL, *last = strdup("");
	const char *known = NULL;
	size_t size = 0;
	bool whole = true;
	long code = 0;
	ssize_t len;
	FILE *f;
	int opt;

	while ((opt = getopt(argc, argv, "n:e:k:")) != -1) {
		switch (opt) {
		case 'n':
			log.name = optarg;
			break;
		case 'e':
			code = strtol(optarg, NULL, 10);
			break;
		case 'k':
			known = optarg;
			break;
		default:
			goto usage;
		}
	}
	if (optind != argc - 1)
		goto usage;
	if (known)
		read_known(&log, known);
	f = fopen(argv[optind], "r");
	if (!f)
		err(EXIT_USAGE, "%s", argv[optind]);
	while ((len = getline(&line, &size, f)) > 0) {
		whole = line[len - 1] == '\n';
		line[strcspn(line, "\r\n")] = '\0';
		if (*trim(line)) {
			free(last);
			last = strdup(trim(line));
		}
		parse_line(&log, line);
	}
	while (log.depth)
		level_pop(&log);
	if (log.ktap && !whole)
		broken(&log, "the last line is incomplete");
	if (!log.ktap)
		count_exit_code(&log, code, !*last, last);
	opt = verdict(&log, code);
	printf("%ld %ld %ld\n", log.passed, log.failed, log.skipped);
	return opt;
usage:
	fputs("usage: verdict [-n NAME] [-e EXIT-CODE] [-k KNOWN-FAILURES] LOG\n", stderr);
	return EXIT_USAGE;
}
