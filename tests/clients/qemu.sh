# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# QEMU's coroutines, of Debian unstable: a server and a client of a block device.  The
# stacks of coroutines have PROT_NONE pages of QEMU's own; those of its threads have
# glibc's guard pages.
# shellcheck source=tests/clients/threads.sh
. /clients/threads.sh
name="QEMU $(sed -n 's/^qemu-utils 1://p' /packages)"

# bench: 3,000 writes, 64 at a time, each in a coroutine of the client and one of the
# server; then looks at the server's threads, which wait for more work
bench() {
	truncate -s 16M /tmp/image
	qemu-nbd -k /tmp/nbd -t --aio=threads -f raw /tmp/image &
	server=$!
	tries=0
	until qemu-img info 'nbd+unix:///?socket=/tmp/nbd'; do
		tries=$((tries + 1))
		[ $tries -lt 600 ] || return
		sleep 0.1
	done
	qemu-img bench -w -c 3000 -d 64 --pattern 7 -f raw 'nbd+unix:///?socket=/tmp/nbd' || return
	/clients/stacks "$server"
}
same() {
	qemu-io -f raw -c 'read -P 7 0 12288000' /tmp/image | tee /tmp/read
	! grep 'failed\|error' /tmp/read
}
convert() {
	qemu-img convert -U -m 16 -W -f raw -O qcow2 /tmp/image /tmp/image.qcow2 &&
		qemu-img check /tmp/image.qcow2 && qemu-img compare -U /tmp/image /tmp/image.qcow2
}

line "$name" '3,000 writes in coroutines' says bench
line "$name" 'guard pages below the stacks of 10 threads' at_least guarded 10
line "$name" 'no stack without a guard' at_most unguarded 0
line "$name" 'the data is correct' same
line "$name" 'convert, check and compare in coroutines' convert
kill "$server"
