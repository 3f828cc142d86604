// SPDX-License-Identifier: GPL-2.0-only

//! Finds libxtables by pkg-config and makes the bindings to it, with the program `bindgen` that the
//! module's build needs too.

use std::env;
use std::path::Path;
use std::process::exit;
use std::process::Command;

/// All that is used of C; what these types are made of comes with them.
const ALLOWED: [(&str, &str); 3] = [
    (
        "--allowlist-function",
        "xtables_(register_target|find_target|option_parse)|printf|abort|dlsym",
    ),
    ("--allowlist-var", "xt_params|NFPROTO_IPV4|XTABLES_VERSION|IPT_SO_GET_REVISION_TARGET"),
    (
        "--allowlist-type",
        "xtables_target|xt_option_(entry|call|type|flags)|xt_fcheck_call|xtables_(exittype|tryload)",
    ),
];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=wrapper.h");

    let xtables = pkg_config::Config::new()
        .atleast_version("1.8.9")
        .probe("xtables")
        .unwrap_or_else(|error| {
            fail(&format!(
                "no libxtables to build with: install libxtables-dev and pkgconf (Debian, Ubuntu), \
                 iptables-devel (Fedora) or iptables (Arch). {}",
                first_line(&error.to_string())
            ))
        });
    // Without std nobody else asks for it.
    println!("cargo::rustc-link-lib=c");

    let includes = xtables.include_paths.iter().map(|path| path.as_path());
    for path in includes.chain([Path::new("/usr/include")]) {
        let header = path.join("xtables.h");
        if header.is_file() {
            println!("cargo::rerun-if-changed={}", header.display());
        }
    }

    let out = env::var("OUT_DIR").unwrap_or_default();
    let mut bindgen = Command::new("bindgen");
    bindgen.args(["wrapper.h", "--use-core", "--ctypes-prefix", "core::ffi"]);
    // As C has them: numbers, which may have any value.
    bindgen.args(["--default-enum-style", "consts", "--no-prepend-enum-name"]);
    bindgen.args(["--rust-target", "1.82", "--no-doc-comments"]);
    bindgen.args(ALLOWED.iter().flat_map(|(option, what)| [option, what]));
    bindgen.arg("--output");
    bindgen.arg(Path::new(&out).join("bindings.rs"));
    bindgen.arg("--");
    for path in &xtables.include_paths {
        bindgen.arg("-I").arg(path);
    }
    match bindgen.status() {
        Ok(status) if status.success() => {}
        Ok(status) => fail(&format!(
            "bindgen ended with {status}; its own words are above"
        )),
        Err(error) => fail(&format!(
            "bindgen can't be run ({error}): install bindgen (Debian, Ubuntu: bindgen; Fedora: \
             bindgen-cli; Arch: rust-bindgen)"
        )),
    }
}

fn first_line(text: &str) -> &str {
    text.trim().lines().next().unwrap_or_default()
}

fn fail(what: &str) -> ! {
    println!("cargo::error={what}");
    exit(1);
}
