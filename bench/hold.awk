# SPDX-License-Identifier: GPL-2.0
# Print budgets.tsv with the medians of series.tsv plus 2 % as the budgets; a budget
# "base" stays.
# usage: awk -f bench/hold.awk build/bench/series.tsv bench/budgets.tsv
BEGIN { FS = OFS = "\t" }
FILENAME == ARGV[1] { median[$1 FS $2] = $3; next }
!/^#/ && $4 != "base" && ($1 FS $2) in median && median[$1 FS $2] != "-" {
	$4 = sprintf("%.4g", 1.02 * median[$1 FS $2])
}
{ print }
