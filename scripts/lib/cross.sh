# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
# Functions that prepare to build for a machine of another architecture and to run it.
# Sourced after common.sh.

# of KEY: prints the value of KEY for the current machine.
of() { "$TOP/vm/machine" "$GUEST_MACHINE" "$1"; }

# newer_qemu PACKAGE: makes vm/boot use the QEMU in this package of Debian unstable.
newer_qemu() {
	tree=$OUT/machines/$1
	[ -d "$tree" ] || "$TOP/scripts/build/unstable" -t "$tree" "$1" qemu-system-data
	QEMU=$OUT/machines/$GUEST_MACHINE/qemu
	cat >"$QEMU" <<-END
		#!/bin/sh
		exec "$tree"/usr/lib64/ld-linux-x86-64.so.2 --library-path "$tree"/usr/lib/x86_64-linux-gnu \
			"$tree/usr/bin/$(of qemu)" -L "$tree/usr/share/qemu" "\$@"
	END
	chmod +x "$QEMU"
	export QEMU
}

# machine NAME: switches to a machine of machines/: installs its packages, and makes the
# scripts build for it and vm/initramfs use a busybox and a vm/run built for it.
machine() {
	GUEST_MACHINE=$1
	GUEST_ARCH=$(of arch) GUEST_PREFIX=$(of compiler) GUEST_IMAGE=$(of image)
	GUEST_MAKE=$(of make) GUEST_CC="${GUEST_PREFIX}gcc $(of flags)"
	export GUEST_MACHINE GUEST_ARCH GUEST_PREFIX GUEST_IMAGE GUEST_MAKE GUEST_CC
	# shellcheck disable=SC2046 # a list
	"$TOP/scripts/build/deps" $(of packages)
	BUSYBOX=$(last "$TOP/scripts/build/busybox" "$GUEST_PREFIX" "$GUEST_CC") RUN=$OUT/machines/$GUEST_MACHINE/vm/run
	make -s -C "$TOP/vm" O="$OUT/machines/$GUEST_MACHINE" CC="$GUEST_CC" "$RUN"
	export BUSYBOX RUN
	unset QEMU
	newer=$(of newer)
	[ ! "$newer" ] || newer_qemu "$newer"
}
