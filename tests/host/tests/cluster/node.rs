// SPDX-License-Identifier: GPL-2.0-only

//! Node numbers, and sets of them against the standard library's.

use std::collections::BTreeSet;

use host::cluster::node::{
    NodeId, NodeSet, Ranges, SetError, Total, MAX_NODES, MAX_NODES_REVISION_0,
};
use proptest::prelude::*;

fn node(number: u32) -> NodeId {
    NodeId::new(number).unwrap()
}

fn set<'a>(numbers: impl IntoIterator<Item = &'a u32>) -> NodeSet {
    let add = |set: NodeSet, &number: &u32| set.with(node(number));
    numbers.into_iter().fold(NodeSet::EMPTY, add)
}

fn numbers(set: &NodeSet) -> BTreeSet<u32> {
    set.iter().map(NodeId::get).collect()
}

/// D1, D10: no number outside 1 to 1024 ever becomes a node or a total.
#[test]
fn numbers_are_checked_where_they_enter() {
    assert_eq!((MAX_NODES, MAX_NODES_REVISION_0), (1024, 64));
    for number in 1..=1024 {
        assert_eq!(NodeId::new(number).map(NodeId::get), Some(number));
        assert_eq!(Total::new(number).map(Total::get), Some(number));
    }
    // 65537 and 65538 are what the original took for 1 and 2 (D2).
    for number in [
        0,
        1025,
        1026,
        2048,
        65_535,
        65_536,
        65_537,
        65_538,
        u32::MAX,
    ] {
        assert_eq!(NodeId::new(number), None, "{number}");
        assert_eq!(Total::new(number), None, "{number}");
    }
}

#[test]
fn a_total_contains_the_nodes_up_to_it() {
    for count in 1..=MAX_NODES {
        let total = Total::new(count).unwrap();
        for number in 1..=MAX_NODES {
            assert_eq!(total.contains(node(number)), number <= count);
        }
    }
}

/// In the words of a payload: bit `n - 1`, counted from the lowest bit of the first.
#[test]
fn one_bit_for_each_node() {
    for number in 1..=MAX_NODES {
        let mut words = [0; 32];
        words[(number - 1) as usize / 32] = 1 << ((number - 1) % 32);
        let alone = set(&[number]);
        assert_eq!(alone.to_words(), words, "{number}");
        assert_eq!(NodeSet::from_words(&words), alone, "{number}");
        assert_eq!(alone.highest(), Some(node(number)));
        assert!(!alone.is_empty());
        assert!(alone.without(node(number)).is_empty());
    }
    assert_eq!(NodeSet::EMPTY.to_words(), [0; 32]);
    assert_eq!(NodeSet::EMPTY.highest(), None);
}

/// Words that are missing have no bits, and those behind the 32nd do not count.
#[test]
fn too_few_words_and_too_many() {
    assert_eq!(NodeSet::from_words(&[]), NodeSet::EMPTY);
    assert_eq!(NodeSet::from_words(&[0, 0, 0b100]), set(&[67]));
    let mut words = vec![0; 32];
    words[31] = 1 << 31;
    words.extend([u32::MAX; 3]);
    assert_eq!(NodeSet::from_words(&words), set(&[1024]));
}

/// §6.1: this is the text that strongSwan and IPaddr2 read. D4: nodes above 32 show too.
#[test]
fn text_of_a_set() {
    let cases: [(&[u32], &str); 9] = [
        (&[], ""),
        (&[1], "1"),
        (&[16, 1, 3], "1,3,16"),
        (&[3, 3], "3"),
        (&[32, 33], "32,33"),
        (&[64], "64"),
        (&[64, 1], "1,64"),
        (&[65, 64, 63], "63,64,65"),
        (&[1024, 1], "1,1024"),
    ];
    for (numbers, text) in cases {
        assert_eq!(set(numbers).to_string(), text);
    }

    let sixteen: Vec<u32> = (1..=16).collect();
    // §6.1 counts 39 bytes, the newline of the file included.
    assert_eq!(set(&sixteen).to_string().len(), 38);
    let full = NodeSet::from_words(&[u32::MAX; 32]).to_string();
    assert_eq!(full.len(), NodeSet::MAX_TEXT_LEN);
    assert!(full.starts_with("1,2,") && full.ends_with(",1023,1024"));
}

#[test]
fn text_of_ranges() {
    let all: Vec<u32> = (1..=1024).collect();
    let cases: [(&[u32], &str); 9] = [
        (&[], "none"),
        (&[1], "1"),
        (&[1, 2], "1,2"),
        (&[1, 2, 3], "1-3"),
        (&[5, 3, 4, 1], "1,3-5"),
        (&[1, 2, 4, 5, 6, 9], "1,2,4-6,9"),
        (&[63, 64, 65, 66], "63-66"),
        (&[1022, 1023, 1024], "1022-1024"),
        (&all, "1-1024"),
    ];
    for (numbers, text) in cases {
        assert_eq!(Ranges(&set(numbers)).to_string(), text);
    }
}

