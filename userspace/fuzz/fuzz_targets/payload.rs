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
use libipt_clusterip_fuzz::PAYLOAD;

fuzz_target!(|data: &[u8]| {
    let [shown, saved] = show(data);
    let Some(payload) = data.first_chunk::<PAYLOAD>() else {
        assert_eq!((shown.as_str(), saved.as_str()), ("", ""));
        return;
    };
    let new = number(payload, 0, 4) & 1 == 1;
    assert!(shown.starts_with(" CLUSTERIP") && shown.len() < 160);
    assert_eq!(new, shown.len() > " CLUSTERIP".len());
    assert_eq!(new, !saved.is_empty());
    let printable = |text: &str| text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    assert!(printable(&shown) && printable(&saved));
    if let (true, Ok(again)) = (new, parse(&words(&saved))) {
        // MAC and total; the first local node; mode and seed.
        for range in [4..12, 14..16, 48..PAYLOAD] {
            assert_eq!(again[range.clone()], payload[range], "{saved}");
        }
    }
});
