// SPDX-License-Identifier: GPL-2.0-only

//! The program `clusterip`; all of it is in the library.

#![forbid(unsafe_code)]

use clusterip::has_utf8;
use clusterip::run;
use clusterip::Terminal;
use std::env;
use std::io;
use std::process::ExitCode;

fn main() -> ExitCode {
    let [all, ctype, lang] =
        ["LC_ALL", "LC_CTYPE", "LANG"].map(|name| env::var(name).unwrap_or_default());
    ExitCode::from(run(
        env::args_os(),
        &mut Terminal {
            out: &mut io::stdout().lock(),
            err: &mut io::stderr(),
            blocks: has_utf8(&all, &ctype, &lang),
        },
    ))
}
