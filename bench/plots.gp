# What guards cost as they become many.  The columns of the TSVs:
#   1 kind, 2 method, 3 number, 4 instructions, 8 VMAs, 9 VmPTE, 10 VMA slab,
#   11 maple slab; KiB
series = "results/series-scale.tsv"
mainline = "results/mainline-scale.tsv"
# Rows of one kind and method: everything else is no point at all.
rows(kind, method) = sprintf("< awk '$1 == \"%s\" && $2 == \"%s\"' ", kind, method)

set terminal svg size 520,340 font "sans-serif,12" background "white"
set datafile separator "\t"
set border 3 lc rgb "#888888"
set tics nomirror textcolor rgb "#333333"
set grid lc rgb "#e4e4e4" lt 1
set key top left Left reverse samplen 2 spacing 1.2
set style data linespoints
set style line 1 lc rgb "#0060ad" lw 2 pt 7 ps 0.5
set style line 2 lc rgb "#d0451b" lw 2 pt 5 ps 0.5
set style line 3 lc rgb "#888888" lw 2 pt 9 ps 0.5

set xlabel "one-page guards"
set format x "%'.0f"
set format y "%'.0f"
set xrange [0:105000]
set yrange [0:*]

set key center right
set output "vmas.svg"
set title "VMAs added"
set yrange [-1500:75000]
set label 1 "max\\_map\\_count" at 35500,65530 tc rgb "#d0451b"
plot rows("guards", "mprotect").series using 3:8 ls 2 title "mprotect(PROT\\_NONE)", \
     rows("guards", "guard").series using 3:8 ls 1 title "guard pages"

set output "memory.svg"
set title "kernel memory added, KiB (page tables, VMAs, maple tree)"
set yrange [0:20000]
set label 1 at 35500,13740
plot rows("guards", "mprotect").series using 3:($9+$10+$11) ls 2 title "mprotect(PROT\\_NONE)", \
     rows("guards", "guard").series using 3:($9+$10+$11) ls 1 title "guard pages"
unset label 1

set output "instructions.svg"
set title "instructions a guard, on the average"
set key top left
set logscale xy
set xrange [0.8:130000]
set yrange [300:30000]
plot rows("guards", "mprotect").series using 3:4 ls 2 title "mprotect(PROT\\_NONE)", \
     rows("guards", "guard").mainline using 3:4 ls 3 title "guard pages, mainline", \
     rows("guards", "guard").series using 3:4 ls 1 title "guard pages"

set output "range.svg"
set title "one call for a range of nothing: instructions a page"
set xlabel "range, GiB"
set format x "%g"
set format y "%g"
set xrange [1./640:80]
set yrange [0.0001:1000]
set key bottom left
plot rows("range", "guard").mainline using ($3/262144):4 ls 3 title "guard pages, mainline", \
     rows("range", "guard").series using ($3/262144):4 ls 1 title "guard pages", \
     rows("range", "mprotect").series using ($3/262144):4 ls 2 title "mprotect(PROT\\_NONE)"
