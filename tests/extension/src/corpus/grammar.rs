// SPDX-License-Identifier: GPL-2.0-only

//! What the option grammar makes, valid and not: each option at its edges, left out, repeated,
//! shortened, inverted, without its argument, and in other orders.

use crate::case::Case;
use crate::case::Step;

/// The options, each with an argument that is right.
const OPTIONS: [(&str, Option<&str>); 6] = [
    ("--new", None),
    ("--hashmode", Some("sourceip")),
    ("--clustermac", Some("01:00:5e:00:00:50")),
    ("--total-nodes", Some("2")),
    ("--local-node", Some("1")),
    ("--hash-init", Some("7")),
];

/// Words as a shell parts them. As numbers are spelled: at the edges of ranges, in all bases, and wrong.
const NUMBERS: &str = "
    0 1 2 3 8 15 16 17 18 32 33 63 64 65 100 255 256 32767 32768 65534 65535 65536 65537
    65538 131073 2147483647 2147483648 4294967294 4294967295 4294967296 4294967297
    4294967298 9223372036854775807 9223372036854775808 18446744073709551615
    18446744073709551616 18446744073709551617 99999999999999999999999999 -0 -1 -2 -65535
    +0 +1 +16 ++1 +-1 --1 00 01 001 02 07 08 09 010 017 020 021 0100 0101 0x 0x0 0x1 0X1
    0x01 0x10 0x11 0x40 0x41 0xf 0xF 0xg 0x1g x1 1x 0b1 0o1 '' ' ' ' 1' '1 ' '\t1' '1\t'
    '\n1' '1\n' 1a a1 a 1. 1.0 .1 1e0 1,2 1:2 1-2 1/2 1_0 '!1' '1!' one %d %s%n １
    '1\u{a0}'
";

/// What only 32 bits reach.
const SEEDS: &str = "
    1234 305419896 0x7fffffff 0x80000000 0xfffffffe 0xffffffff 0xFFFFFFFF 0x100000000
    0xdeadbeef 037777777777 040000000000 0x0000000000000001
";

const MACS: &str = "
    01:00:5e:00:00:20 01:00:5E:00:00:20 01:aA:7b:47:f7:d7 1:0:5e:0:0:20 1:2:3:4:5:6
    01:02:03:04:05:06 01:23:45:67:89:AB 01:23:45:67:89:ab ff:ff:ff:ff:ff:ff
    FF:FF:FF:FF:FF:FF f:f:f:f:f:f 33:33:00:00:00:01 35:fc:51:8e:57:45 41:b1:80:6f:1b:f9
    03:00:00:00:00:00 01:00:00:00:00:00 1:0:0:0:0:0 00:00:00:00:00:00 0:0:0:0:0:0
    02:00:00:00:00:01 00:11:22:33:44:55 fe:ff:ff:ff:ff:ff 10:00:5e:00:00:20
    0:1:0:5e:0:0:20 01:00:5e:00:00 01:00:5e:00:00: 01:00:5e:00:00:20:
    01:00:5e:00:00:20:21 :01:00:5e:00:00:20 01::5e:00:00:20 :::::: :::::
    01-00-5e-00-00-20 01.00.5e.00.00.20 0100.5e00.0020 01005e000020 '01 00 5e 00 00 20'
    ' 01:00:5e:00:00:20' '01:00:5e:00:00:20 ' '01:00:5e:00:00:20\n' 01:00:5e:00:00:2g
    g1:00:5e:00:00:20 001:00:5e:00:00:20 01:000:5e:00:00:20 01:00:5e:00:00:020
    01:00:5e:00:00:2 101:00:5e:00:00:20 01:100:5e:00:00:20 0x01:0x00:0x5e:0:0:20
    0x1:0:5e:0:0:20 -1:00:5e:00:00:20 +1:00:5e:00:00:20 01:-0:5e:00:00:20
    01:+0:5e:00:00:20 01:00:5e:00:00:-1 '01: 0:5e:00:00:20'
    01:00:5e:00:00:20/ff:ff:ff:00:00:00 Multicast Broadcast Unicast BGA '' 1 01:
    %s:%n:5e:00:00:20 01:00:5e:00:00:20é 01:00:5e:00:00:20,01:00:5e:00:00:21
";

const MODES: &str = "
    sourceip-sourceport sourceip-sourceport-destport '' ' ' s source sourcei 'sourceip '
    ' sourceip' 'sourceip\n' sourceip- sourceip-s sourceip-sourcepor
    sourceip-sourceport- sourceip-sourceport-d sourceip-sourceport-destpor
    sourceip-sourceport-destports sourceip-sourceport-destport- sourceip-sourceports
    sourceipx SOURCEIP SourceIP Sourceip-sourceport sourceip-SOURCEPORT
    sourceip_sourceport sourceip,sourceport 'sourceip sourceport' sourceip-destport
    sourceport destip 0 1 2 -1 unknown-error %s %s%s%s%n foo 'foo\"bar' 'foo\\bar' é
    'sourceip\u{1}'
