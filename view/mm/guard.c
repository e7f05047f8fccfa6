// SPDX-License-Identifier: GPL-2.0
/*
 * Guard pages: madvise(MADV_GUARD_INSTALL) and madvise(MADV_GUARD_REMOVE)
 *
 * A guard page is a page table entry with a marker (PTE_MARKER_GUARD) instead
 * of a page.  An access to it raises SIGSEGV.
 *
 * The first part of this file deals with entries of one page table, the second
 * with the guards of a VMA, for fork and populate, the third with requests.
 *
 * Installing takes one pass over the range.  Empty entries become markers.  As
 * long as all entries are empty, nothing else is needed: no mmu notifier, and a
 * TLB flush only if another task may have zapped a page table and not flushed
 * yet.  At the first entry that maps something, the walk stops, and the request
 * sets up an mmu_gather and a notifier.  Then the zap exchanges mapped pages
 * for markers under the page table lock, so a page that is faulted in first is
 * just one more to exchange.
 *
 * Where the range covers all that a PMD entry maps, the entry may share a page
 * table of guards: see mm/guard_table.c.
 *
 * See Documentation/userspace-api/guard_pages.rst for the interface.
 */

#include <linux/mm.h>
#include <linux/mm_inline.h>
#include <linux/mman.h>
#include <linux/mmu_notifier.h>
#include <linux/pagewalk.h>
#include <linux/sched/signal.h>
#include <linux/swap.h>
#include <linux/swapops.h>
#include <linux/uio.h>
#include <linux/uprobes.h>
#include <linux/userfaultfd_k.h>

#include <asm/tlb.h>
#include <asm/tlbflush.h>

#include "guard.h"
#include "internal.h"

/* Is there a whole block of entries before @end, all equal to @val? */
static inline bool same_pte_block(const pte_t *pte, const pte_t *end, pte_t val)
{
	if (pte > end - PTE_BLOCK)
		return false;
	for_each_in_pte_block(i) {
		if (!pte_same(pte[i], val))
			return false;
	}
	return true;
}

/* One by one: set_ptes() would increment the offset, which is the marker. */
static inline void set_guard_pte_block(struct mm_struct *mm, unsigned long addr,
				       pte_t *pte)
{
	for_each_in_pte_block(i)
		set_pte_at(mm, addr + i * PAGE_SIZE, pte + i, make_guard_pte());
}

static inline void clear_pte_block(struct mm_struct *mm, unsigned long addr,
				   pte_t *pte, bool full)
{
	for_each_in_pte_block(i)
		pte_clear_not_present_full(mm, addr + i * PAGE_SIZE, pte + i, full);
}

/* Count the guards from @pte on, and empty them if @clear is set. */
static __always_inline unsigned int
__guard_pte_batch(struct mm_struct *mm, unsigned long addr, pte_t *pte,
		  unsigned int max_nr, const bool clear, bool full)
{
	pte_t *end = pte + max_nr, *next = pte;
	pte_t guard;

	while (next < end) {
		guard = ptep_get(next);
		if (!is_guard_pte(guard))
			break;
		if (!same_pte_block(next, end, guard)) {
			if (clear)
				pte_clear_not_present_full(mm, addr, next, full);
			next++;
			addr += PAGE_SIZE;
			continue;
		}
		do {
			if (clear)
				clear_pte_block(mm, addr, next, full);
			next += PTE_BLOCK;
			addr += PTE_BLOCK * PAGE_SIZE;
		} while (same_pte_block(next, end, guard));
	}
	return next - pte;
}

/**
 * guard_pte_batch - count the guards that a row of entries begins with
 * @pte:	the first entry
 * @max_nr:	the number of entries, all in one page table
 *
 * Context: The page table lock is held.
 *
 * Return: how many entries precede the first that is no guard, 0 to @max_nr.
 */
unsigned int guard_pte_batch(pte_t *pte, unsigned int max_nr)
{
	return __guard_pte_batch(NULL, 0, pte, max_nr, false, false);
}

/**
 * set_guard_ptes - make guards of entries that are empty, or guards already
 * @mm:		the address space
 * @addr:	the address that the first entry maps
 * @pte:	the first entry
 * @nr:		the number of entries, all in one page table
 *
 * The caller notes in the VMA that it may hold guards before anybody else can
 * see them, or has copied a VMA in which that is noted.
 *
 * Context: The page table lock is held, or nobody else can reach the table yet.
 */
void set_guard_ptes(struct mm_struct *mm, unsigned long addr, pte_t *pte,
		    unsigned int nr)
{
	pte_table_set_maybe_guard(pte);
	for (; nr >= PTE_BLOCK; nr -= PTE_BLOCK) {
		set_guard_pte_block(mm, addr, pte);
		pte += PTE_BLOCK;
		addr += PTE_BLOCK * PAGE_SIZE;
	}
	for (; nr; nr--, pte++, addr += PAGE_SIZE)
		set_pte_at(mm, addr, pte, make_guard_pte());
}

