// SPDX-License-Identifier: GPL-2.0-only

//! Any bytes as lines that are written to a VIP's file, one after the other. Each is taken or refused as
//! the grammar says, which is written down here a second time; and the set that comes of it is read as
//! the sorted numbers of a set that is kept apart.

#![no_main]

use host::cluster::command::number;
use host::cluster::command::parse;
use host::cluster::command::Command;
use host::cluster::command::ParseError;
use host::cluster::node::NodeId;
use host::cluster::node::NodeSet;
use host::cluster::node::Ranges;
use host::cluster::node::Total;
use libfuzzer_sys::fuzz_target;
use std::collections::BTreeSet;

/// Between lines; no line can have it and be taken.
const END: u8 = 0xff;

fuzz_target!(|data: &[u8]| {
    let Some((&count, lines)) = data.split_first() else {
        return;
    };
    // Also such as no byte holds.
    let count = match count {
        0..=127 => u32::from(count % 64) + 1,
        _ => 1024 - u32::from(count - 128),
    };
    let total = Total::new(count).expect("1 to 1024");
    let (mut set, mut model) = (NodeSet::EMPTY, BTreeSet::new());

    // All of it as one line first: that is how the byte that ends lines gets into one.
    assert_eq!(parse(lines).map_err(errno), meaning(lines));
    for line in lines.split(|&byte| byte == END) {
        // At any length, for no line is long enough for a number of more than 32 bits.
        assert_eq!(number(line).map_err(errno), value(line));

        let seen = parse(line).map_err(errno);
        assert_eq!(seen, meaning(line), "{line:?}");
        let node = |number| NodeId::new(number).filter(|node| total.contains(*node));
        match seen {
            Ok(Command::Add(number)) => {
                assert_eq!(node(number).is_some(), (1..=count).contains(&number));
                if let Some(node) = node(number) {
                    assert_eq!(set.contains(node), model.contains(&number));
                    set = set.with(node);
                    model.insert(number);
                }
            }
            Ok(Command::Remove(number)) => {
                if let Some(node) = node(number) {
                    set = set.without(node);
                    model.remove(&number);
                }
            }
            Ok(Command::Replace(all)) => {
                let within = all.highest().is_none_or(|highest| total.contains(highest));
                let numbers: BTreeSet<u32> = all.iter().map(NodeId::get).collect();
                assert_eq!(within, numbers.last().is_none_or(|last| *last <= count));
                // What is printed in short is read as the same.
                let short = format!("={}\n", Ranges(&all));
                assert_eq!(parse(short.as_bytes()), seen_again(all));
                if within {
                    (set, model) = (all, numbers);
                }
            }
            Err(_) => {}
        }
    }
    let text: Vec<String> = model.iter().map(u32::to_string).collect();
    assert_eq!(set.to_string(), text.join(","));
    assert!(set.to_string().len() <= NodeSet::MAX_TEXT_LEN);
    assert_eq!(set.is_empty(), model.is_empty());
});

/// A whole set as a command.
fn seen_again(set: NodeSet) -> Result<Command, ParseError> {
    Ok(Command::Replace(set))
}

/// The errno that a writer sees.
fn errno(error: ParseError) -> &'static str {
    match error {
        ParseError::TooLong | ParseError::NoSign => "EIO",
        ParseError::NotANumber | ParseError::NotASet => "EINVAL",
        ParseError::TooBig | ParseError::NoSuchNode => "ERANGE",
    }
}

fn meaning(line: &[u8]) -> Result<Command, &'static str> {
    match line {
        [b'=', ..] if line.len() > 4096 => Err("EIO"),
        [b'=', text @ ..] => whole(text.strip_suffix(b"\n").unwrap_or(text)),
        _ if line.len() > 10 => Err("EIO"),
        [b'+', text @ ..] => value(text).map(Command::Add),
        [b'-', text @ ..] => value(text).map(Command::Remove),
        _ => Err("EIO"),
    }
}

/// `1,3-5` or `none`: its form is seen to the end before its numbers are.
fn whole(text: &[u8]) -> Result<Command, &'static str> {
    if text == b"none" {
        return Ok(Command::Replace(NodeSet::EMPTY));
    }
    let mut ranges = Vec::new();
    for item in text.split(|&byte| byte == b',') {
        let mut ends = item.split(|&byte| byte == b'-').map(decimal);
        let first = ends.next().flatten().ok_or("EINVAL")?;
        let last = ends.next().unwrap_or(Some(first)).ok_or("EINVAL")?;
        if ends.next().is_some() || first > last {
            return Err("EINVAL");
        }
        ranges.push((first, last));
    }
    if ranges
        .iter()
        .any(|(first, last)| *first == 0 || *last > 1024)
    {
        return Err("ERANGE");
    }
    let nodes = ranges.into_iter().flat_map(|(first, last)| first..=last);
    let nodes = nodes.filter_map(|number| NodeId::new(u32::try_from(number).ok()?));
    Ok(Command::Replace(nodes.collect()))
}

/// Digits and nothing else; all that no 32 bits hold is the same number.
fn decimal(digits: &[u8]) -> Option<u64> {
    let all_digits = digits.iter().all(u8::is_ascii_digit);
    let value = digits.iter().fold(0_u64, |value, digit| {
        let next = value.saturating_mul(10);
        next.saturating_add(u64::from(digit.wrapping_sub(b'0')))
    });
    (all_digits && !digits.is_empty()).then_some(value.min(u32::MAX.into()))
}

/// What `kstrtoul()` makes of a text in base 10, where a number is of 32 bits; that the number is too
/// big is seen before what follows it.
fn value(text: &[u8]) -> Result<u32, &'static str> {
    let text = text.split(|&byte| byte == 0).next().unwrap_or_default();
    let text = text.strip_prefix(b"+").unwrap_or(text);
    let length = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = text.split_at(length);
    // Ends at the greatest number, rather than beginning anew.
    let value = digits.iter().fold(0_u64, |value, digit| {
        let digit = u64::from(*digit - b'0');
        value.saturating_mul(10).saturating_add(digit)
    });
    match (u32::try_from(value), rest) {
        _ if digits.is_empty() => Err("EINVAL"),
        (Err(_), _) => Err("ERANGE"),
        (Ok(value), b"" | b"\n") => Ok(value),
        (Ok(_), _) => Err("EINVAL"),
    }
}
