// SPDX-License-Identifier: GPL-2.0-only

//! The few system calls that no safe crate in use here has; the only `unsafe` of this program.

use super::count;
use std::cell::Cell;
use std::fs::File;
use std::io;
use std::mem::size_of;
use std::mem::size_of_val;
use std::mem::zeroed;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::os::fd::FromRawFd;
use std::os::fd::OwnedFd;
use std::ptr;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

/// A socket of the calling thread's namespace.
pub fn socket(family: i32, kind: i32, protocol: i32) -> io::Result<OwnedFd> {
    // SAFETY: No pointers; a descriptor that is not negative is new and ours.
    unsafe {
        let fd = check(libc::socket(family, kind | libc::SOCK_CLOEXEC, protocol))?;
        Ok(OwnedFd::from_raw_fd(fd))
    }
}

/// The number of a device of the calling thread's namespace.
pub fn device_number(name: &str) -> io::Result<i32> {
    let name = std::ffi::CString::new(name)?;
    // SAFETY: `name` ends with a zero and lives through the call.
    match unsafe { libc::if_nametoindex(name.as_ptr()) } {
        0 => Err(io::Error::last_os_error()),
        number => Ok(number as i32),
    }
}

/// Ties a packet socket to a device; protocol 0 hears nothing.
pub fn bind_packet(fd: &OwnedFd, device: i32, protocol: u16) -> io::Result<()> {
    // SAFETY: Zeros are a valid address, and the length is that of the address.
    unsafe {
        let mut address: libc::sockaddr_ll = zeroed();
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = protocol.to_be();
        address.sll_ifindex = device;
        let length = size_of::<libc::sockaddr_ll>() as u32;
        check(libc::bind(
            fd.as_raw_fd(),
            ptr::from_ref(&address).cast(),
            length,
        ))?;
    }
    Ok(())
}

/// Whether the device that a packet socket is tied to has come up, with its carrier; what waits
/// for it to be told of that is over when this says so.
pub fn carries(fd: &OwnedFd) -> io::Result<bool> {
    // SAFETY: Zeros are a valid address and a valid request; each call gets the one that it is for,
    // and the length is that of the address.
    unsafe {
        let mut address: libc::sockaddr_ll = zeroed();
        let mut length = size_of::<libc::sockaddr_ll>() as u32;
        check(libc::getsockname(
            fd.as_raw_fd(),
            ptr::from_mut(&mut address).cast(),
            &mut length,
        ))?;
        let mut request: libc::ifreq = zeroed();
        request.ifr_ifru.ifru_ifindex = address.sll_ifindex;
        check(libc::ioctl(fd.as_raw_fd(), libc::SIOCGIFNAME, &mut request))?;
        check(libc::ioctl(
            fd.as_raw_fd(),
            libc::SIOCGIFFLAGS,
            &mut request,
        ))?;
        if i32::from(request.ifr_ifru.ifru_flags) & libc::IFF_RUNNING == 0 {
            return Ok(false);
        }
        // The flag is there a moment before the queues are. To set what is set changes nothing, but
        // waits for the lock that is held for both.
        check(libc::ioctl(
            fd.as_raw_fd(),
            libc::SIOCSIFFLAGS,
            &mut request,
        ))?;
    }
    Ok(true)
}

/// A device of Ethernet with no wire; it is there for as long as this.
pub fn tap(name: &str) -> io::Result<OwnedFd> {
    const IFF_TAP: i16 = 2;
    let fd = OwnedFd::from(
        File::options()
            .read(true)
            .write(true)
            .open("/dev/net/tun")?,
    );
    // SAFETY: Zeros are a valid request; the name is shorter than its place, or cut.
    unsafe {
        let mut request: libc::ifreq = zeroed();
        for (to, from) in request.ifr_name[..15].iter_mut().zip(name.bytes()) {
            *to = from as libc::c_char;
        }
        request.ifr_ifru.ifru_flags = IFF_TAP;
        check(libc::ioctl(fd.as_raw_fd(), libc::TUNSETIFF, &mut request))?;
    }
    Ok(fd)
}

/// Makes a [`tap`] that is down a device of another type (`ARPHRD_…`).
pub fn retype(tap: &OwnedFd, kind: u16) -> io::Result<()> {
    // SAFETY: The request takes a number.
    unsafe {
        check(libc::ioctl(
            tap.as_raw_fd(),
            libc::TUNSETLINK,
            libc::c_ulong::from(kind),
        ))
    }
    .map(drop)
}

pub fn set_option(fd: &OwnedFd, level: i32, name: i32, value: &[u8]) -> io::Result<()> {
    // SAFETY: The pointer and length are those of a slice that lives through the call.
    unsafe {
        check(libc::setsockopt(
            fd.as_raw_fd(),
            level,
            name,
            value.as_ptr().cast(),
            value.len() as u32,
        ))?;
    }
    Ok(())
}

