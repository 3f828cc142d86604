// SPDX-License-Identifier: GPL-2.0-only

//! What holds whenever everybody pauses: the rules alone say what is there.

use super::devices;
use super::ear::Ear;
use super::ear::Question;
use super::stage::peer;
use super::stage::Host;
use super::stage::Stage;
use super::stage::TABLES;
use super::vips;
use super::vips::Vip;
use super::vips::POOL;
use anyhow::anyhow;
use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use fastrand::Rng;
use harness::clean;
use harness::neighbour::Neighbour;
use harness::netns::vip_path;
use harness::pace;
use std::collections::BTreeMap;
use std::fs;
use std::thread;
use std::time::Duration;
use std::time::Instant;

/// Packets that a VIP is asked by.
const QUESTIONS: usize = 8;
const CHECK_NET: u8 = 13;
/// For what the kernel does in the background: memberships, ended namespaces.
const PATIENCE: Duration = Duration::from_secs(10);

/// What was found in order.
#[derive(Default)]
pub struct Seen {
    pub pauses: u64,
    pub rules: u64,
    pub vips: u64,
    pub memberships: u64,
    pub packets: u64,
    pub answers: u64,
    /// Pauses in which the module was not loaded.
    pub unloaded: u64,
}

/// How many rules each VIP has in each table.
type Rules = BTreeMap<&'static str, BTreeMap<&'static str, usize>>;

pub fn check(stage: &Stage, seen: &mut Seen, random: &mut Rng) -> Result<()> {
    let mut all = 0;
    for host in &stage.hosts {
        let name = host.ns.name().to_string();
        let rules = rules(host)?;
        all += rules.values().flat_map(BTreeMap::values).sum::<usize>();
        seen.vips += rules.len() as u64;
        let nodes = files(host, &rules).with_context(|| format!("files of {name}"))?;
        seen.memberships += memberships(host, &rules)?;
        for device in ["eth0", "eth1", "eth2"] {
            packets(stage, host, device, &rules, &nodes, seen, random)
                .with_context(|| format!("{device} of {name}"))?;
        }
    }
    seen.rules += all as u64;
    uses(all as u32, seen)?;
    seen.pauses += 1;
    Ok(())
}

fn rules(host: &Host) -> Result<Rules> {
    let mut rules = Rules::new();
    for table in TABLES {
        for vip in host.rules(table)? {
            *rules
                .entry(&vip.name)
                .or_default()
                .entry(table)
                .or_default() += 1;
        }
    }
    Ok(rules)
}

/// A VIP with rules has one file, and no other has any; the nodes that each names.
fn files(host: &Host, rules: &Rules) -> Result<BTreeMap<String, Vec<u32>>> {
    let mut names: Vec<String> = host.ns.enter(|| -> Result<_> {
        match fs::read_dir(vip_path("")) {
            Ok(list) => list
                .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
                .collect(),
            // Then the module is not there, either: `uses` sees to that.
            Err(_) => Ok(Vec::new()),
        }
    })??;
    names.sort();
    ensure!(
        names.iter().map(String::as_str).eq(rules.keys().copied()),
        "there are {names:?}, and rules {rules:?}"
    );
    names
        .into_iter()
        .map(|name| {
            let text = host.ns.read(vip_path(&name))?;
            let vip = POOL.iter().find(|vip| vip.name == name);
            let nodes = vip.and_then(|vip| vips::nodes(&text, vip));
            let nodes = nodes.with_context(|| format!("{name} says {text:?}"))?;
            Ok((name, nodes))
        })
        .collect()
}

