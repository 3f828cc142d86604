// SPDX-License-Identifier: GPL-2.0-only

//! `clusterip`: what the VIPs of this node do, and which numbers it serves.
//!
//! All that it knows it reads of `/proc/net/stat/ipt_CLUSTERIP` (`stat`), all that it changes it writes to
//! `/proc/net/ipt_CLUSTERIP/VIP` (`write`). Which number a client falls to is computed by the module's own files.

#![forbid(unsafe_code)]

pub mod args;
pub mod check;
#[path = "../../../src/cluster/mod.rs"]
pub mod cluster;
pub mod failure;
pub mod files;
pub mod json;
pub mod peers;
pub mod stat;
pub mod status;
pub mod table;
pub mod watch;
pub mod who;
pub mod write;

use args::Args;
use args::Command;
use args::Shell;
use clap::error::ErrorKind;
use clap::CommandFactory;
use clap::Parser;
use failure::Failure;
use failure::Result;
use files::Files;
use std::ffi::OsString;
use std::io::Write;
use write::Wish;

/// Where output goes, and what it may be made of.
pub struct Terminal<'a> {
    /// What was asked for.
    pub out: &'a mut dyn Write,
    /// What else is to be said.
    pub err: &'a mut dyn Write,
    /// Whether bars can be drawn of blocks, which are not ASCII.
    pub blocks: bool,
}

/// Whether the locale that these variables name has UTF-8. The first that says anything counts, as in C.
pub fn has_utf8(all: &str, ctype: &str, lang: &str) -> bool {
    let locale = [all, ctype, lang].into_iter().find(|name| !name.is_empty());
    let locale = locale.unwrap_or_default().to_ascii_lowercase();
    locale.ends_with("utf-8") || locale.ends_with("utf8")
}

/// The whole program: its exit code.
pub fn run(args: impl IntoIterator<Item = OsString>, to: &mut Terminal<'_>) -> u8 {
    let failure = match Args::try_parse_from(args) {
        Ok(args) => match command(&args, to) {
            Ok(()) => return failure::DONE,
            Err(failure) => failure,
        },
        Err(error) => return usage(&error, to),
    };
    if !failure.text.is_empty() {
        // Nowhere is left to say that this can't be said.
        let _ = writeln!(to.err, "clusterip: {}", failure.text);
    }
    failure.code
}

fn usage(error: &clap::Error, to: &mut Terminal<'_>) -> u8 {
    let asked = matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    );
    let (place, code): (&mut dyn Write, u8) = if asked {
        (to.out, failure::DONE)
    } else {
        (to.err, failure::USAGE)
    };
    match write!(place, "{error}") {
        Ok(()) => code,
        Err(error) => Failure::from(error).code,
    }
}

fn command(args: &Args, to: &mut Terminal<'_>) -> Result {
    let files = Files::new(&args.proc);
    match &args.command {
        Command::Status(args) => status::status(&files, args, to),
        Command::Watch { vips } => watch::watch(&files, vips, to),
        Command::Add(args) => write::change(&files, Wish::Add, args, to),
        Command::Del(args) => write::change(&files, Wish::Del, args, to),
        Command::Set(args) => write::change(&files, Wish::Set, args, to),
        Command::Who(args) => who::who(&files, args, to),
        Command::Check(args) => check::check(&files, args, to),
        Command::Completion { shell: Shell::Bash } => {
            let mut text = Vec::new();
            let bash = clap_complete::Shell::Bash;
            clap_complete::generate(bash, &mut Args::command(), "clusterip", &mut text);
            Ok(to.out.write_all(&text)?)
        }
    }
}
