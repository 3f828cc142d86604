// SPDX-License-Identifier: GPL-2.0-only

//! Many at once: rules that come and go by several hands, devices, files and ARP meanwhile
//! (D7, D8, D9, D17, D18). Warnings of the kernel's end the guest, and with it the run. Two more are
//! called by the names of the original's bugs, in the history.

use anyhow::anyhow;
use anyhow::bail;
use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use harness::blob;
use harness::blob::Payload;
use harness::blob::Rule;
use harness::clean::uses;
use harness::cluster::MAC;
use harness::cluster::MAC_BYTES;
use harness::cluster::VIP;
use harness::cluster::VIP_ADDRESS;
use harness::host::expect_no_vip;
use harness::host::host;
use harness::host::NEW;
use harness::module;
use harness::neighbour::Neighbour;
use harness::tests;
use harness::Ctx;
use harness::Netns;
use harness::Test;
use std::fs::OpenOptions;
use std::io;
use std::io::Read;
use std::io::Write;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::Barrier;
use std::thread;

const TURNS: usize = 100;

pub fn tests() -> Vec<Test> {
    tests![
        race_of_writers_devices_and_files_d7_d8_d9_d17,
        race_of_replacements_and_arp_d8_d9_d18,
        race_of_namespaces_devices_and_the_module,
    ]
}

/// A hand at work: an error of it ends the work of all others.
type Hand<'a> = Box<dyn FnOnce() -> Result<()> + Send + 'a>;

/// Runs workers until each is done, and helpers until all workers are.
fn together(workers: Vec<Hand>, helpers: Vec<Hand>, over: &AtomicBool) -> Result<()> {
    thread::scope(|scope| {
        let helpers: Vec<_> = helpers.into_iter().map(|hand| scope.spawn(hand)).collect();
        let workers: Vec<_> = workers.into_iter().map(|hand| scope.spawn(hand)).collect();
        let end = |hands: Vec<thread::ScopedJoinHandle<Result<()>>>| -> Vec<Result<()>> {
            let join = |hand: thread::ScopedJoinHandle<Result<()>>| {
                hand.join()
                    .unwrap_or_else(|_| Err(anyhow!("a thread panicked")))
            };
            hands.into_iter().map(join).collect()
        };
        let mut results = end(workers);
        over.store(true, Relaxed);
        results.extend(end(helpers));
        results.into_iter().collect()
    })
}

fn a_rule(hook: usize) -> Rule {
    let mut rule = Rule::new(VIP_ADDRESS, "eth0", &Payload::default());
    rule.hook = hook;
    rule
}

fn errno<T>(result: &io::Result<T>) -> Option<i32> {
    result.as_ref().err().and_then(io::Error::raw_os_error)
}

/// Nothing is left, and a new rule finds everything as a first one does.
fn expect_fresh(host: &Netns) -> Result<()> {
    expect_no_vip(host, VIP)?;
    ensure!(uses()? == Some(0), "{:?} uses are left", uses()?);
    ensure!(!host.has_arp_hook()?, "the ARP hook is left");
    let socket = host.enter(blob::socket)??;
    blob::replace(&socket, "filter", &[a_rule(blob::LOCAL_IN)])?;
    ensure!(host.nodes(VIP)? == "1", "a new file should say 1");
    host.expect_memberships("eth0", MAC, 1)?;
    ensure!(host.has_arp_hook()?, "there should be an ARP hook");
    blob::replace(&socket, "filter", &[])?;
    expect_no_vip(host, VIP)
}

/// Two make the VIP in the same moment, and take it away in the same moment.
pub fn race_of_two_first_rules_and_two_last_d7_d9(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    let barrier = Barrier::new(2);
    let failed = AtomicBool::new(false);
    let hand = |table: &'static str, first: bool| -> Hand {
        let (host, barrier, failed) = (&host, &barrier, &failed);
        Box::new(move || {
            let socket = host.enter(blob::socket)??;
            for turn in 0..TURNS {
                barrier.wait();
                let added = blob::replace(&socket, table, &[a_rule(blob::LOCAL_IN)]);
                barrier.wait();
                let mut seen = added.with_context(|| format!("adding to {table}, turn {turn}"));
                if first && seen.is_ok() {
                    seen = both_there(host);
                }
                failed.fetch_or(seen.is_err(), Relaxed);
                barrier.wait();
                let ended = blob::replace(&socket, table, &[]);
                barrier.wait();
                if first && seen.is_ok() {
                    seen = expect_no_vip(host, VIP);
                }
                failed.fetch_or(seen.is_err(), Relaxed);
                barrier.wait();
                seen?;
                ended.with_context(|| format!("flushing {table}, turn {turn}"))?;
                // The other one has an error to tell.
                if failed.load(Relaxed) {
                    return Ok(());
                }
            }
            Ok(())
        })
    };
    together(
        vec![hand("filter", true), hand("mangle", false)],
        vec![],
        &AtomicBool::new(false),
    )?;
    expect_fresh(&host)
}

