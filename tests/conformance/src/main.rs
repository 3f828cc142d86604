// SPDX-License-Identifier: GPL-2.0-only

//! The module measured against the C original, which is not in this tree: `scripts/conformance`
//! boots kernels with one of the implementations and runs this program in them.
//!
//! In the guest it does not judge. It does things and prints what it saw, one line each
//! ([`record`]); what three guests saw is compared on the host, by `conformance report` and its
//! kin. So it can't know which implementation it talks to, and does not ask.

mod arp;
mod case;
mod cases;
mod compare;
mod host;
mod packets;
mod readme;
mod record;
mod report;
mod roundtrip;
mod shrink;
mod walk;

use clap::Parser;
use clap::Subcommand;
use std::process::ExitCode;

#[derive(Parser)]
#[command(about = "The module measured against the C original")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// In the guest: run the cases and print what was seen
    Cases(case::Options),
    /// Compare what the cases saw in three guests, and print the table
    Report(report::Options),
    /// Compare a section of a README with what a run made, or put it there
    Readme(readme::Options),
    /// Compare what two guests saw of a generated input
    Compare(compare::Options),
    /// In the guest: packets of a seeded generator, and what became of each
    Packets(packets::Options),
    /// In the guest: ARP frames of a seeded generator, and the answers
    Arp(arp::Options),
    /// In the guest: a seeded random walk over rules, files, devices and namespaces
    Walk(walk::Options),
    /// In the guest: iptables' own lines through save and restore
    Roundtrip(roundtrip::Options),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Cases(options) => case::run(&options),
        Command::Report(options) => report::run(&options),
        Command::Readme(options) => readme::run(&options),
        Command::Compare(options) => compare::run(&options),
        Command::Packets(options) => packets::run(&options),
        Command::Arp(options) => arp::run(&options),
        Command::Walk(options) => walk::run(&options),
        Command::Roundtrip(options) => roundtrip::run(&options),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("conformance: {error:#}");
            ExitCode::from(2)
        }
    }
}
