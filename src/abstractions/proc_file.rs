// SPDX-License-Identifier: GPL-2.0-only

//! Abstraction layer: directories of files in a namespace's `/proc/net`.
//!
//! C headers: `include/linux/proc_fs.h`, `include/linux/seq_file.h`, `include/linux/poll.h`.

use crate::abstractions::net::Net;
use crate::abstractions::rcu::RcuArc;
use crate::abstractions::wait::WaitQueue;
use crate::bindings;
use core::ffi::CStr;
use core::marker::PhantomData;
use core::ptr::NonNull;
use kernel::error::from_result;
use kernel::error::to_result;
use kernel::ffi::c_char;
use kernel::ffi::c_int;
use kernel::ffi::c_void;
use kernel::prelude::*;
use kernel::seq_file::SeqFile;
use kernel::uaccess::UserPtr;
use kernel::uaccess::UserSlice;
use kernel::uaccess::UserSliceReader;

/// What the files of a directory do. A file is known by its key: what that stands for is looked up for
/// each call, so that nothing has to outlive a file.
pub(crate) trait Files: Send + Sync + 'static {
    /// Prints the whole text. However it is read, in whichever pieces, a reader sees one text until
    /// it seeks back.
    fn show(net: &Net, key: u32, out: &SeqFile) -> Result;

    /// Takes one write, whole; it may be empty. Where in the file it was meant for is not known.
    fn write(net: &Net, key: u32, line: UserSliceReader) -> Result;

    /// How often the text has become another one: another number than when somebody read it, if it has. Never 0.
    /// It becomes another one by a write only; whoever polls a file is woken then, and when a file is removed.
    fn generation(net: &Net, key: u32) -> Result<u32>;
}

/// The name of a file, of at most 15 bytes.
///
/// # Invariants
///
/// The last byte is 0.
#[derive(Default)]
pub(crate) struct FileName {
    bytes: [u8; 16],
    len: usize,
}

impl FileName {
    /// Adds a byte to the end; none is added to a name that is full.
    pub(crate) fn push(&mut self, byte: u8) {
        // INVARIANT: The last byte is left.
        let [free @ .., _] = &mut self.bytes;
        if let Some(to) = free.get_mut(self.len) {
            *to = byte;
            self.len = self.len.wrapping_add(1);
        }
    }

    fn as_char_ptr(&self) -> *const c_char {
        self.bytes.as_ptr().cast()
    }
}

/// What the files of a directory find as its data.
struct Shared {
    net: NonNull<bindings::net>,
    /// Those who poll one of the files.
    watchers: RcuArc<WaitQueue>,
}

/// A directory in a namespace's `/proc/net`.
///
/// A file's removal, and the directory's, waits for reads and writes that are going on: so neither may
/// happen under a lock that those take.
///
/// To be removed by [`Dir::remove`], which wants the namespace, so that it can only be called while that is
/// there. One that is dropped instead stays; so must then the namespace, and the module.
///
/// # Invariants
///
/// `shared` is a box's, the directory's data for as long as it is there.
pub(crate) struct Dir<T: Files> {
    entry: NonNull<bindings::proc_dir_entry>,
    shared: NonNull<Shared>,
    owned: bool,
    _type: PhantomData<T>,
}

// SAFETY: procfs locks by itself; what is shared is a queue, with a lock of its own, and a pointer that is
// compared, never followed.
unsafe impl<T: Files> Send for Dir<T> {}
// SAFETY: As above.
unsafe impl<T: Files> Sync for Dir<T> {}

impl<T: Files> Dir<T> {
    /// Makes the directory.
    pub(crate) fn new(net: &Net, name: &CStr) -> Result<Self> {
        let shared = Shared {
            // SAFETY: A reference is not null.
            net: unsafe { NonNull::new_unchecked(net.as_ptr()) },
            watchers: RcuArc::pin_init(WaitQueue::new(), GFP_KERNEL)?,
        };
        let shared = KBox::into_raw(KBox::new(shared, GFP_KERNEL)?);
        // SAFETY: The namespace is alive, so is its `/proc/net`; the name ends with a NUL. The callbacks
        // of the files below find the namespace by the directory's data: it removes the directory
        // before it goes, and procfs waits for them.
        let entry = unsafe {
            bindings::proc_mkdir_data(
                name.as_char_ptr(),
                0,
                bindings::net_proc(net.as_ptr()),
                shared.cast(),
            )
        };
        let Some(entry) = NonNull::new(entry) else {
            // SAFETY: The box's, and nobody has found it.
            drop(unsafe { KBox::from_raw(shared) });
            return Err(ENOMEM);
        };
        // INVARIANT: It was given to the directory as its data.
        Ok(Self {
            entry,
            // SAFETY: A box is never null.
            shared: unsafe { NonNull::new_unchecked(shared) },
            owned: give_to_root_of(entry, net),
            _type: PhantomData,
        })
    }

