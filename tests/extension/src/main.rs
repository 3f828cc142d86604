// SPDX-License-Identifier: GPL-2.0-only

//! The iptables extension of ours beside the distribution's.
//!
//! Each case of a corpus ([`corpus`]) is a few command lines. It runs twice for each iptables of
//! three suites of Debian, in the lab's guest with our module loaded, each time in a network
//! namespace that nothing was done in: with the distribution's `libipt_CLUSTERIP.so`, and with ours.
//! What was printed, the exit codes, and the bytes handed to the kernel ([`seen`]) have to be the
//! same, but for the differences that were decided ([`differences`]). What only ours knows is held against what it
//! has to be ([`newer`]).

mod case;
mod compare;
mod corpus;
mod differences;
mod newer;
mod normal;
mod seen;
mod sys;

use clap::Parser;
use clap::Subcommand;
use std::process::ExitCode;

#[derive(Parser)]
#[command(about = "Our iptables extension beside the distribution's")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// In the guest: run the corpus with both extensions, compare, print the table
    Compare(compare::Options),
    /// Print the corpus, as its files are written
    List,
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Compare(options) => compare::run(&options),
        Command::List => {
            corpus::all().iter().for_each(|case| println!("{case}"));
            Ok(true)
        }
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("extension-tests: {error:#}");
            ExitCode::from(2)
        }
    }
}
