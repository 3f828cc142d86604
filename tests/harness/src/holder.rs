// SPDX-License-Identifier: GPL-2.0-only

//! User namespaces, whose root is not the machine's.

use super::eventually;
use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use std::fs;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;

/// A process that holds a user namespace, where root is user 100000 of the machine's.
pub struct Holder(Child);

impl Holder {
    /// `flags` are for `unshare`.
    pub fn new(flags: &str) -> Result<Self> {
        let holder = Self(
            Command::new("unshare")
                .args([flags, "--", "sleep", "1000"])
                .stdin(Stdio::null())
                .spawn()
                .context("unshare")?,
        );
        let ours = fs::read_link("/proc/self/ns/user")?;
        eventually("a user namespace", || {
            let theirs = fs::read_link(holder.path("ns/user"))?;
            let name = fs::read_to_string(holder.path("comm"))?;
            Ok(theirs != ours && name.trim() == "sleep")
        })?;
        fs::write(holder.path("uid_map"), "0 100000 1000")?;
        fs::write(holder.path("gid_map"), "0 100000 1000")?;
        Ok(holder)
    }

    /// The process' number.
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// A file of the process in `/proc`.
    pub fn path(&self, file: &str) -> String {
        format!("/proc/{}/{file}", self.0.id())
    }

    /// Runs a script as root inside.
    pub fn script(&self, enter: &[&str], script: &str) -> Result<String> {
        let process = self.0.id().to_string();
        let output = Command::new("nsenter")
            .args(["-t", &process, "-S", "0", "-G", "0"])
            .args(enter)
            .args(["bash", "-euc", script])
            .env("XTABLES_LOCKFILE", format!("/tmp/xtables.{process}"))
            .output()
            .context("nsenter")?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let error = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "inside: {}: {said}{error}",
            output.status
        );
        Ok(said)
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
