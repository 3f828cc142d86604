// SPDX-License-Identifier: GPL-2.0-only

//! Bytes that come to the client.

use crate::client::Mac;
use std::net::Ipv4Addr;

/// The node that an HTTP answer names; only a whole answer counts.
pub fn node(answer: &[u8]) -> Option<usize> {
    let answer = std::str::from_utf8(answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    if !head.starts_with("HTTP/1.0 200 ") {
        return None;
    }
    body.strip_prefix("node ")?.strip_suffix('\n')?.parse().ok()
}

/// A TCP segment from the VIP: who sent it, to which client and port, and whether it accepts a
/// connection.
pub fn segment(frame: &[u8], vip: Ipv4Addr) -> Option<(Mac, (Ipv4Addr, u16), bool)> {
    const TCP: u8 = 6;
    let (ethernet, ip) = frame.split_at_checked(14)?;
    let source: [u8; 4] = ip.get(12..16)?.try_into().ok()?;
    let client: [u8; 4] = ip.get(16..20)?.try_into().ok()?;
    let header = usize::from(ip[0] & 15) * 4;
    let tcp = ip.get(header..header + 14)?;
    if ethernet[12..] != [0x08, 0x00] || source != vip.octets() || ip[9] != TCP {
        return None;
    }
    let port = u16::from_be_bytes([tcp[2], tcp[3]]);
    let accepts = tcp[13] & 0x12 == 0x12;
    Some((
        ethernet[6..12].try_into().ok()?,
        (client.into(), port),
        accepts,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_answer_names_a_node() {
        assert_eq!(node(b"HTTP/1.0 200 OK\r\n\r\nnode 3\n"), Some(3));
        assert_eq!(node(b"HTTP/1.0 200 OK\r\n\r\nnode 3"), None);
        assert_eq!(node(b"HTTP/1.0 500 no\r\n\r\nnode 3\n"), None);
        assert_eq!(node(b""), None);
    }

    #[test]
    fn reads_a_segment_and_nothing_else() {
        let vip = Ipv4Addr::new(10, 9, 0, 80);
        let mut frame = vec![2, 0, 0, 0, 0, 100, 2, 0, 0, 0, 0, 3, 8, 0];
        frame.extend([
            0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0, 10, 9, 0, 80, 10, 9, 0, 100,
        ]);
        frame.extend([0, 80, 0x9c, 0x41, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x12]);
        let flow = (Ipv4Addr::new(10, 9, 0, 100), 40001);
        assert_eq!(segment(&frame, vip), Some(([2, 0, 0, 0, 0, 3], flow, true)));
        frame[47] = 0x10;
        assert_eq!(
            segment(&frame, vip),
            Some(([2, 0, 0, 0, 0, 3], flow, false))
        );
        for length in 0..48 {
            assert_eq!(segment(&frame[..length], vip), None);
        }
        frame[23] = 17;
        assert_eq!(segment(&frame, vip), None);
    }
}
