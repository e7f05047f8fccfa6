/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Included before each file of glibc's test suite, so that it compiles outside of glibc.
 * The tests that are run here use none of the paths.
 */
#include <errno.h>
#include <limits.h>
#include <unistd.h>

#define attribute_hidden
#define libc_hidden_proto(x)
#define __set_errno(error) (errno = (error))
#define __glibc_likely(x) __builtin_expect(!!(x), 1)
#define __glibc_unlikely(x) __builtin_expect(!!(x), 0)
#define TIMEOUTFACTOR 50	/* for emulation */
#define SRCDIR_PATH "/"
#define OBJDIR_PATH "/"
#define OBJDIR_ELF_LDSO_PATH "/"
#define INSTDIR_PATH "/"
#define LIBDIR_PATH "/"
#define BINDIR_PATH "/"
#define SBINDIR_PATH "/"
#define ROOTSBINDIR_PATH "/"
#define SLIBDIR_PATH "/"
#define SYSCONFDIR_PATH "/"
#define COMPLOCALEDIR_PATH "/"
