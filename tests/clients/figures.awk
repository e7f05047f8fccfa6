# SPDX-License-Identifier: GPL-2.0
# Print the figures of guard-malloc.sh as a table.
BEGIN {
	FS = "\t"
	printf "\n  %-15s %6s %-10s %-10s %11s %8s %7s %7s %7s %9s\n", "guard-malloc:", "from", "", "", "", "live",
		"VMAs", "VmPTE", "for", "instruc-"
	printf "  %-15s %6s %-10s %-10s %11s %8s %7s %7s %7s %9s\n", "program", "bytes", "by", "",
		"allocations", "at peak", "", "KiB", "VMAs", "tions"
}
$3 == "libc" { libc = $10 }
{
	printf "  %-15s %6s %-10s %-10s %11s %8s %7s %7s %7s %9s\n", $1, $2, $3, $4, $5, $6, $7, $8, $9,
		$4 == "completed" ? sprintf("%.2fx", $10 / libc) : "-"
}
END {
	print "\n  by prot-none+: with vm.max_map_count at 1000000 instead of 65530"
	print "  live, VMAs: when the most was allocated, to an eighth; VmPTE: added until then"
	print "  for VMAs: slabs of VMAs, their trees, locks and anon_vmas, in KiB"
}
