// SPDX-License-Identifier: GPL-2.0-only

//! Nothing may be left of a test: no namespace, no rule, no file.

use super::netns;
use super::pace;
use anyhow::anyhow;
use anyhow::Context;
use anyhow::Result;
use nix::mount::umount2;
use nix::mount::MntFlags;
use nix::sched::unshare;
use nix::sched::CloneFlags;
use std::fs;
use std::time::Duration;
use std::time::Instant;

pub const MODULE: &str = "/sys/module/ipt_CLUSTERIP";

/// Namespaces end in the background.
const PATIENCE: Duration = Duration::from_secs(10);

/// The number of rules, as the kernel counts the module's users; none while it is not loaded.
pub fn uses() -> Result<Option<u32>> {
    match fs::read_to_string(format!("{MODULE}/refcnt")) {
        Ok(count) => Ok(Some(count.trim().parse()?)),
        Err(_) if !fs::exists(MODULE)? => Ok(None),
        Err(error) => Err(error).context("the module's use count"),
    }
}

/// Objects in use in one of the kernel's caches; merged or unknown ones are an error.
pub fn objects(cache: &str) -> Result<u32> {
    // KASAN keeps what was freed as if it were in use, until its cache is told to shrink.
    let _ = fs::write(format!("/sys/kernel/slab/{cache}/shrink"), "1");
    let table = fs::read_to_string("/proc/slabinfo").context("/proc/slabinfo")?;
    let line = table
        .lines()
        .find(|line| line.split_whitespace().next() == Some(cache))
        .with_context(|| format!("no {cache} in /proc/slabinfo"))?;
    let count = line.split_whitespace().nth(1).context("/proc/slabinfo")?;
    Ok(count.parse()?)
}

/// What a test left behind, in words; empty when it left nothing.
pub fn left_behind() -> Result<Vec<String>> {
    let mut left = Vec::new();
    for entry in fs::read_dir(netns::DIRECTORY).into_iter().flatten() {
        let path = entry?.path();
        left.push(format!("the namespace {}", path.display()));
        let _ = umount2(&path, MntFlags::MNT_DETACH);
        fs::remove_file(&path)?;
    }

    let namespaces = namespaces_beyond(0)?;
    if namespaces > 0 {
        left.push(format!("{namespaces} namespaces that do not end"));
    }
    if let Some(uses @ 1..) = uses()? {
        left.push(format!("{uses} uses of the module"));
    }
    let files = fs::read_dir("/proc/net/ipt_CLUSTERIP").map_or(0, |files| files.count());
    if files > 0 {
        left.push(format!("{files} files in /proc/net/ipt_CLUSTERIP"));
    }
    Ok(left)
}

/// Waits until no more namespaces than these are there, the first one not counted; how many more
/// there still are. What their modules freed after a grace period is then gone too.
///
/// The kernel frees those that it ended before only when it ends the next one, after such a period.
/// So some are made here that have nothing to them: the last one may still be there, but has ended
/// when the one before it has gone.
pub fn namespaces_beyond(wanted: u32) -> Result<u32> {
    let deadline = Instant::now() + pace::patience(PATIENCE);
    pass_a_namespace()?;
    loop {
        pass_a_namespace()?;
        let mut more = 0;
        for _ in 0..50 {
            more = objects("net_namespace")?.saturating_sub(wanted + 1);
            if more == 0 {
                return Ok(0);
            }
            std::thread::sleep(Duration::from_millis(4));
        }
        if Instant::now() > deadline {
            return Ok(more);
        }
    }
}

/// Makes a namespace and lets it end.
fn pass_a_namespace() -> Result<()> {
    std::thread::spawn(|| unshare(CloneFlags::CLONE_NEWNET))
        .join()
        .map_err(|_| anyhow!("a thread for a namespace"))?
        .context("a namespace for its end")
}
