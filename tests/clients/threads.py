# SPDX-License-Identifier: GPL-2.0
"""Threads of Python, for tests/clients/python.sh.

usage: threads.py wait N        N threads wait while /clients/stacks looks at their stacks
       threads.py sizes N       the same in rounds, with stacks of several sizes
       threads.py recursion N   endless recursion in N threads at once; each catches it
       threads.py overflow N    the C stack of a thread overflows; the stacks of N others
                                are below it
       threads.py fork N        the same in a child that a thread forked
"""
import faulthandler
import json
import os
import subprocess
import sys
import threading


def look():
    print(subprocess.run(["/clients/stacks", str(os.getpid())], check=True,
                         capture_output=True, text=True).stdout, end="", flush=True)


def together(count, first, last):
    """Calls first() in COUNT threads, then last() while they wait."""
    started = threading.Barrier(count + 1)
    finish = threading.Event()

    def run():
        first()
        started.wait()
        finish.wait()

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    started.wait()
    last()
    finish.set()
    for thread in threads:
        thread.join()


def recurse(caught):
    def deeper():
        return deeper() + 1

    nested = []
    for _ in range(100000):
        nested = [nested]
    for run in deeper, lambda: json.dumps(nested):
        try:
            run()
        except RecursionError:
            caught.append(run)
    while nested:   # not recursively
        nested = nested.pop()


def overflow(count, fork):
    go = threading.Event()

    def run():
        go.wait()
        child = os.fork() if fork else 0
        if not child:
            faulthandler._stack_overflow()
        os._exit(128 + os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) * -1)

    # glibc puts each stack right below the one before.
    threading.stack_size(256 * 1024)
    threading.Thread(target=run).start()
    together(count, lambda: None, lambda: (go.set(), threading.Event().wait()))


what, number = sys.argv[1], int(sys.argv[2])
if what == "wait":
    together(number, lambda: None, look)
elif what == "sizes":
    for size in 8192, 256, 1024, 64, 2048, 8192, 256:
        threading.stack_size(size * 1024)
        together(number, lambda: None, look)
elif what == "recursion":
    caught = []
    together(number, lambda: recurse(caught), lambda: None)
    print(len(caught), "times RecursionError")
elif what in ("overflow", "fork"):
    overflow(number, what == "fork")
else:
    sys.exit(__doc__)
