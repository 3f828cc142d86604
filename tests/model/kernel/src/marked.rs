// SPDX-License-Identifier: GPL-2.0-only

//! Single bytes that threads meet on by volatile accesses, which the kernel's memory model calls marked ones: each is an
//! atomic of loom's, known by its address, from its first access on.

use crate::alloc;
use loom::sync::atomic::AtomicU8;
use loom::sync::atomic::AtomicUsize;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;

/// A byte, and where those who access it meet: loom remembers one access of an atomic, and would forget that somebody read
/// the byte as soon as somebody else did who writes it later.
struct Byte {
    value: AtomicU8,
    meeting: AtomicUsize,
}

thread_local! {
    // loom runs all threads of a model on one.
    static BYTES: RefCell<BTreeMap<usize, Rc<Byte>>> = RefCell::default();
}

/// An execution begins: nothing is left of the one before.
pub fn begin() {
    BYTES.take();
}

/// A byte that is accessed so.
pub trait Marked {
    /// # Safety
    ///
    /// As for a volatile read.
    unsafe fn read_marked(self) -> u8;

    /// # Safety
    ///
    /// As for a volatile write.
    unsafe fn write_marked(self, value: u8);
}

impl Byte {
    fn at(at: *mut u8) -> Rc<Self> {
        assert!(alloc::is_there(at), "used after it was freed");
        let byte = BYTES.with_borrow_mut(|bytes| {
            let first = || {
                Rc::new(Self {
                    // SAFETY: It is there, by the contract of the callers.
                    value: AtomicU8::new(unsafe { *at }),
                    meeting: AtomicUsize::new(0),
                })
            };
            bytes.entry(at.addr()).or_insert_with(first).clone()
        });
        byte.meeting.fetch_add(0, Relaxed);
        byte
    }
}

impl Marked for *mut u8 {
    unsafe fn read_marked(self) -> u8 {
        Byte::at(self).value.load(Relaxed)
    }

    unsafe fn write_marked(self, value: u8) {
        Byte::at(self).value.store(value, Relaxed);
    }
}
