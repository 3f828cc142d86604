// SPDX-License-Identifier: GPL-2.0-only

//! The module under everything at once ([`churn`]), and under the same thing for a long time
//! ([`soak`]). Runs in the lab's guest, as root; exits 0 when nothing was wrong.

mod aftermath;
mod churn;
mod report;
mod soak;

use clap::Parser;
use std::process::ExitCode;

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Rules, files, devices, namespaces and the module itself change all at once, under traffic.
    Churn(churn::Arguments),
    /// Many connections to a cluster of three.
    Soak(soak::Arguments),
}

fn main() -> ExitCode {
    let report = match Arguments::parse().command {
        Command::Churn(arguments) => churn::run(&arguments),
        Command::Soak(arguments) => soak::run(&arguments),
    };
    if report.close() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