/// Reads an option into `value`, which may be input too.
pub fn get_option(fd: &OwnedFd, level: i32, name: i32, value: &mut [u8]) -> io::Result<usize> {
    let mut length = value.len() as u32;
    // SAFETY: The pointer and length are those of a slice that lives through the call.
    unsafe {
        check(libc::getsockopt(
            fd.as_raw_fd(),
            level,
            name,
            value.as_mut_ptr().cast(),
            &mut length,
        ))?;
    }
    Ok(length as usize)
}

pub fn send(fd: &OwnedFd, bytes: &[u8]) -> io::Result<()> {
    count::add(&count::PACKETS, 1);
    // SAFETY: The pointer and length are those of a slice that lives through the call.
    let sent = unsafe { libc::send(fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), 0) };
    if sent == bytes.len() as isize {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Sends a whole IPv4 packet by a raw socket (`IPPROTO_RAW`) to where it says it goes.
pub fn send_packet(fd: &OwnedFd, packet: &[u8], destination: Ipv4Addr) -> io::Result<()> {
    count::add(&count::PACKETS, 1);
    // SAFETY: Zeros are a valid address; pointers and lengths are those of values that live through
    // the call.
    let sent = unsafe {
        let mut address: libc::sockaddr_in = zeroed();
        address.sin_family = libc::AF_INET as u16;
        address.sin_addr.s_addr = u32::from_ne_bytes(destination.octets());
        libc::sendto(
            fd.as_raw_fd(),
            packet.as_ptr().cast(),
            packet.len(),
            0,
            ptr::from_ref(&address).cast(),
            size_of::<libc::sockaddr_in>() as u32,
        )
    };
    if sent == packet.len() as isize {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// The next datagram, if one is there now.
pub fn receive(fd: &OwnedFd, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    // SAFETY: The pointer and length are those of a slice that lives through the call.
    let length = unsafe {
        libc::recv(
            fd.as_raw_fd(),
            buffer.as_mut_ptr().cast(),
            buffer.len(),
            libc::MSG_DONTWAIT,
        )
    };
    if length >= 0 {
        return Ok(Some(length as usize));
    }
    match io::Error::last_os_error() {
        error if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        error => Err(error),
    }
}

/// Has [`receive_marked`] told the marks of packets.
pub fn want_marks(fd: &OwnedFd) -> io::Result<()> {
    // SO_RCVMARK, since Linux 5.19.
    set_option(fd, libc::SOL_SOCKET, 75, &1_i32.to_ne_bytes())
}

/// The next datagram, if one is there now, and the mark that its packet had in the end.
pub fn receive_marked(fd: &OwnedFd, buffer: &mut [u8]) -> io::Result<Option<(usize, u32)>> {
    let mut control = [0_u64; 16];
    let mut part = libc::iovec {
        iov_base: buffer.as_mut_ptr().cast(),
        iov_len: buffer.len(),
    };
    // SAFETY: Zeros are a valid, empty message.
    let mut message: libc::msghdr = unsafe { zeroed() };
    message.msg_iov = &mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = size_of_val(&control);
    // SAFETY: The message's pointers and lengths are those of arrays that live through the call.
    let length = unsafe { libc::recvmsg(fd.as_raw_fd(), &mut message, libc::MSG_DONTWAIT) };
    if length < 0 {
        return match io::Error::last_os_error() {
            error if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            error => Err(error),
        };
    }
    let mut mark = 0;
    // SAFETY: The kernel filled the control messages and set their length; each header that the
    // macros give is inside of them, and a mark is four bytes of whatever alignment.
    unsafe {
        let mut next = libc::CMSG_FIRSTHDR(&message);
        while let Some(header) = next.as_ref() {
            if header.cmsg_level == libc::SOL_SOCKET && header.cmsg_type == libc::SO_MARK {
                mark = libc::CMSG_DATA(header).cast::<u32>().read_unaligned();
            }
            next = libc::CMSG_NXTHDR(&message, header);
        }
    }
    Ok(Some((length as usize, mark)))
}

/// Writes bytes that this process cannot read itself.
pub fn write_unreadable(fd: &std::fs::File, length: usize) -> io::Result<usize> {
    // SAFETY: The kernel refuses the address; nothing of ours is there.
    let written = unsafe { libc::write(fd.as_raw_fd(), ptr::without_provenance(8), length) };
    if written < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(written as usize)
    }
}

/// Keeps the calling thread on one processor, so that what it sends is handled in order; or frees
/// it again.
pub fn stay_on_processor(processor: Option<usize>) -> io::Result<()> {
    // SAFETY: Zeros are a valid, empty set, and the size is that of the set.
    unsafe {
        let mut set: libc::cpu_set_t = zeroed();
        match processor {
            Some(number) => libc::CPU_SET(number, &mut set),
            None => (0..64).for_each(|number| libc::CPU_SET(number, &mut set)),
        }
        check(libc::sched_setaffinity(0, size_of_val(&set), &set))?;
    }
    Ok(())
}

/// Lets the calling thread run before all ordinary ones of its processor, as long as it wants to
/// (`SCHED_FIFO`). The kernel gives those some time all the same, unless its settings say otherwise.
pub fn run_before_others() -> io::Result<()> {
    let priority = libc::sched_param { sched_priority: 1 };
    // SAFETY: The struct lives through the call; 0 is the calling thread.
    check(unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &priority) }).map(drop)
}