    /// Makes a file, whose owner is the directory's: root of the namespace's owner. Where that has come
    /// to be only after the directory was made, the directory is given to it now.
    pub(crate) fn create(&mut self, net: &Net, name: &FileName, mode: u16, key: u32) -> Result {
        if !self.owned {
            self.owned = give_to_root_of(self.entry, net);
        }
        // SAFETY: The directory is there, the name ends with a NUL, the operations are static. The data
        // is a number. CAST: widening.
        let entry = unsafe {
            bindings::proc_create_data(
                name.as_char_ptr(),
                mode,
                self.entry.as_ptr(),
                Adapter::<T>::OPS,
                key as usize as *mut c_void,
            )
        };
        NonNull::new(entry).map(drop).ok_or(ENOMEM)
    }

    /// Removes a file; who has it open finds it dead.
    pub(crate) fn remove_file(&mut self, name: &FileName) -> Result {
        // SAFETY: The directory is there, the name ends with a NUL.
        to_result(unsafe {
            bindings::remove_proc_subtree(name.as_char_ptr(), self.entry.as_ptr())
        })?;
        // SAFETY: By the type's invariant.
        unsafe { self.shared.as_ref() }.watchers.wake();
        Ok(())
    }

    /// Removes the directory with all files below it.
    pub(crate) fn remove(self, net: &Net) {
        // SAFETY: By the type's invariant.
        if unsafe { self.shared.as_ref() }.net.as_ptr() != net.as_ptr() {
            return;
        }
        // SAFETY: The entry is ours, its parent the namespace's; it is removed once.
        unsafe { bindings::proc_remove(self.entry.as_ptr()) };
        // SAFETY: The box's. No file is left that leads to it, and nobody is in a call any more.
        let shared = unsafe { KBox::from_raw(self.shared.as_ptr()) };
        WaitQueue::retire(shared.watchers.clone());
    }
}

/// Gives a directory to root of the user namespace that the network namespace belongs to; to the
/// machine's own root where that namespace has none (yet): its map is not written. `false` then.
fn give_to_root_of(entry: NonNull<bindings::proc_dir_entry>, net: &Net) -> bool {
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
    // SAFETY: The entry is a `Dir`'s.
    unsafe { bindings::proc_set_user(entry.as_ptr(), uid, gid) };
    mapped
}

/// A read or write that goes on. It holds the namespace: one that is held up, by the memory it copies
/// from or to, must not hold up the end of the namespace, for which others would have to wait.
pub(super) struct Busy(NonNull<bindings::net>);

impl Busy {
    /// `EIO` when the namespace is ending.
    ///
    /// # Safety
    ///
    /// To be called in a callback for a file below a [`Dir`] only.
    unsafe fn new(file: *const bindings::file) -> Result<Self> {
        // SAFETY: The namespace removes the directory before it goes, and waits for the callbacks.
        unsafe { Self::of(shared(file).net.as_ptr()) }
    }

    /// As `new`, for the namespace itself.
    ///
    /// # Safety
    ///
    /// `net` must be a namespace whose memory stays for the call.
    pub(super) unsafe fn of(net: *mut bindings::net) -> Result<Self> {
        // SAFETY: By the contract of this function.
        NonNull::new(unsafe { bindings::maybe_get_net(net) })
            .map(Self)
            .ok_or(EIO)
    }

    /// Reads of a file of `seq_file`'s for as long as it is held; the error if it isn't.
    ///
    /// # Safety
    ///
    /// The arguments must be those of a `proc_ops::proc_read` callback, for a file that `seq_file` opened.
    pub(super) unsafe fn read(
        busy: Result<Self>,
        file: *mut bindings::file,
        buf: *mut c_char,
        count: usize,
        offset: *mut bindings::loff_t,
    ) -> isize {
        match busy {
            // SAFETY: By the contract of this function.
            Ok(_busy) => unsafe { bindings::seq_read(file, buf, count, offset) },
            // CAST: An errno.
            Err(error) => error.to_errno() as isize,
        }
    }

    pub(super) fn net(&self) -> &Net {
        // SAFETY: It is held.
        unsafe { Net::from_raw(self.0.as_ptr()) }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        // SAFETY: Taken by `new`.
        unsafe { bindings::put_net(self.0.as_ptr()) };
    }
}

struct Adapter<T: Files>(PhantomData<T>);

