// SPDX-License-Identifier: GPL-2.0-only

//! Any words as options. A line that is taken has a payload that the module can take, and what is
//! saved of it is taken again and means the same.

#![no_main]

use ipt_CLUSTERIP::xtables::version_of;
use libfuzzer_sys::fuzz_target;
use libipt_clusterip_fuzz::number;
use libipt_clusterip_fuzz::parse;
use libipt_clusterip_fuzz::parse_older;
use libipt_clusterip_fuzz::show;
use libipt_clusterip_fuzz::texts;
use libipt_clusterip_fuzz::words;
use libipt_clusterip_fuzz::PAYLOADS;

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
    // What a kernel takes that has revision 0 only is sent to any other in the same bytes.
    match parse_older(&line) {
        Ok(payload) => assert_eq!(parse(&line), Ok(payload)),
        Err(status) => assert_eq!(status, 2, "a line that is refused ends iptables with 2"),
    }
    let payload = match parse(&line) {
        Ok(payload) => payload,
        Err(status) => {
            assert_eq!(status, 2, "a line that is refused ends iptables with 2");
            return;
        }
    };
    let [shown, saved] = show(&whole(&payload));
    let new = number(&payload, 0, 4) & 1 == 1;
    let is_newer = payload.len() == PAYLOADS[1];
    if !new {
        assert!(shown.starts_with(" CLUSTERIP") && !saved.contains(" --new"));
        let others = payload.iter().enumerate();
        let others = others.filter(|(at, _)| !is_newer || !(VIP_AND_DEVICE).contains(at));
        assert!(others.map(|(_, byte)| byte).all(|byte| *byte == 0));
        // A rule that says nothing at all is as it ever was.
        assert_eq!(is_newer, !saved.is_empty());
    } else if is_newer {
        let (total, mode) = (number(&payload, 10, 2), number(&payload, 12, 4));
        assert!((1..=1024).contains(&total) && mode <= 5);
        assert!(payload[4] & 1 == 1 && number(&payload, 0, 4) <= 3);
        // Bit `n - 1` is number `n`.
        let highest = (0..1024).rev().find(|bit| payload[40 + bit / 8] & (1 << (bit % 8)) != 0);
        assert!(highest.is_none_or(|bit| bit < total as usize));
        let local = (0..128).map(|at| payload[40 + at].count_ones()).sum::<u32>();
        // Only what revision 0 can't say is of revision 1.
        assert!(
            total > 64
                || mode > 2
                || local > 1
                || number(&payload, 0, 4) != 1
                || payload[VIP_AND_DEVICE].iter().any(|byte| *byte != 0)
        );
    } else {
        let (total, nodes, node) = (
            number(&payload, 10, 2),
            number(&payload, 12, 2),
            number(&payload, 14, 2),
        );
        assert!((1..=64).contains(&total) && nodes == 1 && node <= total);
        assert!(payload[4] & 1 == 1 && number(&payload, 48, 4) <= 2);
        assert!(shown.starts_with(" CLUSTERIP hashmode=source"));
    }
    // As iptables-restore has it, which takes no longer words.
    assert!(words(&saved).iter().all(|word| word.len() < 1024));
    assert_eq!(parse(&words(&saved)), Ok(payload), "{saved}");
});

/// Where revision 1 has these.
const VIP_AND_DEVICE: std::ops::Range<usize> = 20..40;

/// With what the kernel has behind it.
fn whole(payload: &[u8]) -> Vec<u8> {
    [payload, &[0; 8]].concat()
}
