// SPDX-License-Identifier: GPL-2.0-only

//! System calls with arguments that no library would let through; with `kcov.rs` the only `unsafe` of
//! this program.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::fd::FromRawFd;
use std::os::fd::OwnedFd;
use std::ptr;

/// Memory for the kernel to read and write; the page behind it cannot be touched.
pub struct Scratch {
    start: *mut u8,
}

/// An argument of a system call.
#[derive(Clone, Copy, Debug)]
pub enum Arg {
    Number(u64),
    /// So many bytes before the memory's end; at least one.
    BeforeEnd(usize),
    /// The page that cannot be touched.
    Forbidden,
    /// An address that is nobody's, or the kernel's.
    Nowhere(Nowhere),
}

#[derive(Clone, Copy, Debug)]
pub enum Nowhere {
    Null,
    Low,
    Kernel,
    Top,
}

/// The calls that [`Scratch::call`] makes; none of them maps memory or changes this process.
#[derive(Clone, Copy, Debug)]
pub enum Call {
    Read,
    Write,
    ReadAt,
    WriteAt,
    ReadParts,
    WriteParts,
    WriteParts2,
    Seek,
    Control,
    Truncate,
    Allocate,
    Splice,
    SendFile,
    CopyRange,
    List,
    SetOption,
    GetOption,
}

impl Call {
    fn number(self) -> i64 {
        match self {
            Self::Read => libc::SYS_read,
            Self::Write => libc::SYS_write,
            Self::ReadAt => libc::SYS_pread64,
            Self::WriteAt => libc::SYS_pwrite64,
            Self::ReadParts => libc::SYS_readv,
            Self::WriteParts => libc::SYS_writev,
            Self::WriteParts2 => libc::SYS_pwritev2,
            Self::Seek => libc::SYS_lseek,
            Self::Control => libc::SYS_ioctl,
            Self::Truncate => libc::SYS_ftruncate,
            Self::Allocate => libc::SYS_fallocate,
            Self::Splice => libc::SYS_splice,
            Self::SendFile => libc::SYS_sendfile,
            Self::CopyRange => libc::SYS_copy_file_range,
            Self::List => libc::SYS_getdents64,
            Self::SetOption => libc::SYS_setsockopt,
            Self::GetOption => libc::SYS_getsockopt,
        }
    }
}

const PAGE: usize = 4096;

impl Scratch {
    pub const LENGTH: usize = 256 * PAGE;

    pub fn new() -> io::Result<Self> {
        // SAFETY: A new mapping where the kernel finds room; its last page is closed.
        unsafe {
            let start = libc::mmap(
                ptr::null_mut(),
                Self::LENGTH + PAGE,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            );
            if start == libc::MAP_FAILED {
                return Err(io::Error::last_os_error());
            }
            let start: *mut u8 = start.cast();
            if libc::mprotect(start.add(Self::LENGTH).cast(), PAGE, libc::PROT_NONE) != 0 {
                return Err(io::Error::last_os_error());
            }
            Ok(Self { start })
        }
    }

    /// Puts bytes right before the end; where they are.
    pub fn put(&mut self, bytes: &[u8]) -> Arg {
        let length = bytes.len().clamp(1, Self::LENGTH);
        let bytes = &bytes[..length.min(bytes.len())];
        // SAFETY: In bounds: no longer than the memory, and at its end.
        unsafe {
            let to = self.start.add(Self::LENGTH - length);
            ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len());
        }
        Arg::BeforeEnd(length)
    }

    /// The last so many bytes.
    pub fn last(&self, length: usize) -> Vec<u8> {
        let length = length.min(Self::LENGTH);
        // SAFETY: In bounds, and any byte is initialised: the kernel gave zeroed pages.
        unsafe { std::slice::from_raw_parts(self.start.add(Self::LENGTH - length), length) }
            .to_vec()
    }

    /// The address of an argument, for structs that hold addresses.
    pub fn address(&self, arg: Arg) -> u64 {
        match arg {
            Arg::Number(number) => number,
            Arg::BeforeEnd(length) => {
                self.start as u64 + (Self::LENGTH - length.clamp(1, Self::LENGTH)) as u64
            }
            Arg::Forbidden => self.start as u64 + Self::LENGTH as u64,
            Arg::Nowhere(Nowhere::Null) => 0,
            Arg::Nowhere(Nowhere::Low) => 8,
            Arg::Nowhere(Nowhere::Kernel) => 0xffff_8880_0000_1000,
            Arg::Nowhere(Nowhere::Top) => u64::MAX - 7,
        }
    }

    /// Makes a call on a descriptor; what it returned. A number must not be the address of anything.
    pub fn call(&mut self, call: Call, fd: i32, args: &[Arg]) -> io::Result<usize> {
        let mut words = [0; 5];
        for (word, arg) in words.iter_mut().zip(args) {
            *word = self.address(*arg);
        }
        let [a, b, c, d, e] = words;
        // SAFETY: Wherever the kernel is told to read or write, it meets the scratch memory up to its
        // end, or nothing.
        let result = unsafe { libc::syscall(call.number(), fd, a, b, c, d, e) };
        if result < 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(result as usize)
        }
    }
}