fn both_there(host: &Netns) -> Result<()> {
    let users = host.memberships("eth0", MAC)?;
    ensure!(
        users == 1,
        "two rules of one VIP should be one membership, not {users}"
    );
    ensure!(host.nodes(VIP)? == "1", "the file should say 1");
    ensure!(uses()? == Some(2), "two rules are {:?} uses", uses()?);
    Ok(())
}

/// Adds a rule, replaces it, flushes it; again and again, in one table.
fn writer<'a>(host: &'a Netns, table: &'static str, allowed: &'static [i32]) -> Hand<'a> {
    Box::new(move || {
        let socket = host.enter(blob::socket)??;
        let rule = a_rule(blob::LOCAL_IN);
        let contents = [
            vec![rule.clone()],
            vec![rule.clone(), rule.clone()],
            vec![rule],
            vec![],
        ];
        for turn in 0..TURNS * contents.len() {
            let rules = &contents[turn % contents.len()];
            let result = blob::replace(&socket, table, rules);
            if !rules.is_empty() && errno(&result).is_some_and(|errno| allowed.contains(&errno)) {
                continue;
            }
            result.with_context(|| format!("{table}, turn {turn}, {} rules", rules.len()))?;
        }
        blob::replace(&socket, table, &[]).context("the last flush")
    })
}

/// The same by `iptables-legacy-restore`.
fn restorer(host: &Netns, missing: bool) -> Hand<'_> {
    Box::new(move || {
        let rule = format!("-A PREROUTING -d {VIP} -i eth0 {NEW}\n");
        let full = format!("*raw\n{rule}{rule}COMMIT\n");
        for _ in 0..TURNS / 4 {
            let output = host.output("iptables-legacy-restore -w", &full)?;
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            // It has no words for why the kernel refuses a line.
            ensure!(
                output.status.success() || missing,
                "iptables-legacy-restore: {said}"
            );
            host.restore("*raw\nCOMMIT\n")?;
        }
        Ok(())
    })
}

pub fn race_of_two_replacing_writers_d7(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    let workers = vec![
        writer(&host, "filter", &[]),
        writer(&host, "mangle", &[]),
        restorer(&host, false),
    ];
    together(workers, vec![], &AtomicBool::new(false))?;
    ctx.expect_silence()?;
    expect_fresh(&host)
}

/// The VIP's device comes and goes, by its name and for good.
fn churn<'a>(host: &'a Netns, over: &'a AtomicBool) -> Hand<'a> {
    Box::new(move || {
        while !over.load(Relaxed) {
            host.ip("link set eth0 name away\nlink set away name eth0\n")?;
            host.ip("link del eth0\nlink add eth0 type veth peer name eth1\nlink set eth0 up\n")?;
            host.ip("link set eth0 down\nlink set eth0 up\n")?;
        }
        Ok(())
    })
}

/// Reads and writes the VIP's file, whether or not it is there.
fn editor<'a>(host: &'a Netns, over: &'a AtomicBool, seen: &'a AtomicU32) -> Hand<'a> {
    Box::new(move || {
        let options = OpenOptions::new().read(true).write(true).clone();
        let strange = |what: &str, error: io::Error| Err(error).context(what.to_string());
        while !over.load(Relaxed) {
            let mut file = match host.open(VIP, &options) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return strange("opening the file", error),
            };
            for (command, already) in [("+2\n", libc::ENOMEM), ("-2\n", libc::ENOENT)] {
                match file.write(command.as_bytes()) {
                    Ok(3) => {}
                    Ok(length) => bail!("{length} bytes written of 3"),
                    Err(error) => match error.raw_os_error() {
                        Some(libc::EIO) => break,
                        Some(errno) if errno == already => {}
                        _ => return strange(command, error),
                    },
                }
                let mut text = [0; 64];
                match file.read(&mut text) {
                    Ok(length) => {
                        let text = &text[..length];
                        ensure!(
                            [&b""[..], b"1\n", b"1,2\n"].contains(&text),
                            "{text:?} was read"
                        );
                        seen.fetch_add(1, Relaxed);
                    }
                    Err(error) if error.raw_os_error() == Some(libc::EIO) => break,
                    Err(error) => return strange("reading the file", error),
                }
            }
        }
        Ok(())
    })
}

fn race_of_writers_devices_and_files_d7_d8_d9_d17(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    let over = AtomicBool::new(false);
    let seen = AtomicU32::new(0);
    // A VIP cannot be made while no device has the name; that is the only thing that may fail.
    let allowed = &[libc::ENOENT];
    let workers = vec![
        writer(&host, "filter", allowed),
        writer(&host, "mangle", allowed),
        restorer(&host, true),
    ];
    let helpers = vec![
        churn(&host, &over),
        editor(&host, &over, &seen),
        editor(&host, &over, &seen),
    ];
    together(workers, helpers, &over)?;
    for line in ctx.log()? {
        ensure!(
            line.starts_with("no such interface eth0"),
            "the log has {line:?}"
        );
    }
    ensure!(seen.into_inner() > 20, "hardly anybody saw the file");
    expect_fresh(&host)
}

