// SPDX-License-Identifier: GPL-2.0-only

//! Where packets are measured: a wire, a node, and a sender that puts a burst on the wire and looks
//! at the clock.
//!
//! On one processor each frame goes through the node before the next one is sent, so that the time
//! of a burst is that of all its packets, from the system call to their end.

use super::clock;
use super::flows;
use super::flows::Kind;
use super::flows::Server;
use super::sys::Burst;
use anyhow::bail;
use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use harness::cluster::VIP;
use harness::host::OURS;
use harness::sys;
use harness::Netns;
use std::collections::BTreeMap;
use std::os::fd::OwnedFd;

/// How a stage's rules are told: the table that they are in, or nftables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Table {
    Raw,
    /// `filter`, without connection tracking.
    Plain,
    Filter,
    Mangle,
    Nft,
    /// As before, without connection tracking.
    NftRaw,
}

impl Table {
    pub const ALL: [Self; 6] = [
        Self::Raw,
        Self::Plain,
        Self::Filter,
        Self::Mangle,
        Self::Nft,
        Self::NftRaw,
    ];

    fn has_conntrack(self) -> bool {
        matches!(self, Self::Filter | Self::Mangle | Self::Nft)
    }

    fn name_and_chain(self) -> (&'static str, &'static str) {
        match self {
            Self::Raw => ("raw", "PREROUTING"),
            Self::Plain | Self::Filter => ("filter", "INPUT"),
            Self::Mangle => ("mangle", "PREROUTING"),
            Self::Nft | Self::NftRaw => ("", ""),
        }
    }

    /// A whole table: the policy of the measured chain, and its rules without `-A CHAIN`.
    fn text(self, policy: &str, rules: &[String]) -> String {
        // Nothing that is timed passes OUTPUT; the rule keeps connection tracking in the namespace.
        let keep = match self {
            Self::Nft => {
                "chain keep { type filter hook output priority 0; ct state invalid drop; }\n"
            }
            _ if self.has_conntrack() => "-A OUTPUT -m conntrack --ctstate INVALID -j DROP\n",
            _ => "",
        };
        let hook = match self {
            Self::Nft => "input priority 0",
            Self::NftRaw => "prerouting priority -300",
            _ => {
                let (table, chain) = self.name_and_chain();
                let rules: Vec<String> = rules
                    .iter()
                    .map(|rule| format!("-A {chain} {rule}\n"))
                    .collect();
                let rules = rules.concat();
                return format!("*{table}\n:{chain} {policy}\n{keep}{rules}COMMIT\n");
            }
        };
        let rules = rules.join("\n");
        format!(
            "flush ruleset\ntable ip bench {{\n{keep}chain measured {{ type filter hook {hook}; policy {policy};\n\
             {rules}\n}}\n}}\n"
        )
    }
}

pub struct Stage {
    pub node: Netns,
    table: Table,
    sender: OwnedFd,
    server: Server,
    bursts: BTreeMap<Kind, Burst>,
    _wire: Netns,
}

impl Stage {
    pub fn new(table: Table) -> Result<Self> {
        let label = format!("{table:?}").to_lowercase();
        let (wire, node) = pair(&label)?;
        for limit in [
            "udp_timeout",
            "udp_timeout_stream",
            "tcp_timeout_established",
            "tcp_timeout_max_retrans",
        ] {
            // No entry ends while it is measured.
            node.write(
                format!("/proc/sys/net/netfilter/nf_conntrack_{limit}"),
                "86400",
            )?;
        }
        apply(&node, table, "ACCEPT", &[])?;
        let (server, bursts) = flows::make(&wire, &node, table.has_conntrack())?;
        let room = (8_i32 << 20).to_ne_bytes();
        sys::set_option(&server.udp, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, &room)?;
        let sender = sender(&wire)?;
        Ok(Self {
            node,
            table,
            sender,
            server,
            bursts,
            _wire: wire,
        })
    }

    /// Replaces the rules of the measured chain.
    pub fn apply(&self, policy: &str, rules: &[String]) -> Result<()> {
        apply(&self.node, self.table, policy, rules)
    }

