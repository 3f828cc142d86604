// SPDX-License-Identifier: GPL-2.0-only

//! strongSwan's ha plugin, in Debian's charon, on two nodes: it finds the VIP's file empty, takes all
//! segments when it is alone, gives one to a peer that asks for it, and takes it back when that one dies.

use crate::client::Clients;
use crate::ike::strongswan_ike_goes_on;
use crate::network::Network;
use crate::network::VIP;
use crate::node::log;
use crate::node::Node;
use crate::report::answering;
use crate::report::expect_untouched;
use crate::report::seen;
use crate::report::silence;
use anyhow::bail;
use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use harness::host::program;
use harness::pace;
use harness::tests;
use harness::Ctx;
use harness::Test;
use nix::sys::signal::Signal;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::thread::sleep;
use std::time::Duration;
use std::time::Instant;

const SCRIPT: &str = "node-strongswan.sh";
const SEGMENTS: usize = 2;
/// The plugin's own time is 2.1 s.
const LIMIT: Duration = Duration::from_secs(10);
const SETTLED: Duration = Duration::from_millis(500);

pub fn tests() -> Vec<Test> {
    tests![
        strongswan_segments_move,
        strongswan_ike_goes_on,
        strongswan_without_root
    ]
}

/// Waits until the files of nodes say this; the moment.
pub fn expect(what: &str, wanted: &[(&Node, &str)]) -> Result<Instant> {
    let limit = pace::patience(LIMIT);
    let deadline = Instant::now() + limit;
    loop {
        let mut seen = Vec::new();
        for (node, _) in wanted {
            seen.push(node.numbers()?.context("no file")?);
        }
        if seen
            .iter()
            .zip(wanted)
            .all(|(seen, (_, text))| seen == text)
        {
            return Ok(Instant::now());
        }
        if Instant::now() > deadline {
            tell_logs();
            bail!("{what}: not within {limit:?}; the files say {seen:?}");
        }
        sleep(Duration::from_millis(20));
    }
}

pub fn tell_logs() {
    for number in [1, 2, 9] {
        for what in ["errors", "charon"] {
            let text = fs::read_to_string(log(number, what)).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            for line in &lines[lines.len().saturating_sub(25)..] {
                println!("  node{number} {what}: {line}");
            }
        }
    }
}

/// What charons wrote in the test before.
pub fn forget_logs() {
    for number in [1, 2, 9] {
        let _ = fs::remove_file(log(number, "charon"));
    }
}

/// Starts a node; its charon has looked at the VIP's file then.
pub fn start(ctx: &Ctx, network: &Network, number: usize) -> Result<Node> {
    let lines = || {
        let text = fs::read_to_string(log(number, "charon")).unwrap_or_default();
        text.matches("HA heartbeat, delay").count()
    };
    let before = lines();
    let node = Node::start(ctx, network, number, SCRIPT)?;
    let deadline = Instant::now() + pace::patience(Duration::from_secs(30));
    while lines() == before {
        if Instant::now() > deadline {
            tell_logs();
            bail!("charon of node {number} did not start its ha plugin");
        }
        sleep(Duration::from_millis(20));
    }
    Ok(node)
}

/// Tells a node's charon by its fifo.
pub fn tell(node: &Node, command: &str) -> Result<()> {
    node.inside("charon", &format!("echo {command} >/run/charon.ha"))
        .map(drop)
}

fn strongswan_segments_move(ctx: &mut Ctx) -> Result<()> {
    program("modprobe ipt_CLUSTERIP")?;
    ctx.log()?;
    forget_logs();
    let network = Network::new(ctx)?;
    let first = start(ctx, &network, 1)?;
    ensure!(
        first.numbers()?.as_deref() == Some(""),
        "the file should be empty until the peer's heartbeat is missed"
    );
    expect("one node alone takes all", &[(&first, "1,2")])?;
    let second = start(ctx, &network, 2)?;
    // Whether it has a segment by now depends on the heartbeats that waited for it on the wire. Each is
    // told to take one, and the other gives it up.
    tell(&second, "+1")?;
    tell(&first, "+2")?;
    expect(
        "each has the one it asks for",
        &[(&first, "2"), (&second, "1")],
    )?;

    let clients = Clients::start(&network, SEGMENTS)?;
    let begin = Instant::now();
    clients.watch()?;
    let dead = first.crash(&network)?;
    let taken = expect("the survivor takes all", &[(&second, "1,2")])?;
    clients.watch()?;
    let returns = Instant::now();
    let first = start(ctx, &network, 1)?;
    tell(&first, "+2")?;
    let back = expect("the first one asks for 2", &[(&first, "2"), (&second, "1")])?;
    clients.watch()?;
    let end = Instant::now();
    let requests = clients.stop()?;

    expect_untouched(&requests, 1, begin, end)?;
    expect_untouched(&requests, 2, begin, dead - SETTLED)?;
    let silence = silence(&requests, 2, 1, dead)?;
    let moved = seen(&requests, 2, dead - SETTLED, returns);
    println!(
        "measured | node 1 loses its power | {:.1} s | {} of {} | {} |",
        silence.as_secs_f32(),
        moved.lost,
        moved.asked,
        moved.doubled
    );
    println!(
        "  segment 2 taken {:.1} s after the cut",
        (taken - dead).as_secs_f32()
    );
    ensure!(
        silence <= LIMIT,
        "share 2 was without an answer for {silence:?}"
    );
    for (share, node) in [(1, 2), (2, 1)] {
        let last = answering(&requests, share, back + SETTLED, end);
        ensure!(
            last == [node],
            "share {share} is answered by {last:?} in the end, not by {node}"
        );
    }

    // Told to end, charon gives up what it has; the other one takes it.
    first.signal("charon", Signal::SIGTERM)?;
    expect("charon is told to end", &[(&first, ""), (&second, "1,2")])?;
    ctx.expect_silence()
}

/// charon gives the file to the user that it becomes, before it is no longer root.
fn strongswan_without_root(ctx: &mut Ctx) -> Result<()> {
    program("modprobe ipt_CLUSTERIP")?;
    ctx.log()?;
    forget_logs();
    let network = Network::new(ctx)?;
    std::env::set_var("HA_USER", "daemon");
    let node = start(ctx, &network, 1);
    std::env::remove_var("HA_USER");
    let node = node?;
    let owner = |path: &str| node.ns.enter(|| fs::metadata(path).map(|file| file.uid()));
    expect("one node alone takes all", &[(&node, "1,2")])?;
    let charon = node.processes("charon")?;
    let charon = charon.first().context("there is no charon")?;
    let user = owner(&format!("/proc/{charon}"))??;
    let file = owner(&format!("/proc/thread-self/net/ipt_CLUSTERIP/{VIP}"))??;
    ensure!(
        user != 0 && user == file,
        "charon runs as user {user}, the file belongs to {file}"
    );
    tell(&node, "-1")?;
    expect("charon drops a segment", &[(&node, "2")])?;
    Ok(())
}
