// SPDX-License-Identifier: GPL-2.0-only

//! Revision 0, which every module has: 64 numbers, three modes.

use core::ffi::CStr;
use core::fmt;
use core::fmt::Write;

use super::help;
use super::mac;
use super::missing;
use super::mode;
use super::mode_name;
use super::Problem;
use super::DEV;
use super::LOCAL_NODE;
use super::LOCAL_NODES;
use super::LOCAL_NODE_SHORT;
use super::NO_MARK;
use super::VIP;
use crate::cluster::abi::Payload;
use crate::cluster::abi::TargetInfo;
use crate::cluster::abi::FLAG_NEW;
use crate::cluster::abi::NAME;
use crate::cluster::arp::Mac;
use crate::cluster::node::MAX_NODES_REVISION_0;
use crate::xtables::Given;
use crate::xtables::Opt;
use crate::xtables::Target;

/// The target CLUSTERIP, revision 0.
pub struct ClusterIp0;

/// Highest value of an option that counts nodes or numbers one.
const MAX: u16 = MAX_NODES_REVISION_0 as u16; // CAST: 64.

/// The options that are known only to be refused with a reason.
const NEWER: [&CStr; 4] = [VIP, DEV, LOCAL_NODES, NO_MARK];

impl Target for ClusterIp0 {
    const NAME: &'static CStr = NAME;
    const REVISION: u8 = TargetInfo::REVISION;
    // Behind what is exchanged stands a pointer of the kernel's own.
    const KERNEL_SIZE: usize = size_of::<TargetInfo>() + size_of::<u64>();
    type Payload = TargetInfo;
    type Problem<'a> = Problem<'a>;

    const OPTIONS: &'static [Opt<Self>] = &[
        Opt::flag(c"new", |info: &mut TargetInfo| info.flags |= FLAG_NEW),
        Opt::text(c"hashmode", set_mode),
        Opt::mac(c"clustermac", |info: &mut TargetInfo, address| {
            info.clustermac = mac(address)?;
            Ok(())
        }),
        Opt::u16(c"total-nodes", 1, MAX, |info: &mut TargetInfo, total| {
            info.num_total_nodes = total;
        }),
        Opt::u16(LOCAL_NODE, 0, MAX, |info: &mut TargetInfo, node| {
            info.num_local_nodes = 1;
            let [first, ..] = &mut info.local_nodes;
            *first = node;
        })
        .short(LOCAL_NODE_SHORT),
        Opt::u32(c"hash-init", |info: &mut TargetInfo, seed| {
            info.hash_initval = seed
        }),
        Opt::text(VIP, refused_later),
        Opt::text(DEV, refused_later),
        Opt::<Self>::text(LOCAL_NODES, refused_later).many(),
        Opt::flag(NO_MARK, |_| ()),
    ];

    const HELP: &'static str = help!();

    const UNTRANSLATED: &'static str = super::UNTRANSLATED;

    fn check(given: Given, info: &TargetInfo) -> Result<(), Problem<'static>> {
        if let Some(option) = NEWER.into_iter().find(|name| given.has::<Self>(name)) {
            return Err(Problem::NewerOption(option));
        }
        if given.is_empty() {
            return Ok(());
        }
        if missing(&given).next().is_some() {
            return Err(Problem::Missing(given));
        }
        let [node, ..] = info.local_nodes;
        let total = info.num_total_nodes;
        if node > total {
            return Err(Problem::LocalAboveTotal {
                option: LOCAL_NODE,
                node: node.into(),
                total,
            });
        }
        Ok(())
    }

    fn print(info: &TargetInfo, out: &mut dyn Write) -> fmt::Result {
        out.write_str(" CLUSTERIP")?;
        if !info.is_new() {
            return Ok(());
        }
        let [node, ..] = info.local_nodes;
        write!(
            out,
            " hashmode={} clustermac={} total_nodes={} local_node={node} hash_init={}",
            mode_of(info),
            Mac::new(info.clustermac),
            info.num_total_nodes,
            info.hash_initval,
        )
    }

    fn save(info: &TargetInfo, out: &mut dyn Write) -> fmt::Result {
        if !info.is_new() {
            return Ok(());
        }
        let [node, ..] = info.local_nodes;
        write!(
            out,
            " --new --hashmode {} --clustermac {} --total-nodes {} --local-node {node} --hash-init {}",
            mode_of(info),
            Mac::new(info.clustermac),
            info.num_total_nodes,
            info.hash_initval,
        )
    }
}

fn set_mode<'a>(info: &mut TargetInfo, name: &'a CStr) -> Result<(), Problem<'a>> {
    let mode = mode(name)?;
    if !mode.is_in_revision_0() {
        return Err(Problem::NewerMode(mode));
    }
    info.hash_mode = mode.to_abi();
    Ok(())
}

/// Which of them were given is seen in `check()`, whatever their words.
fn refused_later<'a>(_: &mut TargetInfo, _: &'a CStr) -> Result<(), Problem<'a>> {
    Ok(())
}

fn mode_of(info: &TargetInfo) -> &'static str {
    info.mode()
        .map_or("unknown-error", |mode| mode_name(mode.to_abi()))
}