";

/// The words of an option.
fn words(number: usize) -> Vec<String> {
    let (option, argument) = OPTIONS[number];
    std::iter::once(option)
        .chain(argument)
        .map(str::to_string)
        .collect()
}

/// `-A INPUT` with a VIP and what follows `-j CLUSTERIP`.
fn append<S: AsRef<str>>(options: &[S]) -> Step {
    let rule = "-A INPUT -d 10.0.0.80 -i lo -j CLUSTERIP".split(' ');
    Step::new(
        "iptables-legacy",
        rule.chain(options.iter().map(AsRef::as_ref)),
    )
}

fn case<S: AsRef<str>>(name: String, options: &[S]) -> Case {
    Case {
        name,
        steps: vec![append(options)],
        ..Case::default()
    }
}

/// A whole rule in which one option has another argument.
fn with(option: &str, argument: &str) -> Vec<String> {
    let mut options = Vec::new();
    for (number, (name, _)) in OPTIONS.iter().enumerate() {
        options.extend(words(number));
        if *name == option {
            options.pop();
            options.push(argument.to_string());
        }
    }
    options
}

/// A name's part of what may be blank, unprintable or long.
fn shown(text: &str) -> String {
    if text.len() > 60 {
        return format!("{} bytes", text.len());
    }
    format!("\"{}\"", text.escape_debug())
}

