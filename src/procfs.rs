// SPDX-License-Identifier: GPL-2.0-only

//! `/proc/net/ipt_CLUSTERIP/<VIP>`: which nodes this machine answers for. Read as `1,3`, changed by
//! writing `+2` or `-2`; the change holds for the very next packet.

#![forbid(unsafe_code)]

use crate::abstractions::net::pernet::PerNet;
use crate::abstractions::net::Net;
use crate::abstractions::proc_file::FileName;
use crate::abstractions::proc_file::Files;
use crate::cluster::command;
use crate::cluster::command::Command;
use crate::cluster::command::ParseError;
use crate::cluster::node::NodeId;
use crate::registry::Namespace;
use crate::vip::Vip;
use core::ffi::CStr;
use core::net::Ipv4Addr;
use kernel::prelude::*;
use kernel::seq_file::seq_print;
use kernel::seq_file::SeqFile;
use kernel::sync::rcu;
use kernel::uaccess::UserSliceReader;

/// The directory, in each namespace's `/proc/net`. Nothing but VIPs' files ever stands in it:
/// strongSwan opens and writes every name that it finds there.
pub(crate) const DIRECTORY: &CStr = c"ipt_CLUSTERIP";

/// The mode of the files.
pub(crate) const MODE: u16 = 0o600;

/// The name of a VIP's file: its dotted quad.
///
/// Not by way of `fmt`, which costs as much as a thirtieth of all that a new VIP does.
pub(crate) fn name(vip: Ipv4Addr) -> FileName {
    let mut name = FileName::default();
    for (at, octet) in vip.octets().into_iter().enumerate() {
        if at > 0 {
            name.push(b'.');
        }
        if octet >= 100 {
            name.push(b'0'.wrapping_add(octet / 100));
        }
        if octet >= 10 {
            name.push(b'0'.wrapping_add(octet / 10 % 10));
        }
        name.push(b'0'.wrapping_add(octet % 10));
    }
    name
}

/// The files of VIPs. A file's key is its VIP.
pub(crate) struct VipFiles;

impl Files for VipFiles {
    fn show(net: &Net, key: u32, out: &SeqFile) -> Result {
        let nodes = with_vip(net, key, |vip| Ok(vip.nodes.get()))?;
        // An empty set reads as nothing at all, as scripts know it.
        if !nodes.is_empty() {
            seq_print!(out, "{}\n", core::format_args!("{nodes}"));
        }
        Ok(())
    }

    fn write(net: &Net, key: u32, mut line: UserSliceReader) -> Result {
        let mut buffer = [0; command::MAX_LEN];
        let text = buffer.get_mut(..line.len()).ok_or(EIO)?;
        line.read_slice(text)?;
        let command = command::parse(text).map_err(errno)?;
        with_vip(net, key, |vip| match command {
            Command::Add(number) => {
                let node = vip.node(number).ok_or(ENOMEM)?;
                vip.nodes.add(node).then_some(()).ok_or(ENOMEM)
            }
            Command::Remove(number) => {
                let node = vip.node(number).ok_or(ENOENT)?;
                vip.nodes.remove(node).then_some(()).ok_or(ENOENT)
            }
        })
    }
}

/// Does something with the VIP of a file: `EIO` if it has just gone, as for a file that has.
fn with_vip<T>(net: &Net, key: u32, action: impl FnOnce(&Vip) -> Result<T>) -> Result<T> {
    let namespace = Namespace::slot().get(net).ok_or(EIO)?;
    let guard = rcu::read_lock();
    let vip = namespace.vips.find(Ipv4Addr::from(key), &guard);
    action(vip.ok_or(EIO)?)
}

impl Vip {
    /// The node of this number, if the cluster has it.
    fn node(&self, number: u32) -> Option<NodeId> {
        NodeId::new(number).filter(|node| self.hash.params().total.contains(*node))
    }
}

fn errno(error: ParseError) -> Error {
    match error {
        ParseError::TooLong | ParseError::NoSign => EIO,
        ParseError::NotANumber => EINVAL,
        ParseError::TooBig => ERANGE,
    }
}
