# shellcheck shell=sh
# What it takes to build for a guest of another architecture and to run it. Sourced
# after lib.sh.

of() { "$TOP/vm/guest" "$GUEST" "$1"; }

# guest NAME: one of tests/guests; from here on the scripts build for it, its
# packages are there, and vm/initramfs puts its busybox and its vm/run into a guest.
guest() {
	GUEST=$1
	GUEST_ARCH=$(of arch) GUEST_PREFIX=$(of compiler) GUEST_IMAGE=$(of image)
	export GUEST GUEST_ARCH GUEST_PREFIX GUEST_IMAGE
	# shellcheck disable=SC2046 # a list
	"$TOP/scripts/deps" $(of packages)
	BUSYBOX=$(last "$TOP/scripts/busybox" "$GUEST_PREFIX") RUN=$OUT/guests/$GUEST/vm/run
	make -s -C "$TOP/vm" O="$OUT/guests/$GUEST" CC="${GUEST_PREFIX}gcc" "$RUN"
	export BUSYBOX RUN
}
