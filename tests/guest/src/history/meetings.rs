// SPDX-License-Identifier: GPL-2.0-only

//! Bugs that take two to meet in the kernel. Where it can be brought about, they meet for certain:
//! somebody writes to a VIP's file and stops in the middle of the call, and whoever removes that file
//! waits for him, with what he holds.

use super::machine;
use crate::races;
use crate::unload;
use anyhow::anyhow;
use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use harness::blob;
use harness::blob::Payload;
use harness::blob::Rule;
use harness::cluster::MAC;
use harness::cluster::MAC_BYTES;
use harness::cluster::VIP;
use harness::eventually;
use harness::fault::Page;
use harness::hands;
use harness::hands::Place;
use harness::host::expect_no_vip;
use harness::neighbour::Neighbour;
use harness::sys;
use harness::tests;
use harness::Ctx;
use harness::Netns;
use harness::Test;
use std::fs::OpenOptions;
use std::io;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

pub fn tests() -> Vec<Test> {
    tests![
        bug_d7_made_again_while_it_goes,
        bug_d9_busy_while_it_is_made,
        bug_d17_rename_is_missed,
        bug_d18_read_without_a_grace_period,
        bug_2016_two_make_one_vip,
        bug_2018_sleep_under_a_spinlock,
        bug_2018_rtnl_waits_for_a_file,
        bug_syzbot_08e6343a8cbd89b0c9d8_two_writers_replace,
    ]
}

const OTHER: &str = "10.9.0.101";

fn of(vip: &str) -> Result<Rule> {
    Ok(Rule::new(vip.parse()?, "eth0", &Payload::default()))
}

fn panicked(_: Box<dyn std::any::Any + Send>) -> anyhow::Error {
    anyhow!("a thread panicked")
}

/// Somebody stops in a write to the VIP's file; then the VIP's last rule goes, which waits, and `meet`
/// happens meanwhile. `meet` lets the writer go on, and the VIP go, by what it is given.
fn with_the_removal_waiting(
    host: &Netns,
    meet: impl FnOnce(&dyn Fn() -> Result<()>) -> Result<()>,
) -> Result<()> {
    sys::stay_on_processor(Some(0))?;
    let page = Page::new().context("userfaultfd")?;
    let mut options = OpenOptions::new();
    let file = host.open(VIP, options.read(true).write(true))?;
    let place = Place::new();
    let result = thread::scope(|scope| -> Result<()> {
        let writer = scope.spawn(|| page.write_to(&file, 3));
        page.wait()?;
        let first = scope.spawn(|| hands::replace(host, 0, &place, "filter", &[]));
        hands::settled(&first, &place)?;
        let waits = !first.is_finished();
        let filled = AtomicBool::new(false);
        let go_on = || -> Result<()> {
            if !filled.swap(true, Relaxed) {
                page.fill(b"+2\n")?;
            }
            eventually("the end of the removal", || Ok(first.is_finished()))
        };
        let met = meet(&go_on);
        go_on()?;
        // He may be told that the VIP has gone meanwhile.
        match writer.join().map_err(panicked)? {
            Err(error) if error.raw_os_error() != Some(libc::EIO) => Err(error)?,
            _ => {}
        }
        first.join().map_err(panicked)???;
        met?;
        ensure!(waits, "the removal should have waited for the writer");
        Ok(())
    });
    sys::stay_on_processor(None)?;
    result
}

/// D7: a VIP that is made again while its last rule is on the way out. Its file is in the way, if
/// somebody may find that the VIP has gone before the file has.
///
/// X's removal has the lock, and waits for a writer. On the second processor Y's removal waits for the
/// lock, and gets no time to take it when it is free; and on the first processor Y is made again.
fn bug_d7_made_again_while_it_goes(ctx: &mut Ctx) -> Result<()> {
    let host = machine(ctx)?;
    hands::no_mercy()?;
    let (x, y) = (of(VIP)?, of(OTHER)?);
    let socket = host.enter(blob::socket)??;
    blob::replace(&socket, "filter", &[x])?;
    blob::replace(&socket, "mangle", &[y.clone()])?;
    // What a first look at a table costs is paid before.
    blob::replace(&socket, "security", &[])?;
    let mut added = None;
    with_the_removal_waiting(&host, |go_on| {
        let (over, place) = (AtomicBool::new(false), Place::new());
        let (sender, started) = mpsc::channel();
        thread::scope(|scope| -> Result<()> {
            let second = scope.spawn(|| hands::replace(&host, 1, &place, "mangle", &[]));
            hands::settled(&second, &place)?;
            let busy = scope.spawn(|| hands::keep_busy(&sender, &over));
            started.recv()?;
            go_on()?;
            added = Some(blob::replace(&socket, "security", &[y]));
            over.store(true, Relaxed);
            busy.join().map_err(panicked)??;
            second.join().map_err(panicked)???;
            Ok(())
        })
    })?;
    let nodes = host.nodes(OTHER);
    for table in ["filter", "mangle", "security"] {
        blob::replace(&socket, table, &[])?;
    }
    added
        .context("nothing was added")?
        .context("the VIP is made again")?;
    ensure!(nodes? == "1", "the VIP that was made again has no file");
    expect_no_vip(&host, OTHER)
}

