// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guard pages and VMAs: guards take no VMAs, and follow their VMA when it is
 * divided, merged, grown or copied by fork().
 */
#define _GNU_SOURCE
#include "../kselftest_harness.h"
#include <linux/mempolicy.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include "guard_fixture.h"
#include "guard_util.h"

/* ------------------------------------------------------------------------
 * VMAs and their merging
 */

TEST_F(guard, guards_take_no_vmas)
{
	int before = nr_vmas(self->mem, self->len);

	ASSERT_EQ(0, guard_every(2, self->mem, self->nr));
	EXPECT_EQ(before, nr_vmas(self->mem, self->len));
	EXPECT_EQ(self->nr / 2, guarded(self->mem, self->nr));
	ASSERT_EQ(0, guard_remove(self->mem, self->len));
	EXPECT_EQ(before, nr_vmas(self->mem, self->len));
}

TEST_F(guard, split_keeps_guards)
{
	size_t quarter = self->nr / 4;

	ASSERT_EQ(0, guard_install(self->mem, self->len));
	ASSERT_EQ(0, protect(self->mem + pages(quarter), pages(2 * quarter), PROT_READ));
	EXPECT_EQ(self->nr, guarded(self->mem, self->nr));
	EXPECT_TRUE(child_sees_guards(self->mem, self->nr, self->nr));
	EXPECT_TRUE(vma_flag(self->mem, "gu"));
	EXPECT_TRUE(vma_flag(self->mem + pages(quarter), "gu"));
	EXPECT_TRUE(vma_flag(self->mem + self->len - 1, "gu"));
}

TEST_F(guard, fork_after_mprotect_copies_guards)
{
	ASSERT_EQ(0, guard_install(self->mem, self->len / 2));
	ASSERT_EQ(0, protect(self->mem, self->len, PROT_READ));
	EXPECT_TRUE(child_sees_guards(self->mem, self->nr, self->nr / 2));
	ASSERT_EQ(0, protect(self->mem, self->len, PROT_READ | PROT_WRITE));
	EXPECT_TRUE(child_sees_guards(self->mem, self->nr, self->nr / 2));
}

TEST_F(guard, fork_after_mlock_copies_guards)
{
	if (!can_lock(self->mem, self->len))
		SKIP(return, "mlock: %s", lock_error());
	ASSERT_EQ(0, guard_install(self->mem, self->len / 2));
	ASSERT_EQ(0, mlock2(self->mem, self->len, MLOCK_ONFAULT));
	EXPECT_TRUE(child_sees_guards(self->mem, self->nr, self->nr / 2));
	ASSERT_EQ(0, munlock(self->mem, self->len));
	EXPECT_TRUE(child_sees_guards(self->mem, self->nr, self->nr / 2));
}

/* Which of three neighbouring VMAs of four pages has the guard. */
FIXTURE(merge)
{
	char *mem;
};

FIXTURE_VARIANT(merge)
{
	bool guard[3];
};

FIXTURE_VARIANT_ADD(merge, first)
{
	.guard = { true, false, false },
};

FIXTURE_VARIANT_ADD(merge, middle)
{
	.guard = { false, true, false },
};

FIXTURE_VARIANT_ADD(merge, last)
{
	.guard = { false, false, true },
};

FIXTURE_VARIANT_ADD(merge, all)
{
	.guard = { true, true, true },
};

/* The three VMAs start separate: the middle one is read-only. */
FIXTURE_SETUP(merge)
{
	int i, ret;

	self->mem = map_small(12);
	ASSERT_EQ(0, protect(self->mem + pages(4), pages(4), PROT_READ));
	ASSERT_EQ(3, nr_vmas(self->mem, pages(12)));
	for (i = 0; i < 3; i++) {
		ret = guard_install(self->mem + pages(4 * i + 1),
				    variant->guard[i] ? psize() : 0);
		ASSERT_EQ(0, ret);
	}
}

FIXTURE_TEARDOWN(merge)
{
}

static void expect_merged(struct __test_metadata *_metadata, char *mem,
			  const bool *guard)
{
	int nr = guard[0] + guard[1] + guard[2];

	EXPECT_EQ(1, nr_vmas(mem, pages(12)));
	EXPECT_TRUE(child_sees_guards(mem, 12, nr));
	EXPECT_EQ(nr, guarded(mem, 12));
	EXPECT_EQ(guard[0], guarded(mem + pages(1), 1));
	EXPECT_EQ(guard[1], guarded(mem + pages(5), 1));
	EXPECT_EQ(guard[2], guarded(mem + pages(9), 1));
	ASSERT_EQ(0, guard_remove(mem, pages(12)));
	EXPECT_EQ(12, zeroed(mem, 12));
}

