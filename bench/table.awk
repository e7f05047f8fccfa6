# SPDX-License-Identifier: GPL-2.0
# Print results of bench/measure side by side.  On the command line, an assignment before
# each file gives its kind: kind=budgets, kind=series, and optionally kind=base,
# kind=mainline, and kind=arm64 and kind=riscv64 (the series on these).  The column
# PROT_NONE is the series' row of the same name by mprotect, or else by mmap.  Exits with 3
# if a row exceeds its budget, or has a budget but was not measured.
function number(value) {
	if (value == "" || value == "-")
		return "-"
	if (value >= 1000)
		return sprintf("%.0f", value)
	return sprintf(value >= 100 ? "%.1f" : "%.2f", value)
}
function add(key, value) {
	return key in value ? number(value[key]) : "-"
}
function prot_none(name, by) {
	if (by != "guard")
		return "-"
	return add(name "\t" ((name "\tmprotect") in value ? "mprotect" : "mmap"), value)
}
function more(key) {
	if (!(key in base) || base[key] == "-" || value[key] == "-" || base[key] == 0)
		return "-"
	return sprintf("%+.2f", 100 * (value[key] / base[key] - 1))
}
function limit(key) {
	if (budget[key] != "base")
		return budget[key]
	return (key in base) && base[key] != "-" ? 1.01 * base[key] : "-"
}
function verdict(key,  most) {
	most = limit(key)
	if (most == "" || most == "-" || value[key] <= most)
		return value[key] == "-" && most != "" && most != "-" ? "NOT MEASURED" : ""
	return "OVER " number(most)
}
BEGIN { FS = "\t" }
/^#/ {
	if (kind != "budgets" && !seen[$0]++)
		print
	next
}
{ key = $1 "\t" $2 }
kind == "budgets" { target[key] = $3; budget[key] = $4 }
kind == "series" {
	order[++rows] = key
	value[key] = $3
	spread[key] = $3 == "-" || $3 == 0 ? "-" : sprintf("%.1f", 50 * ($5 - $4) / $3)
	unit[key] = $7
	what[key] = $8
}
kind == "base" { base[key] = $3 }
kind == "mainline" { mainline[key] = $3 }
kind == "arm64" { arm64[key] = $3 }
kind == "riscv64" { riscv64[key] = $3 }
END {
	row = "%-36s %-8s %-5s %8s %6s %9s %8s %8s %6s %6s %8s %8s  %s\n"
	printf "\n" row, "instructions or counts, medians", "by", "per", "series", "+-%", \
		"PROT_NONE", "mainline", "base", "more%", "target", "arm64", "riscv64", ""
	for (i = 1; i <= rows; i++) {
		key = order[i]
		split(key, part, "\t")
		bad = verdict(key)
		over += bad != ""
		printf row, what[key], part[2], unit[key], number(value[key]), spread[key], \
			prot_none(part[1], part[2]), add(key, mainline), add(key, base), more(key), \
			key in target ? target[key] : "-", add(key, arm64), add(key, riscv64), bad
	}
	if (over)
		printf "%d rows exceed their budgets\n", over
	exit over ? 3 : 0
}
