// SPDX-License-Identifier: GPL-2.0-only

//! Numbers as the page writes them.

/// A whole number with a comma before every three digits.
pub fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The number with its first three digits only; the others become zero.
pub fn rounded(number: usize) -> usize {
    let mut unit = 1;
    while number / unit >= 1_000 {
        unit *= 10;
    }
    (number + unit / 2) / unit * unit
}

pub fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}
