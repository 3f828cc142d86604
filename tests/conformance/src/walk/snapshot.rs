// SPDX-License-Identifier: GPL-2.0-only

//! What is to be seen after a step.

use super::files;
use super::generate::mac;
use super::generate::MACS;
use super::space::Space;
use super::table::TABLES;
use anyhow::Context;
use anyhow::Result;
use harness::blob;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::fs::File;
use std::hash::DefaultHasher;
use std::hash::Hash;
use std::hash::Hasher;
use std::os::unix::fs::MetadataExt;
use std::thread;
use std::time::Duration;
use std::time::Instant;

const FILES: &str = "/proc/thread-self/net/ipt_CLUSTERIP";
/// How long a membership may take to go.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// The same, after one did not go: then it is not a matter of time.
const SHORT_PATIENCE: Duration = Duration::from_millis(200);

/// A number that stands for a value.
pub fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// Who hears what: device, MAC, how often, and whether an admin asked for it too.
type Heard = BTreeMap<(String, String), String>;

/// All that is to be seen of a namespace: its files, its rules, and what its devices hear.
pub fn of(space: &Space, patience: &mut Duration) -> Result<String> {
    let mut seen = String::new();
    let heard = space.host.enter(|| -> Result<_> {
        file_texts(&mut seen)?;
        let mut heard = heard()?;
        // A membership goes a while after its VIP. If it stays, that is what is seen.
        let deadline = Instant::now() + *patience;
        let wanted = wanted(space)?;
        while of_cluster(&heard) != wanted {
            if Instant::now() > deadline {
                *patience = SHORT_PATIENCE;
                break;
            }
            thread::sleep(Duration::from_millis(1));
            heard = self::heard()?;
        }
        Ok(heard)
    })??;
    for ((device, mac), users) in heard {
        write!(seen, " {device}:{mac}*{users}")?;
    }
    for table in TABLES {
        let entries =
            blob::entries(&space.socket, table).with_context(|| format!("reading {table}"))?;
        write!(
            seen,
            " {table}:{}#{:08x}",
            entries.len(),
            hash(&entries) >> 32
        )?;
    }
    Ok(seen)
}

/// The VIPs' files: who may use them, and what they say.
fn file_texts(seen: &mut String) -> Result<()> {
    let mut names = Vec::new();
    for entry in fs::read_dir(FILES).context(FILES)? {
        names.push(entry?.path());
    }
    names.sort();
    for path in names {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let about = fs::metadata(&path)?;
        let text = files::text(&mut File::open(&path)?)?;
        write!(
            seen,
            " {name}={text:?},{:o},{},{},{}",
            about.mode(),
            about.uid(),
            about.gid(),
            about.len()
        )?;
    }
    Ok(())
}

/// What the devices hear, but for their numbers.
fn heard() -> Result<Heard> {
    let text = fs::read_to_string("/proc/thread-self/net/dev_mcast").context("dev_mcast")?;
    Ok(text
        .lines()
        .filter_map(|line| match *line.split_whitespace().collect::<Vec<_>>() {
            [_, device, users, by_admin, mac] => Some((
                (device.to_string(), mac.to_string()),
                format!("{users}/{by_admin}"),
            )),
            _ => None,
        })
        .collect())
}

/// What the devices should hear for the VIPs.
fn wanted(space: &Space) -> Result<Heard> {
    let mut counts: BTreeMap<(String, String), u32> = BTreeMap::new();
    let devices = devices()?;
    for bound in space.vips.values() {
        if devices.contains(bound.device) {
            *counts
                .entry((bound.device.to_string(), hex(bound.mac)))
                .or_default() += 1;
        }
    }
    Ok(counts
        .into_iter()
        .map(|(key, count)| (key, format!("{count}/0")))
        .collect())
}

/// The devices of the calling thread's namespace. To ask for one that is not there by an `ioctl` would
/// have the kernel look for a module of that name, each time.
pub fn devices() -> Result<BTreeSet<String>> {
    let text = fs::read_to_string("/proc/thread-self/net/dev").context("net/dev")?;
    Ok(text
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, _)| name.trim().to_string())
        .collect())
}

fn of_cluster(heard: &Heard) -> Heard {
    let macs: Vec<String> = (0..MACS).map(|number| hex(mac(number))).collect();
    heard
        .iter()
        .filter(|((_, mac), _)| macs.contains(mac))
        .map(|(key, users)| (key.clone(), users.clone()))
        .collect()
}

/// As the kernel prints it there.
fn hex([a, b, c, d, e, f]: [u8; 6]) -> String {
    format!("{a:02x}{b:02x}{c:02x}{d:02x}{e:02x}{f:02x}")
}
