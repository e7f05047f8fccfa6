// SPDX-License-Identifier: GPL-2.0
/*
 * Whatever a recipe's exit code is, make's own is 2.  `make exec` and
 * `make test` promise the program's: a function for the Makefile to load,
 * $(exit-as FILE), ends make itself with the number that is in FILE.
 */
#include <gnumake.h>
#include <stdio.h>
#include <stdlib.h>

int plugin_is_GPL_compatible;
int exit_gmk_setup(void);

static char *exit_as(const char *name, unsigned int argc, char **argv)
{
	FILE *file = fopen(argv[0], "r");
	int code = 2;

	(void)name;
	(void)argc;
	if (file) {
		if (fscanf(file, "%d", &code) != 1)
			code = 2;
		fclose(file);
	}
	if (code)
		exit(code);
	return NULL;
}

int exit_gmk_setup(void)
{
	gmk_add_function("exit-as", exit_as, 1, 1, GMK_FUNC_DEFAULT);
	return 1;
}
