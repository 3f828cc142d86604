// SPDX-License-Identifier: GPL-2.0-only

//! `/proc/net/stat/ipt_CLUSTERIP`: what every VIP is, and what was counted of each of its nodes, for anybody to read.
//!
//! Not in the directory of the VIPs' files, where strongSwan takes every name for a VIP.

#![forbid(unsafe_code)]

use crate::abstractions::net::pernet::PerNet;
use crate::abstractions::net::Net;
use crate::abstractions::proc_table::is_full;
use crate::abstractions::proc_table::Table;
use crate::registry::Namespace;
use crate::request::Shown;
use kernel::prelude::*;
use kernel::seq_file::seq_print;
use kernel::seq_file::SeqFile;

/// The table: one row for each VIP and number. Columns are only ever added, at the end.
pub(crate) struct Stat;

impl Table for Stat {
    fn header(out: &SeqFile) {
        seq_print!(
            out,
            "vip number mine accepted left arp generation total hashmode hash_init clustermac device ifindex\n"
        );
    }

    fn next(net: &Net, from: u32) -> Option<u32> {
        Namespace::slot().get(net)?.vips.place_from(from)
    }

    fn show(net: &Net, place: u32, out: &SeqFile) -> Result {
        let namespace = Namespace::slot().get(net).ok_or(EIO)?;
        let Some(vip) = namespace.vips.at(place) else {
            return Ok(());
        };
        let (nodes, generation) = {
            let _sets = namespace.sets.lock();
            (vip.mine(), vip.generation())
        };
        let (arp, params) = (vip.arp(), vip.hash.params());
        for counted in vip.counted() {
            // All of it is asked for again then, with more room.
            if is_full(out) {
                break;
            }
            seq_print!(
                out,
                "{}\n",
                core::format_args!(
                    "{:?} {} {} {} {} {arp} {generation} {} {} {} {} {} {}",
                    vip.address,
                    counted.node,
                    u8::from(nodes.contains(counted.node)),
                    counted.accepted,
                    counted.left,
                    params.total,
                    params.mode.name(),
                    params.seed,
                    vip.mac,
                    Shown(&vip.device),
                    vip.ifindex().unwrap_or(0),
                )
            );
        }
        Ok(())
    }
}