/**
 * clear_guard_ptes - empty the guards that a row of entries begins with
 * @mm:		the address space
 * @addr:	the address that the first entry maps
 * @pte:	the first entry
 * @max_nr:	the number of entries, all in one page table
 * @full:	the whole of @mm is going away, see pte_clear_not_present_full()
 *
 * Context: The page table lock is held.
 *
 * Return: what guard_pte_batch() would have returned.
 */
unsigned int clear_guard_ptes(struct mm_struct *mm, unsigned long addr,
			      pte_t *pte, unsigned int max_nr, bool full)
{
	return __guard_pte_batch(mm, addr, pte, max_nr, true, full);
}

static noinline unsigned int copy_guard_run(struct mm_struct *dst_mm,
					    unsigned long addr, pte_t *dst_pte,
					    pte_t *src_pte, unsigned int max_nr)
{
	unsigned int nr = guard_pte_batch(src_pte, max_nr);

	set_guard_ptes(dst_mm, addr, dst_pte, nr);
	return nr;
}

/**
 * copy_guard_ptes - copy the guards that a row of entries begins with
 * @dst_mm:	the child's address space
 * @addr:	the address that the first entry maps
 * @dst_pte:	the first of the child's entries
 * @src_pte:	the first of the parent's entries
 * @max_nr:	the number of entries, all in one page table
 *
 * The caller has noted in the child's page table that it may hold guards.
 *
 * Context: Both page table locks are held.
 *
 * Return: what guard_pte_batch() returns for the parent's entries.
 */
unsigned int copy_guard_ptes(struct mm_struct *dst_mm, unsigned long addr,
			     pte_t *dst_pte, pte_t *src_pte, unsigned int max_nr)
{
	if (!is_guard_pte(ptep_get(src_pte)))
		return 0;
	/* Most guards are alone where pages are copied as well. */
	if (guard_is_alone(src_pte, max_nr == 1)) {
		set_pte_at(dst_mm, addr, dst_pte, make_guard_pte());
		return 1;
	}
	return copy_guard_run(dst_mm, addr, dst_pte, src_pte, max_nr);
}

/* Make guards of the empty entries from @pte on, and count them. */
static unsigned int fill_none_ptes(struct mm_struct *mm, unsigned long addr,
				   pte_t *pte, pte_t *end)
{
	pte_t *next = pte;

	for (; next <= end - PTE_BLOCK && none_pte_block(next); next += PTE_BLOCK) {
		set_guard_pte_block(mm, addr, next);
		addr += PTE_BLOCK * PAGE_SIZE;
	}
	for (; next < end && pte_none(ptep_get(next)); next++, addr += PAGE_SIZE)
		set_pte_at(mm, addr, next, make_guard_pte());
	return next - pte;
}

static __always_inline unsigned int
__install_guard_ptes(struct vm_area_struct *vma, unsigned long addr, pte_t *pte,
		     unsigned int nr)
{
	pte_t *end = pte + nr, *next = pte;
	unsigned int run;

	while (next < end) {
		if (pte_none(ptep_get(next))) {
			vma_set_maybe_guard(vma);
			pte_table_set_maybe_guard(pte);
			run = fill_none_ptes(vma->vm_mm,
					     addr + (next - pte) * PAGE_SIZE,
					     next, end);
		} else {
			run = guard_pte_batch(next, end - next);
			if (!run)
				break;
		}
		next += run;
	}
	return next - pte;
}

/**
 * install_guard_ptes - turn empty entries of a page table into guards
 * @vma:	the VMA that the entries belong to
 * @addr:	the address that the first entry maps
 * @pte:	the first entry
 * @nr:		the number of entries, at least one, all in one page table
 *
 * Stops at the first entry that is neither empty nor a guard.  An entry may
 * have been emptied by somebody who has not flushed the TLB yet: see
 * tlb_flush_zapped().
 *
 * Context: The page table lock is held, and the mmap or VMA lock, for reading
 * at least.
 *
 * Return: how many entries from @pte on are guards now, 0 to @nr.
 */
unsigned int install_guard_ptes(struct vm_area_struct *vma, unsigned long addr,
				pte_t *pte, unsigned int nr)
{
	return __install_guard_ptes(vma, addr, pte, nr);
}

/* Why a walk of fork or populate ends, other than by an error. */
enum guard_walk_end {
	GUARD_FOUND = 1,	/* There is a guard. */
	GUARD_NOT_FOUND,	/* Something other than a guard, or a gap. */
	GUARD_RESCHED,		/* The CPU is needed, or the task is to die. */
	GUARD_NO_TABLE,		/* The new page table has been removed again. */
};

