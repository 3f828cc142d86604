// SPDX-License-Identifier: GPL-2.0-only

//! Rules of revision 1. The distribution's extension doesn't know them, so ours is held against what is
//! written here: in one table with rules of revision 0, by `iptables-legacy` and by `iptables-nft`.

use crate::case::Step;
use crate::seen;
use crate::seen::Seen;
use crate::seen::World;
use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use harness::blob;
use harness::Netns;
use std::path::Path;

/// What is given behind `-A INPUT`, what is saved of the target, and what is shown of it.
struct Rule {
    given: &'static str,
    saved: &'static str,
    shown: &'static str,
    revision: u8,
}

const NEW: &str = "--new --hashmode sourceip --clustermac 01:00:5E:00:00:50 --total-nodes 2";

const RULES: [Rule; 9] = [
    Rule {
        given: "-d 10.0.0.80/32 -i eth0 -j CLUSTERIP {NEW} --local-node 1",
        saved: "{NEW} --local-node 1 --hash-init 0",
        shown:
            "hashmode=sourceip clustermac=01:00:5E:00:00:50 total_nodes=2 local_node=1 hash_init=0",
        revision: 0,
    },
    Rule {
        given: "-d 10.0.0.81/32 -i eth0 -j CLUSTERIP --vip 10.0.0.81 {NEW} --local-node 2",
        saved: "--vip 10.0.0.81 {NEW} --local-nodes 2 --hash-init 0",
        shown: "vip=10.0.0.81 hashmode=sourceip clustermac=01:00:5E:00:00:50 total_nodes=2 \
                local_nodes=2 hash_init=0",
        revision: 1,
    },
    // In two options that say the same, whatever their order.
    Rule {
        given: "-d 10.0.0.82/32 -j CLUSTERIP --no-mark --local-nodes 1024,3-5 --local-nodes 1,3 \
                --total-nodes 1024 --clustermac 01:00:5e:00:00:51 --hashmode sourceip-destip \
                --hash-init 7 --new --dev eth0 --vip 10.0.0.82",
        saved: "--vip 10.0.0.82 --dev eth0 --new --hashmode sourceip-destip \
                --clustermac 01:00:5E:00:00:51 --total-nodes 1024 --local-nodes 1,3-5,1024 \
                --hash-init 7 --no-mark",
        shown: "vip=10.0.0.82 dev=eth0 hashmode=sourceip-destip clustermac=01:00:5E:00:00:51 \
                total_nodes=1024 local_nodes=1,3-5,1024 hash_init=7 no_mark",
        revision: 1,
    },
    Rule {
        given: "-d 10.0.0.82/32 -p tcp -j CLUSTERIP --vip 10.0.0.82",
        saved: "--vip 10.0.0.82",
        shown: "vip=10.0.0.82",
        revision: 1,
    },
    Rule {
        given: "-d 10.0.0.80/32 -p tcp -j CLUSTERIP",
        saved: "",
        shown: "",
        revision: 0,
    },
    // No newer option has to be newer in what it says.
    Rule {
        given: "-d 10.0.0.83/32 -i eth0 -j CLUSTERIP {NEW} --local-nodes none",
        saved: "{NEW} --local-node 0 --hash-init 0",
        shown:
            "hashmode=sourceip clustermac=01:00:5E:00:00:50 total_nodes=2 local_node=0 hash_init=0",
        revision: 0,
    },
    Rule {
        given: "-d 10.0.0.84/32 -i eth0 -j CLUSTERIP --new --hashmode sourceip-spi \
                --clustermac 01:00:5E:00:00:50 --total-nodes 2 --local-nodes none",
        saved: "--new --hashmode sourceip-spi --clustermac 01:00:5E:00:00:50 --total-nodes 2 \
                --local-nodes none --hash-init 0",
        shown: "hashmode=sourceip-spi clustermac=01:00:5E:00:00:50 total_nodes=2 local_nodes=none \
                hash_init=0",
        revision: 1,
    },
    Rule {
        given: "-d 10.0.0.85/32 -i eth0 -j CLUSTERIP --new --hashmode sourceip \
                --clustermac 01:00:5E:00:00:50 --total-nodes 64 --local-nodes 63-64",
        saved: "--new --hashmode sourceip --clustermac 01:00:5E:00:00:50 --total-nodes 64 \
                --local-nodes 63,64 --hash-init 0",
        shown: "hashmode=sourceip clustermac=01:00:5E:00:00:50 total_nodes=64 local_nodes=63,64 \
                hash_init=0",
        revision: 1,
    },
    Rule {
        given: "-d 10.0.0.86/32 -i eth0 -j CLUSTERIP --new --hashmode destip \
                --clustermac 01:00:5E:00:00:50 --total-nodes 65 --local-node 65",
        saved: "--new --hashmode destip --clustermac 01:00:5E:00:00:50 --total-nodes 65 \
                --local-nodes 65 --hash-init 0",
        shown: "hashmode=destip clustermac=01:00:5E:00:00:50 total_nodes=65 local_nodes=65 \
                hash_init=0",
        revision: 1,
    },
];

