// SPDX-License-Identifier: GPL-2.0-only

//! A suite's programs in a root of their own, which they are run in by chroot.

use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use nix::mount::mount;
use nix::mount::MsFlags;
use std::path::Path;

/// Gives a root what the programs look for in it: `/proc`.
pub fn furnish(root: &Path) -> Result<()> {
    ensure!(root.is_dir(), "there is no root {}", root.display());
    let proc = root.join("proc");
    mount(
        Some("/proc"),
        &proc,
        None::<&str>,
        MsFlags::MS_BIND,
        None::<&str>,
    )
    .with_context(|| format!("mounting {}", proc.display()))
}
