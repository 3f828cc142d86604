// SPDX-License-Identifier: GPL-2.0-only

//! What rules and packets of others can take of the machine; lines of docs/security.md, as in
//! `security.rs`.

use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use harness::allocations::Allocations;
use harness::blob;
use harness::blob::Payload;
use harness::blob::Rule;
use harness::cluster::VIP_ADDRESS;
use harness::eventually;
use harness::flow::flows;
use harness::host::host;
use harness::pace;
use harness::packet::Ip;
use harness::tests;
use harness::Cluster;
use harness::Ctx;
use harness::Test;
use nix::mount::mount;
use nix::mount::umount;
use nix::mount::MsFlags;
use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::path::PathBuf;

pub fn tests() -> Vec<Test> {
    tests![
        security_memory_is_charged_to_the_container,
        security_client_chooses_its_node,
        security_packets_leave_no_memory,
    ]
}

/// Whether this kernel charges memory to control groups at all.
pub fn memory_is_charged() -> Result<bool> {
    if !fs::read_to_string("/proc/filesystems")?.contains("\tcgroup2\n") {
        return Ok(false);
    }
    let groups = Groups::new()?;
    let controllers = fs::read_to_string(groups.path("cgroup.controllers"))?;
    Ok(controllers.split_whitespace().any(|name| name == "memory"))
}

/// The control groups' file system, as long as it is mounted.
struct Groups;

impl Groups {
    const MOUNT: &'static str = "/tmp/security-test-cgroup";

    fn new() -> Result<Self> {
        fs::create_dir_all(Self::MOUNT)?;
        let none = None::<&str>;
        mount(none, Self::MOUNT, Some("cgroup2"), MsFlags::empty(), none).context("cgroup2")?;
        Ok(Self)
    }

    fn path(&self, file: &str) -> PathBuf {
        Path::new(Self::MOUNT).join(file)
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        let _ = umount(Path::new(Self::MOUNT));
    }
}

/// A control group that this process is in, until it is dropped.
struct Group(Groups);

impl Group {
    fn new() -> Result<Self> {
        let group = Self(Groups::new()?);
        fs::write(group.0.path("cgroup.subtree_control"), "+memory").context("memory")?;
        fs::create_dir_all(group.0.path("box"))?;
        fs::write(group.0.path("box/cgroup.procs"), "0").context("entering it")?;
        Ok(group)
    }

    /// What the kernel holds for the group in its caches, in bytes.
    fn held(&self) -> Result<u64> {
        let list = fs::read_to_string(self.0.path("box/memory.stat"))?;
        let line = list.lines().find_map(|line| line.strip_prefix("slab "));
        line.context("no slab in memory.stat")?
            .parse()
            .context("memory.stat")
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::write(self.0.path("cgroup.procs"), "0");
        let _ = fs::remove_dir(self.0.path("box"));
    }
}

/// The same tables, of one VIP and of many: what the many take is charged to who made them.
fn security_memory_is_charged_to_the_container(ctx: &mut Ctx) -> Result<()> {
    const VIPS: u16 = 1000;
    const LEAST: u64 = 192;
    let host = host(ctx)?;
    let rules = |vip: &dyn Fn(u16) -> Ipv4Addr| -> Vec<Rule> {
        (0..VIPS)
            .map(|number| Rule::new(vip(number), "eth0", &Payload::default()))
            .collect()
    };
    let one = rules(&|_| VIP_ADDRESS);
    let many = rules(&|number| Ipv4Addr::from(0x0a09_1000 + u32::from(number)));
    let group = Group::new()?;
    let install = |rules: &[Rule]| host.enter(|| blob::replace(&blob::socket()?, "filter", rules));
    install(&one)??;
    let before = group.held()?;
    install(&many)??;
    // The numbers are summed up every other second.
    let mut more = 0;
    let charged = eventually("a charge", || {
        more = group.held()?.saturating_sub(before);
        Ok(more >= LEAST * u64::from(VIPS))
    });
    install(&[])??;
    drop(group);
    charged.with_context(|| format!("{VIPS} VIPs took {more} bytes of the group's"))
}

/// The hash is no secret: who knows the seed can find addresses that all fall to one node. With a seed
/// that he does not know he finds none.
fn security_client_chooses_its_node(ctx: &mut Ctx) -> Result<()> {
    const KNOWN: u32 = 0;
    const SECRET: u32 = 0x9c51_77ab;
    let cluster = Cluster::new(ctx, 2)?;
    let flows: Vec<_> = flows(400)
        .into_iter()
        .filter(|flow| flow.node(0, KNOWN, 2) == 1)
        .take(100)
        .collect();
    let packets: Vec<Ip> = flows.iter().map(|flow| flow.ip.clone()).collect();
    let share = |seed| -> Result<usize> {
        cluster.rules("filter", "INPUT", "sourceip", seed)?;
        let takers = cluster.who_takes(&packets)?;
        ensure!(takers.iter().all(|takers| takers.len() == 1));
        Ok(takers.iter().filter(|takers| takers[0] == 1).count())
    };
    let (known, secret) = (share(KNOWN)?, share(SECRET)?);
    ensure!(known == 100, "of 100 chosen clients {known} fell to node 1");
    ensure!(
        (25..=75).contains(&secret),
        "with another seed {secret} of 100 did"
    );
    Ok(())
}

fn security_packets_leave_no_memory(ctx: &mut Ctx) -> Result<()> {
    let cluster = Cluster::new(ctx, 1)?;
    for (table, chain) in [("raw", "PREROUTING"), ("filter", "INPUT")] {
        cluster.rules(table, chain, "sourceip-sourceport", 0)?;
        let mut memory = Allocations::new()?;
        memory.note()?;
        let count = pace::cut(1000, 100);
        let packets: Vec<_> = flows(count as u16)
            .iter()
            .map(|flow| flow.ip.bytes())
            .collect();
        let before = memory.count()?;
        ensure!(before > 0, "the VIP itself is not found");
        let taken = cluster.nodes[0].ask(&packets)?.len();
        ensure!(taken == count, "{table}: {taken} of {count} packets taken");
        let after = memory.count()?;
        // Fewer, when something of before was still to be freed.
        ensure!(after <= before, "{table}: {before} objects, then {after}");
        cluster.nodes[0].ns.iptables(&format!("-t {table} -F"))?;
    }
    Ok(())
}
