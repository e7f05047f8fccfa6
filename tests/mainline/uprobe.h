/* SPDX-License-Identifier: GPL-2.0 */
/* A file with a function and a counter, mapped twice, and a probe of it.  Needs tracefs. */
#ifndef UPROBE_H
#define UPROBE_H

#include <sys/mount.h>
#include <sys/stat.h>
#include "ktap.h"

#define TRACING		"/sys/kernel/tracing/"
#define COUNTER		0x10	/* in the second page of the file */
#define BREAKPOINT	0xcc

static char probed[] = "/tmp/probedXXXXXX";
static unsigned char *text;
static char *data;

static inline int put(const char *name, const char *value, int flags)
{
	char path[128];
	int fd, err = 0;

	snprintf(path, sizeof(path), TRACING "%s", name);
	fd = open(path, O_WRONLY | flags);
	if (fd < 0)
		cannot(path);
	if (write(fd, value, strlen(value)) < 0)
		err = errno;
	close(fd);
	return err;
}

static inline int enable(void)
{
	return put("events/mainline/probe/enable", "1", 0);
}

static inline int disable(void)
{
	return put("events/mainline/probe/enable", "0", 0);
}

static inline int counter(void)
{
	return *(volatile short *)(data + COUNTER);
}

static inline void probe(void)
{
	char page[page_size()], event[128];
	int fd = mkstemp(probed);

	mount("tracefs", TRACING, "tracefs", 0, NULL);
	memset(page, 0x90, sizeof(page));
	page[8] = 0xc3;
	if (fd < 0 || fchmod(fd, 0755) || write(fd, page, sizeof(page)) < 0)
		cannot(probed);
	memset(page, 0, sizeof(page));
	if (write(fd, page, sizeof(page)) < 0)
		cannot(probed);
	close(fd);
	fd = open(probed, O_RDONLY);
	text = mmap(NULL, page_size(), PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
	data = mmap(NULL, page_size(), PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, page_size());
	if (text == MAP_FAILED || data == MAP_FAILED)
		cannot("mmap");
	snprintf(event, sizeof(event), "p:mainline/probe %s:0x0(0x%zx)", probed,
		 page_size() + COUNTER);
	if (put("uprobe_events", event, O_APPEND))
		cannot(event);
}

static inline int unprobe(void)
{
	put("uprobe_events", "", O_TRUNC);
	unlink(probed);
	return done();
}

#endif /* UPROBE_H */
