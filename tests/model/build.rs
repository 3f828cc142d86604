// SPDX-License-Identifier: GPL-2.0-only

//! What the module does behind the back of its compiler, loom has to be told: volatile accesses, and an atomic that is
//! there before anybody makes it. Two files are mounted with just that in other words.

use std::env;
use std::error::Error;
use std::fs;
use std::path::Path;

type Words<'a> = &'a [(&'a str, &'a str)];

const SPREAD: Words<'static> = &[
    (".read_volatile()", ".read_marked()"),
    (".write_volatile(", ".write_marked("),
];

const WAIT: Words<'static> = &[(
    "static RETIRED: Atomic<*mut WaitQueue> = Atomic::new(ptr::null_mut());",
    "loom::lazy_static! { static ref RETIRED: Atomic<*mut WaitQueue> = Atomic::new(ptr::null_mut()); }",
)];

fn main() -> Result<(), Box<dyn Error>> {
    mount("spread", SPREAD)?;
    mount("wait", WAIT)
}

fn mount(name: &str, words: Words<'_>) -> Result<(), Box<dyn Error>> {
    let root = env::var("CARGO_MANIFEST_DIR")?;
    let path = format!("{root}/../../src/abstractions/{name}.rs");
    println!("cargo::rerun-if-changed={path}");
    let mut text = fs::read_to_string(&path)?;
    for (from, to) in words {
        if !text.contains(from) {
            return Err(format!("{path} has no {from}: loom would not see what it does").into());
        }
        text = text.replace(from, to);
    }
    // What stands above a file has no place in the middle of another one.
    let lines = text.lines().filter(|line| !line.starts_with("//!"));
    let to = Path::new(&env::var("OUT_DIR")?).join(format!("{name}.rs"));
    Ok(fs::write(to, lines.collect::<Vec<_>>().join("\n"))?)
}
