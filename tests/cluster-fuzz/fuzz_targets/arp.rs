// SPDX-License-Identifier: GPL-2.0-only

//! Any bytes as an ARP message. A sender is found where etherparse finds a request or a reply for IPv4
//! over Ethernet; and when the cluster's MAC is written into it, that alone is another afterwards.

#![no_main]

use etherparse::ArpEthIpv4Packet;
use etherparse::ArpOperation;
use etherparse::ArpPacketSlice;
use host::cluster::arp::sender;
use host::cluster::arp::set_sender_mac;
use host::cluster::arp::Mac;
use host::cluster::arp::LEN;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((octets, frame)) = data.split_first_chunk::<6>() else {
        return;
    };
    let mac = Mac::new(*octets);
    assert_eq!(mac.is_multicast(), octets[0] % 2 == 1);
    let text: Vec<String> = octets.iter().map(|byte| format!("{byte:02X}")).collect();
    assert_eq!(mac.to_string(), text.join(":"));

    let before = parse(frame);
    let seen = sender(frame).map(|address| address.octets());
    assert_eq!(seen, before.as_ref().map(|message| message.sender_ipv4));

    let mut mangled = frame.to_vec();
    let whole = set_sender_mac(&mut mangled, mac);
    assert_eq!(whole, frame.len() >= LEN);
    let wanted = before.map(|message| ArpEthIpv4Packet {
        sender_mac: *octets,
        ..message
    });
    assert_eq!(parse(&mangled), wanted);
    // Also where there is no message, and behind it.
    let changed = (0..frame.len()).find(|&at| {
        let wanted = match at {
            8..14 if whole => octets[at - 8],
            _ => frame[at],
        };
        mangled[at] != wanted
    });
    assert_eq!((mangled.len(), changed), (frame.len(), None));
});

fn parse(frame: &[u8]) -> Option<ArpEthIpv4Packet> {
    let message = ArpPacketSlice::from_slice(frame).ok()?;
    let message = message.to_packet().try_eth_ipv4().ok()?;
    [ArpOperation::REQUEST, ArpOperation::REPLY]
        .contains(&message.operation)
        .then_some(message)
}
