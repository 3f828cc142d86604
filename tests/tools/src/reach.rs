// SPDX-License-Identifier: GPL-2.0-only

//! What can be reached from where.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::graph::Graph;
use crate::name;

/// What was found when everything was followed from the entries.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// A shortest path to each function that must not be reached, its ends included.
    pub paths: Vec<Vec<String>>,
    /// Functions of the object that were followed.
    pub followed: usize,
    /// Functions of other objects: what those do is not seen.
    pub outside: BTreeSet<String>,
}

/// The functions whose readable name contains `pattern`.
pub fn entries<'a>(graph: &'a Graph, pattern: &str) -> Vec<&'a str> {
    graph
        .functions()
        .filter(|symbol| name::readable(symbol).contains(pattern))
        .collect()
}

/// Follows every edge from `entries`.
///
/// A path that ends in a panic is found, and one that ends in a call through a pointer: what isn't
/// seen can't be called safe.
pub fn follow(graph: &Graph, entries: &[&str]) -> Found {
    let mut found = Found::default();
    let mut reached_from: BTreeMap<&str, Option<&str>> = BTreeMap::new();
    let mut queue: VecDeque<&str> = VecDeque::new();
    for &entry in entries {
        if reached_from.insert(entry, None).is_none() {
            queue.push_back(entry);
        }
    }

    while let Some(function) = queue.pop_front() {
        if name::panics(function) || name::indirect(function) {
            found.paths.push(path(&reached_from, function));
            continue;
        }
        let Some(mentions) = graph.mentions(function) else {
            found.outside.insert(function.into());
            continue;
        };
        found.followed += 1;
        for next in mentions {
            if !reached_from.contains_key(next.as_str()) {
                reached_from.insert(next, Some(function));
                queue.push_back(next);
            }
        }
    }
    found
}

fn path(reached_from: &BTreeMap<&str, Option<&str>>, end: &str) -> Vec<String> {
    let mut path = vec![end.to_string()];
    let mut here = end;
    while let Some(Some(before)) = reached_from.get(here) {
        path.push(before.to_string());
        here = before;
    }
    path.reverse();
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(edges: &[(&str, &str)]) -> Graph {
        let mut graph = Graph::default();
        for (from, to) in edges {
            graph.add(from, to);
        }
        graph
    }

    #[test]
    fn a_panic_behind_others_is_found() {
        let graph = graph(&[
            ("entry", "a"),
            ("a", "entry"),
            ("a", "b"),
            ("b", "rust_begin_unwind"),
            ("unused", "__fortify_panic"),
        ]);
        let found = follow(&graph, &["entry"]);
        assert_eq!(found.paths, [["entry", "a", "b", "rust_begin_unwind"]]);
        assert_eq!(found.followed, 3);
    }

    #[test]
    fn a_call_through_a_pointer_is_found() {
        let graph = graph(&[("entry", "__x86_indirect_thunk_r11")]);
        assert_eq!(follow(&graph, &["entry"]).paths.len(), 1);
    }

    #[test]
    fn nothing_to_find() {
        let graph = graph(&[("entry", "a"), ("a", "printk"), ("b", "panic")]);
        let found = follow(&graph, &["entry"]);
        assert!(found.paths.is_empty());
        assert_eq!(found.outside, BTreeSet::from(["printk".to_string()]));
    }

    #[test]
    fn entries_by_part_of_a_name() {
        let graph = graph(&[("x_target_callback_y", "a"), ("other", "a")]);
        assert_eq!(entries(&graph, "target_callback"), ["x_target_callback_y"]);
        assert!(entries(&graph, "hook_callback").is_empty());
    }
}