    /// Takes the rules away: what comes next starts from nothing.
    pub fn clear(&self) -> Result<()> {
        self.apply("ACCEPT", &[])
    }

    /// Instructions per packet.
    pub fn cost(&mut self, kind: Kind) -> Result<f64> {
        let burst = self.bursts.get_mut(&kind).context("no such traffic")?;
        let socket = &self.server.udp;
        clock::per_packet(burst, &self.sender, || drain(socket).map(drop))
    }

    /// Checks that a burst's packets come past the measured rules, or that none does.
    pub fn expect(&mut self, kind: Kind, wanted: bool) -> Result<()> {
        let burst = self.bursts.get_mut(&kind).context("no such traffic")?;
        let wanted = if wanted { burst.len() } else { 0 };
        let before = passed(&self.node, self.table)?;
        burst.send(&self.sender, 0, burst.len())?;
        let heard = drain(&self.server.udp)?;
        let through = match passed(&self.node, self.table)? {
            Some(count) => count - before.unwrap_or(0),
            None => heard,
        };
        ensure!(
            through == wanted,
            "{through} packets went through, not {wanted}"
        );
        Ok(())
    }
}

/// A wire and a node, whose `eth0` is on it; the clients are behind a router that never answers.
pub fn pair(label: &str) -> Result<(Netns, Netns)> {
    let wire = Netns::new(&format!("wire-{label}"))?;
    let node = Netns::new(&format!("node-{label}"))?;
    wire.ip(&format!(
        "link add w0 address 02:00:00:00:01:00 type veth peer name eth0 address 02:00:00:00:00:01 netns node-{label}\n\
         link set w0 up\n"
    ))?;
    node.ip(&format!(
        "link set lo up\nlink set eth0 up\naddr add 10.9.0.1/24 dev eth0\naddr add {VIP}/24 dev eth0\n\
         neigh add 10.9.0.254 lladdr 02:00:00:00:01:00 dev eth0\nroute add default via 10.9.0.254\n"
    ))?;
    Ok((wire, node))
}

/// A packet socket on the wire.
pub fn sender(wire: &Netns) -> Result<OwnedFd> {
    wire.enter(|| -> Result<OwnedFd> {
        let socket = sys::socket(libc::AF_PACKET, libc::SOCK_RAW, 0)?;
        sys::bind_packet(&socket, sys::device_number("w0")?, 0)?;
        Ok(socket)
    })?
}

fn apply(node: &Netns, table: Table, policy: &str, rules: &[String]) -> Result<()> {
    let text = table.text(policy, rules);
    match table {
        Table::Nft | Table::NftRaw => {
            node.run_with("nft -f -", &text.replace("ACCEPT", "accept"))?;
            Ok(())
        }
        // The distribution's extension doesn't know the options of revision 1.
        _ if text.contains("--local-nodes") => {
            node.run_with(&format!("{OURS} iptables-legacy-restore"), &text)?;
            Ok(())
        }
        _ => node.restore(&text),
    }
}

/// How many packets came to the end of the measured chain; nftables doesn't count them.
fn passed(node: &Netns, table: Table) -> Result<Option<usize>> {
    let (name, chain) = table.name_and_chain();
    if name.is_empty() {
        return Ok(None);
    }
    let saved = node.run(&format!("iptables-legacy-save -c -t {name}"))?;
    let head = format!(":{chain} ");
    for line in saved.lines() {
        // `:INPUT DROP [200:9200]`
        if let Some((_, counters)) = line
            .strip_prefix(&head)
            .and_then(|rest| rest.split_once('['))
        {
            let count = counters.split(':').next().unwrap_or("");
            return Ok(Some(count.parse().context("a chain's counter")?));
        }
    }
    bail!("no {chain} in: {saved}")
}

/// Takes off what came to the socket; how many datagrams.
fn drain(socket: &OwnedFd) -> Result<usize> {
    let mut buffer = [0; 64];
    let mut count = 0;
    while sys::receive(socket, &mut buffer)?.is_some() {
        count += 1;
    }
    Ok(count)
}
