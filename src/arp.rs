// SPDX-License-Identifier: GPL-2.0-only

//! What the machine says of a VIP by ARP: that it is at the cluster's MAC, whoever asks and whether
//! or not the asker will be this node's.

#![forbid(unsafe_code)]

use crate::abstractions::net::skb::SkBuff;
use crate::abstractions::netfilter::hook::ArpHook;
use crate::abstractions::netfilter::hook::Family;
use crate::abstractions::netfilter::hook::Handler;
use crate::abstractions::netfilter::hook::State;
use crate::abstractions::netfilter::hook::Verdict;
use crate::cluster::arp;
use crate::registry::Namespace;
use kernel::sync::rcu;

/// Where the hook sits.
pub(crate) const FAMILY: Family = Family::Arp(ArpHook::Out);

/// Before the filters of arptables and nftables, which are at 0: they see the MAC that goes out.
pub(crate) const PRIORITY: i32 = -1;

impl Handler for Namespace {
    fn packet(&self, skb: &mut SkBuff, state: &State<'_>) -> Verdict {
        let message = skb.read_network::<{ arp::LEN }>();
        let Some(sender) = message.as_ref().and_then(|bytes| arp::sender(bytes)) else {
            return Verdict::Accept;
        };
        let guard = rcu::read_lock();
        let Some(vip) = self.vips.find(sender, &guard) else {
            return Verdict::Accept;
        };
        // On another device the address is an ordinary one, at that device's own MAC.
        let out = state.out_device().map(|dev| dev.ifindex());
        if out.is_none() || out != vip.ifindex() {
            return Verdict::Accept;
        }
        // CAST: A constant, 28.
        let written = skb
            .network_header_mut(arp::LEN as u32)
            .is_some_and(|message| arp::set_sender_mac(message, vip.mac));
        // Better no answer, which is asked for again, than one that draws all of the VIP's traffic to
        // this node alone.
        if !written {
            return Verdict::Drop;
        }
        vip.count_arp();
        Verdict::Accept
    }
}
