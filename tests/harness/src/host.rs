// SPDX-License-Identifier: GPL-2.0-only

//! One machine: a namespace with `eth0` and `eth1`, the ends of one cable, both up and without
//! addresses.

use super::cluster::MAC;
use super::cluster::VIP;
use super::Ctx;
use super::Netns;
use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use std::process::Command;

/// Before a program's name: with our extension before the distribution's, as scripts/payload puts it into the guest.
pub const OURS: &str =
    "env XTABLES_LIBDIR=/opt/clusterip/xtables:/usr/lib/x86_64-linux-gnu/xtables";

/// The options of a new VIP of two nodes, of which this machine is the first.
pub const NEW: &str =
    "-j CLUSTERIP --new --hashmode sourceip --clustermac 01:00:5e:00:00:20 --total-nodes 2 --local-node 1";

/// A machine called `host`, with the module loaded and its log read.
pub fn host(ctx: &mut Ctx) -> Result<Netns> {
    named(ctx, "host")
}

pub fn named(ctx: &mut Ctx, name: &str) -> Result<Netns> {
    program("modprobe -a ipt_CLUSTERIP ip_tables")?;
    let host = ctx.netns(name)?;
    host.ip("link set lo up\nlink add eth0 type veth peer name eth1\nlink set eth0 up\nlink set eth1 up\n")?;
    ctx.log()?;
    Ok(host)
}

/// Runs a program outside all namespaces; its output.
pub fn program(line: &str) -> Result<String> {
    let mut words = line.split_whitespace();
    let output = Command::new(words.next().context("no program named")?)
        .args(words)
        .output()
        .with_context(|| format!("cannot run `{line}`"))?;
    ensure!(
        output.status.success(),
        "`{line}`: {}, {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The arguments of a rule for the VIP on `eth0` in INPUT.
pub fn rule() -> String {
    format!("INPUT -d {VIP} -i eth0 {NEW}")
}

/// Checks that nothing of a VIP is there: no file, no membership on either device.
pub fn expect_no_vip(host: &Netns, vip: &str) -> Result<()> {
    ensure!(!host.has_vip(vip)?, "there should be no file for {vip}");
    host.expect_memberships("eth0", MAC, 0)?;
    host.expect_memberships("eth1", MAC, 0)
}
