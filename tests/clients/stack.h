/* SPDX-License-Identifier: GPL-2.0 */
/* Functions to find a thread's stack, and to check whether memory can be read. */
#include <err.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <unistd.h>

struct stack {
	char *guard;	/* start of the guard */
	char *bottom;	/* end of the guard, start of the stack */
	char *top;
};

static inline struct stack my_stack(void)
{
	pthread_attr_t attr;
	size_t size, guard;
	struct stack s;
	void *bottom;

	if (pthread_getattr_np(pthread_self(), &attr) ||
	    pthread_attr_getstack(&attr, &bottom, &size) ||
	    pthread_attr_getguardsize(&attr, &guard))
		errx(1, "no attributes for this thread");
	pthread_attr_destroy(&attr);
	s.bottom = bottom;
	s.top = s.bottom + size;
	s.guard = s.bottom - guard;
	return s;
}

static int pipes[2];

__attribute__((constructor)) static void make_pipes(void)
{
	if (pipe(pipes))
		err(1, "pipe");
}

/* Let the kernel read the byte, so that there is no signal. */
static inline bool readable(const char *p)
{
	char c;

	if (write(pipes[1], p, 1) == 1)
		return read(pipes[0], &c, 1) == 1;
	if (errno != EFAULT)
		err(1, "write");
	return false;
}