#[test]
fn parsed() {
    let cases: [(&str, &[u32]); 14] = [
        ("none", &[]),
        ("1", &[1]),
        ("1024", &[1024]),
        ("1,3-5", &[1, 3, 4, 5]),
        ("3-5,1", &[1, 3, 4, 5]),
        ("7-7", &[7]),
        ("2,2,2", &[2]),
        ("1-3,2-4", &[1, 2, 3, 4]),
        ("63-66", &[63, 64, 65, 66]),
        ("1022-1024", &[1022, 1023, 1024]),
        ("0001", &[1]),
        ("00000000000000000000000000000000001-02", &[1, 2]),
        ("65,64", &[64, 65]),
        ("127-129", &[127, 128, 129]),
    ];
    for (text, numbers) in cases {
        assert_eq!(NodeSet::parse(text.as_bytes()), Ok(set(numbers)), "{text}");
    }
    let full = NodeSet::parse(b"1-1024").unwrap();
    assert_eq!(full.iter().count(), 1024);
}

#[test]
fn not_a_set() {
    for text in [
        &b""[..],
        b",",
        b"1,",
        b",1",
        b"1,,2",
        b"-",
        b"1-",
        b"-1",
        b"1--2",
        b"1-2-3",
        b"5-3",
        b"2-1,0",
        b" 1",
        b"1 ",
        b"1, 2",
        b"1 - 2",
        b"+1",
        b"1+2",
        b"0x1",
        b"1.0",
        b"1\n",
        b"1\n2",
        b"1\0",
        b"\0",
        b"none\n",
        b"None",
        b"NONE",
        b"none,1",
        b"1,none",
        b"non",
        b"nonee",
        b"a",
        b"1a",
        b"\xb2",
        b"1;2",
        b"1/2",
        b"1:2",
        b"all",
        b"*",
        // Wrong in two ways: that it is no set goes before that there is no such node.
        b"0,x",
        b"x,0",
        b"1025,",
        b"9999999999-1",
    ] {
        assert_eq!(NodeSet::parse(text), Err(SetError::NotASet), "{text:?}");
    }
}

#[test]
fn no_such_node() {
    for text in [
        "0",
        "0-1",
        "1025",
        "1-1025",
        "1025-1026",
        "1,0",
        "0,1",
        "2,1025,3",
        "65536",
        "65537",
        "4294967295",
        "4294967296",
        "4294967297",
        "18446744073709551617",
        "99999999999999999999999999999999999999",
        "1-4294967297",
        "00",
        "4294967296-4294967297",
    ] {
        assert_eq!(
            NodeSet::parse(text.as_bytes()),
            Err(SetError::NoSuchNode),
            "{text}"
        );
    }
}

#[test]
fn numbers_print_as_numbers() {
    assert_eq!(node(7).to_string(), "7");
    assert_eq!(Total::new(1024).unwrap().to_string(), "1024");
}

/// [`NodeSet::parse`] by other means: all of it is taken to pieces first, then looked at.
pub fn model(text: &[u8]) -> Result<BTreeSet<u32>, SetError> {
    let Ok(text) = std::str::from_utf8(text) else {
        return Err(SetError::NotASet);
    };
    if text == "none" {
        return Ok(BTreeSet::new());
    }
    let digits = |text: &str| !text.is_empty() && text.chars().all(|char| char.is_ascii_digit());
    // As many digits as one likes: what is left without the zeros in front is compared by length, then as text.
    let order = |number: &str| {
        let number = number.trim_start_matches('0').to_string();
        (number.len(), number)
    };
    let mut ends = Vec::new();
    for item in text.split(',') {
        let (first, last) = item.split_once('-').unwrap_or((item, item));
        if !digits(first) || !digits(last) {
            return Err(SetError::NotASet);
        }
        // Two numbers that are too big for anything are as good as equal.
        let huge = |number| order(number) >= order("4294967295");
        if order(first) > order(last) && !(huge(first) && huge(last)) {
            return Err(SetError::NotASet);
        }
        ends.push((first, last));
    }
    let mut set = BTreeSet::new();
    for (first, last) in ends {
        match (first.parse::<u32>(), last.parse::<u32>()) {
            (Ok(first @ 1..=1024), Ok(last @ 1..=1024)) => set.extend(first..=last),
            _ => return Err(SetError::NoSuchNode),
        }
    }
    Ok(set)
}

