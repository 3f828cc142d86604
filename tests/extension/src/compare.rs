// SPDX-License-Identifier: GPL-2.0-only

//! Runs the cases on both sides, judges, and prints the table.

use crate::case::Case;
use crate::case::Place;
use crate::case::Step;
use crate::corpus;
use crate::differences;
use crate::differences::Difference;
use crate::newer;
use crate::seen;
use crate::seen::Handed;
use crate::seen::Seen;
use crate::seen::World;
use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use harness::blob;
use harness::blob::Rule;
use harness::clean;
use harness::host::program;
use harness::root;
use harness::Ctx;
use harness::Netns;
use std::collections::HashSet;
use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Instant;

/// The suites, and the version that each has.
const SUITES: [(&str, &str); 3] = [
    ("trixie", "1.8.11"),
    ("bookworm", "1.8.9"),
    ("forky", "1.8.13"),
];

/// Where a suite has its extensions.
const THEIRS: &str = "/usr/lib/x86_64-linux-gnu/xtables";
/// Where ours is put, in a suite's root.
const OURS: &str = "/ours";
/// The two sides, as `XTABLES_LIBDIR` selects them.
const SIDES: [(&str, &str, &str); 2] = [
    ("theirs", THEIRS, THEIRS),
    ("ours", "/ours:/usr/lib/x86_64-linux-gnu/xtables", OURS),
];

/// In the short form, of the other suites' cases each of that many is run.
const SHORT: usize = 6;

/// What is shown of a table that a case made.
const SHOWN: [&str; 3] = [
    "iptables-legacy -t TABLE -S",
    "iptables-legacy -t TABLE -nvL",
    "iptables-legacy-save -t TABLE",
];

/// How many differing cases are shown in full.
const IN_FULL: usize = 40;

#[derive(clap::Args)]
pub struct Options {
    /// Only the cases with one of these in their name
    patterns: Vec<String>,
    /// Where each suite's iptables is, as a root with the suite's name
    #[arg(long)]
    roots: PathBuf,
    /// Our extension
    #[arg(long)]
    ours: PathBuf,
    /// The differences that were decided
    #[arg(long)]
    differences: PathBuf,
    /// Every case with one suite's iptables, of the others' some
    #[arg(long)]
    short: bool,
    /// Only this suite
    #[arg(long)]
    suite: Option<String>,
}

/// What became of one suite's cases.
struct Tally {
    suite: &'static str,
    version: &'static str,
    cases: usize,
    equal: usize,
    different: usize,
    /// For each row, the cases in which it explained something.
    listed: Vec<usize>,
    /// Cases of which a row explained all.
    explained: usize,
    /// Cases that handed the kernel something.
    handing: usize,
    /// Tests of what only ours knows.
    newer: usize,
    /// Programs that had the file in their memory, by side.
    mapped: [usize; 2],
    /// What makes the comparison worthless: another file than the side's, no file, a payload refused.
    broken: Vec<String>,
}

pub fn run(options: &Options) -> Result<bool> {
    let rows = differences::read(&options.differences)?;
    let cases = corpus::all();
    let whole = options.patterns.is_empty() && options.suite.is_none();
    let wanted: Vec<&Case> = cases
        .iter()
        .filter(|case| {
            let named = |pattern: &String| case.name.contains(pattern);
            options.patterns.is_empty() || options.patterns.iter().any(named)
        })
        .collect();
    let newer = |pattern: &String| pattern.contains("revision 1");
    let is_some = !wanted.is_empty() || options.patterns.iter().any(newer);
    ensure!(is_some, "no case has such a name");
    program(
        "modprobe -a ipt_CLUSTERIP ip_tables iptable_filter iptable_mangle iptable_raw \
         iptable_security iptable_nat ip6table_filter nf_tables nft_compat",
    )?;
    // The lines that the module says are no matter here, but a crash is.
    let mut ctx = Ctx::new()?;
    let start = Instant::now();
    let mut tallies = Vec::new();
    let mut shown = 0;
    for (number, (suite, version)) in SUITES.into_iter().enumerate() {
        if options.suite.as_ref().is_some_and(|only| only != suite) {
            continue;
        }
        let part: Vec<&Case> = if options.short && number > 0 && options.patterns.is_empty() {
            wanted.iter().step_by(SHORT).copied().collect()
        } else {
            wanted.clone()
        };
        let mut suite = Suite::new(suite, version, options, rows.len())?;
        for (done, case) in part.iter().enumerate() {
            if done > 0 && done % 100 == 0 {
                let seconds = start.elapsed().as_secs();
                println!(
                    "  {} {done} of {} ({seconds} s)",
                    suite.tally.suite,
                    part.len()
                );
            }
            suite
                .judge(case, &rows, &mut shown)
                .with_context(|| format!("{}: {}", suite.tally.suite, case.name))?;
        }
        // A few cases may have none that hands a table over, and none that fails.
        if options.patterns.is_empty() {
            suite.end();
        }
        if options.patterns.is_empty() || options.patterns.iter().any(newer) {
            suite.newer()?;
        }
        tallies.push(suite.tally);
    }
    let mut bad = Vec::new();
    for left in clean::left_behind()? {
        bad.push(format!("left behind: {left}"));
    }
    for crash in ctx.crashes()? {
        bad.push(format!("the kernel says: {crash}"));
    }
    Ok(report(&rows, &tallies, whole, bad))
}

