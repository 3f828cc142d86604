// SPDX-License-Identifier: GPL-2.0-only

//! Abstraction layer: files and directories in a namespace's `/proc/net`.
//!
//! C headers: `include/linux/proc_fs.h`, `include/linux/seq_file.h`.

use crate::abstractions::net::Net;
use crate::abstractions::rcu::RcuArc;
use crate::bindings;
use core::ffi::CStr;
use core::marker::PhantomData;
use core::ptr::NonNull;
use kernel::error::from_result;
use kernel::ffi::c_char;
use kernel::ffi::c_int;
use kernel::ffi::c_void;
use kernel::prelude::*;
use kernel::seq_file::SeqFile;
use kernel::sync::Arc;
use kernel::uaccess::UserPtr;
use kernel::uaccess::UserSlice;
use kernel::uaccess::UserSliceReader;

/// What a file does.
pub(crate) trait File: Send + Sync + 'static {
    /// Prints the whole text. However it is read, in whichever pieces, a reader sees one text until
    /// it seeks back.
    fn show(&self, out: &SeqFile);

    /// Takes one write, whole; it may be empty. Where in the file it was meant for is not known.
    fn write(&self, line: UserSliceReader) -> Result;
}

/// An entry in `/proc`. Goes with all below it when dropped, which waits for reads and writes that
/// are going on: so it must not be dropped under a lock that those take.
struct Entry(NonNull<bindings::proc_dir_entry>);

// SAFETY: procfs locks by itself.
unsafe impl Send for Entry {}
// SAFETY: As above.
unsafe impl Sync for Entry {}

impl Entry {
    /// Gives the entry to root of the user namespace that the network namespace belongs to; to the
    /// machine's own root where that namespace has none (yet): its map is not written. `false` then.
    fn give_to_root_of(&self, net: &Net) -> bool {
        // SAFETY: A network namespace holds a reference on its user namespace.
        let (mut uid, mut gid) = unsafe {
            let owner = bindings::net_user_ns(net.as_ptr());
            (bindings::make_kuid(owner, 0), bindings::make_kgid(owner, 0))
        };
        // C: `uid_valid()`, `gid_valid()`, `GLOBAL_ROOT_UID`, `GLOBAL_ROOT_GID`.
        let mapped = uid.val != u32::MAX && gid.val != u32::MAX;
        if uid.val == u32::MAX {
            uid.val = 0;
        }
        if gid.val == u32::MAX {
            gid.val = 0;
        }
        // SAFETY: The entry is ours.
        unsafe { bindings::proc_set_user(self.0.as_ptr(), uid, gid) };
        mapped
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        // SAFETY: The entry is ours, and this is the only time that it is removed.
        unsafe { bindings::proc_remove(self.0.as_ptr()) };
    }
}

/// A directory in a namespace's `/proc/net`. Removed when dropped, and when the last file below it is.
///
/// To be dropped while the namespace is there.
pub(crate) struct Dir {
    entry: Arc<Entry>,
    owned: bool,
}

impl Dir {
    /// Makes the directory.
    pub(crate) fn new(net: &Net, name: &CStr) -> Result<Self> {
        // SAFETY: The namespace is alive, so is its `/proc/net`; the name ends with a NUL.
        let entry =
            unsafe { bindings::proc_mkdir(name.as_char_ptr(), bindings::net_proc(net.as_ptr())) };
        let entry = Entry(NonNull::new(entry).ok_or(ENOMEM)?);
        let owned = entry.give_to_root_of(net);
        let entry = Arc::new(entry, GFP_KERNEL)?;
        Ok(Self { entry, owned })
    }

    /// Makes a file below the directory, whose owner it gets: root of the namespace's owner. Where that
    /// has come to be only after the directory was made, the directory is given to it now.
    pub(crate) fn create<T: File>(
        &mut self,
        net: &Net,
        name: &CStr,
        mode: u16,
        data: RcuArc<T>,
    ) -> Result<Registration<T>> {
        if !self.owned {
            self.owned = self.entry.give_to_root_of(net);
        }
        let data = KBox::new(
            Data {
                net: net.as_ptr(),
                value: data,
            },
            GFP_KERNEL_ACCOUNT,
        )?;
        let pointer: *const Data<T> = &*data;
        // SAFETY: The directory is there, the name ends with a NUL, the operations are static, and
        // the data stay for as long as the file does: `Registration` has them.
        let entry = unsafe {
            bindings::proc_create_data(
                name.as_char_ptr(),
                mode,
                self.entry.0.as_ptr(),
                Adapter::<T>::OPS,
                pointer.cast_mut().cast(),
            )
        };
        Ok(Registration {
            _entry: Entry(NonNull::new(entry).ok_or(ENOMEM)?),
            _dir: self.entry.clone(),
            _data: data,
        })
    }
}

