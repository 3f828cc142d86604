// SPDX-License-Identifier: GPL-2.0-only

//! A directory of procfs, and those who are in its files: who removes one waits for them. Those who poll a file are in it
//! no more when they sleep. What the callbacks of the module's own file do, in their order, is said here once more.

use super::net::Net;
use super::rcu::RcuArc;
use super::wait::WaitQueue;
use crate::bindings::Poll;
use kernel::prelude::*;
use kernel::seq_file::SeqFile;
use kernel::uaccess::UserSliceReader;
use loom::sync::Condvar;
use loom::sync::Mutex;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::marker::PhantomData;

pub(crate) trait Files: 'static {
    fn show(net: &Net, key: u32, out: &SeqFile) -> Result;
    fn write(net: &Net, key: u32, line: UserSliceReader) -> Result;
    fn generation(net: &Net, key: u32) -> Result<u32>;
}

/// What the callback of `poll()` does: the generation that there is once somebody is on the queue.
pub(crate) fn poll<T: Files>(net: &Net, key: u32, poll: &Poll) -> Result<u32> {
    let table: *const Poll = poll;
    let watchers = net.files.watchers().ok_or(EIO)?;
    // SAFETY: Whoever polls takes himself off the queue before he goes; it is retired after the files are gone.
    unsafe { watchers.register(std::ptr::null_mut(), table.cast_mut()) };
    T::generation(net, key)
}

/// What the callback of `write()` does.
pub(crate) fn write<T: Files>(net: &Net, key: u32, line: UserSliceReader) -> Result {
    let before = T::generation(net, key)?;
    T::write(net, key, line)?;
    if T::generation(net, key) != Ok(before) {
        net.files.wake();
    }
    Ok(())
}

/// The name of a file.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct FileName(Vec<u8>);

impl FileName {
    pub(crate) fn push(&mut self, byte: u8) {
        self.0.push(byte);
    }
}

/// The files of a namespace.
pub(crate) struct Table {
    state: Mutex<State>,
    /// Those who poll one of the files, while there is a directory.
    watchers: RefCell<Option<RcuArc<WaitQueue>>>,
    left: Condvar,
}

#[derive(Default)]
struct State {
    /// By name: which file of all that there were, and its key.
    files: BTreeMap<FileName, (usize, u32)>,
    /// How many are in a call, for each file that there was.
    inside: Vec<usize>,
}

impl Table {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::default(),
            watchers: RefCell::default(),
            left: Condvar::new(),
        }
    }

    fn watchers(&self) -> Option<RcuArc<WaitQueue>> {
        self.watchers.borrow().clone()
    }

    fn wake(&self) {
        if let Some(watchers) = self.watchers() {
            watchers.wake();
        }
    }

    pub(crate) fn has(&self, name: &FileName) -> bool {
        self.state.lock().expect("a lock").files.contains_key(name)
    }

    /// Does something inside a file, if there is one of the name.
    pub(crate) fn enter<T>(&self, name: &FileName, action: impl FnOnce(u32) -> T) -> Option<T> {
        let (file, key) = {
            let mut state = self.state.lock().expect("a lock");
            let (file, key) = *state.files.get(name)?;
            state.inside[file] += 1;
            (file, key)
        };
        let result = action(key);
        self.state.lock().expect("a lock").inside[file] -= 1;
        self.left.notify_all();
        Some(result)
    }

    fn create(&self, name: &FileName, key: u32) {
        let mut state = self.state.lock().expect("a lock");
        let file = state.inside.len();
        let before = state.files.insert(name.clone(), (file, key));
        assert!(before.is_none(), "{name:?} is already registered");
        state.inside.push(0);
    }

    fn remove(&self, name: &FileName) -> Result {
        let mut state = self.state.lock().expect("a lock");
        let (file, _) = state.files.remove(name).ok_or(ENOENT)?;
        while state.inside[file] > 0 {
            state = self.left.wait(state).expect("a lock");
        }
        Ok(())
    }
}

/// Its files go with it.
pub(crate) struct Dir<T> {
    net: *const Net,
    _type: PhantomData<fn() -> T>,
}

// SAFETY: loom runs all threads of a model on one.
unsafe impl<T> Send for Dir<T> {}
// SAFETY: As above.
unsafe impl<T> Sync for Dir<T> {}

impl<T: Files> Dir<T> {
    pub(crate) fn new(net: &Net, _: &CStr) -> Result<Self> {
        let watchers = RcuArc::pin_init(WaitQueue::new(), GFP_KERNEL)?;
        assert!(net.files.watchers.replace(Some(watchers)).is_none());
        Ok(Self {
            net,
            _type: PhantomData,
        })
    }

    pub(crate) fn create(&mut self, net: &Net, name: &FileName, _: u16, key: u32) -> Result {
        net.files.create(name, key);
        Ok(())
    }

    pub(crate) fn remove_file(&mut self, name: &FileName) -> Result {
        // SAFETY: A directory goes before its namespace.
        let files = &unsafe { &*self.net }.files;
        files.remove(name)?;
        files.wake();
        Ok(())
    }

    /// With all files below it.
    pub(crate) fn remove(self, net: &Net) {
        let names: Vec<FileName> = {
            let state = net.files.state.lock().expect("a lock");
            state.files.keys().cloned().collect()
        };
        for name in names {
            // Nobody else removes one: the directory is its owner's.
            let _ = net.files.remove(&name);
        }
        let watchers = net.files.watchers.take();
        WaitQueue::retire(watchers.expect("a directory goes once"));
    }
}
