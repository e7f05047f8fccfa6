# shellcheck shell=dash
# shellcheck disable=SC2154 # guest.sh and guest-guarded.sh set log and pid
# CRIU of Debian unstable: dump a process with guards, let it end, restore it.
# shellcheck source=tests/clients/guest-guarded.sh
. /clients/guest-guarded.sh
name="CRIU $(sed -n 's/^criu //p' /packages)"
export PATH="$PATH:/usr/sbin"

image() {
	rm -rf /tmp/image
	mkdir /tmp/image
	criu dump -v4 -t "$pid" -D /tmp/image -o dump.log "$@" || { grep -e Error -e Warn /tmp/image/dump.log; return 1; }
}
restore() {
	criu restore -v4 -d -D /tmp/image -o restore.log || { grep -e Error -e Warn /tmp/image/restore.log; return 1; }
}
gone() { ! kill -0 "$pid"; }
flagged() { # a VMA of the restored process has guards: areas and stacks
	[ "$(grep -c '^VmFlags:.* gu' "/proc/$pid/smaps")" -ge 4 ]
}

criu check >>"$log" 2>&1
if start_guarded; then
	line "$name" 'dumps and leaves it running' image -R
	line "$name" 'it goes on as it was' still_as_it_was
	line "$name" 'dumps it' image
	wait "$pid" 2>/dev/null
	line "$name" 'it is gone then' gone
	line "$name" 'restores it' restore
	line "$name" 'guards, data and threads are as they were' still_as_it_was
	line "$name" 'smaps shows the guards' flagged
	line "$name" 'dumps what was restored' image
	line "$name" 'restores it again' restore
	line "$name" 'guards, data and threads are as they were again' still_as_it_was
else
	line "$name" 'a process with guards to dump' false
fi