/// Behind `-A INPUT -d 10.0.0.80 -i eth0 -j CLUSTERIP {NEW}`: what is refused, and with which words.
const REFUSED: [(&str, &str); 16] = [
    (
        "--local-node 1 --vip 10.0.0",
        "--vip takes the one IPv4 address",
    ),
    ("--local-node 1 --vip 10.0.0.80/32", "\"10.0.0.80/32\""),
    ("--local-node 1 --vip 10.0.0.256", "\"10.0.0.256\""),
    ("--local-node 1 --vip 10.0.0.080", "\"10.0.0.080\""),
    ("--local-node 1 --vip 0.0.0.0", "\"0.0.0.0\""),
    ("--local-node 1 --vip localhost", "\"localhost\""),
    (
        "--local-node 1 --dev eth+",
        "--dev takes the name of one device",
    ),
    (
        "--local-node 1 --dev 1234567890123456",
        "\"1234567890123456\"",
    ),
    ("--local-node 1 --dev ''", "\"\""),
    ("--local-node 1 --dev 'eth 0'", "\"eth 0\""),
    ("--local-node 1 --dev a/b", "\"a/b\""),
    ("--local-nodes 1,,2", "--local-nodes takes a set of numbers"),
    ("--local-nodes 1025", "\"1025\""),
    (
        "--local-nodes 3",
        "--local-nodes 3 is above --total-nodes 2",
    ),
    (
        "--local-nodes 1 --local-node 1",
        "option \"--local-nodes\" cannot be used together with \"--local-node\"",
    ),
    ("--no-mark", "missing --local-node:"),
];

/// What went well, and what did not.
#[derive(Default)]
pub struct Tally {
    pub passed: usize,
    pub failed: Vec<String>,
}

/// A suite's iptables with ours and with theirs, in one namespace.
struct Side<'a> {
    root: &'a Path,
    place: Netns,
    libraries: [&'a str; 2],
    program: &'static str,
}

type Test = fn(&Side) -> Result<()>;

const THEIRS: usize = 0;
const OURS: usize = 1;

pub fn run(root: &Path, libraries: [&str; 2], suite: &str) -> Result<Tally> {
    let mut tally = Tally::default();
    for program in ["iptables-legacy", "iptables-nft"] {
        let place = Netns::new(&format!("newer-{suite}-{program}"))?;
        place.ip(
            "link add eth0 type veth peer name eth1\nlink set eth1 up\nlink set eth0 up\n\
             address add 10.0.0.1/24 dev eth0\n",
        )?;
        let side = Side {
            root,
            place,
            libraries,
            program,
        };
        let tests: [(&str, Test); 5] = [
            ("shows and saves", shows_and_saves),
            ("restores", restores),
            ("finds", finds),
            ("shows what it does", is_verbose),
            ("refuses", refuses),
        ];
        for (name, test) in tests {
            let result = test(&side);
            side.flush()?;
            match result {
                Ok(()) => tally.passed += 1,
                Err(error) => tally
                    .failed
                    .push(format!("{suite}: revision 1: {program} {name}: {error:#}")),
            }
        }
    }
    Ok(tally)
}

