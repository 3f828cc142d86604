// SPDX-License-Identifier: GPL-2.0-only

//! The target: which rules are taken, and what becomes of the packets that match them.

#![forbid(unsafe_code)]

use crate::abstractions::net::netdev::Name;
use crate::abstractions::net::pernet::PerNet;
use crate::abstractions::net::ratelimit;
use crate::abstractions::net::skb::SkBuff;
use crate::abstractions::net::skb::Unmoved;
use crate::abstractions::net::Net;
use crate::abstractions::netfilter::conntrack::Connection;
use crate::abstractions::netfilter::conntrack::Info;
use crate::abstractions::netfilter::target::CheckParam;
use crate::abstractions::netfilter::target::Entry;
use crate::abstractions::netfilter::target::InDevice;
use crate::abstractions::netfilter::target::Target;
use crate::abstractions::netfilter::target::Verdict;
use crate::abstractions::rcu::RcuArc;
use crate::abstractions::spread::Place;
use crate::cluster::abi;
use crate::cluster::abi::Payload;
use crate::cluster::abi::Refusal;
use crate::cluster::hash::Flow;
use crate::cluster::hash::Params;
use crate::cluster::packet;
use crate::cluster::packet::Header;
use crate::registry::Namespace;
use crate::report::refuse;
use crate::request::NewVip;
use crate::request::Request;
use crate::request::Shown;
use crate::vip::Vip;
use core::ffi::CStr;
use core::marker::PhantomData;
use core::net::Ipv4Addr;
use kernel::prelude::*;

/// The target `CLUSTERIP`, of the revision of this payload.
pub(crate) struct ClusterIpTarget<P>(PhantomData<fn() -> P>);

impl<P: Payload + FromBytes + Copy + 'static> Target for ClusterIpTarget<P> {
    const NAME: &'static CStr = abi::NAME;
    const REVISION: u8 = P::REVISION;
    type Payload = P;
    const COMPAT_WORD: usize = P::COMPAT_WORD;
    /// One VIP may have many rules; the nodes, the mode and the seed are the VIP's.
    type Subject = Vip;

    fn check(param: &CheckParam<'_>, payload: &P) -> Result<RcuArc<Vip>> {
        let entry = match param.entry() {
            Ok(entry) => Some(entry),
            // Whoever carries the rule has not said its VIP: the payload has to.
            Err(_) if P::SAYS_VIP && !param.is_users_nftables() => None,
            Err(error) => {
                refuse_nftables(P::SAYS_VIP);
                return Err(error);
            }
        };
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
            if let Some(hash) = hash_at_once(vip, header, &skb) {
                return decide(skb, vip.place(hash));
            }
        }
        other_packet(skb, header, vip, tracks)
    }
}

