// SPDX-License-Identifier: GPL-2.0-only

//! What NFLOG rules say of packets, read off a netlink socket (`linux/netfilter/nfnetlink_log.h`).

use anyhow::bail;
use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use harness::sys;
use std::os::fd::OwnedFd;

/// The group of all rules.
pub const GROUP: u16 = 5;

const NETLINK_NETFILTER: i32 = 12;
const MESSAGE_PACKET: u16 = 4 << 8;
const MESSAGE_CONFIG: u16 = MESSAGE_PACKET | 1;
const MESSAGE_ERROR: u16 = 2;
const FLAG_REQUEST: u16 = 1;
const FLAG_ACK: u16 = 4;

const CONFIG_COMMAND: u16 = 1;
const CONFIG_MODE: u16 = 2;
const CONFIG_BUFFER: u16 = 3;
const CONFIG_TIMEOUT: u16 = 4;
const CONFIG_THRESHOLD: u16 = 5;
const CONFIG_FLAGS: u16 = 6;
const BIND: u8 = 1;
const COPY_PACKET: u8 = 2;
const WITH_SEQUENCE: u16 = 1;
const WITH_CONNTRACK: u16 = 4;

const PAYLOAD: u16 = 9;
const PREFIX: u16 = 10;
const SEQUENCE: u16 = 12;
const CONNECTION: u16 = 18;
const CONNECTION_INFO: u16 = 19;
/// Within `CONNECTION`.
const CONNECTION_MARK: u16 = 8;

/// How much of a packet is copied: the longest header and the start of what follows.
const COPY: u32 = 80;

/// What one rule said of one packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The one letter of the rule's prefix.
    pub prefix: u8,
    /// Conntrack's word on the packet (`enum ip_conntrack_info`), and the connection's mark.
    pub connection: Option<(u32, u32)>,
    /// The packet's start.
    pub packet: Vec<u8>,
}

impl Record {
    /// The packet's number (the identification in its header).
    pub fn id(&self) -> u16 {
        match self.packet.get(4..6) {
            Some(bytes) => u16::from_be_bytes([bytes[0], bytes[1]]),
            None => 0,
        }
    }
}

/// Hears the group in one namespace.
pub struct Log {
    socket: OwnedFd,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Log {
    /// In the calling thread's namespace.
    pub fn new() -> Result<Self> {
        let socket = sys::socket(libc::AF_NETLINK, libc::SOCK_RAW, NETLINK_NETFILTER)?;
        let room = (32_i32 << 20).to_ne_bytes();
        sys::set_option(&socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, &room)?;
        let mut log = Self {
            socket,
            sequence: 0,
            buffer: vec![0; 1 << 18],
        };
        log.configure(&attribute(CONFIG_COMMAND, &[BIND]))
            .context("binding the group")?;
        let mode = [&COPY.to_be_bytes()[..], &[COPY_PACKET, 0]].concat();
        let flags = (WITH_SEQUENCE | WITH_CONNTRACK).to_be_bytes();
        let settings = [
            attribute(CONFIG_MODE, &mode),
            attribute(CONFIG_BUFFER, &60_000_u32.to_be_bytes()),
            attribute(CONFIG_TIMEOUT, &100_u32.to_be_bytes()),
            attribute(CONFIG_THRESHOLD, &400_u32.to_be_bytes()),
            attribute(CONFIG_FLAGS, &flags),
        ];
        log.configure(&settings.concat())
            .context("setting the group up")?;
        Ok(log)
    }

    fn configure(&mut self, attributes: &[u8]) -> Result<()> {
        let mut message = (20 + attributes.len() as u32).to_ne_bytes().to_vec();
        message.extend(MESSAGE_CONFIG.to_ne_bytes());
        message.extend((FLAG_REQUEST | FLAG_ACK).to_ne_bytes());
        message.extend([0; 8]);
        // `struct nfgenmsg`: AF_UNSPEC, version 0, the group.
        message.extend([0, 0]);
        message.extend(GROUP.to_be_bytes());
        message.extend(attributes);
        sys::send(&self.socket, &message)?;
        let length = sys::receive(&self.socket, &mut self.buffer)?.context("no answer")?;
        let answer = &self.buffer[..length];
        ensure!(
            length >= 20 && half(&answer[4..]) == MESSAGE_ERROR,
            "a strange answer"
        );
        match word(&answer[16..]) {
            0 => Ok(()),
            error => bail!(std::io::Error::from_raw_os_error(-(error as i32))),
        }
    }

    /// What has been said since the last call. It is an error that something was lost.
    pub fn read(&mut self, records: &mut Vec<Record>) -> Result<()> {
        loop {
            let received = sys::receive(&self.socket, &mut self.buffer);
            let Some(length) = received.context("records of packets were lost")? else {
                return Ok(());
            };
            let buffer = std::mem::take(&mut self.buffer);
            let result = self.messages(&buffer[..length], records);
            self.buffer = buffer;
            result?;
        }
    }

    fn messages(&mut self, mut bytes: &[u8], records: &mut Vec<Record>) -> Result<()> {
        while bytes.len() >= 16 {
            let length = word(bytes) as usize;
            ensure!(
                (16..=bytes.len()).contains(&length),
                "a broken netlink message"
            );
            if half(&bytes[4..]) == MESSAGE_PACKET {
                ensure!(length >= 20, "a short record");
                records.push(self.record(&bytes[20..length])?);
            }
            bytes = &bytes[length.next_multiple_of(4).min(bytes.len())..];
        }
        Ok(())
    }

    fn record(&mut self, bytes: &[u8]) -> Result<Record> {
        let mut record = Record {
            prefix: b'?',
            connection: None,
            packet: Vec::new(),
        };
        let (mut info, mut mark, mut sequence) = (None, 0, None);
        for (kind, value) in attributes(bytes) {
            match kind {
                PAYLOAD => record.packet = value.to_vec(),
                PREFIX => record.prefix = *value.first().context("no prefix")?,
                SEQUENCE => sequence = Some(big(value)?),
                CONNECTION_INFO => info = Some(big(value)?),
                CONNECTION => {
                    for (kind, value) in attributes(value) {
                        if kind == CONNECTION_MARK {
                            mark = big(value)?;
                        }
                    }
                }
                _ => {}
            }
        }
        ensure!(
            sequence == Some(self.sequence),
            "record {} is lost, {sequence:?} came",
            self.sequence
        );
        self.sequence += 1;
        record.connection = info.map(|info| (info, mark));
        Ok(record)
    }
}

fn half(bytes: &[u8]) -> u16 {
    u16::from_ne_bytes([bytes[0], bytes[1]])
}

fn word(bytes: &[u8]) -> u32 {
    u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

fn big(bytes: &[u8]) -> Result<u32> {
    let bytes = bytes.get(..4).context("a short attribute")?;
    Ok(u32::from_be_bytes(bytes.try_into()?))
}

/// An attribute, padded.
fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = (4 + value.len() as u16).to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// The attributes in a message, by kind without its flags.
fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        if bytes.len() < 4 {
            return None;
        }
        let length = usize::from(half(bytes));
        let kind = half(&bytes[2..]) & 0x3fff;
        let value = bytes.get(4..length)?;
        bytes = &bytes[length.next_multiple_of(4).min(bytes.len())..];
        Some((kind, value))
    })
}
