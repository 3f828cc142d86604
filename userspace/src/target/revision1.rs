// SPDX-License-Identifier: GPL-2.0-only

//! Revision 1: a rule that says its VIP and device itself, 1,024 numbers, sets of them, six modes.
//!
//! Only rules that need it are of revision 1; see [`Newer`].

use core::ffi::CStr;
use core::fmt;
use core::fmt::Write;
use core::net::Ipv4Addr;

use super::help;
use super::mac;
use super::missing;
use super::mode;
use super::mode_name;
use super::ClusterIp0;
use super::Problem;
use super::DEV;
use super::LOCAL_NODE;
use super::LOCAL_NODES;
use super::LOCAL_NODE_SHORT;
use super::NO_MARK;
use super::VIP;
use crate::cluster::abi::Payload;
use crate::cluster::abi::TargetInfo;
use crate::cluster::abi::TargetInfo1;
use crate::cluster::abi::DEVICE_LEN;
use crate::cluster::abi::FLAG_NEW;
use crate::cluster::abi::FLAG_NO_MARK;
use crate::cluster::abi::MAX_LOCAL_NODES;
use crate::cluster::abi::NAME;
use crate::cluster::arp::Mac;
use crate::cluster::hash::Mode;
use crate::cluster::node::NodeId;
use crate::cluster::node::NodeSet;
use crate::cluster::node::Ranges;
use crate::cluster::node::MAX_NODES;
use crate::cluster::node::MAX_NODES_REVISION_0;
use crate::xtables::Given;
use crate::xtables::Newer;
use crate::xtables::Opt;
use crate::xtables::Target;

/// The target CLUSTERIP, revision 1.
pub struct ClusterIp1;

/// Highest value of an option that counts nodes or numbers one.
const MAX: u16 = MAX_NODES as u16; // CAST: 1024.

/// What a later rule of a VIP may have: where nobody else says it, it has to.
const OF_ANY_RULE: [&CStr; 2] = [VIP, DEV];

impl Target for ClusterIp1 {
    const NAME: &'static CStr = NAME;
    const REVISION: u8 = TargetInfo1::REVISION;
    // Behind what is exchanged stands a pointer of the kernel's own.
    const KERNEL_SIZE: usize = size_of::<TargetInfo1>() + size_of::<u64>();
    type Payload = TargetInfo1;
    type Problem<'a> = Problem<'a>;

    // In the order of revision 0's, so that a number is the same option in both.
    const OPTIONS: &'static [Opt<Self>] = &[
        Opt::flag(c"new", |info: &mut TargetInfo1| info.flags |= FLAG_NEW),
        Opt::text(c"hashmode", set_mode),
        Opt::mac(c"clustermac", |info: &mut TargetInfo1, address| {
            info.clustermac = mac(address)?;
            Ok(())
        }),
        Opt::u16(c"total-nodes", 1, MAX, |info: &mut TargetInfo1, total| {
            info.num_total_nodes = total;
        }),
        Opt::u16(LOCAL_NODE, 0, MAX, |info: &mut TargetInfo1, node| {
            add(info, NodeId::new(node.into()).into_iter().collect());
        })
        .short(LOCAL_NODE_SHORT),
        Opt::u32(c"hash-init", |info: &mut TargetInfo1, seed| {
            info.hash_initval = seed
        }),
        Opt::text(VIP, set_vip),
        Opt::text(DEV, set_device),
        Opt::<Self>::text(LOCAL_NODES, set_nodes)
            .many()
            .instead_of(LOCAL_NODE),
        Opt::flag(NO_MARK, |info: &mut TargetInfo1| info.flags |= FLAG_NO_MARK),
    ];

    const HELP: &'static str = concat!(
        help!(),
        "\
With revision 1 of the target also:
  --hashmode <mode>
\t\t\t\t\tdestip
\t\t\t\t\tsourceip-destip
\t\t\t\t\tsourceip-spi
  --local-nodes <set>\t\t Set the local node numbers: 1,3-5 or none
  --vip <address>\t\t Set the VIP itself, as nftables needs it
  --dev <name>\t\t\t Set the device of the VIP
  --no-mark\t\t\t Leave the marks of connections alone