fn report(rows: &[Difference], tallies: &[Tally], whole: bool, mut bad: Vec<String>) -> bool {
    for tally in tallies {
        bad.extend(tally.broken.iter().cloned());
    }
    for (number, row) in rows.iter().enumerate() {
        // Some of the cases need not show every difference.
        if whole && tallies.iter().all(|tally| tally.listed[number] == 0) {
            bad.push(format!(
                "{} is listed as a difference and explained nothing",
                row.name
            ));
        }
    }
    println!();
    print_table(rows, tallies);
    println!();
    for what in &bad {
        println!("FAILED {what}");
    }
    let different: usize = tallies.iter().map(|tally| tally.different).sum();
    let passed: usize = tallies
        .iter()
        .map(|tally| tally.equal + tally.explained + tally.newer)
        .sum();
    let failed = different + bad.len();
    println!("{passed} passed, {failed} failed");
    failed == 0 && passed > 0
}

fn print_table(rows: &[Difference], tallies: &[Tally]) {
    let row = |name: &str, of: &dyn Fn(&Tally) -> String| {
        let cells: Vec<String> = tallies.iter().map(of).collect();
        println!("| {name} | {} |", cells.join(" | "));
    };
    row("iptables", &|tally| {
        format!("{} ({})", tally.version, tally.suite)
    });
    row("---", &|_| "---:".to_string());
    row("cases", &|tally| tally.cases.to_string());
    row("that hand the kernel something", &|tally| {
        tally.handing.to_string()
    });
    row("equal", &|tally| tally.equal.to_string());
    row("listed", &|tally| tally.explained.to_string());
    for (number, difference) in rows.iter().enumerate() {
        row(&format!("listed: {}", difference.name), &|tally| {
            tally.listed[number].to_string()
        });
    }
    row("different", &|tally| tally.different.to_string());
    row("of ours alone, revision 1", &|tally| {
        tally.newer.to_string()
    });
    row(
        "programs seen with theirs / with ours in memory",
        &|tally| format!("{} / {}", tally.mapped[0], tally.mapped[1]),
    );
}

/// A suite's iptables, at work.
struct Suite {
    root: PathBuf,
    tally: Tally,
    /// A namespace for each side that nothing was done in, kept for the next case.
    fresh: [Option<Netns>; 2],
    /// The tables that were shown already.
    shown: HashSet<(bool, Vec<Handed>)>,
    made: usize,
}

impl Suite {
    fn new(
        suite: &'static str,
        version: &'static str,
        options: &Options,
        rows: usize,
    ) -> Result<Self> {
        let root = options.roots.join(suite);
        root::furnish(&root)?;
        let directory = root.join(OURS.trim_start_matches('/'));
        fs::create_dir_all(&directory)?;
        fs::copy(&options.ours, directory.join(seen::FILE))
            .with_context(|| options.ours.display().to_string())?;
        let suite = Self {
            root: fs::canonicalize(root)?,
            tally: Tally {
                suite,
                version,
                cases: 0,
                equal: 0,
                different: 0,
                listed: vec![0; rows],
                explained: 0,
                handing: 0,
                newer: 0,
                mapped: [0; 2],
                broken: Vec::new(),
            },
            fresh: [None, None],
            shown: HashSet::new(),
            made: 0,
        };
        suite.is(version)?;
        Ok(suite)
    }

