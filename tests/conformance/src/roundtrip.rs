// SPDX-License-Identifier: GPL-2.0-only

//! The lines of iptables' own test file for this target, and more of their kind, through
//! `iptables-legacy`, `iptables-legacy-save`, `iptables-legacy-restore` and save again, by the
//! iptables of three suites of Debian, each in a root of its own.
//!
//! What has to come back is the line itself, so this one part of the program judges, of ours alone.

mod lines;

use crate::report;
use anyhow::bail;
use anyhow::ensure;
use anyhow::Result;
use harness::eventually;
use harness::host;
use harness::host::program;
use harness::root;
use harness::run;
use harness::Ctx;
use harness::Group;
use harness::Netns;
use harness::Test;
use lines::Line;
use std::path::Path;
use std::path::PathBuf;
use std::rc::Rc;

/// The suites, and the version that each has.
const SUITES: [(&str, &str); 3] = [
    ("bookworm", "1.8.9"),
    ("trixie", "1.8.11"),
    ("forky", "1.8.13"),
];

#[derive(clap::Args)]
pub struct Options {
    /// Only those with one of these in their name
    patterns: Vec<String>,
    /// Where each suite's iptables is, as a root with the suite's name
    #[arg(long)]
    roots: PathBuf,
    /// The differences that were decided: `roundtrip LINE | * | ours | reason`
    #[arg(long)]
    differences: PathBuf,
}

pub fn run(options: &Options) -> Result<bool> {
    let listed = report::read_differences(&options.differences)?;
    program("modprobe -a ip_tables iptable_filter")?;
    let mut tests = Vec::new();
    for (suite, version) in SUITES {
        let iptables = Rc::new(Iptables::new(&options.roots.join(suite))?);
        let this = iptables.clone();
        tests.push(Test {
            name: format!("{suite}: this is iptables {version}"),
            run: Box::new(move |_| this.is(version)),
        });
        for line in lines::all() {
            let iptables = iptables.clone();
            let key = (format!("roundtrip {}", line.name), "*".to_string());
            let differs = listed.contains_key(&key);
            tests.push(Test {
                name: format!("{suite} {version}: {}", line.name),
                run: Box::new(move |ctx| {
                    agrees(&line, differs)?;
                    there_and_back(ctx, &iptables, &line)
                }),
            });
        }
    }
    let names: Vec<String> = lines::all().iter().map(|line| line.name.clone()).collect();
    for (stream, _) in listed.keys() {
        if let Some(name) = stream.strip_prefix("roundtrip ") {
            ensure!(
                names.iter().any(|known| known == name),
                "{stream} is listed as a difference, and there is no such line"
            );
        }
    }
    let group = Group {
        name: "roundtrip",
        tests,
    };
    Ok(run::run(&[group], &options.patterns))
}

/// Checks that a line which iptables' file expects to fail is listed as a difference, and no other is.
fn agrees(line: &Line, listed: bool) -> Result<()> {
    match (line.refused_by_original, listed) {
        (true, false) => bail!("iptables' file says FAIL, and that is not listed as a difference"),
        (false, true) => bail!("is listed as a difference and is none"),
        _ => Ok(()),
    }
}

/// Takes a line to the kernel and back, twice.
fn there_and_back(ctx: &mut Ctx, iptables: &Iptables, line: &Line) -> Result<()> {
    let host = host::host(ctx)?;
    for rule in &line.before {
        iptables.rule(&host, &format!("-A INPUT {rule}"))?;
    }
    iptables.rule(&host, &format!("{} INPUT {}", line.command, line.typed))?;
    let saved = iptables.save(&host)?;
    let rules: Vec<&str> = saved.lines().filter(|text| text.starts_with('-')).collect();
    let mut wanted: Vec<String> = line.before.clone();
    wanted.push(line.saved.clone());
    wanted
        .iter_mut()
        .for_each(|rule| rule.insert_str(0, "-A INPUT "));
    ensure!(
        rules == wanted,
        "`{}` should be saved as {wanted:?}, is as {rules:?}",
        line.typed
    );
    let nodes = host.nodes(lines::VIP)?;
    ensure!(
        nodes == line.nodes,
        "the VIP's file should say {:?}, it says {nodes:?}",
        line.nodes
    );

    // What was saved has to make the VIP again, and so must find none.
    iptables.rule(&host, "-F INPUT")?;
    gone(&host)?;
    host.run_with(&iptables.command("iptables-legacy-restore -w"), &saved)?;
    let again = iptables.save(&host)?;
    ensure!(
        again == saved,
        "saved again it should be {saved:?}, it is {again:?}"
    );
    ensure!(
        host.nodes(lines::VIP)? == nodes,
        "the VIP's file says {:?} after the restore, {nodes:?} before",
        host.nodes(lines::VIP)?
    );

    // Scripts delete a rule by the line that made it.
    iptables.rule(&host, &format!("-D INPUT {}", line.typed))?;
    for rule in &line.before {
        iptables.rule(&host, &format!("-D INPUT {rule}"))?;
    }
    gone(&host)
}

fn gone(host: &Netns) -> Result<()> {
    eventually("the VIP's file is gone", || Ok(!host.has_vip(lines::VIP)?))
}

/// A suite's iptables.
struct Iptables {
    root: PathBuf,
}

impl Iptables {
    /// Gives the root what the programs look for in it.
    fn new(root: &Path) -> Result<Self> {
        root::furnish(root)?;
        Ok(Self {
            root: root.to_path_buf(),
        })
    }

    /// A command line that runs the suite's program.
    fn command(&self, line: &str) -> String {
        format!("chroot {} /usr/sbin/{line}", self.root.display())
    }

    fn is(&self, version: &str) -> Result<()> {
        for name in ["iptables", "iptables-save", "iptables-restore"] {
            let file = name.replacen("iptables", "iptables-legacy", 1);
            let said = program(&self.command(&format!("{file} -V")))?;
            let wanted = format!("{name} v{version} (legacy)");
            ensure!(
                said.trim() == wanted,
                "{file} should say {wanted:?}, it says {said:?}"
            );
        }
        Ok(())
    }

    fn rule(&self, host: &Netns, arguments: &str) -> Result<()> {
        host.run(&self.command(&format!("iptables-legacy -w {arguments}")))?;
        Ok(())
    }

    /// The filter table as saved, without the remarks, which have the time in them.
    fn save(&self, host: &Netns) -> Result<String> {
        let text = host.run(&self.command("iptables-legacy-save -t filter"))?;
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        Ok(lines.join("\n") + "\n")
    }
}