impl Side<'_> {
    fn is_legacy(&self) -> bool {
        self.program == "iptables-legacy"
    }

    /// nftables has none but those that say their VIP: their payload is all that the target is told.
    fn rules(&self) -> Vec<&'static Rule> {
        let rules = RULES.iter();
        let there = |rule: &&Rule| self.is_legacy() || rule.given.contains("--vip");
        rules.filter(there).collect()
    }

    /// What a program shows: `{}` is its name.
    fn seen(&self, side: usize, line: &str, input: &str) -> Result<Seen> {
        let line = line.replace("{}", self.program).replace("{NEW}", NEW);
        let mut step = Step::typed(&line).context("a line that is none")?;
        step.input = input.to_string();
        let world = World {
            root: self.root,
            libraries: self.libraries[side],
            told: &[],
        };
        let (seen, _) = self.place.enter(|| seen::run(world, &step))??;
        Ok(seen)
    }

    /// The same, if all goes well.
    fn ok(&self, side: usize, line: &str, input: &str) -> Result<Seen> {
        let seen = self.seen(side, line, input)?;
        ensure!(seen.code == 0, "`{line}`: {:?}", seen.lines());
        Ok(seen)
    }

    fn flush(&self) -> Result<()> {
        self.ok(OURS, "{} -F", "").map(drop)
    }

    fn append_all(&self) -> Result<Seen> {
        let mut last = Seen::default();
        for rule in self.rules() {
            last = self.ok(OURS, &format!("{{}} -A INPUT {}", rule.given), "")?;
        }
        Ok(last)
    }

    fn rules_saved(&self) -> Result<Vec<String>> {
        let seen = self.ok(OURS, "{} -S INPUT", "")?;
        let text = String::from_utf8(seen.out)?;
        let lines = text.lines().filter(|line| line.starts_with("-A"));
        Ok(lines.map(str::to_string).collect())
    }
}

/// A rule as it is saved.
fn saved(rule: &Rule) -> String {
    let matches = rule.given.split(" -j ").next().unwrap_or_default();
    let line = format!("-A INPUT {matches} -j CLUSTERIP {}", rule.saved);
    line.replace("{NEW}", NEW).trim_end().to_string()
}

fn shows_and_saves(side: &Side) -> Result<()> {
    side.append_all()?;
    let wanted: Vec<String> = side.rules().into_iter().map(saved).collect();
    let lines = side.rules_saved()?;
    ensure!(lines == wanted, "{wanted:?} became {lines:?}");
    let seen = side.ok(OURS, "{} -nL INPUT", "")?;
    let text = String::from_utf8(seen.out)?;
    let mut lines = text.lines().filter(|line| line.starts_with("CLUSTERIP"));
    for rule in side.rules() {
        let line = lines.next().unwrap_or_default();
        let wanted = format!(" CLUSTERIP {}", rule.shown);
        ensure!(
            line.trim_end().ends_with(wanted.trim_end()),
            "{wanted:?} became {line:?}"
        );
    }
    Ok(())
}

/// What is saved makes the same rules again, of the same revisions.
fn restores(side: &Side) -> Result<()> {
    let appended = side.append_all()?;
    let text = String::from_utf8(side.ok(OURS, "{}-save -t filter", "")?.out)?;
    side.flush()?;
    let restored = side.ok(OURS, "{}-restore", &text)?;
    let again = String::from_utf8(side.ok(OURS, "{}-save -t filter", "")?.out)?;
    ensure!(again == text, "{text} became {again}");
    if !side.is_legacy() {
        return Ok(());
    }
    let (one, other) = (targets(&appended)?, targets(&restored)?);
    ensure!(one == other, "{one:02x?} became {other:02x?}");
    for (rule, target) in side.rules().iter().zip(&one) {
        let size = [96, 208][usize::from(rule.revision)];
        ensure!(
            target.len() == size && target[31] == rule.revision,
            "{} should be of revision {}: {target:02x?}",
            rule.given,
            rule.revision
        );
    }
    Ok(())
}

