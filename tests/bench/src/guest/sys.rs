// SPDX-License-Identifier: GPL-2.0-only

//! Many frames in one system call: the only `unsafe` of this program.

use std::io;
use std::mem::zeroed;
use std::os::fd::AsRawFd;
use std::os::fd::OwnedFd;

/// Frames that go together, made ready once: what is timed is sending them, not preparing that.
pub struct Burst {
    messages: Vec<libc::mmsghdr>,
    // What the messages point to, and what that points to; neither moves.
    _parts: Vec<libc::iovec>,
    _frames: Vec<Vec<u8>>,
}

impl Burst {
    pub fn new(mut frames: Vec<Vec<u8>>) -> Self {
        let mut parts: Vec<libc::iovec> = frames
            .iter_mut()
            .map(|frame| libc::iovec {
                iov_base: frame.as_mut_ptr().cast(),
                iov_len: frame.len(),
            })
            .collect();
        let messages = parts
            .iter_mut()
            .map(|part| {
                // SAFETY: Zeros are a valid, empty message.
                let mut message: libc::mmsghdr = unsafe { zeroed() };
                message.msg_hdr.msg_iov = part;
                message.msg_hdr.msg_iovlen = 1;
                message
            })
            .collect();
        Self {
            messages,
            _parts: parts,
            _frames: frames,
        }
    }

    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// Sends so many of them, from a place in their list, by a packet socket that is tied to a device.
    pub fn send(&mut self, socket: &OwnedFd, from: usize, count: usize) -> io::Result<()> {
        let messages = &mut self.messages[from..from + count];
        // SAFETY: The messages and all that they point to are this value's, and their lengths are
        // as they say.
        let sent = unsafe {
            libc::sendmmsg(
                socket.as_raw_fd(),
                messages.as_mut_ptr(),
                messages.len() as u32,
                0,
            )
        };
        match usize::try_from(sent) {
            Ok(sent) if sent == count => Ok(()),
            Ok(_) => Err(io::Error::other("not all frames were sent")),
            Err(_) => Err(io::Error::last_os_error()),
        }
    }
}
