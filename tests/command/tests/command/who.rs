// SPDX-License-Identifier: GPL-2.0-only

//! `who`, held to the vectors that are published.

use command::vip;
use command::Proc;
use command::Said;

const VECTORS: &str = include_str!("../../../host/vectors/hash-vectors.txt");
const VECTORS_1: &str = include_str!("../../../host/vectors/hash-vectors-rev1.txt");

/// `name=value` of a row.
fn value<'a>(row: &[&'a str], name: &str) -> &'a str {
    let mut values = row.iter().filter_map(|word| word.strip_prefix(name));
    values.find_map(|value| value.strip_prefix('=')).unwrap()
}

/// It was said which number a row of vectors belongs to.
fn expect_node(said: &Said, row: &[&str], mode: &str, total: &str) {
    let node = value(row, "node");
    let wanted = format!(" is for number {node} of {total} ({mode}, seed ");
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(said.out.contains(&wanted), "{row:?}: {}", said.out);
}

#[test]
fn names_the_nodes_of_the_vectors() {
    let proc = Proc::bare();
    let rows = VECTORS.lines().filter(|line| !line.starts_with('#'));
    let mut seen = 0;
    for row in rows {
        let row: Vec<_> = row.split(' ').collect();
        let [mode, source, sport, dport, seed, total, ..] = row[..] else {
            panic!("{row:?}");
        };
        let source = format!("{source}:{sport}");
        let said = proc.run(&[
            "who",
            "10.0.0.80",
            &source,
            dport,
            "--total",
            total,
            "--hashmode",
            mode,
            "--hash-init",
            seed,
        ]);
        expect_node(&said, &row, mode, total);
        seen += 1;
    }
    assert!(seen >= 18, "{seen} vectors");
}

/// Those of revision 1's modes; an SPI of `-` is none.
#[test]
fn names_the_nodes_of_the_new_vectors() {
    let proc = Proc::bare();
    let rows = VECTORS_1.lines().filter(|line| !line.starts_with('#'));
    let mut seen = 0;
    for row in rows {
        let row: Vec<_> = row.split(' ').collect();
        let [mode, source, destination, _, spi, seed, total, ..] = row[..] else {
            panic!("{row:?}");
        };
        let spi = if spi == "-" { "none" } else { spi };
        let said = proc.run(&[
            "who",
            "10.0.0.80",
            source,
            "--dst",
            destination,
            "--spi",
            spi,
            "--total",
            total,
            "--hashmode",
            mode,
            "--hash-init",
            seed,
        ]);
        expect_node(&said, &row, mode, total);
        seen += 1;
    }
    assert!(seen >= 30, "{seen} vectors");
}

/// The first row of the vectors with two nodes, and the other one.
#[test]
fn says_whose_a_client_is() {
    for (mine, whose) in [("1", "this node's"), ("2", "not this node's")] {
        let said = Proc::with(&[&vip(2, mine, 0, 0)]).run(&["who", "10.0.0.80", "192.0.2.1"]);
        let wanted = format!("192.0.2.1 is for number 1 of 2: {whose} (sourceip, seed 0)\n");
        assert_eq!(said.out, wanted);
    }
}

#[test]
fn says_what_else_the_mode_needs() {
    let mut vip = vip(2, "1", 0, 0);
    let cases = [
        (
            "sourceip-sourceport",
            "192.0.2.1",
            None,
            "give the client's port too, as SRC:PORT (0: a packet without ports)",
        ),
        (
            "sourceip-sourceport-destport",
            "192.0.2.1",
            Some("80"),
            "give the client's port too, as SRC:PORT (0: a packet without ports)",
        ),
        (
            "sourceip-sourceport-destport",
            "192.0.2.1:40000",
            None,
            "give the port that the client wants too, behind SRC:PORT (0: a packet without ports)",
        ),
        (
            "sourceip-spi",
            "192.0.2.1",
            None,
            "give the packet's SPI too, --spi N (--spi none: it is neither ESP nor AH)",
        ),
    ];
    for (mode, source, dport, what) in cases {
        vip.hashmode = mode.to_owned();
        let proc = Proc::with(&[&vip]);
        let words: Vec<_> = ["who", "10.0.0.80", source]
            .into_iter()
            .chain(dport)
            .collect();
        proc.fails(&words, 2, &format!("the hash mode is {mode}: {what}"));
    }
}

#[test]
fn knows_which_address_counts() {
    let proc = Proc::bare();
    let number = |mode: &str, words: &[&str]| {
        let mut all = vec!["who"];
        all.extend(words);
        all.extend(["--total", "1024", "--hashmode", mode]);
        let said = proc.run(&all);
        assert_eq!(said.code, 0, "{}", said.err);
        let (_, rest) = said.out.split_once(" is for number ").unwrap();
        rest.split(' ').next().unwrap().to_owned()
    };
    let (vip, client) = ("10.0.0.80", "192.0.2.1");
    // The destination is hashed as the source is, the VIP unless another is given.
    assert_eq!(
        number("destip", &[vip, client]),
        number("sourceip", &[client, vip])
    );
    assert_eq!(
        number("destip", &[vip, client, "--dst", "198.51.100.7"]),
        number("sourceip", &[vip, "198.51.100.7"])
    );
    // Both directions are one node's.
    assert_eq!(
        number("sourceip-destip", &[vip, client]),
        number("sourceip-destip", &[client, vip])
    );
    assert_ne!(
        number("sourceip-destip", &[vip, client]),
        number("sourceip-destip", &[vip, client, "--dst", "198.51.100.7"])
    );
    // Without an SPI as if nothing but the address counted; both ways to write one are one.
    assert_eq!(
        number("sourceip-spi", &[vip, client, "--spi", "none"]),
        number("sourceip", &[vip, client])
    );
    assert_eq!(
        number("sourceip-spi", &[vip, client, "--spi", "0x1267"]),
        number("sourceip-spi", &[vip, client, "--spi", "4711"])
    );
    assert_ne!(
        number("sourceip-spi", &[vip, client, "--spi", "1"]),
        number("sourceip-spi", &[vip, client, "--spi", "2"])
    );
}

#[test]
fn a_newer_module_is_not_guessed_at() {
    let mut vip = vip(2, "1", 0, 0);
    vip.hashmode = "moonphase".to_owned();
    Proc::with(&[&vip]).fails(
        &["who", "10.0.0.80", "192.0.2.1"],
        1,
        "the VIP has the hash mode \"moonphase\", which this program is too old for",
    );
}
