// SPDX-License-Identifier: GPL-2.0-only

//! Memory that the kernel cannot read at once: whoever reads it stops in a page fault, until it is let
//! (`userfaultfd`, by `linux/userfaultfd.h`), or until the kernel has made room for a page table.

use std::fs::File;
use std::io;
use std::io::Read;
use std::os::fd::AsRawFd;
use std::os::fd::FromRawFd;
use std::os::fd::OwnedFd;
use std::ptr;

const PAGE: usize = 4096;
const UFFDIO_API: u64 = 0xc018_aa3f;
const UFFDIO_REGISTER: u64 = 0xc020_aa00;
const UFFDIO_COPY: u64 = 0xc028_aa03;
const API: u64 = 0xaa;
const MISSING: u64 = 1;
/// `struct uffd_msg`.
const MESSAGE: usize = 32;
const PAGE_FAULT: u8 = 0x12;

/// A page of memory that is not there yet.
pub struct Page {
    faults: File,
    page: *mut u8,
}

// SAFETY: The page is only ever passed to the kernel, by its address.
unsafe impl Send for Page {}
// SAFETY: As above.
unsafe impl Sync for Page {}

impl Page {
    pub fn new() -> io::Result<Self> {
        // SAFETY: A new descriptor; a new mapping where the kernel finds room.
        let (faults, page) = unsafe {
            let fd = libc::syscall(libc::SYS_userfaultfd, libc::O_CLOEXEC) as i32;
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            let faults = File::from(OwnedFd::from_raw_fd(fd));
            let page = libc::mmap(
                ptr::null_mut(),
                PAGE,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            );
            if page == libc::MAP_FAILED {
                return Err(io::Error::last_os_error());
            }
            (faults, page.cast::<u8>())
        };
        let new = Self { faults, page };
        new.control(UFFDIO_API, &mut [API, 0, 0])?;
        let start = new.page as u64;
        new.control(UFFDIO_REGISTER, &mut [start, PAGE as u64, MISSING, 0])?;
        Ok(new)
    }

    /// The requests' structs are of 64-bit words, of which each request has its number.
    fn control(&self, request: u64, words: &mut [u64]) -> io::Result<()> {
        // SAFETY: The words are at least as many as the request's struct has, and live through the
        // call.
        let result = unsafe { libc::ioctl(self.faults.as_raw_fd(), request, words.as_mut_ptr()) };
        if result < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }

    /// Writes the page's first bytes to a file. Does not return before [`fill`](Self::fill).
    pub fn write_to(&self, file: &File, length: usize) -> io::Result<usize> {
        assert!(length <= PAGE);
        // SAFETY: The length is within the mapping, and the kernel alone reads it.
        let written = unsafe { libc::write(file.as_raw_fd(), self.page.cast(), length) };
        usize::try_from(written).map_err(|_| io::Error::last_os_error())
    }

    /// Waits until somebody has stopped at the page.
    pub fn wait(&self) -> io::Result<()> {
        let mut message = [0; MESSAGE];
        (&self.faults).read_exact(&mut message)?;
        if message[0] != PAGE_FAULT {
            return Err(io::Error::other("userfaultfd told of something else"));
        }
        Ok(())
    }

    /// Puts bytes at the page's start, and lets whoever stopped there go on.
    pub fn fill(&self, bytes: &[u8]) -> io::Result<()> {
        let mut content = vec![0_u8; PAGE];
        content[..bytes.len()].copy_from_slice(bytes);
        let (to, from) = (self.page as u64, content.as_ptr() as u64);
        self.control(UFFDIO_COPY, &mut [to, from, PAGE as u64, 0, 0])
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // SAFETY: The mapping is ours, whole, and not used any more.
        unsafe { libc::munmap(self.page.cast(), PAGE) };
    }
}

/// Memory whose content is there, but which nobody has looked at yet: there is no page table for it.
pub struct Untouched {
    length: usize,
    /// A whole page table's worth of addresses, of which nothing else uses any.
    reserved: *mut u8,
    text: *mut u8,
}

/// What one page table is for.
const TABLE: usize = 2 << 20;

impl Untouched {
    /// Memory that begins with a text, of a page at most.
    pub fn new(text: &[u8]) -> io::Result<Self> {
        assert!(text.len() <= PAGE);
        // A file's memory is there without having been mapped.
        // SAFETY: The name ends with a NUL; a descriptor that is not negative is new and ours.
        let file = unsafe {
            let fd = libc::memfd_create(c"untouched".as_ptr(), libc::MFD_CLOEXEC);
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            File::from(OwnedFd::from_raw_fd(fd))
        };
        file.set_len(PAGE as u64)?;
        std::os::unix::fs::FileExt::write_all_at(&file, text, 0)?;
        // SAFETY: A new mapping where the kernel finds room, and the file's page over a part of it.
        unsafe {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
            let reserved = libc::mmap(ptr::null_mut(), 2 * TABLE, libc::PROT_NONE, flags, -1, 0);
            if reserved == libc::MAP_FAILED {
                return Err(io::Error::last_os_error());
            }
            let aligned = reserved.byte_add(reserved.align_offset(TABLE));
            let new = Self {
                length: text.len(),
                reserved: reserved.cast(),
                text: aligned.cast(),
            };
            let flags = libc::MAP_SHARED | libc::MAP_FIXED;
            let mapped = libc::mmap(aligned, PAGE, libc::PROT_READ, flags, file.as_raw_fd(), 0);
            if mapped == libc::MAP_FAILED {
                return Err(io::Error::last_os_error());
            }
            Ok(new)
        }
    }

    /// Writes the text to a file. After that, the memory is like any other.
    pub fn write_to(&self, file: &File) -> io::Result<usize> {
        // SAFETY: The length is within the mapping, and the kernel alone reads it.
        let written = unsafe { libc::write(file.as_raw_fd(), self.text.cast(), self.length) };
        usize::try_from(written).map_err(|_| io::Error::last_os_error())
    }
}

impl Drop for Untouched {
    fn drop(&mut self) {
        // SAFETY: The mapping is ours, whole, and not used any more.
        unsafe { libc::munmap(self.reserved.cast(), 2 * TABLE) };
    }
}
