// SPDX-License-Identifier: GPL-2.0-only

//! keepalived with the example configuration and the script that we ship, on three nodes: a node dies
//! and comes back, its web server hangs, its keepalived dies, and VRRP does not get through.

use crate::client::Clients;
use crate::client::Request;
use crate::network::Network;
use crate::network::NODES;
use crate::network::VIP;
use crate::node::log;
use crate::node::Node;
use crate::report::answering;
use crate::report::expect_untouched;
use crate::report::seen;
use crate::report::silence;
use crate::script::keepalived_script_alone;
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
use std::thread::sleep;
use std::time::Duration;
use std::time::Instant;

/// A share may be without an answer for so long.
const LIMIT: Duration = Duration::from_secs(10);
/// What is under way at a moment is over by then.
const SETTLED: Duration = Duration::from_millis(500);
const SCRIPT: &str = "node-keepalived.sh";

pub fn tests() -> Vec<Test> {
    tests![
        keepalived_script_alone,
        keepalived_node_dies_and_returns,
        keepalived_web_server_hangs,
        keepalived_dies_alone,
        keepalived_split_brain,
    ]
}

/// Three nodes in their places; one may be away.
struct Cluster<'a> {
    ctx: &'a Ctx,
    network: Network,
    nodes: [Option<Node>; NODES],
}

impl<'a> Cluster<'a> {
    fn up(ctx: &'a Ctx) -> Result<Self> {
        program("modprobe ipt_CLUSTERIP")?;
        let network = Network::new(ctx)?;
        let mut cluster = Self {
            ctx,
            network,
            nodes: [None, None, None],
        };
        for number in 1..=NODES {
            cluster.start(number)?;
        }
        cluster.expect_all_at_home()?;
        Ok(cluster)
    }

    fn start(&mut self, number: usize) -> Result<()> {
        let node = Node::start(self.ctx, &self.network, number, SCRIPT)?;
        self.nodes[number - 1] = Some(node);
        Ok(())
    }

    fn node(&self, number: usize) -> Result<&Node> {
        self.nodes[number - 1].as_ref().context("a node is away")
    }

    fn crash(&mut self, number: usize) -> Result<Instant> {
        let node = self.nodes[number - 1].take().context("a node is away")?;
        node.crash(&self.network)
    }

    /// What the files say, for those that are here.
    fn files(&self) -> Result<Vec<String>> {
        self.nodes
            .iter()
            .flatten()
            .map(|node| {
                let numbers = node.numbers()?.unwrap_or("no file".into());
                Ok(format!("node{}: {numbers}", node.number))
            })
            .collect()
    }

    /// Waits for files, and says when they were so.
    fn expect_files(
        &self,
        what: &str,
        limit: Duration,
        wanted: impl Fn(&[String]) -> bool,
    ) -> Result<Instant> {
        let deadline = Instant::now() + limit;
        loop {
            let files = self.files()?;
            if wanted(&files) {
                return Ok(Instant::now());
            }
            if Instant::now() > deadline {
                self.tell_logs();
                anyhow::bail!("not within {limit:?}: {what}; there is {files:?}");
            }
            sleep(Duration::from_millis(20));
        }
    }

    /// Each node has its own number and no other.
    fn expect_all_at_home(&self) -> Result<Instant> {
        let home: Vec<String> = (1..=NODES).map(|n| format!("node{n}: {n}")).collect();
        let limit = pace::patience(Duration::from_secs(60));
        self.expect_files("each node with its own number", limit, |files| {
            files == home
        })
    }

    /// One node, and one only, of those that are here has a number that is not its own.
    fn expect_taken(&self, number: usize) -> Result<Instant> {
        let has = |file: &String| {
            let numbers = file.split_once(": ").map_or("", |(_, numbers)| numbers);
            numbers.split(',').any(|one| one == number.to_string())
        };
        self.expect_files(
            &format!("number {number} on another node"),
            LIMIT,
            |files| {
                let own = format!("node{number}:");
                files.iter().filter(|file| has(file)).count() == 1
                    && !files.iter().any(|file| file.starts_with(&own) && has(file))
            },
        )
    }