/// Bytes that sets are made of, and some that they are not.
pub fn likely_text() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop::sample::select(b"0123456789,,--none \n+".to_vec());
    let number = prop_oneof![8 => 1..=1024u32, 2 => 1000..1050u32, 1 => any::<u32>()];
    let number = number.prop_map(|number| number.to_string());
    let range = (number.clone(), number.clone()).prop_map(|(one, other)| format!("{one}-{other}"));
    let ordered =
        (1..=1024u32, 0..100u32).prop_map(|(first, more)| format!("{first}-{}", first + more));
    let item = prop_oneof![4 => number, 1 => range, 4 => ordered, 1 => "[0-9]{0,12}"];
    let items = prop::collection::vec(item, 1..8).prop_map(|items| items.join(",").into_bytes());
    prop_oneof![1 => prop::collection::vec(byte, 0..16), 4 => items]
}

/// Any set, of many numbers or of few, and with neighbours.
pub fn any_numbers() -> impl Strategy<Value = BTreeSet<u32>> {
    let runs = prop::collection::vec((1..=MAX_NODES, 0..70u32), 0..12);
    runs.prop_map(|runs| {
        let run = |(first, more): (u32, u32)| first..=(first + more).min(MAX_NODES);
        runs.into_iter().flat_map(run).collect()
    })
}

proptest! {
    #![proptest_config(crate::config(2_000))]

    #[test]
    fn behaves_like_a_set(steps in prop::collection::vec((any::<bool>(), 1..=MAX_NODES), 0..100)) {
        let mut ours = NodeSet::EMPTY;
        let mut model = BTreeSet::new();
        for (add, number) in steps {
            if add {
                ours = ours.with(node(number));
                model.insert(number);
            } else {
                ours = ours.without(node(number));
                model.remove(&number);
            }
            prop_assert_eq!(ours.is_empty(), model.is_empty());
            prop_assert_eq!(ours.highest().map(NodeId::get), model.last().copied());
        }
        for number in 1..=MAX_NODES {
            prop_assert_eq!(ours.contains(node(number)), model.contains(&number));
        }

        let listed: Vec<u32> = ours.iter().map(NodeId::get).collect();
        let expected: Vec<u32> = model.into_iter().collect();
        prop_assert_eq!(&listed, &expected);
        let text: Vec<String> = expected.iter().map(u32::to_string).collect();
        prop_assert_eq!(ours.to_string(), text.join(","));
        prop_assert_eq!(set(&listed), ours);
        prop_assert_eq!(listed.iter().copied().map(node).collect::<NodeSet>(), ours);
    }

    /// No bits are bad bits: whatever a payload holds is a set.
    #[test]
    fn any_bits_are_a_set(words: [u32; 32]) {
        let set = NodeSet::from_words(&words);
        prop_assert_eq!(set.to_words(), words);
        let wanted = (1..=1024).filter(|number| (words[(number - 1) as usize / 32] >> ((number - 1) % 32)) & 1 == 1);
        prop_assert_eq!(numbers(&set), wanted.collect::<BTreeSet<u32>>());
    }

    #[test]
    fn parses_as_the_model_does(text in likely_text()) {
        prop_assert_eq!(NodeSet::parse(&text).map(|set| numbers(&set)), model(&text));
    }

    #[test]
    fn parses_any_bytes_as_the_model_does(text: Vec<u8>) {
        prop_assert_eq!(NodeSet::parse(&text).map(|set| numbers(&set)), model(&text));
    }

    /// What is printed is read again as the same set, and shorter is not possible by joining two pieces.
    #[test]
    fn ranges_there_and_back(wanted in any_numbers()) {
        let ours = set(&wanted);
        prop_assert_eq!(numbers(&ours), wanted.clone());
        let text = Ranges(&ours).to_string();
        prop_assert_eq!(NodeSet::parse(text.as_bytes()), Ok(ours));
        prop_assert_eq!(model(text.as_bytes()), Ok(wanted));
        let ends: Vec<u32> = text.split([',', '-']).filter_map(|end| end.parse().ok()).collect();
        prop_assert!(ends.is_sorted_by(|one, other| one < other), "{}", text);
        // A range has three numbers at least, and two of them never touch.
        let pieces: Vec<(u32, u32)> = text
            .split(',')
            .filter_map(|piece| piece.split_once('-'))
            .map(|(first, last)| (first.parse().unwrap(), last.parse().unwrap()))
            .collect();
        for (first, last) in pieces {
            prop_assert!(last - first >= 2, "{}", text);
            prop_assert!(first == 1 || !ours.contains(node(first - 1)), "{}", text);
            prop_assert!(last == 1024 || !ours.contains(node(last + 1)), "{}", text);
        }
        // So does the text of the file, where there is one.
        if !ours.is_empty() {
            prop_assert_eq!(NodeSet::parse(ours.to_string().as_bytes()), Ok(ours));
        }
    }
}
