# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# shellcheck disable=SC2154 # in-guest.sh sets log
# A server of MariaDB of Debian unstable with 1,000 connections.  The server and
# mariadb-slap have a thread for each.
# shellcheck source=tests/clients/threads.sh
. /clients/threads.sh
name="MariaDB $(sed -n 's/^mariadb-server-core //p' /packages)"
sql() { mariadb -N -S /tmp/socket test "$@"; }

# start: starts the server, whose system tables are not needed
start() {
	mkdir -p /tmp/data/test
	mariadbd --no-defaults --user=root --datadir=/tmp/data --socket=/tmp/socket --pid-file=/tmp/pid \
		--skip-networking --skip-grant-tables --thread-stack=131072 --max-connections=1100 --back-log=1100 --open-files-limit=10000 \
		--innodb-buffer-pool-size=32M --innodb-flush-log-at-trx-commit=0 --aria-pagecache-buffer-size=8M \
		>/tmp/server 2>&1 &
	server=$!
	tries=0
	until sql -e 'create table t (id int) engine=innodb'; do
		tries=$((tries + 1))
		[ $tries -lt 3000 ] && kill -0 "$server" || return
		sleep 0.1
	done 2>/dev/null
}

# slap: starts mariadb-slap, and looks at the server's threads, then at those of the
# client, while all of them wait for a lock that another session holds
slap() {
	mkfifo /tmp/go
	{
		echo 'lock tables t write;'
		cat /tmp/go
	} | sql --unbuffered &
	exec 4>/tmp/go
	echo "select 'locked';" >&4
	mariadb-slap --no-defaults -S /tmp/socket --create-schema=test --no-drop --concurrency=1000 --iterations=1 \
		--number-of-queries=3000 --query='insert into t values (1)' 4>&- &
	client=$!
	tries=0
	until [ "$(sql -e "select count(*) from information_schema.processlist where state = 'Waiting for table metadata lock'")" = 1000 ]; do
		tries=$((tries + 1))
		[ $tries -lt 3000 ] || return
		sleep 0.1
	done
	/clients/stacks "$server"
	/clients/stacks $client
	exec 4>&-
	wait $client
}
counted() { [ "$(sql -e 'select count(*) from t')" = 3000 ]; }
deep() {
	awk 'BEGIN { printf "select "; for (; n < 1000; n++) printf "abs("; printf "1"; for (; n; n--) printf ")"; print ";" }' | sql
	[ "$(sql -e 'select 1')" = 1 ]
}
stop() {
	mariadb-admin --no-defaults -S /tmp/socket shutdown
	wait "$server"
}

line "$name" 'the server starts' start
line "$name" 'it has 1,000 connections of mariadb-slap' says slap
line "$name" 'both: guard pages below each of 1,000 stacks' at_least guarded 1000
line "$name" 'both: at most 1,500 VMAs' at_most vmas 1500
line "$name" 'each of 1,000 connections inserted its three rows' counted
line "$name" 'an expression that is too deep is an error, and the server lives' says deep
line "$name" 'deep expression: thread stack overrun' said 'stack overrun'
line "$name" 'the server stops' stop
cat /tmp/server >>"$log"
