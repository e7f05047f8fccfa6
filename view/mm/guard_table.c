// SPDX-License-Identifier: GPL-2.0
/*
 * Large guards: one page table for all of them
 *
 * A PMD entry below which every page is a guard may point to a page table that
 * is full of guards, and that all such entries of the mm share
 * (mm->guard_table).  Code that reads page tables finds guards there, as in any
 * other page table, and needs no change.  A few rules hold for code that writes
 * to page tables:
 *
 * 1. The PMD entries that point to the shared table lie inside one VMA each: no
 *    VMA begins or ends below such an entry.  guard_table_cut() gives an entry
 *    a table of its own before that changes.  So an unmapped range has none of
 *    these entries in part, and unmapping, which cannot fail, allocates
 *    nothing.
 *
 * 2. Nobody stores to the shared table.  Only few places write to an entry that
 *    is a guard: REMOVE, mremap(), clear_refs, unmapping, and a zap that leaves
 *    guards behind.  Each of them either holds a lock of the VMA for writing,
 *    which excludes all others, or tests the PTE pointer that it is about to
 *    write through: see pte_in_guard_table().  A test of the PMD entry before
 *    the pointer was obtained would be too early: another task may let the
 *    empty entry point to the shared table in between.  exit_mmap() needs
 *    neither, because the mm has no users.
 *
 * 3. An empty entry is made to point to the shared table, and an entry that
 *    points to it is emptied or replaced, under the PMD lock.  Where an entry
 *    is emptied or replaced, the TLB is flushed before the lock is dropped.  So
 *    no CPU uses the shared table for an address after another table may have
 *    taken its place: on some architectures a thread would then fault for ever,
 *    and some must not see one table replace another.  Only free_pte_range()
 *    neither takes the lock nor flushes.  It runs when nobody else can use the
 *    range any more, and the end of the mmu_gather flushes.
 *
 *    A task that changes an entry may hold the mmap or VMA lock for reading
 *    only.  So others may find an entry empty while its table is replaced.
 *    Page faults of files, userfaultfd and the walks of mm/pagewalk.c must not
 *    take that for a range without guards: vma_pmd_none() and
 *    guard_table_replaced() wait for the PMD lock and look again.  Code that
 *    relies on a page table staying in place looks at the entry again under the
 *    PMD lock: the lock of the shared table does not keep the entry in place.
 *
 * 4. The shared table is allocated when it is first needed, or was deposited
 *    for a huge page that guards replace.  It is counted once, and freed by
 *    exit_mmap().  So a pointer to it stays valid, whatever happens to the PMD
 *    entry.  A child has a table of its own: fork() locks tables of both
 *    processes at once.
 */

#include <linux/kasan.h>
#include <linux/mm.h>
#include <linux/mm_inline.h>
#include <linux/pgalloc.h>
#include <linux/set_memory.h>
#include <linux/vmstat.h>

#include <xen/xen.h>

#include <asm/tlb.h>

#include "guard.h"
#include "internal.h"

/*
 * For tests, which have to know whether there were shared page tables at all.
 */
#ifdef CONFIG_DEBUG_VM
#define count_guard_table_event(item)	count_vm_event(item)
#else
#define count_guard_table_event(item)	do { } while (0)
#endif

/**
 * mm_pmd_is_guard_table - does a PMD entry point to the shared page table of
 *	guards?
 * @mm:		the address space
 * @pmd:	the entry
 *
 * Out of line, because pmd_is_guard_table() rarely has to look this closely.
 *
 * Context: Any.  See pmd_is_guard_table() for when the answer stays true.
 *
 * Return: whether it does.
 */
bool mm_pmd_is_guard_table(struct mm_struct *mm, pmd_t pmd)
{
	pte_t *table = READ_ONCE(mm->guard_table);

	return table && pmd_present(pmd) && !pmd_leaf(pmd) &&
	       pmd_page_vaddr(pmd) == (unsigned long)table;
}

/* The address is of no importance: no MMU has seen the table yet. */
static pgtable_t alloc_guard_table(struct mm_struct *mm)
{
	pgtable_t table = pte_alloc_one(mm);

	if (table)
		set_guard_ptes(mm, 0, page_address(table), PTRS_PER_PTE);
	return table;
}

/*
 * If the direct map has small pages anyway, a stray store to the shared table
 * can be made to fault.
 */
static bool guard_table_is_protected(void)
{
	return IS_ENABLED(CONFIG_DEBUG_VM) && debug_pagealloc_enabled_static();
}

/**
 * guard_table_protect - make the shared page table of guards read-only, if that
 *	is cheap
 * @mm:		the address space, whose shared table is new
 *
 * Context: Process context.  May sleep.
 */