"
    );

    const UNTRANSLATED: &'static str = super::UNTRANSLATED;

    fn check(given: Given, info: &TargetInfo1) -> Result<(), Problem<'static>> {
        if given.except::<Self>(&OF_ANY_RULE).is_empty() {
            return Ok(());
        }
        if missing(&given).next().is_some() {
            return Err(Problem::Missing(given));
        }
        let total = info.num_total_nodes;
        match nodes(info).highest() {
            Some(node) if node.get() > total.into() => Err(Problem::LocalAboveTotal {
                option: match given.has::<Self>(LOCAL_NODES) {
                    true => LOCAL_NODES,
                    false => LOCAL_NODE,
                },
                node: node.get(),
                total,
            }),
            _ => Ok(()),
        }
    }

    fn print(info: &TargetInfo1, out: &mut dyn Write) -> fmt::Result {
        out.write_str(" CLUSTERIP")?;
        if let Some(vip) = info.vip() {
            write!(out, " vip={}", Vip(vip))?;
        }
        if let Some(device) = info.device() {
            write!(out, " dev={}", Device(device))?;
        }
        if !info.is_new() {
            return Ok(());
        }
        write!(
            out,
            " hashmode={} clustermac={} total_nodes={} local_nodes={} hash_init={}",
            mode_name(info.hash_mode),
            Mac::new(info.clustermac),
            info.num_total_nodes,
            Ranges(&nodes(info)),
            info.hash_initval,
        )?;
        if !info.marks() {
            out.write_str(" no_mark")?;
        }
        Ok(())
    }

    fn save(info: &TargetInfo1, out: &mut dyn Write) -> fmt::Result {
        if let Some(vip) = info.vip() {
            write!(out, " --vip {}", Vip(vip))?;
        }
        if let Some(device) = info.device() {
            write!(out, " --dev {}", Device(device))?;
        }
        if !info.is_new() {
            return Ok(());
        }
        write!(
            out,
            " --new --hashmode {} --clustermac {} --total-nodes {}",
            mode_name(info.hash_mode),
            Mac::new(info.clustermac),
            info.num_total_nodes,
        )?;
        save_nodes(&nodes(info), out)?;
        write!(out, " --hash-init {}", info.hash_initval)?;
        if !info.marks() {
            out.write_str(" --no-mark")?;
        }
        Ok(())
    }
}

impl Newer for ClusterIp1 {
    type Older = ClusterIp0;

    fn older(info: &TargetInfo1) -> Option<TargetInfo> {
        let set = nodes(info);
        let only = set.highest();
        let is_older = info.vip().is_none()
            && info.device().is_none()
            && info.flags & !FLAG_NEW == 0
            && Mode::from_abi(info.hash_mode)?.is_in_revision_0()
            && u32::from(info.num_total_nodes) <= MAX_NODES_REVISION_0
            && only.is_none_or(|node| node.get() <= MAX_NODES_REVISION_0)
            && set == only.into_iter().collect();
        let mut local_nodes = [0; MAX_LOCAL_NODES];
        let [first, ..] = &mut local_nodes;
        *first = only.map_or(0, NodeId::get) as u16; // CAST: 1024 at most.
        is_older.then_some(TargetInfo {
            flags: info.flags,
            clustermac: info.clustermac,
            num_total_nodes: info.num_total_nodes,
            // What --local-node 0 sends, as well.
            num_local_nodes: info.is_new().into(),
            local_nodes,
            padding: [0; 2],
            hash_mode: info.hash_mode,
            hash_initval: info.hash_initval,
        })
    }
}

fn set_mode<'a>(info: &mut TargetInfo1, name: &'a CStr) -> Result<(), Problem<'a>> {
    info.hash_mode = mode(name)?.to_abi();
    Ok(())
}

