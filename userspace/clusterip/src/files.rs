// SPDX-License-Identifier: GPL-2.0-only

//! The module's files in `/proc`, or where `--proc` says that they are.

use crate::failure::Failure;
use crate::failure::Result;
use crate::failure::FAILED;
use crate::failure::NOT_PERMITTED;
use crate::failure::NO_MODULE;
use crate::failure::NO_VIP;
use crate::stat;
use crate::stat::Vip;
use crate::stat::Vips;
use std::fs;
use std::io::ErrorKind;
use std::net::Ipv4Addr;
use std::path::Path;
use std::path::PathBuf;

/// What a machine without the module is told.
pub const NOT_LOADED: &str =
    "the module ipt_CLUSTERIP is not loaded; the first rule with \"-j CLUSTERIP\" brings it, \
     or modprobe ipt_CLUSTERIP";

/// What a machine without a VIP is told.
pub const NO_VIP_AT_ALL: &str =
    "there is no VIP here: no rule of this network namespace has \"-j CLUSTERIP\"";

/// Where they are.
pub struct Files {
    /// `/proc/net/stat/ipt_CLUSTERIP`.
    pub stat: PathBuf,
    /// `/proc/net/ipt_CLUSTERIP`, where each VIP has a file.
    pub vips: PathBuf,
}

impl Files {
    /// Those below this directory, which is `/proc` or is like it.
    pub fn new(proc: &Path) -> Self {
        Self {
            stat: proc.join("net/stat/ipt_CLUSTERIP"),
            vips: proc.join("net/ipt_CLUSTERIP"),
        }
    }

    /// The file of a VIP.
    pub fn vip(&self, vip: Ipv4Addr) -> PathBuf {
        self.vips.join(vip.to_string())
    }

    /// All VIPs as they are now; there may be none.
    pub fn read(&self) -> Result<Vips> {
        let name = self.stat.display();
        let text = fs::read(&self.stat).map_err(|error| match error.kind() {
            ErrorKind::NotFound if self.vips.is_dir() => Failure::new(
                NO_MODULE,
                format!(
                    "the module ipt_CLUSTERIP is loaded, but it is an older one that has no {name}"
                ),
            ),
            ErrorKind::NotFound => Failure::new(NO_MODULE, NOT_LOADED),
            ErrorKind::PermissionDenied => {
                Failure::new(NOT_PERMITTED, format!("{name} may not be read: {error}"))
            }
            _ => Failure::new(FAILED, format!("{name} can't be read: {error}")),
        })?;
        stat::parse(&text).map_err(|fault| {
            Failure::new(FAILED, format!("{name} is not what it should be: {fault}"))
        })
    }

    /// Those of these addresses, or all of them if none is named; never none.
    pub fn read_some(&self, wanted: &[Ipv4Addr]) -> Result<Vips> {
        let mut vips = self.read()?;
        if let Some(missing) = wanted.iter().find(|vip| !vips.contains_key(vip)) {
            return Err(no_such(*missing, vips.keys().copied()));
        }
        if vips.is_empty() {
            return Err(Failure::new(NO_VIP, NO_VIP_AT_ALL));
        }
        vips.retain(|vip, _| wanted.is_empty() || wanted.contains(vip));
        Ok(vips)
    }

    /// This VIP.
    pub fn read_one(&self, vip: Ipv4Addr) -> Result<Vip> {
        let found = self.read_some(&[vip])?.remove(&vip);
        found.ok_or_else(|| no_such(vip, []))
    }

    /// The names of the VIPs' files, where an older module has nothing else to be asked.
    pub fn names(&self) -> Vec<Ipv4Addr> {
        let entries = fs::read_dir(&self.vips).into_iter().flatten().flatten();
        let mut names: Vec<_> = entries
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .collect();
        names.sort();
        names
    }

    /// What to say of a VIP that has no file.
    pub fn missing(&self, vip: Ipv4Addr) -> Failure {
        match self.read() {
            Ok(vips) => no_such(vip, vips.keys().copied()),
            Err(_) if self.vips.is_dir() => no_such(vip, self.names()),
            Err(failure) => failure,
        }
    }
}

/// That there is no such VIP, but perhaps others.
pub fn no_such(vip: Ipv4Addr, others: impl IntoIterator<Item = Ipv4Addr>) -> Failure {
    let others: Vec<_> = others.into_iter().map(|vip| vip.to_string()).collect();
    let text = if others.is_empty() {
        NO_VIP_AT_ALL.to_owned()
    } else {
        format!("there is no VIP {vip} here; there is {}", others.join(", "))
    };
    Failure::new(NO_VIP, text)
}
