// SPDX-License-Identifier: GPL-2.0-only

//! What comes to the clients over the wire, seen below their TCP: a second answer that TCP
//! would quietly reset is still a double.

use crate::flow::Flow;

use nix::errno::Errno;
use nix::sys::socket::recv;
use nix::sys::socket::setsockopt;
use nix::sys::socket::socket;
use nix::sys::socket::sockopt;
use nix::sys::socket::AddressFamily;
use nix::sys::socket::MsgFlags;
use nix::sys::socket::SockFlag;
use nix::sys::socket::SockProtocol;
use nix::sys::socket::SockType;

use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;

const TCP: u8 = 6;

/// An IP packet that came from the cluster's address.
#[derive(Debug, PartialEq, Eq)]
pub struct Packet {
    /// Who sent it, by the Ethernet header: the cluster's MAC is never a source.
    pub mac: String,
    /// Which connection it is for; `None` for what is not TCP.
    pub flow: Option<Flow>,
}

/// A packet socket on all devices of this network namespace.
pub struct Wire(OwnedFd);

impl Wire {
    pub fn open() -> Result<Wire, String> {
        let socket = socket(
            AddressFamily::Packet,
            SockType::Raw,
            SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC,
            SockProtocol::EthIp,
        )
        .map_err(|e| format!("cannot watch the wire (are you root?): {e}"))?;
        // Room for every frame of a phase: one that is missed could be the double.
        setsockopt(&socket, sockopt::RcvBufForce, &(8 << 20))
            .map_err(|e| format!("cannot enlarge the watcher's buffer (are you root?): {e}"))?;
        Ok(Wire(socket))
    }

    /// The next packet from `vip`; `None` when none is waiting.
    pub fn next(&self, vip: Ipv4Addr) -> Result<Option<Packet>, String> {
        let mut frame = [0; 2048];
        loop {
            match recv(self.0.as_raw_fd(), &mut frame, MsgFlags::empty()) {
                Ok(len) => {
                    if let Some(packet) = parse(&frame[..len], vip) {
                        return Ok(Some(packet));
                    }
                }
                Err(Errno::EAGAIN) => return Ok(None),
                Err(Errno::EINTR) => {}
                Err(e) => return Err(format!("the watcher on the wire failed: {e}")),
            }
        }
    }
}

impl AsFd for Wire {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn parse(frame: &[u8], vip: Ipv4Addr) -> Option<Packet> {
    let (ethernet, ip) = frame.split_at_checked(14)?;
    let source: [u8; 4] = ip.get(12..16)?.try_into().ok()?;
    let client: [u8; 4] = ip.get(16..20)?.try_into().ok()?;
    if ethernet[12..] != [0x08, 0x00] || Ipv4Addr::from(source) != vip {
        return None;
    }
    let mac: Vec<String> = ethernet[6..12]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let header = usize::from(ip[0] & 15) * 4;
    let flow = match (ip[9], ip.get(header..header + 4)) {
        (TCP, Some(ports)) => Some(Flow {
            client: Ipv4Addr::from(client),
            source_port: u16::from_be_bytes([ports[2], ports[3]]),
            server_port: u16::from_be_bytes([ports[0], ports[1]]),
        }),
        _ => None,
    };
    Some(Packet {
        mac: mac.join(":"),
        flow,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_an_answer_and_nothing_else() {
        let vip = Ipv4Addr::new(10, 0, 0, 80);
        let mut frame = vec![2, 0, 0, 0, 0, 100, 2, 0, 0, 0, 0, 3, 8, 0];
        frame.extend([
            0x45, 0, 0, 40, 0, 0, 0, 0, 64, TCP, 0, 0, 10, 0, 0, 80, 10, 0, 0, 100,
        ]);
        frame.extend([0, 80, 0x9c, 0x41]);
        let packet = parse(&frame, vip).unwrap();
        assert_eq!(packet.mac, "02:00:00:00:00:03");
        let flow = packet.flow.unwrap();
        assert_eq!(flow.client, Ipv4Addr::new(10, 0, 0, 100));
        assert_eq!((flow.source_port, flow.server_port), (40001, 80));

        assert_eq!(parse(&frame, Ipv4Addr::new(10, 0, 0, 81)), None);
        for len in 0..34 {
            assert_eq!(parse(&frame[..len], vip), None);
        }
        frame[23] = 1;
        assert_eq!(parse(&frame, vip).unwrap().flow, None);
    }
}
