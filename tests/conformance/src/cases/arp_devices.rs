// SPDX-License-Identifier: GPL-2.0-only

//! §4, §5: the VIP's answers while its device changes.

use super::arp::ask;
use super::arp::next_of;
use super::arp::node;
use super::arp::second_wire;
use super::bench::NODE;
use super::devices::batch;
use crate::case::Case;
use crate::case::Entry;
use crate::cases;
use anyhow::Result;
use harness::cluster::VIP;
use harness::cluster::VIP_ADDRESS;
use harness::tap::Tap;
use harness::tap::ETH_ARP;

pub fn cases() -> Vec<Entry> {
    cases![
        "4" => arp_renamed_away, arp_renamed_back, arp_other_device_takes_name, arp_device_made_again,
            arp_device_moved_and_back, arp_announcement_of_renamed
    ]
}

fn arp_renamed_away(case: &mut Case) -> Result<()> {
    let (bench, tap) = node(case)?;
    batch(&bench.host, "link set eth0 name away\n")?;
    ask(case, "answer", &tap, VIP_ADDRESS)
}

fn arp_renamed_back(case: &mut Case) -> Result<()> {
    let (bench, tap) = node(case)?;
    batch(
        &bench.host,
        "link set eth0 name away\nlink set away name eth0\n",
    )?;
    ask(case, "answer", &tap, VIP_ADDRESS)
}

fn arp_other_device_takes_name(case: &mut Case) -> Result<()> {
    let (bench, tap) = node(case)?;
    let other = second_wire(&bench)?;
    batch(
        &bench.host,
        "link set eth0 name away\nlink set eth1 name eth0\n",
    )?;
    ask(case, "of the one before", &tap, VIP_ADDRESS)?;
    ask(case, "of the one with the name", &other, VIP_ADDRESS)
}

fn arp_device_made_again(case: &mut Case) -> Result<()> {
    let (bench, tap) = node(case)?;
    drop(tap);
    bench.host.ip("link del eth0\n")?;
    bench.wire.ip(
        "link add w9 type veth peer name eth0 address 02:00:00:00:00:09 netns node\nlink set w9 up\n",
    )?;
    bench.host.ip(&format!(
        "link set eth0 up\naddr add {NODE}/24 dev eth0\naddr add {VIP}/24 dev eth0\n"
    ))?;
    let tap = Tap::new(&bench.wire, "w9", ETH_ARP)?;
    ask(case, "answer", &tap, VIP_ADDRESS)
}

fn arp_device_moved_and_back(case: &mut Case) -> Result<()> {
    let (bench, tap) = node(case)?;
    let addresses =
        format!("link set eth0 up\naddr add {NODE}/24 dev eth0\naddr add {VIP}/24 dev eth0\n");
    let elsewhere = case.ctx.netns("elsewhere")?;
    bench.host.ip("link set eth0 netns elsewhere\n")?;
    elsewhere.ip(&addresses)?;
    ask(case, "elsewhere", &tap, VIP_ADDRESS)?;
    elsewhere.ip("link set eth0 netns node\n")?;
    bench.host.ip(&addresses)?;
    ask(case, "back", &tap, VIP_ADDRESS)
}

fn arp_announcement_of_renamed(case: &mut Case) -> Result<()> {
    let (bench, tap) = node(case)?;
    bench
        .host
        .write("/proc/sys/net/ipv4/conf/eth0/arp_notify", "1")?;
    bench
        .host
        .ip("link set eth0 down\nlink set eth0 name away\nlink set away up\n")?;
    next_of(case, "VIP", &tap, VIP_ADDRESS)
}
