// SPDX-License-Identifier: GPL-2.0-only

//! nftables, as far as it would carry an xtables target: by netlink, with attributes of any content.

use harness::sys;
use std::io;
use std::os::fd::OwnedFd;

/// `NFNL_SUBSYS_NFTABLES`, `NFNL_SUBSYS_NFT_COMPAT`.
const NFTABLES: u16 = 10;
const COMPAT: u16 = 11;
const BATCH_BEGIN: u16 = 16;
const BATCH_END: u16 = 17;
const NEW_TABLE: u16 = 0;
const DELETE_TABLE: u16 = 2;
const NEW_CHAIN: u16 = 3;
const NEW_RULE: u16 = 6;
const IPV4: u8 = 2;

const REQUEST: u16 = libc::NLM_F_REQUEST as u16;
const ACK: u16 = REQUEST | libc::NLM_F_ACK as u16;
const CREATE: u16 = ACK | libc::NLM_F_CREATE as u16;

pub struct Nft {
    socket: OwnedFd,
}

impl Nft {
    pub fn new() -> io::Result<Self> {
        let socket = sys::socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_NETFILTER)?;
        Ok(Self { socket })
    }

    /// Whether a revision of a target is there, as iptables-nft asks.
    pub fn ask(&self, family: u8, target: &str, revision: u32) -> io::Result<()> {
        let content = [
            text(1, target),
            attribute(2, &revision.to_be_bytes()),
            attribute(3, &1_u32.to_be_bytes()),
        ]
        .concat();
        let bytes = message(COMPAT << 8, ACK, family, 0, &content);
        sys::send(&self.socket, &bytes)?;
        self.answer()
    }

    /// A table with a chain at a hook and one rule, all at once or not at all. What became of it; if
    /// it was taken it is taken back.
    pub fn add_rule(&self, hook: u32, target: &str, revision: u32, info: &[u8]) -> io::Result<()> {
        let table = text(1, "boundary");
        let hook = [
            attribute(1, &hook.to_be_bytes()),
            attribute(2, &0_u32.to_be_bytes()),
        ]
        .concat();
        let chain = [
            text(1, "boundary"),
            text(3, "chain"),
            attribute(4 | NESTED, &hook),
            text(7, "filter"),
        ]
        .concat();
        let target = [
            text(1, target),
            attribute(2, &revision.to_be_bytes()),
            attribute(3, info),
        ]
        .concat();
        let expression = [text(1, "target"), attribute(2 | NESTED, &target)].concat();
        let list = attribute(1 | NESTED, &expression);
        let rule = [
            text(1, "boundary"),
            text(2, "chain"),
            attribute(4 | NESTED, &list),
        ]
        .concat();
        let result = self.batch(&[
            (NEW_TABLE, CREATE, table.clone()),
            (NEW_CHAIN, CREATE, chain),
            (NEW_RULE, CREATE | libc::NLM_F_APPEND as u16, rule),
        ]);
        if result.is_ok() {
            self.batch(&[(DELETE_TABLE, ACK, table)])?;
        }
        result
    }

    fn batch(&self, messages: &[(u16, u16, Vec<u8>)]) -> io::Result<()> {
        let mut bytes = message(BATCH_BEGIN, REQUEST, 0, NFTABLES, &[]);
        for (kind, flags, content) in messages {
            bytes.extend(message((NFTABLES << 8) | kind, *flags, IPV4, 0, content));
        }
        bytes.extend(message(BATCH_END, REQUEST, 0, NFTABLES, &[]));
        sys::send(&self.socket, &bytes)?;
        self.answer()
    }

    /// The first error among all answers that are there.
    fn answer(&self) -> io::Result<()> {
        let mut result = Ok(());
        let mut buffer = vec![0; 1 << 16];
        while let Some(length) = sys::receive(&self.socket, &mut buffer)? {
            let mut rest = &buffer[..length];
            while rest.len() >= 20 {
                let word = |at: usize| {
                    i32::from_ne_bytes([rest[at], rest[at + 1], rest[at + 2], rest[at + 3]])
                };
                let kind = word(4) & 0xffff;
                if kind == libc::NLMSG_ERROR && word(16) != 0 && result.is_ok() {
                    result = Err(io::Error::from_raw_os_error(-word(16)));
                }
                let next = (word(0) as usize).next_multiple_of(4).clamp(16, rest.len());
                rest = &rest[next..];
            }
        }
        result
    }
}

const NESTED: u16 = libc::NLA_F_NESTED as u16;

pub fn attribute(kind: u16, content: &[u8]) -> Vec<u8> {
    let mut bytes = (4 + content.len() as u16).to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(content);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

pub fn text(kind: u16, text: &str) -> Vec<u8> {
    attribute(kind, &[text.as_bytes(), b"\0"].concat())
}

/// A message of nfnetlink.
fn message(kind: u16, flags: u16, family: u8, resource: u16, content: &[u8]) -> Vec<u8> {
    let [high, low] = resource.to_be_bytes();
    plain(kind, flags, &[&[family, 0, high, low], content].concat())
}

/// A message of netlink.
pub fn plain(kind: u16, flags: u16, content: &[u8]) -> Vec<u8> {
    let mut bytes = (16 + content.len() as u32).to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend([0; 8]);
    bytes.extend(content);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}