/// The first packet of a connection, which can be told fast, too.
#[inline(never)]
fn other_packet(skb: Unmoved<'_>, header: &Bytes, vip: &Vip, tracks: bool) -> Verdict {
    if tracks {
        if let Some(connection) = skb.conntrack().new_connection() {
            if let Some(hash) = hash_at_once(vip, header, &skb) {
                let place = vip.place(hash);
                mark(vip, &connection, place);
                return decide(skb, place);
            }
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
    let place = vip.place(hash_of_any(vip, header, &skb));
    mark(vip, &connection, place);
    decide(skb, place)
}

/// Tells later rules which node a new connection belongs to, unless the VIP was made with `--no-mark`.
#[inline(always)]
fn mark(vip: &Vip, connection: &Connection<'_>, place: Place<'_>) {
    if connection.info() == Info::New && vip.marks {
        connection.set_mark(place.index().wrapping_add(1));
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
    let hash = hash_of_any(vip, bytes, &skb);
    decide(skb, vip.place(hash))
}

/// The hash of a packet, in the modes of revision 0 but for one whose ports don't lie in one piece.
#[inline(always)]
fn hash_at_once(vip: &Vip, header: &Bytes, skb: &SkBuff) -> Option<u32> {
    let header = Header::new(header);
    let source = header.source;
    // gate: plant here
    vip.hash.hash_of_old(source, || match header.ports_at() {
        Some(offset) => skb.read_linear(offset),
        None => Some([0; 4]),
    })
}

/// The hash of any packet, in any mode: what is hashed of it may lie anywhere, or nowhere.
#[inline(always)]
fn hash_of_any(vip: &Vip, header: &Bytes, skb: &SkBuff) -> u32 {
    let header = Header::new(header);
    let behind_ip = if vip.hash.mode().looks_behind_ip() {
        header.ports_at().and_then(|offset| skb.read(offset))
    } else {
        None
    };
    vip.hash.hash(&Flow {
        source: header.source,
        destination: header.destination,
        ports: behind_ip.unwrap_or([0; 4]),
        spi: behind_ip
            .filter(|_| packet::has_spi(header.protocol))
            .map(u32::from_be_bytes),
    })
}

#[inline(always)]
fn decide(mut skb: Unmoved<'_>, place: Place<'_>) -> Verdict {
    if place.meet() {
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
    // Pieces of a packet have no ports and no SPI; where none are hashed, none are missed.
    if vip.hash.mode().looks_behind_ip() {
        return param.use_defrag();
    }
    Ok(())
}

/// Says that a rule of nftables can't be taken: one that can't say its VIP, or one in a user's own namespace.
fn refuse_nftables(says_vip: bool) {
    if ratelimit() {
        let remedy = if says_vip {
            "in a user's namespace use iptables-legacy instead"
        } else {
            "use iptables-legacy instead, or give --vip VIP"
        };
        pr_err!(
            "cannot use CLUSTERIP target from nftables compat: {}\n",
            remedy
        );
    }
}

/// Checks what can be said of a rule by itself, in the order of the original's checks.
fn request<P: Payload>(entry: Option<Entry<'_>>, payload: &P) -> Result<Request> {
    let named = payload
        .vip()
        .or(entry.as_ref().map(Entry::destination))
        .unwrap_or(Ipv4Addr::UNSPECIFIED);
    let refused = |refusal: Refusal| {
        let remedy = refusal.remedy();
        refuse(
            EINVAL,
            named,
            format_args!("{refusal}"),
            format_args!("{remedy}"),
        )
    };

    let mode = payload.mode().map_err(refused)?;
    let vip = match &entry {
        Some(entry) => vip_of_entry(entry, payload.vip())?,
        None => payload.vip().ok_or_else(|| {
            refuse(
                EINVAL,
                named,
                format_args!("Please specify destination IP"),
                format_args!("nftables does not tell -d, give --vip VIP"),
            )
        })?,
    };
    let new = if payload.is_new() {
        let (total, nodes) = payload.nodes().map_err(refused)?;
        Some(NewVip {
            mac: payload.mac(),
            params: Params {
                mode,
                seed: payload.seed(),
                total,
            },
            nodes,
            marks: payload.marks(),
        })
    } else {
        payload.local().map_err(refused)?;
        None
    };
    let device = device(vip, entry.as_ref(), payload.device().map(Name::new))?;
    Ok(Request { vip, new, device })
}

/// The VIP of a rule of iptables: `-d`, or `--vip` where a rule sees packets for others, too.
fn vip_of_entry(entry: &Entry<'_>, said: Option<Ipv4Addr>) -> Result<Ipv4Addr> {
    let destination = entry.destination();
    if entry.destination_mask().is_unspecified() && !entry.destination_inverted() {
        if let Some(vip) = said {
            return Ok(vip);
        }
    }
    if entry.destination_mask() != Ipv4Addr::BROADCAST || destination.is_unspecified() {
        return Err(refuse(
            EINVAL,
            said.unwrap_or(destination),
            format_args!("Please specify destination IP"),
            format_args!("give the rule one address, -d VIP"),
        ));
    }
    if entry.destination_inverted() {
        return Err(refuse(
            EINVAL,
            destination,
            format_args!("Please specify destination IP"),
            format_args!("a rule for every address but one has no VIP, use -d VIP without !"),
        ));
    }
    match said {
        Some(vip) if vip != destination => Err(refuse(
            EINVAL,
            vip,
            format_args!("destination IP {destination:?} is another one"),
            format_args!("give -d and --vip the same address"),
        )),
        _ => Ok(destination),
    }
}

/// The device of a rule: `-i`, or `--dev`, or either if they are the same.
fn device(vip: Ipv4Addr, entry: Option<&Entry<'_>>, said: Option<Name>) -> Result<InDevice> {
    let matched = entry.map_or(InDevice::any(), Entry::in_device);
    let Some(said) = said else {
        return Ok(matched);
    };
    let is_one = !matched.inverted && !matched.wildcard && !matched.compared_in_part;
    if matched.name.is_empty() || (is_one && matched.name == said) {
        return Ok(InDevice::one(said));
    }
    Err(refuse(
        EINVAL,
        vip,
        format_args!("interface {} is not what -i says", Shown(&said)),
        format_args!("give -i and --dev the same name, or leave one of them out"),
    ))
}