static int find_guard_table(struct vm_area_struct *vma, pte_t *pte,
			    unsigned long addr, unsigned long end, void *private)
{
	unsigned long *found = private;

	for (; addr != end; pte++, addr += PAGE_SIZE) {
		pte_t ptent = ptep_get(pte);

		if (!pte_present(ptent) && is_guard_pte(ptent))
			break;
	}
	*found = addr;
	if (addr != end)
		return GUARD_FOUND;
	return need_resched() ? GUARD_RESCHED : 0;
}

static int find_guard_no_table(unsigned long addr, unsigned long end, void *private)
{
	unsigned long *found = private;

	*found = end;
	return need_resched() ? GUARD_RESCHED : 0;
}

static const struct pte_table_ops find_guard_ops = {
	.pte_table	= find_guard_table,
	.no_pte_table	= find_guard_no_table,
	.maybe_guard	= true,
};

static int copy_guards_table(struct vm_area_struct *dst_vma, pte_t *dst_pte,
			     unsigned long addr, unsigned long end, void *private)
{
	struct vm_area_struct *src_vma = private;
	pmd_t *src_pmd = mm_find_pmd(src_vma->vm_mm, addr);
	pte_t *src_pte, *mapped;
	spinlock_t *src_ptl;
	unsigned int nr;

	mapped = pte_offset_map_nolock(src_vma->vm_mm, src_pmd, addr, &src_ptl);
	src_pte = mapped;
	spin_lock_nested(src_ptl, SINGLE_DEPTH_NESTING);
	arch_enter_lazy_mmu_mode();
	pte_table_set_maybe_guard(dst_pte);
	for (; addr != end; src_pte += nr, dst_pte += nr, addr += nr * PAGE_SIZE) {
		nr = 1;
		if (is_guard_pte(ptep_get(src_pte)))
			nr = copy_guard_ptes(dst_vma->vm_mm, addr, dst_pte, src_pte,
					     (end - addr) / PAGE_SIZE);
	}
	arch_leave_lazy_mmu_mode();
	spin_unlock(src_ptl);
	pte_unmap(mapped);
	return 0;
}

/* retract_page_tables() may remove the child's table while it is empty. */
static int copy_guards_no_table(unsigned long addr, unsigned long end,
				void *private)
{
	return GUARD_NO_TABLE;
}

static const struct pte_table_ops copy_guards_ops = {
	.pte_table	= copy_guards_table,
	.no_pte_table	= copy_guards_no_table,
	.alloc		= true,
};

/*
 * The shared page table maps *@addr.  Copy its guards, and advance *@addr past
 * them.
 */
static int copy_shared_guards(struct vm_area_struct *dst_vma,
			      struct vm_area_struct *src_vma, pmd_t *src_pmd,
			      unsigned long *addr)
{
	unsigned long end = pmd_table_end(*addr, src_vma->vm_end);
	pmd_t *dst_pmd = mm_alloc_pmd(dst_vma->vm_mm, *addr);

	if (!dst_pmd)
		return -ENOMEM;
	end = guard_table_copy(dst_vma, dst_pmd, src_vma->vm_mm, src_pmd, *addr, end);
	if (end == *addr)
		return -ENOMEM;
	*addr = end;
	return 0;
}

/*
 * Another page table maps *@addr.  Copy its guards, and advance *@addr to its
 * end.
 */
static int copy_own_guards(struct vm_area_struct *dst_vma,
			   struct vm_area_struct *src_vma, unsigned long *addr)
{
	unsigned long end = pte_table_end(*addr, src_vma->vm_end);
	int err = walk_pte_tables(dst_vma, *addr, end, &copy_guards_ops, src_vma);

	if (!err)
		*addr = end;
	return err;
}

/**
 * copy_guards - copy the guards of a VMA whose pages fork() need not copy
 * @dst_vma:	the child's VMA
 * @src_vma:	the parent's VMA
 *
 * Page faults bring back the pages of a file, but not guards.  The child gets
 * page tables only where there are guards.
 *
 * Context: Process context; both mmap_locks are held for writing and @src_vma
 * is write-locked, so guards neither come nor go, and a page table that holds
 * one stays.  May sleep.
 *
 * Return: 0, or -%ENOMEM if a page table could not be allocated.
 */
int copy_guards(struct vm_area_struct *dst_vma, struct vm_area_struct *src_vma)
{
	unsigned long addr = src_vma->vm_start, end = src_vma->vm_end;
	pmd_t *pmd;
	int err;

	while (addr < end) {
		err = walk_pte_tables(src_vma, addr, end, &find_guard_ops, &addr);
		if (!err)
			break;
		if (err == GUARD_FOUND) {
			pmd = mm_find_pmd(src_vma->vm_mm, addr);
			if (pmd_is_guard_table(src_vma, *pmd))
				err = copy_shared_guards(dst_vma, src_vma, pmd, &addr);
			else
				err = copy_own_guards(dst_vma, src_vma, &addr);
			if (err < 0)
				return err;
		}
		cond_resched();
	}
	return 0;
}