TEST_F(merge, mprotect_of_the_middle)
{
	ASSERT_EQ(0, protect(self->mem + pages(4), pages(4), PROT_READ | PROT_WRITE));
	expect_merged(_metadata, self->mem, variant->guard);
}

TEST_F(merge, mprotect_of_the_ends)
{
	ASSERT_EQ(0, protect(self->mem, pages(4), PROT_READ));
	EXPECT_EQ(2, nr_vmas(self->mem, pages(12)));
	ASSERT_EQ(0, protect(self->mem + pages(8), pages(4), PROT_READ));
	EXPECT_EQ(1, nr_vmas(self->mem, pages(12)));
	ASSERT_EQ(0, protect(self->mem, pages(12), PROT_READ | PROT_WRITE));
	expect_merged(_metadata, self->mem, variant->guard);
}

/* Move the borders between the VMAs, with guards on either side. */
TEST_F(merge, mprotect_of_a_part)
{
	ASSERT_EQ(0, protect(self->mem + pages(4), pages(2), PROT_READ | PROT_WRITE));
	EXPECT_EQ(3, nr_vmas(self->mem, pages(12)));
	EXPECT_TRUE(child_sees_guards(self->mem, 12, variant->guard[0] +
				      variant->guard[1] + variant->guard[2]));
	ASSERT_EQ(0, protect(self->mem + pages(6), pages(2), PROT_READ | PROT_WRITE));
	expect_merged(_metadata, self->mem, variant->guard);
}

TEST_F(merge, new_mapping_in_the_middle)
{
	bool guard[3] = { variant->guard[0], false, variant->guard[2] };

	ASSERT_EQ(0, munmap(self->mem + pages(4), pages(4)));
	ASSERT_EQ(self->mem + pages(4), map_at(self->mem + pages(4), pages(4),
					       PROT_READ | PROT_WRITE));
	advise(self->mem + pages(4), pages(4), MADV_NOHUGEPAGE);
	expect_merged(_metadata, self->mem, guard);
}

TEST_F(merge, mremap_into_the_middle)
{
	char *to = reserve(pages(4), psize(), 0);

	/*
	 * Move the VMA out, give it the protection of its neighbours, and move
	 * it back.
	 */
	ASSERT_EQ(to, mremap(self->mem + pages(4), pages(4), pages(4),
			     MREMAP_MAYMOVE | MREMAP_FIXED, to));
	ASSERT_EQ(0, protect(to, pages(4), PROT_READ | PROT_WRITE));
	ASSERT_EQ(self->mem + pages(4), mremap(to, pages(4), pages(4),
					       MREMAP_MAYMOVE | MREMAP_FIXED,
					       self->mem + pages(4)));
	expect_merged(_metadata, self->mem, variant->guard);
}

TEST_F(merge, mlock_of_the_rest)
{
	bool *guard = (bool *)variant->guard;

	if (mlock2(self->mem + pages(4), pages(4), MLOCK_ONFAULT))
		SKIP(return, "mlock2: %s", strerror(errno));
	ASSERT_EQ(0, protect(self->mem + pages(4), pages(4), PROT_READ | PROT_WRITE));
	ASSERT_EQ(0, mlock2(self->mem, pages(12), MLOCK_ONFAULT));
	expect_merged(_metadata, self->mem, guard);
}

static int bind_to_first_node(char *mem, size_t len)
{
	unsigned long first = 1UL << first_node();

	return syscall(__NR_mbind, mem, len, MPOL_BIND, &first, 8 * sizeof(first),
		       0) ? errno : 0;
}

/*
 * Calls that change flags store them in the merged VMA, and so hide that the
 * merge lost one. mbind() does not.
 */
static void expect_merged_by_policy(struct __test_metadata *_metadata, char *mem,
				    char *neighbour, const bool *guard)
{
	int ret = bind_to_first_node(neighbour, pages(4));

	if (ret)
		SKIP(return, "mbind: %s", strerror(ret));
	ASSERT_EQ(0, protect(mem + pages(4), pages(4), PROT_READ | PROT_WRITE));
	ASSERT_EQ(0, bind_to_first_node(mem + pages(4), pages(4)));
	EXPECT_EQ(2, nr_vmas(mem, pages(12)));
	EXPECT_TRUE(child_sees_guards(mem, 12, guard[0] + guard[1] + guard[2]));
	ASSERT_EQ(0, bind_to_first_node(mem, pages(12)));
	expect_merged(_metadata, mem, guard);
}

