// SPDX-License-Identifier: GPL-2.0-only

//! IPaddr2 of resource-agents 4.17 and 4.18 at a takeover: a node that serves the VIP is to start a
//! second number. The agent writes `+N`, which works, then adds the address that is there already, is
//! told so, and returns an error. Pacemaker believes it, and stops the number again.

use crate::bed::Bed;
use crate::bed::NODES;
use crate::bed::VIP;
use crate::monitor;
use crate::report::Report;
use crate::scenario;
use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use std::collections::BTreeSet;
use std::time::Duration;
use std::time::Instant;

const AGENT: &str = "/usr/lib/ocf/resource.d/heartbeat/IPaddr2";

pub fn run() -> Report {
    let mut report = Report::new();
    let bed = match Bed::new() {
        Ok(bed) => bed,
        Err(error) => {
            report.test("three nodes are online", Err(error));
            return report;
        }
    };
    let began = scenario::begin(&bed, "heartbeat:IPaddr2", "");
    if report.test("start bug, what works: one number each", began) {
        report.test(
            "start bug, a takeover fails though the number was there",
            takeover(&bed),
        );
        report.test("start bug, the agent by itself", by_itself(&bed));
        report.test("start bug, what helps: the node comes back", returns(&bed));
    }
    if !report.good() {
        bed.tell();
    }
    report.test("all nodes switched off in order", scenario::over(bed));
    report
}

/// Node 3 goes; its number is seen on another, which then fails, and the number is nowhere.
fn takeover(bed: &Bed) -> Result<String> {
    let before = bed.files()?;
    let number = *before[&3].first().context("node3 has a number")?;
    bed.any()?.run("crm_standby -N node3 -v on")?;
    let mut seen = BTreeSet::new();
    let mut looked = Instant::now();
    let mut failed = Vec::new();
    bed.wait("a failed start on both survivors", || {
        for (node, numbers) in bed.files()? {
            if node != 3 && numbers.contains(&number) {
                seen.insert(node);
            }
        }
        if looked.elapsed() > Duration::from_secs(3) {
            failed = monitor::view(bed.any()?)?.failed;
            looked = Instant::now();
        }
        let tells = |node: usize| {
            let start = format!("resIP:{} start on node{node} ", number - 1);
            failed
                .iter()
                .any(|line| line.starts_with(&start) && line.contains("Failed to add"))
        };
        Ok(tells(1) && tells(2))
    })
    .with_context(|| format!("seen on {seen:?}, failed: {failed:?}"))?;
    ensure!(
        seen == BTreeSet::from([1, 2]),
        "number {number} was seen on {seen:?}"
    );
    bed.wait("the number to be nowhere", || {
        Ok(bed.files()?.values().all(|has| !has.contains(&number)))
    })?;
    let asked = bed.client.ask(60)?;
    let (share, rest): (Vec<_>, Vec<_>) = asked.iter().partition(|one| one.share == number);
    ensure!(
        share.iter().all(|one| one.node.is_none()),
        "somebody answers for number {number}"
    );
    ensure!(
        rest.iter().all(|one| one.node.is_some()),
        "another number is not answered"
    );
    Ok(format!(
        "number {number} was on {seen:?} and is nowhere, {} of 60 connections lost; {}",
        share.len(),
        failed.join("; ")
    ))
}

/// The same without Pacemaker: the agent is called for a second number on node 1.
fn by_itself(bed: &Bed) -> Result<String> {
    let files = bed.files()?;
    let free = (1..=NODES).find(|number| files.values().all(|has| !has.contains(number)));
    let free = free.context("no number is free")?;
    let node = bed.machine(1)?;
    let call = |action: &str| {
        let words = [
            "env".to_string(),
            "OCF_ROOT=/usr/lib/ocf".to_string(),
            "OCF_RESOURCE_INSTANCE=resIP".to_string(),
            format!("OCF_RESKEY_ip={VIP}"),
            "OCF_RESKEY_nic=eth0".to_string(),
            "OCF_RESKEY_cidr_netmask=24".to_string(),
            format!("OCF_RESKEY_CRM_meta_clone={}", free - 1),
            format!("OCF_RESKEY_CRM_meta_clone_max={NODES}"),
            "OCF_RESKEY_CRM_meta_globally_unique=true".to_string(),
            AGENT.to_string(),
            action.to_string(),
        ];
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        node.output(&words, "")
    };
    let start = call("start")?;
    let said = String::from_utf8_lossy(&start.stderr).into_owned();
    let file = bed.files()?[&1].clone();
    ensure!(
        start.status.code() == Some(1) && said.contains("Failed to add"),
        "start: {}, {said}",
        start.status
    );
    ensure!(file.contains(&free), "the file has {file:?}");
    let monitor = call("monitor")?;
    ensure!(monitor.status.success(), "monitor then: {}", monitor.status);
    let stop = call("stop")?;
    ensure!(stop.status.success(), "stop: {}", stop.status);
    Ok(format!(
        "start returns 1, the file has {file:?}, monitor returns 0"
    ))
}

/// A node's first number starts as it should. The failures stay in the list: to clean them up would
/// have the agent asked for each number on each node, and it calls one that is elsewhere a failure.
fn returns(bed: &Bed) -> Result<String> {
    bed.any()?.run("crm_standby -N node3 -v off")?;
    bed.wait("a number on each node again", || {
        Ok(bed.files()?.values().all(|has| has.len() == 1))
    })?;
    std::thread::sleep(Duration::from_secs(15));
    let files = bed.files()?;
    let asked = bed.client.ask(60)?;
    ensure!(
        asked.iter().all(|one| one.node.is_some()) && files.values().all(|has| has.len() == 1),
        "not all were answered, or not by one number each: {files:?}"
    );
    Ok(format!("{files:?}, 60 of 60 connections answered"))
}
