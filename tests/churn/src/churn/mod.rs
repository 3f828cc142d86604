// SPDX-License-Identifier: GPL-2.0-only

//! Everything at once: racers in all corners of the module, each a thread of this process. Every five
//! seconds all of them stop between two steps, and what is there is held against the rules.

mod devices;
mod ear;
mod files;
mod gate;
mod invariant;
mod loads;
mod readers;
mod spaces;
mod stage;
mod tables;
mod tally;
mod traffic;
mod vips;

use crate::aftermath;
use crate::report::Report;
use anyhow::anyhow;
use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use fastrand::Rng;
use gate::Gate;
use gate::Kind;
use harness::blob;
use harness::kmsg::Kmsg;
use harness::pace;
use invariant::Seen;
use stage::Stage;
use stage::TABLES;
use std::thread;
use std::thread::Scope;
use std::time::Duration;
use std::time::Instant;
use tally::Tally;
use tally::What;

#[derive(clap::Args)]
pub struct Arguments {
    /// How long all of it takes; three times as long at most, until each thing was done once.
    #[arg(long)]
    seconds: u64,
    /// Another seed, other choices of the racers. Which of them meet is the scheduler's choice.
    #[arg(long)]
    seed: u64,
}

const ROUND: Duration = Duration::from_secs(5);
/// One round in so many is about the module.
const MODULE_ROUND: u64 = 3;
/// A step that takes longer hangs.
const STUCK: Duration = Duration::from_secs(60);
const PROGRESS: Duration = Duration::from_secs(30);

pub fn run(arguments: &Arguments) -> Report {
    let mut report = Report::default();
    if !aftermath::forget(&mut report) {
        return report;
    }
    let tally = Tally::default();
    println!("churn: seed {}, {} s", arguments.seed, arguments.seconds);
    let start = Instant::now();
    let mut seen = Seen::default();
    let raced = race(arguments, &tally, &mut seen);
    report.test(
        "everything is as the rules say, at each pause",
        raced.map(|()| {
            format!(
                "{} pauses, {} rules, {} VIPs with one file each, {} memberships, \
                 {} packets, {} answers by ARP, {} pauses without the module",
                seen.pauses,
                seen.rules,
                seen.vips,
                seen.memberships,
                seen.packets,
                seen.answers,
                seen.unloaded
            )
        }),
    );
    report.test("every racer raced", all_raced(&tally, &seen));
    aftermath::test(&mut report);
    tally.add(What::Packets, seen.packets as usize);
    tally.add(What::Judged, seen.packets as usize);
    tally.add(What::Answers, seen.answers as usize);
    for (name, count) in tally.all() {
        println!("total {name} {count}");
    }
    println!("total pauses {}", seen.pauses);
    println!("total seconds {}", start.elapsed().as_secs());
    report
}

fn race(arguments: &Arguments, tally: &Tally, seen: &mut Seen) -> Result<()> {
    let mut log = Kmsg::from_now()?;
    let stage = Stage::new().context("the stage")?;
    let gate = Gate::new();
    let mut random = Rng::with_seed(arguments.seed);
    thread::scope(|scope| {
        let over = racers(scope, &stage, &gate, tally, &mut random)
            .and_then(|()| rounds(arguments, &stage, &gate, tally, seen, &mut random, &mut log));
        gate.end();
        over
    })?;
    stage.flush()
}

/// Rounds and pauses, until the time is over or something is wrong.
fn rounds(
    arguments: &Arguments,
    stage: &Stage,
    gate: &Gate,
    tally: &Tally,
    seen: &mut Seen,
    random: &mut Rng,
    log: &mut Kmsg,
) -> Result<()> {
    let start = Instant::now();
    let mut told = start;
    for round in 1.. {
        let kind = if round % MODULE_ROUND == 2 {
            Kind::Module
        } else {
            Kind::Rules
        };
        stage.prepare(kind)?;
        gate.start(kind);
        thread::sleep(ROUND);
        if let Err(error) = gate.pause(pace::patience(STUCK)) {
            // Their threads cannot be ended, nor waited for.
            println!("FAILED round {round}, {kind:?}: {error:#}");
            println!("0 passed, 1 failed");
            std::process::exit(1);
        }
        let faults = gate.faults();
        ensure!(
            faults.is_empty(),
            "round {round}, {kind:?}: {}",
            faults.join("; ")
        );
        invariant::check(stage, seen, random)
            .with_context(|| format!("after round {round}, {kind:?}"))?;
        let crashes = log.crashes()?;
        ensure!(
            crashes.is_empty(),
            "the kernel says: {}",
            crashes.join("; ")
        );
        if told.elapsed() >= PROGRESS {
            told = Instant::now();
            let counts: Vec<String> = tally
                .all()
                .iter()
                .map(|(name, count)| format!("{name} {count}"))
                .collect();
            println!(
                "churn: {} s of {}, {} pauses: {}",
                start.elapsed().as_secs(),
                arguments.seconds,
                seen.pauses,
                counts.join(", ")
            );
        }
        // On a slow machine some things take a while to happen at all.
        let elapsed = start.elapsed().as_secs();
        let patient = elapsed < arguments.seconds * 3 && tally.idle().next().is_some();
        if elapsed >= arguments.seconds && !patient {
            return Ok(());
        }
    }
    Ok(())
}

