// SPDX-License-Identifier: GPL-2.0-only

//! Rules of revision 1, which say more by themselves.

use crate::input::Input;
use crate::table;
use harness::blob::Rule;
use harness::revision1::Payload;
use harness::revision1::NO_MARK;
use std::net::Ipv4Addr;

/// What a rule of revision 1 says.
pub fn payload(input: &mut Input) -> Payload {
    let total = input.pick(&[1, 2, 3, 64, 65, 1000, 1024]);
    let mut payload = Payload::default().nodes(total, [1]);
    payload.mode = input.below(6) as u32;
    payload.seed = input.long();
    if input.one_in(4) {
        payload.flags |= NO_MARK;
    }
    if input.one_in(6) {
        payload = Payload::joining();
    }
    if input.one_in(2) {
        payload.vip = table::vip(input);
    }
    if input.one_in(2) {
        payload.device = table::device(input).into();
    }
    if input.one_in(8) {
        payload.mac = [input.byte(), 0, 0x5e, 0, 0, input.byte()];
    }
    let changes = if input.one_in(6) {
        1 + input.below(2)
    } else {
        0
    };
    for _ in 0..changes {
        let number = input.odd_number();
        match input.below(8) {
            0 => payload.total = number as u16,
            1 => payload.local[input.below(32)] ^= number,
            2 => payload.local[31] |= 1 << 31,
            3 => payload.mode = number,
            4 => payload.flags ^= number,
            5 => payload.vip = number.into(),
            6 => {
                let length = input.below(17);
                payload.device = input.bytes(length);
            }
            _ => payload.kernel_only = input.quad(),
        }
    }
    payload
}

/// A rule of revision 1; one of a few matches packets for anybody, from half of all addresses.
pub fn rule(input: &mut Input) -> Rule {
    let payload = payload(input);
    if input.one_in(8) {
        let mut rule = payload.rule_for_any(0);
        rule.source = input.pick(&[0, 0x8000_0000]).into();
        return rule;
    }
    payload.rule(Some(table::vip(input)), table::device(input))
}

/// The VIP of a rule: what it says, or its destination. A target is its header of 32 bytes and the payload.
pub fn vip_of(destination: Ipv4Addr, target: &[u8]) -> Ipv4Addr {
    let said = target
        .get(31..56)
        .filter(|bytes| bytes[0] == 1)
        .map(|bytes| Ipv4Addr::new(bytes[21], bytes[22], bytes[23], bytes[24]));
    said.filter(|vip| !vip.is_unspecified())
        .unwrap_or(destination)
}
