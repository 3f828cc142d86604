// SPDX-License-Identifier: GPL-2.0-only

//! The smallest part of an input on which two implementations still differ.

use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use harness::clean;
use harness::host::program;
use harness::sys;
use std::path::Path;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;
use std::time::Instant;

/// Two files of a module of one name, to be tried one after the other in one boot.
pub struct Pair {
    files: [PathBuf; 2],
}

impl Pair {
    /// Loads what the modules need; neither of them is loaded.
    pub fn new(first: &Path, second: &Path) -> Result<Self> {
        program("modprobe -a ip_tables nf_conntrack nf_defrag_ipv4")?;
        unload()?;
        Ok(Self {
            files: [first.to_path_buf(), second.to_path_buf()],
        })
    }

    /// What `run` sees of each. It must leave nothing behind: no rule, no namespace with rules.
    pub fn both<T>(&self, mut run: impl FnMut() -> Result<T>) -> Result<[T; 2]> {
        let [first, second] = &self.files;
        let mut one = |file: &Path| {
            program(&format!("insmod {}", file.display()))?;
            let seen = run();
            unload()?;
            seen
        };
        Ok([one(first)?, one(second)?])
    }
}

/// Unloads the module, once its last rule is gone.
fn unload() -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(10);
    while clean::uses()?.is_some() {
        if let Err(error) = sys::delete_module("ipt_CLUSTERIP") {
            ensure!(Instant::now() < deadline, "the module does not go: {error}");
            thread::sleep(Duration::from_millis(5));
        }
    }
    Ok(())
}

/// A small part of `items`, in their order, for which `differs` still holds, as it must for all of
/// them: no single one of it can be left out (Zeller's ddmin).
pub fn shrink<T: Clone>(
    items: &[T],
    mut differs: impl FnMut(&[T]) -> Result<bool>,
) -> Result<Vec<T>> {
    let mut left = items.to_vec();
    let mut pieces = 2;
    while left.len() > 1 {
        let size = left.len().div_ceil(pieces);
        let mut smaller = None;
        for start in (0..left.len()).step_by(size) {
            let end = (start + size).min(left.len());
            let without = [&left[..start], &left[end..]].concat();
            if !without.is_empty() && differs(&without).context("shrinking")? {
                smaller = Some(without);
                break;
            }
        }
        match smaller {
            Some(without) => {
                println!("shrinking: {} of {} left", without.len(), items.len());
                left = without;
                pieces = (pieces - 1).max(2);
            }
            None if size == 1 => break,
            None => pieces = (pieces * 2).min(left.len()),
        }
    }
    Ok(left)
}
