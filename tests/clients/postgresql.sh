# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# shellcheck disable=SC2154 # in-guest.sh sets log
# A server of PostgreSQL of Debian unstable with 1,000 connections.  The server has a
# process for each; pgbench has a thread for each, the first of which the kernel started.
# shellcheck source=tests/clients/threads.sh
. /clients/threads.sh
name="PostgreSQL $(sed -n 's/^postgresql-[0-9]* //p' /packages)"
# shellcheck disable=SC2125 # there is one
bin=$(echo /usr/lib/postgresql/*/bin)
export PGDATA=/tmp/data PGHOST=/tmp PGUSER=user PGDATABASE=postgres HOME=/tmp

# as_user COMMAND...: the server does not run as root
as_user() { su -p user -c "$*"; }
start() {
	as_user "$bin/initdb" -A trust --no-sync --no-locale &&
		as_user "$bin/pg_ctl" -w -t 300 -l /tmp/server start -o "'-k /tmp -c listen_addresses= -c fsync=off \
			-c max_connections=1100 -c shared_buffers=32MB -c autovacuum=off -c jit=off -c log_error_verbosity=terse'"
}
sql() { "$bin/psql" -q -A -t -v ON_ERROR_STOP=1 -v VERBOSITY=terse "$@"; }

# bench: starts pgbench, and looks at its threads while all of them wait for a lock that
# another session holds
bench() {
	echo 'select pg_advisory_xact_lock_shared(1); update counts set n = n + 1 where id = :client_id;' >/tmp/bench.sql
	sql -c 'create table counts as select id, 0 as n from generate_series(0, 999) as id' || return
	mkfifo /tmp/go
	{
		echo 'select pg_advisory_lock(1);'
		cat /tmp/go
	} | sql >/dev/null &
	"$bin/pgbench" -n -c 1000 -j 1000 -t 3 -f /tmp/bench.sql &
	client=$!
	exec 4>/tmp/go
	tries=0
	until [ "$(sql -c "select count(*) from pg_stat_activity where wait_event = 'advisory'")" = 1000 ]; do
		tries=$((tries + 1))
		[ $tries -lt 3000 ] || return
		sleep 0.1
	done
	/clients/stacks $client
	exec 4>&-
	wait $client
}
counted() { [ "$(sql -c 'select count(*) from counts where n = 3')" = 1000 ]; }
deep() {
	sql -c 'create function deeper(n int) returns int language plpgsql as $$ begin return deeper(n + 1) + 1; end $$'
	sql -c 'select deeper(0)'
	[ "$(sql -c 'select 1')" = 1 ]
}
stop() { as_user "$bin/pg_ctl" -m fast -w -t 300 stop; }

line "$name" 'the server starts' start
line "$name" 'pgbench has 1,000 connections and threads' says bench
line "$name" 'pgbench: guard pages below 999 stacks' at_least guarded 999
line "$name" 'pgbench: at most 1,200 VMAs' at_most vmas 1200
line "$name" 'each of 1,000 connections made its three changes' counted
line "$name" 'endless recursion is an error, and the server lives' says deep
line "$name" 'endless recursion: stack depth limit exceeded' said 'stack depth limit exceeded'
line "$name" 'the server stops' stop
cat /tmp/server >>"$log"