/// Starts all racers, each in its namespace; they wait for the first round.
fn racers<'scope, 'env>(
    scope: &'scope Scope<'scope, 'env>,
    stage: &'env Stage,
    gate: &'env Gate,
    tally: &'env Tally,
    random: &mut Rng,
) -> Result<()> {
    for host in &stage.hosts {
        let place = host.ns.name();
        for table in TABLES {
            let mut writer = tables::Writer {
                host,
                table,
                socket: host.ns.enter(blob::socket)??,
                random: random.fork(),
                tally,
            };
            let name = format!("tables {table} {place}");
            scope.spawn(move || gate.race(&name, |kind| writer.step(kind)));
        }
        let mut own = random.fork();
        let name = format!("iptables {place}");
        scope.spawn(move || gate.race(&name, |kind| tables::restore(host, kind, &mut own, tally)));
        for node in [2, 3] {
            let mut own = random.fork();
            let name = format!("writer of {node} {place}");
            scope.spawn(move || inside(host, gate, &name, || files::write(node, &mut own, tally)));
        }
        let (mut own, mut reader) = (random.fork(), readers::SlowReader::default());
        let name = format!("slow reader {place}");
        scope.spawn(move || inside(host, gate, &name, || reader.step(&mut own, tally)));
        let mut churner = devices::Churner::new(stage, host, random.fork())?;
        let name = format!("devices {place}");
        scope.spawn(move || gate.race(&name, |_| churner.step(tally)));
        let mut maker = spaces::Maker {
            name: format!("made-{place}"),
            random: random.fork(),
            kept: Default::default(),
        };
        let name = format!("namespaces {place}");
        scope.spawn(move || gate.race(&name, |kind| maker.step(kind, tally)));
    }
    let mut mover = devices::Mover::new(stage, random.fork())?;
    scope.spawn(move || gate.race("mover", |_| mover.step(tally)));
    let mut own = random.fork();
    scope.spawn(move || gate.race("unloader", |kind| loads::unload(kind, &mut own, tally)));
    let mut own = random.fork();
    let host = &stage.hosts[1];
    scope.spawn(move || gate.race("loader", |kind| loads::load(host, kind, &mut own)));
    let mut asker = traffic::Asker::new(stage, tally, random.fork())?;
    scope.spawn(move || gate.race("asker", |kind| asker.step(kind)));
    let mut flood = traffic::Flood {
        stage,
        tally,
        random: random.fork(),
        taps: Default::default(),
    };
    scope.spawn(move || gate.race("flood", |_| flood.step()));
    Ok(())
}

/// Races inside of a namespace.
fn inside(host: &stage::Host, gate: &Gate, name: &str, mut step: impl FnMut() -> Result<()>) {
    let raced = host.ns.enter(|| gate.race(name, |_| step()));
    if let Err(error) = raced {
        gate.race(name, |_| Err(anyhow!("its namespace: {error:#}")));
    }
}

/// A racer that did nothing would make all of this mean less.
fn all_raced(tally: &Tally, seen: &Seen) -> Result<String> {
    let idle: Vec<&str> = tally.idle().collect();
    ensure!(idle.is_empty(), "none at all of {}", idle.join(", "));
    ensure!(
        seen.packets > 0 && seen.answers > 0 && seen.memberships > 0,
        "no pause found anything to look at"
    );
    Ok(format!("{} rule changes", tally.get(What::Changes)))
}
