// SPDX-License-Identifier: GPL-2.0-only

//! Switch, client and three machines.

use crate::client::Client;
use crate::machine;
use crate::machine::Machine;
use crate::monitor;
use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use harness::Netns;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;
use std::time::Instant;

pub const VIP: &str = "10.9.0.80";
pub const NODES: usize = 3;
/// Enough for a machine that is busy with other things; nothing takes as long otherwise.
pub const PATIENCE: Duration = Duration::from_secs(300);

pub struct Bed {
    pub switch: Netns,
    pub client: Client,
    /// By their numbers; one that has crashed is missing.
    pub machines: BTreeMap<usize, Machine>,
}

/// The numbers in each node's file; no file is none.
pub type Files = BTreeMap<usize, BTreeSet<usize>>;

impl Bed {
    /// All of it, up to a cluster whose nodes see each other and know of no resource yet.
    pub fn new() -> Result<Self> {
        harness::module::load("ipt_CLUSTERIP")?;
        let switch = Netns::new("switch")?;
        // Without snooping a bridge does with a multicast MAC what a plain switch does: flood it.
        switch.ip("link add br0 type bridge stp_state 0 mcast_snooping 0\nlink set br0 up\n")?;
        let client = Client::new(&switch)?;
        let numbers: Vec<usize> = (1..=NODES).collect();
        machine::make_disks(&numbers)?;
        let mut machines = BTreeMap::new();
        for number in numbers {
            machines.insert(number, Machine::start(number, &switch)?);
        }
        let bed = Self {
            switch,
            client,
            machines,
        };
        let online = bed.wait("three nodes to be online", || {
            // To ask costs more than to wait.
            std::thread::sleep(Duration::from_secs(2));
            Ok(monitor::online(bed.any()?).is_ok_and(|count| count == NODES))
        });
        if online.is_err() {
            bed.tell();
        }
        online.map(|()| bed)
    }

    /// Any node that is up.
    pub fn any(&self) -> Result<&Machine> {
        self.machines.values().next().context("no node is up")
    }

    pub fn machine(&self, number: usize) -> Result<&Machine> {
        self.machines
            .get(&number)
            .with_context(|| format!("node{number} is down"))
    }

    pub fn files(&self) -> Result<Files> {
        self.machines
            .iter()
            .map(|(number, node)| Ok((*number, numbers(&node.ns)?)))
            .collect()
    }

    /// Types lines into the crm shell.
    pub fn crm(&self, lines: &str) -> Result<String> {
        let node = self.any()?;
        let output = node.output(&["crm", "-f", "-"], lines)?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "crm: {}, {said}", output.status);
        ensure!(!said.contains("ERROR"), "crm: {said}");
        Ok(said)
    }

    /// Asks until the answer is yes, as long as it may take on a busy machine.
    pub fn wait(&self, what: &str, question: impl FnMut() -> Result<bool>) -> Result<()> {
        wait(what, question)
    }

    /// Goes down in order.
    pub fn power_off(self) -> Result<()> {
        // All at once: the last one alone would wait for a quorum that does not come.
        let ends: Vec<_> = self
            .machines
            .into_values()
            .map(|node| std::thread::spawn(|| node.power_off()))
            .collect();
        for end in ends {
            end.join().ok().context("powering off")??;
        }
        Ok(())
    }

    /// What each node and its programs have to say, when something went wrong.
    pub fn tell(&self) {
        let said = self.any().and_then(|node| node.run("crm_mon -1rf"));
        println!("{}", said.unwrap_or_else(|error| format!("{error:#}")));
        println!("files: {:?}", self.files());
        for number in 1..=NODES {
            let log = format!("{}/node{number}/var/log/pacemaker.log", crate::node::DISKS);
            let script = format!("grep -E ' (warning|error|ERROR|WARNING):? ' {log} | tail -n 12");
            if let Ok(end) = Command::new("sh").args(["-c", &script]).output() {
                println!("{log}:\n{}", String::from_utf8_lossy(&end.stdout));
            }
        }
    }
}

fn numbers(ns: &Netns) -> Result<BTreeSet<usize>> {
    if !ns.has_vip(VIP)? {
        return Ok(BTreeSet::new());
    }
    // It may go between the two.
    let text = ns.nodes(VIP).unwrap_or_default();
    let words = text.split(',').filter(|word| !word.is_empty());
    words
        .map(|word| word.parse().with_context(|| text.clone()))
        .collect()
}

pub fn wait(what: &str, mut question: impl FnMut() -> Result<bool>) -> Result<()> {
    let start = Instant::now();
    while !question()? {
        ensure!(
            start.elapsed() < PATIENCE,
            "not within {PATIENCE:?}: {what}"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}
