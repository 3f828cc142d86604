// SPDX-License-Identifier: GPL-2.0-only

//! What `crm_mon` says.

use crate::machine::Machine;
use anyhow::Result;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

pub struct View {
    /// The numbers that Pacemaker has running on each node: a clone's instance, counted from 1.
    pub running: BTreeMap<usize, BTreeSet<usize>>,
    /// Failed actions, as lines.
    pub failed: Vec<String>,
}

pub fn online(node: &Machine) -> Result<usize> {
    let text = node.run("crm_mon -1")?;
    let line = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("* Online: ["));
    // A controller that is not chosen yet makes them look offline.
    Ok(line.map_or(0, |list| list.matches("node").count()))
}

pub fn view(node: &Machine) -> Result<View> {
    Ok(read(&node.run("crm_mon -1r")?))
}

fn read(text: &str) -> View {
    let mut running: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
    let mut failed = Vec::new();
    let mut in_failed = false;
    for line in text.lines() {
        let line = line.trim();
        if line.starts_with("Failed ") {
            in_failed = true;
        } else if let Some(what) = line.strip_prefix("* ") {
            if in_failed {
                failed.push(what.to_string());
            }
            let words: Vec<&str> = what.split_whitespace().collect();
            if let [name, _, "Started", node, ..] = words[..] {
                let instance = name
                    .split_once(':')
                    .and_then(|(_, number)| number.parse::<usize>().ok());
                let node = node.strip_prefix("node").and_then(|n| n.parse().ok());
                if let (Some(instance), Some(node)) = (instance, node) {
                    running.entry(node).or_default().insert(instance + 1);
                }
            }
            if what.contains("FAILED") || what.contains("blocked") {
                failed.push(what.to_string());
            }
        } else if line.is_empty() {
            in_failed = false;
        }
    }
    View { running, failed }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_prints() {
        let view = read(
            "Node List:\n  * Online: [ node1 node3 ]\n\n\
             Full List of Resources:\n  * Clone Set: cloneIP [resIP] (unique):\n    \
             * resIP:0\t(ocf:heartbeat:IPaddr2):\t Started node1\n    \
             * resIP:1\t(ocf:heartbeat:IPaddr2):\t Stopped\n    \
             * resIP:2\t(ocf:heartbeat:IPaddr2):\t Started node1\n\n\
             Failed Resource Actions:\n  * resIP:1 start on node3 returned 'error'\n",
        );
        assert_eq!(view.running, BTreeMap::from([(1, BTreeSet::from([1, 3]))]));
        assert_eq!(view.failed, ["resIP:1 start on node3 returned 'error'"]);
    }

    #[test]
    fn a_failed_instance_is_not_running() {
        let view = read("    * resIP:0\t(ocf:heartbeat:IPaddr2):\t FAILED node1\n");
        assert!(view.running.is_empty());
        assert_eq!(view.failed.len(), 1);
    }
}