    /// For who looks for the reason.
    fn tell_logs(&self) {
        for number in 1..=NODES {
            for what in ["errors", "notify", "keepalived"] {
                let text = fs::read_to_string(log(number, what)).unwrap_or_default();
                let lines: Vec<&str> = text.lines().collect();
                for line in &lines[lines.len().saturating_sub(25)..] {
                    println!("  node{number} {what}: {line}");
                }
            }
        }
    }
}

/// A stretch of time.
type Span = (Instant, Instant);

/// What happened to a share that moved in a span, and that nothing happened to the others in the whole
/// time; printed as a line of the table in docs/keepalived.md.
fn moved(what: &str, requests: &[Request], share: usize, whole: Span, span: Span) -> Result<()> {
    let silence = silence(requests, share, share, span.0)?;
    // Connections that were open already are lost, too.
    let moved = seen(requests, share, span.0 - SETTLED, span.1);
    let others: Vec<_> = (1..=NODES)
        .filter(|other| *other != share)
        .map(|other| seen(requests, other, whole.0, whole.1))
        .collect();
    println!(
        "measured | {what} | {:.1} s | {} of {} | {} | {} of {} | {:.1} s |",
        silence.as_secs_f32(),
        moved.lost,
        moved.asked,
        moved.doubled,
        others.iter().map(|other| other.lost).sum::<usize>(),
        others.iter().map(|other| other.asked).sum::<usize>(),
        others
            .iter()
            .map(|other| other.slowest.as_secs_f32())
            .fold(0.0, f32::max)
    );
    ensure!(
        silence <= LIMIT,
        "{what}: share {share} was without an answer for {silence:?}"
    );
    (1..=NODES)
        .filter(|other| *other != share)
        .try_for_each(|other| expect_untouched(requests, other, whole.0, whole.1))
}

fn rounds() -> Result<usize> {
    match std::env::var("ROUNDS") {
        Ok(text) => text.parse().context("ROUNDS"),
        Err(_) => Ok(1),
    }
}

fn keepalived_node_dies_and_returns(ctx: &mut Ctx) -> Result<()> {
    let mut cluster = Cluster::up(ctx)?;
    for round in 0..rounds()? {
        let victim = 1 + (round + 1) % NODES;
        let clients = Clients::start(&cluster.network, NODES)?;
        let start = Instant::now();
        clients.watch()?;
        let dead = cluster.crash(victim)?;
        let taken = cluster.expect_taken(victim)?;
        clients.watch()?;
        let returns = Instant::now();
        cluster.start(victim)?;
        let back = cluster.expect_all_at_home()?;
        clients.watch()?;
        let end = Instant::now();
        let requests = clients.stop()?;

        expect_untouched(&requests, victim, start, dead - SETTLED)?;
        let what = format!("node {victim} loses its power");
        moved(&what, &requests, victim, (start, end), (dead, returns))?;
        let after = seen(&requests, victim, returns, end);
        println!(
            "measured | node {victim} returns, has its number {:.1} s after its start | | {} of {} | {} | | |",
            (back - returns).as_secs_f32(),
            after.lost,
            after.asked,
            after.doubled
        );
        println!(
            "  number {victim} taken {:.1} s after the cut",
            (taken - dead).as_secs_f32()
        );
        let last = answering(&requests, victim, back + SETTLED, end);
        ensure!(
            last == [victim],
            "share {victim} is answered by {last:?} in the end"
        );
    }
    Ok(())
}

