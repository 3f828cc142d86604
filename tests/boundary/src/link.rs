// SPDX-License-Identifier: GPL-2.0-only

//! The devices' side: devices of odd kinds, names, addresses and sizes come, change and go, by
//! rtnetlink.

use crate::input::Input;
use crate::nft::attribute;
use crate::nft::plain;
use crate::nft::text;
use crate::rules::expect;
use crate::sys::device_name;
use crate::table::DEVICES;
use crate::world::World;
use anyhow::Context;
use anyhow::Result;
use harness::cluster::MAC_BYTES;
use harness::sys;
use std::fs;
use std::fs::File;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::os::fd::OwnedFd;

const NEWLINK: u16 = libc::RTM_NEWLINK;
const DELLINK: u16 = libc::RTM_DELLINK;
const NEWADDR: u16 = libc::RTM_NEWADDR;
const NEWLINKPROP: u16 = 108;
const DELLINKPROP: u16 = 109;

const ADDRESS: u16 = 1;
const BROADCAST: u16 = 2;
const NAME: u16 = 3;
const MTU: u16 = 4;
const LOWER: u16 = 5;
const MASTER: u16 = 10;
const INFO: u16 = 18;
const KIND: u16 = 1;
const DATA: u16 = 2;
const NAMESPACE: u16 = 28;
const PROPERTIES: u16 = 52;
const ALTNAME: u16 = 53;
const VETH_PEER: u16 = 1;
const NESTED: u16 = libc::NLA_F_NESTED as u16;

const REQUEST: u16 = (libc::NLM_F_REQUEST | libc::NLM_F_ACK) as u16;
const CREATE: u16 = REQUEST | (libc::NLM_F_CREATE | libc::NLM_F_EXCL) as u16;

/// So many are let be until the next checkpoint.
const ENOUGH: usize = 16;

const KINDS: [&str; 12] = [
    "dummy", "dummy", "bridge", "veth", "macvlan", "vlan", "ipip", "gre", "gretap", "ifb", "vrf",
    "bond",
];

/// What rtnetlink may say: anything but that it could not read what it was given.
const REFUSED: [i32; 20] = [
    // An address for a device that has no IPv4, for its MTU is below 68.
    libc::ENOBUFS,
    libc::EINVAL,
    libc::EEXIST,
    libc::ENODEV,
    libc::EBUSY,
    libc::EOPNOTSUPP,
    libc::EPERM,
    libc::ERANGE,
    libc::EADDRNOTAVAIL,
    libc::EADDRINUSE,
    libc::ELOOP,
    libc::ENOENT,
    libc::EMSGSIZE,
    libc::ENOTEMPTY,
    libc::ENAMETOOLONG,
    libc::ENETDOWN,
    libc::ENONET,
    libc::ENFILE,
    libc::EPROTONOSUPPORT,
    libc::ENOMEM,
];

pub struct Links {
    socket: OwnedFd,
    /// Where devices are moved to, and never come back from.
    elsewhere: File,
}

impl Links {
    pub fn new(elsewhere: File) -> io::Result<Self> {
        let socket = sys::socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_ROUTE)?;
        Ok(Self { socket, elsewhere })
    }

    fn ask(&self, kind: u16, flags: u16, content: &[u8]) -> io::Result<()> {
        sys::send(&self.socket, &plain(kind, flags, content))?;
        let mut buffer = [0; 8192];
        let mut result = Ok(());
        while let Some(length) = sys::receive(&self.socket, &mut buffer)? {
            if length >= 20 && buffer[4] == libc::NLMSG_ERROR as u8 {
                let errno = i32::from_ne_bytes([buffer[16], buffer[17], buffer[18], buffer[19]]);
                if errno != 0 {
                    result = Err(io::Error::from_raw_os_error(-errno));
                }
            }
        }
        result
    }

    pub fn delete(&self, name: &str) -> io::Result<()> {
        self.ask(
            DELLINK,
            REQUEST,
            &[header(0, false, false), text(NAME, name)].concat(),
        )
    }

    /// The one device that cannot be deleted may have the names of others, as its own or as alternative ones.
    pub fn take_names_from_loopback(&self) {
        if device_name(&self.socket, 1).is_ok_and(|name| name != "lo") {
            // Some other device may have its name: then any that is free.
            let _ = self
                .change(1, NEWLINK, &text(NAME, "lo"))
                .or_else(|_| self.change(1, NEWLINK, &text(NAME, "lo%d")));
        }
        for name in ["eth0", "eth1", "peer1"] {
            let list = attribute(PROPERTIES | NESTED, &text(ALTNAME, name));
            // As a rule it has not.
            let _ = self.change(1, DELLINKPROP, &list);
        }
    }

    pub fn up(&self, name: &str) -> io::Result<()> {
        self.ask(
            NEWLINK,
            REQUEST,
            &[header(0, true, true), text(NAME, name)].concat(),
        )
    }

    pub fn add_veth(&self, name: &str, peer: &str) -> io::Result<()> {
        let peer = [header(0, false, false), text(NAME, peer)].concat();
        let data = attribute(VETH_PEER | NESTED, &peer);
        self.add(
            name,
            "veth",
            &[attribute(DATA | NESTED, &data)].concat(),
            &[],
        )
    }

    fn add(&self, name: &str, kind: &str, data: &[u8], more: &[u8]) -> io::Result<()> {
        let info = [&text(KIND, kind), data].concat();
        let content = [
            &header(0, false, false)[..],
            &text(NAME, name),
            more,
            &attribute(INFO | NESTED, &info),
        ]
        .concat();
        self.ask(NEWLINK, CREATE, &content)
    }

    pub fn add_address(&self, device: i32, address: Ipv4Addr, prefix: u8) -> io::Result<()> {
        let mut content = vec![libc::AF_INET as u8, prefix, 0, 0];
        content.extend(device.to_ne_bytes());
        content.extend(attribute(1, &address.octets()));
        content.extend(attribute(2, &address.octets()));
        self.ask(NEWADDR, CREATE, &content)
    }

    /// A change of the device of this name.
    fn change(&self, device: i32, kind: u16, attributes: &[u8]) -> io::Result<()> {
        self.ask(
            kind,
            REQUEST,
            &[&header(device, false, false), attributes].concat(),
        )
    }
}

