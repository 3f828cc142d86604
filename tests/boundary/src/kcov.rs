// SPDX-License-Identifier: GPL-2.0-only

//! Which places in the module's code a call came through, where the kernel can say so (KCOV, by
//! `linux/kcov.h`): on the debug kernel, for this process' own calls.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::ptr;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

const PATH: &str = "/sys/kernel/debug/kcov";
const INIT_TRACE: u64 = 0x8008_6301;
const ENABLE: u64 = 0x6364;
const DISABLE: u64 = 0x6365;
const TRACE_PC: u64 = 0;
const WORDS: usize = 64 << 10;

pub struct Kcov {
    file: File,
    /// How many places follow, and the places.
    words: *mut AtomicU64,
}

/// Whether this kernel counts places.
pub fn available() -> bool {
    std::path::Path::new(PATH).exists()
}

impl Kcov {
    pub fn new() -> io::Result<Self> {
        let file = File::options().read(true).write(true).open(PATH)?;
        // SAFETY: The request has a number; the mapping is new and as long as was asked for.
        unsafe {
            if libc::ioctl(file.as_raw_fd(), INIT_TRACE, WORDS) != 0 {
                return Err(io::Error::last_os_error());
            }
            let words = libc::mmap(
                ptr::null_mut(),
                WORDS * 8,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                0,
            );
            if words == libc::MAP_FAILED {
                return Err(io::Error::last_os_error());
            }
            Ok(Self {
                file,
                words: words.cast(),
            })
        }
    }

    /// What a closure returns, and the places that its calls came through, each as often as it did.
    pub fn trace<T>(&self, inside: impl FnOnce() -> T) -> io::Result<(T, Vec<u64>)> {
        self.word(0).store(0, Ordering::Relaxed);
        self.switch(ENABLE)?;
        self.word(0).store(0, Ordering::Relaxed);
        let answer = inside();
        let count = self.word(0).load(Ordering::Relaxed) as usize;
        self.switch(DISABLE)?;
        let places = (1..=count.min(WORDS - 1))
            .map(|number| self.word(number).load(Ordering::Relaxed))
            .collect();
        Ok((answer, places))
    }

    fn switch(&self, request: u64) -> io::Result<()> {
        // SAFETY: The request has a number.
        if unsafe { libc::ioctl(self.file.as_raw_fd(), request, TRACE_PC) } != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }

    fn word(&self, number: usize) -> &AtomicU64 {
        assert!(number < WORDS);
        // SAFETY: In bounds, aligned, and shared with the kernel alone.
        unsafe { &*self.words.add(number) }
    }
}

impl Drop for Kcov {
    fn drop(&mut self) {
        // SAFETY: The mapping is ours, whole, and not used any more.
        unsafe { libc::munmap(self.words.cast(), WORDS * 8) };
    }
}
