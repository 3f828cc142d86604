// SPDX-License-Identifier: GPL-2.0-only

//! The hooks of a namespace, asked for by netlink rather than by a program. A kernel without
//! `nfnetlink_hook` has no answer: EINVAL.

use super::sys;
use std::io;
use std::os::fd::OwnedFd;

/// A family and one of its hooks, as `linux/netfilter.h` and `linux/netfilter_arp.h` number them.
pub const IPV4_PREROUTING: (u8, u32) = (2, 0);
pub const ARP_OUT: (u8, u32) = (3, 1);

/// `NFNL_SUBSYS_HOOK`, `NFNL_MSG_HOOK_GET`.
const GET: u16 = 12 << 8;
const HOOK_NUMBER: u16 = 1;
const HEADER: usize = 16;

/// Whether a module has a function at a hook of the calling thread's namespace.
pub fn has(module: &str, hook: (u8, u32)) -> io::Result<bool> {
    let socket = sys::socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_NETFILTER)?;
    sys::send(&socket, &request(hook))?;
    // An attribute's text ends with a NUL.
    let name = [b"\0", module.as_bytes(), b"\0"].concat();
    let mut found = false;
    while let Some(answer) = receive(&socket)? {
        found |= answer.windows(name.len()).any(|text| text == name);
    }
    Ok(found)
}

fn request((family, hook): (u8, u32)) -> Vec<u8> {
    let mut bytes = 28_u32.to_ne_bytes().to_vec();
    bytes.extend(GET.to_ne_bytes());
    bytes.extend(((libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16).to_ne_bytes());
    bytes.extend([0; 8]);
    bytes.extend([family, 0, 0, 0]);
    bytes.extend(8_u16.to_ne_bytes());
    bytes.extend(HOOK_NUMBER.to_ne_bytes());
    bytes.extend(hook.to_be_bytes());
    bytes
}

/// The next part of the answer; none after its end.
fn receive(socket: &OwnedFd) -> io::Result<Option<Vec<u8>>> {
    let mut buffer = vec![0; 1 << 16];
    let Some(length) = sys::receive(socket, &mut buffer)? else {
        return Ok(None);
    };
    buffer.truncate(length);
    let word = |at: usize| -> i32 {
        let bytes = buffer.get(at..at + 4).unwrap_or(&[0; 4]);
        i32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
    };
    if word(4) & 0xffff == libc::NLMSG_ERROR && word(HEADER) != 0 {
        return Err(io::Error::from_raw_os_error(-word(HEADER)));
    }
    Ok(Some(buffer))
}
