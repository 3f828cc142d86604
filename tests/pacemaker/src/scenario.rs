// SPDX-License-Identifier: GPL-2.0-only

//! The scenario: three nodes share a VIP; one after the other gives up its number, loses its machine
//! or its cable, and comes back, while a client keeps asking.

use crate::agent;
use crate::articles;
use crate::bed::Bed;
use crate::bed::Files;
use crate::bed::NODES;
use crate::bed::VIP;
use crate::client::Asked;
use crate::client::Stream;
use crate::machine::Machine;
use crate::report::Report;
use crate::settled::settle;
use crate::settled::Settled;
use crate::settled::PROMPT;
use crate::traces;
use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Instant;

#[derive(clap::Args)]
pub struct Arguments {
    /// The agent, without `ocf:`.
    #[arg(long, default_value = "heartbeat:IPaddr2")]
    agent: String,
    /// How often each of the three things happens.
    #[arg(long, default_value_t = 1)]
    rounds: usize,
    /// First the articles' own lines.
    #[arg(long)]
    articles: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Standby,
    Crash,
    Cable,
}

/// Where the lab puts our agent.
const OURS: &str = "/opt/clusterip/ClusterIP";

const KINDS: [Kind; 3] = [Kind::Standby, Kind::Crash, Kind::Cable];

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Standby => "standby",
            Self::Crash => "crash",
            Self::Cable => "cable",
        }
    }

    fn happens(self, bed: &mut Bed, number: usize) -> Result<()> {
        match self {
            Self::Standby => standby(bed, number, "on"),
            Self::Crash => {
                let node = bed.machines.remove(&number).context("it is down")?;
                node.crash(&bed.switch)
            }
            Self::Cable => bed
                .switch
                .ip(&format!("link set node{number} down\n"))
                .map(drop),
        }
    }

    fn ends(self, bed: &mut Bed, number: usize) -> Result<()> {
        match self {
            Self::Standby => standby(bed, number, "off"),
            Self::Crash => {
                let node = Machine::start(number, &bed.switch)?;
                bed.machines.insert(number, node);
                Ok(())
            }
            Self::Cable => bed
                .switch
                .ip(&format!("link set node{number} up\n"))
                .map(drop),
        }
    }
}

fn standby(bed: &Bed, number: usize, value: &str) -> Result<()> {
    let line = format!("crm_standby -N node{number} -v {value}");
    bed.machine(number)?.run(&line).map(drop)
}

/// What the clients of the numbers that moved have met.
#[derive(Clone, Copy)]
struct Measured {
    /// From the event to the number's appearance in another node's file.
    moved: f64,
    /// From the first connection that was not answered at once to the first that was again.
    silent: f64,
    lost: usize,
    late: usize,
}

/// Taken over (false) before given back (true).
type Table = BTreeMap<(Kind, bool), Vec<Measured>>;

pub fn run(arguments: &Arguments) -> Report {
    let mut report = Report::new();
    let mut table = Table::new();
    if arguments.agent == "clusterip:ClusterIP" {
        if let Err(error) = agent::install(OURS) {
            report.test("our agent in its place", Err(error));
            return report;
        }
    }
    match Bed::new() {
        Ok(mut bed) => {
            report.test(
                "three nodes are online",
                Ok("Pacemaker and Corosync".to_string()),
            );
            if arguments.articles {
                articles::run(&bed, &mut report);
            }
            if !all(arguments, &mut bed, &mut report, &mut table) {
                bed.tell();
            }
            report.test("the clone stopped", articles::stopped(&bed));
            report.test("all nodes switched off in order", over(bed));
        }
        Err(error) => {
            report.test("three nodes are online", Err(error));
        }
    }
    print(&table);
    report
}

/// `start` is for the start operation.
fn configure(bed: &Bed, agent: &str, start: &str) -> Result<()> {
    // A clone of that name is of the test before.
    let there = bed.any()?.run("cibadmin -Q")?.contains("cloneIP");
    if there {
        bed.crm("configure\ndelete cloneIP resIP\ncommit\n")?;
    }
    bed.crm(&format!(
        "configure\n\
         {} batch-limit=0\n\
         primitive resIP ocf:{agent} params ip={VIP} nic=eth0 cidr_netmask=24 \
         clusterip_hash=sourceip-sourceport meta resource-stickiness=0 \
         op monitor interval=10s timeout=180s op start interval=0 timeout=180s {start} op stop interval=0 timeout=180s\n\
         clone cloneIP resIP meta clone-max={NODES} clone-node-max={NODES} globally-unique=true\n\
         commit\n",
        articles::PROPERTIES
    ))
    .map(drop)
}

