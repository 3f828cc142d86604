// SPDX-License-Identifier: GPL-2.0-only

//! Pacemaker, Corosync and a resource agent on the module, as Debian ships them: three cluster nodes
//! and a client in one guest.
//!
//! ```text
//!                    client   10.9.0.100 ... 10.9.0.119, keeps asking 10.9.0.80
//!                       |
//!      +----------------+----------------+
//!      |              switch             |      floods a multicast MAC
//!      +----+-----------+-----------+----+
//!           |           |           |
//!         node1       node2       node3         namespaces of their own: network, mount, UTS, IPC, PID
//!        10.9.0.1    10.9.0.2    10.9.0.3       in each: corosync, pacemakerd and its agents, a web server
//! ```
//!
//! Runs in the lab's guest, as root; exits 0 when nothing was wrong.

#![forbid(unsafe_code)]

mod agent;
mod articles;
mod bed;
mod client;
mod machine;
mod monitor;
mod node;
mod report;
mod scenario;
mod settled;
mod start_bug;
mod traces;

use clap::Parser;
use std::process::ExitCode;

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Process 1 of a node: its programs, until its input ends. Not for a shell.
    Node { number: usize },
    /// The lines of the articles, as typed; then the whole scenario, so many rounds.
    Scenario(scenario::Arguments),
    /// Shows that IPaddr2 4.18 fails at a second number on one node.
    StartBug,
    /// Asks an agent by hand on one node: each call, and what it must return.
    Agent(agent::Arguments),
}

fn main() -> ExitCode {
    let report = match Arguments::parse().command {
        Command::Node { number } => return node::run(number),
        Command::Scenario(arguments) => scenario::run(&arguments),
        Command::StartBug => start_bug::run(),
        Command::Agent(arguments) => agent::run(&arguments),
    };
    if report.close() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
