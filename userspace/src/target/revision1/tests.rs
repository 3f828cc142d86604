// SPDX-License-Identifier: GPL-2.0-only

use super::*;
use std::ffi::CString;

fn empty() -> TargetInfo1 {
    zerocopy::FromZeros::new_zeroed()
}

fn word(text: &str) -> CString {
    CString::new(text).unwrap()
}

/// A first rule that revision 0 can say as well.
fn first() -> TargetInfo1 {
    let mut info = TargetInfo1 {
        flags: FLAG_NEW,
        clustermac: [1, 0, 0x5e, 0, 0, 0x50],
        num_total_nodes: 64,
        hash_mode: 2,
        hash_initval: 7,
        ..empty()
    };
    set_nodes(&mut info, &word("64")).ok().unwrap();
    info
}

fn saved(info: &TargetInfo1) -> String {
    let mut text = String::new();
    ClusterIp1::save(info, &mut text).unwrap();
    text
}

fn shown(info: &TargetInfo1) -> String {
    let mut text = String::new();
    ClusterIp1::print(info, &mut text).unwrap();
    text
}

#[test]
fn addresses() {
    let vip = |text: &str| {
        let mut info = empty();
        set_vip(&mut info, &word(text)).ok().map(|()| info.vip)
    };
    assert_eq!(vip("10.0.0.80"), Some([10, 0, 0, 80]));
    assert_eq!(vip("255.255.255.255"), Some([255; 4]));
    assert_eq!(vip("0.0.0.1"), Some([0, 0, 0, 1]));
    for text in [
        "0.0.0.0",
        "",
        "1",
        "1.2.3",
        "1.2.3.",
        "1.2.3.4.",
        "1.2.3.4.5",
        ".1.2.3",
        "1..2.3",
        "256.1.1.1",
        "999.1.1.1",
        "1000.1.1.1",
        "01.2.3.4",
        "1.2.3.00",
        "0x1.2.3.4",
        "1.2.3.4/32",
        " 1.2.3.4",
        "1.2.3.4 ",
        "-1.2.3.4",
        "localhost",
        "::1",
        "１.2.3.4",
    ] {
        assert_eq!(vip(text), None, "{text:?}");
    }
}

#[test]
fn devices() {
    let device = |text: &str| {
        let mut info = empty();
        let taken = set_device(&mut info, &word(text)).is_ok();
        taken.then_some(info.device)
    };
    assert_eq!(device("eth0"), Some(*b"eth0\0\0\0\0\0\0\0\0\0\0\0\0"));
    assert_eq!(device("123456789012345"), Some(*b"123456789012345\0"));
    assert_eq!(device("br-lan.7@x"), Some(*b"br-lan.7@x\0\0\0\0\0\0"));
    for text in [
        "",
        "1234567890123456",
        "eth+",
        "+",
        "eth 0",
        " ",
        "a/b",
        "a:0",
        "a\tb",
        "a\nb",
        "a\u{7f}",
        "\u{e9}",
        ".",
        "..",
        "-t",
        "!",
        "a\"",
        "a'",
        "a\\",
    ] {
        assert_eq!(device(text), None, "{text:?}");
    }
}

#[test]
fn sets_add_up() {
    let mut info = empty();
    for text in ["1,3-5", "none", "4-6", "1024"] {
        set_nodes(&mut info, &word(text)).ok().unwrap();
    }
    assert_eq!(Ranges(&nodes(&info)).to_string(), "1,3-6,1024");
    for text in ["", "0", "1025", "5-3", "1,,2", "1 2", "all"] {
        assert!(set_nodes(&mut info, &word(text)).is_err(), "{text:?}");
    }
}

