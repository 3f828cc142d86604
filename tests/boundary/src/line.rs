// SPDX-License-Identifier: GPL-2.0-only

//! What is written to a VIP's file.

use crate::input::Input;

/// The longest line that is taken, and the longest of a whole set.
pub const LINE: usize = 10;
pub const SET_LINE: usize = 4096;

/// A whole set, or nearly one.
fn set_line(input: &mut Input) -> Vec<u8> {
    let mut line = b"=".to_vec();
    let count = match input.below(8) {
        7 => 1100,
        6 => 30,
        many => many,
    };
    for number in 0..count {
        if number > 0 {
            let separator = match input.below(32) {
                31 => input.pick(&["", ",,", ", "]),
                _ => ",",
            };
            line.extend(separator.bytes());
        }
        let first = match input.below(16) {
            15 => input.odd_number(),
            14 => 1 + input.below(1024) as u32,
            _ => 1 + input.below(3) as u32,
        };
        line.extend(first.to_string().bytes());
        if input.one_in(8) {
            let last = match input.below(8) {
                7 => input.odd_number(),
                more => first.saturating_add(more as u32 % 2),
            };
            line.extend(format!("-{last}").bytes());
        }
    }
    let end = if count == 0 {
        input.pick(&["none", "none\n", "", "\n"])
    } else {
        input.pick(&["", "\n", "\n", "\n", "\n", "\0", " ", ","])
    };
    line.extend(end.bytes());
    if input.one_in(12) {
        let length = input.pick(&[0, 1, 2, 10, 11, 4095, 4096, 4097, 70_000]);
        line.resize(length, input.pick(b"0,1-"));
    }
    if input.one_in(8) && !line.is_empty() {
        let at = input.below(line.len());
        line[at] = input.byte();
    }
    line
}

/// A line, or nearly one.
pub fn line(input: &mut Input) -> Vec<u8> {
    if input.one_in(3) {
        return set_line(input);
    }
    let number = match input.below(4) {
        3 => input.odd_number(),
        _ => 1 + input.below(4) as u32,
    };
    let mut line = format!("{}{number}", input.pick(&["+", "-", "++", "-+", ""])).into_bytes();
    line.extend(
        input
            .pick(&["", "\n", "\n", "\0", "\0x", "\n\n", "\r\n", " ", ",1"])
            .bytes(),
    );
    if input.one_in(4) {
        let at = input.below(line.len());
        line[at] = input.byte();
    }
    match input.below(16) {
        15 => line.resize(
            input.pick(&[0, 11, 255, 256, 4095, 4096, 4097, 70_000]),
            b'0',
        ),
        14 => {
            let length = input.below(24);
            line = input.bytes(length);
        }
        _ => {}
    }
    line
}
