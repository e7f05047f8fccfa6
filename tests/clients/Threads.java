// SPDX-License-Identifier: GPL-2.0
import java.lang.management.ManagementFactory;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * Threads of OpenJDK, for tests/clients/openjdk.sh.
 *
 * usage: java Threads.java wait N       N threads wait while /clients/stacks looks at the
 *                                       stacks of all threads
 *        java Threads.java recursion N  endless recursion in N threads at once; each
 *                                       catches it three times
 *        java Threads.java rounds N     ten times N threads, each in endless recursion,
 *                                       on stacks that glibc uses again
 */
class Threads {
	static final AtomicInteger caught = new AtomicInteger();

	static int deeper(int depth) {
		return deeper(depth + 1) + 1;
	}

	static void recursion() {
		try {
			deeper(0);
		} catch (StackOverflowError e) {
			caught.incrementAndGet();
		}
	}

	static void together(int count, int times) throws Exception {
		CountDownLatch started = new CountDownLatch(count), finish = new CountDownLatch(1);
		Thread[] threads = new Thread[count];

		for (int i = 0; i < count; i++) {
			threads[i] = new Thread(() -> {
				for (int j = 0; j < times; j++)
					recursion();
				started.countDown();
				try {
					finish.await();
				} catch (InterruptedException e) {
					throw new IllegalStateException(e);
				}
			});
			threads[i].start();
		}
		started.await();
		if (times == 0)
			new ProcessBuilder("/clients/stacks", "" + ProcessHandle.current().pid())
				.inheritIO().start().waitFor();
		finish.countDown();
		for (Thread thread : threads)
			thread.join();
	}

	public static void main(String[] args) throws Exception {
		int count = Integer.parseInt(args[1]);

		switch (args[0]) {
		case "wait" -> together(count, 0);
		case "recursion" -> together(count, 3);
		case "rounds" -> {
			for (int i = 0; i < 10; i++)
				together(count, 1);
		}
		default -> throw new IllegalArgumentException(args[0]);
		}
		System.out.println(caught + " times StackOverflowError");
	}
}
