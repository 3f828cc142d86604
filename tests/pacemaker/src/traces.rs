// SPDX-License-Identifier: GPL-2.0-only

//! What a node has of the VIP, counted: rules, files, memberships, addresses. One of each on a node
//! with a number, none on the others; conntrack's entries end by themselves and are not counted.

use crate::bed::Bed;
use crate::bed::Files;
use crate::bed::VIP;
use crate::machine::Machine;
use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use asking::Mac;
use std::fs;
use std::process::Command;

#[derive(Debug, PartialEq, Eq)]
struct Traces {
    rules: usize,
    files: usize,
    memberships: u32,
    addresses: usize,
}

/// Checks all nodes that are up.
pub fn check(bed: &Bed, files: &Files) -> Result<()> {
    let mac = text(cluster_mac(VIP, 24)?);
    for (number, node) in &bed.machines {
        let serves = files.get(number).is_some_and(|files| !files.is_empty());
        let one = usize::from(serves);
        let wanted = Traces {
            rules: one,
            files: one,
            memberships: one as u32,
            addresses: one,
        };
        let seen = traces(node, &mac)?;
        ensure!(
            seen == wanted,
            "node{number} should have {wanted:?}, it has {seen:?}"
        );
    }
    Ok(())
}

fn traces(node: &Machine, mac: &str) -> Result<Traces> {
    let rules = node.run("iptables-legacy -w -S")?;
    let addresses = node.run("ip -o -4 address show")?;
    let files = node.ns.enter(|| -> std::io::Result<usize> {
        Ok(fs::read_dir("/proc/thread-self/net/ipt_CLUSTERIP")?.count())
    })??;
    let address = format!(" {VIP}/");
    Ok(Traces {
        rules: rules.matches("-j CLUSTERIP").count(),
        files,
        memberships: node.ns.memberships("eth0", mac)?,
        addresses: addresses.matches(&address).count(),
    })
}

/// The MAC that IPaddr2 makes of an address and its netmask, without a broadcast address: the
/// beginning of an MD5 sum, its first byte made odd.
pub fn cluster_mac(vip: &str, netmask: u8) -> Result<Mac> {
    let script = format!("echo {vip} {netmask} | md5sum");
    let output = Command::new("sh").args(["-c", &script]).output()?;
    let sum = String::from_utf8(output.stdout)?;
    let mut digits = sum.get(..12).context("md5sum")?.to_string();
    let second = digits[1..2].to_string();
    if "02468ace".contains(&second) {
        digits.replace_range(1..2, "1");
    }
    let mut mac = [0; 6];
    for (place, byte) in mac.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&digits[2 * place..2 * place + 2], 16)?;
    }
    Ok(mac)
}

pub fn text(mac: Mac) -> String {
    let bytes: Vec<String> = mac.iter().map(|byte| format!("{byte:02x}")).collect();
    bytes.join(":")
}