fn all(arguments: &Arguments, bed: &mut Bed, report: &mut Report, table: &mut Table) -> bool {
    if !report.test("one number each", begin(bed, &arguments.agent, ""))
        || !report.test("the client's ARP answers", arp(bed))
        || !report.test("1,000 connections", thousand(bed))
    {
        return false;
    }
    let stream = match bed.client.keep_asking() {
        Ok(stream) => stream,
        Err(error) => return report.test("a client that keeps asking", Err(error)),
    };
    let mut good = true;
    for round in 1..=arguments.rounds {
        for (place, kind) in KINDS.into_iter().enumerate() {
            // Each node meets each of them in three rounds.
            let number = (round + place) % NODES + 1;
            let what = format!("round {round}, {} of node{number}", kind.name());
            let away = event(bed, &stream, kind, number, true, table);
            good &= report.test(&what, away);
            let back = event(bed, &stream, kind, number, false, table);
            good &= report.test(&format!("{what}, it comes back"), back);
            if !good {
                break;
            }
        }
        if !good {
            break;
        }
    }
    report.test(
        "the client kept asking to the end",
        stream
            .stop()
            .map(|()| "thirty times a second at most".to_string()),
    ) && good
}

/// Configures the clone and waits for a number on each node.
pub fn begin(bed: &Bed, agent: &str, start: &str) -> Result<String> {
    configure(bed, agent, start)?;
    let nodes = bed.machines.keys().copied().collect();
    let settled = settle(bed, None, &nodes, &Files::new())?;
    traces::check(bed, &settled.files)?;
    Ok(told(&settled.files))
}

fn told(files: &Files) -> String {
    let each = files.iter().map(|(node, numbers)| {
        let numbers: Vec<String> = numbers.iter().map(usize::to_string).collect();
        format!("node{node}: {}", numbers.join(","))
    });
    each.collect::<Vec<_>>().join("; ")
}

/// All nodes answer, all with the MAC that the agent made.
fn arp(bed: &Bed) -> Result<String> {
    let wanted = traces::cluster_mac(VIP, 24)?;
    let seen = bed.client.arp()?;
    ensure!(
        seen == BTreeSet::from([wanted]),
        "the VIP should be at {}, it is at {:?}",
        traces::text(wanted),
        seen.into_iter().map(traces::text).collect::<Vec<_>>()
    );
    Ok(format!("{VIP} is at {}", traces::text(wanted)))
}

/// Each is answered once, by the node that has its number; doubles are counted on the wire.
fn thousand(bed: &Bed) -> Result<String> {
    let files = bed.files()?;
    let asked = bed.client.ask(1000)?;
    let mut by_node = BTreeMap::new();
    for one in &asked {
        let node = one
            .node
            .with_context(|| format!("nobody answered {one:?}"))?;
        ensure!(
            files
                .get(&node)
                .is_some_and(|numbers| numbers.contains(&one.share)),
            "number {} was answered by node{node}, {files:?}",
            one.share
        );
        ensure!(
            one.senders == BTreeSet::from([[2, 0, 0, 0, 0, node as u8]]),
            "one connection, packets from {:?}",
            one.senders
        );
        *by_node.entry(node).or_insert(0) += 1;
    }
    ensure!(
        asked.len() == 1000 && by_node.len() == NODES && by_node.values().all(|count| *count > 200),
        "the nodes should share them: {by_node:?}"
    );
    Ok(format!("each answered once: {by_node:?}"))
}

