// SPDX-License-Identifier: GPL-2.0-only

//! A network namespace to try things in.
//!
//! ```text
//!        this process                      the namespace
//!   frames, written and read ---- tap ---- eth0  10.9.0.1, the VIPs 10.9.0.100 and .101
//!   frames, PACKET_TX_RING ------ peer1 -- eth1
//!   setsockopt, netlink, files
//! ```
//!
//! `raw` and `mangle` have a steady rule each, of a VIP of its own, in front of whatever is generated:
//! by those two packets are judged ([`crate::wire`]).

use crate::file;
use crate::input::Input;
use crate::input::Random;
use crate::link;
use crate::link::Links;
use crate::nft::Nft;
use crate::rules;
use crate::stat;
use crate::sys;
use crate::sys::Arg;
use crate::sys::Call;
use crate::sys::Scratch;
use crate::table::Layout;
use crate::table::Steady;
use crate::table::STEADY;
use crate::table::TABLES;
use crate::table::VIPS;
use crate::wire;
use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use harness::blob;
use harness::clean;
use harness::netns::vip_path;
use nix::sched::setns;
use nix::sched::unshare;
use nix::sched::CloneFlags;
use std::fs;
use std::fs::File;
use std::io::Read;
use std::os::fd::AsRawFd;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;

/// What was done.
#[derive(Clone, Copy, Default)]
pub struct Counts {
    pub executions: u64,
    pub packets: u64,
    pub rule_changes: u64,
    pub device_changes: u64,
    pub writes_taken: u64,
    /// Packets whose verdict was compared with the formula, and ARP messages with the MAC.
    pub verdicts: u64,
    pub answers: u64,
    /// Tables of all VIPs, each compared with the VIPs' files.
    pub stats: u64,
    pub checkpoints: u64,
}

impl Counts {
    pub const NAMES: [&'static str; 9] = [
        "executions",
        "packets",
        "rule-changes",
        "device-changes",
        "writes-taken",
        "verdicts-compared",
        "arp-messages-compared",
        "stat-tables-compared",
        "checkpoints",
    ];

    pub fn list(&self) -> [u64; 9] {
        [
            self.executions,
            self.packets,
            self.rule_changes,
            self.device_changes,
            self.writes_taken,
            self.verdicts,
            self.answers,
            self.stats,
            self.checkpoints,
        ]
    }
}

pub struct World {
    pub counts: Counts,
    pub scratch: Scratch,
    pub rules: OwnedFd,
    pub nft: Nft,
    pub links: Links,
    pub files: Vec<File>,
    pub tap: File,
    pub tap_number: i32,
    /// Whether the namespace is one of the machine's root.
    pub is_machines: bool,
    steady: [Steady; 2],
    /// Their files, for reading.
    nodes: Vec<File>,
}

impl World {
    /// In the calling process' namespace, which is new.
    pub fn new(random: &mut Random, is_machines: bool) -> Result<Self> {
        let here = File::open("/proc/thread-self/ns/net")?;
        unshare(CloneFlags::CLONE_NEWNET).context("another namespace")?;
        let elsewhere = File::open("/proc/thread-self/ns/net")?;
        setns(&here, CloneFlags::CLONE_NEWNET).context("back")?;

        let mut steady = |vip, modes: &[u32]| Steady {
            vip,
            mode: modes[random.below(modes.len())],
            seed: random.next() as u32,
            total: [1, 2, 3, 16, 64][random.below(5)],
        };
        let steady = [steady(VIPS[0], &[0, 1, 2, 2]), steady(VIPS[1], &[0, 1, 2])];
        let links = Links::new(elsewhere)?;
        links.up("lo").context("lo")?;
        let tap = sys::tap("eth0").context("a tap")?;
        let mut world = Self {
            counts: Counts::default(),
            scratch: Scratch::new()?,
            rules: blob::socket().context("a raw socket")?,
            nft: Nft::new()?,
            links,
            files: Vec::new(),
            tap,
            tap_number: 0,
            is_machines,
            steady,
            nodes: Vec::new(),
        };
        world.set_up_tap()?;
        world.reset()?;
        Ok(world)
    }

    fn set_up_tap(&mut self) -> Result<()> {
        self.tap_number = link::number("eth0")?;
        // Nothing but ARP shall speak by itself.
        let _ = fs::write("/proc/sys/net/ipv6/conf/eth0/disable_ipv6", "1");
        self.links.up("eth0").context("eth0 up")?;
        for host in [1, 100, 101, 102, 103] {
            self.links
                .add_address(self.tap_number, [10, 9, 0, host].into(), 24)
                .context("an address")?;
        }
        Ok(())
    }

    /// What stands first in a table.
    pub fn steady(&self, table: &str) -> Option<&Steady> {
        let at = STEADY.iter().position(|name| *name == table)?;
        Some(&self.steady[at])
    }

    /// Whether this machine answers for a node of a steady VIP.
    pub fn has_node(&self, table: &str, node: u32) -> Result<bool> {
        let at = STEADY.iter().position(|name| *name == table);
        let file = at
            .and_then(|at| self.nodes.get(at))
            .context("no steady VIP")?;
        let mut text = [0; 256];
        let length = file.read_at(&mut text, 0).context("a steady VIP's file")?;
        let text = std::str::from_utf8(&text[..length])?;
        Ok(text
            .trim()
            .split(',')
            .any(|number| number == node.to_string()))
    }

