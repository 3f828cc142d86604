// SPDX-License-Identifier: GPL-2.0-only

//! Hands that meet at one place of the kernel, for certain and not by luck: each on a processor of its
//! own choice, and seen to wait before the next one begins.

use super::blob;
use super::blob::Rule;
use super::eventually;
use super::sys;
use super::Netns;
use anyhow::Result;
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

/// Where the kernel says how a thread is.
pub type Place = OnceLock<PathBuf>;

/// Replaces a table, on a processor, and says first which thread does it.
pub fn replace(
    host: &Netns,
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
pub fn settled<T>(thread: &thread::ScopedJoinHandle<T>, place: &Place) -> Result<()> {
    let mut looks = 0;
    eventually("a thread that waits", || {
        looks = if sleeps(place) { looks + 1 } else { 0 };
        Ok(thread.is_finished() || looks == 50)
    })
}

/// Keeps the second processor busy until told, and not for longer than three seconds.
pub fn keep_busy(started: &mpsc::Sender<()>, over: &AtomicBool) -> Result<()> {
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
pub fn no_mercy() -> Result<()> {
    fs::write("/proc/sys/kernel/sched_rt_runtime_us", "-1")?;
    let server = "/sys/kernel/debug/sched/fair_server/cpu1/runtime";
    if fs::exists(server)? {
        fs::write(server, "0")?;
    }
    Ok(())
}
