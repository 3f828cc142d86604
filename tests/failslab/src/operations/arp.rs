// SPDX-License-Identifier: GPL-2.0-only

//! An ARP message that somebody else looks at, too: to be rewritten it needs a copy of its own. It is
//! sent by `tests/arp-xmit`, for the stack itself shares none.

use super::rules::rule;
use crate::faults::Faults;
use crate::room;
use crate::room::Room;
use crate::sweep::Operation;
use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use harness::cluster::VIP_ADDRESS;
use harness::host::program;
use harness::module;
use harness::packet::Arp;
use harness::packet::Mac;
use harness::tap::Tap;
use harness::tap::ETH_ARP;
use harness::Ctx;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::Write;
use std::thread::sleep;
use std::time::Duration;

const XMIT: &str = "/sys/kernel/debug/arp_xmit";
/// C: `SHARED`.
const SHARED: u8 = 1;
const TO: Mac = [2, 0xaa, 0, 0, 0, 1];
const OWN: Mac = [2, 0xbb, 0, 0, 0, 1];
/// How long a frame may take that is expected not to come; each attempt is followed by one that
/// comes, by the same way and at once.
const PATIENCE: Duration = Duration::from_millis(50);

struct Copy {
    room: Room,
    tap: Tap,
    description: Vec<u8>,
    file: File,
    seen: Option<Mac>,
}

pub fn private_copy(ctx: &mut Ctx, _: &Faults) -> Result<Box<dyn Operation>> {
    if !module::is_loaded("arp_xmit") {
        let own = std::env::current_exe()?.with_file_name("arp_xmit.ko");
        program(&format!("insmod {}", own.display()))?;
    }
    let room = Room::new(ctx)?;
    room.replace("filter", &[rule(VIP_ADDRESS)])?;
    let file = OpenOptions::new().write(true).open(XMIT).context(XMIT)?;
    Ok(Box::new(Copy {
        tap: Tap::new(&room.host, "eth1", ETH_ARP)?,
        room,
        description: description(),
        file,
        seen: None,
    }))
}

/// As the module wants it: `struct description` in `arp_xmit.c`.
fn description() -> Vec<u8> {
    let message = Arp {
        operation: 2,
        sender_mac: OWN,
        sender: VIP_ADDRESS,
        target_mac: TO,
        target: [10, 9, 0, 254].into(),
    };
    let content = message.bytes();
    let mut bytes = b"eth0".to_vec();
    bytes.resize(16, 0);
    bytes.extend(TO);
    bytes.extend((content.len() as u16).to_ne_bytes());
    bytes.extend(0_u16.to_ne_bytes());
    bytes.extend([0, SHARED]);
    bytes.extend(content);
    bytes
}

impl Operation for Copy {
    fn attempt(&mut self) -> io::Result<()> {
        self.seen = None;
        // The sender compares what it shared with what it sent: EIO if that was rewritten.
        self.room
            .host
            .enter(|| self.file.write_all(&self.description))
            .map_err(io::Error::other)??;
        for _ in 0..10 {
            while let Some(frame) = self.tap.receive().map_err(io::Error::other)? {
                self.seen = frame
                    .starts_with(&TO)
                    .then(|| Arp::parse(&frame[14..]))
                    .flatten()
                    .map(|arp| arp.sender_mac)
                    .or(self.seen);
            }
            if self.seen.is_some() {
                return Ok(());
            }
            sleep(PATIENCE / 10);
        }
        Err(io::Error::other("the message is not sent"))
    }

    fn refused(&mut self, ctx: &mut Ctx, error: &io::Error) -> Result<()> {
        ensure!(
            error.raw_os_error().is_none(),
            "the message should be dropped and no more"
        );
        // Never a line for a packet.
        ctx.expect_silence()
    }

    fn done(&mut self, ctx: &mut Ctx) -> Result<()> {
        let wanted = room::mac(VIP_ADDRESS);
        ensure!(
            self.seen == Some(wanted),
            "the message should name {wanted:02x?}, not {:02x?}",
            self.seen
        );
        ctx.expect_silence()
    }

    fn undo(&mut self, _: &mut Ctx) -> Result<()> {
        Ok(())
    }
}
