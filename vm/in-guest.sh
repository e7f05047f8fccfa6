# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
# The part of vm/scenario that runs in the guest: reads the scenario from /vm/scenario,
# provides what it needs and runs its tests one after the other. The output of each test
# goes to its own virtio port; "begin" and "end" lines go to the port "status". The last
# lines there are the page size in KiB and the kernel's taint flags, which show a splat
# even if it is missing in the log.

fd=/dev/virtio-ports
# An ordinary user may lock memory, too; a program that tests the limit sets its own.
# shellcheck disable=SC3045
ulimit -l unlimited
cd /tmp || return 2 # where an ordinary user can write too
[ -e $fd/status ] || return 2 # nothing could be reported; init has said so

set_and_check() {
	echo "$2" >"$1" && [ "$(cat "$1")" = "$2" ]
}

need() {
	case $1 in
	cpus) [ "$(grep -c '^cpu[0-9]' /proc/stat)" = "$2" ] ;;
	large_folios) # all sizes that the kernel supports, if any
		for size in /sys/kernel/mm/transparent_hugepage/hugepages-*kB/enabled; do
			! grep -qs '\[never]' "$size" || echo madvise >"$size"
		done
		;;
	hugepages) set_and_check /proc/sys/vm/nr_hugepages "$2" ;;
	sysctl) set_and_check "/proc/sys/$(echo "$2" | tr . /)" "$3" ;;
	zram) # MiB of swap
		echo "${2}M" >/sys/block/zram0/disksize && mkswap /dev/zram0 >/dev/null && swapon /dev/zram0
		;;
	ext4) # MiB, on a loop device, at /mnt
		mkdir -p /mnt && truncate -s "${2}M" /ext4.img && mke2fs -F /ext4.img >/dev/null &&
			losetup /dev/loop0 /ext4.img && mount -t ext4 /dev/loop0 /mnt &&
			chmod 1777 /mnt && export TMPDIR=/mnt
		;;
	dax) # ext4 or xfs, at /mnt, on the persistent memory of the first memmap=
		# The options align files so that huge pages can be mapped. The kernel
		# registers persistent memory asynchronously: wait for it.
		cat /sys/bus/nd/devices/ndbus*/wait_probe >/dev/null && case $2 in
		ext4) mkfs.ext4 -q -E stride=512 /dev/pmem0 ;;
		xfs) mkfs.xfs -q -l size=64m,su=32k -d su=2m,sw=1,extszinherit=512 /dev/pmem0 ;;
		esac && mkdir -p /mnt && mount -t "$2" -o dax /dev/pmem0 /mnt &&
			chmod 1777 /mnt && export TMPDIR=/mnt
		;;
	devdax) # the persistent memory of the second memmap=, as /dev/dax1.0
		(
			cd /sys/bus/nd/devices && cat ndbus*/wait_probe >/dev/null &&
				echo namespace1.0 >../drivers/nd_pmem/unbind &&
				dax=$(cat region1/dax_seed) && # dax1.0, or another if a probe had that number
				cat /proc/sys/kernel/random/uuid >"$dax/uuid" && echo ram >"$dax/mode" &&
				echo 2097152 >"$dax/align" && echo namespace1.0 >"$dax/namespace" &&
				echo "$dax" >../drivers/dax_pmem/bind
		) && [ -c /dev/dax1.0 ]
		;;
	*) false ;;
	esac
}

# test NAME SECONDS USER COMMAND...
test_one() {
	name=$1 limit=$2 user=$3
	shift 3
	echo "vm: begin $name" >/dev/kmsg
	echo "begin $name" >$fd/status
	begin=$(date +%s)
	uid=$(id -u "$user")
	program=/ksft/$1
	shift
	/vm/run -t "$limit" -u "$uid" -o "$fd/$name" "$program" "$@"
	echo "end $name $? $(($(date +%s) - begin))" >$fd/status
	kill -9 -1 # whatever the test left running; spares this process, which is init
	echo "vm: end $name" >/dev/kmsg
}

while read -r key rest; do
	# shellcheck disable=SC2086	# words
	case $key in
	need | cpus)
		[ "$key" = need ] || rest="cpus $rest"
		if ! need $rest; then
			echo "init: the guest cannot provide what the scenario needs: $rest"
			echo "error: the guest cannot provide: $rest" >$fd/status
			return 2
		fi
		;;
	test) test_one $rest ;;
	esac
done </vm/scenario
echo "page $(sed -n '/^KernelPageSize: */{s///;s/ kB//p;q}' /proc/self/smaps)" >$fd/status
echo "taint $(cat /proc/sys/kernel/tainted)" >$fd/status