/// Unloads a module; an error when somebody uses it.
pub fn delete_module(name: &str) -> io::Result<()> {
    let name = std::ffi::CString::new(name)?;
    // SAFETY: `name` ends with a zero and lives through the call.
    let result = unsafe { libc::syscall(libc::SYS_delete_module, name.as_ptr(), libc::O_NONBLOCK) };
    check(result as i32).map(drop)
}

/// `struct tpacket_req`.
const RING_BLOCK: u32 = 4096;
const RING_BLOCKS: u32 = 64;
const RING_SLOT: u32 = 2048;
const RING_SLOTS: u32 = RING_BLOCK * RING_BLOCKS / RING_SLOT;
/// `TPACKET_ALIGN(sizeof(struct tpacket_hdr))`: where a slot's frame starts.
const RING_DATA: usize = 32;
const SEND_REQUEST: u64 = 1;

/// A packet socket's ring of frames to send (`PACKET_TX_RING`): the kernel takes each frame's pages
/// as they are, so that only the Ethernet header is linear in the packet.
pub struct TxRing {
    socket: OwnedFd,
    ring: *mut u8,
    /// Where the kernel looks next.
    next: Cell<usize>,
}

impl TxRing {
    pub fn new(socket: OwnedFd) -> io::Result<Self> {
        let request: Vec<u8> = [RING_BLOCK, RING_BLOCKS, RING_SLOT, RING_SLOTS]
            .iter()
            .flat_map(|word| word.to_ne_bytes())
            .collect();
        set_option(&socket, libc::SOL_PACKET, libc::PACKET_TX_RING, &request)?;
        // SAFETY: A new mapping where the kernel finds room.
        let ring = unsafe {
            libc::mmap(
                ptr::null_mut(),
                (RING_BLOCK * RING_BLOCKS) as usize,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                socket.as_raw_fd(),
                0,
            )
        };
        if ring == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let ring = ring.cast();
        Ok(Self {
            socket,
            ring,
            next: Cell::new(0),
        })
    }

    /// How many frames can be under way: their pages are in use until the last reader is done.
    pub const SLOTS: usize = RING_SLOTS as usize;

    /// Sends frames, at most [`SLOTS`](Self::SLOTS), none of them longer than 2000 bytes.
    pub fn send(&self, frames: &[Vec<u8>]) -> io::Result<()> {
        if frames.len() > Self::SLOTS || frames.iter().any(|frame| frame.len() > 2000) {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        }
        count::add(&count::PACKETS, frames.len());
        let first = self.next.get();
        let slots = (first..first + frames.len()).map(|slot| slot % Self::SLOTS);
        for (number, frame) in slots.clone().zip(frames) {
            // SAFETY: The slot is inside the mapping, and frame and header fit in it.
            unsafe {
                let slot = self.ring.add(number * RING_SLOT as usize);
                ptr::copy_nonoverlapping(frame.as_ptr(), slot.add(RING_DATA), frame.len());
                slot.add(8).cast::<u32>().write(frame.len() as u32);
            }
            self.status(number).store(SEND_REQUEST, Ordering::Release);
        }
        // The kernel goes round its ring from where it stopped last.
        self.next.set((first + frames.len()) % Self::SLOTS);
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
        while slots
            .clone()
            .any(|number| self.status(number).load(Ordering::Acquire) != 0)
        {
            // SAFETY: Nothing is passed but the descriptor.
            check(unsafe { libc::send(self.socket.as_raw_fd(), ptr::null(), 0, 0) } as i32)?;
            if std::time::Instant::now() > deadline {
                return Err(io::Error::from(io::ErrorKind::TimedOut));
            }
        }
        Ok(())
    }

    fn status(&self, number: usize) -> &AtomicU64 {
        // SAFETY: The slot is inside the mapping, aligned, and shared with the kernel alone.
        unsafe {
            &*self
                .ring
                .add(number * RING_SLOT as usize)
                .cast::<AtomicU64>()
        }
    }
}

impl Drop for TxRing {
    fn drop(&mut self) {
        // SAFETY: The mapping is ours, whole, and not used any more.
        unsafe { libc::munmap(self.ring.cast(), (RING_BLOCK * RING_BLOCKS) as usize) };
    }
}

/// Waits for a grace period of RCU (`membarrier(2)`, the global command).
pub fn wait_for_grace_period() -> io::Result<()> {
    const MEMBARRIER_CMD_GLOBAL: libc::c_int = 1;
    // SAFETY: No pointers are passed.
    let result = unsafe { libc::syscall(libc::SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) };
    check(result as i32).map(drop)
}
