// SPDX-License-Identifier: GPL-2.0-only

//! `/proc/net/ipt_CLUSTERIP/<VIP>`: which nodes this machine answers for. Read as `1,3`, changed by
//! writing `+2`, `-2` or `=1-3`; the change holds for the very next packet, and wakes whoever polls the file.

#![forbid(unsafe_code)]

use crate::abstractions::net::pernet::PerNet;
use crate::abstractions::net::Net;
use crate::abstractions::proc_file::FileName;
use crate::abstractions::proc_file::Files;
use crate::abstractions::rcu::RcuArc;
use crate::cluster::command;
use crate::cluster::command::Command;
use crate::cluster::command::ParseError;
use crate::registry::Namespace;
use crate::vip::Vip;
use core::ffi::CStr;
use core::net::Ipv4Addr;
use kernel::prelude::*;
use kernel::seq_file::seq_print;
use kernel::seq_file::SeqFile;
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
        let (namespace, vip) = find(net, key)?;
        let nodes = {
            let _sets = namespace.sets.lock();
            vip.mine()
        };
        // An empty set reads as nothing at all, as scripts know it.
        if !nodes.is_empty() {
            seq_print!(out, "{}\n", core::format_args!("{nodes}"));
        }
        Ok(())
    }

    fn write(net: &Net, key: u32, line: UserSliceReader) -> Result {
        let command = read(line)?;
        let (namespace, vip) = find(net, key)?;
        let _sets = namespace.sets.lock();
        let (done, error) = match command {
            Command::Add(number) => (vip.turn(number, true), ENOMEM),
            Command::Remove(number) => (vip.turn(number, false), ENOENT),
            Command::Replace(nodes) => (vip.replace(&nodes), ERANGE),
        };
        done.then_some(()).ok_or(error)
    }

    fn generation(net: &Net, key: u32) -> Result<u32> {
        find(net, key).map(|(_, vip)| vip.generation())
    }
}

/// What a line asks for. One that is too long is refused before it is read, but for the one that may be long.
fn read(mut line: UserSliceReader) -> Result<Command> {
    let mut short = [0; command::MAX_LEN];
    if let Some(text) = short.get_mut(..line.len()) {
        line.read_slice(text)?;
        return command::parse(text).map_err(errno);
    }
    if line.len() > command::MAX_SET_LEN {
        return Err(EIO);
    }
    let mut text = KVec::new();
    // What can't be read is no set, and of anything else too much.
    line.read_all(&mut text, GFP_KERNEL_ACCOUNT)
        .map_err(|error| if error == EFAULT { EIO } else { error })?;
    command::parse(&text).map_err(errno)
}

/// The VIP of a file: `EIO` if it has just gone, as for a file that has.
fn find(net: &Net, key: u32) -> Result<(RcuArc<Namespace>, RcuArc<Vip>)> {
    let namespace = Namespace::slot().get(net).ok_or(EIO)?;
    let vip = namespace.vips.get(Ipv4Addr::from(key)).ok_or(EIO)?;
    Ok((namespace, vip))
}

fn errno(error: ParseError) -> Error {
    match error {
        ParseError::TooLong | ParseError::NoSign => EIO,
        ParseError::NotANumber | ParseError::NotASet => EINVAL,
        ParseError::TooBig | ParseError::NoSuchNode => ERANGE,
    }
}
