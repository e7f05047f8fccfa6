# SPDX-License-Identifier: GPL-2.0
# The names of the tests behind a kselftest's -l, which prints three columns:
# fixtures, and beside each its variants and its tests.
function flush(v, t) {
	for (v = 0; v < variants || v == 0; v++)
		for (t = 0; t < tests; t++)
			print fixture (variants ? "." variant[v] : "") "." test[t]
	variants = tests = 0
}
/^#/ { next }
/^-/ { flush(); next }
/^[^ ]/ { fixture = $1 }
{ name = substr($0, 22, 25); gsub(/ /, "", name); if (name != "") variant[variants++] = name }
{ name = substr($0, 48); if (name != "") test[tests++] = name }
END { flush() }
