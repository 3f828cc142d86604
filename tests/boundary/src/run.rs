// SPDX-License-Identifier: GPL-2.0-only

//! Starts the rounds one after the other, looks at what is left of each, and says what came of all.

use crate::corpus::Corpus;
use crate::kcov;
use crate::round::Root;
use crate::round::Round;
use crate::sys;
use crate::world::Counts;
use anyhow::bail;
use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use harness::allocations::Allocations;
use harness::clean;
use harness::eventually;
use harness::kmemleak;
use harness::kmsg::Kmsg;
use harness::module;
use nix::sys::signal::kill;
use nix::sys::signal::Signal;
use nix::sys::wait::waitpid;
use nix::unistd::fork;
use nix::unistd::ForkResult;
use std::fs;
use std::fs::File;
use std::io::ErrorKind;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;
use std::time::Instant;

const MODULES: &str = "ipt_CLUSTERIP iptable_filter iptable_mangle iptable_raw iptable_nat iptable_security arp_tables \
    nft_compat nfnetlink tun veth dummy bridge macvlan 8021q ipip ip_gre ifb vrf bonding";
/// A round that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(150);
/// Rounds from one look at the module's memory to the next.
const LOOK_AFTER: u64 = 16;
/// After so many things gone wrong, one more says nothing new.
const ENOUGH: usize = 3;

pub struct Settings {
    pub seconds: u64,
    pub seed: u64,
    pub from: u64,
    pub rounds: u64,
    pub steps: u64,
    pub trace: bool,
    pub kept: Option<String>,
}

/// How many times as long it may take until each thing that is counted has happened: a slow machine is no fault.
const LATE: u64 = 8;

/// What all rounds came to.
#[derive(Default)]
struct Sum {
    rounds: [u64; 2],
    wrong: [usize; 2],
    counts: [u64; Counts::NAMES.len()],
    left: Vec<String>,
}

/// Prints and counts; true when nothing went wrong.
pub fn run(settings: &Settings) -> Result<bool> {
    for name in MODULES.split_whitespace() {
        // Not every kernel has every kind of device, or has it as a module.
        if module::load(name).is_err() && ["ipt_CLUSTERIP", "tun", "veth"].contains(&name) {
            ensure!(name != "ipt_CLUSTERIP", "{name} cannot be loaded");
        }
    }
    // As udev has it.
    fs::set_permissions("/dev/net/tun", fs::Permissions::from_mode(0o666))
        .context("/dev/net/tun")?;
    // Names of devices that come and go would be most of what is written to the slow console.
    fs::write("/proc/sys/kernel/printk", "5")?;

    let mut kmsg = Kmsg::from_now()?;
    let mut memory = Allocations::new()?;
    memory.note()?;
    ensure!(
        clean::namespaces_beyond(0)? == 0,
        "there are other namespaces"
    );
    let before = memory.held()?;
    if kmemleak::available() {
        kmemleak::forget()?;
    }
    let mut corpus = load(settings)?;
    let mut sum = Sum::default();
    println!(
        "seed {}, from round {}, {} s, {} steps a round; KCOV: {}",
        settings.seed,
        settings.from,
        settings.seconds,
        settings.steps,
        if kcov::available() { "yes" } else { "no" }
    );
    let start = Instant::now();
    let mut said = Instant::now();
    for number in settings.from..settings.from.saturating_add(settings.rounds) {
        let done = sum.rounds.iter().all(|rounds| *rounds > 0)
            && sum.counts.iter().all(|count| *count > 0);
        let limit = if done { 1 } else { LATE } * settings.seconds;
        if start.elapsed().as_secs() >= limit {
            break;
        }
        let root = Root::of_round(number);
        sum.rounds[root as usize] += 1;
        if let Err(error) = one(settings, number, &mut corpus, &mut sum.counts) {
            sum.wrong[root as usize] += 1;
            println!("FAILED round {number}, as {}: {error:#}", root.name());
            println!(
                "  repeat it: SEED={} FROM={number} ROUNDS=1 STEPS={} TRACE=1, and KEPT= if anything was kept",
                settings.seed, settings.steps
            );
        }
        sum.left.extend(left(&mut kmsg).context("after a round")?);
        if number % LOOK_AFTER == 0 {
            sum.left.extend(grown(&memory, &before)?);
        }
        if said.elapsed().as_secs() >= 30 {
            said = Instant::now();
            progress(&sum, &corpus, start);
        }
        if sum.wrong.iter().sum::<usize>() + sum.left.len() >= ENOUGH {
            break;
        }
    }
    sum.left.extend(grown(&memory, &before)?);
    if kmemleak::available() {
        sum.left.extend(kmemleak::scan()?);
    }
    Ok(verdict(&sum, &corpus, start))
}

fn load(settings: &Settings) -> Result<Corpus> {
    let mut corpus = Corpus::default();
    let Some(path) = &settings.kept else {
        return Ok(corpus);
    };
    for line in fs::read_to_string(path).context("KEPT")?.lines() {
        let mut words = line.split_whitespace();
        if let (Some("kept"), Some(round), Some(digits)) =
            (words.next(), words.next(), words.next())
        {
            if round.parse::<u64>().context("KEPT")? < settings.from {
                corpus.keep(digits)?;
            }
        }
    }
    Ok(corpus)
}