    /// A row of the table names a version: it is this one.
    fn is(&self, version: &str) -> Result<()> {
        for (name, kind) in [("iptables-legacy", "legacy"), ("iptables-nft", "nf_tables")] {
            let world = World {
                root: &self.root,
                libraries: THEIRS,
                told: &[],
            };
            let (seen, _) = seen::run(world, &Step::new(name, ["-V"]))?;
            let wanted = format!("iptables v{version} ({kind})\n");
            ensure!(
                seen.out == wanted.as_bytes(),
                "{name} should say {wanted:?}, it says {:?}",
                String::from_utf8_lossy(&seen.out)
            );
        }
        Ok(())
    }

    fn judge(&mut self, case: &Case, rows: &[Difference], shown: &mut usize) -> Result<()> {
        self.tally.cases += 1;
        let mut sides = Vec::new();
        for side in 0..SIDES.len() {
            let place = self.place(side, case)?;
            let seen = self.steps(side, &place, &case.told, &case.steps)?;
            sides.push((place, seen));
        }
        let mut steps = case.steps.clone();
        let [(_, theirs), (_, ours)] = &sides[..] else {
            unreachable!("there are two sides");
        };
        let agreed = theirs.seen == ours.seen;
        let handed: Vec<Handed> = theirs
            .seen
            .iter()
            .flat_map(|seen| seen.handed.clone())
            .collect();
        self.tally.handing += usize::from(!handed.is_empty());
        // The same bytes make the same table: each is shown once, by both.
        if agreed
            && !handed.is_empty()
            && self
                .shown
                .insert((case.place == Place::Machine, handed.clone()))
        {
            let more = show(&handed);
            for (side, (place, seen)) in sides.iter_mut().enumerate() {
                let later = self.steps(side, place, &case.told, &more)?;
                seen.seen.extend(later.seen);
                seen.asked |= later.asked;
            }
            steps.extend(more);
        }
        let (mut reasons, mut different) = (Vec::new(), Vec::new());
        for (number, (theirs, ours)) in sides[0].1.seen.iter().zip(&sides[1].1.seen).enumerate() {
            if theirs == ours {
                continue;
            }
            match differences::explain(rows, &theirs.lines(), &ours.lines()) {
                Some(row) => reasons.push(row),
                None => different.push((number, theirs.lines(), ours.lines())),
            }
        }
        for (side, (place, did)) in sides.into_iter().enumerate() {
            if !did.asked && case.place == Place::Bare && case.put.is_empty() {
                self.fresh[side] = Some(place);
            }
        }
        if !different.is_empty() {
            self.tally.different += 1;
            *shown += 1;
            if *shown <= IN_FULL {
                print_different(self.tally.suite, case, &steps, &different);
            } else {
                println!("FAILED {}: {} differs", self.tally.suite, case.name);
            }
            return Ok(());
        }
        reasons.sort_unstable();
        reasons.dedup();
        for row in &reasons {
            self.tally.listed[*row] += 1;
        }
        if reasons.is_empty() {
            self.tally.equal += 1;
        } else {
            self.tally.explained += 1;
        }
        Ok(())
    }

    /// A namespace as a case wants it.
    fn place(&mut self, side: usize, case: &Case) -> Result<Netns> {
        let place = match self.fresh[side].take() {
            Some(place) => place,
            None => {
                self.made += 1;
                Netns::new(&format!("{}-{}", SIDES[side].0, self.made))?
            }
        };
        if case.place == Place::Machine {
            place.ip(
                "link set lo up\nlink add eth0 type veth peer name eth1\nlink set eth1 up\n\
                 link set eth0 up\naddress add 10.0.0.1/24 dev eth0\n\
                 address add 10.0.0.80/32 dev eth0\naddress add 192.168.0.1/24 dev eth0\n\
                 address add 192.168.0.5/32 dev eth0\n",
            )?;
        }
        if !case.put.is_empty() {
            // A rule that makes no VIP is a later one of the first.
            let rules: Vec<Rule> = (80..)
                .zip(&case.put)
                .map(|(last, payload)| {
                    let last = if payload.flags == 0 { 80 } else { last };
                    Rule::new(Ipv4Addr::new(10, 0, 0, last), "lo", payload)
                })
                .collect();
            let put = place.enter(|| blob::replace(&blob::socket()?, "filter", &rules))?;
            if let Err(error) = put {
                self.tally.broken.push(format!(
                    "{}: {} cannot be put into the kernel: {error}",
                    self.tally.suite, case.name
                ));
            }
        }
        Ok(place)
    }

