// SPDX-License-Identifier: GPL-2.0-only

//! ARP messages: which ones are known, and what of them is rewritten (§4).

use std::net::Ipv4Addr;

use etherparse::{ArpEthIpv4Packet, ArpOperation, ArpPacket};
use host::cluster::arp::{sender, set_sender_mac, Mac, LEN};
use proptest::prelude::*;

const VIP: [u8; 4] = [10, 0, 0, 80];
const CLUSTER: Mac = Mac::new([0x01, 0x00, 0x5e, 0x00, 0x01, 0x14]);

fn message(operation: ArpOperation) -> [u8; LEN] {
    let packet: ArpPacket = ArpEthIpv4Packet {
        operation,
        sender_mac: [0x52, 0x54, 0x00, 0x12, 0x34, 0x56],
        sender_ipv4: VIP,
        target_mac: [0x52, 0x54, 0x00, 0x65, 0x43, 0x21],
        target_ipv4: [10, 0, 0, 7],
    }
    .into();
    packet.to_bytes().as_slice().try_into().unwrap()
}

#[test]
fn requests_and_replies_have_a_sender() {
    for operation in [ArpOperation::REQUEST, ArpOperation::REPLY] {
        assert_eq!(sender(&message(operation)), Some(VIP.into()));
    }
}

/// Every byte, every value: the eight bytes in front decide, the four of the address tell.
#[test]
fn every_field_varied() {
    for at in 0..LEN {
        for value in 0..=u8::MAX {
            let mut frame = message(ArpOperation::REPLY);
            frame[at] = value;
            let known = frame[..7] == [0, 1, 8, 0, 6, 4, 0] && [1, 2].contains(&frame[7]);
            let address = Ipv4Addr::new(frame[14], frame[15], frame[16], frame[17]);
            let expected = known.then_some(address);
            assert_eq!(sender(&frame), expected, "byte {at} is {value}");
        }
    }
}

#[test]
fn every_operation() {
    for operation in 0..=u16::MAX {
        let known = matches!(operation, 1 | 2);
        let frame = message(ArpOperation(operation));
        assert_eq!(sender(&frame).is_some(), known, "{operation}");
    }
}

#[test]
fn every_truncation() {
    let whole = message(ArpOperation::REPLY);
    for length in 0..LEN {
        let mut frame = whole[..length].to_vec();
        assert_eq!(sender(&frame), None, "{length} bytes");
        assert!(!set_sender_mac(&mut frame, CLUSTER), "{length} bytes");
        assert_eq!(frame, &whole[..length], "untouched");
    }
}

/// Frames are padded to the shortest that Ethernet carries.
#[test]
fn padding_is_left_alone() {
    let mut frame = message(ArpOperation::REPLY).to_vec();
    frame.extend([0xee; 18]);
    assert_eq!(sender(&frame), Some(VIP.into()));
    assert!(set_sender_mac(&mut frame, CLUSTER));
    assert_eq!(frame[LEN..], [0xee; 18]);
}

#[test]
fn a_reply_gets_the_clusters_mac() {
    let mut frame = message(ArpOperation::REPLY);
    assert!(set_sender_mac(&mut frame, CLUSTER));
    let arp = etherparse::ArpPacket::from_slice(&frame).unwrap();
    let arp = arp.try_eth_ipv4().unwrap();
    assert_eq!(arp.sender_mac, CLUSTER.octets());
    assert_eq!(arp.sender_ipv4, VIP);
    assert_eq!(arp.target_mac, [0x52, 0x54, 0x00, 0x65, 0x43, 0x21]);
    assert_eq!(arp.target_ipv4, [10, 0, 0, 7]);
}

#[test]
fn groups() {
    for first in 0..=u8::MAX {
        let mac = Mac::new([first, 1, 1, 1, 1, 1]);
        assert_eq!(mac.is_multicast(), first % 2 == 1, "{mac}");
    }
    assert!(!Mac::new([0; 6]).is_multicast());
    assert!(Mac::new([0xff; 6]).is_multicast());
}

#[test]
fn text_of_a_mac() {
    assert_eq!(CLUSTER.to_string(), "01:00:5E:00:01:14");
    let mac = Mac::new([0xab, 0xcd, 0xef, 0x09, 0xa0, 0xff]);
    assert_eq!(mac.to_string(), "AB:CD:EF:09:A0:FF");
}

proptest! {
    #![proptest_config(crate::config(5_000))]

    #[test]
    fn exactly_bytes_8_to_13_are_written(before: Vec<u8>, octets: [u8; 6]) {
        let mut frame = before.clone();
        let written = set_sender_mac(&mut frame, Mac::new(octets));
        prop_assert_eq!(written, before.len() >= LEN);
        let expected = match written {
            true => [&before[..8], &octets, &before[14..]].concat(),
            false => before,
        };
        prop_assert_eq!(frame, expected);
    }

    #[test]
    fn any_address_can_be_a_sender(address: [u8; 4], rest: Vec<u8>) {
        let mut frame = message(ArpOperation::REQUEST).to_vec();
        frame[14..18].copy_from_slice(&address);
        frame.extend(rest);
        prop_assert_eq!(sender(&frame), Some(address.into()));
    }
}
