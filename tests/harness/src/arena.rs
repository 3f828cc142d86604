// SPDX-License-Identifier: GPL-2.0-only

//! System calls as a 32-bit program makes them.

use std::io;
use std::os::fd::AsRawFd;
use std::os::fd::OwnedFd;
use std::ptr;

/// Memory below 4 GiB, and the system calls that a 32-bit program makes on it: by `int $0x80`, with the
/// numbers of 32-bit x86. The kernel then takes the caller for such a program.
pub struct Arena(*mut u8);

/// `socketcall(2)` and its calls (`linux/net.h`).
const SOCKETCALL: u32 = 102;
const SYS_SETSOCKOPT: u32 = 14;
const SYS_GETSOCKOPT: u32 = 15;

impl Arena {
    /// A call's arguments take the first 64 bytes.
    const START: usize = 64;
    pub const SIZE: usize = 1 << 20;

    pub fn new() -> io::Result<Self> {
        // SAFETY: A new mapping where the kernel finds room, below 2 GiB.
        let memory = unsafe {
            libc::mmap(
                ptr::null_mut(),
                Self::START + Self::SIZE,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_32BIT,
                -1,
                0,
            )
        };
        if memory == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Self(memory.cast()))
    }

    /// Where options are written to and read from, as a 32-bit program knows it.
    pub fn address(&self) -> u32 {
        self.0 as usize as u32 + Self::START as u32
    }

    pub fn set_option(&self, fd: &OwnedFd, level: u32, name: u32, value: &[u8]) -> io::Result<()> {
        self.put(value)?;
        let length = value.len() as u32;
        self.call(
            SYS_SETSOCKOPT,
            [fd.as_raw_fd() as u32, level, name, self.address(), length],
        )
    }

    /// Reads an option into `value`, which may be input too; it must fill it.
    pub fn get_option(
        &self,
        fd: &OwnedFd,
        level: u32,
        name: u32,
        value: &mut [u8],
    ) -> io::Result<()> {
        self.put(value)?;
        let length = self.0 as usize as u32 + 32;
        // SAFETY: Inside the mapping, aligned, and behind the call's five words.
        unsafe { self.0.add(32).cast::<u32>().write(value.len() as u32) };
        self.call(
            SYS_GETSOCKOPT,
            [fd.as_raw_fd() as u32, level, name, self.address(), length],
        )?;
        // SAFETY: `put` has checked that as many bytes are inside the mapping.
        unsafe {
            ptr::copy_nonoverlapping(self.0.add(Self::START), value.as_mut_ptr(), value.len())
        };
        Ok(())
    }

    fn put(&self, value: &[u8]) -> io::Result<()> {
        if value.len() > Self::SIZE {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        }
        // SAFETY: As many bytes are inside the mapping.
        unsafe { ptr::copy_nonoverlapping(value.as_ptr(), self.0.add(Self::START), value.len()) };
        Ok(())
    }

    /// `socketcall` with five words as arguments.
    fn call(&self, call: u32, words: [u32; 5]) -> io::Result<()> {
        let result: i32;
        // SAFETY: The words are written inside the mapping, whose address has 32 bits. The kernel reads
        // and writes memory that they name, which is the mapping's; it keeps all registers but `rax`
        // and those that are given as lost. `rbx` is not to be named, hence the exchange.
        unsafe {
            self.0.cast::<[u32; 5]>().write(words);
            std::arch::asm!(
                "xchg {call:r}, rbx",
                "int 0x80",
                "xchg {call:r}, rbx",
                call = inout(reg) u64::from(call) => _,
                inout("eax") SOCKETCALL => result,
                in("ecx") self.0 as usize as u32,
                out("r8") _,
                out("r9") _,
                out("r10") _,
                out("r11") _,
            );
        }
        if result < 0 {
            return Err(io::Error::from_raw_os_error(-result));
        }
        Ok(())
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        // SAFETY: The mapping is ours, whole, and not used any more.
        unsafe { libc::munmap(self.0.cast(), Self::START + Self::SIZE) };
    }
}
