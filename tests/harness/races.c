// SPDX-License-Identifier: GPL-2.0
// vm/harness-test pretends that KCSAN reported the first two functions. One accesses a
// field of tests/fields, the other does not. Each is on one line, so that the debug
// information always refers to that line. The third is where the second one's padding ends.
struct vma { long vm_start, vm_flags; };
long racy(struct vma *vma) { return vma->vm_flags; }
long harmless(struct vma *vma) { return vma->vm_start; }
void last(void) { }
