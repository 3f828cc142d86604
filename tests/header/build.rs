// SPDX-License-Identifier: GPL-2.0-only

//! Compiles `include/clusterip.h` for C, as a program of somebody else's would.

fn main() {
    println!("cargo::rerun-if-changed=c");
    println!("cargo::rerun-if-changed=../../include/clusterip.h");
    cc::Build::new()
        .file("c/layout.c")
        .include("../../include")
        .std("c11")
        .warnings_into_errors(true)
        .compile("clusterip_layout");
}