/// What an open file finds.
struct Data<T: File> {
    net: *mut bindings::net,
    value: RcuArc<T>,
}

// SAFETY: `net` is used in the ways that C allows from any thread.
unsafe impl<T: File> Send for Data<T> {}
// SAFETY: As above.
unsafe impl<T: File> Sync for Data<T> {}

/// A read or write that goes on. It holds the namespace: one that is held up, by the memory it copies
/// from or to, must not hold up the end of the namespace, for which others would have to wait.
struct Busy(NonNull<bindings::net>);

impl Busy {
    /// `None` when the namespace is ending.
    fn new<T: File>(data: &Data<T>) -> Option<Self> {
        // SAFETY: The namespace removes its files before it goes, and waits for their callbacks.
        NonNull::new(unsafe { bindings::maybe_get_net(data.net) }).map(Self)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        // SAFETY: Taken by `new`.
        unsafe { bindings::put_net(self.0.as_ptr()) };
    }
}

/// A file that is there. Removed when dropped; who has it open finds it dead.
pub(crate) struct Registration<T: File> {
    // Fields are dropped in order: the file goes before its directory, and before its data.
    _entry: Entry,
    _dir: Arc<Entry>,
    _data: KBox<Data<T>>,
}

struct Adapter<T: File>(PhantomData<T>);

impl<T: File> Adapter<T> {
    const OPS: &'static bindings::proc_ops = &bindings::proc_ops {
        proc_open: Some(Self::open_callback),
        proc_read: Some(Self::read_callback),
        proc_write: Some(Self::write_callback),
        proc_lseek: Some(bindings::seq_lseek),
        proc_release: Some(bindings::single_release),
        ..pin_init::zeroed()
    };

    /// The data of a file.
    ///
    /// # Safety
    ///
    /// `inode` must be of a file that `create` made, in a callback: procfs removes no file while one
    /// runs, and `Registration` keeps the data for longer.
    unsafe fn data<'a>(inode: *mut bindings::inode) -> &'a Data<T> {
        // SAFETY: The data are what `create` gave.
        unsafe { &*bindings::pde_data(inode).cast_const().cast() }
    }

    /// # Safety
    ///
    /// To be called as `proc_ops::proc_open` only.
    unsafe extern "C" fn open_callback(
        inode: *mut bindings::inode,
        file: *mut bindings::file,
    ) -> c_int {
        // SAFETY: procfs calls back for a file of ours.
        let value: *const T = &*unsafe { Self::data(inode) }.value;
        // SAFETY: procfs passes a file that is being opened.
        unsafe { bindings::single_open(file, Some(Self::show_callback), value.cast_mut().cast()) }
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
        // SAFETY: procfs calls back for an open file of ours.
        let data = unsafe { Self::data(bindings::file_inode(file)) };
        let Some(_busy) = Busy::new(data) else {
            // CAST: An errno.
            return EIO.to_errno() as isize;
        };
        // SAFETY: Opened by `single_open()`; the arguments are procfs' own.
        unsafe { bindings::seq_read(file, buf, count, offset) }
    }

    /// # Safety
    ///
    /// To be called by `seq_file`, for a file that `open_callback` opened, only.
    unsafe extern "C" fn show_callback(m: *mut bindings::seq_file, _: *mut c_void) -> c_int {
        // SAFETY: `single_open()` keeps the data in `private`; they stay while a read goes on, as
        // `Registration` waits for it.
        let data = unsafe { &*(*m).private.cast_const().cast::<T>() };
        // SAFETY: `seq_file` passes a struct that nobody else uses in the call.
        data.show(unsafe { SeqFile::from_raw(m) });
        0
    }

    /// # Safety
    ///
    /// To be called as `proc_ops::proc_write` only.
    unsafe extern "C" fn write_callback(
        file: *mut bindings::file,
        buf: *const c_char,
        count: usize,
        _offset: *mut bindings::loff_t,
    ) -> isize {
        from_result(|| {
            // SAFETY: procfs calls back for an open file of ours.
            let data = unsafe { Self::data(bindings::file_inode(file)) };
            let _busy = Busy::new(data).ok_or(EIO)?;
            let line = UserSlice::new(UserPtr::from_ptr(buf.cast_mut().cast()), count).reader();
            data.value.write(line)?;
            Ok(isize::try_from(count)?)
        })
    }
}
