# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# shellcheck disable=SC2154 # in-guest.sh and with-guarded.sh set log and pid
# Programs of Debian 12 with the C library's allocator and with guard-malloc.so, which uses
# guard pages or PROT_NONE. The guest's clock counts instructions.
so=/clients/guard-malloc.so
export PYTHONMALLOC=malloc	# Python's own allocator would hide the objects
export GIT_CONFIG_NOSYSTEM=1 HOME=/tmp/home

export GIT_AUTHOR_NAME=guest GIT_AUTHOR_EMAIL=guest@guest GIT_COMMITTER_NAME=guest GIT_COMMITTER_EMAIL=guest@guest

rows_in_python='
rows = [("%d" % i).encode() * 1100 for i in range(40000)]
assert sum(map(len, rows)) == sum(len("%d" % i) * 1100 for i in range(40000))
del rows[::2]
print(len(rows))'
words_in_python='
words = {}
for i in range(45000):
    words.setdefault("word %d" % (i % 15000), []).append(i)
print(sum(map(sum, words.values())))'
rows_in_sqlite='
create table t (id integer primary key, k integer, data blob);
with recursive n (i) as (select 1 union all select i + 1 from n where i < 100000)
insert into t select i, i * 7919 % 100003, zeroblob(1500) from n;
create index k on t (k);
select count(*), sum(length(data)), sum(k) from t;
delete from t where id % 3 = 0;
select count(*) from t where k < 50000;'

# history: prints 120 commits for git fast-import, each to four of twenty files.
history() {
	awk 'BEGIN {
		for (c = 1; c <= 120; c++) {
			printf "commit refs/heads/main\ncommitter guest <guest@guest> %d +0000\ndata 6\nchange\n", 1000000000 + c
			for (f = c % 5; f < 20; f += 5) {
				text = ""
				for (l = 0; l < 150; l++)
					text = text "line " l * f " of " (l % 40 == c % 40 ? c : "what stays") "\n"
				printf "M 644 inline file%d\ndata %d\n%s\n", f, length(text), text
			}
		}
	}'
}

mkdir -p /tmp/home
history >/tmp/history

run_git() {
	cat <<-'END'
	set -e
	rm -rf repo
	git init -q -b main repo
	cd repo
	git fast-import --quiet </tmp/history
	git reset -q --hard
	git status --short
	git log -p --stat | sha256sum
	git gc -q
	git log -p | sha256sum
	git fsck --no-progress
	END
}

# program NAME: runs a program with the variables in $environment
program() {
	case $1 in
	python3-rows) set -- python3 -c "$rows_in_python" ;;
	python3-words) set -- python3 -c "$words_in_python" ;;
	sqlite3-memory) set -- sqlite3 -init /dev/null -batch :memory: "$rows_in_sqlite" ;;
	sqlite3-file) set -- sqlite3 -init /dev/null -batch /tmp/db "$rows_in_sqlite" ;;
	git) set -- sh /tmp/git.sh ;;
	gcc) set -- gcc -O2 -c -o /tmp/out.o /clients/input.i ;;
	esac
	rm -f /tmp/db /tmp/out.o
	# shellcheck disable=SC2086 # words
	/clients/stopwatch /tmp/times env $environment "$@" >/tmp/out 2>/tmp/err
}

# one NAME MIN: runs a program with the three allocators; and once more with a higher limit
# if it ran out of VMAs with PROT_NONE
one() {
	name=$1 min=$2
	for variant in libc guards prot-none prot-none+; do
		case $variant in
		prot-none+)
			[ "$how" != completed ] || continue
			echo 1000000 >/proc/sys/vm/max_map_count
			;;
		*) echo 65530 >/proc/sys/vm/max_map_count ;;
		esac
		rm -f /tmp/times /tmp/stats
		case $variant in
		libc)
			environment=
			program "$name"
			cp /tmp/out /tmp/out.libc
			stats='- - - - - - -'
			;;
		*)
			guarded "$name"
			cp /tmp/out /tmp/out.guarded
			;;
		esac
		# shellcheck disable=SC2046	# two words
		set -- $(cat /tmp/times)
		code=$1 ms=$2
		# The output must be the same as with the C library's allocator.
		how=completed
		[ "$code" = 0 ] && cmp -s /tmp/out /tmp/out.libc || how="died($code)"
		# shellcheck disable=SC2086	# words
		set -- $stats
		printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$name" "$min" "$variant" "$how" \
			"$3" "$4" "$5" "$6" "$7" "$ms" >>/tmp/figures
		{ echo "== $name, from $min bytes on, $variant: $how"; cat /tmp/err /tmp/stats; } 2>/dev/null >>"$log"
	done
}

