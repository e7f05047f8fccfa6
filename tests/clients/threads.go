// SPDX-License-Identifier: GPL-2.0

/*
 * Threads of Go in C code, for tests/clients/go.sh.
 *
 * usage: threads-go wait N       N goroutines wait in C, each in a thread, while
 *                                /clients/stacks looks at the stacks of all threads
 *        threads-go recursion    endless recursion in Go
 *        threads-go overflow N   the same, but the thread with the highest stack then uses
 *                                4 MiB more than that and ends the program with exit code 0
 */
package main

/*
#include <pthread.h>
#include <unistd.h>

static pthread_barrier_t started, finish;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char *highest;

static void prepare(int count)
{
	pthread_barrier_init(&started, NULL, count);
	pthread_barrier_init(&finish, NULL, count);
}

static int use_stack(long pages)
{
	volatile char page[4096];

	page[0] = 1;
	return pages ? page[0] + use_stack(pages - 1) + page[0] : 0;
}

// Go may run any goroutine in the first thread, whose stack is not glibc's.
static void wait_for_others(int overflow)
{
	pthread_attr_t attr;
	size_t size;
	void *stack;

	pthread_getattr_np(pthread_self(), &attr);
	pthread_attr_getstack(&attr, &stack, &size);
	pthread_attr_destroy(&attr);
	pthread_mutex_lock(&lock);
	if ((char *)stack > highest && gettid() != getpid())
		highest = stack;
	pthread_mutex_unlock(&lock);
	pthread_barrier_wait(&started);
	if (overflow && stack == highest) {
		use_stack((size + (4 << 20)) / 4096);
		_exit(0);
	}
	pthread_barrier_wait(&finish);
}

static void wait_started(void) { pthread_barrier_wait(&started); }
static void wait_finish(void) { pthread_barrier_wait(&finish); }
*/
// #cgo CFLAGS: -D_GNU_SOURCE -O1
import "C"

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
)

func start(count, overflow int) {
	C.prepare(C.int(count + 1))
	for i := 0; i < count; i++ {
		go func() {
			runtime.LockOSThread()
			C.wait_for_others(C.int(overflow))
		}()
	}
	C.wait_started()
}

func deeper(n int) int {
	return deeper(n+1) + 1
}

func main() {
	switch os.Args[1] {
	case "wait":
		count, _ := strconv.Atoi(os.Args[2])
		start(count, 0)
		said, err := exec.Command("/clients/stacks", fmt.Sprint(os.Getpid())).CombinedOutput()
		fmt.Print(string(said))
		if err != nil {
			panic(err)
		}
		C.wait_finish()
	case "recursion":
		debug.SetMaxStack(64 << 20)
		deeper(0)
	case "overflow":
		count, _ := strconv.Atoi(os.Args[2])
		start(count, 1)
		C.wait_finish()
	}
}
