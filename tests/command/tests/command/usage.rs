// SPDX-License-Identifier: GPL-2.0-only

//! Command lines: what is understood, and what is said of those that are not.

use clusterip::has_utf8;
use command::vip;
use command::Proc;

const COMMANDS: [&str; 7] = ["status", "watch", "add", "del", "set", "who", "check"];

#[test]
fn help_fits_a_terminal_and_names_all_commands() {
    let proc = Proc::bare();
    let said = proc.run(&["--help"]);
    assert_eq!(said.code, 0);
    for command in COMMANDS {
        assert!(
            said.out.contains(&format!("\n  {command} ")),
            "{}",
            said.out
        );
    }
    assert!(!said.out.contains("completion"), "{}", said.out);
    for command in [""].iter().chain(&COMMANDS) {
        let words: Vec<_> = command.split_whitespace().chain(["-h"]).collect();
        let said = proc.run(&words);
        assert_eq!((said.code, said.err.as_str()), (0, ""));
        for line in said.out.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }
}

#[test]
fn what_is_not_understood() {
    let proc = Proc::with(&[&vip(3, "1", 0, 0)]);
    for words in [
        &[][..],
        &["frob"],
        &["status", "10.0.0.256"],
        &["status", "--interval", "-1"],
        &["status", "--interval", "nan"],
        &["status", "--json", "--all"],
        &["add", "10.0.0.80"],
        &["add", "10.0.0.80", "1-"],
        &["add", "10.0.0.80", "1025"],
        &["add", "10.0.0.80", "none"],
        &["del", "10.0.0.80", "none"],
        &["who", "10.0.0.80", "10.0.0.1:65536"],
        &["who", "10.0.0.80", "10.0.0.1", "--total", "3"],
        &["who", "10.0.0.80", "10.0.0.1", "--hashmode", "sourceip"],
        &[
            "who",
            "10.0.0.80",
            "10.0.0.1",
            "--total",
            "1025",
            "--hashmode",
            "sourceip",
        ],
        &[
            "who",
            "10.0.0.80",
            "10.0.0.1",
            "--total",
            "3",
            "--hashmode",
            "sourceport",
        ],
        &["who", "10.0.0.80", "10.0.0.1", "--spi", "0x100000000"],
        &["check", "10.0.0.80"],
        &["check", "10.0.0.80", "--", "-oProxyCommand=reboot"],
        &["completion", "zsh"],
    ] {
        let said = proc.run(words);
        assert_eq!((said.code, said.out.as_str()), (2, ""), "{words:?}");
        assert!(!said.err.is_empty(), "{words:?}");
    }
}

#[test]
fn bash_can_complete_all_commands() {
    let said = Proc::bare().run(&["completion", "bash"]);
    assert_eq!((said.code, said.err.as_str()), (0, ""));
    for command in COMMANDS {
        assert!(
            said.out.contains(&format!("clusterip,{command})")),
            "{command}"
        );
    }
    assert!(said.out.contains("--peers-only"));
    assert!(said.out.contains("complete -F _clusterip"));
}

#[test]
fn blocks_where_the_locale_has_them() {
    assert!(has_utf8("", "", "en_GB.UTF-8"));
    assert!(has_utf8("", "C.utf8", "C"));
    assert!(!has_utf8("C", "C.utf8", "en_GB.UTF-8"));
    assert!(!has_utf8("", "", "de_DE.ISO-8859-1"));
    assert!(!has_utf8("", "", ""));
}
