// SPDX-License-Identifier: GPL-2.0-only

//! Bugs with memory: taken by the wrong means, or not given back.

use super::machine;
use crate::unload;
use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use harness::allocations::Allocations;
use harness::blob;
use harness::blob::Payload;
use harness::blob::Rule;
use harness::clean;
use harness::cluster::VIP;
use harness::cluster::VIP_ADDRESS;
use harness::module;
use harness::tests;
use harness::Ctx;
use harness::Netns;
use harness::Test;
use nix::mount::mount;
use nix::mount::umount;
use nix::mount::MsFlags;
use std::fs;
use std::path::PathBuf;

pub fn tests() -> Vec<Test> {
    tests![
        bug_d19_memory_that_must_not_wait,
        bug_2018_vip_is_never_freed,
    ]
}

fn usual() -> Rule {
    Rule::new(VIP_ADDRESS, "eth0", &Payload::default())
}

fn set(host: &Netns, rules: &[Rule]) -> Result<()> {
    host.enter(|| blob::replace(&blob::socket()?, "filter", rules))??;
    Ok(())
}

/// The kernel's own record of what it does, for as long as it is mounted.
struct Tracing(PathBuf);

impl Tracing {
    fn new() -> Result<Self> {
        let path = PathBuf::from("/tmp/guest-tests-tracefs");
        fs::create_dir_all(&path)?;
        mount(
            Some("tracefs"),
            &path,
            Some("tracefs"),
            MsFlags::empty(),
            None::<&str>,
        )
        .context("tracefs")?;
        Ok(Self(path))
    }

    fn write(&self, file: &str, text: &str) -> Result<()> {
        fs::write(self.0.join(file), text).with_context(|| format!("{file} of tracefs"))
    }

    /// What the module itself allocated during something that this thread did, a line for each.
    fn allocations(&self, during: impl FnOnce() -> Result<()>) -> Result<Vec<String>> {
        self.write("trace", "")?;
        self.write("set_event_pid", &std::process::id().to_string())?;
        self.write("events/kmem/kmalloc/enable", "1")?;
        let result = during();
        self.write("events/kmem/kmalloc/enable", "0")?;
        let text = fs::read_to_string(self.0.join("trace"))?;
        result?;
        let ours = text
            .lines()
            .filter_map(|line| line.split_once(": kmalloc: call_site="))
            // The kernel's helper for Rust is a call of its own on some kernels; no other Rust is here.
            .filter(|(_, event)| {
                event.contains("[ipt_CLUSTERIP]") || event.starts_with("rust_helper_")
            })
            .map(|(_, event)| event.to_string());
        Ok(ours.collect())
    }
}

impl Drop for Tracing {
    fn drop(&mut self) {
        let _ = umount(&self.0);
    }
}

/// A rule's maker can wait for memory: what the kernel keeps for those that can't is not for him.
fn bug_d19_memory_that_must_not_wait(ctx: &mut Ctx) -> Result<()> {
    let host = machine(ctx)?;
    set(&host, &[])?;
    let tracing = Tracing::new()?;
    let seen = tracing.allocations(|| {
        set(&host, &[usual()])?;
        set(&host, &[usual(), usual()])?;
        set(&host, &[])
    })?;
    ensure!(
        !seen.is_empty(),
        "the module's allocations should be seen, there are none"
    );
    for allocation in seen {
        ensure!(
            !allocation.contains("GFP_ATOMIC") && !allocation.contains("GFP_NOWAIT"),
            "memory that must not wait: {allocation}"
        );
    }
    Ok(())
}

/// What a VIP takes it gives back: with its last rule, with a file open meanwhile, with a batch that
/// fails after it.
fn bug_2018_vip_is_never_freed(ctx: &mut Ctx) -> Result<()> {
    module::unload()?;
    let mut allocations = Allocations::new()?;
    let host = machine(ctx)?;
    allocations.note()?;
    ensure!(
        clean::namespaces_beyond(1)? == 0,
        "only this test's namespace should be there"
    );
    let idle = allocations.count()?;
    let bad = Rule::new(
        VIP_ADDRESS,
        "eth0",
        &Payload {
            mode: 9,
            ..Payload::default()
        },
    );
    for _ in 0..20 {
        set(&host, &[usual(), usual()])?;
        let file = host.open(VIP, fs::OpenOptions::new().read(true))?;
        set(&host, &[usual()])?;
        set(&host, &[])?;
        drop(file);
        ensure!(set(&host, &[usual(), bad.clone()]).is_err(), "a bad mode");
    }
    // Something of what was there before may still go, or be somebody else's by its stack; what is lost
    // here would be lost forty times.
    let most = idle + 10;
    let wanted = format!("{most} objects at most");
    unload::wait_for(&allocations, &wanted, |held| {
        held.iter().map(|(count, _)| count).sum::<u64>() <= most
    })
}
