// SPDX-License-Identifier: GPL-2.0
/*
 * Run a program and append its exit code, or 128 + N if signal N killed it, and the
 * milliseconds it took to a file. Exits with the same code.
 *
 * usage: stopwatch FILE PROGRAM [ARGUMENT]...
 */
#include <err.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct timespec begin, end;
	int status, code;
	FILE *file;
	pid_t pid;

	if (argc < 3)
		errx(2, "usage: stopwatch FILE PROGRAM [ARGUMENT]...");
	clock_gettime(CLOCK_MONOTONIC, &begin);
	pid = fork();
	if (!pid) {
		execvp(argv[2], argv + 2);
		err(127, "%s", argv[2]);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		err(2, "%s", argv[2]);
	clock_gettime(CLOCK_MONOTONIC, &end);
	code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
	file = fopen(argv[1], "a");
	if (!file)
		err(2, "%s", argv[1]);
	fprintf(file, "%d %.0f\n", code, (end.tv_sec - begin.tv_sec) * 1e3 +
		(end.tv_nsec - begin.tv_nsec) / 1e6);
	return fclose(file) ? 2 : code;
}