TEST_F(merge, mbind_of_the_first_then_the_middle)
{
	expect_merged_by_policy(_metadata, self->mem, self->mem, variant->guard);
}

TEST_F(merge, mbind_of_the_last_then_the_middle)
{
	expect_merged_by_policy(_metadata, self->mem, self->mem + pages(8),
				variant->guard);
}

TEST_F(merge, smaps_flag_stays)
{
	ASSERT_EQ(0, protect(self->mem + pages(4), pages(4), PROT_READ | PROT_WRITE));
	ASSERT_EQ(1, nr_vmas(self->mem, pages(12)));
	EXPECT_TRUE(vma_flag(self->mem, "gu"));
}

/* ------------------------------------------------------------------------
 * Mappings that grow
 */

/* On hppa stacks grow up, on m68k only next to the stack pointer. */
#if !defined(__hppa__) && !defined(__m68k__)
#define GROWS_DOWN_ANYWHERE
#endif

/* A mapping that grows down: the guard stays at the old end. */
TEST(growsdown_mapping_can_be_guarded)
{
	char *mem = reserve(pages(16), psize(), 0);
	char *low = mem + pages(8);

	ASSERT_EQ(low, mmap(low, pages(8), PROT_READ | PROT_WRITE, MAP_PRIVATE |
			    MAP_ANONYMOUS | MAP_FIXED | MAP_GROWSDOWN, -1, 0));
	ASSERT_EQ(0, munmap(mem, pages(8)));
	ASSERT_EQ(0, guard_install(low, pages(2)));
	EXPECT_EQ(2, guarded(low, 8));
	EXPECT_EQ(0, nr_vmas(mem, pages(8)));
	EXPECT_TRUE(child_sees_guards(low, 8, 2));
#ifdef GROWS_DOWN_ANYWHERE
	/* The guard does not keep the mapping from growing. */
	EXPECT_EQ(0, touch(low - psize(), WRITE).sig);
	EXPECT_EQ(2, guarded(low - psize(), 9));
#endif
	ASSERT_EQ(0, guard_remove(low, pages(8)));
	EXPECT_EQ(8, zeroed(low, 8));
}

/* The heap is one mapping that brk() extends and cuts off. */
TEST(heap_keeps_guards_while_it_grows)
{
	char *heap = sbrk(0);

	/* Use the heap before: reading smaps must not extend it. */
	ASSERT_EQ(0, nr_vmas(heap + pages(64), psize()));
	heap = sbrk(0);
	heap += -(unsigned long)heap % psize();
	ASSERT_EQ(0, brk(heap + pages(8)));
	fill(heap, 8, 0);
	ASSERT_EQ(0, guard_install(heap + pages(2), pages(2)));
	ASSERT_EQ(0, guard_install(heap + pages(6), pages(2)));

	ASSERT_EQ(0, brk(heap + pages(16)));
	EXPECT_EQ(1, nr_vmas(heap, pages(16)));
	EXPECT_EQ(4, guarded(heap, 8));
	EXPECT_EQ(8, zeroed(heap + pages(8), 8));
	EXPECT_TRUE(child_sees_guards(heap, 16, 4));

	ASSERT_EQ(heap + pages(16), sbrk(0));
	ASSERT_EQ(0, brk(heap + pages(7)));
	EXPECT_EQ(3, guarded(heap, 7));
	ASSERT_EQ(0, brk(heap + pages(4)));
	EXPECT_EQ(2, guarded(heap, 4));
	ASSERT_EQ(0, brk(heap + pages(16)));
	EXPECT_EQ(2, guarded(heap, 4));
	EXPECT_EQ(12, zeroed(heap + pages(4), 12));
	EXPECT_EQ(2, filled(heap, 2, 0));
	EXPECT_TRUE(child_sees_guards(heap, 16, 2));
}

/*
 * A stack grows until it is too close to an accessible mapping. The mapping
 * below is accessible by its permissions, although it is all guards.
 */