/// On each device as many users of a MAC as there are VIPs with it, and on no other device any.
fn memberships(host: &Host, rules: &Rules) -> Result<u64> {
    let mut wanted: BTreeMap<(String, String), u32> = BTreeMap::new();
    for vip in POOL.iter().filter(|vip| rules.contains_key(&*vip.name)) {
        if host.has(vip.device)? {
            let mac = vip.mac.map(|byte| format!("{byte:02x}")).concat();
            *wanted.entry((vip.device.to_string(), mac)).or_default() += 1;
        }
    }
    let is_ours = |mac: &str| {
        POOL.iter()
            .any(|vip| vip.mac.map(|byte| format!("{byte:02x}")).concat() == mac)
    };
    let seen = || -> Result<BTreeMap<(String, String), u32>> {
        let list = host.ns.read("/proc/thread-self/net/dev_mcast")?;
        list.lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>())
            .filter(|words| words.last().is_some_and(|mac| is_ours(mac)))
            .map(|words| {
                let users = words[2].parse().context("dev_mcast")?;
                Ok(((words[1].to_string(), words[4].to_string()), users))
            })
            .collect()
    };
    until(|| {
        let seen = seen()?;
        ensure!(
            seen == wanted,
            "memberships in {} are {seen:?}, and should be {wanted:?}",
            host.ns.name()
        );
        Ok(wanted.values().map(|users| u64::from(*users)).sum())
    })
}

/// The module's use count is the number of rules, once all namespaces that were made are gone; it may be
/// away when there are none.
fn uses(rules: u32, seen: &mut Seen) -> Result<()> {
    let uses = until(|| {
        let uses = clean::uses()?;
        ensure!(
            uses.unwrap_or(0) == rules,
            "{rules} rules are {uses:?} uses of the module"
        );
        Ok(uses)
    })?;
    seen.unloaded += u64::from(uses.is_none());
    Ok(())
}

/// Packets for a device's VIPs go where the formula and the file say, with the mark that they should
/// have; and a VIP's MAC is the cluster's if it has rules. One socket for all of a device: the kernel
/// waits for a grace period when one is closed.
fn packets(
    stage: &Stage,
    host: &Host,
    device: &str,
    rules: &Rules,
    nodes: &BTreeMap<String, Vec<u32>>,
    seen: &mut Seen,
    random: &mut Rng,
) -> Result<()> {
    if !devices::open(stage, host, device)? {
        return Ok(());
    }
    let neighbour = Neighbour::new(&stage.wire, &peer(host, device))?;
    let here: Vec<&Vip> = POOL.iter().filter(|vip| vip.device == device).collect();
    let questions: Vec<_> = here
        .iter()
        .flat_map(|vip| std::iter::repeat_n(*vip, QUESTIONS))
        .map(|vip| Question::new(CHECK_NET, vip, random))
        .collect();
    let mut ear = Ear::new(host, random)?;
    ear.wait_for_way(neighbour.tap())?;
    let heard = ear.ask(neighbour.tap(), &questions)?;
    for question in &questions {
        let vip = question.vip;
        let tables = rules.get(&*vip.name).filter(|_| vip.judged);
        let tracked = tables.is_some_and(|tables| tables.keys().any(|table| *table != "raw"));
        let node = question.node();
        let ours = nodes
            .get(&*vip.name)
            .is_some_and(|nodes| nodes.contains(&node));
        let mark = host.marks.then_some(if tracked { node } else { 0 });
        heard
            .expect(question, ours || tables.is_none(), mark)
            .with_context(|| format!("rules {tables:?}, nodes {:?}", nodes.get(&*vip.name)))?;
    }
    seen.packets += questions.len() as u64;

    for vip in here {
        let mac = neighbour.asks(vip.address)?;
        let rules = rules.get(&*vip.name);
        ensure!(
            (mac == vip.mac) == rules.is_some(),
            "{} has rules {rules:?}, and an answer by ARP names {mac:02x?}",
            vip.name
        );
        seen.answers += 1;
    }
    Ok(())
}

/// Asks again until the answer is no error, or for long enough.
fn until<T>(mut question: impl FnMut() -> Result<T>) -> Result<T> {
    let deadline = Instant::now() + pace::patience(PATIENCE);
    loop {
        match question() {
            Err(error) if Instant::now() > deadline => {
                return Err(anyhow!("{error:#} ({} s long)", PATIENCE.as_secs()));
            }
            Err(_) => thread::sleep(Duration::from_millis(20)),
            answer => return answer,
        }
    }
}
