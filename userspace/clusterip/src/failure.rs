// SPDX-License-Identifier: GPL-2.0-only

//! Why a command ends: its exit code, and one sentence.

use std::io;

/// It is done; of `check`: the cluster is whole.
pub const DONE: u8 = 0;
/// It could not be done; of `check`: the cluster is not whole.
pub const FAILED: u8 = 1;
/// It was not understood; of `check`: somebody could not be asked.
pub const USAGE: u8 = 2;
/// The module is not loaded, or too old to be asked.
pub const NO_MODULE: u8 = 3;
/// There is no VIP here, or not this one.
pub const NO_VIP: u8 = 4;
/// Only root may.
pub const NOT_PERMITTED: u8 = 5;

/// What every command comes to.
pub type Result<T = (), E = Failure> = std::result::Result<T, E>;

/// An exit code other than [`DONE`], and what to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// One of those above.
    pub code: u8,
    /// A sentence without its full stop; empty where all is said already.
    pub text: String,
}

impl Failure {
    /// Ends with this code and these words.
    pub fn new(code: u8, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { code, text }
    }
}

/// Of writing to where output goes. Who reads no further, as `head`, has all that was wanted.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::new(DONE, ""),
            _ => Self::new(FAILED, format!("can't write what was found: {error}")),
        }
    }
}
