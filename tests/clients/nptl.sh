# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# Tests of glibc's own test suite, for Debian unstable's C library.
name="glibc $(sed -n 's/^libc6 //p' /packages)"
for test in /clients/nptl/tst-*; do
	line "$name" "its own ${test##*/}" "$test"
done