static int skip_guards_table(struct vm_area_struct *vma, pte_t *pte,
			     unsigned long addr, unsigned long end, void *private)
{
	unsigned long *reached = private;

	addr += PAGE_SIZE * guard_pte_batch(pte, (end - addr) / PAGE_SIZE);
	*reached = addr;
	if (addr != end)
		return GUARD_NOT_FOUND;
	if (need_resched() || fatal_signal_pending(current))
		return GUARD_RESCHED;
	return 0;
}

static int skip_guards_no_table(unsigned long addr, unsigned long end,
				void *private)
{
	return GUARD_NOT_FOUND;
}

static int skip_guards_whole(struct vm_area_struct *vma, pmd_t *pmd,
			     unsigned long addr, unsigned long *end, void *private)
{
	unsigned long *reached = private;

	*end = guard_table_end(vma->vm_mm, pmd, addr, *end);
	if (*end == addr)
		return 0;
	*reached = *end;
	return need_resched() || fatal_signal_pending(current) ? GUARD_RESCHED : 0;
}

static const struct pte_table_ops skip_guards_ops = {
	.pte_table	= skip_guards_table,
	.no_pte_table	= skip_guards_no_table,
	.whole_tables	= skip_guards_whole,
};

/**
 * skip_guards - find the end of the guards that a range begins with
 * @vma:	the VMA that maps the range
 * @start:	start address of the range, page-aligned
 * @end:	end address of the range (exclusive), page-aligned
 *
 * May stop early if the CPU is needed or a fatal signal is pending: the caller
 * looks at both when it populates what follows.
 *
 * Context: Process context; the mmap_lock is held.
 *
 * Return: where the guards end, which is @start if there is none now.  @end if
 * the VMA has never had one.
 */
unsigned long skip_guards(struct vm_area_struct *vma, unsigned long start,
			  unsigned long end)
{
	unsigned long reached = start;

	if (!vma_maybe_guard(vma))
		return end;
	walk_pte_tables(vma, start, end, &skip_guards_ops, &reached);
	return reached;
}

/*
 * The result of a step of a request, if it is neither 0 nor an error.  Except
 * after GUARD_DONE, the request continues at guard_request.addr.
 */
enum guard_state {
	GUARD_DONE = 1,		/* No range is left. */
	GUARD_NEXT_RANGE,	/* Another range is the current one. */
	GUARD_POPULATED,	/* A page is mapped: see guard_replace(). */
	GUARD_SHARED,		/* Shared table: see guard_remove_shared(). */
	GUARD_PAUSE,		/* Release the lock: see guard_pause(). */
	GUARD_MMAP_LOCK,	/* The request needs the mmap_lock. */
	GUARD_UNLOCKED,		/* userfaultfd has released the mmap_lock. */
};

/**
 * struct guard_request - state of one madvise() or process_madvise() request
 * @mm:		the caller's address space
 * @ranges:	the current range and those that follow, NULL if there is only
 *		one
 * @lock:	the lock that is held: of a VMA, or the mmap_lock
 * @addr:	the request is complete below this address
 * @end:	end of the current range (exclusive)
 * @zap_seq:	the latest number of a zap in the page tables below @addr, see
 *		pte_zap_seq()
 * @notified:	userfaultfd monitors know that memory below this address is
 *		removed
 * @behavior:	MADV_GUARD_INSTALL or MADV_GUARD_REMOVE
 * @hole:	part of the range below @addr is not mapped
 */
struct guard_request {
	struct mm_struct *mm;
	struct iov_iter *ranges;
	struct rw_semaphore *lock;
	unsigned long addr;
	unsigned long end;
	unsigned long zap_seq;
	unsigned long notified;
	int behavior;
	bool hole;
};

/* Returns -EINVAL if the range is invalid.  A range may be empty. */
static int guard_set_range(struct guard_request *req, unsigned long start,
			   size_t len_in)
{
	size_t len = PAGE_ALIGN(len_in);

	if (!PAGE_ALIGNED(start) || (len_in && !len) || start + len < start)
		return -EINVAL;

	req->addr = untagged_addr(start);
	req->end = req->addr + len;
	req->notified = 0;
	/* An address without its tag may be large (sparc64). */
	return req->end < req->addr ? -ENOMEM : 0;
}

/*
 * The current range is complete: set the next one that is not empty.  Returns
 * GUARD_NEXT_RANGE, or GUARD_DONE if there is none.
 */
static __always_inline int guard_next_range(struct guard_request *req)
{
	struct iov_iter *ranges = req->ranges;
	int err;

	if (req->hole)
		return -ENOMEM;

	while (ranges) {
		iov_iter_advance(ranges, iter_iov_len(ranges));
		if (!iov_iter_count(ranges))
			break;
		err = guard_set_range(req, (unsigned long)iter_iov_addr(ranges),
				      iter_iov_len(ranges));
		if (err)
			return err;
		if (req->addr < req->end)
			return GUARD_NEXT_RANGE;
	}
	return GUARD_DONE;
}