impl<T: Files> Adapter<T> {
    const OPS: &'static bindings::proc_ops = &bindings::proc_ops {
        proc_open: Some(Self::open_callback),
        proc_read: Some(Self::read_callback),
        proc_write: Some(Self::write_callback),
        proc_poll: Some(Self::poll_callback),
        proc_lseek: Some(bindings::seq_lseek),
        proc_release: Some(bindings::single_release),
        ..pin_init::zeroed()
    };

    /// # Safety
    ///
    /// To be called as `proc_ops::proc_open` only.
    unsafe extern "C" fn open_callback(
        inode: *mut bindings::inode,
        file: *mut bindings::file,
    ) -> c_int {
        // SAFETY: procfs passes a file that is being opened, of an inode with the data of `create`.
        unsafe { bindings::single_open(file, Some(Self::show_callback), bindings::pde_data(inode)) }
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
        // SAFETY: procfs calls back for an open file below a `Dir`, opened by `single_open()`; the arguments are its own.
        unsafe { Busy::read(Busy::new(file), file, buf, count, offset) }
    }

    /// # Safety
    ///
    /// To be called by `seq_file`, for a file that `open_callback` opened, only.
    unsafe extern "C" fn show_callback(m: *mut bindings::seq_file, _: *mut c_void) -> c_int {
        from_result(|| {
            // SAFETY: `seq_file` passes a struct that nobody else uses in the call, of an open file below
            // a `Dir`.
            let (busy, key) = unsafe { (Busy::new((*m).file)?, key((*m).private)) };
            // Before the text is read: one that changes meanwhile has changed.
            let generation = T::generation(busy.net(), key)?;
            // SAFETY: As above. Who polls may read it in the same moment. CAST: The same width.
            unsafe { (&raw mut (*m).poll_event).write_volatile(generation as c_int) };
            // SAFETY: As above.
            T::show(busy.net(), key, unsafe { SeqFile::from_raw(m) })?;
            Ok(0)
        })
    }

    /// Readable is what this open file has not read as it is now, and a file that is dead.
    ///
    /// # Safety
    ///
    /// To be called as `proc_ops::proc_poll` only.
    unsafe extern "C" fn poll_callback(
        file: *mut bindings::file,
        table: *mut bindings::poll_table_struct,
    ) -> bindings::__poll_t {
        // SAFETY: procfs calls back for an open file below a `Dir`.
        unsafe { Self::poll(file, table) }.unwrap_or(READABLE | WRITABLE)
    }

    /// # Safety
    ///
    /// As `poll_callback`.
    unsafe fn poll(
        file: *mut bindings::file,
        table: *mut bindings::poll_table_struct,
    ) -> Result<bindings::__poll_t> {
        // SAFETY: As in `write_callback`.
        let (busy, key) = unsafe {
            (
                Busy::new(file)?,
                key(bindings::pde_data(bindings::file_inode(file))),
            )
        };
        // SAFETY: The arguments are procfs'. The queue is retired after the files are gone, and procfs calls nobody
        // back from then on.
        unsafe { shared(file).watchers.register(file, table) };
        // From here on whoever changes the text wakes us.
        let generation = T::generation(busy.net(), key)?;
        // SAFETY: Opened by `single_open()`, whose struct is the file's; it is written as it is read here. CAST: The
        // same width.
        let seen = unsafe {
            let m = (*file).private_data.cast::<bindings::seq_file>();
            (&raw const (*m).poll_event).read_volatile() as u32
        };
        Ok(if seen == generation {
            WRITABLE
        } else {
            READABLE | WRITABLE
        })
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
            // SAFETY: procfs calls back for an open file below a `Dir`.
            let (busy, key) = unsafe {
                (
                    Busy::new(file)?,
                    key(bindings::pde_data(bindings::file_inode(file))),
                )
            };
            let line = UserSlice::new(UserPtr::from_ptr(buf.cast_mut().cast()), count).reader();
            let before = T::generation(busy.net(), key)?;
            T::write(busy.net(), key, line)?;
            if T::generation(busy.net(), key) != Ok(before) {
                // SAFETY: As above.
                unsafe { shared(file) }.watchers.wake();
            }
            Ok(isize::try_from(count)?)
        })
    }
}

/// What all files of a directory share.
///
/// # Safety
///
/// To be called in a callback for a file below a [`Dir`] only, which `'a` doesn't outlive.
unsafe fn shared<'a>(file: *const bindings::file) -> &'a Shared {
    // SAFETY: By the invariant of `Dir`, which frees it after the last callback.
    unsafe { &*bindings::proc_get_parent_data(bindings::file_inode(file)).cast() }
}

/// C: `EPOLLIN`, `EPOLLPRI`, `EPOLLRDNORM`.
const READABLE: bindings::__poll_t = 0x0001 | 0x0002 | 0x0040;

/// C: `EPOLLOUT`, `EPOLLWRNORM`.
const WRITABLE: bindings::__poll_t = 0x0004 | 0x0100;

/// CAST: The data of a file is the key that it was made with.
fn key(data: *mut c_void) -> u32 {
    data as usize as u32
}
