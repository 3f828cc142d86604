// SPDX-License-Identifier: GPL-2.0-only

//! The target: which rules are taken, and what becomes of the packets that match them.

#![forbid(unsafe_code)]

use crate::abstractions::net::pernet::PerNet;
use crate::abstractions::net::ratelimit;
use crate::abstractions::net::skb::SkBuff;
use crate::abstractions::net::skb::Unmoved;
use crate::abstractions::net::Net;
use crate::abstractions::netfilter::conntrack::Connection;
use crate::abstractions::netfilter::conntrack::Info;
use crate::abstractions::netfilter::target::CheckParam;
use crate::abstractions::netfilter::target::Entry;
use crate::abstractions::netfilter::target::Target;
use crate::abstractions::netfilter::target::Verdict;
use crate::abstractions::rcu::RcuArc;
use crate::cluster::abi;
use crate::cluster::abi::Refusal;
use crate::cluster::abi::TargetInfo;
use crate::cluster::arp::Mac;
use crate::cluster::hash::Params;
use crate::cluster::node::NodeId;
use crate::cluster::packet;
use crate::cluster::packet::Header;
use crate::registry::Namespace;
use crate::report::refuse;
use crate::request::NewVip;
use crate::request::Request;
use crate::vip::Vip;
use core::ffi::CStr;
use core::net::Ipv4Addr;
use kernel::prelude::*;

/// The target `CLUSTERIP`, revision 0.
pub(crate) struct ClusterIpTarget;

impl Target for ClusterIpTarget {
    const NAME: &'static CStr = abi::NAME;
    const REVISION: u8 = abi::REVISION;
    type Payload = TargetInfo;
    /// One VIP may have many rules; the nodes, the mode and the seed are the VIP's.
    type Subject = Vip;

    fn check(param: &CheckParam<'_>, payload: &TargetInfo) -> Result<RcuArc<Vip>> {
        let entry = param.entry().inspect_err(|_| refuse_nftables())?;
        let request = request(entry, payload)?;
        let net = param.net();
        let namespace = Namespace::slot().get(net).ok_or(EINVAL)?;
        let vip = Namespace::join(&namespace, net, &request)?;
        match prepare(param, &vip) {
            Ok(()) => Ok(vip),
            Err(error) => {
                namespace.leave(net, request.vip);
                let sentence = if param.is_raw_table() {
                    "cannot enable defragmentation"
                } else {
                    "cannot load conntrack support for proto=2"
                };
                Err(refuse(
                    error,
                    request.vip,
                    format_args!("{sentence}"),
                    format_args!("{error:?}, see that memory is left and add the rule again"),
                ))
            }
        }
    }

    fn destroy(net: &Net, vip: RcuArc<Vip>) {
        // None, when the namespace ended before its rules did.
        if let Some(namespace) = Namespace::slot().get(net) {
            namespace.leave(net, vip.address);
        }
    }

    #[inline(always)]
    fn packet(vip: &Vip, tracks: bool, header: &Bytes, skb: Unmoved<'_>) -> Verdict {
        // What most packets are: nothing to be asked or told but the hash.
        let is_common = if tracks {
            skb.conntrack().is_established()
        } else {
            Header::new(header).protocol != packet::ICMP
        };
        if is_common {
            if let Some(node) = node_of(vip, header, |offset| skb.read_linear(offset)) {
                return decide(vip, skb, node);
            }
        }
        other_packet(skb, header, vip, tracks)
    }
}

/// The first packet of a connection, which can be told fast, too.
#[inline(never)]
fn other_packet(skb: Unmoved<'_>, header: &Bytes, vip: &Vip, tracks: bool) -> Verdict {
    if tracks && skb.conntrack().is_new() {
        if let Some(node) = node_of(vip, header, |offset| skb.read_linear(offset)) {
            mark(skb.conntrack().connection(), node);
            return decide(vip, skb, node);
        }
    }
    uncommon_packet(skb, header, vip, tracks)
}

/// The fixed part of an IPv4 header.
type Bytes = [u8; packet::MIN_LEN];

/// Any packet, wherever its bytes lie and whatever it is to whom.
#[inline(never)]
fn uncommon_packet(skb: Unmoved<'_>, header: &Bytes, vip: &Vip, tracks: bool) -> Verdict {
    if tracks {
        tracked_packet(vip, header, skb)
    } else {
        untracked_packet(vip, header, skb)
    }
}

