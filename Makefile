# SPDX-License-Identifier: GPL-2.0
# The make targets ("verbs").  The scripts in scripts/, vm/, bench/ and demo/ do the work.

define HELP
Times are for two idle processors.  Figures in GB are the growth of build/.

Try it (the first of these builds the kernel: 15 minutes, 4 GB):
  make run        boot the patched kernel and show guard pages at work
  make shell      start a shell in the patched kernel
  make exec PROG='./prog args'
                  run your own program in the patched kernel.  If it fails, make exits
                  with 2; vm/exec './prog args' exits as the program does

Use it:
  make deb        build Debian packages of the patched kernel with Debian's configuration.
                  FLAVOUR=amd64 chooses one; CONFIG=FILE uses your own, LSMOD=FILE only
                  the modules listed there; BTF=0 leaves BTF out (docs/installing.md).
                  90 minutes, 20 GB; with BTF=0 45 minutes, 6 GB
  make repo       build them, and add them to the signed apt repository build/repo/apt;
                  KEY=ID signs it with a key of yours.  Takes as long as deb
  make deb-test   install the packages from such a repository in Debian 12 and Debian 13,
                  upgrade and remove them; boot after each step, run the tests
  make image      build the kernel; the last line is the path of its bzImage.
                  15 minutes, 4 GB the first time
  make tree       create the patched source tree; the last line is its path

Check it:
  make test       verify the series, build two kernels, run the tests.
                  45 minutes, 5 GB the first time
  make test-all   run the long tests and the other checks below as well; takes hours
                  (docs/testing.md has the times of some)
  make fresh      try `make run` and `make test` in a minimal Debian 12 and in a minimal
                  Debian 13, with nothing installed but git and make; SUITE=trixie tries
                  only that one.  Two hours
  make lint       run shellcheck, and checkpatch, sparse, kernel-doc and more on the series.
                  2 minutes
  make fuzz SECONDS=600
                  compare random operations with a model; SEED=N starts with that seed,
                  KERNEL=image uses the ordinary kernel instead of the debug kernel
  make mutants    add one bug at a time to the kernel: do the tests notice it?
                  A kernel build, and the tests once for each of 294 bugs
  make coverage   list the lines of the series that the tests do not run
  make clients    run programs of Debian unstable (glibc, CRIU, OpenJDK, MariaDB, ...), and
                  git, sqlite3, python3 and gcc with a guarded allocator;
                  NAMES='criu gdb' runs only these two.  3 GB of packages
  make compare    run the selftests, the fuzzer and the programs of tests/repro on mainline
                  (the newest kernel of Debian unstable) and on the series, and write the
                  tables in docs/mainline.md.  20 minutes and a kernel build, 2.5 GB
  make bisect     build and boot the kernel after each patch.  40 minutes
  make kernels    run the selftests on other kernels: PREEMPT_RT, no swap, KCSAN, ...
                  Nine kernel builds, and a guest each
  make arches     compile the files the series touches for all architectures with a
                  compiler.  1 to 2 minutes for each of 42 configurations
  make mainline   test the fixes for mainline in mainline/: boot mainline without and with
                  them; the program of a fix must fail without it, and pass with it.
                  Two kernel builds, two guests of a few minutes, 4 GB
  make test ARCH=NAME
                  run the selftests on an emulated machine of another architecture
                  (machines/)
  make test-arches  run them on all these machines, and update the table in README.md.
                  18 kernel builds, and a guest each

Measure it (docs/measuring.md):
  make bench      count instructions of the series and the unpatched base, and print them
                  next to the targets and to mainline's; ROWS='install* remove*' measures
                  only these rows
  make bench-check  the same, but fail if a row exceeds its budget
  make bench-hold   keep the last measurement; plus 2 %, it becomes the budget
  make bench-table  print the kept results without measuring
  make bench-peer   measure mainline (the newest kernel of Debian unstable) and keep the
                    results
  make bench-scale  measure 1 to 100,000 guards and 2 MiB to 1 TiB, and keep the results
  make bench-size   measure what the series adds to a kernel's size, and keep the result
  make bench-arches  measure the series on arm64 and riscv64, and keep the results
  make bench-plots  draw the plots from the kept results
  make bench-all    all measurements and plots above, including bench-hold