/// An address as it is written, no name: to ask for one takes a resolver, and the VIP of a cluster that is to come up
/// without one.
fn set_vip<'a>(info: &mut TargetInfo1, word: &'a CStr) -> Result<(), Problem<'a>> {
    match address(word.to_bytes()) {
        Some(vip) if vip != [0; 4] => {
            info.vip = vip;
            Ok(())
        }
        _ => Err(Problem::NotAVip(word)),
    }
}

/// Four decimal numbers with dots between them, none with a zero before it, which some take for an octal one.
fn address(text: &[u8]) -> Option<[u8; 4]> {
    let mut parts = text.split(|byte| *byte == b'.');
    let mut address = [0; 4];
    for byte in &mut address {
        *byte = match parts.next()? {
            [digit] => decimal(0, digit)?,
            [b'0', ..] => return None,
            [tens, digit] => decimal(decimal(0, tens)?, digit)?,
            [hundreds, tens, digit] => decimal(decimal(decimal(0, hundreds)?, tens)?, digit)?,
            _ => return None,
        };
    }
    parts.next().is_none().then_some(address)
}

/// A number with one digit more.
fn decimal(number: u8, digit: &u8) -> Option<u8> {
    let digit = u8::try_from(char::from(*digit).to_digit(10)?).ok()?;
    number.checked_mul(10)?.checked_add(digit)
}

fn set_device<'a>(info: &mut TargetInfo1, word: &'a CStr) -> Result<(), Problem<'a>> {
    let name = word.to_bytes();
    let starts_well = name.first().is_some_and(|first| !b"-!".contains(first));
    let is_one = starts_well && name != b"." && name != b".." && name.iter().all(is_in_device);
    if !is_one || name.len() >= DEVICE_LEN {
        return Err(Problem::NotADevice(word));
    }
    for (to, from) in info.device.iter_mut().zip(name) {
        *to = *from;
    }
    Ok(())
}

/// Whether a byte may stand in the name of a device, and comes through `iptables-restore` as it is.
fn is_in_device(byte: &u8) -> bool {
    byte.is_ascii_graphic() && !b"+/:\"'\\".contains(byte)
}

fn set_nodes<'a>(info: &mut TargetInfo1, word: &'a CStr) -> Result<(), Problem<'a>> {
    let set = NodeSet::parse(word.to_bytes()).map_err(|_| Problem::NotASet(word))?;
    add(info, set);
    Ok(())
}

fn add(info: &mut TargetInfo1, set: NodeSet) {
    for (to, from) in info.local_nodes.iter_mut().zip(set.to_words()) {
        *to |= from;
    }
}

fn nodes(info: &TargetInfo1) -> NodeSet {
    NodeSet::from_words(&info.local_nodes)
}

/// How many ranges one word of a saved line has at most: `iptables-restore` takes words of 1,023 bytes, and a range
/// with its comma is one of ten at most.
const RANGES: u32 = 100;

fn save_nodes(set: &NodeSet, out: &mut dyn Write) -> fmt::Result {
    let mut word = NodeSet::EMPTY;
    let mut ranges = 0u32;
    let mut last = 0u32;
    for node in set.iter() {
        let follows = node.get() == last.wrapping_add(1);
        last = node.get();
        if !follows && ranges == RANGES {
            write!(out, " --local-nodes {}", Ranges(&word))?;
            (word, ranges) = (NodeSet::EMPTY, 0);
        }
        if !follows || ranges == 0 {
            ranges = ranges.wrapping_add(1);
        }
        word = word.with(node);
    }
    write!(out, " --local-nodes {}", Ranges(&word))
}

/// An address. [`Ipv4Addr`] itself can pad what it shows, in a buffer whose bounds are checked.
struct Vip(Ipv4Addr);

impl fmt::Display for Vip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d] = self.0.octets();
        write!(f, "{a}.{b}.{c}.{d}")
    }
}

/// The name of a device, up to its NUL; what no name has is shown as a question mark.
struct Device<'a>(&'a [u8; DEVICE_LEN]);

impl fmt::Display for Device<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0.iter().take_while(|byte| **byte != 0) {
            f.write_char(match byte.is_ascii_graphic() {
                true => char::from(*byte),
                false => '?',
            })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