void guard_table_protect(struct mm_struct *mm)
{
	if (guard_table_is_protected())
		set_memory_ro((unsigned long)mm->guard_table, 1);
}

/* Make a page table that is full of guards the shared one, if there is none. */
static bool set_guard_table(struct mm_struct *mm, pgtable_t page)
{
	/* Pointers that are obtained from a PMD entry have no tag */
	pte_t *table = kasan_reset_tag(page_address(page));

	/*
	 * A full barrier: the guards are visible before the pointer, and so
	 * before any PMD entry that is made from the pointer.
	 */
	return !cmpxchg(&mm->guard_table, NULL, table);
}

/**
 * guard_table_get - make the shared page table of guards if there is none
 * @mm:		the address space
 *
 * Context: Process context.  May sleep.
 *
 * Return: whether there is one now.  There is none if there is no memory for
 * it, or if the kernel runs as a Xen PV guest, where the hypervisor counts how
 * a page is used as a page table.  Then each PMD entry has a table of its own,
 * as for small guards.
 */
bool guard_table_get(struct mm_struct *mm)
{
	pgtable_t page;

	if (READ_ONCE(mm->guard_table))
		return true;
	if (xen_pv_domain())
		return false;

	page = alloc_guard_table(mm);
	if (!page)
		return false;
	if (set_guard_table(mm, page)) {
		mm_inc_nr_ptes(mm);
		guard_table_protect(mm);
	} else {
		pte_free(mm, page);
	}
	return true;
}

/**
 * guard_table_adopt - make a page table the shared one, if there is none
 * @mm:		the address space
 * @page:	the page table, which is counted, full of guards, and not in use
 *		yet
 *
 * Context: Any.  guard_table_protect() is to follow when the caller may sleep.
 *
 * Return: whether it is the shared table now.  Then nothing may be stored to
 * it, and exit_mmap() frees it.
 */
bool guard_table_adopt(struct mm_struct *mm, pgtable_t page)
{
	if (xen_pv_domain() || !set_guard_table(mm, page))
		return false;
	count_guard_table_event(GUARD_TABLE_SHARE);
	return true;
}

/**
 * guard_table_free - free the shared page table of guards, if there is one
 * @mm:		the address space, which has no users and no other page tables
 *		any more
 */
void guard_table_free(struct mm_struct *mm)
{
	pte_t *table = mm->guard_table;

	if (!table)
		return;
	VM_WARN_ON_ONCE(guard_pte_batch(table, PTRS_PER_PTE) != PTRS_PER_PTE);
	mm->guard_table = NULL;
	mm_dec_nr_ptes(mm);
	if (guard_table_is_protected())
		set_memory_rw((unsigned long)table, 1);
	pte_free(mm, virt_to_page(table));
}

/**
 * guard_table_populate_locked - let a PMD entry point to the shared page table
 *	of guards
 * @vma:	the VMA that maps the range of the entry
 * @pmd:	the entry
 *
 * Context: The PMD lock is held, and the mmap or VMA lock, for reading at
 * least.
 *
 * Return: whether the entry was empty and points to the shared table now.  It
 * does not if @vma->vm_mm has no shared table yet.
 */
bool guard_table_populate_locked(struct vm_area_struct *vma, pmd_t *pmd)
{
	pte_t *table = READ_ONCE(vma->vm_mm->guard_table);

	if (!table || !pmd_none(*pmd))
		return false;
	vma_set_maybe_guard(vma);
	pmd_populate(vma->vm_mm, pmd, virt_to_page(table));
	count_guard_table_event(GUARD_TABLE_SHARE);
	return true;
}

/**
 * guard_table_populate - let empty PMD entries point to the shared page table
 *	of guards
 * @vma:	the VMA that maps the range
 * @pmd:	the entry for @addr
 * @addr:	start address of the range, aligned to PMD_SIZE
 * @end:	end address of the range (exclusive), below the same PUD entry
 *
 * Context: Process context; the mmap or VMA lock is held, for reading at least.
 * May sleep.
 *
 * Return: the end of the part that the shared table maps now.  It ends before
 * the first PMD entry that points to something else, before one of which the
 * range has only a part, or, if there is no memory for the shared table, at
 * @addr.
 */
unsigned long guard_table_populate(struct vm_area_struct *vma, pmd_t *pmd,
				   unsigned long addr, unsigned long end)
{
	struct mm_struct *mm = vma->vm_mm;
	spinlock_t *pml;

	/*
	 * Do not allocate the shared table only to find that there is another.
	 */
	if (!pmd_none(pmdp_get_lockless(pmd)) &&
	    !mm_pmd_is_guard_table(mm, pmdp_get_lockless(pmd)))
		return addr;
	if (!guard_table_get(mm))
		return addr;

	pml = pmd_lock(mm, pmd);
	for (; end - addr >= PMD_SIZE; addr += PMD_SIZE, pmd++) {
		if (!guard_table_populate_locked(vma, pmd) &&
		    !mm_pmd_is_guard_table(mm, *pmd))
			break;
	}
	spin_unlock(pml);
	return addr;
}