#[test]
fn what_revision_0_can_say_is_of_revision_0() {
    let older = ClusterIp1::older(&first()).unwrap();
    let mut local_nodes = [0; MAX_LOCAL_NODES];
    local_nodes[0] = 64;
    let wanted = TargetInfo {
        flags: FLAG_NEW,
        clustermac: [1, 0, 0x5e, 0, 0, 0x50],
        num_total_nodes: 64,
        num_local_nodes: 1,
        local_nodes,
        padding: [0; 2],
        hash_mode: 2,
        hash_initval: 7,
    };
    assert_eq!(older, wanted);
    let none = TargetInfo1 {
        local_nodes: [0; 32],
        ..first()
    };
    let older = ClusterIp1::older(&none).unwrap();
    assert_eq!((older.num_local_nodes, older.local_nodes[0]), (1, 0));
    // A later rule is all zeroes.
    let older = ClusterIp1::older(&empty()).unwrap();
    assert_eq!(zerocopy::IntoBytes::as_bytes(&older), [0; 56]);
}

#[test]
fn what_is_new_is_of_revision_1() {
    type Change = fn(&mut TargetInfo1);
    let changes: [(&str, Change); 9] = [
        ("a VIP", |info| info.vip = [10, 0, 0, 80]),
        ("a device", |info| info.device[0] = b'a'),
        ("no mark", |info| info.flags |= FLAG_NO_MARK),
        ("a flag that nobody knows", |info| info.flags |= 4),
        ("a mode", |info| info.hash_mode = 3),
        ("a mode that nobody knows", |info| info.hash_mode = 6),
        ("a total", |info| info.num_total_nodes = 65),
        ("a second number", |info| info.local_nodes[0] = 1),
        ("a number", |info| {
            info.local_nodes = [0; 32];
            info.local_nodes[2] = 1;
        }),
    ];
    for (what, change) in changes {
        let mut info = first();
        change(&mut info);
        assert!(ClusterIp1::older(&info).is_none(), "{what}");
    }
}

#[test]
fn shown_and_saved() {
    assert_eq!(
        (shown(&empty()).as_str(), saved(&empty()).as_str()),
        (" CLUSTERIP", "")
    );
    let mut later = empty();
    later.vip = [10, 0, 0, 80];
    later.device = *b"br0:\x1b\xff\"\0junk\0\0\0\0";
    assert_eq!(shown(&later), " CLUSTERIP vip=10.0.0.80 dev=br0:??\"");
    assert_eq!(saved(&later), " --vip 10.0.0.80 --dev br0:??\"");
    let all = TargetInfo1 {
        flags: FLAG_NEW | FLAG_NO_MARK,
        hash_mode: 9,
        ..first()
    };
    assert_eq!(
        shown(&all),
        " CLUSTERIP hashmode=unknown-error clustermac=01:00:5E:00:00:50 total_nodes=64 \
         local_nodes=64 hash_init=7 no_mark"
    );
    assert_eq!(
        saved(&all),
        " --new --hashmode unknown-error --clustermac 01:00:5E:00:00:50 --total-nodes 64 \
         --local-nodes 64 --hash-init 7 --no-mark"
    );
}

/// Every second number: as scattered as a set can be, and longer than a word of a file may be.
#[test]
fn a_long_set_is_saved_in_words_that_can_be_restored() {
    let scattered = |first: u32, step: usize| -> NodeSet {
        let numbers = (first..=MAX_NODES).step_by(step);
        numbers.filter_map(NodeId::new).collect()
    };
    let pairs: NodeSet = scattered(1000, 3)
        .iter()
        .chain(scattered(1, 3).iter())
        .collect();
    for set in [
        scattered(1, 2),
        scattered(2, 2),
        pairs,
        scattered(1, 1),
        NodeSet::EMPTY,
    ] {
        let mut text = String::new();
        save_nodes(&set, &mut text).unwrap();
        let words: Vec<&str> = text.split(' ').collect();
        assert!(words.iter().all(|word| word.len() < 1024));
        let mut info = empty();
        for pair in words[1..].chunks(2) {
            assert_eq!(pair[0], "--local-nodes");
            set_nodes(&mut info, &word(pair[1])).ok().unwrap();
        }
        assert_eq!(nodes(&info), set);
    }
}

/// One that has a name in both tables is the same option, so that what was given means the same.
#[test]
fn both_revisions_count_options_alike() {
    assert_eq!(ClusterIp0::OPTIONS.len(), ClusterIp1::OPTIONS.len());
    for (one, other) in ClusterIp0::OPTIONS.iter().zip(ClusterIp1::OPTIONS) {
        assert_eq!(one.name, other.name);
    }
}