/// A node goes (`away`) or comes back: what its numbers' clients met.
fn event(
    bed: &mut Bed,
    stream: &Stream,
    kind: Kind,
    number: usize,
    away: bool,
    table: &mut Table,
) -> Result<String> {
    let before = bed.files()?;
    let start = Instant::now();
    let mut nodes: BTreeSet<usize> = (1..=NODES).collect();
    if away {
        kind.happens(bed, number)?;
        nodes.remove(&number);
    } else {
        kind.ends(bed, number)?;
    }
    let settled = settle(bed, Some(stream), &nodes, &before)?;
    stream.drain()?;
    let asked = stream.since(start);
    let moves = measure(&before, &settled, start, &asked)?;
    traces::check(bed, &settled.files)?;
    let mut lines = Vec::new();
    for (share, measured) in moves {
        let Measured {
            moved,
            silent,
            lost,
            late,
        } = measured;
        lines.push(format!(
            "number {share} moved after {moved:.1} s, silent for {silent:.1} s, {lost} connections lost, {late} late"
        ));
        table.entry((kind, !away)).or_default().push(measured);
    }
    Ok(format!("{}; {}", lines.join("; "), told(&settled.files)))
}

/// Of each number that moved; the others' clients must have met nothing, and no client two nodes.
fn measure(
    before: &Files,
    settled: &Settled,
    start: Instant,
    asked: &[Asked],
) -> Result<BTreeMap<usize, Measured>> {
    let doubles = asked.iter().filter(|one| one.accepted.len() > 1).count();
    ensure!(doubles == 0, "{doubles} connections were accepted twice");
    ensure!(!settled.moved.is_empty(), "no number moved");
    ensure!(
        settled.moved.len() == 1,
        "more than one number moved: {:?}, {before:?}, {:?}",
        settled.moved.keys(),
        settled.files
    );
    let mut moves = BTreeMap::new();
    for share in 1..=NODES {
        let asked: Vec<&Asked> = asked.iter().filter(|one| one.share == share).collect();
        ensure!(asked.len() > 20, "only {} asked for {share}", asked.len());
        let lost = asked.iter().filter(|one| one.took.is_none()).count();
        let Some(moved) = settled.moved.get(&share) else {
            ensure!(
                lost == 0,
                "{lost} connections of number {share} were lost, which did not move"
            );
            continue;
        };
        let prompt = |one: &&&Asked| one.took.is_some_and(|took| took < PROMPT);
        let first = asked.iter().position(|one| !prompt(&one));
        let last = asked.iter().rposition(|one| !prompt(&one));
        let silent = match (first, last) {
            (Some(first), Some(last)) => {
                let end = asked.get(last + 1).context("silent to the end")?;
                (end.started - asked[first].started).as_secs_f64()
            }
            _ => 0.0,
        };
        let late = asked
            .iter()
            .filter(|one| one.took.is_some_and(|took| took >= PROMPT))
            .count();
        moves.insert(
            share,
            Measured {
                moved: (*moved - start).as_secs_f64(),
                silent,
                lost,
                late,
            },
        );
    }
    Ok(moves)
}

/// The machine is as it was before: nothing uses the module, and it goes.
pub fn over(bed: Bed) -> Result<String> {
    bed.power_off()?;
    harness::eventually("the end of all rules", || {
        Ok(harness::clean::uses()? == Some(0))
    })?;
    let names = std::fs::read_dir(harness::netns::DIRECTORY)?.count();
    ensure!(names == 0, "{names} namespaces still have a name");
    harness::module::unload()?;
    Ok("no namespace is left, and the module can be unloaded".to_string())
}

/// The table of the page in docs/, when there is something to tell.
fn print(table: &Table) {
    if table.is_empty() {
        return;
    }
    println!("| what happens | times | the number moved after | its clients met silence for | connections lost | answered late |");
    println!("| --- | --- | --- | --- | --- | --- |");
    for ((kind, back), all) in table {
        let way = if *back { "given back" } else { "taken over" };
        let what = match kind {
            Kind::Standby => "`crm node standby`",
            Kind::Crash => "crash",
            Kind::Cable => "cable pulled",
        };
        println!(
            "| {what}, number {way} | {} | {} s | {} s | {} | {} |",
            all.len(),
            range(all, |one| one.moved, 1),
            range(all, |one| one.silent, 1),
            range(all, |one| one.lost as f64, 0),
            range(all, |one| one.late as f64, 0),
        );
    }
}

/// The least, the middle and the greatest.
fn range(all: &[Measured], value: impl Fn(&Measured) -> f64, digits: usize) -> String {
    let mut values: Vec<f64> = all.iter().map(value).collect();
    values.sort_by(f64::total_cmp);
    let (first, middle, last) = (
        values[0],
        values[values.len() / 2],
        values[values.len() - 1],
    );
    format!("{first:.digits$} / {middle:.digits$} / {last:.digits$}")
}
