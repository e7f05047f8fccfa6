// SPDX-License-Identifier: GPL-2.0
/* The page faults of a core dump of 256 MiB of guards, and of PROT_NONE. As root. */
#include "repro.h"

#define LEN	(256 * MIB)
#define CORE	"/tmp/core"

static long dump(bool guards)
{
	const struct rlimit limit = { RLIM_INFINITY, RLIM_INFINITY };
	long before = read_number("/proc/vmstat", "pgfault ");
	int status;
	pid_t pid = fork();

	if (!pid) {
		char *mem = map(LEN, RW, MAP_PRIVATE | MAP_NORESERVE);

		advise(mem, LEN, MADV_NOHUGEPAGE);
		mem[0] = 1;	/* a mapping that was never written is not dumped */
		if (guards)
			advise(mem + PAGE, LEN - PAGE, MADV_GUARD_INSTALL);
		else if (mprotect(mem + PAGE, LEN - PAGE, PROT_NONE))
			err(1, "mprotect");
		setrlimit(RLIMIT_CORE, &limit);
		abort();
	}
	if (waitpid(pid, &status, 0) != pid || !WIFSIGNALED(status) || !WCOREDUMP(status))
		errx(1, "no core dump");
	unlink(CORE);
	return read_number("/proc/vmstat", "pgfault ") - before;
}

int main(void)
{
	FILE *pattern = fopen("/proc/sys/kernel/core_pattern", "w");
	long guards, none;

	if (!pattern || fprintf(pattern, CORE "\n") < 0 || fclose(pattern))
		err(1, "core_pattern");
	plan(1);
	none = dump(false);
	guards = dump(true);
	verdict(guards < none + 1000, "core_dump_takes_no_fault_for_a_guard",
		"%ld page faults with %lu guards, %ld with PROT_NONE", guards, LEN / PAGE - 1, none);
	return 0;
}
