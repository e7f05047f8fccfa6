# SPDX-License-Identifier: GPL-2.0
# Plot the cost of guards against their number.  The columns of the TSVs:
#   1 kind, 2 method, 3 number, 4 to 6 instructions (median, least, greatest),
#   8 VMAs; in KiB: 9 VmPTE, 10 VMA slab, 11 maple slab, 13 and 14 least and greatest
#   sum of columns 9 to 11
series = "results/series-scale.tsv"
mainline = "results/mainline-scale.tsv"
# Select the rows of one kind and method; gnuplot would draw other rows as gaps.
rows(kind, method) = sprintf("< awk '$1 == \"%s\" && $2 == \"%s\"' ", kind, method)

set terminal svg size 560,350 font "sans-serif,13" background "white"
set datafile separator "\t"
set border 3 lc rgb "#888888"
set tics nomirror textcolor rgb "#333333"
set grid lc rgb "#e4e4e4" lt 1
set rmargin 4
# Labels next to the lines replace the key.
unset key
set style data yerrorlines
set bars 0.5
ours = "#0060ad"
none = "#d0451b"
other = "#777777"
set style line 1 lc rgb ours lw 2 pt 7 ps 0.5
set style line 2 lc rgb none lw 2 pt 5 ps 0.5
set style line 3 lc rgb other lw 2 pt 9 ps 0.6

set xlabel "one-page guards"
set format x "%'.0f"
set format y "%'.0f"
set xrange [0:105000]
set label 1 "mprotect(PROT\\_NONE):" tc rgb none
set label 2 "max\\_map\\_count is reached" tc rgb none
set label 3 "guard pages" tc rgb ours

set output "vmas.svg"
set title "VMAs added"
set yrange [-1500:75000]
set label 1 at 36000,67200
set label 2 at 36000,62000
set label 3 at 70000,3800
plot rows("guards", "mprotect").series using 3:8 with linespoints ls 2, \
     rows("guards", "guard").series using 3:8 with linespoints ls 1

set output "memory.svg"
set title "kernel memory added, KiB: page tables, VMAs, their tree"
set yrange [0:16000]
set label 1 at 36000,14000
set label 2 at 36000,12900
set label 3 at 70000,2200
plot rows("guards", "mprotect").series using 3:($9+$10+$11):13:14 ls 2, \
     rows("guards", "guard").series using 3:($9+$10+$11):13:14 ls 1
unset label 2

set output "instructions.svg"
set title "instructions per guard, on average"
set logscale xy
set xrange [0.8:150000]
set yrange [500:12000]
set ytics (500, 1000, 2000, 5000, 10000)
set label 1 "mprotect(PROT\\_NONE)" at 100,8600
set label 3 "guard pages" at 300,760
set label 4 "guard pages, mainline" tc rgb other at 300,1650
plot rows("guards", "mprotect").series using 3:4:5:6 ls 2, \
     rows("guards", "guard").mainline using 3:4:5:6 ls 3, \
     rows("guards", "guard").series using 3:4:5:6 ls 1

set output "range.svg"
set title "one call for an unpopulated range: instructions per page"
set xlabel "range, GiB"
set format x "%g"
set format y "%g"
set ytics autofreq
set xrange [1./640:1500]
set yrange [0.000004:200]
set label 1 at 8,0.0025
set label 3 at 8,0.15
set label 4 at 0.15,75
plot rows("range", "guard").mainline using ($3/262144):4:5:6 ls 3, \
     rows("range", "guard").series using ($3/262144):4:5:6 ls 1, \
     rows("range", "mprotect").series using ($3/262144):4:5:6 ls 2
