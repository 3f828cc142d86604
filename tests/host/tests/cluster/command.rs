// SPDX-License-Identifier: GPL-2.0-only

//! The language of the VIP's file: of `+N` every row of §6.2, and a model of `kstrtoul()` written apart; of `=` what
//! the sets of `node.rs` don't say.

use crate::node;
use host::cluster::command::{number, parse, Command, ParseError, MAX_LEN, MAX_SET_LEN};
use host::cluster::node::{NodeId, NodeSet, Ranges, SetError};
use proptest::prelude::*;

/// The errno that a writer sees.
fn errno(error: ParseError) -> &'static str {
    match error {
        ParseError::TooLong | ParseError::NoSign => "EIO",
        ParseError::NotANumber | ParseError::NotASet => "EINVAL",
        ParseError::TooBig | ParseError::NoSuchNode => "ERANGE",
    }
}

fn outcome(line: &[u8]) -> Result<Command, &'static str> {
    parse(line).map_err(errno)
}

#[test]
fn more_than_ten_bytes() {
    for line in [
        &b"+0000000002"[..],
        b"+000000002\n",
        b"+2\0\0\0\0\0\0\0\0\0",
        b"           ",
        &[b'+'; 4096],
    ] {
        assert_eq!(outcome(line), Err("EIO"), "{line:?}");
        assert_eq!(parse(line), Err(ParseError::TooLong));
    }
    assert_eq!(outcome(b"+00000002\n"), Ok(Command::Add(2)));
    assert_eq!(outcome(b"-000000002"), Ok(Command::Remove(2)));
}

#[test]
fn no_sign() {
    for line in [
        &b""[..],
        b"2",
        b"2\n",
        b" +2",
        b"\n",
        b"\n+2",
        b"\0",
        b"\0+2",
        b" =2",
        b"\0=2",
        b"a",
        b"\xff",
    ] {
        assert_eq!(outcome(line), Err("EIO"), "{line:?}");
        assert_eq!(parse(line), Err(ParseError::NoSign));
    }
}

#[test]
fn no_number() {
    for line in [
        &b"+"[..],
        b"-",
        b"+\n",
        b"-\n",
        b"+\0",
        b"++",
        b"+++2",
        b"-++2",
        b"+abc",
        b"+0x2",
        b"+2a",
        b"+ 2",
        b"+2 ",
        b"+2\n\n",
        b"+2\r\n",
        b"+2\n2",
        b"+2\n+3\n",
        b"+2,4",
        b"--2",
        b"+-2",
        b"-+-2",
        b"+2.0",
        b"+\n2",
        b"+\xb2",
    ] {
        assert_eq!(outcome(line), Err("EINVAL"), "{line:?}");
        assert_eq!(parse(line), Err(ParseError::NotANumber));
    }
}

#[test]
fn accepted() {
    let cases = [
        (&b"+2"[..], Command::Add(2)),
        (b"+2\n", Command::Add(2)),
        (b"++2", Command::Add(2)),
        (b"-+2", Command::Remove(2)),
        (b"+02", Command::Add(2)),
        (b"-000000002", Command::Remove(2)),
        (b"+2\0xyz", Command::Add(2)),
        (b"+2\n\0xyz", Command::Add(2)),
        (b"+2\0\n", Command::Add(2)),
        (b"-64\n", Command::Remove(64)),
        (b"+999999999", Command::Add(999_999_999)),
    ];
    for (line, command) in cases {
        assert_eq!(outcome(line), Ok(command), "{line:?}");
    }
}

/// Whether there is such a node is asked of the number that was written: these must come out as
/// they went in, to fail as out of range does. D2: the original took `+65538` for `+2`.
#[test]
fn numbers_stay_whole() {
    for (line, command) in [
        (&b"+0"[..], Command::Add(0)),
        (b"-0", Command::Remove(0)),
        (b"+65", Command::Add(65)),
        (b"+65536", Command::Add(65_536)),
        (b"+65538", Command::Add(65_538)),
        (b"-65537\n", Command::Remove(65_537)),
        (b"+131073", Command::Add(131_073)),
    ] {
        assert_eq!(outcome(line), Ok(command), "{line:?}");
    }
}

