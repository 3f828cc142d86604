// SPDX-License-Identifier: GPL-2.0-only

//! Frames put on a device and taken off it.

use super::eventually;
use super::pace;
use super::sys;
use super::Netns;
use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use std::os::fd::OwnedFd;
use std::time::Duration;
use std::time::Instant;

pub const ETH_ARP: u16 = 0x0806;
pub const ETH_IP: u16 = 0x0800;

/// A packet socket on a device.
pub struct Tap(OwnedFd);

impl Tap {
    /// Hears frames of one protocol; of none if it is 0.
    pub fn new(namespace: &Netns, device: &str, protocol: u16) -> Result<Self> {
        namespace
            .enter(|| {
                let socket = sys::socket(libc::AF_PACKET, libc::SOCK_RAW, 0)?;
                let number = sys::device_number(device)?;
                sys::bind_packet(&socket, number, protocol)?;
                std::io::Result::Ok(Self(socket))
            })?
            .with_context(|| format!("a packet socket on {device} in {}", namespace.name()))
    }

    /// Waits until the device takes frames: one that has just come up drops what is sent until the
    /// kernel has looked at its carrier, in its own time.
    pub fn expect_carrier(&self) -> Result<()> {
        eventually("a device that has come up", || {
            sys::carries(&self.0).context("a device's flags")
        })
    }

    /// Makes room for so many bytes of frames that are not yet taken off; each counts for more than
    /// its length.
    pub fn room(&self, bytes: u32) -> Result<()> {
        let value = bytes.to_ne_bytes();
        sys::set_option(&self.0, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, &value)
            .context("room for frames")
    }

    pub fn send(&self, frame: &[u8]) -> Result<()> {
        sys::send(&self.0, frame).context("sending a frame")
    }

    /// The next frame, if one is there now.
    pub fn receive(&self) -> Result<Option<Vec<u8>>> {
        let mut buffer = vec![0; 2048];
        let length = sys::receive(&self.0, &mut buffer).context("receiving a frame")?;
        Ok(length.map(|length| buffer[..length].to_vec()))
    }

    /// The next frame that `wanted` takes; others are passed over. An error of `what` after 2 s, or
    /// what this run has for it.
    pub fn wait(&self, what: &str, wanted: impl Fn(&[u8]) -> bool) -> Result<Vec<u8>> {
        let limit = pace::patience(Duration::from_secs(2));
        let deadline = Instant::now() + limit;
        loop {
            match self.receive()? {
                Some(frame) if wanted(&frame) => return Ok(frame),
                Some(_) => {}
                None => {
                    ensure!(
                        Instant::now() < deadline,
                        "within {limit:?} there was no {what}"
                    );
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
        }
    }

    /// Makes it a ring for sending.
    pub fn into_ring(self) -> Result<sys::TxRing> {
        sys::TxRing::new(self.0).context("PACKET_TX_RING")
    }
}