fn keepalived_web_server_hangs(ctx: &mut Ctx) -> Result<()> {
    const SICK: usize = 1;
    let cluster = Cluster::up(ctx)?;
    let clients = Clients::start(&cluster.network, NODES)?;
    let start = Instant::now();
    clients.watch()?;
    cluster.node(SICK)?.signal("lighttpd", Signal::SIGSTOP)?;
    let hangs = Instant::now();
    cluster.expect_taken(SICK)?;
    let given_up = cluster.node(SICK)?.numbers()?;
    ensure!(
        given_up.as_deref() == Some(""),
        "the sick node still has {given_up:?}"
    );
    clients.watch()?;
    let well = Instant::now();
    cluster.node(SICK)?.signal("lighttpd", Signal::SIGCONT)?;
    let back = cluster.expect_all_at_home()?;
    clients.watch()?;
    let end = Instant::now();
    let requests = clients.stop()?;

    let what = format!("the web server of node {SICK} hangs");
    moved(&what, &requests, SICK, (start, end), (hangs, well))?;
    let last = answering(&requests, SICK, back + SETTLED, end);
    ensure!(
        last == [SICK],
        "share {SICK} is answered by {last:?} in the end"
    );
    println!(
        "  it answers again: number {SICK} is back after {:.1} s",
        (back - well).as_secs_f32()
    );
    Ok(())
}

/// keepalived is killed and its node lives: it must not go on answering for what others take.
fn keepalived_dies_alone(ctx: &mut Ctx) -> Result<()> {
    const VICTIM: usize = 3;
    let cluster = Cluster::up(ctx)?;
    let clients = Clients::start(&cluster.network, NODES)?;
    let start = Instant::now();
    clients.watch()?;
    cluster
        .node(VICTIM)?
        .signal("keepalived", Signal::SIGKILL)?;
    let dead = Instant::now();
    cluster.expect_taken(VICTIM)?;
    clients.watch()?;
    let end = Instant::now();
    let requests = clients.stop()?;

    let what = format!("keepalived of node {VICTIM} is killed");
    moved(&what, &requests, VICTIM, (start, end), (dead, end))?;
    let doubled = seen(&requests, VICTIM, dead, end).doubled;
    ensure!(doubled == 0, "{doubled} requests were answered twice");
    Ok(())
}

/// Node 3 does not hear VRRP: it takes all numbers for dead and answers beside their holders.
fn keepalived_split_brain(ctx: &mut Ctx) -> Result<()> {
    const DEAF: usize = 3;
    let cluster = Cluster::up(ctx)?;
    let deaf = &cluster.node(DEAF)?.ns;
    deaf.iptables("-I INPUT -p vrrp -j DROP")?;
    let split = ["node1: 1", "node2: 2", "node3: 1,2,3"];
    cluster.expect_files("two nodes with a number", LIMIT, |files| files == split)?;

    let clients = Clients::start(&cluster.network, NODES)?;
    let start = Instant::now();
    clients.watch()?;
    let heals = Instant::now();
    deaf.iptables("-D INPUT -p vrrp -j DROP")?;
    let healed = cluster.expect_all_at_home()?;
    clients.watch()?;
    let end = Instant::now();
    let requests = clients.stop()?;

    for share in 1..=NODES {
        let seen = seen(&requests, share, start, heals);
        println!(
            "split | {share} | {} | {} | {} |",
            seen.asked, seen.doubled, seen.lost
        );
        ensure!(
            seen.asked >= 5,
            "share {share} was asked only {} times",
            seen.asked
        );
        if share == DEAF {
            ensure!(
                seen.doubled == 0 && seen.lost == 0,
                "the deaf node's own share suffers"
            );
        } else {
            ensure!(
                seen.doubled == seen.asked,
                "share {share}: {} of {} requests were answered twice, all should be",
                seen.doubled,
                seen.asked
            );
        }
    }
    let after = healed + SETTLED;
    (1..=NODES).try_for_each(|share| expect_untouched(&requests, share, after, end))?;
    println!(
        "  healed {:.1} s after VRRP got through again",
        (healed - heals).as_secs_f32()
    );
    let log = fs::read_to_string(log(1, "keepalived"))?;
    let sign = log.lines().find(|line| {
        line.contains(&format!("({VIP}/1)")) && line.contains("10.0.0.3 with lower priority")
    });
    let sign = sign.context("node 1's log has no line about a lower priority")?;
    println!("  node 1 logs: {sign}");
    Ok(())
}