/// No line is long enough for it, but the number's reader by itself holds this row too.
#[test]
fn numbers_of_more_than_32_bits() {
    assert_eq!(number(b"4294967295"), Ok(u32::MAX));
    assert_eq!(number(b"0000000000000000004294967295\n"), Ok(u32::MAX));
    for text in [
        &b"4294967296"[..],
        b"4294967300",
        b"42949672950",
        b"18446744073709551616",
        b"99999999999999999999999999",
        // As with kstrtoul(), the size of the number is seen before what follows it.
        b"4294967296x",
    ] {
        assert_eq!(number(text).map_err(errno), Err("ERANGE"), "{text:?}");
    }
}

/// `kstrtoul(text, 10, …)`, out of the standard library's pieces.
fn kstrtoul(text: &[u8]) -> Result<u64, &'static str> {
    let text = text.split(|&byte| byte == 0).next().unwrap_or_default();
    let text = text.strip_prefix(b"+").unwrap_or(text);
    let digits: String = text
        .iter()
        .map(|&byte| char::from(byte))
        .take_while(char::is_ascii_digit)
        .collect();
    if digits.is_empty() {
        return Err("EINVAL");
    }
    let value = digits.parse::<u64>().map_err(|_| "ERANGE")?;
    match &text[digits.len()..] {
        b"" | b"\n" => Ok(value),
        // Ours gives up at 32 bits, and so before it sees what follows.
        _ if value > u32::MAX.into() => Err("ERANGE"),
        _ => Err("EINVAL"),
    }
}

fn model(line: &[u8]) -> Result<Command, &'static str> {
    if let Some(set) = line.strip_prefix(b"=") {
        if line.len() > 4096 {
            return Err("EIO");
        }
        let numbers = node::model(set.strip_suffix(b"\n").unwrap_or(set));
        let numbers = numbers.map_err(|error| match error {
            SetError::NotASet => "EINVAL",
            SetError::NoSuchNode => "ERANGE",
        })?;
        return Ok(Command::Replace(set_of(numbers)));
    }
    if line.len() > 10 {
        return Err("EIO");
    }
    let command = match line.first() {
        Some(b'+') => Command::Add,
        Some(b'-') => Command::Remove,
        _ => return Err("EIO"),
    };
    let value = kstrtoul(&line[1..])?;
    Ok(command(u32::try_from(value).map_err(|_| "ERANGE")?))
}

fn set_of(numbers: impl IntoIterator<Item = u32>) -> NodeSet {
    let nodes = numbers
        .into_iter()
        .map(|number| NodeId::new(number).unwrap());
    nodes.collect()
}

#[test]
fn whole_sets() {
    for (line, numbers) in [
        (&b"=2"[..], &[2][..]),
        (b"=2\n", &[2]),
        (b"=1,3-5\n", &[1, 3, 4, 5]),
        (b"=1,1000", &[1, 1000]),
        (b"=none", &[]),
        (b"=none\n", &[]),
        // Longer than a line of `+` may be.
        (b"=1,2,3,4,5,6\n", &[1, 2, 3, 4, 5, 6]),
    ] {
        let wanted = Command::Replace(set_of(numbers.iter().copied()));
        assert_eq!(outcome(line), Ok(wanted), "{line:?}");
    }
}

#[test]
fn no_sets() {
    for line in [
        &b"="[..],
        b"=\n",
        b"==2",
        b"=+2",
        b"=-2",
        b"= 2",
        b"=2 ",
        b"=2\n\n",
        b"=2\r\n",
        b"=2\n=3\n",
        // A NUL ends no line of this kind.
        b"=2\0",
        b"=\0",
        b"=2,",
        b"=5-3",
        b"=None",
    ] {
        assert_eq!(outcome(line), Err("EINVAL"), "{line:?}");
        assert_eq!(parse(line), Err(ParseError::NotASet));
    }
    for line in [&b"=0"[..], b"=1025\n", b"=1,2-1025", b"=4294967297"] {
        assert_eq!(outcome(line), Err("ERANGE"), "{line:?}");
        assert_eq!(parse(line), Err(ParseError::NoSuchNode));
    }
}