pub fn cases() -> Vec<Case> {
    [
        values(),
        pairs(),
        subsets(),
        prefixes(),
        equals(),
        repeated(),
        inverted(),
        without_argument(),
        orders(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Every argument that was thought of, one at a time.
fn values() -> Vec<Case> {
    let long = "sourceip".repeat(40);
    let split = |words: &str| shlex::split(words).expect("quotes in pairs");
    let lists = [
        ("--total-nodes", split(NUMBERS)),
        ("--local-node", split(NUMBERS)),
        ("--hash-init", split(&format!("{NUMBERS} {SEEDS}"))),
        ("--clustermac", split(&format!("{MACS} {long}"))),
        ("--hashmode", split(&format!("{MODES} {long}"))),
    ];
    let mut cases = Vec::new();
    for (option, arguments) in lists {
        for argument in arguments {
            let mut options = with(option, &argument);
            if option == "--local-node" {
                // So that only this option decides.
                let total = options.iter().position(|word| word == "--total-nodes");
                if let Some(total) = total {
                    options[total + 1] = "16".to_string();
                }
            }
            cases.push(case(
                format!("value {option} {}", shown(&argument)),
                &options,
            ));
        }
    }
    cases
}

/// Total and local node together, the one first and the other.
fn pairs() -> Vec<Case> {
    let pairs = "1/1 1/2 2/2 2/3 3/3 8/9 15/16 16/16 16/0 0/0 0/16 16/17 17/17 17/1 32/17 33/32 \
                 64/63 64/64 64/65 63/64 65/64 17/64 0x40/0x40 64/0 16/64";
    let rest = "--new --hashmode sourceip --clustermac 01:00:5e:00:00:50";
    let mut cases = Vec::new();
    for (total, local) in pairs.split(' ').filter_map(|pair| pair.split_once('/')) {
        let mut options: Vec<&str> = rest.split(' ').collect();
        options.extend(["--total-nodes", total, "--local-node", local]);
        cases.push(case(format!("pair total {total} local {local}"), &options));
        options.rotate_right(2);
        cases.push(case(format!("pair local {local} total {total}"), &options));
    }
    cases
}

/// Each of the 64 subsets of the options.
fn subsets() -> Vec<Case> {
    (0..64_u32)
        .map(|set| {
            let there = |number: &usize| set & (1 << number) != 0;
            let options: Vec<String> = (0..6).filter(there).flat_map(words).collect();
            let names: Vec<&str> = (0..6)
                .filter(there)
                .map(|number| OPTIONS[number].0)
                .collect();
            case(format!("subset {set} {}", names.join(" ")), &options)
        })
        .collect()
}

/// Every option shortened to each of its beginnings, in place of itself.
fn prefixes() -> Vec<Case> {
    let mut cases = Vec::new();
    for (number, (name, _)) in OPTIONS.iter().enumerate() {
        for length in 2..name.len() {
            let mut options = Vec::new();
            for other in 0..6 {
                let mut words = words(other);
                if other == number {
                    words[0].truncate(length);
                }
                options.extend(words);
            }
            // The beginning `--` ends the options: one of that is enough.
            if length > 2 || number == 0 {
                cases.push(case(format!("prefix {name} {}", &name[..length]), &options));
            }
        }
    }
    cases
}

/// `--option=argument`, whole and shortened, right and wrong.
fn equals() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut replaced = |number: usize, text: String| {
        let mut options = Vec::new();
        for other in 0..6 {
            match other == number {
                true => options.push(text.clone()),
                false => options.extend(words(other)),
            }
        }
        cases.push(case(format!("equals {}", shown(&text)), &options));
    };
    for (number, (name, argument)) in OPTIONS.iter().enumerate() {
        let argument = argument.unwrap_or("1");
        replaced(number, format!("{name}={argument}"));
        replaced(number, format!("{name}="));
        replaced(number, format!("{name}=={argument}"));
        replaced(number, format!("{}={argument}", &name[..name.len() - 1]));
        replaced(number, format!("{}={argument}", &name[1..]));
        replaced(number, format!("{name}x={argument}"));
        replaced(number, format!("{}={argument}", name.to_uppercase()));
    }
    cases
}

/// An option given twice: the same again, with another argument, first of all, and shortened.
fn repeated() -> Vec<Case> {
    let others = [
        "",
        "sourceip-sourceport",
        "01:00:5e:00:00:51",
        "3",
        "2",
        "8",
    ];
    let wrong = ["", "foo", "foo", "foo", "foo", "foo"];
    let mut cases = Vec::new();
    for (number, (name, argument)) in OPTIONS.iter().enumerate() {
        let all: Vec<String> = (0..6).flat_map(words).collect();
        let again = |what: &str, word: &str, argument: &str| {
            let mut options = all.clone();
            options.push(word.to_string());
            if !argument.is_empty() {
                options.push(argument.to_string());
            }
            case(format!("repeated {name} {what}"), &options)
        };
        cases.push(again("the same", name, argument.unwrap_or_default()));
        cases.push(again(
            "shortened",
            &name[..name.len() - 1],
            argument.unwrap_or_default(),
        ));
        if !others[number].is_empty() {
            cases.push(again("another", name, others[number]));
            cases.push(again("wrong", name, wrong[number]));
        }
        let alone = [words(number), words(number)].concat();
        cases.push(case(format!("repeated {name} and nothing else"), &alone));
    }
    cases
}

/// `!` before an option, before its argument, and before the target's own option.
fn inverted() -> Vec<Case> {
    let mut cases = Vec::new();
    for (number, (name, argument)) in OPTIONS.iter().enumerate() {
        let mut replaced = |what: &str, text: Vec<&str>| {
            let mut options = Vec::new();
            for other in 0..6 {
                match other == number {
                    true => options.extend(text.iter().map(|word| word.to_string())),
                    false => options.extend(words(other)),
                }
            }
            cases.push(case(format!("inverted {name} {what}"), &options));
        };
        let argument = argument.unwrap_or("");
        let given = |first: &[&'static str]| -> Vec<&str> {
            let mut text = first.to_vec();
            if !argument.is_empty() {
                text.push(argument);
            }
            text
        };
        replaced("before", given(&["!", name]));
        replaced("twice", given(&["!", "!", name]));
        replaced("after", given(&[name, "!"]));
        cases.push(case(format!("inverted {name} alone"), &given(&["!", name])));
    }
    cases
}

/// An option at the end of the line, or before another one, without its argument.
fn without_argument() -> Vec<Case> {
    let mut cases = Vec::new();
    for (number, (name, argument)) in OPTIONS.iter().enumerate() {
        if argument.is_none() {
            continue;
        }
        let mut last: Vec<String> = (0..6)
            .filter(|other| *other != number)
            .flat_map(words)
            .collect();
        let mut first = vec![name.to_string()];
        first.extend(last.clone());
        last.push(name.to_string());
        cases.push(case(format!("no argument {name} last"), &last));
        cases.push(case(format!("no argument {name} first"), &first));
        cases.push(case(format!("no argument {name} alone"), &[name]));
    }
    cases
}

/// The options in other orders: turned, turned and reversed, and some of them behind `-d`.
fn orders() -> Vec<Case> {
    let mut cases = Vec::new();
    for turn in 0..6 {
        let mut order: Vec<usize> = (0..6).collect();
        order.rotate_left(turn);
        for reversed in [false, true] {
            if turn == 0 && !reversed {
                continue;
            }
            if reversed {
                order.reverse();
            }
            let options: Vec<String> = order.iter().flat_map(|number| words(*number)).collect();
            cases.push(case(format!("order {order:?}"), &options));
        }
    }
    for (behind, (name, _)) in OPTIONS.iter().enumerate() {
        let mut line: Vec<String> = "-A INPUT -j CLUSTERIP"
            .split(' ')
            .map(str::to_string)
            .collect();
        for number in 0..6 {
            if number == behind {
                line.extend("-d 10.0.0.80 -i lo".split(' ').map(str::to_string));
            }
            line.extend(words(number));
        }
        cases.push(Case {
            name: format!("order the match before {name}"),
            steps: vec![Step::new("iptables-legacy", line)],
            ..Case::default()
        });
    }
    cases
}
