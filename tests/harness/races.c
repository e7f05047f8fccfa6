// SPDX-License-Identifier: GPL-2.0
// The functions of two accesses that vm/harness-test has KCSAN report: one to a
// field of tests/fields, one to another. Each is one line, whatever the compiler does.
struct vma { long vm_start, vm_flags; };
long racy(struct vma *vma) { return vma->vm_flags; }
long harmless(struct vma *vma) { return vma->vm_start; }
