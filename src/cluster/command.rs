// SPDX-License-Identifier: GPL-2.0-only

//! Pure layer: the language of the VIP file, `+N`, `-N` and `=1,3-5`.
//!
//! Whether the node exists and is in the set is the caller's question; here the line becomes a
//! number, whole and unshortened (D2: the original cut it to 16 bits), or a set.

use super::node::{
    NodeSet,
    SetError, //
};

/// The longest line of `+N` and `-N`, in bytes, its newline included.
pub const MAX_LEN: usize = 10;

/// The longest line of `=`, likewise. Every number by itself takes less: [`NodeSet::MAX_TEXT_LEN`] and two bytes.
pub const MAX_SET_LEN: usize = 4096;

const _: () = assert!(NodeSet::MAX_TEXT_LEN + 2 <= MAX_SET_LEN);

/// What a line asks for. The number is any number: 0 and numbers of no node included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// `+N`: answer for node N.
    Add(u32),
    /// `-N`: answer for node N no more.
    Remove(u32),
    /// `=1,3-5`: answer for these nodes and no others.
    Replace(NodeSet),
}

/// Why a line is no command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParseError {
    /// More than [`MAX_LEN`] bytes, or [`MAX_SET_LEN`]: `EIO`.
    TooLong,
    /// The first byte is neither `+` nor `-` nor `=`, or there is none: `EIO`.
    NoSign,
    /// No decimal number after the sign, or something after the number: `EINVAL`.
    NotANumber,
    /// The number needs more than 32 bits: `ERANGE`. No line of [`MAX_LEN`] bytes holds one.
    TooBig,
    /// What stands after the `=` is no set: `EINVAL`.
    NotASet,
    /// It is one, of which some node is none in any cluster: `ERANGE`.
    NoSuchNode,
}

/// Reads one line, as one write to the file brings it.
///
/// The grammar is the sign and then what `kstrtoul()` takes in base 10: a further `+` or none,
/// digits, one newline or none. A NUL byte ends the line early. After `=` stands what [`NodeSet::parse`]
/// takes, and one newline or none.
pub fn parse(line: &[u8]) -> Result<Command, ParseError> {
    if let [b'=', set @ ..] = line {
        if line.len() > MAX_SET_LEN {
            return Err(ParseError::TooLong);
        }
        return match NodeSet::parse(set.strip_suffix(b"\n").unwrap_or(set)) {
            Ok(set) => Ok(Command::Replace(set)),
            Err(SetError::NotASet) => Err(ParseError::NotASet),
            Err(SetError::NoSuchNode) => Err(ParseError::NoSuchNode),
        };
    }
    if line.len() > MAX_LEN {
        return Err(ParseError::TooLong);
    }
    match line.split_first() {
        Some((b'+', rest)) => number(rest).map(Command::Add),
        Some((b'-', rest)) => number(rest).map(Command::Remove),
        _ => Err(ParseError::NoSign),
    }
}

/// Reads what stands after the sign, at any length.
pub fn number(text: &[u8]) -> Result<u32, ParseError> {
    let text = match text {
        [b'+', rest @ ..] => rest,
        _ => text,
    };

    let mut value = 0u32;
    let mut digits = false;
    let mut rest = text.iter();
    let end = loop {
        match rest.next().copied() {
            Some(digit @ b'0'..=b'9') => {
                digits = true;
                value = value
                    .checked_mul(10)
                    .and_then(|tens| tens.checked_add(u32::from(digit.wrapping_sub(b'0'))))
                    .ok_or(ParseError::TooBig)?;
            }
            // The end of what is given, and a NUL byte in it, end the text alike.
            other => break other.unwrap_or(0),
        }
    };

    let ended = match end {
        0 => true,
        b'\n' => matches!(rest.next().copied(), None | Some(0)),
        _ => false,
    };
    if digits && ended {
        Ok(value)
    } else {
        Err(ParseError::NotANumber)
    }
}
