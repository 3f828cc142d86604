// SPDX-License-Identifier: GPL-2.0-only

//! The lines of "Load-Sharing with iptables and Linux-HA", typed into the crm shell as they stand
//! there, the VIP filled in. A node number each for two of the three nodes comes of it.

use crate::bed::Bed;
use crate::bed::VIP;
use crate::monitor;
use crate::report::Report;
use crate::traces;
use anyhow::ensure;
use anyhow::Result;
use std::collections::BTreeSet;
use std::time::Duration;
use std::time::Instant;

const PRIMITIVE: &str = r#"primitive resIP ocf:heartbeat:IPaddr2 operations $id="resIP-operations" op monitor interval="10s" timeout="20s" start-delay="0" params ip="1.2.3.4" nic="eth0" cidr_netmask="24" clusterip_hash="sourceip-sourceport" meta resource-stickiness="0""#;
const CLONE: &str =
    r#"clone cloneIP resIP meta clone-max="2" globally-unique="true" clone-node-max="2""#;

/// What a cluster without fencing needs said, and one that is to be quick.
pub const PROPERTIES: &str = "property stonith-enabled=false load-threshold=0% dc-deadtime=4s";

/// The article gives each action 20 s, which nine of them at once do not get on a machine that
/// emulates another and is busy.
const ONE_BY_ONE: &str = "batch-limit=1";

pub fn run(bed: &Bed, report: &mut Report) {
    let primitive = PRIMITIVE.replace("1.2.3.4", VIP);
    let typed = bed.crm(&format!(
        "configure\n{PROPERTIES} {ONE_BY_ONE}\n{primitive}\n{CLONE}\ncommit\n"
    ));
    let there = typed.and_then(|_| configured(bed));
    if report.test("articles, the line of the primitive, as typed", there) {
        let done = shared(bed);
        if !report.test("articles, the line of the clone, as typed", done) {
            bed.tell();
        }
    }
    report.test("articles, the clone stopped again", stopped(bed));
}

/// Each word of the line is in the cluster's configuration.
fn configured(bed: &Bed) -> Result<String> {
    let cib = bed.any()?.run("cibadmin -Q")?;
    for word in [
        r#"class="ocf" provider="heartbeat" type="IPaddr2""#,
        r#"name="monitor" interval="10s" timeout="20s""#,
        r#"name="nic" value="eth0""#,
        r#"name="cidr_netmask" value="24""#,
        r#"name="clusterip_hash" value="sourceip-sourceport""#,
        r#"name="resource-stickiness" value="0""#,
        &format!(r#"name="ip" value="{VIP}""#),
    ] {
        // Attributes stand in no order that one may count on.
        let found = cib.lines().any(|line| {
            word.split_whitespace()
                .all(|attribute| line.contains(attribute))
        });
        ensure!(found, "the configuration lacks {word}: {cib}");
    }
    Ok("all of it is in the configuration".to_string())
}

/// Two nodes have a number each, and all clients are answered.
fn shared(bed: &Bed) -> Result<String> {
    let mut cleaned = Instant::now();
    let mut seen = String::new();
    bed.wait("a number on each of two nodes", || {
        let files = bed.files()?;
        let mut holders: Vec<BTreeSet<usize>> = files.values().cloned().collect();
        holders.sort();
        let wanted = [vec![], vec![1], vec![2]].map(BTreeSet::from_iter);
        let view = monitor::view(bed.any()?)?;
        seen = format!("{files:?}, failed: {:?}", view.failed);
        // Even so.
        if !view.failed.is_empty() && cleaned.elapsed() > Duration::from_secs(60) {
            bed.any()?.run("crm_resource --cleanup")?;
            cleaned = Instant::now();
        }
        std::thread::sleep(Duration::from_secs(2));
        Ok(holders == wanted && view.failed.is_empty())
    })
    .map_err(|error| error.context(seen))?;
    let asked = bed.client.ask(60)?;
    let silent = asked.iter().filter(|one| one.node.is_none()).count();
    let double = asked.iter().filter(|one| one.senders.len() > 1).count();
    ensure!(
        silent == 0 && double == 0,
        "of 60 connections {silent} were not answered and {double} twice"
    );
    traces::check(bed, &bed.files()?)?;
    Ok(format!("{:?}, 60 connections answered once", bed.files()?))
}

/// Stops the clone, after which nothing is left of it.
pub fn stopped(bed: &Bed) -> Result<String> {
    bed.any()?
        .run("crm_resource -r cloneIP --meta -p target-role -v Stopped")?;
    bed.wait("all numbers to be given up", || {
        std::thread::sleep(Duration::from_secs(1));
        Ok(bed.files()?.values().all(BTreeSet::is_empty)
            && monitor::view(bed.any()?)?.running.is_empty())
    })?;
    traces::check(bed, &bed.files()?)?;
    Ok("no rule, no file, no membership, no address is left".to_string())
}
