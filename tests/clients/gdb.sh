# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# shellcheck disable=SC2154 # in-guest.sh and with-guarded.sh set log and pid
# gdb and gcore of Debian unstable on a process with guards, and gdb on its core dump by
# the kernel.
# shellcheck source=tests/clients/with-guarded.sh
. /clients/with-guarded.sh
name="gdb $(sed -n 's/^gdb //p' /packages)"
export HOME=/tmp DEBUGINFOD_URLS=

# gdb_says EXPECTED COMMAND...: runs gdb on the core file $core or, if that is empty, on
# the process; succeeds if gdb prints EXPECTED
gdb_says() {
	expected=$1
	shift
	set -- -batch -nx -ex "$@"
	if [ "$core" ]; then set -- "$@" /clients/guarded "$core"; else set -- "$@" -p "$pid"; fi
	gdb "$@" >/tmp/said 2>&1 </dev/null
	cat /tmp/said
	grep -q -e "$expected" /tmp/said
}

core=
if start_guarded; then
	line "$name" 'reads the page before a guard' gdb_says 'anonymous page 4' "x/s $(address anonymous 4)"
	line "$name" 'reads the page behind a guard' gdb_says 'anonymous page 6' "x/s $(address anonymous 6)"
	line "$name" 'cannot read a guard, and says so' gdb_says 'Cannot access memory' "x/s $(address anonymous 5)"
	line "$name" 'cannot write to a guard, and says so' gdb_says 'Cannot access memory' "set var *(char *)$(address anonymous 5) = 1"
	line "$name" 'lists all threads' gdb_says '4 .*Thread' 'info threads'
	line "$name" 'the memory of the process is unchanged' still_as_it_was

	line gcore 'writes a core file' gcore -o /tmp/core "$pid"
	core=/tmp/core.$pid
	line gcore 'its core has the page before a guard' gdb_says 'anonymous page 4' "x/s $(address anonymous 4)"
	line gcore 'its core has the page behind a guard' gdb_says 'anonymous page 6' "x/s $(address anonymous 6)"
	line gcore 'its core has a page behind all guards' gdb_says 'anonymous page 15' "x/s $(address anonymous 15)"
	line gcore 'its core has shared memory behind a guard' gdb_says 'shared page 6' "x/s $(address shared 6)"
	line gcore 'its core has nothing of a guard' gdb_says 'Cannot access memory\|:.*""$' "x/s $(address anonymous 5)"
	line gcore 'the memory of the process is unchanged' still_as_it_was

	ulimit -c unlimited
	echo /tmp/kernel-core >/proc/sys/kernel/core_pattern
	kill -TERM "$pid"
	start_guarded
	kill -ABRT "$pid"
	wait "$pid"
	core=/tmp/kernel-core
	[ -e $core ] || core=$core.$pid
	line "kernel's core dump" 'has the page before a guard' gdb_says 'anonymous page 4' "x/s $(address anonymous 4)"
	line "kernel's core dump" 'has the page behind a guard' gdb_says 'anonymous page 6' "x/s $(address anonymous 6)"
	line "kernel's core dump" 'has nothing of a guard' gdb_says 'Cannot access memory\|:.*""$' "x/s $(address anonymous 5)"
	line "kernel's core dump" 'lists all threads' gdb_says '4 .*Thread\|4 .*LWP' 'info threads'
else
	line "$name" 'there is a process with guards to read' false
fi
