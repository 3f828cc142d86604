// SPDX-License-Identifier: GPL-2.0-only

//! The target: its options, what they mean, and how its rules are shown.

#![forbid(unsafe_code)]

use core::ffi::CStr;
use core::fmt;
use core::fmt::Write;
use core::iter::repeat;

use crate::cluster::abi::Payload;
use crate::cluster::abi::TargetInfo;
use crate::cluster::abi::FLAG_NEW;
use crate::cluster::abi::NAME;
use crate::cluster::arp::Mac;
use crate::cluster::hash::Mode;
use crate::cluster::node::MAX_NODES_REVISION_0;
use crate::xtables;
use crate::xtables::Given;
use crate::xtables::Opt;
use crate::xtables::Target;

/// The target CLUSTERIP.
pub struct ClusterIp;

/// Highest value of an option that counts nodes or numbers one.
const MAX: u16 = MAX_NODES_REVISION_0 as u16; // CAST: 64.

/// The one option that a rule with options can be without.
const OPTIONAL: &CStr = c"hash-init";

impl Target for ClusterIp {
    const NAME: &'static CStr = NAME;
    const REVISION: u8 = TargetInfo::REVISION;
    // Behind what is exchanged stands a pointer of the kernel's own.
    const KERNEL_SIZE: usize = size_of::<TargetInfo>() + size_of::<u64>();
    type Payload = TargetInfo;
    type Problem<'a> = Problem<'a>;

    const OPTIONS: &'static [Opt<Self>] = &[
        Opt::flag(c"new", |info: &mut TargetInfo| info.flags |= FLAG_NEW),
        Opt::text(c"hashmode", set_mode),
        Opt::mac(c"clustermac", set_mac),
        Opt::u16(c"total-nodes", 1, MAX, |info: &mut TargetInfo, total| {
            info.num_total_nodes = total;
        }),
        Opt::u16(c"local-node", 0, MAX, |info: &mut TargetInfo, node| {
            info.num_local_nodes = 1;
            let [first, ..] = &mut info.local_nodes;
            *first = node;
        }),
        Opt::u32(OPTIONAL, |info: &mut TargetInfo, seed| {
            info.hash_initval = seed
        }),
    ];

    const HELP: &'static str = "\
CLUSTERIP target options:
  --new\t\t\t Create a new ClusterIP
  --hashmode <mode>\t\t Specify hashing mode
\t\t\t\t\tsourceip
\t\t\t\t\tsourceip-sourceport
\t\t\t\t\tsourceip-sourceport-destport
  --clustermac <mac>\t\t Set clusterIP MAC address
  --total-nodes <num>\t\t Set number of total nodes in cluster
  --local-node <num>\t\t Set the local node number
  --hash-init <num>\t\t Set init value of the Jenkins hash
";

    const UNTRANSLATED: &'static str =
        "CLUSTERIP has no exact equivalent in nftables: its jhash names other nodes, so all nodes \
         must change at once; read NFTABLES in ipt_CLUSTERIP(8):";

    fn check(given: Given, info: &TargetInfo) -> Result<(), Problem<'static>> {
        if given.is_empty() {
            return Ok(());
        }
        if missing(&given).next().is_some() {
            return Err(Problem::Missing(given));
        }
        let [node, ..] = info.local_nodes;
        let total = info.num_total_nodes;
        if node > total {
            return Err(Problem::LocalAboveTotal { node, total });
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
            mode_name(info),
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
            mode_name(info),
            Mac::new(info.clustermac),
            info.num_total_nodes,
            info.hash_initval,
        )
    }
}

fn set_mode<'a>(info: &mut TargetInfo, name: &'a CStr) -> Result<(), Problem<'a>> {
    // gate: plant here
    let mode = Mode::from_name(name.to_bytes())
        .filter(|mode| mode.is_in_revision_0())
        .ok_or(Problem::UnknownMode(name))?;
    info.hash_mode = mode.to_abi();
    Ok(())
}

fn set_mac(info: &mut TargetInfo, mac: [u8; 6]) -> Result<(), Problem<'static>> {
    if !Mac::new(mac).is_multicast() {
        return Err(Problem::Unicast);
    }
    info.clustermac = mac;
    Ok(())
}

fn mode_name(info: &TargetInfo) -> &'static str {
    info.mode().map_or("unknown-error", Mode::name)
}

/// Why a line is not taken.
pub enum Problem<'a> {
    /// No mode has this name.
    UnknownMode(&'a CStr),
    /// A switch brings frames to a unicast address to one port only.
    Unicast,
    /// There are options, but not all that belong together.
    Missing(Given),
    /// The node is none of the cluster's.
    LocalAboveTotal {
        /// Its number.
        node: u16,
        /// How many nodes there are.
        total: u16,
    },
}

impl fmt::Display for Problem<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownMode(_) => f.write_str("Unknown hashmode"),
            Self::Unicast => f.write_str("MAC has to be a multicast ethernet address"),
            Self::Missing(given) => {
                f.write_str("CLUSTERIP: missing")?;
                for (name, comma) in missing(given).zip([""].into_iter().chain(repeat(","))) {
                    write!(f, "{comma} --{}", name.to_str().unwrap_or_default())?;
                }
                f.write_str(
                    ": the first rule of a VIP needs --new, --hashmode, --clustermac, \
                     --total-nodes and --local-node, a later one none",
                )
            }
            Self::LocalAboveTotal { node, total } => write!(
                f,
                "CLUSTERIP: --local-node {node} is above --total-nodes {total}: the nodes of a \
                 cluster have the numbers from 1 to its total"
            ),
        }
    }
}

impl xtables::Problem for Problem<'_> {
    fn about(&self) -> Option<&CStr> {
        match self {
            Self::UnknownMode(name) => Some(name),
            _ => None,
        }
    }
}

/// The options that a rule with options has to have and that were not given.
fn missing(given: &Given) -> impl Iterator<Item = &'static CStr> + '_ {
    given
        .absent::<ClusterIp>()
        .map(|option| option.name)
        .filter(|name| *name != OPTIONAL)
}