    /// Whether the tap is the device that the steady rules name.
    pub fn is_tap_in_place(&self) -> bool {
        sys::device_name(&self.rules, self.tap_number).is_ok_and(|name| name == "eth0")
    }

    /// Throws away what waits in the tap: said by a device of another name, or while its VIP was none,
    /// it would be judged by how things are now.
    pub fn forget_what_was_said(&mut self) {
        let mut buffer = [0; 2048];
        while self.tap.read(&mut buffer).is_ok_and(|length| length > 0) {}
    }

    /// Devices as at first, but for those that were added.
    fn restore_devices(&mut self) -> Result<()> {
        link::thin_out(self)?;
        self.links.take_names_from_loopback();
        if !self.is_tap_in_place() {
            // Where it went it ends, when what holds it is closed.
            self.tap = File::open("/dev/null")?;
            let _ = self.links.delete("eth0");
            self.tap = sys::tap("eth0").context("a tap again")?;
            self.set_up_tap()?;
        }
        let _ = self.links.up("eth0");
        if self.links.up("peer1").is_err() || self.links.up("eth1").is_err() {
            let _ = self.links.delete("peer1");
            let _ = self.links.delete("eth1");
            // Some device may hold on to a name: then there is no cable until it goes.
            let _ = self.links.add_veth("eth1", "peer1");
        }
        self.forget_what_was_said();
        Ok(())
    }

    /// No rules at all, then the steady ones.
    pub fn reset(&mut self) -> Result<()> {
        self.restore_devices()?;
        for table in TABLES {
            self.replace(table, None)?;
        }
        for (table, steady) in STEADY.into_iter().zip(self.steady) {
            self.replace(table, Some(steady))?;
        }
        // Of those whose VIPs are gone now some are enough.
        let gone = self.files.len().saturating_sub(4);
        self.files.drain(..gone);
        let open = |vip: &std::net::Ipv4Addr| File::open(vip_path(&vip.to_string()));
        self.nodes = VIPS.iter().map(open).collect::<Result<_, _>>()?;
        Ok(())
    }

    fn replace(&mut self, table: &str, steady: Option<Steady>) -> Result<()> {
        let layout = Layout::new(table, steady.as_ref(), &mut Input::new(&[]), 0);
        let (count, _) = blob::info(&self.rules, table).context("the table's size")?;
        let mut bytes = layout.bytes();
        let counters = Arg::BeforeEnd(bytes.len() + 16 * count as usize);
        bytes[84..88].copy_from_slice(&count.to_ne_bytes());
        bytes[88..96].copy_from_slice(&self.scratch.address(counters).to_ne_bytes());
        let args = [
            Arg::Number(libc::SOL_IP as u64),
            Arg::Number(64),
            self.scratch.put(&bytes),
            Arg::Number(bytes.len() as u64),
        ];
        let fd = self.rules.as_raw_fd();
        self.scratch
            .call(Call::SetOption, fd, &args)
            .with_context(|| format!("the plain table {table}, {steady:?}"))?;
        self.counts.rule_changes += 1;
        Ok(())
    }

    /// Does what an input says.
    pub fn step(&mut self, bytes: &[u8]) -> Result<()> {
        self.counts.executions += 1;
        let mut input = Input::new(bytes);
        match input.below(16) {
            0..=3 => rules::replace(self, &mut input),
            4 if input.one_in(2) => rules::add_counters(self, &mut input),
            4 => rules::ask(self, &mut input),
            5 => rules::nftables(self, &mut input),
            6 if input.one_in(3) => stat::read(self, &mut input),
            6 => file::open(self, &mut input),
            7..=9 => file::call(self, &mut input),
            10 => link::change(self, &mut input),
            11 => wire::other_ways(self, &mut input),
            _ => wire::frames(self, &mut input),
        }
    }

    /// Whether rules, files and use counts still say the same.
    pub fn checkpoint(&mut self) -> Result<()> {
        self.counts.checkpoints += 1;
        let rules = rules::count(self)?;
        let with_rules: Vec<String> = rules.keys().map(ToString::to_string).collect();
        let mut with_files: Vec<String> = file::all()?.into_iter().map(|(name, _)| name).collect();
        with_files.sort_by_key(|name| name.parse::<std::net::Ipv4Addr>().ok());
        ensure!(
            with_rules == with_files,
            "rules are there for {with_rules:?}, files for {with_files:?}"
        );
        let (sum, uses) = (rules.values().sum(), clean::uses()?);
        ensure!(
            uses == Some(sum),
            "{sum} rules, and {uses:?} uses of the module"
        );
        self.restore_devices()?;
        // The steady rules are first in their tables, and theirs the VIPs' parameters.
        for table in STEADY {
            rules::first_two(self, table)?;
        }
        Ok(())
    }

    /// Takes all rules away; nothing may be left of them.
    pub fn flush(&mut self) -> Result<()> {
        for table in TABLES {
            self.replace(table, None)?;
        }
        let (files, uses) = (file::all()?, clean::uses()?);
        ensure!(
            files.is_empty() && uses == Some(0),
            "after the last rule there are {uses:?} uses, and files {files:?}"
        );
        Ok(())
    }
}
