// SPDX-License-Identifier: GPL-2.0-only

//! `/proc/net/ipt_CLUSTERIP/<VIP>`: which nodes this machine answers for. Read as `1,3`, changed by
//! writing `+2` or `-2`; the change holds for the very next packet.

#![forbid(unsafe_code)]

use crate::abstractions::proc_file::File;
use crate::cluster::command;
use crate::cluster::command::Command;
use crate::cluster::command::ParseError;
use crate::cluster::node::NodeId;
use crate::vip::Vip;
use core::ffi::CStr;
use kernel::prelude::*;
use kernel::seq_file::seq_print;
use kernel::seq_file::SeqFile;
use kernel::uaccess::UserSliceReader;

/// The directory, in each namespace's `/proc/net`. Nothing but VIPs' files ever stands in it:
/// strongSwan opens and writes every name that it finds there.
pub(crate) const DIRECTORY: &CStr = c"ipt_CLUSTERIP";

/// The mode of the files.
pub(crate) const MODE: u16 = 0o600;

impl File for Vip {
    fn show(&self, out: &SeqFile) {
        let nodes = self.nodes.get();
        // An empty set reads as nothing at all, as scripts know it.
        if !nodes.is_empty() {
            seq_print!(out, "{}\n", core::format_args!("{nodes}"));
        }
    }

    fn write(&self, mut line: UserSliceReader) -> Result {
        let mut buffer = [0; command::MAX_LEN];
        let text = buffer.get_mut(..line.len()).ok_or(EIO)?;
        line.read_slice(text)?;
        match command::parse(text).map_err(errno)? {
            Command::Add(number) => {
                let node = self.node(number).ok_or(ENOMEM)?;
                self.nodes.add(node).then_some(()).ok_or(ENOMEM)
            }
            Command::Remove(number) => {
                let node = self.node(number).ok_or(ENOENT)?;
                self.nodes.remove(node).then_some(()).ok_or(ENOENT)
            }
        }
    }
}

impl Vip {
    /// The node of this number, if the cluster has it.
    fn node(&self, number: u32) -> Option<NodeId> {
        NodeId::new(number).filter(|node| self.params.total.contains(*node))
    }
}

fn errno(error: ParseError) -> Error {
    match error {
        ParseError::TooLong | ParseError::NoSign => EIO,
        ParseError::NotANumber => EINVAL,
        ParseError::TooBig => ERANGE,
    }
}
