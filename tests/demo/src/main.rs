// SPDX-License-Identifier: GPL-2.0-only

//! What the demo needs beside stock tools, in one small program: a web server that names its
//! node, a hundred clients that ask it, and a count of the answers on the wire.

#![forbid(unsafe_code)]

mod ask;
mod flow;
mod report;
mod serve;
mod verdict;
mod wire;

use std::env;
use std::process::ExitCode;

const USAGE: &str = "usage:
  demo-net serve N VIP PORT...
      a web server on VIP, each PORT, that answers \"node N\"
  demo-net ask VIP FIRST-CLIENT FILE [EARLIER-FILE]
      a hundred requests; who answered goes to FILE and is drawn; with an EARLIER-FILE,
      says what became of each node's share
  demo-net verdict SIP SIP-SPT SIP-SPT-DPT OUTAGE TAKEOVER BACK
      judges the files of a whole demo, prints its line of truth; exit 1 unless perfect";

fn run(args: &[&str]) -> Result<bool, String> {
    match args {
        ["serve", node, vip, ports @ ..] if !ports.is_empty() => serve::serve(node, vip, ports),
        ["ask", vip, first, file] => ask::command(vip, first, file, None),
        ["ask", vip, first, file, earlier] => ask::command(vip, first, file, Some(earlier)),
        ["verdict", sip, spt, dpt, outage, takeover, back] => {
            verdict::command([sip, spt, dpt, outage, takeover, back])
        }
        _ => Err(USAGE.to_string()),
    }
}

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match run(&args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("demo-net: {error}");
            ExitCode::from(2)
        }
    }
}