/* Is the lock of @vma enough for the current range? */
static bool guard_range_in_vma(struct guard_request *req,
			       struct vm_area_struct *vma)
{
	/* userfaultfd_remove() releases the mmap_lock while it waits. */
	return req->addr >= vma->vm_start && req->end <= vma->vm_end &&
	       !userfaultfd_armed(vma);
}

/*
 * Device DAX may map a page of the size of a PUD, which the walk would take for
 * a page table.  File systems never do: they map DAX files with
 * dax_iomap_fault(), by PTEs and PMDs.
 */
static bool may_map_puds(struct vm_area_struct *vma)
{
	return vma->vm_ops && vma->vm_ops->huge_fault &&
	       S_ISCHR(file_inode(vma->vm_file)->i_mode);
}

static bool guard_vma_allowed(struct vm_area_struct *vma, int behavior)
{
	vm_flags_t refused = VM_SPECIAL | VM_HUGETLB;

	/* Like MADV_DONTNEED, do not free memory before it is unlocked. */
	if (behavior == MADV_GUARD_INSTALL)
		refused |= VM_LOCKED;

	return !(vma->vm_flags & refused) && !may_map_puds(vma);
}

/*
 * Does the lock have to be released before the request continues?  Called after
 * each page table, VMA and range.  All other tasks that map or unmap memory in
 * the process may wait behind the one that waits for the lock.
 */
static int guard_pause(struct guard_request *req)
{
	if (req->addr == req->end)
		return 0;
	if (need_resched() || fatal_signal_pending(current) ||
	    rwsem_is_contended(req->lock))
		return GUARD_PAUSE;
	return 0;
}

/*
 * A CPU may still have a translation for an entry that is empty, or that is a
 * guard which another thread has just installed.  When the request returns, no
 * CPU may reach the old page.  @seq was read under the page table lock.  So it
 * is the number of the zap that emptied the entry, or a later one.  A zap that
 * flushed under that lock leaves no number, and needs no flush.
 */
static void guard_note_zap_seq(struct guard_request *req, unsigned long seq)
{
	if (seq && tlb_seq_later(seq, req->zap_seq))
		req->zap_seq = seq;
}

/* Install guards from req->addr, whose entry is @pte, to @end. */
static __always_inline int guard_install_ptes(struct guard_request *req,
					      struct vm_area_struct *vma, pte_t *pte,
					      unsigned long end)
{
	unsigned int nr = (end - req->addr) >> PAGE_SHIFT;
	unsigned int done = __install_guard_ptes(vma, req->addr, pte, nr);

	req->addr += done * PAGE_SIZE;
	return done == nr ? 0 : GUARD_POPULATED;
}

/* Remove guards from req->addr, whose entry is @pte, to @end. */
static __always_inline void guard_remove_ptes(struct guard_request *req,
					      struct vm_area_struct *vma, pte_t *pte,
					      unsigned long end)
{
	unsigned long addr = req->addr;
	unsigned int nr;

	for (; addr != end; pte += nr, addr += nr * PAGE_SIZE) {
		nr = 1;
		if (!is_guard_pte(ptep_get(pte)))
			continue;
		if (guard_is_alone(pte, addr + PAGE_SIZE == end))
			pte_clear_not_present_full(vma->vm_mm, addr, pte, false);
		else
			nr = clear_guard_ptes(vma->vm_mm, addr, pte,
					      (end - addr) / PAGE_SIZE, false);
	}
	req->addr = end;
}

/*
 * Set the next range.  Returns 0 if it follows the previous one in the same
 * page table, and the locks may be kept.
 */
static int guard_next_range_in_table(struct guard_request *req,
				     struct vm_area_struct *vma)
{
	unsigned long last = req->end;
	int err = guard_next_range(req);

	/*
	 * Only ranges that ascend: one hold of the lock processes an entry once
	 * at most.
	 */
	if (err != GUARD_NEXT_RANGE || req->addr < last ||
	    req->end > pte_table_end(last - 1, vma->vm_end) ||
	    !guard_range_in_vma(req, vma))
		return err;
	return guard_pause(req);
}

/*
 * How many ranges one hold of a page table lock may process, besides the first.
 */
#define GUARD_RANGES_LOCKED 32

/*
 * The current range is complete.  @pte is the entry that follows it, in a page
 * table that is locked.  Process the ranges that follow in the same table.
 * Never returns 0, because the walk must not continue after the request has
 * moved on.  Out of line, because most requests have one range only.
 */
static noinline int guard_ranges_in_table(struct guard_request *req,
					  struct vm_area_struct *vma, pte_t *pte)
{
	unsigned long addr;
	int err, nr;

