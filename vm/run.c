// SPDX-License-Identifier: GPL-2.0
/*
 * Run one program in the guest, as a given user and with a time limit. Its output
 * goes through pipes to the given files. These are usually virtio ports, which only
 * one process can have open, so a program that opens /dev/stdout would fail without
 * the pipes.
 *
 * Exits as the program does; with 128 + N if signal N killed it; with 124 if the
 * time limit was exceeded; with 127 if the program cannot be started.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define EXIT_TIMEOUT	124
#define EXIT_NO_PROGRAM	127
#define KILL_GRACE_MS	5000

struct stream {
	const char *path;
	int to;
	int from;	/* our end of the pipe; -1 after end of file */
	int child;	/* the program's end of the pipe */
};

static void on_child(int sig)
{
	(void)sig;
}

static long long now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

static void stream_open(struct stream *s)
{
	int fds[2];

	s->to = open(s->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	if (s->to < 0)
		err(EXIT_NO_PROGRAM, "%s", s->path);
	if (pipe2(fds, O_CLOEXEC))
		err(EXIT_NO_PROGRAM, "pipe");
	s->from = fds[0];
	s->child = fds[1];
	if (fcntl(s->from, F_SETFL, O_NONBLOCK))
		err(EXIT_NO_PROGRAM, "fcntl");
}

/*
 * Copy all available data. Keep reading if the output cannot be written, so that the
 * program does not block.
 */
static void stream_copy(struct stream *s)
{
	char buf[65536];
	ssize_t n, done, w;

	while (s->from >= 0) {
		n = read(s->from, buf, sizeof(buf));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			close(s->from);
			s->from = -1;
			return;
		}
		for (done = 0; done < n; done += w) {
			w = write(s->to, buf + done, n - done);
			if (w < 0 && errno == EINTR)
				w = 0;
			else if (w <= 0)
				break;
		}
	}
}

static void start(char **argv, const char *input, struct stream *out,
		  struct stream *log, long uid)
{
	int in = open(input, O_RDONLY);

	if (in < 0)
		err(EXIT_NO_PROGRAM, "%s", input);
	setsid();
	dup2(in, 0);
	dup2(out->child, 1);
	dup2(log->child, 2);
	if (in > 2)
		close(in);
	if (uid && (setgroups(0, NULL) || setgid(uid) || setuid(uid)))
		err(EXIT_NO_PROGRAM, "cannot become user %ld", uid);
	execvp(argv[0], argv);
	err(EXIT_NO_PROGRAM, "%s", argv[0]);
}

static int wait_for(pid_t pid, struct stream *streams, int nr, long limit)
{
	long long end = limit ? now_ms() + limit * 1000 : 0, left;
	struct timespec ts, *timeout;
	struct pollfd fds[2];
	sigset_t open_mask;
	int status, i, killed = 0;

	sigprocmask(SIG_SETMASK, NULL, &open_mask);
	sigdelset(&open_mask, SIGCHLD);
	for (;;) {
		/* SIGCHLD is blocked except in ppoll(), so the wakeup cannot be lost. */
		if (waitpid(pid, &status, WNOHANG) == pid)
			break;
		for (i = 0; i < nr; i++) {
			fds[i].fd = streams[i].from;
			fds[i].events = POLLIN;
		}
		timeout = NULL;
		if (end) {
			left = end - now_ms();
			if (left <= 0) {
				/* SIGKILL does not end it: leave it behind. */
				if (killed)
					return EXIT_TIMEOUT;
				kill(-pid, SIGKILL);
				killed = 1;
				end = now_ms() + KILL_GRACE_MS;
				continue;
			}
			ts.tv_sec = left / 1000;
			ts.tv_nsec = left % 1000 * 1000000;
			timeout = &ts;
		}
		if (ppoll(fds, nr, timeout, &open_mask) < 0 && errno != EINTR)
			err(EXIT_NO_PROGRAM, "ppoll");
		for (i = 0; i < nr; i++)
			stream_copy(&streams[i]);
	}
	/* Do not wait for end of file: a daemon may keep the pipe open for ever. */
	for (i = 0; i < nr; i++)
		stream_copy(&streams[i]);
	if (killed)
		return EXIT_TIMEOUT;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static void usage(void)
{
	fputs("usage: run [-t SECONDS] [-u UID] [-i STDIN] -o STDOUT [-e STDERR] PROGRAM [ARG]...\n",
	      stderr);
	exit(EXIT_NO_PROGRAM);
}

int main(int argc, char **argv)
{
	struct stream streams[2] = { { .path = NULL }, { .path = NULL } };
	const char *input = "/dev/null";
	struct sigaction sa = { .sa_handler = on_child };
	struct stream *log;
	long limit = 0, uid = 0;
	sigset_t mask, old;
	int opt, nr = 1;
	pid_t pid;

	while ((opt = getopt(argc, argv, "+t:u:i:o:e:")) != -1) {
		switch (opt) {
		case 't':
			limit = strtol(optarg, NULL, 10);
			break;
		case 'u':
			uid = strtol(optarg, NULL, 10);
			break;
		case 'i':
			input = optarg;
			break;
		case 'o':
			streams[0].path = optarg;
			break;
		case 'e':
			streams[1].path = optarg;
			nr = 2;
			break;
		default:
			usage();
		}
	}
	if (optind == argc || !streams[0].path)
		usage();

	sigaction(SIGCHLD, &sa, NULL);
	sigemptyset(&mask);
	sigaddset(&mask, SIGCHLD);
	sigprocmask(SIG_BLOCK, &mask, &old);
	stream_open(&streams[0]);
	if (nr == 2)
		stream_open(&streams[1]);
	log = &streams[nr - 1];

	pid = fork();
	if (pid < 0)
		err(EXIT_NO_PROGRAM, "fork");
	if (!pid) {
		signal(SIGCHLD, SIG_DFL);
		sigprocmask(SIG_SETMASK, &old, NULL);
		start(argv + optind, input, &streams[0], log, uid);
	}
	close(streams[0].child);
	if (nr == 2)
		close(streams[1].child);
	return wait_for(pid, streams, nr, limit);
}
