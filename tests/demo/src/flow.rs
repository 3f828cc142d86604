// SPDX-License-Identifier: GPL-2.0-only

//! The flows of the demo, and the file that tells who answered each of them.
//!
//! The flows are always the same hundred, so that a phase can be compared with an earlier one
//! flow by flow: 25 clients, each from 2 source ports to 2 server ports. This is also what
//! tells the three hash modes apart.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::net::Ipv4Addr;

const CLIENTS: u32 = 25;
const SOURCE_PORTS: [u16; 2] = [40001, 40002];
const SERVER_PORTS: [u16; 2] = [80, 8080];

/// One TCP connection, as the client names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Flow {
    pub client: Ipv4Addr,
    pub source_port: u16,
    pub server_port: u16,
}

/// The demo's hundred flows, from `first` and the 24 addresses after it.
pub fn all(first: Ipv4Addr) -> Vec<Flow> {
    let mut flows = Vec::new();
    for client in 0..CLIENTS {
        for source_port in SOURCE_PORTS {
            for server_port in SERVER_PORTS {
                let client = Ipv4Addr::from(u32::from(first) + client);
                flows.push(Flow {
                    client,
                    source_port,
                    server_port,
                });
            }
        }
    }
    flows
}

/// What came back for one flow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The node that named itself in a whole HTTP answer; `None`: nobody.
    pub node: Option<u32>,
    /// The Ethernet sources of all IP packets that came for this flow: two are a double.
    pub macs: BTreeSet<String>,
}

impl Answer {
    pub fn is_double(&self) -> bool {
        self.macs.len() > 1
    }
}

/// One phase of the demo: every flow and its answer.
pub type Answers = BTreeMap<Flow, Answer>;

/// One line a flow: client, its port, the server's port, node or `-`, MACs or `-`.
pub fn save(path: &str, answers: &Answers) -> Result<(), String> {
    let mut text = String::new();
    for (flow, answer) in answers {
        let Flow {
            client,
            source_port,
            server_port,
        } = flow;
        let node = answer.node.map_or("-".to_string(), |node| node.to_string());
        let macs: Vec<&str> = answer.macs.iter().map(String::as_str).collect();
        let macs = if macs.is_empty() {
            "-".to_string()
        } else {
            macs.join(",")
        };
        text += &format!("{client} {source_port} {server_port} {node} {macs}\n");
    }
    fs::write(path, text).map_err(|e| format!("cannot write {path}: {e}"))
}

pub fn load(path: &str) -> Result<Answers, String> {
    let text = fs::read_to_string(path).map_err(|e| format!("cannot read {path}: {e}"))?;
    let lines = text.lines();
    lines
        .map(|line| parse(line).ok_or(format!("{path}: not a line of ours: {line}")))
        .collect()
}

fn parse(line: &str) -> Option<(Flow, Answer)> {
    let mut words = line.split(' ');
    let flow = Flow {
        client: words.next()?.parse().ok()?,
        source_port: words.next()?.parse().ok()?,
        server_port: words.next()?.parse().ok()?,
    };
    let node = match words.next()? {
        "-" => None,
        number => Some(number.parse().ok()?),
    };
    let macs = match words.next()? {
        "-" => BTreeSet::new(),
        list => list.split(',').map(str::to_string).collect(),
    };
    Some((flow, Answer { node, macs }))
}
