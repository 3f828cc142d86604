// SPDX-License-Identifier: GPL-2.0-only

//! The lines: what is typed, and what has to be saved of it.

/// The VIP of iptables' own test file.
pub const VIP: &str = "10.31.3.236";

/// One rule of INPUT.
pub struct Line {
    pub name: String,
    /// Rules that stand before it; typed as they are saved.
    pub before: Vec<String>,
    /// `-A` or `-I`.
    pub command: &'static str,
    pub typed: String,
    /// What iptables makes of it.
    pub saved: String,
    /// The VIP's file afterwards.
    pub nodes: String,
    /// Whether iptables' file says that this fails.
    pub refused_by_original: bool,
}

impl Line {
    fn new(name: &str, rule: String, nodes: &str) -> Self {
        Self {
            name: name.to_string(),
            before: Vec::new(),
            command: "-A",
            saved: rule.clone(),
            typed: rule,
            nodes: nodes.to_string(),
            refused_by_original: false,
        }
    }
}

/// A rule as iptables saves it.
fn saved(device: &str, mode: &str, mac: &str, total: u32, local: u32, seed: u32) -> String {
    format!(
        "-d {VIP}/32 -i {device} -j CLUSTERIP --new --hashmode {mode} --clustermac {mac} \
         --total-nodes {total} --local-node {local} --hash-init {seed}"
    )
}

const MODES: [&str; 3] = [
    "sourceip",
    "sourceip-sourceport",
    "sourceip-sourceport-destport",
];

/// The address of iptables' own file.
const MAC: &str = "01:AA:7B:47:F7:D7";

pub fn all() -> Vec<Line> {
    [own(), values(), spellings(), agent()]
        .into_iter()
        .flatten()
        .collect()
}

/// Those of iptables' own file, extensions/libipt_CLUSTERIP.t.
fn own() -> Vec<Line> {
    let line = |local, nodes| {
        Line::new(
            &format!("iptables' own, --local-node {local}"),
            saved("lo", "sourceip", MAC, 2, local, 1),
            nodes,
        )
    };
    vec![
        Line {
            refused_by_original: true,
            ..line(0, "")
        },
        line(1, "1"),
        line(2, "2"),
    ]
}

/// Each mode, the ends of the seed, all that iptables takes for a node.
fn values() -> Vec<Line> {
    let mut lines = Vec::new();
    for mode in MODES {
        let rule = saved("eth0", mode, MAC, 2, 1, 0);
        lines.push(Line::new(&format!("--hashmode {mode}"), rule, "1"));
    }
    for seed in [1, 0x7fff_ffff, 0x8000_0000, u32::MAX] {
        let rule = saved("eth0", "sourceip", MAC, 2, 1, seed);
        lines.push(Line::new(&format!("--hash-init {seed}"), rule, "1"));
    }
    for node in 1..=16 {
        let rule = saved("eth0", "sourceip", MAC, 16, node, 0);
        let name = format!("--total-nodes 16 --local-node {node}");
        lines.push(Line::new(&name, rule, &node.to_string()));
    }
    let rule = saved("eth0", "sourceip", MAC, 1, 1, 0);
    lines.push(Line::new("--total-nodes 1", rule, "1"));
    for mac in ["01:00:5E:00:00:20", "FF:FF:FF:FF:FF:FF"] {
        let rule = saved("eth0", "sourceip", mac, 2, 1, 0);
        lines.push(Line::new(&format!("--clustermac {mac}"), rule, "1"));
    }
    let rule = format!(
        "-s 192.0.2.0/24 -d {VIP}/32 -i eth0 -p tcp -m tcp --dport 80 -j CLUSTERIP --new \
         --hashmode sourceip --clustermac {MAC} --total-nodes 2 --local-node 1 --hash-init 0"
    );
    lines.push(Line::new("with matches", rule, "1"));
    lines
}

/// What is saved otherwise than typed, and a rule with nothing to save.
fn spellings() -> Vec<Line> {
    let plain = saved("eth0", "sourceip", "01:00:5E:0A:00:02", 16, 2, 0xdead_beef);
    let line = |name, typed: String| Line {
        typed,
        ..Line::new(name, plain.clone(), "2")
    };
    vec![
        line(
            "in other spellings",
            format!(
                "--in-interface eth0 --destination {VIP} --jump CLUSTERIP --new --hash-init 0xdeadbeef \
                 --local-node 0x2 --total-nodes 020 --clustermac 1:0:5e:a:0:2 --hashmode sourceip"
            ),
        ),
        line(
            "in short options",
            format!(
                "-d {VIP} -i eth0 -j CLUSTERIP --new --hashm sourceip --clusterm 01:00:5e:0a:00:02 \
                 --total 16 --local 2 --hash-i 3735928559"
            ),
        ),
        Line {
            before: vec![saved("eth0", "sourceip", MAC, 2, 2, 0)],
            ..Line::new(
                "a further rule without --new",
                format!("-d {VIP}/32 -i eth0 -p icmp -j CLUSTERIP"),
                "2",
            )
        },
    ]
}

/// What the resource agent IPaddr2 types: no seed, the options in an order of its own, a MAC in small
/// letters made of a checksum.
fn agent() -> Vec<Line> {
    let mac = "41:b1:80:6f:1b:f9";
    MODES
        .iter()
        .map(|mode| Line {
            command: "-I",
            typed: format!(
                "-d {VIP} -i eth0 -j CLUSTERIP --new --clustermac {mac} --total-nodes 3 --local-node 2 \
                 --hashmode {mode}"
            ),
            ..Line::new(
                &format!("IPaddr2's, {mode}"),
                saved("eth0", mode, &mac.to_uppercase(), 3, 2, 0),
                "2",
            )
        })
        .collect()
}
