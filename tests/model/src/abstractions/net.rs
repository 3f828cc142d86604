// SPDX-License-Identifier: GPL-2.0-only

//! A world of one network namespace, in place of the kernel's.

use super::proc_file::Table;
use kernel::sync::Mutex;
use std::any::Any;
use std::cell::Cell;

pub(crate) fn ratelimit() -> bool {
    true
}

/// A namespace.
pub(crate) struct Net {
    /// Taken by whoever changes devices.
    pub(crate) rtnl: Mutex<()>,
    pub(crate) devices: Mutex<Vec<netdev::State>>,
    pub(crate) files: Table,
    pub(crate) hook: Cell<bool>,
    /// Whether the table of all VIPs is there.
    pub(crate) stat: Cell<bool>,
    value: Mutex<Option<Box<dyn Any>>>,
}

// SAFETY: loom runs all threads of a model on one.
unsafe impl Send for Net {}
// SAFETY: As above.
unsafe impl Sync for Net {}

impl Net {
    /// With a device of each name, from number 1 on.
    pub(crate) fn new(devices: &[netdev::Name]) -> Self {
        let devices = devices.iter().zip(1..);
        Self {
            rtnl: Mutex::new(()),
            devices: Mutex::new(devices.map(netdev::State::new).collect()),
            files: Table::new(),
            hook: Cell::new(false),
            stat: Cell::new(false),
            value: Mutex::new(None),
        }
    }
}

pub(crate) mod pernet {
    use super::Net;
    use crate::abstractions::rcu::RcuArc;
    use kernel::prelude::*;
    use std::marker::PhantomData;

    pub(crate) trait PerNet: Send + Sync + Sized + 'static {
        fn slot() -> &'static Slot<Self>;
        fn new(net: &Net) -> Result<RcuArc<Self>>;
        fn exit(&self, net: &Net);
    }

    pub(crate) struct Slot<T>(PhantomData<fn() -> T>);

    impl<T: 'static> Slot<T> {
        pub(crate) const fn new() -> Self {
            Self(PhantomData)
        }

        pub(crate) fn get(&self, net: &Net) -> Option<RcuArc<T>> {
            let value = net.value.lock();
            value.as_ref()?.downcast_ref::<RcuArc<T>>().cloned()
        }
    }

    /// The namespace begins.
    pub(crate) fn begin<T: PerNet>(net: &Net) -> RcuArc<T> {
        let value = T::new(net).expect("a namespace");
        *net.value.lock() = Some(std::boxed::Box::new(value.clone()));
        value
    }

    /// The namespace ends.
    pub(crate) fn end<T: PerNet>(net: &Net) {
        let value = net.value.lock().take().expect("it ends once");
        value
            .downcast_ref::<RcuArc<T>>()
            .expect("its type")
            .exit(net);
    }
}

pub(crate) mod netdev {
    use super::Net;
    use kernel::prelude::*;
    use std::ops::Deref;

    pub(crate) type Name = &'static str;

    /// What the namespace knows of a device.
    pub(crate) struct State {
        pub(crate) index: i32,
        pub(crate) name: Name,
        /// The groups that were joined, each as often as it was.
        pub(crate) groups: Vec<[u8; 6]>,
    }

    impl State {
        pub(crate) fn new((name, index): (&Name, i32)) -> Self {
            let groups = Vec::new();
            Self {
                index,
                name,
                groups,
            }
        }
    }

    #[derive(Clone, Copy, PartialEq, Eq)]
    pub(crate) enum Event {
        Register,
        Unregister,
        Rename,
        BeforeRetype,
        Retype,
    }

    pub(crate) trait Listener: 'static {
        fn event(net: &Net, dev: &NetDevice, event: Event);
    }

    pub(crate) struct NetDevice {
        index: i32,
        net: *const Net,
    }

    impl NetDevice {
        fn with<T>(&self, action: impl FnOnce(&mut State) -> T) -> T {
            // SAFETY: Devices are looked at while their namespace is there.
            let mut devices = unsafe { &*self.net }.devices.lock();
            let mut devices = devices.iter_mut();
            action(devices.find(|dev| dev.index == self.index).expect("it"))
        }

        pub(crate) fn ifindex(&self) -> i32 {
            self.index
        }

        pub(crate) fn name(&self) -> Name {
            self.with(|dev| dev.name)
        }

        pub(crate) fn join_group(&self, mac: [u8; 6]) -> Result {
            self.with(|dev| dev.groups.push(mac));
            Ok(())
        }

        pub(crate) fn leave_group(&self, mac: [u8; 6]) {
            self.with(|dev| {
                let at = dev.groups.iter().position(|group| *group == mac);
                dev.groups
                    .swap_remove(at.expect("a group is left that was not joined"))
            });
        }
    }

    impl NetDevice {
        /// Numbers are not given a second time here.
        pub(crate) fn is_ghost_in(&self, _: &Net) -> bool {
            false
        }
    }

    pub(crate) struct NetDeviceRef(NetDevice);

    impl NetDeviceRef {
        fn find(net: &Net, is: impl Fn(&State) -> bool) -> Option<Self> {
            let devices = net.devices.lock();
            let index = devices.iter().find(|dev| is(dev))?.index;
            Some(Self(NetDevice { index, net }))
        }

        pub(crate) fn by_name(net: &Net, name: Name) -> Option<Self> {
            Self::find(net, |dev| dev.name == name)
        }

        pub(crate) fn by_index(net: &Net, index: i32) -> Option<Self> {
            Self::find(net, |dev| dev.index == index)
        }
    }

    impl Deref for NetDeviceRef {
        type Target = NetDevice;

        fn deref(&self) -> &NetDevice {
            &self.0
        }
    }
}
