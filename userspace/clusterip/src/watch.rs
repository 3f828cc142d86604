// SPDX-License-Identifier: GPL-2.0-only

//! `clusterip watch`: a line whenever a set changes, or a VIP comes or goes.
//!
//! What changed is always read of the file of all VIPs. The VIPs' own files only say when to look, at once and not after a
//! second; they are root's.

use crate::cluster::node::Ranges;
use crate::failure::Result;
use crate::failure::NO_MODULE;
use crate::files::Files;
use crate::stat::Vip;
use crate::stat::Vips;
use crate::Terminal;
use nix::poll::poll;
use nix::poll::PollFd;
use nix::poll::PollFlags;
use nix::poll::PollTimeout;
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::io::Read;
use std::io::Seek;
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::thread;
use std::time::Duration;
use std::time::SystemTime;

/// How long new VIPs may go unseen, and all changes where the VIPs' files can't be waited on.
const EVERY: Duration = Duration::from_secs(1);

/// So many wakings in a row with nothing new: what was waited on does not wait.
const FALSE_ALARMS: u32 = 3;

/// Watches until nobody reads any more, or it is ended.
pub fn watch(files: &Files, wanted: &[Ipv4Addr], to: &mut Terminal<'_>) -> Result {
    let mut known = files.read()?;
    known.retain(|vip, _| wanted.is_empty() || wanted.contains(vip));
    for vip in known.values() {
        tell(to, &started(vip))?;
    }
    for vip in wanted.iter().filter(|vip| !known.contains_key(vip)) {
        tell(to, &format!("{vip} is not here yet"))?;
    }

    let mut waiting = Waiting::Files(BTreeMap::new());
    let mut alarms = 0;
    loop {
        waiting.follow(files, &known, to)?;
        let woken = waiting.wait();
        let mut now = match files.read() {
            // Whoever unloads it may load it again.
            Err(failure) if failure.code == NO_MODULE => Vips::new(),
            now => now?,
        };
        now.retain(|vip, _| wanted.is_empty() || wanted.contains(vip));
        let lines = changes(&known, &now);
        for line in &lines {
            tell(to, line)?;
        }
        known = now;
        alarms = if woken && lines.is_empty() {
            alarms + 1
        } else {
            0
        };
        if alarms > FALSE_ALARMS {
            waiting.give_up("they wake without a change", to)?;
        }
    }
}

fn tell(to: &mut Terminal<'_>, what: &str) -> Result {
    let time = humantime::format_rfc3339_millis(SystemTime::now());
    writeln!(to.out, "{time} {what}")?;
    Ok(to.out.flush()?)
}

fn started(vip: &Vip) -> String {
    let (mine, total) = (vip.mine(), vip.total);
    let mine = Ranges(&mine);
    format!(
        "{} is here: {mine} of {total}, generation {}",
        vip.address, vip.generation
    )
}

/// What has changed, a line each.
pub fn changes(before: &Vips, now: &Vips) -> Vec<String> {
    let mut lines = Vec::new();
    for address in before.keys().filter(|vip| !now.contains_key(vip)) {
        lines.push(format!("{address} is gone"));
    }
    for (address, vip) in now {
        let Some(old) = before.get(address) else {
            lines.push(started(vip));
            continue;
        };
        let (from, to) = (old.mine(), vip.mine());
        let anew = vip.generation < old.generation
            || vip.total != old.total
            || vip.generation == old.generation && from != to;
        if anew {
            lines.push(format!("{address} is gone"));
            lines.push(started(vip));
        } else if vip.generation != old.generation {
            let (from, to) = (Ranges(&from), Ranges(&to));
            lines.push(format!(
                "{address} {from} -> {to}, generation {}",
                vip.generation
            ));
        }
    }
    lines
}

/// How the next change is waited for.
enum Waiting {
    /// By these files.
    Files(BTreeMap<Ipv4Addr, File>),
    /// By the clock alone.
    Clock,
}

impl Waiting {
    /// Opens the files of new VIPs, closes those of VIPs that are gone.
    fn follow(&mut self, files: &Files, vips: &Vips, to: &mut Terminal<'_>) -> Result {
        let Self::Files(open) = self else {
            return Ok(());
        };
        open.retain(|vip, _| vips.contains_key(vip));
        for vip in vips.keys() {
            if open.contains_key(vip) {
                continue;
            }
            match File::open(files.vip(*vip)) {
                Ok(mut file) => {
                    // Until its set is read it would wake at once.
                    if reread(&mut file).is_ok() {
                        open.insert(*vip, file);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    return self.give_up("they are root's", to);
                }
                // It is gone again already, which the next look shows.
                Err(_) => {}
            }
        }
        Ok(())
    }

    /// No longer than until there may be a new VIP; whether something woke it before that.
    fn wait(&mut self) -> bool {
        let Self::Files(open) = self else {
            thread::sleep(EVERY);
            return false;
        };
        let mut polled: Vec<_> = open
            .values()
            .map(|file| PollFd::new(file.as_fd(), PollFlags::POLLIN | PollFlags::POLLPRI))
            .collect();
        let timeout = PollTimeout::try_from(EVERY).unwrap_or(PollTimeout::ZERO);
        // A signal, too, only makes it look early.
        let woken = poll(&mut polled, timeout).is_ok_and(|count| count > 0);
        let woken_by: Vec<_> = polled
            .iter()
            .map(|polled| polled.any() == Some(true))
            .collect();
        let mut woken_by = woken_by.into_iter();
        // What can't be read any more has no VIP, and would wake without end.
        open.retain(|_, file| woken_by.next() != Some(true) || reread(file).is_ok());
        woken
    }

    /// Goes by the clock from now on, and says so.
    fn give_up(&mut self, why: &str, to: &mut Terminal<'_>) -> Result {
        *self = Self::Clock;
        writeln!(
            to.err,
            "clusterip: the VIPs' files can't be waited on ({why}); looking once a second"
        )?;
        Ok(())
    }
}

/// Reads the set, so that the file wakes at the next one.
fn reread(file: &mut File) -> io::Result<()> {
    let mut text = Vec::new();
    file.rewind()?;
    file.take(1 << 16).read_to_end(&mut text)?;
    Ok(())
}
