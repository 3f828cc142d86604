// SPDX-License-Identifier: GPL-2.0-only

//! Compiles the kernel's `jhash.h`, unmodified, out of a kernel tree.

use std::env;
use std::path::PathBuf;
use std::process::exit;

/// Where the lab's build root has its kernel tree.
const DEFAULT_TREE: &str = "/kernel";

fn main() {
    println!("cargo::rerun-if-env-changed=KERNEL_TREE");
    println!("cargo::rerun-if-changed=c");

    let tree = PathBuf::from(env::var_os("KERNEL_TREE").unwrap_or(DEFAULT_TREE.into()));
    let header = tree.join("include/linux/jhash.h");
    println!("cargo::rerun-if-changed={}", header.display());
    if !header.is_file() {
        println!(
            "cargo::error=no {}: set KERNEL_TREE to a kernel's source or headers",
            header.display()
        );
        exit(1);
    }

    cc::Build::new()
        .file("c/oracle.c")
        .include("c")
        .define("JHASH_H", format!("\"{}\"", header.display()).as_str())
        .warnings_into_errors(true)
        .compile("jhash_oracle");
}
