// SPDX-License-Identifier: GPL-2.0-only

//! D7: a VIP that is made again while its last rule is on the way out.
//!
//! The original takes a VIP off its list first, and then, by a lock of the namespace, its file out
//! of procfs; in between nobody finds the VIP, and the file is still there. Four hands make that
//! moment last:
//!
//! 1. somebody writes to the file of VIP X, and stops in the middle of the call;
//! 2. X's last rule goes, which waits for the writer and has the lock meanwhile;
//! 3. on the second processor Y's last rule goes, and waits for the lock;
//! 4. the second processor gets something more urgent to do, so that what waits there waits on;
//! 5. the writer goes on, the lock is free, and on the first processor Y is made again.

use super::harmful::survived;
use crate::case::Case;
use crate::case::Entry;
use crate::cases;
use crate::cases::file::list;
use crate::cases::module::used;
use crate::cases::vip::count;
use crate::cases::vip::editing;
use crate::cases::vip::rule;
use crate::host::grace_period;
use crate::host::Host;
use anyhow::anyhow;
use anyhow::Context;
use anyhow::Result;
use harness::blob;
use harness::blob::Rule;
use harness::cluster::VIP;
use harness::eventually;
use harness::fault::Page;
use harness::sys;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc;
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;
use std::time::Instant;

const OTHER: &str = "10.9.0.101";

pub fn cases() -> Vec<Entry> {
    cases!["10.1" => d7_made_again_while_it_goes]
}

/// Where the kernel says how a thread is.
type Place = OnceLock<PathBuf>;

/// Replaces a table, on a processor, and says first which thread does it.
fn replace(
    host: &Host,
    processor: usize,
    place: &Place,
    table: &str,
    rules: &[Rule],
) -> Result<io::Result<()>> {
    sys::stay_on_processor(Some(processor))?;
    let socket = host.enter(blob::socket)??;
    let thread = fs::read_link("/proc/thread-self")?;
    // It is set once, by this thread.
    let _ = place.set(PathBuf::from("/proc").join(thread).join("stat"));
    Ok(blob::replace(&socket, table, rules))
}

/// Whether a thread sleeps where no signal wakes it, as one does that waits for a lock.
fn sleeps(place: &Place) -> bool {
    let stat = place.get().and_then(|path| fs::read_to_string(path).ok());
    stat.is_some_and(|text| {
        text.rsplit_once(") ")
            .is_some_and(|(_, rest)| rest.starts_with('D'))
    })
}

/// Waits until a thread sleeps, and not just for a moment, or is done.
fn settled<T>(thread: &thread::ScopedJoinHandle<T>, place: &Place) -> Result<()> {
    let mut looks = 0;
    eventually("a thread that waits", || {
        looks = if sleeps(place) { looks + 1 } else { 0 };
        Ok(thread.is_finished() || looks == 50)
    })
}

/// Keeps the second processor busy until told, and not for longer than three seconds.
fn keep_busy(started: &mpsc::Sender<()>, over: &AtomicBool) -> Result<()> {
    sys::stay_on_processor(Some(1))?;
    sys::run_before_others()?;
    started.send(())?;
    let start = Instant::now();
    while !over.load(Relaxed) && start.elapsed() < Duration::from_secs(3) {
        std::hint::spin_loop();
    }
    Ok(())
}

/// The kernel keeps nothing back for those that the urgent thread leaves no time.
fn no_mercy() -> Result<()> {
    fs::write("/proc/sys/kernel/sched_rt_runtime_us", "-1")?;
    let server = "/sys/kernel/debug/sched/fair_server/cpu1/runtime";
    if fs::exists(server)? {
        fs::write(server, "0")?;
    }
    Ok(())
}

fn d7_made_again_while_it_goes(case: &mut Case) -> Result<()> {
    let host = case.host()?;
    no_mercy()?;
    sys::stay_on_processor(Some(0))?;
    let x = rule(2, &[1]);
    let mut y = rule(2, &[1]);
    y.destination = OTHER.parse()?;
    let socket = host.enter(blob::socket)??;
    blob::replace(&socket, "filter", &[x])?;
    blob::replace(&socket, "mangle", &[y.clone()])?;
    // What a first look at a table costs is paid before.
    blob::replace(&socket, "security", &[])?;
    case.saw("names before", list(&host)?);

    let page = Page::new().context("userfaultfd")?;
    let file = host.open(VIP, &editing())?;
    let (over, places) = (AtomicBool::new(false), [Place::new(), Place::new()]);
    let (sender, started) = mpsc::channel();
    let panicked = |_| anyhow!("a thread panicked");
    thread::scope(|scope| -> Result<()> {
        let writer = scope.spawn(|| page.write_to(&file, 3));
        page.wait()?;
        let first = scope.spawn(|| replace(&host, 0, &places[0], "filter", &[]));
        settled(&first, &places[0])?;
        let second = scope.spawn(|| replace(&host, 1, &places[1], "mangle", &[]));
        settled(&second, &places[1])?;
        let waits = |done| if done { "does not wait" } else { "waits" };
        case.saw("X's removal", waits(first.is_finished()));
        case.saw("Y's removal", waits(second.is_finished()));

        let busy = scope.spawn(|| keep_busy(&sender, &over));
        started.recv()?;
        page.fill(b"+2\n")?;
        let written = writer.join().map_err(panicked)?;
        let removed = first.join().map_err(panicked)??;
        let added = blob::replace(&socket, "security", &[y]);
        over.store(true, Relaxed);
        busy.join().map_err(panicked)??;
        case.saw("the writer", count(&written));
        case.errno("X removed", &removed);
        case.errno("Y made again", &added);
        let result = second.join().map_err(panicked)??;
        case.errno("Y removed", &result);
        Ok(())
    })?;
    sys::stay_on_processor(None)?;
    case.saw("names", list(&host)?);
    case.saw("Y's nodes", host.nodes(OTHER)?);
    used(case, "uses")?;
    host.flush()?;
    grace_period();
    case.saw("names after", list(&host)?);
    drop(file);
    survived(case)
}
