// SPDX-License-Identifier: GPL-2.0-only

//! Devices made, changed and removed by netlink.

use anyhow::Context;
use anyhow::Result;
use netlink_packet_core::NetlinkHeader;
use netlink_packet_core::NetlinkMessage;
use netlink_packet_core::NetlinkPayload;
use netlink_packet_core::NLM_F_ACK;
use netlink_packet_core::NLM_F_CREATE;
use netlink_packet_core::NLM_F_EXCL;
use netlink_packet_core::NLM_F_REQUEST;
use netlink_packet_route::link::InfoData;
use netlink_packet_route::link::InfoKind;
use netlink_packet_route::link::InfoVeth;
use netlink_packet_route::link::LinkAttribute;
use netlink_packet_route::link::LinkFlags;
use netlink_packet_route::link::LinkInfo;
use netlink_packet_route::link::LinkMessage;
use netlink_packet_route::link::Prop;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::Socket;
use netlink_sys::SocketAddr;
use std::io;
use std::os::fd::RawFd;

/// A socket for the devices of one namespace.
pub struct Links(Socket);

impl Links {
    /// For the calling thread's namespace.
    pub fn new() -> Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE).context("a netlink socket")?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        Ok(Self(socket))
    }

    pub fn dummy(&self, name: &str) -> io::Result<()> {
        let mut message = named(name);
        message
            .attributes
            .push(LinkAttribute::LinkInfo(vec![LinkInfo::Kind(
                InfoKind::Dummy,
            )]));
        self.create(message)
    }

    /// A cable; its second end is in the namespace of that descriptor, or in this one.
    pub fn veth(&self, name: &str, peer: &str, namespace: Option<RawFd>) -> io::Result<()> {
        let mut end = named(peer);
        end.attributes.extend(namespace.map(LinkAttribute::NetNsFd));
        let mut message = named(name);
        message.attributes.push(LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::Veth),
            LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(end))),
        ]));
        self.create(message)
    }

    pub fn delete(&self, name: &str) -> io::Result<()> {
        self.tell(RouteNetlinkMessage::DelLink(named(name)), 0)
    }

    /// The device must be known by its number for that.
    pub fn rename(&self, name: &str, to: &str) -> io::Result<()> {
        let number = match self.ask(RouteNetlinkMessage::GetLink(named(name)), 0)? {
            NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link)) => link.header.index,
            other => return Err(unknown(&other)),
        };
        let mut message = named(to);
        message.header.index = number;
        self.tell(RouteNetlinkMessage::SetLink(message), 0)
    }

    pub fn set_up(&self, name: &str, up: bool) -> io::Result<()> {
        let mut message = named(name);
        message.header.change_mask = LinkFlags::Up;
        if up {
            message.header.flags = LinkFlags::Up;
        }
        self.tell(RouteNetlinkMessage::SetLink(message), 0)
    }

    pub fn move_to(&self, name: &str, namespace: RawFd) -> io::Result<()> {
        let mut message = named(name);
        message.attributes.push(LinkAttribute::NetNsFd(namespace));
        self.tell(RouteNetlinkMessage::SetLink(message), 0)
    }

    /// Gives a device a further name, or takes it away.
    pub fn further_name(&self, name: &str, further: &str, add: bool) -> io::Result<()> {
        let mut message = named(name);
        message
            .attributes
            .push(LinkAttribute::PropList(vec![Prop::AltIfName(
                further.to_string(),
            )]));
        if add {
            let flags = NLM_F_CREATE | NLM_F_EXCL;
            self.tell(RouteNetlinkMessage::NewLinkProp(message), flags)
        } else {
            self.tell(RouteNetlinkMessage::DelLinkProp(message), 0)
        }
    }

    fn create(&self, message: LinkMessage) -> io::Result<()> {
        let flags = NLM_F_CREATE | NLM_F_EXCL;
        self.tell(RouteNetlinkMessage::NewLink(message), flags)
    }

    /// Has something done.
    fn tell(&self, message: RouteNetlinkMessage, flags: u16) -> io::Result<()> {
        match self.ask(message, NLM_F_ACK | flags)? {
            NetlinkPayload::Error(_) => Ok(()),
            other => Err(unknown(&other)),
        }
    }

    /// The answer, if it is no error.
    fn ask(&self, message: RouteNetlinkMessage, flags: u16) -> io::Result<Answer> {
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | flags;
        let mut request = NetlinkMessage::new(header, NetlinkPayload::from(message));
        request.finalize();
        let mut bytes = vec![0; request.buffer_len()];
        request.serialize(&mut bytes);
        self.0.send(&bytes, 0)?;
        let mut answer = Vec::with_capacity(8192);
        self.0.recv(&mut answer, 0)?;
        let answer = NetlinkMessage::deserialize(&answer).map_err(io::Error::other)?;
        match answer.payload {
            NetlinkPayload::Error(error) if error.code.is_some() => Err(error.to_io()),
            answer => Ok(answer),
        }
    }
}

type Answer = NetlinkPayload<RouteNetlinkMessage>;

fn unknown(answer: &Answer) -> io::Error {
    io::Error::other(format!("an answer of netlink: {answer:?}"))
}

/// A message about the device of a name.
fn named(name: &str) -> LinkMessage {
    let mut message = LinkMessage::default();
    message
        .attributes
        .push(LinkAttribute::IfName(name.to_string()));
    message
}