/// Whether a file can be mapped; the mapping is gone at once.
pub fn map(fd: &impl AsRawFd, offset: u32) -> io::Result<()> {
    // SAFETY: A new mapping where the kernel finds room; it is not touched.
    unsafe {
        let flags = libc::MAP_SHARED;
        let at = libc::mmap(
            ptr::null_mut(),
            PAGE,
            libc::PROT_READ | libc::PROT_WRITE,
            flags,
            fd.as_raw_fd(),
            i64::from(offset),
        );
        if at == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        libc::munmap(at, PAGE);
    }
    Ok(())
}

/// What a file is ready for, without waiting.
pub fn poll(fd: &impl AsRawFd, events: i16) -> io::Result<i16> {
    let mut poll = libc::pollfd {
        fd: fd.as_raw_fd(),
        events,
        revents: 0,
    };
    // SAFETY: One struct, which lives through the call.
    match unsafe { libc::poll(&mut poll, 1, 0) } {
        0.. => Ok(poll.revents),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Both ends of a new pipe that nobody waits at.
pub fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [0; 2];
    // SAFETY: Two numbers, which live through the call; both are new descriptors and ours.
    unsafe {
        if libc::pipe2(ends.as_mut_ptr(), libc::O_NONBLOCK | libc::O_CLOEXEC) != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok((OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])))
    }
}

const TUNSETIFF: u64 = 0x4004_54ca;
const IFF_TAP: u16 = 0x0002;
const IFF_NO_PI: u16 = 0x1000;
const IFF_VNET_HDR: u16 = 0x4000;

/// A new Ethernet device of the calling thread's namespace: what is written comes to it as if by
/// cable. Goes when it is closed. Each frame has a `struct virtio_net_hdr` before it, ten bytes.
pub fn tap(name: &str) -> io::Result<File> {
    let tap = File::options()
        .read(true)
        .write(true)
        .open("/dev/net/tun")?;
    let mut request = [0_u8; 40];
    request[..name.len()].copy_from_slice(name.as_bytes());
    let flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
    request[16..18].copy_from_slice(&flags.to_ne_bytes());
    // SAFETY: `struct ifreq`, 40 bytes, lives through the calls; the second has no pointer.
    unsafe {
        if libc::ioctl(tap.as_raw_fd(), TUNSETIFF, request.as_mut_ptr()) != 0
            || libc::fcntl(tap.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) != 0
        {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(tap)
}

const SIOCGIFNAME: u64 = 0x8910;

/// The own name of a device of a socket's namespace, whatever alternative ones it has.
pub fn device_name(socket: &OwnedFd, number: i32) -> io::Result<String> {
    let mut request = [0_u8; 40];
    request[16..20].copy_from_slice(&number.to_ne_bytes());
    // SAFETY: `struct ifreq`, 40 bytes, lives through the call.
    if unsafe { libc::ioctl(socket.as_raw_fd(), SIOCGIFNAME, request.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let name = request[..16].split(|byte| *byte == 0).next().unwrap_or(&[]);
    Ok(String::from_utf8_lossy(name).into_owned())
}

/// Lets a process that changed its user open its own files in `/proc`.
pub fn be_dumpable() -> io::Result<()> {
    // SAFETY: No pointers.
    if unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 1, 0, 0, 0) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Becomes another user and group, with no other groups, for good.
pub fn become_user(id: u32) -> io::Result<()> {
    // SAFETY: No groups are read, for there are none.
    let done = unsafe {
        libc::setgroups(0, ptr::null()) == 0 && libc::setgid(id) == 0 && libc::setuid(id) == 0
    };
    if !done {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Lets whoever writes wait when the pipe is full.
pub fn set_blocking(fd: &OwnedFd) {
    // SAFETY: No pointers.
    unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, 0) };
}

/// Ends a process that was forked off, and nothing that it has from its parent.
pub fn leave() -> ! {
    // SAFETY: What is buffered was written; the parent's values are the parent's to drop.
    unsafe { libc::_exit(0) }
}
