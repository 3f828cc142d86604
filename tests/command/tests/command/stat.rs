// SPDX-License-Identifier: GPL-2.0-only

//! The file of all VIPs, read.

use crate::config;
use clusterip::stat::parse;
use clusterip::stat::Fault;
use clusterip::stat::Number;
use clusterip::stat::Vip;
use clusterip::stat::Vips;
use command::node;
use command::rows;
use command::vip;
use command::HEAD;
use command::VIP;
use proptest::collection::btree_map;
use proptest::collection::vec;
use proptest::prelude::any;
use proptest::prelude::Just;
use proptest::prelude::Strategy;
use proptest::prop_assert_eq;
use proptest::proptest;

fn text(vips: &[&Vip]) -> String {
    let rows: String = vips.iter().map(|vip| rows(vip)).collect();
    format!("{HEAD}{rows}")
}

#[test]
fn reads_what_the_kernel_writes() {
    let text = format!(
        "{HEAD}10.0.0.80 1 1 5 0 12 3 2 sourceip 7 01:00:5E:00:00:50 eth0 2\n\
         10.0.0.80 2 0 0 18446744073709551615 12 3 2 sourceip 7 01:00:5E:00:00:50 eth0 2\n"
    );
    let vips = parse(text.as_bytes()).unwrap();
    let vip = &vips[&VIP];
    assert_eq!(vips.len(), 1);
    assert_eq!((vip.arp, vip.generation, vip.total), (12, 3, 2));
    assert_eq!((vip.hashmode.as_str(), vip.hash_init), ("sourceip", 7));
    assert_eq!(vip.clustermac, "01:00:5E:00:00:50");
    assert_eq!((vip.device.as_str(), vip.ifindex), ("eth0", 2));
    assert_eq!(vip.mine().to_string(), "1");
    assert_eq!(vip.packets(), (5, u64::MAX));
    let second = Number {
        mine: false,
        accepted: 0,
        left: u64::MAX,
    };
    assert_eq!(vip.numbers[&node(2)], second);
}

#[test]
fn no_vip_is_no_fault() {
    assert_eq!(parse(HEAD.as_bytes()), Ok(Vips::new()));
}

#[test]
fn says_what_is_wrong() {
    assert_eq!(parse(b""), Err(Fault::NoColumn("vip")));
    let less = HEAD.replace(" left", "");
    assert_eq!(parse(less.as_bytes()), Err(Fault::NoColumn("left")));
    let good = text(&[&vip(2, "1", 1, 1)]);
    for (from, to, fault) in [
        ("10.0.0.80 2", "10.0.0.800 2", Fault::BadField(3, "vip")),
        ("10.0.0.80 2", "10.0.0.80 0", Fault::BadField(3, "number")),
        (
            "10.0.0.80 1",
            "10.0.0.80 1025",
            Fault::BadField(2, "number"),
        ),
        (
            "10.0.0.80 1 1",
            "10.0.0.80 1 -1",
            Fault::BadField(2, "mine"),
        ),
        (" eth0 2\n", " eth0\n", Fault::BadField(2, "ifindex")),
    ] {
        let bad = good.replacen(from, to, 1);
        assert_eq!(parse(bad.as_bytes()), Err(fault));
    }
}

/// Whoever may make a device, in a container of its own say, names it.
#[test]
fn a_terminal_is_not_told_to_do_anything() {
    let mut vip = vip(1, "1", 0, 0);
    vip.device = "e\x1b[2J\u{9b}1m".to_owned();
    let vips = parse(text(&[&vip]).as_bytes()).unwrap();
    assert_eq!(vips[&VIP].device, "e\u{fffd}[2J\u{fffd}1m");
}

fn some_number() -> impl Strategy<Value = Number> {
    (any::<bool>(), any::<u64>(), any::<u64>()).prop_map(|(mine, accepted, left)| Number {
        mine,
        accepted,
        left,
    })
}

pub fn some_vip() -> impl Strategy<Value = Vip> {
    let numbers = btree_map((1..=1024u32).prop_map(node), some_number(), 1..40);
    let words = ("[a-z-]{1,30}", "[0-9A-F:]{17}", "[^\\s\\p{Cc}]{1,15}");
    let all = (
        any::<[u32; 3]>(),
        any::<[u64; 2]>(),
        words,
        numbers,
        any::<[u8; 4]>(),
    );
    all.prop_map(
        |([total, hash_init, ifindex], [arp, generation], words, numbers, address)| Vip {
            address: address.into(),
            arp,
            generation,
            total,
            hashmode: words.0,
            hash_init,
            clustermac: words.1,
            device: words.2,
            ifindex,
            numbers,
        },
    )
}

/// The same text with its columns in another order, and with some that nobody knows yet.
fn shuffled(text: &str, order: &[usize]) -> String {
    let lines = text.lines().map(|line| {
        let mut fields: Vec<_> = line.split(' ').collect();
        fields.push("new");
        fields.push("7");
        let fields: Vec<_> = order.iter().map(|place| fields[*place]).collect();
        fields.join(" ") + "\n"
    });
    lines.collect()
}

proptest! {
    #![proptest_config(config(500))]

    #[test]
    fn takes_any_bytes(bytes in vec(any::<u8>(), 0..300)) {
        let _ = parse(&bytes);
        let _ = parse(&[HEAD.as_bytes(), &bytes].concat());
    }

    #[test]
    fn takes_any_change_of_a_byte(vip in some_vip(), place: proptest::sample::Index, byte: u8) {
        let mut bytes = text(&[&vip]).into_bytes();
        let place = place.index(bytes.len());
        bytes[place] = byte;
        let _ = parse(&bytes);
    }

    #[test]
    fn finds_columns_by_their_names(
        vips in vec(some_vip(), 0..4),
        order in Just((0..15).collect::<Vec<usize>>()).prop_shuffle(),
    ) {
        let wanted: Vips = vips.iter().map(|vip| (vip.address, vip.clone())).collect();
        let vips: Vec<_> = wanted.values().collect();
        let text = text(&vips);
        prop_assert_eq!(parse(text.as_bytes()), Ok(wanted.clone()));
        prop_assert_eq!(parse(shuffled(&text, &order).as_bytes()), Ok(wanted));
    }
}
