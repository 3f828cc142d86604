// SPDX-License-Identifier: GPL-2.0-only

//! The table of all VIPs, in place of a file of `seq_file`.

use super::net::Net;
use kernel::prelude::*;
use kernel::seq_file::SeqFile;
use std::marker::PhantomData;

pub(crate) trait Table: 'static {
    fn header(out: &SeqFile);
    fn next(net: &Net, from: u32) -> Option<u32>;
    fn show(net: &Net, key: u32, out: &SeqFile) -> Result;
}

/// There is room for all.
pub(crate) fn is_full(_: &SeqFile) -> bool {
    false
}

/// What a reader sees who takes his time, for there may be more than one piece.
pub(crate) fn read<T: Table>(net: &Net) -> Result<String> {
    let out = SeqFile::default();
    T::header(&out);
    let mut from = 0;
    while let Some(key) = T::next(net, from) {
        T::show(net, key, &out)?;
        from = key + 1;
    }
    Ok(out.text())
}

pub(crate) struct TableFile<T>(PhantomData<fn() -> T>);

impl<T: Table> TableFile<T> {
    pub(crate) fn new(net: &Net, _: &CStr) -> Result<Self> {
        assert!(!net.stat.replace(true), "a second table");
        Ok(Self(PhantomData))
    }

    pub(crate) fn remove(self, net: &Net) {
        assert!(net.stat.replace(false), "a table that is not there ends");
    }
}