/// A round in a process of its own.
fn one(
    settings: &Settings,
    number: u64,
    corpus: &mut Corpus,
    counts: &mut [u64; Counts::NAMES.len()],
) -> Result<()> {
    let round = Round {
        seed: settings.seed,
        number,
        steps: settings.steps,
        trace: settings.trace,
        corpus,
    };
    let (out, into) = sys::pipe()?;
    // SAFETY: This process has one thread.
    let child = match unsafe { fork() }.context("fork")? {
        ForkResult::Parent { child } => child,
        ForkResult::Child => {
            drop(out);
            sys::set_blocking(&into);
            round.run(into.into());
            sys::leave();
        }
    };
    drop(into);
    let said = hear(out.into());
    if said.is_err() {
        // It may hang in the kernel: then nobody can end it, and the wait below is the hang that is seen.
        let _ = kill(child, Signal::SIGKILL);
    }
    let status = waitpid(child, None)?;
    let said = said?;
    let mut ended = false;
    let mut wrong = None;
    for line in said.lines() {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "end" => ended = true,
            "wrong" => wrong = Some(rest.to_string()),
            "counts" => {
                for (count, number) in counts.iter_mut().zip(rest.split_whitespace()) {
                    *count += number.parse::<u64>()?;
                }
            }
            "kept" => {
                let mut words = rest.split_whitespace();
                let digits = words.next().context("kept")?;
                println!("kept {number} {digits}");
                corpus.keep(digits)?;
                for place in words {
                    corpus.reach(u64::from_str_radix(place, 16)?);
                }
            }
            _ => bail!("the round says {line:?}"),
        }
    }
    match wrong {
        Some(wrong) => bail!(wrong),
        None if ended => Ok(()),
        None => bail!("it came to no end: {status:?}"),
    }
}

/// All that a round says.
fn hear(mut pipe: File) -> Result<String> {
    let deadline = Instant::now() + LIMIT;
    let mut said = Vec::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match pipe.read(&mut buffer) {
            Ok(0) => return Ok(String::from_utf8(said)?),
            Ok(length) => said.extend(&buffer[..length]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                ensure!(
                    Instant::now() < deadline,
                    "no end after {} s",
                    LIMIT.as_secs()
                );
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(error) => return Err(error).context("the round's pipe"),
        }
    }
}

/// What a round left behind.
fn left(kmsg: &mut Kmsg) -> Result<Vec<String>> {
    let mut left = Vec::new();
    let gone = eventually("the module's last use", || Ok(clean::uses()? == Some(0)));
    if gone.is_err() {
        left.push(format!(
            "{:?} uses of the module after a round",
            clean::uses()?
        ));
    }
    let namespaces = clean::namespaces_beyond(0)?;
    if namespaces != 0 {
        left.push(format!("{namespaces} namespaces that do not end"));
    }
    left.extend(
        kmsg.crashes()?
            .iter()
            .map(|line| format!("the kernel says: {line}")),
    );
    Ok(left)
}

/// What the module holds beyond what it held at first: the stacks of what is new, or is more.
fn grown(memory: &Allocations, before: &[(u64, String)]) -> Result<Vec<String>> {
    let sum = |held: &[(u64, String)]| held.iter().map(|(count, _)| count).sum::<u64>();
    let mut now = Vec::new();
    let settled = eventually("the module's memory", || {
        now = memory.held()?;
        Ok(sum(&now) <= sum(before))
    });
    if settled.is_ok() {
        return Ok(Vec::new());
    }
    let mut grown = vec![format!(
        "the module holds {} objects, {} at first",
        sum(&now),
        sum(before)
    )];
    // A stack's first line tells ages as well: it is not compared.
    let stack = |trace: &str| trace.lines().skip(1).collect::<Vec<_>>().join("\n");
    for (count, trace) in &now {
        let was = before.iter().filter(|(_, old)| stack(old) == stack(trace));
        if *count > was.map(|(count, _)| count).sum() {
            grown.push(trace.clone());
        }
    }
    Ok(grown)
}

fn progress(sum: &Sum, corpus: &Corpus, start: Instant) {
    println!(
        "{} s: {} rounds, {} executions, {} packets, {} kept, {} places",
        start.elapsed().as_secs(),
        sum.rounds[0] + sum.rounds[1],
        sum.counts[0],
        sum.counts[1],
        corpus.len(),
        corpus.places()
    );
}

fn verdict(sum: &Sum, corpus: &Corpus, start: Instant) -> bool {
    let (mut passed, mut failed) = (0, 0);
    let mut tell = |is_good: bool, what: String| {
        println!("{} {what}", if is_good { "ok" } else { "FAILED" });
        *if is_good { &mut passed } else { &mut failed } += 1;
    };
    for root in [Root::Machine, Root::UserNamespace] {
        let (rounds, wrong) = (sum.rounds[root as usize], sum.wrong[root as usize]);
        tell(
            rounds > 0 && wrong == 0,
            format!("{rounds} rounds as {}, {wrong} of them wrong", root.name()),
        );
    }
    // Nothing compared, or nothing done, shows nothing.
    for (name, count) in Counts::NAMES.iter().zip(sum.counts) {
        tell(count > 0, format!("{name}: {count}"));
    }
    if kcov::available() {
        let (kept, places) = (corpus.len(), corpus.places());
        tell(
            kept > 0 && places > 0,
            format!("{kept} inputs kept, {places} places reached"),
        );
        println!("total places-reached {places}");
    }
    let searched = if kmemleak::available() {
        ", nor out of reach"
    } else {
        ""
    };
    tell(
        sum.left.is_empty(),
        format!("nothing is left behind{searched}"),
    );
    sum.left.iter().for_each(|what| println!("  {what}"));
    for (name, count) in Counts::NAMES.iter().zip(sum.counts).take(3) {
        println!("total {name} {count}");
    }
    println!("total seconds {}", start.elapsed().as_secs());
    println!("{passed} passed, {failed} failed");
    failed == 0
}
