/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Guard pages: what mm/guard.c offers to the rest of mm/, and what mm/memory.c
 * and mm/huge_memory.c offer to it.
 *
 * A guard page is a page table entry with a marker (PTE_MARKER_GUARD).  An
 * access to it raises SIGSEGV.
 */
#ifndef __MM_GUARD_H
#define __MM_GUARD_H

#include <linux/mm.h>
#include <linux/swapops.h>

#ifdef CONFIG_MMU

/* Only a guard whose soft-dirty bit has been cleared has to be decoded. */
static inline bool is_guard_pte(pte_t pte)
{
	return pte_same(pte, make_guard_pte()) || is_guard_pte_marker(pte);
}

/*
 * Is the guard at @pte a run of its own?  If it is the @last entry, none
 * follows it.
 */
static inline bool guard_is_alone(pte_t *pte, bool last)
{
	return last || !is_guard_pte(ptep_get(pte + 1));
}

/* Guards come in runs: these deal with many entries of a page table at once. */
unsigned int guard_pte_batch(pte_t *pte, unsigned int max_nr);
void set_guard_ptes(struct mm_struct *mm, unsigned long addr, pte_t *pte,
		    unsigned int nr);
unsigned int clear_guard_ptes(struct mm_struct *mm, unsigned long addr,
			      pte_t *pte, unsigned int max_nr, bool full);
unsigned int copy_guard_ptes(struct mm_struct *dst_mm, unsigned long addr,
			     pte_t *dst_pte, pte_t *src_pte, unsigned int max_nr);
unsigned int install_guard_ptes(struct vm_area_struct *vma, unsigned long addr,
				pte_t *pte, unsigned int nr);

int copy_guards(struct vm_area_struct *dst_vma, struct vm_area_struct *src_vma);
unsigned long skip_guards(struct vm_area_struct *vma, unsigned long start,
			  unsigned long end);

int zap_to_guards(struct mmu_gather *tlb, struct vm_area_struct *vma,
		  unsigned long *reached, unsigned long end);
bool anon_huge_pmd_to_guards(struct vm_area_struct *vma, pmd_t *pmd,
			     unsigned long haddr);

int madvise_guard(struct mm_struct *mm, unsigned long start, size_t len,
		  int behavior);
int madvise_guard_ranges(struct mm_struct *mm, struct iov_iter *ranges,
			 int behavior);

/*
 * May the page table of @pte hold guards?  The caller holds its lock, or keeps
 * guards from being installed: then "no" stays true.  While a table is
 * deposited for a huge page, list pointers may occupy the word.  They read as
 * "maybe" afterwards.
 */
#if defined(CONFIG_SPLIT_PTE_PTLOCKS) && !defined(CONFIG_HIGHPTE)
static inline bool pte_table_maybe_guard(pte_t *pte)
{
	return READ_ONCE(virt_to_ptdesc(pte)->pt_maybe_guard);
}

/*
 * Called under the page table lock, or before anybody else can reach the table.
 * Tables that share a struct page (powerpc) store the same value.
 */
static inline void pte_table_set_maybe_guard(pte_t *pte)
{
	WRITE_ONCE(virt_to_ptdesc(pte)->pt_maybe_guard, true);
}
#else
static inline bool pte_table_maybe_guard(pte_t *pte)
{
	return true;
}

static inline void pte_table_set_maybe_guard(pte_t *pte)
{
}
#endif

#ifdef CONFIG_GUARD_TABLE
/*
 * Is the entry in the shared page table of guards?  Then nothing may be stored
 * to it.
 */
static inline bool pte_in_guard_table(struct mm_struct *mm, pte_t *pte)
{
	return PTR_ALIGN_DOWN(pte, PAGE_SIZE) == READ_ONCE(mm->guard_table);
}

bool guard_table_get(struct mm_struct *mm);
bool guard_table_adopt(struct mm_struct *mm, pgtable_t page);
void guard_table_protect(struct mm_struct *mm);
void guard_table_free(struct mm_struct *mm);
bool guard_table_populate_locked(struct vm_area_struct *vma, pmd_t *pmd);
unsigned long guard_table_populate(struct vm_area_struct *vma, pmd_t *pmd,
				   unsigned long addr, unsigned long end);
unsigned long guard_table_end(struct mm_struct *mm, pmd_t *pmd, unsigned long addr,
			      unsigned long end);
unsigned long guard_table_copy(struct vm_area_struct *dst_vma, pmd_t *dst_pmd,
			       struct mm_struct *src_mm, pmd_t *src_pmd,
			       unsigned long addr, unsigned long end);
unsigned long guard_table_clear(struct mm_struct *mm, pmd_t *pmd, unsigned long addr,
				unsigned long end);
unsigned long guard_table_move(struct mm_struct *mm, pmd_t *old_pmd, pmd_t *new_pmd,
			       unsigned long addr, unsigned long end);
int guard_table_unshare(struct mm_struct *mm, pmd_t *pmd, unsigned long addr);
int guard_table_cut(struct vm_area_struct *vma, unsigned long addr);
#else
static inline bool pte_in_guard_table(struct mm_struct *mm, pte_t *pte)
{
	return false;
}

static inline bool guard_table_get(struct mm_struct *mm)
{
	return false;
}

static inline bool guard_table_adopt(struct mm_struct *mm, pgtable_t page)
{
	return false;
}

static inline void guard_table_protect(struct mm_struct *mm)
{
}

static inline void guard_table_free(struct mm_struct *mm)
{
}

static inline bool guard_table_populate_locked(struct vm_area_struct *vma, pmd_t *pmd)
{
	return false;
}

static inline unsigned long guard_table_populate(struct vm_area_struct *vma, pmd_t *pmd,
						 unsigned long addr, unsigned long end)
{
	return addr;
}

static inline unsigned long guard_table_end(struct mm_struct *mm, pmd_t *pmd,
					    unsigned long addr, unsigned long end)
{
	return addr;
}

static inline unsigned long guard_table_copy(struct vm_area_struct *dst_vma,
					     pmd_t *dst_pmd, struct mm_struct *src_mm,
					     pmd_t *src_pmd, unsigned long addr,
					     unsigned long end)
{
	return addr;
}

static inline unsigned long guard_table_clear(struct mm_struct *mm, pmd_t *pmd,
					      unsigned long addr, unsigned long end)
{
	return addr;
}

static inline unsigned long guard_table_move(struct mm_struct *mm, pmd_t *old_pmd,
					     pmd_t *new_pmd, unsigned long addr,
					     unsigned long end)
{
	return addr;
}

static inline int guard_table_unshare(struct mm_struct *mm, pmd_t *pmd,
				      unsigned long addr)
{
	return 0;
}

static inline int guard_table_cut(struct vm_area_struct *vma, unsigned long addr)
{
	return 0;
}
#endif

#endif	/* CONFIG_MMU */
#endif	/* __MM_GUARD_H */
