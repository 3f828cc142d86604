// SPDX-License-Identifier: GPL-2.0-only

//! `clusterip check`: whether each number is served, and by one node.

use crate::args::Check;
use crate::cluster::node::NodeId;
use crate::cluster::node::NodeSet;
use crate::cluster::node::Ranges;
use crate::failure::Failure;
use crate::failure::Result;
use crate::failure::FAILED;
use crate::failure::USAGE;
use crate::files::Files;
use crate::peers;
use crate::peers::Answer;
use crate::stat::Vip;
use crate::Terminal;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// What this machine is called beside its peers.
const HERE: &str = "here";

/// What is known of a node.
#[derive(Clone, Debug)]
pub enum Node {
    /// The VIP, as it has it.
    Has(Vip),
    /// It was asked, and does not serve the VIP: so it says.
    Serves(&'static str),
    /// It could not be asked, and may serve anything.
    Unknown(String),
}

/// Asks, and says what it came to.
pub fn check(files: &Files, args: &Check, to: &mut Terminal<'_>) -> Result {
    let mut nodes = Vec::new();
    if !args.peers_only {
        nodes.push((HERE.to_owned(), Node::Has(files.read_one(args.vip)?)));
    }
    let answers = peers::ask(&args.peers, &args.ssh, args.timeout);
    for (peer, answer) in args.peers.iter().zip(answers) {
        nodes.push((peer.clone(), node(args.vip, answer)));
    }

    let report = report(args.vip, &nodes);
    to.out.write_all(report.text.as_bytes())?;
    match report.code {
        crate::failure::DONE => Ok(()),
        code => Err(Failure::new(code, "")),
    }
}

fn node(vip: Ipv4Addr, answer: Answer) -> Node {
    match answer {
        Answer::Vips(mut vips) => match vips.remove(&vip) {
            Some(vip) => Node::Has(vip),
            None => Node::Serves("has no such VIP"),
        },
        Answer::NoModule => Node::Serves("has not loaded the module"),
        Answer::Failed(why) => Node::Unknown(why),
    }
}

/// What is printed, and the exit code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Lines.
    pub text: String,
    /// Of those of `failure`.
    pub code: u8,
}

/// What it came to.
pub fn report(vip: Ipv4Addr, nodes: &[(String, Node)]) -> Report {
    let mut lines = Vec::new();
    let width = nodes.iter().map(|(name, _)| name.chars().count()).max();
    let width = width.unwrap_or_default();
    let mut faults = Vec::new();
    let mut unknown = Vec::new();
    for (name, node) in nodes {
        let said = match node {
            Node::Has(vip) => {
                let mine = vip.mine();
                if vip.ifindex == 0 {
                    faults.push(format!("{name} has no device {} now", vip.device));
                }
                Ranges(&mine).to_string()
            }
            Node::Serves(what) => {
                faults.push(format!("{name} {what}"));
                what.to_string()
            }
            Node::Unknown(why) => {
                unknown.push(name.as_str());
                format!("could not be asked: {why}")
            }
        };
        lines.push(format!("  {name:<width$}  {said}"));
    }

    let known: Vec<_> = nodes
        .iter()
        .filter_map(|(name, node)| match node {
            Node::Has(vip) => Some((name.as_str(), vip)),
            _ => None,
        })
        .collect();
    let head = match known.first() {
        Some((_, first)) => format!("{vip}: {}", agreed(first)),
        None => format!("{vip}: nobody has it"),
    };
    lines.insert(0, head);
    faults.extend(differences(&known));
    faults.extend(served(&known, &unknown));

    let code = if !unknown.is_empty() {
        USAGE
    } else if !faults.is_empty() {
        FAILED
    } else {
        lines.push("whole: each number is served, by one node".to_owned());
        crate::failure::DONE
    };
    lines.extend(faults);
    Report {
        text: lines.join("\n") + "\n",
        code,
    }
}

/// What all have to have alike.
fn agreed(vip: &Vip) -> String {
    let Vip {
        total,
        hashmode,
        hash_init,
        clustermac,
        ..
    } = vip;
    format!("{total} numbers, {hashmode}, seed {hash_init}, {clustermac}")
}

/// Who has something else than the first.
fn differences(known: &[(&str, &Vip)]) -> Vec<String> {
    let Some(((first_name, first), others)) = known.split_first() else {
        return Vec::new();
    };
    let mut lines = Vec::new();
    for (name, vip) in others {
        let pairs = [
            ("total", vip.total.to_string(), first.total.to_string()),
            ("hash mode", vip.hashmode.clone(), first.hashmode.clone()),
            (
                "seed",
                vip.hash_init.to_string(),
                first.hash_init.to_string(),
            ),
            ("MAC", vip.clustermac.clone(), first.clustermac.clone()),
        ];
        for (what, one, other) in pairs {
            // A MAC is the same in small letters.
            if !one.eq_ignore_ascii_case(&other) {
                lines.push(format!(
                    "{name} has the {what} {one}, {first_name} has {other}"
                ));
            }
        }
    }
    lines
}

/// Numbers that nobody serves, and that several do.
fn served(known: &[(&str, &Vip)], unknown: &[&str]) -> Vec<String> {
    let mut servers: BTreeMap<NodeId, Vec<&str>> = BTreeMap::new();
    for (name, vip) in known {
        for node in vip.mine() {
            servers.entry(node).or_default().push(name);
        }
    }
    let total = known.iter().map(|(_, vip)| vip.total).max();
    let all = (1..=total.unwrap_or_default()).map_while(NodeId::new);
    let holes: NodeSet = all.filter(|node| !servers.contains_key(node)).collect();
    let mut lines = Vec::new();
    if !holes.is_empty() {
        let perhaps = match unknown {
            [] => String::new(),
            names => format!(" (perhaps {})", names.join(" or ")),
        };
        lines.push(format!("nobody serves {}{perhaps}", Ranges(&holes)));
    }
    // Those of the same nodes together.
    let mut doubles: BTreeMap<Vec<&str>, NodeSet> = BTreeMap::new();
    for (node, names) in servers.into_iter().filter(|(_, names)| names.len() > 1) {
        let set = doubles.entry(names).or_default();
        *set = set.with(node);
    }
    for (names, set) in doubles {
        lines.push(format!(
            "{} serve {} all at once",
            names.join(" and "),
            Ranges(&set)
        ));
    }
    lines
}
