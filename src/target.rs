// SPDX-License-Identifier: GPL-2.0-only

//! The target: which rules are taken, and what becomes of the packets that match them.

#![forbid(unsafe_code)]

use crate::abstractions::net::pernet::PerNet;
use crate::abstractions::net::ratelimit;
use crate::abstractions::net::skb::SkBuff;
use crate::abstractions::net::Net;
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
use crate::report::tell;
use crate::request::NewVip;
use crate::request::Request;
use crate::vip::Vip;
use core::ffi::CStr;
use core::net::Ipv4Addr;
use kernel::prelude::*;

/// The target `CLUSTERIP`, revision 0.
pub(crate) struct ClusterIpTarget;

/// What is kept for a rule. One VIP may have many; the nodes, the mode and the seed are the VIP's.
pub(crate) struct Rule {
    vip: RcuArc<Vip>,
    /// Whether the rule sees packets before connection tracking does.
    raw: bool,
    namespace: RcuArc<Namespace>,
}

impl Target for ClusterIpTarget {
    const NAME: &'static CStr = abi::NAME;
    const REVISION: u8 = abi::REVISION;
    type Payload = TargetInfo;
    type Rule = Rule;

    fn check(param: &CheckParam<'_>, payload: &TargetInfo) -> Result<Rule> {
        let entry = param.entry().inspect_err(|_| refuse_nftables())?;
        let request = request(entry, payload)?;
        let net = param.net();
        let namespace = Namespace::slot().get(net).ok_or(EINVAL)?;
        let rule = Rule {
            vip: Namespace::join(&namespace, net, &request)?,
            raw: param.is_raw_table(),
            namespace,
        };
        match prepare(param, &rule) {
            Ok(()) => Ok(rule),
            Err(error) => {
                rule.namespace.leave(net, request.vip);
                let sentence = if rule.raw {
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

    fn no_memory(param: &CheckParam<'_>) {
        if let Ok(entry) = param.entry() {
            tell(
                entry.destination(),
                format_args!("cannot keep the rule"),
                format_args!("free memory and add the rule again"),
            );
        }
    }

    fn destroy(net: &Net, rule: Rule) {
        rule.namespace.leave(net, rule.vip.address);
    }

    #[inline]
    fn packet(rule: &Rule, skb: &mut SkBuff) -> Verdict {
        // In the hooks of IPv4, the header is whole and linear.
        let Some(header) = skb.read(0).as_ref().and_then(Header::parse) else {
            return Verdict::Drop;
        };
        if rule.raw {
            untracked_packet(&rule.vip, skb, &header)
        } else {
            tracked_packet(&rule.vip, skb, &header)
        }
    }
}

/// A rule in any table but `raw`: conntrack has seen the packet.
#[inline]
fn tracked_packet(vip: &Vip, skb: &mut SkBuff, header: &Header) -> Verdict {
    let Some(connection) = skb.conntrack().connection() else {
        return Verdict::Drop;
    };
    let info = connection.info();
    // An error about somebody's connection: whoever has that one knows what to do with it.
    if header.protocol == packet::ICMP && info == Info::Related {
        return Verdict::Continue;
    }
    let node = node_of(vip, skb, header);
    if info == Info::New {
        connection.set_mark(node.get());
    }
    decide(vip, skb, node)
}

/// A rule in the `raw` table: the packet tells all there is to know.
#[inline]
fn untracked_packet(vip: &Vip, skb: &mut SkBuff, header: &Header) -> Verdict {
    if header.protocol == packet::ICMP && !header.fragment {
        if let Some([icmp_type]) = skb.read(header.len) {
            if packet::is_icmp_error(icmp_type) {
                return Verdict::Continue;
            }
        }
    }
    let node = node_of(vip, skb, header);
    decide(vip, skb, node)
}

#[inline]
fn node_of(vip: &Vip, skb: &SkBuff, header: &Header) -> NodeId {
    let source = header.source;
    // gate: plant here
    let ports = if vip.params.mode.uses_ports() {
        header.ports_at().and_then(|offset| skb.read(offset))
    } else {
        None
    };
    vip.params.node(source, ports.unwrap_or([0; 4]))
}

#[inline]
fn decide(vip: &Vip, skb: &mut SkBuff, node: NodeId) -> Verdict {
    if vip.nodes.get().contains(node) {
        skb.set_for_host();
        Verdict::Continue
    } else {
        Verdict::Drop
    }
}

/// Turns on in the namespace what the rule's packets need.
fn prepare(param: &CheckParam<'_>, rule: &Rule) -> Result {
    if !rule.raw {
        return param.use_conntrack();
    }
    // Pieces of a packet have no ports; without ports, none are missed.
    if rule.vip.params.mode.uses_ports() {
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
        device_inverted: entry.in_device_inverted(),
        device_wildcard: entry.in_device_is_wildcard(),
        device_mask_short: entry.in_device_is_compared_in_part(),
    })
}
