// SPDX-License-Identifier: GPL-2.0
/*
 * A process puts a guard over the reference counter (the semaphore) of a probe, in a
 * private mapping of the probed file. Can anybody still enable the probe, and does
 * disabling it remove the breakpoint? As root.
 */
#include "repro.h"

#define TRACING		"/sys/kernel/tracing/"
#define PROBED		"/tmp/probed"
#define BREAKPOINT	0xcc

static int put(const char *file, const char *text, int flags)
{
	int fd = open(file, O_WRONLY | flags), error = 0;

	if (fd < 0)
		err(1, "%s", file);
	if (write(fd, text, strlen(text)) < 0)
		error = errno;
	close(fd);
	return error;
}

static int enable(bool on)
{
	return put(TRACING "events/repro/probe/enable", on ? "1" : "0", 0);
}

int main(void)
{
	unsigned char code[2 * PAGE] = { [0 ... 7] = 0x90, [8] = 0xc3 };
	int fd = open(PROBED, O_RDWR | O_CREAT | O_TRUNC, 0755), error;
	volatile unsigned char *text;
	char *data;

	if (fd < 0 || write(fd, code, sizeof(code)) != sizeof(code))
		err(1, PROBED);
	close(fd);
	fd = open(PROBED, O_RDONLY);
	text = mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
	data = mmap(NULL, PAGE, RW, MAP_PRIVATE, fd, PAGE);
	if (text == MAP_FAILED || data == MAP_FAILED)
		err(1, "mmap");
	error = put(TRACING "uprobe_events", "p:repro/probe " PROBED ":0x0(0x1010)", O_APPEND);
	if (error || enable(true) || enable(false))
		errx(1, "cannot probe a file without guards (%s)", error_name(error));
	plan(2);

	advise(data, PAGE, MADV_GUARD_INSTALL);
	error = enable(true);
	verdict(!error, "probe_can_be_enabled", "%s", error_name(error));
	enable(false);

	advise(data, PAGE, MADV_GUARD_REMOVE);
	if (enable(true) || text[0] != BREAKPOINT)
		errx(1, "no breakpoint without guards");
	advise(data, PAGE, MADV_GUARD_INSTALL);
	enable(false);
	verdict(text[0] != BREAKPOINT, "disabling_the_probe_removes_the_breakpoint",
		"the first byte of the text is %#x", text[0]);
	put(TRACING "uprobe_events", "", O_TRUNC);
	unlink(PROBED);
	return 0;
}
