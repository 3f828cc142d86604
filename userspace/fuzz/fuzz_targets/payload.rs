// SPDX-License-Identifier: GPL-2.0-only

//! Any bytes as the payload of a rule, and any number of them. What is shown is one line, of a
//! known form; what is saved is either what makes the payload again, as far as options can say it, or
//! is refused.

#![no_main]

use libfuzzer_sys::fuzz_target;
use libipt_clusterip_fuzz::number;
use libipt_clusterip_fuzz::parse;
use libipt_clusterip_fuzz::show;
use libipt_clusterip_fuzz::words;
use libipt_clusterip_fuzz::PAYLOADS;

fuzz_target!(|data: &[u8]| {
    let [shown, saved] = show(data);
    // As long as it is, in whole words of 8 bytes, it is one of the newest revision that it has room for.
    let room = data.len() & !7;
    let Some(length) = PAYLOADS.into_iter().rev().find(|length| *length <= room) else {
        assert_eq!((shown.as_str(), saved.as_str()), ("", ""));
        return;
    };
    let payload = &data[..length];
    let new = number(payload, 0, 4) & 1 == 1;
    assert!(shown.starts_with(" CLUSTERIP") && shown.len() < 4500);
    assert!(!new || shown.contains(" hashmode="));
    assert_eq!(
        new,
        saved.starts_with(" --new") || saved.contains(" --new --hashmode ")
    );
    let printable = |text: &str| text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    assert!(printable(&shown) && printable(&saved));
    let words = words(&saved);
    assert!(words.iter().all(|word| word.len() < 1024));
    let Ok(again) = parse(&words) else { return };
    if length == PAYLOADS[0] {
        if again.len() != length {
            // What no kernel has in revision 0.
            assert!(number(payload, 10, 2) > 64, "{saved}");
            return;
        }
        // MAC and total; the first local node; mode and seed.
        for range in [4..12, 14..16, 48..length] {
            assert!(!new || again[range.clone()] == payload[range], "{saved}");
        }
    } else if again.len() == length {
        // MAC, total, mode and seed; VIP; the set. A name may have bytes behind its end.
        for range in [4..20, 40..length] {
            assert!(!new || again[range.clone()] == payload[range], "{saved}");
        }
        assert_eq!(again[20..24], payload[20..24], "{saved}");
    }
});
