// SPDX-License-Identifier: GPL-2.0-only

//! `panic-reach MODULE PATTERN...`: whether a panic can be reached in a linked module from the
//! functions whose names contain one of the patterns.
//!
//! Exit 0: none can be. Exit 1: one can, or a call leads where it can't be followed; the path is
//! printed. Exit 2: the question could not be asked, a pattern that no function matches included.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use tools::graph::Graph;
use tools::name::readable;
use tools::reach::{entries, follow};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [module, patterns @ ..] = arguments.as_slice() else {
        return refuse("usage: panic-reach MODULE PATTERN...");
    };
    if patterns.is_empty() {
        return refuse("no pattern given: name the functions to start from");
    }
    let graph = match std::fs::read(module) {
        Ok(bytes) => Graph::read(&bytes),
        Err(error) => return refuse(&format!("{module}: {error}: build the module first")),
    };
    let graph = match graph {
        Ok(graph) => graph,
        Err(error) => return refuse(&format!("{module}: {error}")),
    };

    let mut starts = Vec::new();
    for pattern in patterns {
        let matching = entries(&graph, pattern);
        if matching.is_empty() {
            return refuse(&format!(
                "{module}: no function is called …{pattern}…: was it inlined or renamed?"
            ));
        }
        starts.extend(matching);
    }

    let found = follow(&graph, &starts);
    for start in &starts {
        println!("entry: {}", readable(start));
    }
    println!("functions followed: {}", found.followed);
    for outside in &found.outside {
        println!("of the kernel: {}", readable(outside));
    }
    for path in &found.paths {
        println!("reached:");
        for (depth, function) in path.iter().enumerate() {
            println!("  {}{}", "  ".repeat(depth), readable(function));
        }
    }
    ExitCode::from(u8::from(!found.paths.is_empty()))
}

fn refuse(reason: &str) -> ExitCode {
    eprintln!("panic-reach: {reason}");
    ExitCode::from(2)
}