TEST(growing_stack_stops_above_guards)
{
	const size_t room = 1024, nr = 4;
	char *below = map_at(reserve(pages(room), psize(), 0), pages(nr),
			     PROT_READ | PROT_WRITE);
	char *stack = below + pages(room - nr), *page = stack;

	ASSERT_NE(MAP_FAILED, below);
	ASSERT_EQ(0, munmap(below + pages(nr), pages(room - nr)));
	ASSERT_EQ(stack, mmap(stack, pages(nr), PROT_READ | PROT_WRITE, MAP_PRIVATE |
			      MAP_ANONYMOUS | MAP_FIXED | MAP_GROWSDOWN, -1, 0));
	ASSERT_EQ(0, guard_install(below, pages(nr)));
	ASSERT_EQ(0, guard_install(stack, psize()));
#ifdef GROWS_DOWN_ANYWHERE
	while (page > below + pages(nr) && !touch(page - psize(), WRITE).sig)
		page -= psize();
	EXPECT_LT(page, stack);
	EXPECT_LT(below + pages(nr), page);
	EXPECT_EQ(SIGSEGV, touch(page - psize(), WRITE).sig);
	EXPECT_EQ(0, nr_vmas(below + pages(nr), page - below - pages(nr)));
#endif
	EXPECT_EQ(nr, guarded(below, nr));
	EXPECT_EQ(1, guarded(page, (stack - page) / psize() + nr));
	EXPECT_TRUE(child_sees_guards(stack, nr, 1));
}

/* An overflow meets the guard first, so the stack does not grow. */
TEST(guard_below_stack_is_hit_before_it_grows)
{
	char *below = map_small(NR_SMALL), *stack = below + pages(8);

	ASSERT_EQ(stack, mmap(stack, pages(8), PROT_READ | PROT_WRITE, MAP_PRIVATE |
			      MAP_ANONYMOUS | MAP_FIXED | MAP_GROWSDOWN, -1, 0));
	fill(stack, 8, 0);
	ASSERT_EQ(0, guard_install(below, pages(8)));
	EXPECT_EQ(8, guarded(below, NR_SMALL));
	EXPECT_EQ(8, filled(stack, 8, 0));
	EXPECT_FALSE(vma_flag(stack, "gu"));
}

/* ------------------------------------------------------------------------
 * Changes that divide a VMA
 */

FIXTURE(change)
{
	char *mem;
};

FIXTURE_VARIANT(change)
{
	int (*apply)(char *mem, size_t len);
	int (*undo)(char *mem, size_t len);
};

static int do_dump(char *mem, size_t len)
{
	return advise(mem, len, MADV_DODUMP);
}

FIXTURE_VARIANT_ADD(change, dontdump)
{
	.apply = dont_dump,
	.undo = do_dump,
};

static int want_huge(char *mem, size_t len)
{
	return advise(mem, len, MADV_HUGEPAGE);
}

static int want_small(char *mem, size_t len)
{
	return advise(mem, len, MADV_NOHUGEPAGE);
}

FIXTURE_VARIANT_ADD(change, hugepage)
{
	.apply = want_huge,
	.undo = want_small,
};

static int want_ksm(char *mem, size_t len)
{
	return advise(mem, len, MADV_MERGEABLE);
}

static int want_no_ksm(char *mem, size_t len)
{
	return advise(mem, len, MADV_UNMERGEABLE);
}

FIXTURE_VARIANT_ADD(change, mergeable)
{
	.apply = want_ksm,
	.undo = want_no_ksm,
};

static int random_access(char *mem, size_t len)
{
	return advise(mem, len, MADV_RANDOM);
}

static int normal_access(char *mem, size_t len)
{
	return advise(mem, len, MADV_NORMAL);
}

FIXTURE_VARIANT_ADD(change, random)
{
	.apply = random_access,
	.undo = normal_access,
};

static int unlock(char *mem, size_t len)
{
	return munlock(mem, len) ? errno : 0;
}

FIXTURE_VARIANT_ADD(change, mlock)
{
	.apply = mlock_range,
	.undo = unlock,
};

static int name(char *mem, size_t len)
{
	return prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, mem, len, "guard-pages") ? errno : 0;
}

static int unname(char *mem, size_t len)
{
	return prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, mem, len, NULL) ? errno : 0;
}

FIXTURE_VARIANT_ADD(change, name)
{
	.apply = name,
	.undo = unname,
};

FIXTURE_SETUP(change)
{
	self->mem = map_small(NR_SMALL);
}

