// SPDX-License-Identifier: GPL-2.0
/*
 * Threads of node, for tests/clients/node.sh.
 *
 * usage: node threads.js wait N       N workers wait while /clients/stacks looks at the
 *                                     stacks of all threads
 *        node threads.js recursion N  endless recursion in N workers at once; each
 *                                     catches it
 *        node threads.js pool N       N hashes in libuv's thread pool, then looks at the
 *                                     stacks
 */
'use strict';
const { Worker, isMainThread, parentPort, workerData } = require('node:worker_threads');
const { execFileSync } = require('node:child_process');
const crypto = require('node:crypto');

const look = () => process.stdout.write(execFileSync('/clients/stacks', [`${process.pid}`]));

function recursion() {
	const deeper = (n) => deeper(n + 1) + 1;
	try {
		deeper(0);
	} catch (error) {
		return error instanceof RangeError;
	}
}

async function workers(what, count) {
	const all = Array.from({ length: count }, () => new Worker(__filename, { workerData: what }));
	const said = await Promise.all(all.map((worker) => new Promise((resolve, reject) => {
		worker.once('message', resolve);
		worker.once('error', reject);
	})));
	console.log(said.filter((ok) => ok).length, 'workers');
	if (what === 'wait')
		look();
	await Promise.all(all.map((worker) => worker.terminate()));
}

function pool(count) {
	let left = count;
	for (let i = 0; i < count; i++) {
		crypto.pbkdf2('secret', `${i}`, 100, 64, 'sha512', (error, key) => {
			if (error || key.length !== 64)
				throw error;
			if (--left === 0)
				look();
		});
	}
}

if (!isMainThread) {
	parentPort.postMessage(workerData === 'recursion' ? recursion() : true);
	setInterval(() => {}, 1000000);	// until it is terminated
} else if (process.argv[2] === 'pool') {
	pool(Number(process.argv[3]));
} else {
	workers(process.argv[2], Number(process.argv[3]));
}
