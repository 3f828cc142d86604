// SPDX-License-Identifier: GPL-2.0-only

//! What other people's programs do with the module: keepalived, strongSwan's charon, ssh, and what the
//! old articles have one type. Runs in the lab's guest with a root that has them (`--root trixie`), as root.
//!
//! `failover-tests [PATTERN]...` runs the tests with a PATTERN in their name; `ROUNDS=N` is how many
//! nodes die, one after the other. Exits 0 when all passed, and there were some.

mod articles;
mod client;
mod ike;
mod keepalived;
mod network;
mod node;
mod report;
mod script;
mod ssh;
mod strongswan;

use harness::Group;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let groups = [
        Group {
            name: "keepalived",
            tests: keepalived::tests(),
        },
        Group {
            name: "strongswan",
            tests: strongswan::tests(),
        },
        Group {
            name: "articles",
            tests: articles::tests(),
        },
        Group {
            name: "ssh",
            tests: ssh::tests(),
        },
    ];
    if harness::run::run(&groups, &arguments) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