Change it (docs/carrying.md):
  make export     write the commits of the tree to patches/, and the files they add to view/
  make mail       write the series to build/mail as it would be posted; fails if
                  checkpatch complains or a mail is larger than 60 KB
  make review FROM=COMMIT
                  show how the series differs from that commit of this repository
  make verify     check that base plus patches/ is the tree, byte for byte, and view/ current
  make rebase     try the series on every 6.12.y that Debian has; BASE=VERSION tries
                  only that one
  make pin        make the newest 6.12.y on the mirrors the base

  make clean      remove build results, but not the tree, the downloads and the ccache
  make distclean  remove build/; fails if the tree contains unexported work

O=DIR puts everything that is generated into DIR instead of build/.  LINUX=PATH uses your
own kernel tree or tarball instead of the base.  With SERIES=mainline, tree, export, verify,
mail, pin and arches work on mainline/ instead of patches/, in build/mainline.
endef

O ?= build
VERBS := help run shell exec deb repo deb-test image tree test test-all fresh \
	bench bench-check bench-hold bench-table bench-peer bench-scale bench-size bench-arches bench-plots bench-all \
	lint mutants coverage compare bisect kernels arches mainline test-arches clients fuzz export mail verify review rebase pin clean distclean
.PHONY: $(VERBS)
.NOTPARALLEL:
unexport MAKEFLAGS

$(foreach verb,$(filter-out $(VERBS),$(MAKECMDGOALS)),\
	$(error there is no target "$(verb)"; `make` lists the targets))

help:
	@:$(info $(HELP))

image = bz=$$(scripts/build/kernel image | tail -n 1) && [ "$$bz" ] &&
bench = series=$$(scripts/build/kernel bench) && base=$$(scripts/build/kernel bench base) && \
	bench/run "$$series" "$$base" $(foreach row,$(ROWS),'$(row)')

run:
	@$(image) demo/run "$$bz"
shell:
	@$(image) vm/shell "$$bz"
exec:
	@$(if $(PROG),,$(error give the program: make exec PROG='./prog args'))vm/exec "$$PROG"
test:
	@$(if $(ARCH),scripts/check/test-arches $(ARCH),scripts/check/test)
fresh:
	@scripts/check/fresh $(SUITE)
bench:
	@$(bench) || [ $$? = 3 ]
bench-check:
	@$(bench)
bench-hold:
	@bench/hold
bench-table:
	@bench/table || [ $$? = 3 ]
bench-peer:
	@peer=$$(scripts/build/kernel bench peer | tail -n 1) && [ "$$peer" ] && \
	bench/measure guard-bench "$$peer" $(O)/bench/mainline.tsv && \
	bench/measure -p guard-beside "$$peer" $(O)/bench/mainline-beside.tsv && \
	bench/measure guard-scale "$$peer" $(O)/bench/mainline-scale.tsv && \
	cp $(O)/bench/mainline.tsv $(O)/bench/mainline-beside.tsv $(O)/bench/mainline-scale.tsv bench/results/
bench-scale:
	@series=$$(scripts/build/kernel bench | tail -n 1) && [ "$$series" ] && \
	bench/measure guard-scale "$$series" $(O)/bench/series-scale.tsv && \
	cp $(O)/bench/series-scale.tsv bench/results/
bench-size:
	@series=$$(scripts/build/kernel bench | tail -n 1) && base=$$(scripts/build/kernel bench base | tail -n 1) && \
	bench/size "$$series" "$$base" >$(O)/bench/size.txt && cp $(O)/bench/size.txt bench/results/ && \
	grep -E '^(add|Total)' bench/results/size.txt
bench-plots:
	@bench/plots
bench-all: bench bench-hold bench-peer bench-scale bench-size bench-arches bench-plots
image:
	@scripts/build/kernel image
tree export mail verify pin:
	@scripts/series/$@
deb-test lint mutants coverage compare bisect kernels arches mainline test-arches test-all:
	@scripts/check/$@
deb repo:
	@scripts/build/$@
bench-arches:
	@bench/arches
clients:
	@scripts/check/clients $(NAMES)
fuzz:
	@scripts/check/fuzz '$(SECONDS)' '$(SEED)' '$(KERNEL)'
rebase:
	@scripts/series/rebase $(BASE)
review:
	@scripts/series/review '$(FROM)'
clean distclean:
	@scripts/build/clean $@
