// SPDX-License-Identifier: GPL-2.0-only

//! What memory the module under test holds, exactly: with `slub_debug=U` the kernel keeps the stack
//! of each object's allocation, and tells them all in debugfs.

use super::quarantine;
use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use nix::mount::mount;
use nix::mount::umount;
use nix::mount::MsFlags;
use std::fs;
use std::ops::Range;
use std::path::PathBuf;

const NAME: &str = "ipt_CLUSTERIP";

/// All that a module of this kind can get memory of, by what the names start with.
const CACHES: [&str; 4] = ["kmalloc", "proc_dir_entry", "radix_tree_node", "maple"];

/// Finds the module's allocations for as long as it is mounted.
pub struct Allocations {
    mount: PathBuf,
    /// Where the module was, each time that it was seen loaded: stacks of its former lives have no
    /// names.
    ranges: Vec<Range<u64>>,
    /// In jiffies: what was allocated before is not looked at.
    since: u64,
}

impl Allocations {
    pub fn new() -> Result<Self> {
        let path = PathBuf::from("/tmp/guest-tests-debugfs");
        fs::create_dir_all(&path)?;
        mount(
            Some("debugfs"),
            &path,
            Some("debugfs"),
            MsFlags::empty(),
            None::<&str>,
        )
        .context("debugfs")?;
        Ok(Self {
            mount: path,
            ranges: Vec::new(),
            since: 0,
        })
    }

    /// Leaves out all that is there now, for a test that begins with the module unloaded. A stack has
    /// names for sixteen frames at most, and those of whoever is at a place now: what was called from
    /// another module's start, long gone, may look like ours.
    pub fn from_now_on(mut self) -> Result<Self> {
        self.since = jiffies()?;
        Ok(self)
    }

    /// Notes where the module is now.
    pub fn note(&mut self) -> Result<()> {
        let list = fs::read_to_string("/proc/modules")?;
        let words: Vec<&str> = list
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>())
            .find(|words| words[0] == NAME)
            .with_context(|| format!("{NAME} is not loaded"))?;
        let size: u64 = words[1].parse()?;
        let start = u64::from_str_radix(words[5].trim_start_matches("0x"), 16)?;
        ensure!(start != 0, "/proc/modules hides addresses");
        let range = start..start + size;
        if !self.ranges.contains(&range) {
            self.ranges.push(range);
        }
        Ok(())
    }

    /// How many objects there are that were allocated by the module, or on its way.
    pub fn count(&self) -> Result<u64> {
        let held = self.held()?;
        Ok(held.iter().map(|(count, _)| count).sum())
    }

    /// Those objects: how many, and the stack of their allocation.
    pub fn held(&self) -> Result<Vec<(u64, String)>> {
        let mut held = Vec::new();
        let mut caches = 0;
        for entry in fs::read_dir(self.mount.join("slab"))? {
            let path = entry?.path();
            let cache = path.file_name().unwrap_or_default().to_string_lossy();
            if !CACHES.iter().any(|start| cache.starts_with(start)) {
                continue;
            }
            quarantine::empty(&cache)?;
            let path = path.join("alloc_traces");
            // The ids of other mechanisms may be among file names.
            let traces = String::from_utf8_lossy(&fs::read(&path)?).into_owned();
            caches += 1;
            let now = jiffies()?;
            for trace in traces.split("\n\n") {
                let born = now.saturating_sub(youngest(trace).unwrap_or(0));
                if born >= self.since && self.is_ours(trace) {
                    let number = trace.split_whitespace().next().context("alloc_traces")?;
                    let number = number.parse().context("alloc_traces")?;
                    held.push((number, trace.to_string()));
                }
            }
        }
        ensure!(
            caches > 10,
            "only {caches} caches keep stacks: is slub_debug=U set?"
        );
        Ok(held)
    }

    /// Whether an object was allocated by the module, or by the kernel on its behalf.
    fn is_ours(&self, trace: &str) -> bool {
        // Each namespace's table of hooks is the kernel's own, whoever last made it grow or shrink.
        // The functions that do so are inlined into their callers here and there.
        if trace.contains("nf_hook_entries") || trace.contains("register_net_hook") {
            return false;
        }
        // First comes a line about the caller, who is the stack's first but for wrappers.
        let frames: Vec<&str> = trace.lines().skip(1).collect();
        // A module's start runs in memory that is given back at once, and is not in `ranges`: what is
        // there now and was called to start one is another module's start, long gone. So are those
        // that it called from there.
        let end = frames
            .iter()
            .position(|frame| frame.contains("do_one_initcall"))
            .map_or(frames.len(), |at| {
                let of_start = frames[..at].iter().rev();
                at - of_start
                    .take_while(|frame| self.is_in_module(frame))
                    .count()
            });
        frames[..end].iter().any(|frame| self.is_in_module(frame))
    }

    /// Whether a frame is in the module, by name or by number.
    fn is_in_module(&self, frame: &str) -> bool {
        let frame = frame.trim();
        if frame.ends_with(&format!("[{NAME}]")) {
            return true;
        }
        frame
            .strip_prefix("0x")
            .and_then(|digits| u64::from_str_radix(digits, 16).ok())
            .is_some_and(|address| self.ranges.iter().any(|range| range.contains(&address)))
    }
}

/// The kernel's clock, in which it says how old an object is.
fn jiffies() -> Result<u64> {
    let timers = fs::read_to_string("/proc/timer_list")?;
    let said = timers
        .lines()
        .find_map(|line| line.strip_prefix("jiffies: "));
    let said = said.context("/proc/timer_list tells no jiffies")?;
    said.trim().parse().context("jiffies")
}

/// The age of the youngest object with a stack, in jiffies: `age=LEAST/MEAN/MOST`, or `age=ONE`.
fn youngest(trace: &str) -> Option<u64> {
    let (_, ages) = trace.lines().next()?.split_once(" age=")?;
    let least = ages.split(['/', ' ']).next()?;
    least.parse().ok()
}

impl Drop for Allocations {
    fn drop(&mut self) {
        let _ = umount(&self.mount);
    }
}