/// D9: while one makes a VIP, another one's rule for it has to wait for that, and then join.
fn bug_d9_busy_while_it_is_made(ctx: &mut Ctx) -> Result<()> {
    let host = machine(ctx)?;
    let socket = host.enter(blob::socket)??;
    for table in ["mangle", "security"] {
        blob::replace(&socket, table, &[])?;
    }
    blob::replace(&socket, "filter", &[of(VIP)?])?;
    let y = [of(OTHER)?];
    let mut results: Vec<io::Result<()>> = Vec::new();
    with_the_removal_waiting(&host, |go_on| {
        let places = [Place::new(), Place::new()];
        thread::scope(|scope| -> Result<()> {
            let makes = scope.spawn(|| hands::replace(&host, 1, &places[0], "mangle", &y));
            hands::settled(&makes, &places[0])?;
            let joins = scope.spawn(|| hands::replace(&host, 1, &places[1], "security", &y));
            hands::settled(&joins, &places[1])?;
            go_on()?;
            for hand in [makes, joins] {
                results.push(hand.join().map_err(panicked)??);
            }
            Ok(())
        })
    })?;
    for table in ["mangle", "security"] {
        blob::replace(&socket, table, &[])?;
    }
    for (result, what) in results.into_iter().zip(["made", "joined"]) {
        result.with_context(|| format!("the VIP is {what} by one of two rules"))?;
    }
    expect_no_vip(&host, OTHER)
}

/// D17: a device that gets another name while a VIP is put on it. Wherever the two meet, there is no
/// membership on a device of another name afterwards.
fn bug_d17_rename_is_missed(ctx: &mut Ctx) -> Result<()> {
    let host = machine(ctx)?;
    let socket = host.enter(blob::socket)??;
    let rule = [of(VIP)?];
    blob::replace(&socket, "filter", &[])?;
    for turn in 0..30 {
        let added = thread::scope(|scope| -> Result<io::Result<()>> {
            let adds = scope.spawn(|| blob::replace(&socket, "filter", &rule));
            // A program's start takes about as long as a rule, at one time more, at another less.
            thread::sleep(Duration::from_micros(turn * 200));
            host.ip("link set eth0 name away\n")?;
            adds.join().map_err(panicked)
        })?;
        let left = host.memberships("away", MAC)?;
        host.ip("link set away name eth0\n")?;
        let back = host.memberships("eth0", MAC)?;
        blob::replace(&socket, "filter", &[])?;
        ensure!(
            left == 0,
            "turn {turn}: a membership on a device of another name"
        );
        let wanted = u32::from(added.is_ok());
        ensure!(
            back == wanted,
            "turn {turn}: {back} memberships, not {wanted}"
        );
        expect_no_vip(&host, VIP)?;
    }
    Ok(())
}

/// D18: ARP looks at a VIP without a lock, while it goes. What it reads is the VIP's, to the end.
fn bug_d18_read_without_a_grace_period(ctx: &mut Ctx) -> Result<()> {
    let host = machine(ctx)?;
    host.ip(&format!("addr add {VIP}/24 dev eth0\n"))?;
    let own = Neighbour::new(&host, "eth1")?.asks(VIP.parse()?)?;
    let rule = [of(VIP)?];
    let over = AtomicBool::new(false);
    let seen = thread::scope(|scope| -> Result<[u32; 2]> {
        let replaces = scope.spawn(|| -> Result<()> {
            let socket = host.enter(blob::socket)??;
            for _ in 0..150 {
                blob::replace(&socket, "filter", &rule)?;
                blob::replace(&socket, "filter", &[])?;
            }
            Ok(())
        });
        let asks = scope.spawn(|| -> Result<[u32; 2]> {
            let neighbour = Neighbour::new(&host, "eth1")?;
            let mut seen = [0, 0];
            while !over.load(Relaxed) {
                let mac = neighbour.asks(VIP.parse()?)?;
                let at = [own, MAC_BYTES].iter().position(|known| *known == mac);
                seen[at.with_context(|| format!("an answer names {mac:02x?}"))?] += 1;
            }
            Ok(seen)
        });
        let replaced = replaces.join().map_err(panicked)?;
        over.store(true, Relaxed);
        let seen = asks.join().map_err(panicked)?;
        replaced?;
        seen
    })?;
    ensure!(
        seen.iter().all(|times| *times > 5),
        "both answers should be seen, these are {seen:?}"
    );
    Ok(())
}

/// Two make the VIP in the same moment: there is one, of two rules, and neither is told off.
fn bug_2016_two_make_one_vip(ctx: &mut Ctx) -> Result<()> {
    races::race_of_two_first_rules_and_two_last_d7_d9(ctx)
}

/// To remove a file means to sleep, at times: no spinlock may be held then.
fn bug_2018_sleep_under_a_spinlock(ctx: &mut Ctx) -> Result<()> {
    let host = machine(ctx)?;
    let socket = host.enter(blob::socket)??;
    blob::replace(&socket, "filter", &[of(VIP)?])?;
    with_the_removal_waiting(&host, |_| {
        thread::sleep(Duration::from_millis(50));
        Ok(())
    })?;
    expect_no_vip(&host, VIP)
}

/// Whoever has RTNL may not have to wait for somebody who writes to a file.
fn bug_2018_rtnl_waits_for_a_file(ctx: &mut Ctx) -> Result<()> {
    unload::stalled_writer_blocks_no_other_namespace(ctx)
}

/// syzbot's program: two replace the same rules, over and over.
fn bug_syzbot_08e6343a8cbd89b0c9d8_two_writers_replace(ctx: &mut Ctx) -> Result<()> {
    races::race_of_two_replacing_writers_d7(ctx)
}