# guarded NAME: runs a program once for the time, and once for the statistics, which take
# time themselves
guarded() {
	environment="LD_PRELOAD=$so GUARD_MALLOC=${variant%+} GUARD_MALLOC_MIN=$min"
	program "$1"
	mv /tmp/times /tmp/times.1
	environment="$environment GUARD_MALLOC_STATS=/tmp/stats"
	program "$1"
	mv /tmp/times.1 /tmp/times
	# Use the statistics of the process with the most live allocations.
	stats=$(sort -k4,4n -k3,3n /tmp/stats | tail -n 1)
}

figure() { # NAME MIN VARIANT COLUMN
	awk -F '\t' -v name="$1" -v min="$2" -v variant="$3" -v column="$4" \
		'$1 == name && $2 == min && $3 == variant { print $column }' /tmp/figures
}
completed() { [ "$(figure "$1" "$2" guards 4)" = completed ]; }
few_vmas() { [ "$(figure "$1" "$2" guards 7)" -lt 250 ]; }
out_of_vmas() {
	case $(figure "$1" "$2" prot-none 4) in died*) ;; *) return 1 ;; esac
	[ "$(figure "$1" "$2" prot-none 7)" -ge 65500 ]
}
raised() { [ "$(figure "$1" "$2" prot-none+ 4)" = completed ]; }
alike() { [ "$(figure "$1" "$2" prot-none 4)" = completed ]; }

own_test() { LD_PRELOAD=$so GUARD_MALLOC=$1 GUARD_MALLOC_MIN=$2 /clients/guard-malloc-test; }
refuses() {
	LD_PRELOAD=$so GUARD_MALLOC=guards /clients/guard-malloc-test >/tmp/out 2>/tmp/err && return 1
	[ $? = 2 ] && [ "$(wc -l </tmp/err)" = 1 ] && grep -q 'this kernel has no guard pages' /tmp/err
}

run_git >/tmp/git.sh
line guard-malloc 'without it the self-test fails' sh -c '! /clients/guard-malloc-test'
line guard-malloc 'self-test with PROT_NONE' own_test prot-none 4096
if kernel_has_guards; then
	line guard-malloc 'self-test with guard pages' own_test guards 4096
	line guard-malloc 'self-test with guard pages for all allocations' own_test guards 1
	for which in python3-rows:4096 python3-words:1 sqlite3-memory:4096 sqlite3-file:4096 git:4096 git:1 gcc:4096 gcc:1; do
		name=${which%:*} min=${which#*:}
		one "$name" "$min"
		line "$name" "completes with guards, from $min bytes on" completed "$name" "$min"
		line "$name" "fewer than 250 VMAs with guards, from $min bytes on" few_vmas "$name" "$min"
		case $which in
		python3* | sqlite3-memory:*)
			line "$name" "PROT_NONE ends at max_map_count, from $min bytes on" out_of_vmas "$name" "$min"
			line "$name" "PROT_NONE completes with max_map_count raised" raised "$name" "$min"
			;;
		*) line "$name" "PROT_NONE completes too, from $min bytes on" alike "$name" "$min" ;;
		esac
	done
else
	line guard-malloc 'self-test with guard pages' own_test guards 4096
	line guard-malloc 'without guard pages it says so and exits with 2' refuses
fi
