// SPDX-License-Identifier: GPL-2.0-only

//! Where the fields of `include/clusterip.h` are, by a C compiler.

#[repr(C)]
#[derive(Clone, Copy)]
struct Place {
    offset: usize,
    size: usize,
}

extern "C" {
    static clusterip_layout_rev0: [Place; 9];
    static clusterip_layout_rev1: [Place; 10];
    static clusterip_flags: [u32; 3];
}

/// Of revision 0, the offset and the size of each field in the header's order, and then of the whole.
pub fn revision_0() -> [(usize, usize); 9] {
    // SAFETY: It is a constant of this type, in `c/layout.c`.
    unsafe { clusterip_layout_rev0 }.map(|place| (place.offset, place.size))
}

/// Of revision 1, likewise.
pub fn revision_1() -> [(usize, usize); 10] {
    // SAFETY: It is a constant of this type, in `c/layout.c`.
    unsafe { clusterip_layout_rev1 }.map(|place| (place.offset, place.size))
}

/// "New" of revision 0, of revision 1, and "no mark" of revision 1.
pub fn flags() -> [u32; 3] {
    // SAFETY: It is a constant of this type, in `c/layout.c`.
    unsafe { clusterip_flags }
}