FIXTURE_TEARDOWN(change)
{
}

static void expect_divided(struct __test_metadata *_metadata, char *mem)
{
	EXPECT_EQ(3, nr_vmas(mem, pages(NR_SMALL)));
	/* Each part must have the note of the VMA. */
	EXPECT_TRUE(vma_flag(mem, "gu"));
	EXPECT_TRUE(vma_flag(mem + pages(4), "gu"));
	EXPECT_TRUE(vma_flag(mem + pages(12), "gu"));
	EXPECT_EQ(NR_SMALL, striped(mem, NR_SMALL));
	EXPECT_TRUE(child_sees_guards(mem, NR_SMALL, 6));
}

TEST_F(change, divides_a_vma_with_guards)
{
	char *middle = self->mem + pages(4);
	int ret;

	stripe(self->mem, NR_SMALL);
	ret = variant->apply(middle, pages(8));
	if (ret)
		SKIP(return, "%s", strerror(ret));
	expect_divided(_metadata, self->mem);
	ASSERT_EQ(0, variant->undo(middle, pages(8)));
	EXPECT_EQ(1, nr_vmas(self->mem, pages(NR_SMALL)));
	EXPECT_EQ(NR_SMALL, striped(self->mem, NR_SMALL));
	EXPECT_TRUE(child_sees_guards(self->mem, NR_SMALL, 6));
}

/* mseal() cannot be undone. */
TEST(mseal_divides_a_vma_with_guards)
{
	char *mem = map_small(NR_SMALL);

	stripe(mem, NR_SMALL);
	if (!seal(mem + pages(4), pages(8)))
		SKIP(return, "mseal: %s", strerror(errno));
	expect_divided(_metadata, mem);
}

/* One of three VMAs has guards. The VMA that they merge into has them. */
TEST_F(change, merge_after_undo_keeps_guard_flag)
{
	char *middle = self->mem + pages(4);
	size_t part;

	for (part = 0; part < NR_SMALL; part += 6) {
		/* Locked memory refuses guards. */
		bool refused = variant->apply == mlock_range && part == 6;
		int ret = variant->apply(middle, pages(8));

		if (ret)
			SKIP(return, "%s", strerror(ret));
		ASSERT_EQ(refused ? EINVAL : 0,
			  guard_install(self->mem + pages(part), psize()));
		ASSERT_EQ(3, nr_vmas(self->mem, pages(NR_SMALL)));
		ASSERT_EQ(0, variant->undo(middle, pages(8)));
		ASSERT_EQ(1, nr_vmas(self->mem, pages(NR_SMALL)));
		ASSERT_EQ(!refused, guarded(self->mem, NR_SMALL));
		ASSERT_TRUE(child_sees_guards(self->mem, NR_SMALL, !refused));
		ASSERT_EQ(self->mem, map_at(self->mem, pages(NR_SMALL),
					    PROT_READ | PROT_WRITE));
		/* As map_small() did; EINVAL without huge pages. */
		want_small(self->mem, pages(NR_SMALL));
	}
}

/* ------------------------------------------------------------------------
 * fork() where a guard is the only reason to copy page tables
 */

FIXTURE(forked)
{
	enum backing backing;
	char *mem;
	size_t len;
	size_t table;	/* what one maps */
};

FIXTURE_VARIANT(forked)
{
	enum backing backing;
};

FIXTURE_VARIANT_ADD(forked, anon)
{
	.backing = ANON,
};

FIXTURE_VARIANT_ADD(forked, shmem)
{
	.backing = SHMEM,
};

FIXTURE_VARIANT_ADD(forked, file_private)
{
	.backing = FILE_PRIVATE,
};

FIXTURE_VARIANT_ADD(forked, file_shared)
{
	.backing = FILE_SHARED,
};

#define FORK_TABLES	32
#define FORK_PAGES	4	/* populated at the beginning of each table */

static unsigned long number_of(FIXTURE_DATA(forked) * self, char *page)
{
	return is_shared(self->backing) ? 1 + (page - self->mem) / psize() : 0;
}