    fn steps(
        &mut self,
        side: usize,
        place: &Netns,
        told: &[[u8; 64]],
        steps: &[Step],
    ) -> Result<Did> {
        let (name, libraries, directory) = SIDES[side];
        let root = self.root.clone();
        let file = format!("{}{directory}/{}", root.display(), seen::FILE);
        let world = World {
            root: &root,
            libraries,
            told,
        };
        let mut did = Did::default();
        for step in steps {
            let (seen, trace) = place.enter(|| seen::run(world, step))??;
            did.asked |= trace.asked;
            did.seen.push(seen);
            match trace.mapped {
                None => {}
                Some(mapped) if mapped == file => self.tally.mapped[side] += 1,
                Some(mapped) => self.tally.broken.push(format!(
                    "{}: a program of {name} mapped {mapped}, not {file}",
                    self.tally.suite
                )),
            }
        }
        Ok(did)
    }

    /// What theirs doesn't know.
    fn newer(&mut self) -> Result<()> {
        let libraries = SIDES.map(|(_, libraries, _)| libraries);
        let newer = newer::run(&self.root, libraries, self.tally.suite)?;
        self.tally.newer = newer.passed;
        self.tally.broken.extend(newer.failed);
        Ok(())
    }

    /// A side that never had its file would be compared with nothing.
    fn end(&mut self) {
        for (side, (name, ..)) in SIDES.into_iter().enumerate() {
            if self.tally.mapped[side] == 0 {
                self.tally.broken.push(format!(
                    "{}: no program of {name} mapped its file",
                    self.tally.suite
                ));
            }
        }
    }
}

/// What one side did in a case.
#[derive(Default)]
struct Did {
    seen: Vec<Seen>,
    asked: bool,
}

/// The programs that show the tables that were handed over.
fn show(handed: &[Handed]) -> Vec<Step> {
    let mut tables = Vec::new();
    for call in handed {
        let name: Vec<u8> = call
            .bytes
            .iter()
            .copied()
            .take_while(|byte| *byte != 0)
            .collect();
        if let Ok(name) = String::from_utf8(name) {
            if call.level == libc::IPPROTO_IP && !tables.contains(&name) {
                tables.push(name);
            }
        }
    }
    tables
        .iter()
        .flat_map(|table| SHOWN.map(|line| line.replace("TABLE", table)))
        .filter_map(|line| Step::typed(&line))
        .collect()
}

fn print_different(
    suite: &str,
    case: &Case,
    steps: &[Step],
    different: &[(usize, Vec<String>, Vec<String>)],
) {
    let name = &case.name;
    println!("FAILED {suite}: {name} differs; again: T='{name}' SUITES={suite}");
    for (number, theirs, ours) in different {
        println!("         $ {}", steps[*number]);
        let (theirs, ours) = differences::rest(theirs, ours);
        let first = first_difference(theirs, ours);
        for (who, lines) in [("theirs", theirs), ("ours  ", ours)] {
            if lines.is_empty() {
                println!("         {who} (nothing)");
            }
            for line in lines {
                println!("         {who} {}", around(line, first));
            }
        }
    }
}

/// Where the first lines that are both handed to the kernel part.
fn first_difference(theirs: &[String], ours: &[String]) -> usize {
    let handed = |lines: &[String]| {
        let line = lines.iter().find(|line| line.starts_with("set "));
        line.cloned().unwrap_or_default()
    };
    handed(theirs)
        .bytes()
        .zip(handed(ours).bytes())
        .take_while(|(one, other)| one == other)
        .count()
}

/// A line, of a table only what is around a place.
fn around(line: &str, at: usize) -> String {
    if !line.starts_with("set ") || line.len() < 200 {
        return line.to_string();
    }
    let head: String = line.chars().take(9).collect();
    let part: String = line
        .chars()
        .skip(at.saturating_sub(16).max(9))
        .take(80)
        .collect();
    let bytes = (line.len() - 9) / 2;
    let start = (at.saturating_sub(16).max(9) - 9) / 2;
    format!("{head}... {part} ... ({bytes} bytes, from {start})")
}