/**
 * guard_table_end - find the end of the range that the shared page table of
 *	guards maps
 * @mm:		the address space
 * @pmd:	the PMD entry for @addr
 * @addr:	start address of the range, aligned to PMD_SIZE
 * @end:	end address of the range (exclusive), below the same PUD entry
 *
 * Context: The mmap or VMA lock is held, for reading at least.  Unless it is
 * held for writing, the answer may be out of date at once.
 *
 * Return: where the PMD entries end that point to the shared table: @addr if
 * the first one does not, or if the range has only a part of it.
 */
unsigned long guard_table_end(struct mm_struct *mm, pmd_t *pmd, unsigned long addr,
			      unsigned long end)
{
	while (end - addr >= PMD_SIZE && mm_pmd_is_guard_table(mm, pmdp_get_lockless(pmd))) {
		addr += PMD_SIZE;
		pmd++;
	}
	return addr;
}

/**
 * guard_table_copy - copy PMD entries that point to the shared page table of
 *	guards
 * @dst_vma:	the child's VMA
 * @dst_pmd:	the child's entry for @addr, empty as are those that follow
 * @src_mm:	the parent's address space
 * @src_pmd:	the parent's entry for @addr, which points to the parent's
 *		shared table
 * @addr:	start address of the range, aligned to PMD_SIZE
 * @end:	end address of the range (exclusive), below the same PUD entry
 *
 * The child's entries point to its own shared table.
 *
 * Context: Process context; both mmap_locks are held for writing, and the
 * parent's VMA is write-locked.  May sleep.
 *
 * Return: the end of the part that was copied, which is @addr if there is no
 * memory for the child's shared table.
 */
unsigned long guard_table_copy(struct vm_area_struct *dst_vma, pmd_t *dst_pmd,
			       struct mm_struct *src_mm, pmd_t *src_pmd,
			       unsigned long addr, unsigned long end)
{
	end = guard_table_end(src_mm, src_pmd, addr, end);
	return guard_table_populate(dst_vma, dst_pmd, addr, end);
}

/*
 * Flush the page walk caches of entries that pointed to the shared table.  The
 * caller holds the PMD lock, see rule 3.  tlb_finish_mmu() flushes again only
 * if another mmu_gather of the mm was open meanwhile.
 */
static void flush_guard_table(struct mmu_gather *tlb, unsigned long start,
			      unsigned long end)
{
	tlb_flush_pmd_range(tlb, start, end - start);
	tlb->freed_tables = 1;
	tlb_flush_mmu_tlbonly(tlb);
}

/**
 * guard_table_unshare - give a PMD entry a page table of guards of its own
 * @mm:		the address space
 * @pmd:	the entry, which points to the shared table
 * @addr:	an address that the entry maps
 *
 * The guards of the new table may be removed or moved.
 *
 * Context: Process context; the mmap or VMA lock is held, for reading at least.
 * May sleep.
 *
 * Return: 0, also if the entry does not point to the shared table any more, or
 * -%ENOMEM.
 */
int guard_table_unshare(struct mm_struct *mm, pmd_t *pmd, unsigned long addr)
{
	pgtable_t table = alloc_guard_table(mm);
	struct mmu_gather tlb;
	spinlock_t *pml;

	if (!table)
		return -ENOMEM;

	addr &= PMD_MASK;
	tlb_gather_mmu(&tlb, mm);
	pml = pmd_lock(mm, pmd);
	if (mm_pmd_is_guard_table(mm, *pmd)) {
		/*
		 * Nobody takes guards for empty entries meanwhile: see
		 * vma_pmd_none().
		 */
		pmd_clear(pmd);
		flush_guard_table(&tlb, addr, addr + PMD_SIZE);
		mm_inc_nr_ptes(mm);
		smp_wmb(); /* The guards must be visible before their table */
		pmd_populate(mm, pmd, table);
		count_guard_table_event(GUARD_TABLE_UNSHARE);
		table = NULL;
	}
	spin_unlock(pml);
	tlb_finish_mmu(&tlb);

	if (table)
		pte_free(mm, table);
	return 0;
}

/**
 * guard_table_replaced - has guard_table_unshare() filled a PMD entry?
 * @mm:		the address space
 * @pmd:	the entry, which was found empty without the PMD lock
 *
 * guard_table_unshare() empties the entry for a moment.  A walk or a page fault
 * that found it empty would take guards, which are there all the time, for
 * empty entries.
 *
 * Context: The caller keeps the PMD table from being freed.  The table must be
 * one of user memory, because those of the kernel may have no lock.
 *
 * Return: whether the entry points to a page table now.
 */
