// SPDX-License-Identifier: GPL-2.0-only

//! Any words as options. A line that is taken has a payload that the module can take, and what is
//! saved of it is taken again and means the same.

#![no_main]

use ipt_CLUSTERIP::xtables::version_of;
use libfuzzer_sys::fuzz_target;
use libipt_clusterip_fuzz::number;
use libipt_clusterip_fuzz::parse;
use libipt_clusterip_fuzz::show;
use libipt_clusterip_fuzz::texts;
use libipt_clusterip_fuzz::words;

fuzz_target!(
    init: {
        let [help, why, again] = texts();
        assert!(help.starts_with("CLUSTERIP target options:\n") && help.ends_with('\n'));
        assert!(why.starts_with("# CLUSTERIP has no exact equivalent") && again.is_empty());
    },
    |data: &[u8]| {
    // A version is the program's own, but a string of whatever.
    let _ = version_of(data);
    // A word ends where a line of a file would have a space or an end.
    let line: Vec<&[u8]> = data
        .split(|byte| [b' ', b'\n', 0].contains(byte))
        .filter(|word| !word.is_empty())
        .collect();
    let payload = match parse(&line) {
        Ok(payload) => payload,
        Err(status) => {
            assert_eq!(status, 2, "a line that is refused ends iptables with 2");
            return;
        }
    };
    let [shown, saved] = show(&payload);
    if number(&payload, 0, 4) == 0 {
        assert_eq!(payload, [0; 56], "a rule without options is all zeroes");
        assert_eq!((shown.as_str(), saved.as_str()), (" CLUSTERIP", ""));
        return;
    }
    let (total, nodes, node) = (
        number(&payload, 10, 2),
        number(&payload, 12, 2),
        number(&payload, 14, 2),
    );
    assert!((1..=64).contains(&total) && nodes == 1 && node <= total);
    assert!(payload[4] & 1 == 1 && number(&payload, 48, 4) <= 2);
    assert!(shown.starts_with(" CLUSTERIP hashmode=source"));
    assert_eq!(parse(&words(&saved)), Ok(payload), "{saved}");
});