/// A rule in any table but `raw`: conntrack has seen the packet.
#[inline(always)]
fn tracked_packet(vip: &Vip, header: &Bytes, skb: Unmoved<'_>) -> Verdict {
    let Some(connection) = skb.conntrack().connection() else {
        return Verdict::Drop;
    };
    // An error about somebody's connection: whoever has that one knows what to do with it.
    if Header::new(header).protocol == packet::ICMP && connection.info() == Info::Related {
        return Verdict::Continue;
    }
    let node = node_of_any(vip, header, &skb);
    mark(Some(connection), node);
    decide(vip, skb, node)
}

/// Tells later rules which node a new connection belongs to.
#[inline(always)]
fn mark(connection: Option<Connection<'_>>, node: NodeId) {
    if let Some(connection) = connection {
        if connection.info() == Info::New {
            connection.set_mark(node.get());
        }
    }
}

/// A rule in the `raw` table: the packet tells all there is to know.
#[inline(always)]
fn untracked_packet(vip: &Vip, bytes: &Bytes, skb: Unmoved<'_>) -> Verdict {
    let header = Header::new(bytes);
    if header.protocol == packet::ICMP && !header.fragment {
        if let Some([icmp_type]) = skb.read(header.len) {
            if packet::is_icmp_error(icmp_type) {
                return Verdict::Continue;
            }
        }
    }
    let node = node_of_any(vip, bytes, &skb);
    decide(vip, skb, node)
}

/// The node of a packet whose ports may lie anywhere, or nowhere.
#[inline(always)]
fn node_of_any(vip: &Vip, header: &Bytes, skb: &SkBuff) -> NodeId {
    let read = |offset| Some(skb.read(offset).unwrap_or([0; 4]));
    // There is one: `read` has an answer for any offset.
    node_of(vip, header, read).unwrap_or_else(|| vip.hash.node(Header::new(header).source, [0; 4]))
}

/// The node of a packet whose ports `read` finds; none if they are to be hashed and it doesn't.
#[inline(always)]
fn node_of(
    vip: &Vip,
    header: &Bytes,
    read: impl FnOnce(usize) -> Option<[u8; 4]>,
) -> Option<NodeId> {
    let header = Header::new(header);
    let source = header.source;
    // gate: plant here
    let ports = if vip.hash.mode().uses_ports() {
        match header.ports_at() {
            Some(offset) => read(offset)?,
            None => [0; 4],
        }
    } else {
        [0; 4]
    };
    Some(vip.hash.node(source, ports))
}

#[inline(always)]
fn decide(vip: &Vip, mut skb: Unmoved<'_>, node: NodeId) -> Verdict {
    if vip.nodes.get().contains(node) {
        skb.set_for_host();
        Verdict::Continue
    } else {
        Verdict::Drop
    }
}

/// Turns on in the namespace what the rule's packets need.
fn prepare(param: &CheckParam<'_>, vip: &Vip) -> Result {
    // `raw` sees packets before connection tracking does.
    if !param.is_raw_table() {
        return param.use_conntrack();
    }
    // Pieces of a packet have no ports; without ports, none are missed.
    if vip.hash.mode().uses_ports() {
        return param.use_defrag();
    }
    Ok(())
}

/// Says that rules of nftables can't be taken.
fn refuse_nftables() {
    if ratelimit() {
        pr_err!("cannot use CLUSTERIP target from nftables compat: use iptables-legacy instead\n");
    }
}

/// Checks what can be said of a rule by itself, in the order of the original's checks.
fn request(entry: Entry<'_>, payload: &TargetInfo) -> Result<Request> {
    let vip = entry.destination();
    let refused = |refusal: Refusal| {
        let remedy = refusal.remedy();
        refuse(
            EINVAL,
            vip,
            format_args!("{refusal}"),
            format_args!("{remedy}"),
        )
    };

    let mode = payload.mode().map_err(refused)?;
    if entry.destination_mask() != Ipv4Addr::BROADCAST || vip.is_unspecified() {
        return Err(refuse(
            EINVAL,
            vip,
            format_args!("Please specify destination IP"),
            format_args!("give the rule one address, -d VIP"),
        ));
    }
    if entry.destination_inverted() {
        return Err(refuse(
            EINVAL,
            vip,
            format_args!("Please specify destination IP"),
            format_args!("a rule for every address but one has no VIP, use -d VIP without !"),
        ));
    }
    let new = if payload.is_new() {
        let (total, nodes) = payload.nodes().map_err(refused)?;
        Some(NewVip {
            mac: Mac::new(payload.clustermac),
            params: Params {
                mode,
                seed: payload.hash_initval,
                total,
            },
            nodes,
        })
    } else {
        payload.local().map_err(refused)?;
        None
    };
    Ok(Request {
        vip,
        new,
        device: entry.in_device(),
    })
}
