/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A clock that counts instructions, in a guest with one processor under QEMU with
 * -icount shift=0,sleep=off; and quantiles of what it measures.
 */
#ifndef BENCH_CLOCK_H
#define BENCH_CLOCK_H

#include <err.h>
#include <stdint.h>
#include <stdlib.h>

static inline int64_t now(void)
{
#if defined(__x86_64__)
	/* The guest's TSC counts instructions; CLOCK_MONOTONIC is scaled. */
	return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
	int64_t count;

	/* It counts nanoseconds if QEMU's -cpu has cntfrq=1000000000. */
	asm volatile("mrs %0, cntvct_el0" : "=r" (count));
	return count;
#elif defined(__riscv)
	int64_t count;

	/* Firmware lets programs read it; a kernel without RISCV_PMU does not change that. */
	asm volatile("rdcycle %0" : "=r" (count));
	return count;
#else
#error "no register is known that counts instructions on this architecture"
#endif
}

/* Run two instructions @left times. */
static inline void loop(unsigned long left)
{
#if defined(__x86_64__)
	asm volatile("1: dec %0; jnz 1b" : "+r" (left) : : "cc");
#elif defined(__aarch64__)
	asm volatile("1: subs %0, %0, #1; b.ne 1b" : "+r" (left) : : "cc");
#elif defined(__riscv)
	asm volatile("1: addi %0, %0, -1; bnez %0, 1b" : "+r" (left));
#endif
}

/*
 * Check that a loop takes as long as it has instructions.  Use the minimum of some
 * tries, because interrupts and other processes add instructions.
 */
static inline void check_clock(void)
{
	int64_t begin, took, least = INT64_MAX;
	int i;

	for (i = 0; i < 20; i++) {
		begin = now();
		loop(1000000);
		took = now() - begin;
		if (took < least)
			least = took;
	}
	if (least < 1980000 || least > 2020000)
		errx(1, "the clock does not count instructions: %lld for 2000000",
		     (long long)least);
}

static inline int compare_values(const void *a, const void *b)
{
	double left = *(const double *)a, right = *(const double *)b;

	return (left > right) - (left < right);
}

static inline double lower_quartile(double *values, int nr)
{
	qsort(values, nr, sizeof(*values), compare_values);
	return values[nr / 4];
}

/* Sorts @values. */
static inline double median(double *values, int nr)
{
	qsort(values, nr, sizeof(*values), compare_values);
	return nr % 2 ? values[nr / 2] :
	       (values[nr / 2 - 1] + values[nr / 2]) / 2;
}

#endif
