// SPDX-License-Identifier: GPL-2.0-only

//! Many VIPs at once: what it costs to load their rules, to answer for one of them, and to keep them.

use super::clock;
use super::memory;
use super::stage;
use super::sys::Burst;
use super::Recorder;
use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use harness::cluster::CLIENT_MAC;
use harness::cluster::MAC;
use harness::cluster::MAC_BYTES;
use harness::packet;
use harness::packet::Arp;
use harness::sys;
use harness::tap::Tap;
use harness::tap::ETH_ARP;
use harness::Netns;
use std::fs;
use std::fs::File;
use std::io::Write;
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::process::Command;
use std::time::Duration;
use std::time::Instant;

const COUNTS: [usize; 5] = [1, 10, 100, 1000, 10_000];
/// What memory is counted with.
const KEPT: usize = 1000;
const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 254);
const REQUESTS: usize = 200;
const RULES: &str = "/tmp/rules";

const MARK: &str = "-j MARK --set-mark 1";

pub struct Many {
    node: Netns,
    wire: Netns,
    sender: OwnedFd,
}

fn vip(number: usize) -> Ipv4Addr {
    let [.., high, low] = (number as u32 + 1).to_be_bytes();
    Ipv4Addr::new(10, 128, high, low)
}

fn new_target() -> String {
    format!(
        "-j CLUSTERIP --new --hashmode sourceip --clustermac {MAC} --total-nodes 2 --local-node 1"
    )
}

/// A rule for each of so many VIPs.
fn one_each(count: usize, target: &str) -> String {
    let rules: Vec<String> = (0..count)
        .map(|number| format!("-A INPUT -d {} -i eth0 {target}\n", vip(number)))
        .collect();
    rules.concat()
}

/// So many rules for the first VIP alone, behind the one that makes it.
fn all_for_one(count: usize, target: &str) -> String {
    let rules: Vec<String> = (0..count)
        .map(|number| {
            format!(
                "-A INPUT -d {} -i eth0 -m mark --mark {number} {target}\n",
                vip(0)
            )
        })
        .collect();
    one_each(1, target) + &rules.concat()
}

impl Many {
    pub fn new() -> Result<Self> {
        let (wire, node) = stage::pair("many")?;
        // All addresses from one route, so that only what the module adds can grow with them.
        node.ip("route add local 10.128.0.0/16 dev lo\n")?;
        let sender = stage::sender(&wire)?;
        Ok(Self { node, wire, sender })
    }

    /// All rows of a module that is loaded.
    pub fn measure(&self, record: &mut Recorder<'_>) -> Result<()> {
        // Programs and their libraries come into memory, tables to the namespace; and the memory of the
        // largest table to where the next one is taken from.
        for target in [MARK, &new_target()] {
            self.restore(&one_each(COUNTS[COUNTS.len() - 1], target))?;
            self.flush()?;
        }
        for count in COUNTS {
            self.rows_of(record, count)
                .with_context(|| format!("{count} VIPs"))?;
        }
        // Last, for it empties what the kernel has at hand.
        if record.wants("memory/") {
            self.kept(record)?;
        }
        Ok(())
    }

    fn rows_of(&self, record: &mut Recorder<'_>, count: usize) -> Result<()> {
        let (mark, own) = (
            format!("restore/mark/{count}"),
            format!("restore/clusterip/{count}"),
        );
        let arp = format!("arp/{count}");
        let files = count == 1 && record.wants("proc/");
        if !record.wants(&mark) && !record.wants(&own) && !record.wants(&arp) && !files {
            return Ok(());
        }
        let (without, with) = self.loading(count)?;
        record.row(&mark, None, without)?;
        record.row(&own, Some(&mark), with)?;
        if record.wants(&arp) {
            self.expect_answer(0)?;
            self.expect_answer(count - 1)?;
            let cost = self.answers(count)?;
            record.row(&arp, None, cost)?;
        }
        if files {
            self.file(record)?;
        }
        self.flush()
    }

    /// Loading so many rules without the target and with it, whose rules stay.
    fn loading(&self, count: usize) -> Result<(f64, f64)> {
        let (mut without, mut with) = (Vec::new(), Vec::new());
        // In a few rules, starting the program is nearly all there is: its noise needs more tries.
        for _ in 0..if count < 1000 { 5 } else { 1 } {
            self.flush()?;
            without.push(self.restore(&one_each(count, MARK))?);
            self.flush()?;
            with.push(self.restore(&one_each(count, &new_target()))?);
        }
        Ok((median(without), median(with)))
    }