	for (nr = 0; nr < GUARD_RANGES_LOCKED; nr++) {
		addr = req->addr;
		err = guard_next_range_in_table(req, vma);
		if (err)
			return err;
		pte += (req->addr - addr) >> PAGE_SHIFT;
		addr = req->addr;
		if (req->behavior == MADV_GUARD_REMOVE)
			guard_remove_ptes(req, vma, pte, req->end);
		else if (guard_install_ptes(req, vma, pte, req->end))
			return GUARD_POPULATED;
		pte += (req->addr - addr) >> PAGE_SHIFT;
	}
	return guard_next_range(req);
}

static int guard_install_table(struct vm_area_struct *vma, pte_t *pte,
			       unsigned long addr, unsigned long end,
			       void *private)
{
	struct guard_request *req = private;
	int err;

	arch_enter_lazy_mmu_mode();
	err = guard_install_ptes(req, vma, pte, end);
	if (!err && req->ranges && end == req->end)
		err = guard_ranges_in_table(req, vma, pte + ((end - addr) >> PAGE_SHIFT));
	arch_leave_lazy_mmu_mode();

	guard_note_zap_seq(req, pte_zap_seq(vma->vm_mm, pte));
	return err ?: guard_pause(req);
}

static int guard_install_no_table(unsigned long addr, unsigned long end,
				  void *private)
{
	struct guard_request *req = private;

	req->addr = addr;
	return GUARD_POPULATED;
}

/* Let empty PMD entries share one page table of guards. */
static int guard_install_whole(struct vm_area_struct *vma, pmd_t *pmd,
			       unsigned long addr, unsigned long *end, void *private)
{
	struct guard_request *req = private;

	*end = guard_table_populate(vma, pmd, addr, *end);
	if (*end == addr)
		return 0;
	req->addr = *end;
	return guard_pause(req);
}

static const struct pte_table_ops guard_install_ops = {
	.pte_table	= guard_install_table,
	.no_pte_table	= guard_install_no_table,
	.whole_tables	= guard_install_whole,
	.alloc		= true,
};

/*
 * While pages wait in an mmu_gather, no page table is allocated: within the
 * limit of the memcg there may be no other memory than these pages.
 */
static const struct pte_table_ops guard_fill_ops = {
	.pte_table	= guard_install_table,
	.no_pte_table	= guard_install_no_table,
};

/*
 * Install guards from req->addr, where a page is mapped, to the end of the
 * current range or of @vma.  The zap and the walk take turns: the zap frees
 * pages and leaves guards in their place, to the end of the page table; the
 * walk fills empty entries until it finds the next page, or no page table.  If
 * the zap finds no page table either, the pages in the gather are freed, and
 * the walk allocates page tables as far as the next page.
 *
 * Returns GUARD_NEXT_RANGE if the next page is in a later range, about which
 * the mmu notifiers must be told first.
 */
static int guard_replace(struct guard_request *req, struct vm_area_struct *vma,
			 struct mmu_gather *tlb)
{
	unsigned long end = min(req->end, vma->vm_end);
	struct mmu_notifier_range range;
	int err;

	mmu_notifier_range_init(&range, MMU_NOTIFY_CLEAR, 0, req->mm,
				req->addr, end);
	mmu_notifier_invalidate_range_start(&range);
	if (vma->vm_file)
		uprobe_munmap(vma, req->addr, end);

	do {
		const struct pte_table_ops *ops = &guard_fill_ops;
		unsigned long addr = req->addr;

		err = zap_to_guards(tlb, vma, &req->addr,
				    pte_table_end(addr, end));
		if (err || req->addr == end)
			break;

		err = guard_pause(req);
		if (err)
			break;
		if (req->addr == addr) {
			tlb_flush_mmu(tlb);
			ops = &guard_install_ops;
		}
		err = walk_pte_tables(vma, req->addr, end, ops, req);
	} while (err == GUARD_POPULATED && req->addr < end);

	mmu_notifier_invalidate_range_end(&range);
	/*
	 * A page is mapped in a later range, which the notifiers do not know
	 * about.
	 */
	return err == GUARD_POPULATED ? GUARD_NEXT_RANGE : err;
}

/* Without @tlb, returns GUARD_POPULATED where a page is mapped. */
static __always_inline int guard_install(struct guard_request *req,
					 struct vm_area_struct *vma,
					 struct mmu_gather *tlb)
{
	unsigned long end = min(req->end, vma->vm_end);
	int err;

	err = walk_pte_tables(vma, req->addr, end,
			      tlb ? &guard_fill_ops : &guard_install_ops, req);
	if (err == GUARD_POPULATED && tlb)
		err = guard_replace(req, vma, tlb);
	return err;
}

