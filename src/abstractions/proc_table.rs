// SPDX-License-Identifier: GPL-2.0-only

//! Abstraction layer: a table that anybody may read, in a namespace's `/proc/net/stat`.
//!
//! C headers: `include/linux/proc_fs.h`, `include/linux/seq_file.h`.

use super::proc_file::Busy;
use crate::abstractions::net::Net;
use crate::bindings;
use core::ffi::CStr;
use core::marker::PhantomData;
use core::ptr;
use core::ptr::NonNull;
use kernel::error::from_result;
use kernel::ffi::c_char;
use kernel::ffi::c_int;
use kernel::ffi::c_void;
use kernel::prelude::*;
use kernel::seq_file::SeqFile;

/// What stands in a table: a header, and a piece of text for each key, in ascending order.
///
/// A reader sees each piece whole, and those that come or go while it reads, or not.
pub(crate) trait Table: Send + Sync + 'static {
    /// Prints what stands above all.
    fn header(out: &SeqFile);

    /// The first key that is not below `from`.
    fn next(net: &Net, from: u32) -> Option<u32>;

    /// Prints what belongs to a key; nothing, if it has gone.
    fn show(net: &Net, key: u32, out: &SeqFile) -> Result;
}

/// Whether there is no room left, so that what is printed now is lost, and all of it asked for again. C:
/// `seq_has_overflowed()`.
pub(crate) fn is_full(out: &SeqFile) -> bool {
    let m = ptr::from_ref(out).cast::<bindings::seq_file>();
    // SAFETY: A transparent wrapper of the struct, which nobody else uses meanwhile.
    unsafe { (*m).count == (*m).size }
}

/// The file of a [`Table`].
///
/// To be removed by [`TableFile::remove`], which wants the namespace, so that it can only be called while that is
/// there. One that is dropped instead stays; so must then the namespace, and the module.
pub(crate) struct TableFile<T: Table> {
    entry: NonNull<bindings::proc_dir_entry>,
    net: *const Net,
    _type: PhantomData<T>,
}

// SAFETY: procfs locks by itself; `net` is compared, never followed.
unsafe impl<T: Table> Send for TableFile<T> {}
// SAFETY: As above.
unsafe impl<T: Table> Sync for TableFile<T> {}

impl<T: Table> TableFile<T> {
    /// Makes the file, readable for all.
    pub(crate) fn new(net: &Net, name: &CStr) -> Result<Self> {
        // SAFETY: The namespace is alive, so is its `/proc/net/stat`; the name ends with a NUL, the operations are
        // static. The callbacks find the namespace as the file's data: it removes the file before it goes, and
        // procfs waits for them.
        let entry = unsafe {
            bindings::proc_create_data(
                name.as_char_ptr(),
                0o444,
                bindings::net_proc_stat(net.as_ptr()),
                Adapter::<T>::OPS,
                net.as_ptr().cast(),
            )
        };
        Ok(Self {
            entry: NonNull::new(entry).ok_or(ENOMEM)?,
            net,
            _type: PhantomData,
        })
    }

    /// Removes the file; who has it open finds it dead.
    pub(crate) fn remove(self, net: &Net) {
        if ptr::eq(self.net, net) {
            // SAFETY: The entry is ours, its parent the namespace's; it is removed once.
            unsafe { bindings::proc_remove(self.entry.as_ptr()) };
        }
    }
}

struct Adapter<T: Table>(PhantomData<T>);

