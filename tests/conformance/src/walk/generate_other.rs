// SPDX-License-Identifier: GPL-2.0-only

//! The steps of a seed that are not about rules: files, devices, namespaces.

use super::generate::vip;
use super::generate::Generator;
use super::generate::DEVICES;
use super::step::Action;
use super::step::FileStep;
use super::step::How;
use super::step::LinkStep;
use super::step::Step;

/// Further names of devices; no rule has them.
const FURTHER: [&str; 2] = ["alt0", "alt1"];

/// Writes that are no command.
const NO_SIGN: [&[u8]; 8] = [b"", b"2", b" +2", b"\n", b"\0", b"*2", b"\n+2", b"a"];
const NO_NUMBER: [&[u8]; 14] = [
    b"+", b"-", b"+\n", b"+abc", b"+0x2", b"+ 2", b"+2 ", b"+2\n\n", b"+2\r\n", b"+2,4", b"--2",
    b"+-2", b"+++2", b"-\x0002",
];
const TOO_LONG: [&[u8]; 4] = [
    b"+0000000002",
    b"+000000002\n",
    b"-1\0\0\0\0\0\0\0\0\0",
    b"+2 and the rest of the day",
];
/// Numbers that no cluster here has; above 65535 the two differ, 33 to 64 the original hides.
const NO_NODE: [&[u8]; 8] = [
    b"+0", b"-0", b"+65", b"-65\n", b"+255", b"+65535", b"-65535", b"-000000",
];

/// A command that the file takes, if the node is one of the cluster's and not there yet, or there.
fn command(generator: &mut Generator) -> Vec<u8> {
    let node = if generator.one_in(3) {
        generator.rng.u16(1..=32)
    } else {
        generator.rng.u16(1..=5)
    };
    let sign = generator.of(&["+", "-"]);
    match generator.rng.u8(0..9) {
        0..3 => format!("{sign}{node}"),
        3..6 => format!("{sign}{node}\n"),
        6 => format!("{sign}+{node}"),
        7 => format!("{sign}{node:09}"),
        _ => format!("{sign}{node}\0xyz"),
    }
    .into_bytes()
}

/// Something written, what to count it as, and whether it is bad.
fn text(generator: &mut Generator) -> (Vec<u8>, &'static str, bool) {
    match generator.rng.u8(0..10) {
        0 => (
            generator.of(&NO_SIGN).to_vec(),
            "write without a sign",
            true,
        ),
        1 => (generator.of(&NO_NUMBER).to_vec(), "write no number", true),
        2 => (generator.of(&TOO_LONG).to_vec(), "write too much", true),
        3 => (generator.of(&NO_NODE).to_vec(), "write no node", true),
        _ => (command(generator), "write a command", false),
    }
}

impl Generator {
    pub fn file(&mut self) -> Step {
        let vip = vip(self.vip());
        let (step, kind, bad) = match self.rng.u8(0..40) {
            0 => (
                FileStep::Mode(self.of(&[0o600, 0o644, 0o400, 0o666])),
                "chmod",
                false,
            ),
            1 => (FileStep::Owner(self.of(&[0, 7, 1000])), "chown", false),
            2 => (FileStep::Truncate, "truncate", false),
            3 => (FileStep::Remove, "remove a file", true),
            4 => (FileStep::Create, "make a file", true),
            5 => {
                let length = self.of(&[0, 2, 10, 11]);
                (FileStep::WriteUnreadable(length), "write unreadable", true)
            }
            6..9 => (FileStep::Hold, "open", false),
            9 => {
                let (text, _, _) = text(self);
                let at = self.of(&[0, 1, 9]);
                (FileStep::Write(text, How::At(at)), "write at a place", true)
            }
            _ => {
                let (text, kind, bad) = text(self);
                let how = self.of(&[
                    How::Plain,
                    How::Plain,
                    How::Append,
                    How::Truncate,
                    How::ReadWrite,
                ]);
                (FileStep::Write(text, how), kind, bad)
            }
        };
        Step {
            bad,
            ..Self::good(kind, Action::File(vip, step))
        }
    }

    /// With a file that stays open, its VIP gone or not.
    pub fn held(&mut self) -> Step {
        let (step, kind) = match self.rng.u8(0..5) {
            0 | 1 => {
                let vip = vip(self.vip());
                return Self::good("open", Action::File(vip, FileStep::Hold));
            }
            2 | 3 => (FileStep::Read, "read an open file"),
            _ => (
                FileStep::Write(command(self), How::ReadWrite),
                "write to an open file",
            ),
        };
        Self::good(kind, Action::Held(step))
    }

    pub fn link(&mut self) -> Step {
        // One that is likely to be there, and any.
        let likely = self.of(&[2, 4, 6]);
        let one = self.of(&DEVICES[..likely]);
        let other = self.of(&DEVICES[..6]);
        let further = self.of(&FURTHER);
        let (step, kind) = match self.rng.u8(0..20) {
            0..4 => (LinkStep::Dummy(other), "make a dummy"),
            4 => (LinkStep::Veth(other, one), "make a veth"),
            5 => (LinkStep::Across(one, other), "make a veth across"),
            6..8 => (LinkStep::Delete(one), "delete a device"),
            8..10 => (
                LinkStep::Rename(one, self.of(&DEVICES[4..6])),
                "rename a device",
            ),
            10..13 => (LinkStep::Rename(one, other), "rename a device"),
            13 => (LinkStep::Up(one), "set up"),
            14 => (LinkStep::Down(one), "set down"),
            15..17 => (LinkStep::Move(one), "move a device"),
            17 => (
                LinkStep::Name(self.of(&DEVICES[..2]), further),
                "further name",
            ),
            // The device is found by that name, too.
            18 => (LinkStep::Unname(further, further), "take a further name"),
            _ => match self.rng.u8(0..3) {
                0 => (LinkStep::Delete("lo"), "touch lo"),
                1 => (LinkStep::Rename("lo", one), "touch lo"),
                _ => (LinkStep::Up("lo"), "touch lo"),
            },
        };
        Self::good(kind, Action::Link(step))
    }

    pub fn namespace(&mut self) -> Step {
        let (action, kind) = if self.second && self.one_in(2) {
            self.second = false;
            (Action::EndSecond, "end a namespace")
        } else {
            self.second = true;
            (Action::MakeSecond, "make a namespace")
        };
        Self::good(kind, action)
    }
}
