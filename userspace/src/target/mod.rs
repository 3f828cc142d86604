// SPDX-License-Identifier: GPL-2.0-only

//! The target: its options, what they mean, and how its rules are shown.

#![forbid(unsafe_code)]

mod revision0;
mod revision1;

use core::ffi::CStr;
use core::fmt;
use core::iter::repeat;

use crate::cluster::arp::Mac;
use crate::cluster::hash::Mode;
use crate::xtables;
use crate::xtables::Given;

pub use revision0::ClusterIp0;
pub use revision1::ClusterIp1;

/// The options that only revision 1 has, and the one that stands for another.
const VIP: &CStr = c"vip";
const DEV: &CStr = c"dev";
const LOCAL_NODES: &CStr = c"local-nodes";
const NO_MARK: &CStr = c"no-mark";
const LOCAL_NODE: &CStr = c"local-node";

/// Beginnings that meant `--local-node` before there was `--local-nodes`.
const LOCAL_NODE_SHORT: &[&CStr] = &[
    c"lo",
    c"loc",
    c"loca",
    c"local",
    c"local-",
    c"local-n",
    c"local-no",
    c"local-nod",
];

/// Those that a rule with options can be without.
const OPTIONAL: [&CStr; 5] = [c"hash-init", VIP, DEV, LOCAL_NODES, NO_MARK];

/// What `iptables-translate` says.
const UNTRANSLATED: &str =
    "CLUSTERIP has no exact equivalent in nftables: its jhash names other nodes, so all nodes \
     must change at once; read NFTABLES in ipt_CLUSTERIP(8):";

/// The help of revision 0, as distributions have it.
macro_rules! help {
    () => {
        "\
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
"
    };
}
use help;

/// The mode of a name.
fn mode(name: &CStr) -> Result<Mode, Problem<'_>> {
    // gate: plant here
    Mode::from_name(name.to_bytes()).ok_or(Problem::UnknownMode(name))
}

fn mode_name(number: u32) -> &'static str {
    Mode::from_abi(number).map_or("unknown-error", Mode::name)
}

/// The hardware address, if it may be one of a cluster.
fn mac(mac: [u8; 6]) -> Result<[u8; 6], Problem<'static>> {
    match Mac::new(mac).is_multicast() {
        true => Ok(mac),
        false => Err(Problem::Unicast),
    }
}

/// Why a line is not taken.
pub enum Problem<'a> {
    /// No mode has this name.
    UnknownMode(&'a CStr),
    /// The mode is one of revision 1, which the kernel doesn't have.
    NewerMode(Mode),
    /// The option is one of revision 1, which the kernel doesn't have.
    NewerOption(&'static CStr),
    /// A switch brings frames to a unicast address to one port only.
    Unicast,
    /// This is no address that a VIP can have.
    NotAVip(&'a CStr),
    /// This is no name of one device.
    NotADevice(&'a CStr),
    /// This is no set of nodes.
    NotASet(&'a CStr),
    /// There are options, but not all that belong together.
    Missing(Given),
    /// The node is none of the cluster's.
    LocalAboveTotal {
        /// The option that names it.
        option: &'static CStr,
        /// Its number.
        node: u32,
        /// How many nodes there are.
        total: u16,
    },
}

impl fmt::Display for Problem<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownMode(_) => f.write_str("Unknown hashmode"),
            Self::NewerMode(mode) => {
                write!(f, "CLUSTERIP: --hashmode {} {NEWER}", mode.name())
            }
            Self::NewerOption(option) => write!(f, "CLUSTERIP: --{} {NEWER}", text(option)),
            Self::Unicast => f.write_str("MAC has to be a multicast ethernet address"),
            Self::NotAVip(_) => f.write_str(
                "CLUSTERIP: --vip takes the one IPv4 address that is shared, without a mask, not",
            ),
            Self::NotADevice(_) => f.write_str(
                "CLUSTERIP: --dev takes the name of one device, of 15 bytes at most and without \
                 +, not",
            ),
            Self::NotASet(_) => f.write_str(
                "CLUSTERIP: --local-nodes takes a set of numbers from 1 to 1024, such as 1,3-5, \
                 or none, not",
            ),
            Self::Missing(given) => {
                f.write_str("CLUSTERIP: missing")?;
                for (name, comma) in missing(given).zip([""].into_iter().chain(repeat(","))) {
                    write!(f, "{comma} --{}", text(name))?;
                }
                f.write_str(
                    ": the first rule of a VIP needs --new, --hashmode, --clustermac, \
                     --total-nodes and --local-node, a later one none",
                )
            }
            Self::LocalAboveTotal {
                option,
                node,
                total,
            } => write!(
                f,
                "CLUSTERIP: --{} {node} is above --total-nodes {total}: the nodes of a cluster \
                 have the numbers from 1 to its total",
                text(option)
            ),
        }
    }
}

/// What to do about an option that the kernel doesn't know.
const NEWER: &str = "needs revision 1 of the target, which the kernel does not have: load the \
                     module that belongs to this extension";

fn text(name: &CStr) -> &str {
    name.to_str().unwrap_or_default()
}

impl xtables::Problem for Problem<'_> {
    fn about(&self) -> Option<&CStr> {
        match self {
            Self::UnknownMode(word)
            | Self::NotAVip(word)
            | Self::NotADevice(word)
            | Self::NotASet(word) => Some(word),
            _ => None,
        }
    }
}

/// The options that a rule with options has to have and that were not given. Both revisions count them alike.
fn missing(given: &Given) -> impl Iterator<Item = &'static CStr> {
    let set = given.has::<ClusterIp1>(LOCAL_NODES);
    given
        .absent::<ClusterIp1>()
        .map(|option| option.name)
        .filter(move |name| !(OPTIONAL.contains(name) || (set && *name == LOCAL_NODE)))
}