/// 4096 bytes, the sign and the newline included; every number by itself is no more.
#[test]
fn the_longest_set() {
    assert_eq!(MAX_SET_LEN, 4096);
    let all: Vec<String> = (1..=1024).map(|number: u32| number.to_string()).collect();
    let line = format!("={}\n", all.join(","));
    assert_eq!(line.len(), NodeSet::MAX_TEXT_LEN + 2);
    assert_eq!(
        outcome(line.as_bytes()),
        Ok(Command::Replace(set_of(1..=1024)))
    );

    for (zeros, wanted) in [
        (4093, Ok(Command::Replace(set_of([7])))),
        (4094, Err("EIO")),
    ] {
        let line = [b"=", &vec![b'0'; zeros][..], b"7\n"].concat();
        assert_eq!(outcome(&line), wanted, "{} bytes", line.len());
    }
    let nonsense = [b"=", &[b'x'; 4096][..]].concat();
    assert_eq!(parse(&nonsense), Err(ParseError::TooLong));
    // A line of another sign is as short as ever.
    assert_eq!(outcome(&[b'+'; 11]), Err("EIO"));
}

/// Bytes that lines are made of, so that random lines come near the grammar.
fn likely_line() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop::sample::select(b"+-=,0123456789\n\0 x\r".to_vec());
    prop::collection::vec(byte, 0..MAX_LEN + 3)
}

proptest! {
    #![proptest_config(crate::config(20_000))]

    #[test]
    fn agrees_with_the_model(line in likely_line()) {
        prop_assert_eq!(outcome(&line), model(&line));
    }

    #[test]
    fn agrees_on_well_formed_lines(add: bool, value in 0u32..1_000_000_000, newline: bool) {
        let sign = if add { '+' } else { '-' };
        let line = format!("{sign}{value}{}", if newline { "\n" } else { "" });
        prop_assert_eq!(outcome(line.as_bytes()), model(line.as_bytes()));
    }

    #[test]
    fn agrees_on_sets(set in node::likely_text(), end in "\n{0,2}") {
        let line = [b"=", &set[..], end.as_bytes()].concat();
        prop_assert_eq!(outcome(&line), model(&line));
    }

    /// Whatever set there is can be written at once, in both of its forms.
    #[test]
    fn any_set_can_be_written(numbers in node::any_numbers()) {
        let set = set_of(numbers);
        let line = format!("={}\n", Ranges(&set));
        prop_assert_eq!(outcome(line.as_bytes()), Ok(Command::Replace(set)));
        if !set.is_empty() {
            prop_assert_eq!(outcome(format!("={set}").as_bytes()), Ok(Command::Replace(set)));
        }
    }

    #[test]
    fn agrees_on_any_bytes(line: Vec<u8>) {
        prop_assert_eq!(outcome(&line), model(&line));
    }

    #[test]
    fn numbers_agree_at_any_length(digits in "\\+?[0-9]{0,22}", rest in "[\n\0 +x]{0,2}") {
        let text = [digits.as_bytes(), rest.as_bytes()].concat();
        let expected = kstrtoul(&text)
            .and_then(|value| u32::try_from(value).map_err(|_| "ERANGE"));
        prop_assert_eq!(number(&text).map_err(errno), expected);
    }
}

/// All 65,536 lines of two bytes, and those of one and none.
#[test]
fn agrees_on_every_short_line() {
    assert_eq!(outcome(b""), model(b""));
    for first in 0..=u8::MAX {
        assert_eq!(outcome(&[first]), model(&[first]));
        for second in 0..=u8::MAX {
            let line = [first, second];
            assert_eq!(outcome(&line), model(&line), "{line:?}");
        }
    }
}
