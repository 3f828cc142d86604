// SPDX-License-Identifier: GPL-2.0-only

//! Compiles the part of the driver that C alone can say.

use std::process::exit;

fn main() {
    println!("cargo::rerun-if-changed=c/drive.c");
    if let Err(error) = pkg_config::probe_library("xtables") {
        println!("cargo::error=install libxtables-dev and pkgconf: {error}");
        exit(1);
    }
    cc::Build::new()
        .file("c/drive.c")
        .warnings_into_errors(true)
        .compile("drive");
}
