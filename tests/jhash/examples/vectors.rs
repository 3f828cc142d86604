// SPDX-License-Identifier: GPL-2.0-only

//! Prints `tests/host/vectors/hash-vectors-rev1.txt`.

fn main() {
    print!("{}", jhash::vectors::revision_1());
}
