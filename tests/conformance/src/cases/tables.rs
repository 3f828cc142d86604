// SPDX-License-Identifier: GPL-2.0-only

//! What the cases about rules stand on: a machine that is given whole tables by raw `setsockopt`, and
//! ways to say what is to be seen of a VIP afterwards.

use crate::case::Case;
use crate::host::grace_period;
use crate::host::Host;
use anyhow::Result;
use harness::blob;
use harness::blob::Payload;
use harness::blob::Rule;
use harness::clean::uses;
use harness::cluster::MAC;
use harness::cluster::VIP;
use harness::cluster::VIP_ADDRESS;
use harness::netns::vip_path;
use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;
use std::time::Instant;

/// A VIP and a MAC beside the usual ones.
pub const SECOND_VIP: &str = "10.9.0.101";
pub const SECOND_MAC: &str = "01:00:5e:00:00:21";
pub const SECOND_MAC_BYTES: [u8; 6] = [1, 0, 0x5e, 0, 0, 0x21];

/// A machine and a socket of its namespace.
pub struct Tables {
    pub host: Host,
    pub socket: OwnedFd,
}

impl Tables {
    pub fn new(case: &mut Case) -> Result<Self> {
        let host = case.host()?;
        Self::of(host)
    }

    pub fn named(case: &mut Case, name: &str) -> Result<Self> {
        let host = case.host_named(name)?;
        Self::of(host)
    }

    fn of(host: Host) -> Result<Self> {
        let socket = host.enter(blob::socket)??;
        Ok(Self { host, socket })
    }

    /// Replaces the table `filter`.
    pub fn set(&self, rules: &[Rule]) -> io::Result<()> {
        blob::replace(&self.socket, "filter", rules)
    }

    /// Replaces a table.
    pub fn set_in(&self, table: &str, rules: &[Rule]) -> io::Result<()> {
        blob::replace(&self.socket, table, rules)
    }

    /// Writes a command to the VIP's file; how that ended.
    pub fn tell(&self, command: &str) -> io::Result<()> {
        let mut file = self.host.open(VIP, fs::OpenOptions::new().write(true))?;
        io::Write::write(&mut file, command.as_bytes()).map(drop)
    }

    /// A table's CLUSTERIP targets, as the kernel gives them back.
    pub fn dump(&self, table: &str) -> Result<Vec<Vec<u8>>> {
        let entries = blob::entries(&self.socket, table)?;
        Ok(blob::targets(&entries)
            .iter()
            .map(|target| target.to_vec())
            .collect())
    }
}

/// The usual rule, on `eth0` in INPUT, its payload changed.
pub fn with(change: impl FnOnce(&mut Payload)) -> Rule {
    let mut payload = Payload::default();
    change(&mut payload);
    Rule::new(VIP_ADDRESS, "eth0", &payload)
}

/// The usual rule.
pub fn usual() -> Rule {
    with(|_| ())
}

/// The usual rule for another VIP.
pub fn usual_for(vip: &str) -> Rule {
    let address = vip.parse().unwrap_or(Ipv4Addr::UNSPECIFIED);
    Rule::new(address, "eth0", &Payload::default())
}

/// A rule for the usual VIP on another device, that says everything else differently but for the MAC.
pub fn other() -> Rule {
    let mut payload = Payload::default().nodes(7, &[6]);
    payload.mode = 1;
    payload.seed = 9;
    Rule::new(VIP_ADDRESS, "eth1", &payload)
}

/// A key and what of it is meant.
pub fn key(about: &str, what: &str) -> String {
    format!("{about} {what}").trim().to_string()
}

/// Offers a table `filter` of one rule and says what became of it: the error, the log, and when it
/// was taken the VIP's nodes. The table is empty again afterwards.
pub fn offer(case: &mut Case, tables: &Tables, about: &str, rule: &Rule) -> Result<()> {
    offer_all(case, tables, about, std::slice::from_ref(rule))
}

/// As [`offer`], of several rules; the VIP is the last one's.
pub fn offer_all(case: &mut Case, tables: &Tables, about: &str, rules: &[Rule]) -> Result<()> {
    let result = tables.set(rules);
    case.errno(&key(about, "errno"), &result);
    case.log(&key(about, "log"))?;
    if result.is_ok() {
        let vip = rules.last().map(|rule| rule.destination.to_string());
        let nodes = nodes(&tables.host, &vip.unwrap_or_default())?;
        case.saw(&key(about, "nodes"), nodes);
        tables.set(&[])?;
    }
    Ok(())
}

