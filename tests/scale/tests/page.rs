// SPDX-License-Identifier: GPL-2.0-only

//! The page shows what the program makes, and what it says of growth holds for every hash.
//!
//! `cargo test --release -p scale`: what takes seconds so takes minutes unoptimised, and is refused then.

use clap::Parser;
use scale::clients::total;
use scale::costs::Costs;
use scale::moved::changes;
use scale::moved::SPARE;
use scale::numbers::Dealt;
use scale::page::make;
use scale::page::PAGE;
use scale::throughput::Way;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

const DOCS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs");

/// The whole range of the hash, in steps that meet no border of a total up to 64 more than another's.
fn hashes() -> impl Iterator<Item = u32> {
    (0..=u32::MAX).step_by(4_093)
}

/// The costs that the program has when it is given none.
fn costs() -> Costs {
    #[derive(Parser)]
    struct Options {
        #[command(flatten)]
        costs: Costs,
    }
    Options::parse_from(["scale"]).costs
}

fn check(docs: &Path) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_scale"))
        .args(["--check", "--docs"])
        .arg(docs)
        .output()
        .expect("the program runs");
    let text = String::from_utf8(output.stderr).expect("it prints text");
    (output.status.success(), text)
}

/// Hundreds of millions of hashes are not for a debug build.
fn optimised() {
    if cfg!(debug_assertions) {
        panic!("takes minutes unoptimised: cargo test --release -p scale");
    }
}

#[test]
fn page_is_what_the_program_makes() {
    optimised();
    let (same, text) = check(Path::new(DOCS));
    assert!(same, "{text}");
}

/// A digit in a table, a point of a picture: each is noticed, and the section or file named.
#[test]
fn other_numbers_are_noticed() {
    optimised();
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("docs");
    fs::create_dir_all(&folder).unwrap();
    let made = make(&costs());
    let files = made.pictures.iter().map(|(name, _)| *name).chain([PAGE]);
    for name in files {
        fs::copy(Path::new(DOCS).join(name), folder.join(name)).unwrap();
    }
    made.write(&folder).unwrap();
    assert_eq!(made.stale(&folder).unwrap(), [""; 0]);

    let page = fs::read_to_string(folder.join(PAGE)).unwrap();
    for (section, text) in &made.sections {
        let last = text
            .rfind(|c: char| c.is_ascii_digit())
            .expect("it has a number");
        let digit = if text.as_bytes()[last] == b'1' {
            "2"
        } else {
            "1"
        };
        let other = [&text[..last], digit, &text[last + 1..]].concat();
        fs::write(folder.join(PAGE), page.replace(text, &other)).unwrap();
        assert_eq!(
            made.stale(&folder).unwrap(),
            [format!("{PAGE}, section {section}")]
        );
    }
    fs::write(folder.join(PAGE), page).unwrap();
    for (name, picture) in &made.pictures {
        fs::write(folder.join(name), picture.replacen('4', "5", 1)).unwrap();
        assert_eq!(made.stale(&folder).unwrap(), [*name]);
        fs::write(folder.join(name), picture).unwrap();
    }
    // And the program fails by it.
    fs::write(folder.join(PAGE), "no section here\n").unwrap();
    assert!(!check(&folder).0);
}

#[test]
fn another_total_moves_half() {
    for nodes in 1..64 {
        let (before, after) = (total(nodes), total(nodes + 1));
        let moved = hashes()
            .filter(|hash| changes(*hash, before, after))
            .count();
        let share = moved as f64 / hashes().count() as f64;
        assert!((share - 0.5).abs() < 0.000_1, "{nodes}: {share}");
    }
}

/// Nobody moves but the clients of the numbers that were handed over, and they to the newcomer.
#[test]
fn spare_numbers_move_nobody_else() {
    for nodes in 1..=16 {
        let before = Dealt::evenly(SPARE, nodes);
        let after = before.clone().with_one_more();
        let given = after.held_by(nodes);
        assert_eq!(given, SPARE / (nodes + 1));
        let mut moved = std::collections::BTreeSet::new();
        for hash in hashes() {
            let (old, new) = (before.holder(hash), after.holder(hash));
            if new != old {
                assert_eq!(new, nodes as usize);
                moved.insert(total(SPARE).node_of(hash).get());
            }
        }
        assert_eq!(moved.len(), given as usize);
    }
}

/// The crossing points that the page gives as formulas.
#[test]
fn crossing_points() {
    for work in [10_000.0, 30_000.0, 100_000.0] {
        let costs = Costs { work, ..costs() };
        let alone = costs.accepted - costs.sender + work;
        let other = costs.raw_drop + costs.raw_not_mine - costs.sender;
        let (from, to) = (
            1.0 + (alone / other).sqrt(),
            (alone - other) / (costs.forward - other),
        );
        for machines in 2..=64 {
            let n = f64::from(machines);
            let better = Way::Director.throughput(&costs, machines)
                > Way::OursInRaw.throughput(&costs, machines);
            // The target's own cost of what is mine is left out of the formulas.
            if (n - from).abs() > 0.1 && (n - to).abs() > 0.1 {
                assert_eq!(better, from < n && n < to, "{work}: {machines}");
            }
        }
    }
}
