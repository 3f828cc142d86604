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
use anyhow::anyhow;
use anyhow::Context;
use anyhow::Result;
use harness::blob;
use harness::cluster::VIP;
use harness::fault::Page;
use harness::hands::keep_busy;
use harness::hands::no_mercy;
use harness::hands::replace;
use harness::hands::settled;
use harness::hands::Place;
use harness::sys;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc;
use std::thread;

const OTHER: &str = "10.9.0.101";

pub fn cases() -> Vec<Entry> {
    cases!["10.1" => d7_made_again_while_it_goes]
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