/* Private mappings are only read: fork() has to copy written pages. */
FIXTURE_SETUP(forked)
{
	unsigned long value;
	size_t table, i;
	char *page;

	self->backing = variant->backing;
	self->table = table_size();
	if (self->table > MAX_HUGE)
		SKIP(return, "a page table maps %zu MiB, too much for this test",
		     self->table >> 20);
	self->len = FORK_TABLES * self->table;
	self->mem = map_arena(variant->backing, self->len);
	if (!self->mem)
		SKIP(return, "no place for a file: %s", strerror(errno));
	for (table = 0; table < self->len; table += self->table) {
		for (i = 0; i < FORK_PAGES; i++) {
			page = self->mem + table + pages(i);
			if (is_shared(variant->backing))
				*(unsigned long *)page = number_of(self, page);
			else
				ASSERT_EQ(0, look(page, &value));
		}
	}
}

FIXTURE_TEARDOWN(forked)
{
}

/* What a child has before it has touched any of the memory. */
struct child {
	long tables_kb;		/* of all of it */
	long rss_kb;		/* of the mapping */
};

static struct child look_at_child(struct __test_metadata *_metadata,
				  FIXTURE_DATA(forked) * self)
{
	struct child child = {};
	int fds[2];
	pid_t pid;

	ASSERT_EQ(0, pipe(fds));
	pid = fork();
	if (!pid) {
		child.tables_kb = page_tables_kb();
		child.rss_kb = smaps_kb(self->mem, self->len, "Rss:");
		_exit(write(fds[1], &child, sizeof(child)) != sizeof(child));
	}
	ASSERT_EQ(0, wait_child(pid));
	ASSERT_EQ(sizeof(child), read(fds[0], &child, sizeof(child)));
	close(fds[0]);
	close(fds[1]);
	return child;
}

/* Guards in the first populated page of each table of @tables, and nowhere else. */
static bool is_as_it_should(FIXTURE_DATA(forked) * self, unsigned long tables)
{
	unsigned long value;
	size_t table, i;
	char *page;

	for (table = 0; table < FORK_TABLES; table++) {
		for (i = 0; i < FORK_PAGES; i++) {
			page = self->mem + table * self->table + pages(i);
			if (!i && tables & 1UL << table) {
				if (!is_guarded(page))
					return false;
			} else if (look(page, &value) || value != number_of(self, page)) {
				return false;
			}
		}
	}
	return true;
}

static void set_guards(struct __test_metadata *_metadata, FIXTURE_DATA(forked) * self,
		       unsigned long tables, int advice)
{
	size_t table;

	for (table = 0; table < FORK_TABLES; table++)
		if (tables & 1UL << table)
			ASSERT_EQ(0, advise(self->mem + table * self->table, psize(), advice));
}

/* Check in a child and in a grandchild. */
static bool are_as_they_should(FIXTURE_DATA(forked) * self, unsigned long tables)
{
	pid_t pid = fork();

	if (!pid) {
		pid = fork();
		if (!pid)
			_exit(!is_as_it_should(self, tables));
		_exit(wait_child(pid) || !is_as_it_should(self, tables));
	}
	return !wait_child(pid);
}

/* The page table of a guard and those above it. */
#define MAX_UPPER_TABLES	3

static void check_fork(struct __test_metadata *_metadata, FIXTURE_DATA(forked) * self,
		       unsigned long tables, struct child without)
{
	const long most = without.tables_kb +
			  kb(__builtin_popcountl(tables) + (tables ? MAX_UPPER_TABLES : 0));
	struct child child = look_at_child(_metadata, self);

	EXPECT_EQ(without.rss_kb, child.rss_kb);
	EXPECT_GE(most, child.tables_kb);
	EXPECT_TRUE(are_as_they_should(self, tables));
}

TEST_F(forked, fork_copies_only_guards)
{
	const unsigned long one = 1UL << 5, three = one | 1UL << 6 | 1UL << 31;
	struct child without;

	look_at_child(_metadata, self);	/* populates what the check itself needs */
	without = look_at_child(_metadata, self);
	check_fork(_metadata, self, 0, without);
	set_guards(_metadata, self, one, MADV_GUARD_INSTALL);
	check_fork(_metadata, self, one, without);
	set_guards(_metadata, self, three, MADV_GUARD_INSTALL);
	check_fork(_metadata, self, three, without);
	set_guards(_metadata, self, one, MADV_GUARD_REMOVE);
	check_fork(_metadata, self, three & ~one, without);
	set_guards(_metadata, self, three, MADV_GUARD_REMOVE);
	check_fork(_metadata, self, 0, without);
	EXPECT_TRUE(is_as_it_should(self, 0));
}

int main(int argc, char **argv)
{
	guard_init();
	return test_harness_run(argc, argv);
}