/// One table is emptied only while another has the rule: at every moment there is one, and every
/// answer names the cluster's MAC.
fn race_of_replacements_and_arp_d8_d9_d18(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    host.ip(&format!(
        "addr add {VIP}/24 dev eth0\naddr add 10.9.0.101/24 dev eth0\n"
    ))?;
    let own = Neighbour::new(&host, "eth1")?.asks(VIP_ADDRESS)?;
    ensure!(
        own != MAC_BYTES,
        "without a rule the answer should name the device's own MAC"
    );
    let socket = host.enter(blob::socket)??;
    blob::replace(&socket, "filter", &[a_rule(blob::LOCAL_IN)])?;
    let over = AtomicBool::new(false);
    let asked = AtomicU32::new(0);

    let replacer: Hand = Box::new(|| {
        let (one, none) = ([a_rule(blob::LOCAL_IN)], []);
        for _ in 0..TURNS {
            blob::replace(&socket, "filter", &[one[0].clone(), one[0].clone()])?;
            blob::replace(&socket, "mangle", &one)?;
            blob::replace(&socket, "filter", &none)?;
            blob::replace(&socket, "mangle", &[one[0].clone(), one[0].clone()])?;
            blob::replace(&socket, "filter", &one)?;
            blob::replace(&socket, "mangle", &none)?;
        }
        Ok(())
    });
    // Another VIP, whose rule is at times the only other one.
    let other: Hand = Box::new(|| {
        let socket = host.enter(blob::socket)??;
        let mut rule = a_rule(blob::LOCAL_IN);
        rule.destination = [10, 9, 0, 101].into();
        for _ in 0..TURNS * 3 {
            blob::replace(&socket, "security", &[rule.clone()])?;
            blob::replace(&socket, "security", &[])?;
        }
        Ok(())
    });
    let asker: Hand = Box::new(|| {
        let neighbour = Neighbour::new(&host, "eth1")?;
        while !over.load(Relaxed) {
            let mac = neighbour.asks(VIP_ADDRESS)?;
            ensure!(mac == MAC_BYTES, "an answer names {mac:02x?}");
            asked.fetch_add(1, Relaxed);
        }
        Ok(())
    });
    together(vec![replacer, other], vec![asker], &over)?;
    let asked = asked.into_inner();
    ensure!(asked > 100, "only {asked} answers were seen");
    blob::replace(&socket, "filter", &[])?;
    ensure!(
        Neighbour::new(&host, "eth1")?.asks(VIP_ADDRESS)? == own,
        "its own MAC again"
    );
    expect_fresh(&host)
}

/// The module comes and goes while namespaces and devices do.
fn race_of_namespaces_devices_and_the_module(ctx: &mut Ctx) -> Result<()> {
    module::load("dummy iptable_filter")?;
    module::unload()?;
    let here = ctx.netns("here")?;
    let over = AtomicBool::new(false);
    let ctx = &*ctx;
    let loader: Hand = Box::new(|| {
        for _ in 0..20 {
            module::load("ipt_CLUSTERIP")?;
            // Someone's rule may be there for a moment.
            while let Err(error) = module::unload() {
                let busy = error
                    .downcast_ref::<io::Error>()
                    .is_some_and(|error| error.raw_os_error() == Some(libc::EAGAIN));
                ensure!(busy, "{error:#}");
                thread::yield_now();
            }
        }
        Ok(())
    });
    let namespaces: Hand = Box::new(|| {
        while !over.load(Relaxed) {
            let there = ctx.netns("there")?;
            there.ip("link add eth0 type dummy\nlink set eth0 name eth1\n")?;
        }
        Ok(())
    });
    let devices: Hand = Box::new(|| {
        while !over.load(Relaxed) {
            here.ip("link add eth0 type dummy\nlink set eth0 name eth1\nlink del eth1\n")?;
        }
        Ok(())
    });
    let rules: Hand = Box::new(|| {
        while !over.load(Relaxed) {
            // Loads the module if need be, which may be gone again before the rule is made.
            here.output(
                &format!("iptables-legacy -w -A INPUT -d {VIP} -i lo {NEW}"),
                "",
            )?;
            here.iptables("-F")?;
        }
        Ok(())
    });
    together(vec![loader], vec![namespaces, devices, rules], &over)?;
    module::load("ipt_CLUSTERIP")?;
    here.iptables(&format!("-A INPUT -d {VIP} -i lo {NEW}"))?;
    ensure!(here.nodes(VIP)? == "1", "a new file should say 1");
    here.iptables("-F")
}
