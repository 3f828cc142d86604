// SPDX-License-Identifier: GPL-2.0-only

//! What was typed by hand, in the files of `corpus/`:
//!
//! ```text
//! = a case's name
//! ! machine            it wants eth0 and its addresses
//! $ a command line     its words as a shell parts them
//! < a line that it reads
//! ```

use crate::case::Case;
use crate::case::Place;
use crate::case::Step;

const FILES: [(&str, &str); 6] = [
    ("documents", include_str!("../../corpus/documents")),
    ("lines", include_str!("../../corpus/lines")),
    ("commands", include_str!("../../corpus/commands")),
    ("restore", include_str!("../../corpus/restore")),
    ("ip6tables", include_str!("../../corpus/ip6tables")),
    ("nft", include_str!("../../corpus/nft")),
];

pub fn cases() -> Vec<Case> {
    FILES
        .iter()
        .flat_map(|(name, text)| parse(name, text))
        .collect()
}

/// Panics at a line that is none of the above: the file is part of the program.
fn parse(file: &str, text: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let wrong = || -> ! { panic!("corpus/{file}, line {}: {line}", number + 1) };
        // A line to read may be empty.
        let (kind, rest) = line.split_once(' ').unwrap_or((line, ""));
        match (kind, cases.last_mut()) {
            ("=", _) => cases.push(Case {
                name: format!("{file}: {rest}"),
                ..Case::default()
            }),
            ("!", Some(case)) if rest == "machine" => case.place = Place::Machine,
            ("$", Some(case)) => match Step::typed(rest) {
                Some(step) => case.steps.push(step),
                None => wrong(),
            },
            ("<", Some(case)) => match case.steps.last_mut() {
                Some(step) => {
                    step.input.push_str(rest);
                    step.input.push('\n');
                }
                None => wrong(),
            },
            _ => wrong(),
        }
    }
    cases
}