/// The targets that were handed over, those of this name.
fn targets(seen: &Seen) -> Result<Vec<Vec<u8>>> {
    /// The size of `struct ipt_replace`.
    const HEADER: usize = 96;
    let call = seen.handed.iter().find(|call| call.name == 64);
    let bytes = &call.context("no table was handed over")?.bytes;
    let targets = blob::targets(&bytes[HEADER..]);
    let targets: Vec<Vec<u8>> = targets.into_iter().map(<[u8]>::to_vec).collect();
    ensure!(targets.len() >= 3, "there are {} targets", targets.len());
    Ok(targets)
}

/// `-C` and `-D` find a rule as it was given and as it is saved, and no other; of revision 0 theirs finds ours and
/// ours theirs.
fn finds(side: &Side) -> Result<()> {
    side.append_all()?;
    for rule in side.rules() {
        let given = rule.given;
        side.ok(OURS, &format!("{{}} -C INPUT {given}"), "")?;
        let line = saved(rule).replacen("-A", "-C", 1);
        side.ok(OURS, &format!("{{}} {line}"), "")?;
        for (one, other) in [
            ("--local-node 1", "--local-node 2"),
            ("--local-node 2", "--local-node 1"),
            ("--local-node 65", "--local-node 64"),
            ("--local-nodes 1,3", "--local-nodes 2,3"),
            ("--local-nodes none", "--local-nodes 1"),
            ("63-64", "62-64"),
            ("--no-mark", ""),
            ("--dev eth0", ""),
            ("--hash-init 7", "--hash-init 8"),
            ("--vip 10.0.0.8", "--vip 10.0.1.8"),
            ("CLUSTERIP {NEW}", "CLUSTERIP --dev eth0 {NEW}"),
        ] {
            if given.contains(one) {
                let line = format!("{{}} -C INPUT {}", given.replacen(one, other, 1));
                let code = side.seen(OURS, &line, "")?.code;
                ensure!(
                    code == 1,
                    "`{line}` should find nothing, it ends with {code}"
                );
            }
        }
    }
    let all = side.rules();
    for rule in all.iter().rev() {
        let by = usize::from(rule.revision > 0 || rule.given.contains("--local-nodes"));
        side.ok(by, &format!("{{}} -D INPUT {}", rule.given), "")?;
    }
    ensure!(side.rules_saved()?.is_empty(), "there are rules left");
    for rule in all.iter().filter(|rule| rule.revision == 0) {
        if !rule.given.contains("--local-nodes") {
            side.ok(THEIRS, &format!("{{}} -A INPUT {}", rule.given), "")?;
        }
    }
    for rule in all.iter().filter(|rule| rule.revision == 0) {
        if !rule.given.contains("--local-nodes") {
            side.ok(OURS, &format!("{{}} -D INPUT {}", rule.given), "")?;
        }
    }
    ensure!(side.rules_saved()?.is_empty(), "theirs left rules");
    Ok(())
}

/// `-v` shows each rule before it goes to the kernel.
fn is_verbose(side: &Side) -> Result<()> {
    for rule in side.rules() {
        for command in ["-A", "-C", "-D"] {
            if command == "-D" && !rule.saved.contains("--new") {
                continue;
            }
            let line = format!("{{}} -v {command} INPUT {}", rule.given);
            let seen = side.ok(OURS, &line, "")?;
            let text = String::from_utf8(seen.out)?;
            let wanted = format!(" CLUSTERIP {}", rule.shown);
            let is_shown = text.trim_end().ends_with(wanted.trim_end());
            // nftables shows nothing for -C.
            ensure!(
                is_shown || (command == "-C" && text.is_empty()),
                "`{line}`: {wanted:?} became {text:?}"
            );
            if command == "-D" {
                // A later rule wants the first.
                side.ok(OURS, &format!("{{}} -A INPUT {}", rule.given), "")?;
            }
        }
    }
    Ok(())
}

fn refuses(side: &Side) -> Result<()> {
    for (options, words) in REFUSED {
        let line = format!("{{}} -A INPUT -d 10.0.0.80 -i eth0 -j CLUSTERIP {{NEW}} {options}");
        let seen = side.seen(OURS, &line, "")?;
        let text = String::from_utf8(seen.err)?;
        ensure!(
            seen.code == 2 && text.contains(words),
            "`{line}` should be refused with {words:?}: {} {text}",
            seen.code
        );
    }
    Ok(())
}