/// `struct ifinfomsg`; with `flag` the device is put up or down.
fn header(device: i32, flag: bool, up: bool) -> Vec<u8> {
    let mut bytes = vec![0; 4];
    bytes.extend(device.to_ne_bytes());
    bytes.extend(u32::from(up).to_ne_bytes());
    bytes.extend(u32::from(flag).to_ne_bytes());
    bytes
}

/// The names of all devices of this namespace.
pub fn names() -> Result<Vec<String>> {
    let list = fs::read_to_string("/proc/thread-self/net/dev")?;
    let name = |line: &str| line.split(':').next().unwrap_or("").trim().to_string();
    Ok(list.lines().skip(2).map(name).collect())
}

/// Takes devices away when there are many.
pub fn thin_out(world: &World) -> Result<()> {
    let names = names()?;
    if names.len() > ENOUGH {
        for name in names {
            if !["lo", "eth0", "eth1", "peer1"].contains(&name.as_str()) {
                // It may have gone with another one.
                let _ = world.links.delete(&name);
            }
        }
    }
    Ok(())
}

fn name(input: &mut Input) -> String {
    match input.below(16) {
        15 => input
            .pick(&[
                "",
                "a_16_bytes_name_",
                ".",
                "..",
                "a/b",
                "a b",
                "eth%d",
                "10.9.0.100",
                "\u{e9}",
            ])
            .to_string(),
        14 => format!("dum{}", input.byte()),
        _ => input.pick(&DEVICES[..9]).to_string(),
    }
}

/// Some device's number; any number at times.
fn device(input: &mut Input) -> i32 {
    if input.one_in(16) {
        return input.long() as i32;
    }
    let name = input.pick(&DEVICES[..9]);
    sys::device_number(name).unwrap_or(1)
}

pub fn change(world: &mut World, input: &mut Input) -> Result<()> {
    let links = &world.links;
    let result = match input.below(12) {
        0 | 1 => add(links, input),
        2 => links.delete(&name(input)),
        3 | 4 => {
            let device = device(input);
            links.change(device, NEWLINK, &text(NAME, &name(input)))
        }
        5 => {
            let kind = input.pick(&[NEWLINKPROP, NEWLINKPROP, DELLINKPROP]);
            let list = text(ALTNAME, &name(input));
            links.change(device(input), kind, &attribute(PROPERTIES | NESTED, &list))
        }
        6 => {
            let mtu = input.pick(&[0_u32, 67, 68, 69, 576, 1280, 1500, 9000, 65_535, u32::MAX]);
            links.change(device(input), NEWLINK, &attribute(MTU, &mtu.to_ne_bytes()))
        }
        7 => {
            let length = input.pick(&[6, 6, 6, 0, 1, 4, 5, 7, 8, 32, 33]);
            let mut address = input.bytes(length);
            if let (true, Some(first)) = (input.one_in(2), address.first_mut()) {
                *first &= 0xfe;
            }
            if length == 6 && input.one_in(8) {
                address = MAC_BYTES.to_vec();
            }
            let kind = input.pick(&[ADDRESS, ADDRESS, BROADCAST]);
            links.change(device(input), NEWLINK, &attribute(kind, &address))
        }
        8 => {
            let device = device(input);
            let up = input.one_in(2);
            links.ask(NEWLINK, REQUEST, &header(device, true, up))
        }
        9 => {
            let master = if input.one_in(2) { 0 } else { device(input) };
            links.change(
                device(input),
                NEWLINK,
                &attribute(MASTER, &master.to_ne_bytes()),
            )
        }
        10 => {
            let fd = links.elsewhere.as_raw_fd();
            let mut content = attribute(NAMESPACE, &fd.to_ne_bytes());
            if input.one_in(2) {
                content.extend(text(NAME, &name(input)));
            }
            links.change(device(input), NEWLINK, &content)
        }
        _ => {
            let prefix = input.byte() % 33;
            let address = crate::table::vip(input);
            links.add_address(device(input), address, prefix)
        }
    };
    world.counts.device_changes += u64::from(result.is_ok());
    world.forget_what_was_said();
    expect(result, &REFUSED, "a change of a device")
}

fn add(links: &Links, input: &mut Input) -> io::Result<()> {
    let kind = input.pick(&KINDS);
    let name = name(input);
    let mut more = Vec::new();
    let mut data = Vec::new();
    match kind {
        "veth" => return links.add_veth(&name, &format!("v{}", input.byte())),
        "macvlan" => more = attribute(LOWER, &device(input).to_ne_bytes()),
        "vlan" => {
            more = attribute(LOWER, &device(input).to_ne_bytes());
            data = attribute(
                DATA | NESTED,
                &attribute(1, &(input.word() % 4096).to_ne_bytes()),
            );
        }
        _ => {}
    }
    if input.one_in(4) {
        let length = input.pick(&[6, 6, 4, 5, 7]);
        more.extend(attribute(ADDRESS, &input.bytes(length)));
    }
    links.add(&name, kind, &data, &more)
}

/// The device's number, which it must have.
pub fn number(name: &str) -> Result<i32> {
    sys::device_number(name).with_context(|| format!("no device {name}"))
}
