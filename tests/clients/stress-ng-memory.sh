# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# Every stressor of stress-ng's classes memory and vm, one after the other, with --verify.
name="stress-ng $(sed -n 's/^stress-ng //p' /packages)"

# class NAME: runs the stressors; prints which failed, and how many passed and skipped
class() {
	stress-ng --temp-path /tmp --verify --oomable --class "$1" --sequential 1 --timeout 5s >/tmp/said 2>&1
	code=$?
	cat /tmp/said
	[ $code = 0 ] && ! grep 'failed: [1-9]' /tmp/said
}
passed() { [ "$(sed -n 's/.* passed: \([0-9]*\): .*/\1/p' /tmp/said)" -ge "$1" ]; }

line "$name" 'class memory: no stressor fails' class memory
line "$name" 'class memory: at least 60 stressors pass' passed 60
line "$name" 'class vm: no stressor fails' class vm
line "$name" 'class vm: at least 30 stressors pass' passed 30