impl<T: Table> Adapter<T> {
    const OPS: &'static bindings::proc_ops = &bindings::proc_ops {
        proc_open: Some(Self::open_callback),
        proc_read: Some(Self::read_callback),
        proc_lseek: Some(bindings::seq_lseek),
        proc_release: Some(bindings::seq_release),
        ..pin_init::zeroed()
    };

    const SEQ_OPS: &'static bindings::seq_operations = &bindings::seq_operations {
        start: Some(Self::start_callback),
        next: Some(Self::next_callback),
        stop: Some(Self::stop_callback),
        show: Some(Self::show_callback),
    };

    /// # Safety
    ///
    /// To be called as `proc_ops::proc_open` only.
    unsafe extern "C" fn open_callback(
        inode: *mut bindings::inode,
        file: *mut bindings::file,
    ) -> c_int {
        // SAFETY: procfs passes a file that is being opened; the operations are static.
        let result = unsafe { bindings::seq_open(file, Self::SEQ_OPS) };
        if result == 0 {
            // SAFETY: `seq_open()` has given the file its struct. The data is `new`'s.
            unsafe {
                let m = (*file).private_data.cast::<bindings::seq_file>();
                (*m).private = bindings::pde_data(inode);
            }
        }
        result
    }

    /// # Safety
    ///
    /// To be called as `proc_ops::proc_read` only.
    unsafe extern "C" fn read_callback(
        file: *mut bindings::file,
        buf: *mut c_char,
        count: usize,
        offset: *mut bindings::loff_t,
    ) -> isize {
        // SAFETY: The data of the file is its namespace, which removes the file before it goes, and waits for this
        // call. Opened by `seq_open()`; the arguments are procfs' own.
        unsafe {
            let busy = Busy::of(bindings::pde_data(bindings::file_inode(file)).cast());
            Busy::read(busy, file, buf, count, offset)
        }
    }

    /// The namespace of a file that is read.
    ///
    /// # Safety
    ///
    /// To be called in a callback of `seq_file`'s, in which the namespace is held.
    unsafe fn net<'a>(m: *mut bindings::seq_file) -> &'a Net {
        // SAFETY: `open_callback` put it there; `read_callback`, which nobody but a seek goes round, holds it, and a
        // seek is a call that the end of the namespace waits for.
        unsafe { Net::from_raw((*m).private.cast()) }
    }

    /// Where to go on: at the header (0), or at the first key that is not below `pos - 1`.
    ///
    /// # Safety
    ///
    /// As `net`; `pos` must be the file's.
    unsafe fn seek(m: *mut bindings::seq_file, pos: *mut bindings::loff_t) -> *mut c_void {
        // SAFETY: By the contract of this function.
        let (net, at) = unsafe { (Self::net(m), *pos) };
        if at != 0 {
            let from = u32::try_from(at.wrapping_sub(1)).ok();
            let Some(key) = from.and_then(|from| T::next(net, from)) else {
                return ptr::null_mut();
            };
            // SAFETY: As above.
            unsafe { *pos = bindings::loff_t::from(key).wrapping_add(1) };
        }
        // Anything but null: what there is to be known stands in the position.
        pos.cast()
    }

    /// # Safety
    ///
    /// To be called as `seq_operations::start` only.
    unsafe extern "C" fn start_callback(
        m: *mut bindings::seq_file,
        pos: *mut bindings::loff_t,
    ) -> *mut c_void {
        // SAFETY: The arguments are `seq_file`'s.
        unsafe { Self::seek(m, pos) }
    }

    /// # Safety
    ///
    /// To be called as `seq_operations::next` only.
    unsafe extern "C" fn next_callback(
        m: *mut bindings::seq_file,
        _: *mut c_void,
        pos: *mut bindings::loff_t,
    ) -> *mut c_void {
        // SAFETY: As above.
        unsafe {
            *pos = (*pos).wrapping_add(1);
            Self::seek(m, pos)
        }
    }

    /// # Safety
    ///
    /// To be called as `seq_operations::stop` only.
    unsafe extern "C" fn stop_callback(_: *mut bindings::seq_file, _: *mut c_void) {}

    /// # Safety
    ///
    /// To be called as `seq_operations::show` only.
    unsafe extern "C" fn show_callback(m: *mut bindings::seq_file, at: *mut c_void) -> c_int {
        from_result(|| {
            // SAFETY: `seq_file` passes what `seek` returned, the file's position, and a struct that nobody else
            // uses in the call.
            let (out, at) = unsafe { (SeqFile::from_raw(m), *at.cast::<bindings::loff_t>()) };
            match u32::try_from(at.wrapping_sub(1)) {
                // SAFETY: This is a callback of `seq_file`'s.
                Ok(key) => T::show(unsafe { Self::net(m) }, key, out)?,
                Err(_) => T::header(out),
            }
            Ok(0)
        })
    }
}
