// SPDX-License-Identifier: GPL-2.0-only

//! IKE through a cluster of two gateways: each client is served by the one that has its segment, the
//! other one knows of it, and goes on with the same IKE_SA when the first one dies. That needs the plugin
//! and the kernel to agree on whose a client is.

use crate::network::Network;
use crate::network::VIP;
use crate::node::log;
use crate::node::Node;
use crate::node::LOGS;
use crate::strongswan::expect;
use crate::strongswan::forget_logs;
use crate::strongswan::start;
use crate::strongswan::tell;
use crate::strongswan::tell_logs;
use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use harness::host::program;
use harness::pace;
use harness::Ctx;
use std::fs;
use std::net::Ipv4Addr;
use std::thread::sleep;
use std::time::Duration;
use std::time::Instant;

/// The machine of the clients, and what they are called; the first is of segment 1.
const CLIENTS: usize = 9;
const NAMES: [&str; 2] = ["one", "two"];

const SECRETS: &str = "secrets {\n ike {\n  secret = only-for-the-lab\n }\n}\n";

/// An address of that segment, of two.
fn of_segment(segment: u32) -> Result<Ipv4Addr> {
    (200..=230)
        .map(|last| Ipv4Addr::new(10, 0, 0, last))
        .find(|address| jhash::node(0, address.octets(), [0; 4], 0, 2) == segment)
        .context("no client for a segment")
}

fn gateway() -> String {
    format!(
        "connections {{\n gateway {{\n  local_addrs = {VIP}\n  local {{\n   auth = psk\n   id = gateway\n  }}\n  \
         remote {{\n   auth = psk\n  }}\n  children {{\n   net {{\n    local_ts = {VIP}/32\n   }}\n  }}\n }}\n}}\n{SECRETS}"
    )
}

fn client(addresses: &[Ipv4Addr; 2]) -> String {
    let connections: Vec<String> = NAMES
        .iter()
        .zip(addresses)
        .map(|(name, address)| {
            let children: Vec<String> = [("a", ""), ("b", "[tcp/80]")]
                .iter()
                .map(|(child, what)| {
                    format!("   {name}-{child} {{\n    remote_ts = {VIP}/32{what}\n   }}\n")
                })
                .collect();
            format!(
                " {name} {{\n  local_addrs = {address}\n  remote_addrs = {VIP}\n  local {{\n   auth = psk\n   \
                 id = {name}\n  }}\n  remote {{\n   auth = psk\n   id = gateway\n  }}\n  children {{\n{}  }}\n }}\n",
                children.concat()
            )
        })
        .collect();
    format!("connections {{\n{}}}\n{SECRETS}", connections.concat())
}

/// Has a machine's charon read its connections.
fn load(node: &Node, text: &str) -> Result<()> {
    fs::write(format!("{LOGS}/swanctl{}.conf", node.number), text)?;
    let file = format!("{LOGS}/swanctl{}.conf", node.number);
    node.inside("charon", &format!("swanctl --load-all --file {file}"))
        .map(drop)
}

/// The states of the IKE_SAs with the two clients, as a gateway has them.
fn states(gateway: &Node) -> Result<[Option<String>; 2]> {
    let list = gateway.inside("charon", "swanctl --list-sas")?;
    let mut states = [None, None];
    let mut state = None;
    for line in list.lines() {
        if let Some((_, rest)) = line.split_once(": #") {
            if !line.starts_with(' ') {
                state = rest.split(", ").nth(1).map(str::to_string);
            }
        }
        for (name, slot) in NAMES.iter().zip(&mut states) {
            if line.trim_start().starts_with(&format!("remote '{name}' ")) {
                *slot = state.clone();
            }
        }
    }
    Ok(states)
}

/// Waits until a gateway has the IKE_SAs in these states.
fn expect_states(gateway: &Node, wanted: [&str; 2]) -> Result<()> {
    let limit = pace::patience(Duration::from_secs(10));
    let deadline = Instant::now() + limit;
    loop {
        let seen = states(gateway)?;
        let same = seen
            .iter()
            .zip(wanted)
            .all(|(seen, wanted)| seen.as_deref() == Some(wanted));
        if same {
            return Ok(());
        }
        if Instant::now() > deadline {
            tell_logs();
        }
        ensure!(
            Instant::now() < deadline,
            "node {}: the clients' IKE_SAs are {seen:?}, not {wanted:?}",
            gateway.number
        );
        sleep(Duration::from_millis(100));
    }
}

/// Waits until each charon has asked its peer for all that it knows, which it does a while after its
/// start. An IKE_SA that was made meanwhile was seen to be useless on the other one: it failed to decrypt
/// ("integrity check failed").
fn expect_settled() -> Result<()> {
    harness::eventually("charons that know what the other one knows", || {
        Ok([1, 2].iter().all(|number| {
            fs::read_to_string(log(*number, "charon"))
                .is_ok_and(|text| text.contains("requesting HA resynchronization"))
        }))
    })?;
    sleep(Duration::from_secs(2));
    Ok(())
}

fn initiate(clients: &Node, child: &str) -> Result<()> {
    let line = format!("swanctl --initiate --child {child} --timeout 30");
    let said = clients.inside("charon", &line);
    if said.is_err() {
        tell_logs();
    }
    said.map(drop)
}

pub fn strongswan_ike_goes_on(ctx: &mut Ctx) -> Result<()> {
    program("modprobe ipt_CLUSTERIP")?;
    ctx.log()?;
    forget_logs();
    let network = Network::new(ctx)?;
    let first = start(ctx, &network, 1)?;
    let second = start(ctx, &network, 2)?;
    tell(&first, "+1")?;
    tell(&second, "+2")?;
    expect("each has one", &[(&first, "1"), (&second, "2")])?;
    expect_settled()?;
    load(&first, &gateway())?;
    load(&second, &gateway())?;

    let addresses = [of_segment(1)?, of_segment(2)?];
    let clients = Node::start(ctx, &network, CLIENTS, "node-clients.sh")?;
    for address in addresses {
        clients
            .ns
            .ip(&format!("address add {address}/24 dev eth0\n"))?;
    }
    harness::eventually("the clients' charon", || {
        clients
            .inside(
                "charon",
                "swanctl --stats >/dev/null 2>&1 && echo up || echo no",
            )
            .map(|said| said == "up\n")
            .or(Ok(false))
    })?;
    load(&clients, &client(&addresses))?;

    initiate(&clients, "one-a")?;
    initiate(&clients, "two-a")?;
    expect_states(&first, ["ESTABLISHED", "PASSIVE"])?;
    expect_states(&second, ["PASSIVE", "ESTABLISHED"])?;

    first.crash(&network)?;
    expect("the survivor takes all", &[(&second, "1,2")])?;
    expect_states(&second, ["ESTABLISHED", "ESTABLISHED"])?;
    // A further exchange of the first client's IKE_SA: its peer is dead, and it does not notice.
    initiate(&clients, "one-b")?;
    let list = clients.inside("charon", "swanctl --list-sas --ike one")?;
    let sas = list
        .lines()
        .filter(|line| line.starts_with("one: #"))
        .count();
    ensure!(sas == 1, "the first client has {sas} IKE_SAs: {list}");
    println!("  IKE_SA of a client of the dead gateway went on at the other one");
    ctx.expect_silence()
}
