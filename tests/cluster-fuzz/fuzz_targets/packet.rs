// SPDX-License-Identifier: GPL-2.0-only

//! Any bytes as an IPv4 packet, in any cluster. What the module reads off the header, where it finds
//! the ports, and which node it names are what etherparse and the kernel's own `jhash.h` say.

#![no_main]

use etherparse::Icmpv4Slice;
use etherparse::Icmpv4Type;
use etherparse::IpAuthHeaderSlice;
use etherparse::IpNumber;
use etherparse::Ipv4HeaderSlice;
use etherparse::TcpHeaderSlice;
use etherparse::UdpHeaderSlice;
use host::cluster::hash::Flow;
use host::cluster::hash::Mode;
use host::cluster::hash::Params;
use host::cluster::node::Total;
use host::cluster::packet::has_spi;
use host::cluster::packet::is_icmp_error;
use host::cluster::packet::Header;
use host::cluster::packet::MIN_LEN;
use jhash::Packet;
use libfuzzer_sys::fuzz_target;

/// The longest header of IPv4.
const MAX_LEN: usize = 60;

fuzz_target!(|data: &[u8]| {
    let Some((&[mode, total, s0, s1, s2, s3], packet)) = data.split_first_chunk() else {
        return;
    };
    // 64 and its neighbours, and those that no byte holds.
    let (mode, total) = (
        u32::from(mode % 6),
        1 + 4 * u32::from(total) + u32::from(mode / 6 % 4),
    );
    let seed = u32::from_be_bytes([s0, s1, s2, s3]);
    let params = Params {
        mode: Mode::from_abi(mode).expect("there are six modes"),
        seed,
        total: Total::new(total).expect("1 to 1024"),
    };
    let Some(fixed) = packet.first_chunk::<MIN_LEN>() else {
        return;
    };

    let seen = Header::new(fixed);
    let wanted = Parsed::new(packet);
    assert_eq!(seen.source.to_be_bytes(), wanted.source);
    assert_eq!(seen.destination.to_be_bytes(), wanted.destination);
    assert_eq!(seen.protocol, wanted.protocol);
    assert_eq!(seen.fragment, wanted.fragment);
    assert_eq!(seen.len, wanted.len);

    let ports = seen
        .ports_at()
        .and_then(|at| packet.get(at..)?.first_chunk().copied());
    assert_eq!(ports, wanted.ports);

    assert_eq!(has_spi(seen.protocol), wanted.is_ipsec);

    let prepared = params.prepare();
    let flow = Flow {
        source: seen.source,
        destination: seen.destination,
        ports: ports.unwrap_or_default(),
        spi: ports
            .filter(|_| has_spi(seen.protocol))
            .map(u32::from_be_bytes),
    };
    let node = prepared.node(&flow);
    let oracle = Packet {
        source: wanted.source,
        destination: wanted.destination,
        ports: wanted.ports.unwrap_or_default(),
        spi: wanted.ports.filter(|_| wanted.is_ipsec),
    };
    assert_eq!(
        (prepared.hash(&flow), node.get()),
        oracle.hash_and_node(mode, seed, total)
    );
    assert!(params.total.contains(node));

    if let Some(message) = wanted.icmp {
        assert_eq!(is_icmp_error(message[0]), reports_an_error(message));
    }
});

/// What a packet says, read without the module's code.
struct Parsed<'a> {
    source: [u8; 4],
    destination: [u8; 4],
    protocol: u8,
    /// ESP or AH.
    is_ipsec: bool,
    fragment: bool,
    len: usize,
    ports: Option<[u8; 4]>,
    /// A whole ICMP header and what follows it.
    icmp: Option<&'a [u8]>,
}

impl<'a> Parsed<'a> {
    /// etherparse refuses a header with another version, or with a length that is too short or longer
    /// than the packet; the module doesn't care. So it is given one without these faults, and the
    /// length is judged apart.
    fn new(packet: &'a [u8]) -> Self {
        let words = packet[0] % 16;
        let mut header = packet[..packet.len().min(MAX_LEN)].to_vec();
        header.resize(MAX_LEN, 0);
        header[0] = 0x40 + words.max(5);
        let header = Ipv4HeaderSlice::from_slice(&header).expect("a header without a fault");
        let len = match words {
            0..5 => 4 * usize::from(words),
            _ => header.slice().len(),
        };

        let protocol = header.protocol();
        let fragment = header.is_fragmenting_payload();
        let payload = packet.get(len..).unwrap_or_default();
        Self {
            source: header.source(),
            destination: header.destination(),
            protocol: protocol.0,
            is_ipsec: [
                IpNumber::AUTHENTICATION_HEADER,
                IpNumber::ENCAPSULATING_SECURITY_PAYLOAD,
            ]
            .contains(&protocol),
            fragment,
            len,
            ports: (!fragment).then(|| ports(protocol, payload)).flatten(),
            icmp: (protocol == IpNumber::ICMP && payload.len() >= 8).then_some(payload),
        }
    }
}

/// The four bytes that are hashed as ports. Where etherparse knows the protocol it has to agree.
fn ports(protocol: IpNumber, payload: &[u8]) -> Option<[u8; 4]> {
    let two = |source: u16, destination: u16| {
        let ([a, b], [c, d]) = (source.to_be_bytes(), destination.to_be_bytes());
        [a, b, c, d]
    };
    let (at, known) = match protocol {
        IpNumber::TCP => {
            let header = TcpHeaderSlice::from_slice(payload).ok();
            let ports = header.map(|tcp| two(tcp.source_port(), tcp.destination_port()));
            (0, ports)
        }
        IpNumber::UDP | IpNumber::UDP_LITE => {
            let header = UdpHeaderSlice::from_slice(payload).ok();
            let ports = header.map(|udp| two(udp.source_port(), udp.destination_port()));
            (0, ports)
        }
        IpNumber::AUTHENTICATION_HEADER => {
            let header = IpAuthHeaderSlice::from_slice(payload).ok();
            (4, header.map(|ah| ah.spi().to_be_bytes()))
        }
        IpNumber::SCTP | IpNumber::DCCP | IpNumber::ENCAPSULATING_SECURITY_PAYLOAD => (0, None),
        _ => return None,
    };
    let bytes: [u8; 4] = payload.get(at..at + 4)?.try_into().expect("four bytes");
    if let Some(known) = known {
        assert_eq!(bytes, known, "etherparse finds others");
    }
    Some(bytes)
}

/// Source quench is too old for etherparse to have a name for it.
fn reports_an_error(message: &[u8]) -> bool {
    let Ok(message) = Icmpv4Slice::from_slice(message) else {
        // A timestamp of another length than it has to have.
        return false;
    };
    match message.icmp_type() {
        Icmpv4Type::Unknown { type_u8, .. } => matches!(type_u8, 3 | 4 | 5 | 11 | 12),
        Icmpv4Type::DestinationUnreachable(_)
        | Icmpv4Type::Redirect(_)
        | Icmpv4Type::TimeExceeded(_)
        | Icmpv4Type::ParameterProblem(_) => true,
        _ => false,
    }
}
