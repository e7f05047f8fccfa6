// SPDX-License-Identifier: GPL-2.0
/*
 * Runs a program under a seccomp filter that treats MADV_GUARD_INSTALL as sandboxes do
 * that do not know it, or breaks it.
 *
 * usage: filter ERRNO|kill PROGRAM [ARGUMENT]...
 *   ERRNO  madvise(MADV_GUARD_INSTALL) does nothing and fails with this number; with 0
 *          it claims to have succeeded
 *   kill   it ends the process with SIGSYS
 */
#include <err.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MADV_GUARD_INSTALL 102

int main(int argc, char **argv)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_madvise, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, MADV_GUARD_INSTALL, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = { sizeof(code) / sizeof(*code), code };

	if (argc < 3)
		errx(2, "usage: filter ERRNO|kill PROGRAM [ARGUMENT]...");
	code[4].k = strcmp(argv[1], "kill") ? SECCOMP_RET_ERRNO | atoi(argv[1]) : SECCOMP_RET_KILL_PROCESS;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter))
		err(2, "seccomp filter");
	execvp(argv[2], argv + 2);
	err(127, "%s", argv[2]);
}
