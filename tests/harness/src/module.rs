// SPDX-License-Identifier: GPL-2.0-only

//! Modules that come and go.

use super::host::program;
use super::sys;
use anyhow::Context;
use anyhow::Result;
use std::path::Path;

pub fn load(modules: &str) -> Result<()> {
    program(&format!("modprobe -a {modules}")).map(drop)
}

pub fn is_loaded(module: &str) -> bool {
    Path::new("/sys/module").join(module).exists()
}

/// Unloads the module under test, if it is loaded.
pub fn unload() -> Result<()> {
    if is_loaded("ipt_CLUSTERIP") {
        sys::delete_module("ipt_CLUSTERIP").context("unloading ipt_CLUSTERIP")?;
    }
    Ok(())
}
