// SPDX-License-Identifier: GPL-2.0-only

//! A machine whose rules are gone before it goes.
//!
//! On newer kernels the original reads freed memory when a namespace ends with rules in it, or just
//! after the last one has gone.

use super::blob;
use super::sys;
use super::Netns;
use anyhow::Result;
use std::fs;
use std::ops::Deref;
use std::time::Duration;

pub struct Flushed(Netns);

impl Flushed {
    /// Takes care of a namespace's end.
    pub fn new(namespace: Netns) -> Self {
        Self(namespace)
    }

    /// Empties all of the tables that there are; their policies are ACCEPT then.
    pub fn flush(&self) -> Result<()> {
        self.0.enter(|| -> Result<()> {
            let socket = blob::socket()?;
            let tables = fs::read_to_string("/proc/thread-self/net/ip_tables_names");
            for table in tables.unwrap_or_default().lines() {
                blob::replace(&socket, table, &[])?;
            }
            Ok(())
        })?
    }
}

impl Deref for Flushed {
    type Target = Netns;

    fn deref(&self) -> &Netns {
        &self.0
    }
}

impl Drop for Flushed {
    fn drop(&mut self) {
        // What stays is found by the runner.
        let _ = self.flush();
        grace_period();
    }
}

/// Waits until what was given to RCU before this call is gone.
pub fn grace_period() {
    // One for the readers, then a moment for the callbacks that waited for them.
    let _ = sys::wait_for_grace_period();
    std::thread::sleep(Duration::from_millis(10));
}