    /// What memory holds for a VIP with its rule, and for a further rule of a VIP.
    fn kept(&self, record: &mut Recorder<'_>) -> Result<()> {
        // The original takes a rule of a VIP that is there only if it says --new again.
        for (name, target) in [("mark", MARK), ("clusterip", &new_target())] {
            let base = |what: &str| (name != "mark").then(|| format!("memory/mark/{what}"));
            let none = self.objects("")?;
            let each = self.objects(&one_each(KEPT, target))?;
            let one = self.objects(&one_each(1, target))?;
            let further = self.objects(&all_for_one(KEPT, target))?;
            for (what, before, after) in [("vip", &none, &each), ("further-rule", &one, &further)] {
                let row = format!("memory/{name}/{what}");
                record.memory(&row, base(what).as_deref(), before, after, KEPT)?;
            }
        }
        self.flush()
    }

    /// What there is once these rules, and no others, stand.
    fn objects(&self, rules: &str) -> Result<memory::Objects> {
        self.flush()?;
        self.restore(rules)?;
        settle();
        memory::objects()
    }

    /// Instructions of a whole `iptables-legacy-restore`, from its start to its end.
    fn restore(&self, rules: &str) -> Result<f64> {
        fs::write(RULES, format!("*filter\n{rules}COMMIT\n"))?;
        let mut command = Command::new("iptables-legacy-restore");
        command.stdin(File::open(RULES)?);
        let start = Instant::now();
        let status = self.node.enter(|| command.status())??;
        let took = start.elapsed();
        ensure!(status.success(), "iptables-legacy-restore: {status}");
        Ok(took.as_nanos() as f64)
    }

    fn flush(&self) -> Result<()> {
        self.restore("")?;
        settle();
        Ok(())
    }

    fn request(&self, number: usize) -> Vec<u8> {
        let request = Arp {
            operation: 1,
            sender_mac: CLIENT_MAC,
            sender: ROUTER,
            target_mac: [0; 6],
            target: vip(number),
        };
        packet::frame([0xff; 6], CLIENT_MAC, ETH_ARP, &request.bytes())
    }

    /// Checks that a VIP is answered for, with the cluster's MAC.
    fn expect_answer(&self, number: usize) -> Result<()> {
        let tap = Tap::new(&self.wire, "w0", ETH_ARP)?;
        tap.send(&self.request(number))?;
        let frame = tap.wait("ARP reply", |frame| frame.len() >= 42 && frame[21] == 2)?;
        let reply = Arp::parse(&frame[14..]).context("no ARP")?;
        ensure!(
            reply.sender_mac == MAC_BYTES && reply.sender == vip(number),
            "a strange answer: {reply:?}"
        );
        Ok(())
    }

    /// Instructions per answer, the request with it; the VIPs asked for are spread over all.
    fn answers(&self, count: usize) -> Result<f64> {
        let frames = (0..REQUESTS)
            .map(|number| self.request(number * count / REQUESTS))
            .collect();
        clock::per_packet(&mut Burst::new(frames), &self.sender, || Ok(()))
    }

    /// What a read and a write of a VIP's file cost.
    fn file(&self, record: &mut Recorder<'_>) -> Result<()> {
        let path = vip(0).to_string();
        let read = self.node.open(&path, File::options().read(true))?;
        let mut buffer = [0; 64];
        let cost = clock::per_call(50, || {
            ensure!(read.read_at(&mut buffer, 0)? > 0, "nothing to read");
            Ok(())
        })?;
        record.row("proc/read", None, cost)?;
        let mut write = self.node.open(&path, File::options().write(true))?;
        let cost = clock::per_call(25, || {
            ensure!(write.write(b"+2")? == 2);
            ensure!(write.write(b"-2")? == 2);
            Ok(())
        })?;
        record.row("proc/write", None, cost / 2.0)
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Lets what was given to RCU go.
fn settle() {
    let _ = sys::wait_for_grace_period();
    std::thread::sleep(Duration::from_millis(50));
}