/// A case of one rule.
pub fn one(case: &mut Case, rule: &Rule) -> Result<()> {
    let tables = Tables::new(case)?;
    offer(case, &tables, "", rule)
}

/// A VIP's nodes, or that it has none or no file. Read at once: what the original gives to a reader of
/// pieces is a matter of its own (§6.1).
pub fn nodes(host: &Host, vip: &str) -> Result<String> {
    let mut file = match host.open(vip, fs::OpenOptions::new().read(true)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok("no file".to_string()),
        Err(error) => return Err(error.into()),
    };
    let mut text = [0; 512];
    let length = io::Read::read(&mut file, &mut text)?;
    let text = String::from_utf8_lossy(&text[..length]);
    Ok(match text.trim_end_matches('\n') {
        "" => "none".to_string(),
        nodes => nodes.to_string(),
    })
}

/// The files of a machine, and nodes of each.
pub fn files(host: &Host) -> Result<String> {
    let mut names: Vec<String> = host.enter(|| -> io::Result<Vec<String>> {
        let directory = vip_path("");
        fs::read_dir(directory)?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect()
    })??;
    names.sort();
    let mut files = Vec::new();
    for name in names {
        files.push(format!("{name}={}", nodes(host, &name)?));
    }
    Ok(if files.is_empty() {
        "none".to_string()
    } else {
        files.join(" ")
    })
}

/// How often a MAC is joined on a device, once nothing changes any more. What leaves leaves when the
/// kernel's readers are done, so `wanted` is waited for; but not for ever.
pub fn joined(host: &Host, device: &str, mac: &str, wanted: u32) -> Result<u32> {
    grace_period();
    settled(host, device, mac, wanted)
}

/// As [`joined`], after a grace period.
fn settled(host: &Host, device: &str, mac: &str, wanted: u32) -> Result<u32> {
    let deadline = Instant::now() + Duration::from_secs(2);
    loop {
        let seen = host.memberships(device, mac)?;
        if seen == wanted || Instant::now() > deadline {
            return Ok(seen);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Says what there is of VIPs at all: files, the module's rules, who hears the usual MAC.
pub fn state(case: &mut Case, host: &Host, about: &str, wanted: [u32; 2]) -> Result<()> {
    grace_period();
    let eth0 = settled(host, "eth0", MAC, wanted[0])?;
    let eth1 = settled(host, "eth1", MAC, wanted[1])?;
    let value = format!(
        "files: {}; rules: {}; MAC: {eth0} on eth0, {eth1} on eth1",
        files(host)?,
        rules()?
    );
    case.saw(&key(about, "state"), value);
    Ok(())
}

/// The number of rules that the kernel counts.
pub fn rules() -> Result<u32> {
    Ok(uses()?.unwrap_or(0))
}

/// The number of the VIP's file.
pub fn inode(host: &Host) -> Result<u64> {
    Ok(host.enter(|| fs::metadata(vip_path(VIP)))??.ino())
}

/// Runs a program and says its exit code and the first line that it wrote to stderr.
pub fn program(case: &mut Case, host: &Host, about: &str, line: &str, input: &str) -> Result<()> {
    let output = host.output(line, input)?;
    let error = String::from_utf8_lossy(&output.stderr);
    let said = error.lines().find(|line| !line.trim().is_empty());
    let code = output.status.code().unwrap_or(-1);
    let value = match said {
        Some(said) => format!("{code}, {}", said.trim_end()),
        None => code.to_string(),
    };
    case.saw(about, value);
    Ok(())
}

/// As [`program`], of `iptables-legacy`.
pub fn iptables(case: &mut Case, host: &Host, about: &str, arguments: &str) -> Result<()> {
    program(
        case,
        host,
        about,
        &format!("iptables-legacy {arguments}"),
        "",
    )
}

/// As [`program`], of `iptables-legacy-restore`.
pub fn restore(case: &mut Case, host: &Host, about: &str, text: &str) -> Result<()> {
    program(case, host, about, "iptables-legacy-restore", text)
}

/// Says a table's rules with the target, as `iptables-legacy -S` has them.
pub fn listed(case: &mut Case, host: &Host, about: &str, table: &str) -> Result<()> {
    let text = host.run(&format!("iptables-legacy -t {table} -S"))?;
    let rules: Vec<&str> = text
        .lines()
        .filter(|line| line.contains("CLUSTERIP"))
        .collect();
    case.saw(about, rules.join(" | "));
    Ok(())
}
