// SPDX-License-Identifier: GPL-2.0-only

//! The differences that were decided, and whether one of them explains what was seen.
//!
//! What a command showed is a list of lines ([`Seen::lines`](crate::seen::Seen::lines)). The lines
//! that both sides have at the beginning and at the end are taken off; a row explains the rest when
//! its two patterns match all of it, lines joined by newlines, and no other way.

use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use regex_lite::Regex;
use std::fs;
use std::path::Path;

/// Words of a pattern that stand for longer ones.
const WORDS: [(&str, &str); 3] = [
    // The start of a message: `iptables v1.8.11 (legacy): `.
    (
        "{program}",
        r"ip6?tables(-nft)?(-restore|-translate|-restore-translate)? v1\.8\.(9|11|13) \((legacy|nf_tables)\): ",
    ),
    // What iptables says behind a message of the target.
    (
        "{try}",
        r"(err\n)?(err Error occurred at line: [0-9]+\n)?err Try `ip[^\n]* -h' or 'ip[^\n]* --help' for more information\.",
    ),
    // What follows when nothing is wrong with a line.
    ("{parsed}", PARSED),
];

/// A table handed over, its counters when the kernel took it, iptables' own words when it did not;
/// iptables-nft, which the kernel refuses, with the buffers' sizes that its socket asks for; or a
/// translation.
const PARSED: &str = concat!(
    r"exit 0\nset 0 64 [0-9a-f]+(\nset 0 65 [0-9a-f]+)?",
    r"|exit 1\nerr iptables: Invalid argument\. Run `dmesg' for more information\.\nset 0 64 [0-9a-f]+",
    r"|exit 1\nerr iptables-restore: line [0-9]+ failed\nset 0 64 [0-9a-f]+",
    r"|exit 4\nerr iptables v1\.8\.[0-9]+ \(nf_tables\):  RULE_APPEND failed \(Operation not supported\): ",
    r"rule in chain INPUT(\nset 1 3[23] [0-9a-f]{8})*",
    r"|exit 0\nout nft # [^\n]*",
);

/// A row: one reason.
pub struct Difference {
    pub name: String,
    theirs: Regex,
    ours: Regex,
}

/// `name | what theirs shows | what ours shows | reason`, in lines; `\n` parts a pattern's lines.
pub fn read(path: &Path) -> Result<Vec<Difference>> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    parse(&text).with_context(|| path.display().to_string())
}

fn parse(text: &str) -> Result<Vec<Difference>> {
    let mut rows: Vec<Difference> = Vec::new();
    for line in text.lines().map(str::trim) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let fields: Vec<&str> = line.split(" | ").collect();
        let [name, theirs, ours, reason] = fields[..] else {
            anyhow::bail!("a row has four fields, not {}: {line}", fields.len());
        };
        ensure!(!reason.is_empty(), "no reason for {name}");
        ensure!(
            rows.iter().all(|row| row.name != name),
            "{name} is there twice"
        );
        rows.push(Difference {
            name: name.to_string(),
            theirs: pattern(theirs).with_context(|| name.to_string())?,
            ours: pattern(ours).with_context(|| name.to_string())?,
        });
    }
    Ok(rows)
}

fn pattern(text: &str) -> Result<Regex> {
    let mut text = text.to_string();
    for (short, long) in WORDS {
        text = text.replace(short, &format!("(?:{long})"));
    }
    Ok(Regex::new(&format!("^(?:{text})$"))?)
}

/// The row that explains a difference, by its number.
pub fn explain(rows: &[Difference], theirs: &[String], ours: &[String]) -> Option<usize> {
    let (theirs, ours) = rest(theirs, ours);
    let (theirs, ours) = (theirs.join("\n"), ours.join("\n"));
    rows.iter()
        .position(|row| row.theirs.is_match(&theirs) && row.ours.is_match(&ours))
}

/// What is left of two lists without what they have in common at both ends.
pub fn rest<'a>(one: &'a [String], other: &'a [String]) -> (&'a [String], &'a [String]) {
    let start = one
        .iter()
        .zip(other)
        .take_while(|(one, other)| one == other)
        .count();
    let (one, other) = (&one[start..], &other[start..]);
    let end = one
        .iter()
        .rev()
        .zip(other.iter().rev())
        .take_while(|(one, other)| one == other)
        .count();
    (&one[..one.len() - end], &other[..other.len() - end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_string).collect()
    }

    fn rows() -> Vec<Difference> {
        parse(
            "# a remark\n\n\
             range | err {program}out of range \\(0-16\\)\\. | err {program}out of range \\(1-64\\)\\. | taken now\n\
             taken | exit 2\\nerr {program}.* | {parsed} | taken now\n",
        )
        .unwrap()
    }

    const THEIRS: &str = "exit 2\nerr iptables v1.8.9 (legacy): out of range (0-16).\nerr Try";

    #[test]
    fn a_row_explains_what_it_says() {
        let ours = THEIRS.replace("(0-16)", "(1-64)");
        assert_eq!(explain(&rows(), &lines(THEIRS), &lines(&ours)), Some(0));
        let taken = lines("exit 0\nset 0 64 00ff");
        let theirs = lines("exit 2\nerr iptables v1.8.13 (legacy): no");
        assert_eq!(explain(&rows(), &theirs, &taken), Some(1));
    }

    #[test]
    fn a_row_explains_nothing_more() {
        let ours = THEIRS.replace("(0-16)", "(1-64)");
        for other in [
            ours.replace("Try", "try"),
            ours.replace("exit 2", "exit 1"),
            ours.replace("(1-64)", "(1-65)"),
            ours.replace("range (1-64).", "range (1-64). "),
            format!("{ours}\nout more"),
            format!("{ours}\nset 0 64 00"),
            ours.replace("err Try", "err more\nerr Try"),
        ] {
            assert_eq!(
                explain(&rows(), &lines(THEIRS), &lines(&other)),
                None,
                "{other}"
            );
        }
        // Nor the same the other way round.
        assert_eq!(explain(&rows(), &lines(&ours), &lines(THEIRS)), None);
    }

    #[test]
    fn what_is_common_is_taken_off_both_ends() {
        let (one, other) = (lines("a\nb\nc\nd"), lines("a\nx\nd"));
        assert_eq!(rest(&one, &other), (&one[1..3], &other[1..2]));
        let (one, other) = (lines("a\na"), lines("a"));
        assert_eq!(rest(&one, &other), (&one[1..2], &other[1..1]));
    }

    #[test]
    fn a_bad_row_is_refused() {
        for text in [
            "name | theirs | ours",
            "name | ( | ours | reason",
            "name | theirs | ours | reason\nname | a | b | reason",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_list_in_the_tree_is_sound() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/differences");
        assert!(!read(Path::new(path)).unwrap().is_empty());
    }
}