static int guard_remove_table(struct vm_area_struct *vma, pte_t *pte,
			      unsigned long addr, unsigned long end,
			      void *private)
{
	struct guard_request *req = private;
	int err = 0;

	if (pte_in_guard_table(vma->vm_mm, pte))
		return GUARD_SHARED;

	arch_enter_lazy_mmu_mode();
	guard_remove_ptes(req, vma, pte, end);
	if (req->ranges && end == req->end)
		err = guard_ranges_in_table(req, vma, pte + ((end - addr) >> PAGE_SHIFT));
	arch_leave_lazy_mmu_mode();
	return err ?: guard_pause(req);
}

static int guard_remove_no_table(unsigned long addr, unsigned long end,
				 void *private)
{
	struct guard_request *req = private;

	req->addr = end;
	return guard_pause(req);
}

static const struct pte_table_ops guard_remove_ops = {
	.pte_table	= guard_remove_table,
	.no_pte_table	= guard_remove_no_table,
};

/*
 * Remove guards from req->addr, where the walk has met the shared page table,
 * to @end.  If the range covers all that a PMD entry maps, the entry is
 * emptied.  If it covers a part, the entry gets a page table of its own, from
 * which the walk removes the guards.  If another task has replaced the shared
 * table meanwhile, the walk just continues.  Out of line, because only large
 * guards make the walk meet the shared table.
 */
static noinline int guard_remove_shared(struct guard_request *req,
					struct vm_area_struct *vma, unsigned long end)
{
	pmd_t *pmd;
	int err;

	do {
		pmd = mm_find_pmd(req->mm, req->addr);
		err = 0;
		if (pte_table_end(req->addr, end) - req->addr == PMD_SIZE)
			req->addr = guard_table_clear(req->mm, pmd, req->addr,
						      pmd_table_end(req->addr, end));
		else
			err = guard_table_unshare(req->mm, pmd, req->addr);

		err = err ?: guard_pause(req);
		if (!err && req->addr < end)
			err = walk_pte_tables(vma, req->addr, end, &guard_remove_ops, req);
	} while (err == GUARD_SHARED);
	return err;
}

static __always_inline int guard_remove(struct guard_request *req,
					struct vm_area_struct *vma)
{
	unsigned long end = min(req->end, vma->vm_end);
	int err;

	if (!vma_maybe_guard(vma)) {
		req->addr = end;
		return 0;
	}
	err = walk_pte_tables(vma, req->addr, end, &guard_remove_ops, req);
	if (err == GUARD_SHARED)
		err = guard_remove_shared(req, vma, end);
	return err;
}

/*
 * Install or remove guards in the part of the range that @vma maps.  If it maps
 * all of the range, continue with the ranges that follow, as long as they are
 * in @vma: they share the lock, and @tlb if there is one.  Inline, because
 * without @tlb there is much less to do.
 */
static __always_inline int guard_ranges(struct guard_request *req,
					struct vm_area_struct *vma,
					struct mmu_gather *tlb)
{
	int err;

	do {
		if (req->behavior == MADV_GUARD_REMOVE)
			err = guard_remove(req, vma);
		else
			err = guard_install(req, vma, tlb);
		if (!err && req->addr == req->end)
			err = guard_next_range(req);
		if (err != GUARD_NEXT_RANGE)
			return err;
		if (!guard_range_in_vma(req, vma))
			return 0;
		err = guard_pause(req);
	} while (!err);
	return err;
}

/*
 * Out of line: the mmu_gather is large, and most guards are installed where
 * nothing is mapped yet.  The gather is finished before the lock is released.
 * Otherwise another mapping could take the address while the TLB still has the
 * old pages.
 */
static noinline int guard_ranges_populated(struct guard_request *req,
					   struct vm_area_struct *vma)
{
	struct mmu_gather tlb;
	int err;

	lru_add_drain();
	tlb_gather_mmu(&tlb, req->mm);
	update_hiwater_rss(req->mm);
	tlb_start_vma(&tlb, vma);

	err = guard_ranges(req, vma, &tlb);

	tlb_end_vma(&tlb, vma);
	tlb_finish_mmu(&tlb);
	return err;
}

/*
 * Install or remove guards in @vma, see guard_ranges().  Returns 0 if the
 * request continues in another VMA.
 */
static int guard_vma(struct guard_request *req, struct vm_area_struct *vma)
{
	unsigned long end = min(req->end, vma->vm_end);
	int err;

	if (unlikely(!can_modify_vma_madv(vma, req->behavior)))
		return -EPERM;
	if (!guard_vma_allowed(vma, req->behavior))
		return -EINVAL;

	/* Installing discards data: tell the userfaultfd monitor. */
	if (userfaultfd_armed(vma) && req->behavior == MADV_GUARD_INSTALL &&
	    req->notified < end && !userfaultfd_remove(vma, req->addr, end)) {
		req->notified = end;
		return GUARD_UNLOCKED;
	}

	err = guard_ranges(req, vma, NULL);
	if (err == GUARD_POPULATED)
		err = guard_ranges_populated(req, vma);
	if (req->behavior == MADV_GUARD_INSTALL)
		tlb_flush_zapped(req->mm, req->zap_seq);
	return err;
}