bool guard_table_replaced(struct mm_struct *mm, pmd_t *pmd)
{
	spinlock_t *pml;
	bool table;

	if (likely(!READ_ONCE(mm->guard_table)))
		return false;
	pml = pmd_lock(mm, pmd);
	table = pmd_present(*pmd) && !pmd_leaf(*pmd);
	spin_unlock(pml);
	return table;
}

/**
 * guard_table_cut - prepare to divide a VMA, or to give a part of it to a
 *	neighbour
 * @vma:	the VMA, as it is still
 * @addr:	where one VMA is going to end, and another to begin
 *
 * Call this before the first change that cannot be undone, because it may fail.
 *
 * Context: Process context; the mmap_lock is held for writing, and @vma is
 * write-locked.  May sleep.
 *
 * Return: 0, also if there is nothing to do, or -%ENOMEM.
 */
int guard_table_cut(struct vm_area_struct *vma, unsigned long addr)
{
	struct mm_struct *mm = vma->vm_mm;
	pmd_t *pmd;

	if (!vma_maybe_guard(vma) || !READ_ONCE(mm->guard_table) ||
	    IS_ALIGNED(addr, PMD_SIZE))
		return 0;
	pmd = mm_find_pmd(mm, addr);
	if (!pmd || !mm_pmd_is_guard_table(mm, *pmd))
		return 0;
	return guard_table_unshare(mm, pmd, addr);
}

/**
 * guard_table_clear - empty PMD entries that point to the shared page table of
 *	guards
 * @mm:		the address space
 * @pmd:	the entry for @addr
 * @addr:	start address of the range, aligned to PMD_SIZE
 * @end:	end address of the range (exclusive), below the same PUD entry
 *
 * Context: Process context; the mmap or VMA lock is held, for reading at least.
 *
 * Return: the end of the part that was emptied, which is @addr if the first
 * entry does not point to the shared table (any more).
 */
unsigned long guard_table_clear(struct mm_struct *mm, pmd_t *pmd, unsigned long addr,
				unsigned long end)
{
	unsigned long start = addr;
	struct mmu_gather tlb;
	spinlock_t *pml;

	tlb_gather_mmu(&tlb, mm);
	pml = pmd_lock(mm, pmd);
	for (; end - addr >= PMD_SIZE; addr += PMD_SIZE, pmd++) {
		if (!mm_pmd_is_guard_table(mm, *pmd))
			break;
		pmd_clear(pmd);
	}
	if (addr != start)
		flush_guard_table(&tlb, start, addr);
	spin_unlock(pml);
	tlb_finish_mmu(&tlb);
	return addr;
}

/**
 * guard_table_move - move PMD entries that point to the shared page table of
 *	guards
 * @mm:		the address space
 * @old_pmd:	the entry for @addr
 * @new_pmd:	the entry for the new address, empty as are those that follow
 * @addr:	start address of the old range, aligned to PMD_SIZE
 * @end:	end address of the old range (exclusive), below the same PUD entry;
 *		the new range is below one PUD entry as well
 *
 * Context: Process context; the mmap_lock is held for writing, the VMA is
 * write-locked, and its rmap locks are held.
 *
 * Return: the end of the part that was moved, which is @addr if the first entry
 * does not point to the shared table.
 */
unsigned long guard_table_move(struct mm_struct *mm, pmd_t *old_pmd, pmd_t *new_pmd,
			       unsigned long addr, unsigned long end)
{
	spinlock_t *old_pml, *new_pml;
	unsigned long start = addr;
	struct mmu_gather tlb;

	tlb_gather_mmu(&tlb, mm);
	old_pml = pmd_lock(mm, old_pmd);
	new_pml = pmd_lockptr(mm, new_pmd);
	if (new_pml != old_pml)
		spin_lock_nested(new_pml, SINGLE_DEPTH_NESTING);
	for (; end - addr >= PMD_SIZE; addr += PMD_SIZE, old_pmd++, new_pmd++) {
		if (!mm_pmd_is_guard_table(mm, *old_pmd) ||
		    WARN_ON_ONCE(!pmd_none(*new_pmd)))
			break;
		pmd_populate(mm, new_pmd, pmd_pgtable(*old_pmd));
		pmd_clear(old_pmd);
	}
	if (addr != start)
		flush_guard_table(&tlb, start, addr);
	if (new_pml != old_pml)
		spin_unlock(new_pml);
	spin_unlock(old_pml);
	tlb_finish_mmu(&tlb);
	return addr;
}
