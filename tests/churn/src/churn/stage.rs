// SPDX-License-Identifier: GPL-2.0-only

//! Where the race is run.
//!
//! ```text
//!   namespace "wire"            namespace "a"
//!      a0 ------------------- eth0  renamed, deleted, made anew
//!      a2 ------------------- eth2  stays as it is, with the standing VIP
//!      m1 ------------------- eth1  moves to "b" and back
//!      b0 ------------------- eth0  namespace "b", as in "a"
//! ```
//!
//! Addresses are on the loopback devices, so that a device takes none with it.

use super::gate::Kind;
use super::vips::Vip;
use super::vips::POOL;
use super::vips::STANDING;
use anyhow::Context;
use anyhow::Result;
use harness::blob;
use harness::links::Links;
use harness::module;
use harness::netns::DIRECTORY;
use harness::sys;
use harness::Netns;
use std::fs;
use std::fs::File;
use std::io;
use std::net::Ipv4Addr;
use std::path::Path;
use std::thread;

pub const TABLES: [&str; 3] = ["filter", "mangle", "raw"];
/// The device that moves.
pub const MOVING: &str = "eth1";

pub struct Host {
    pub ns: Netns,
    /// For those who wait for a last packet.
    pub address: Ipv4Addr,
    /// Whether packets that came through have their connection's mark; the other namespace has
    /// connection tracking from our rules alone.
    pub marks: bool,
    /// What a device is moved here by.
    pub file: File,
}

pub struct Stage {
    pub wire: Netns,
    pub hosts: [Host; 2],
    pub wire_file: File,
}

/// The other end of a device's cable.
pub fn peer(host: &Host, device: &str) -> String {
    match device {
        MOVING => "m1".to_string(),
        other => format!("{}{}", host.ns.name(), other.trim_start_matches("eth")),
    }
}

impl Host {
    fn new(name: &str, number: u8) -> Result<Self> {
        let ns = Netns::new(name)?;
        let address = Ipv4Addr::new(10, 9, 0, number);
        let mut lines = format!("link set lo up\naddr add {address}/32 dev lo\n");
        for vip in POOL.iter() {
            lines += &format!("addr add {}/32 dev lo\n", vip.name);
        }
        ns.ip(&lines)?;
        Ok(Self {
            file: open(name)?,
            marks: name == "a",
            ns,
            address,
        })
    }

    /// Makes a device of this namespace and its other end.
    pub fn cable(&self, links: &Links, wire: &Links, wire_file: &File, device: &str) -> Result<()> {
        use std::os::fd::AsRawFd;
        let end = peer(self, device);
        links.veth(device, &end, Some(wire_file.as_raw_fd()))?;
        wire.set_up(&end, true)?;
        links.set_up(device, true)?;
        Ok(())
    }

    /// Whether a device of that name is here now.
    pub fn has(&self, device: &str) -> Result<bool> {
        Ok(self.ns.enter(|| sys::device_number(device))?.is_ok())
    }

    /// The VIPs of a table's rules, one for each rule.
    pub fn rules(&self, table: &str) -> Result<Vec<&'static Vip>> {
        let entries = self.ns.enter(|| -> Result<_> {
            let socket = blob::socket()?;
            Ok(blob::entries(&socket, table)?)
        })??;
        blob::destinations(&entries)
            .into_iter()
            .map(|address| Vip::of(address).with_context(|| format!("a rule for {address}")))
            .collect()
    }

    fn replace(&self, table: &str, rules: &[blob::Rule]) -> Result<()> {
        let replaced = self
            .ns
            .enter(|| -> std::io::Result<()> { blob::replace(&blob::socket()?, table, rules) })?;
        replaced.with_context(|| format!("{} rules for {table}", rules.len()))
    }

    /// No rule here. Others may replace a table in the same moment, which the kernel refuses (EAGAIN).
    pub fn flush(&self) -> Result<()> {
        for table in TABLES {
            loop {
                match self.replace(table, &[]) {
                    Err(error) if is_again(&error) => thread::yield_now(),
                    other => break other?,
                }
            }
        }
        Ok(())
    }
}

fn is_again(error: &anyhow::Error) -> bool {
    let cause = error.downcast_ref::<io::Error>();
    cause.is_some_and(|error| error.raw_os_error() == Some(libc::EAGAIN))
}

/// A namespace by its name.
pub fn open(name: &str) -> Result<File> {
    File::open(Path::new(DIRECTORY).join(name)).with_context(|| format!("the namespace {name}"))
}

impl Stage {
    pub fn new() -> Result<Self> {
        module::load(
            "dummy veth iptable_filter iptable_mangle iptable_raw iptable_security xt_connmark \
             nf_conntrack ipt_CLUSTERIP",
        )?;
        // Connections that nobody goes on with must not fill their table.
        fs::write("/proc/sys/net/netfilter/nf_conntrack_max", "262144")?;
        let stage = Self {
            wire: Netns::new("wire")?,
            wire_file: open("wire")?,
            hosts: [Host::new("a", 1)?, Host::new("b", 2)?],
        };
        let wire = stage.wire.enter(Links::new)??;
        for (host, devices) in stage
            .hosts
            .iter()
            .zip([&["eth0", "eth1", "eth2"][..], &["eth0"]])
        {
            let links = host.ns.enter(Links::new)??;
            for device in devices {
                host.cable(&links, &wire, &stage.wire_file, device)?;
            }
            host.ns
                .write("/proc/sys/net/netfilter/nf_conntrack_udp_timeout", "2")?;
            if host.marks {
                host.ns
                    .iptables("-t security -A INPUT -j CONNMARK --restore-mark")?;
            }
        }
        Ok(stage)
    }

    /// What a round of that kind starts from.
    pub fn prepare(&self, kind: Kind) -> Result<()> {
        match kind {
            // What is there stays, but for the first time.
            Kind::Rules => {
                let here = &self.hosts[0];
                if here.rules("filter")?.is_empty() {
                    here.replace("filter", &[POOL[STANDING].rule("filter")])?;
                }
                Ok(())
            }
            Kind::Module => self.flush(),
        }
    }

    /// No rule anywhere.
    pub fn flush(&self) -> Result<()> {
        self.hosts.iter().try_for_each(Host::flush)
    }
}