/* Tasks that map or unmap memory elsewhere need not wait for the request. */
static int guard_under_vma_lock(struct guard_request *req)
{
	struct vm_area_struct *vma;
	int err = GUARD_MMAP_LOCK;

	vma = lock_vma_under_rcu(req->mm, req->addr);
	if (!vma)
		return err;

	req->lock = vma_lock_rwsem(vma);
	if (guard_range_in_vma(req, vma))
		err = guard_vma(req, vma);
	vma_end_read(vma);
	return err;
}

static int guard_walk_vmas(struct guard_request *req)
{
	VMA_ITERATOR(vmi, req->mm, req->addr);
	struct vm_area_struct *vma;
	int err;

	for_each_vma_range(vmi, vma, req->end) {
		if (req->addr < vma->vm_start) {
			req->hole = true;
			req->addr = vma->vm_start;
		}
		err = guard_vma(req, vma);
		/*
		 * The range is complete: the next one tries the VMA lock again.
		 */
		if (err || req->addr != vma->vm_end)
			return err;
		err = guard_pause(req);
		if (err)
			return err;
	}

	/* Nothing is mapped up to the end of the range. */
	return -ENOMEM;
}

static noinline int guard_under_mmap_lock(struct guard_request *req)
{
	int err;

	if (mmap_read_lock_killable(req->mm))
		return -EINTR;
	req->lock = &req->mm->mmap_lock;
	err = guard_walk_vmas(req);
	if (err != GUARD_UNLOCKED)
		mmap_read_unlock(req->mm);
	return err;
}

/*
 * Take a lock, install or remove guards until the lock has to be released, and
 * repeat, until the request is complete or fails or the task is killed.
 */
static int guard_run(struct guard_request *req)
{
	int err;

	/*
	 * Numbers wrap, so 0 would not do.  Begin with a number that is close
	 * to the current ones, and that needs no flush.
	 */
	req->zap_seq = READ_ONCE(req->mm->tlb_seq_done) - TLB_SEQ_STEP;

	for (;;) {
		err = guard_under_vma_lock(req);
		if (err == GUARD_MMAP_LOCK)
			err = guard_under_mmap_lock(req);

		if (err == GUARD_DONE)
			return 0;
		if (err < 0)
			return err;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
}

/**
 * madvise_guard - install or remove guard pages
 * @mm:		the address space, which is the caller's own
 * @start:	start address of the range, page-aligned
 * @len:	length of the range in bytes, rounded up to whole pages
 * @behavior:	MADV_GUARD_INSTALL or MADV_GUARD_REMOVE
 *
 * Installs or removes guards wherever the range is mapped, in ascending order,
 * up to the first VMA that is refused.
 *
 * Context: Process context, without locks.  May sleep.
 *
 * Return: 0, or
 *
 * * -%EINTR: a fatal signal is pending
 * * -%EINVAL: the range is invalid, or a VMA cannot have guards; the range is
 *   complete up to that VMA
 * * -%ENOMEM: part of the range is not mapped, and the rest is complete; or
 *   there is no memory for page tables
 * * -%EPERM: a VMA is sealed; the range is complete up to that VMA
 */
int madvise_guard(struct mm_struct *mm, unsigned long start, size_t len,
		  int behavior)
{
	struct guard_request req = {
		.mm		= mm,
		.behavior	= behavior,
	};
	int err;

	err = guard_set_range(&req, start, len);
	if (err || req.addr == req.end)
		return err;
	return guard_run(&req);
}

/**
 * madvise_guard_ranges - install or remove guard pages in a vector of ranges
 * @mm:		the address space, which is the caller's own
 * @ranges:	the ranges; advanced past those that are complete
 * @behavior:	MADV_GUARD_INSTALL or MADV_GUARD_REMOVE
 *
 * Context: Process context, without locks.  May sleep.
 *
 * Return: 0, or what madvise_guard() would return for the range that @ranges is
 * at.
 */
int madvise_guard_ranges(struct mm_struct *mm, struct iov_iter *ranges,
			 int behavior)
{
	struct guard_request req = {
		.mm		= mm,
		.ranges		= ranges,
		.behavior	= behavior,
	};
	int err;

	if (!iov_iter_count(ranges))
		return 0;

	err = guard_set_range(&req, (unsigned long)iter_iov_addr(ranges),
			      iter_iov_len(ranges));
	if (!err && req.addr == req.end)
		err = guard_next_range(&req);
	if (err == GUARD_DONE)
		return 0;
	if (err < 0)
		return err;
	return guard_run(&req);
}
