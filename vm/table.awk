# SPDX-License-Identifier: GPL-2.0
# Print the results of vm/scenario as a table, then the lines of the file "reasons", if
# it is set, with the totals on the last line. Exits with the most severe exit code.
function grave(code) {
	return index(" 0 4 5 1 2 3 6 124 255 ", " " code " ")
}
BEGIN {
	word[0] = "pass"; word[1] = "FAIL"; word[3] = "TRUNCATED"; word[4] = "ONLY SKIPS"
	word[5] = "NO TEST"; word[6] = "SPLAT"; word[124] = "TIMEOUT"; word[255] = "GUEST DIED"
	row = "%-26s %-6s %6s %6s %7s %7s  %-10s %s\n"
	printf row, "test", "kernel", "passed", "failed", "skipped", "seconds", "verdict", "log"
}
{
	printf row, $1, $2, $3, $4, $5, $6, ($7 in word) ? word[$7] : "code " $7, $8
	passed += $3; failed += $4; skipped += $5
	if (!grave($7))
		$7 = 1
	if (grave($7) > grave(worst))
		worst = $7
}
END {
	if (!worst && failed)
		worst = 1
	if (!worst && !passed)
		worst = 5
	while (reasons && (getline line <reasons) > 0)
		print line
	printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped
	exit worst
}
