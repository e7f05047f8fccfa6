# SPDX-License-Identifier: GPL-2.0
# The verbs; the work is in scripts/, vm/ and demo/.

define HELP
To see it:
  make run        boot the patched kernel and show guard pages at work
  make shell      a shell in that kernel
  make exec PROG='./prog args'
                  your own program in that kernel.  If it fails make exits
                  with 2; vm/exec './prog args' exits as the program does

To use it:
  make deb        Debian packages of the patched kernel, from Debian's own configuration
  make deb-test   install them in Debian 12 and Debian 13, boot both, run the tests there
  make image      build the kernel; the last line is the path of its bzImage
  make tree       the patched source tree; the last line is its path

To check it:
  make test       verify the series, build two kernels, run every test that fits
  make test-all   everything, for hours: the long tests, and the verbs that follow
  make lint       shellcheck; checkpatch, sparse, kernel-doc and more on the series
  make fuzz SECONDS=600
                  random sequences against a model; SEED=N begins with that one,
                  KERNEL=image takes the ordinary kernel instead of the debug one
  make mutants    the kernel with one bug after the other: do the tests notice?
  make coverage   which lines of the series have run when the tests are through
  make clients    glibc, CRIU, stress-ng, strace, gdb of Debian unstable, and a guarded
                  allocator under git, sqlite3, python3, gcc; NAMES='criu gdb' only these
  make bisect     build and boot the kernel after each patch in turn
  make kernels    the selftests on other kinds of kernel: PREEMPT_RT, no swap, KCSAN, ...
  make arches     compile what the series touches for every architecture with a compiler
  make test ARCH=NAME
                  the selftests on a kernel of another architecture (machines/)
  make test-arches  on all of them, and the table in README.md anew

To measure it (docs/measuring.md):
  make bench      count instructions, beside the unpatched base, mainline, targets
  make bench-check  the same, and fail if a row is over its budget
  make bench-hold keep what was measured last; that and 2 % are the budgets
                  ROWS='install* remove*' measures only these
  make bench-table  the table of what was kept, nothing is measured
  make bench-peer   measure mainline, Debian unstable's newest, and keep that
  make bench-scale  measure 1 to 100,000 guards, 2 MiB to 64 GiB, and keep that
  make bench-size   what the series adds to a kernel's size, kept as well
  make bench-arches  measure the series on arm64 and riscv64, and keep that
  make bench-plots  draw it
  make bench-all    all of that, and what bench-hold does

To change it (docs/carrying.md):
  make export     write the commits of the tree to patches/, the files they add to view/
  make mail       write the series as it would be posted to build/mail; refuses if
                  checkpatch complains or a mail is over 60 KB
  make review FROM=COMMIT
                  what has changed in the series since that commit of this repo
  make verify     prove that base plus patches/ is the tree, byte for byte, and view/ current
  make rebase     try the series on each 6.12.y that Debian has; BASE=VERSION
                  on that one
  make pin        make the mirrors' newest 6.12.y the base

  make clean      remove what was built, not the tree, downloads and ccache
  make distclean  remove build/; refuses while the tree holds unexported work

O=DIR generates there instead of in build/; LINUX=PATH takes a kernel tree or
tarball of your own instead of the base.
endef

O ?= build
VERBS := help run shell exec deb deb-test image tree test test-all \
	bench bench-check bench-hold bench-table bench-peer bench-scale bench-size bench-arches bench-plots bench-all \
	lint mutants coverage bisect kernels arches test-arches clients fuzz export mail verify review rebase pin clean distclean
.PHONY: $(VERBS)
.NOTPARALLEL:
unexport MAKEFLAGS

$(foreach verb,$(filter-out $(VERBS),$(MAKECMDGOALS)),\
	$(error there is no verb "$(verb)"; `make` lists what there is))

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
	@vm/exec "$$PROG"
test:
	@$(if $(ARCH),scripts/check/test-arches $(ARCH),scripts/check/test)
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
deb-test lint mutants coverage bisect kernels arches test-arches test-all:
	@scripts/check/$@
deb:
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
