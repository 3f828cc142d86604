// SPDX-License-Identifier: GPL-2.0-only

//! `boundary SECONDS`: generated input at every place where the module takes some, in the lab's guest,
//! as root there.
//!
//! Rules by `setsockopt` and nftables, the files, devices and packets are tried in turn, in rounds: each
//! a process with a namespace of its own, every second one as root of a user namespace that an ordinary
//! user made. A round's input comes of the seed and the round's number, and on a kernel with KCOV also
//! of inputs that were kept in earlier rounds, for they reached code that none before them had; those
//! are printed, `kept ROUND BYTES`.
//!
//! By environment: `SEED` (1), `FROM` (0) the first round, `ROUNDS` at most so many, `STEPS` (800) of a
//! round, `KEPT` a file with printed lines of an earlier run, `TRACE=1` to say each step before it is
//! taken. `SEED=1 FROM=17 ROUNDS=1 KEPT=FILE TRACE=1` is round 17 once more.

mod corpus;
mod file;
mod frame;
mod input;
mod kcov;
mod line;
mod link;
mod nft;
mod revision1;
mod round;
mod rules;
mod run;
mod stat;
mod sys;
mod table;
mod wire;
mod world;

use anyhow::Context;
use anyhow::Result;
use std::process::ExitCode;

/// A number of the environment.
fn number(name: &str, default: u64) -> Result<u64> {
    match std::env::var(name) {
        Ok(text) if !text.is_empty() => text.parse().with_context(|| format!("{name}={text}")),
        _ => Ok(default),
    }
}

fn settings() -> Result<run::Settings> {
    let seconds = std::env::args().nth(1).context("usage: boundary SECONDS")?;
    Ok(run::Settings {
        seconds: seconds.parse().context("SECONDS")?,
        seed: number("SEED", 1)?,
        from: number("FROM", 0)?,
        rounds: number("ROUNDS", u64::MAX)?,
        steps: number("STEPS", 800)?,
        trace: number("TRACE", 0)? != 0,
        kept: std::env::var("KEPT").ok().filter(|path| !path.is_empty()),
    })
}

fn main() -> ExitCode {
    let result = settings().and_then(|settings| run::run(&settings));
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            println!("FAILED: {error:#}");
            println!("0 passed, 1 failed");
            ExitCode::FAILURE
        }
    }
}
