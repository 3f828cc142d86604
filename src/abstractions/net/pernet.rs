// SPDX-License-Identifier: GPL-2.0-only

//! Abstraction layer: a value for each network namespace.
//!
//! C header: `include/net/net_namespace.h`.

use super::Net;
use crate::abstractions::rcu::RcuArc;
use crate::bindings;
use core::cell::UnsafeCell;
use core::marker::PhantomData;
use kernel::error::from_result;
use kernel::error::to_result;
use kernel::ffi::c_int;
use kernel::ffi::c_uint;
use kernel::prelude::*;
use kernel::sync::atomic::ordering::Acquire;
use kernel::sync::atomic::ordering::Full;
use kernel::sync::atomic::ordering::Release;
use kernel::sync::atomic::Atomic;
use kernel::sync::rcu;
use kernel::types::Opaque;

/// A value that every network namespace has, from [`Registration::register`] or the namespace's
/// birth on until the namespace's end or the registration's.
pub(crate) trait PerNet: Send + Sync + Sized + 'static {
    /// The slot of this type: always the same `static`.
    fn slot() -> &'static Slot<Self>;

    /// Makes the value of one namespace.
    fn new(net: &Net) -> Result<RcuArc<Self>>;

    /// The namespace ends, or the registration. Afterwards nobody finds the value by its namespace
    /// any more; references that were taken before stay good.
    fn exit(&self, net: &Net);
}

/// The states of a slot.
const IDLE: i32 = 0;
const BUSY: i32 = 1;
const READY: i32 = 2;

/// The number under which namespaces keep the values of a type.
///
/// There is one, a `static`, for each type, named by [`PerNet::slot`].
pub(crate) struct Slot<T> {
    id: UnsafeCell<c_uint>,
    state: Atomic<i32>,
    _type: PhantomData<T>,
}

// SAFETY: `id` is written by `register_pernet_subsys()` alone, before the first value exists, and
// read only through values' namespaces.
unsafe impl<T> Sync for Slot<T> {}

impl<T> Slot<T> {
    /// A slot that is not registered.
    pub(crate) const fn new() -> Self {
        Self {
            id: UnsafeCell::new(0),
            state: Atomic::new(IDLE),
            _type: PhantomData,
        }
    }

    /// Where the namespace keeps its pointer to the value, if it has a place for it.
    ///
    /// # Safety
    ///
    /// The caller is a callback of this slot's registration, or in an RCU read-side section in which
    /// it saw the slot `READY`.
    unsafe fn cell(&self, net: &Net) -> Option<&Atomic<*mut T>> {
        // SAFETY: The kernel writes the number before it calls back, and never again.
        let id = unsafe { *self.id.get() };
        // SAFETY: The namespace is alive, and the number one that the kernel gave out: the memory
        // is of the size of a pointer, as `Registration` asked, and is freed a grace period after
        // the slot left `READY`, or when all that knows the namespace has ended.
        let cell = unsafe { bindings::net_generic(net.as_ptr(), id) }.cast::<*mut T>();
        // SAFETY: Aligned memory for a pointer, only ever accessed as an atomic one.
        (!cell.is_null()).then(|| unsafe { Atomic::from_ptr(cell) })
    }

    /// The value of a namespace, if it has one: not before it is made, nor after its end.
    pub(crate) fn get(&self, net: &Net) -> Option<RcuArc<T>> {
        let guard = rcu::read_lock();
        if self.state.load(Acquire) != READY {
            return None;
        }
        // SAFETY: Seen to be ready, in a read-side section.
        let value = unsafe { self.cell(net) }?.load(Acquire);
        if value.is_null() {
            return None;
        }
        // SAFETY: What stands in the cell comes from `into_raw`, and was seen in this section.
        unsafe { RcuArc::try_get(value.cast_const(), &guard) }
    }
}

/// The registration of a [`PerNet`] type. Unregisters when dropped.
#[pin_data(PinnedDrop)]
pub(crate) struct Registration<T: PerNet> {
    #[pin]
    ops: Opaque<bindings::pernet_operations>,
    _type: PhantomData<T>,
}

// SAFETY: Nothing can be done with a registration but to drop it, from any thread.
unsafe impl<T: PerNet> Send for Registration<T> {}
// SAFETY: As above.
unsafe impl<T: PerNet> Sync for Registration<T> {}

impl<T: PerNet> Registration<T> {
    /// Gives every namespace its value, those that exist and those to come.
    pub(crate) fn register() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            ops <- Opaque::try_ffi_init(|ops: *mut bindings::pernet_operations| {
                let init = bindings::pernet_operations {
                    init: Some(Adapter::<T>::init_callback),
                    exit: Some(Adapter::<T>::exit_callback),
                    id: T::slot().id.get(),
                    size: size_of::<*mut T>(),
                    ..pin_init::zeroed()
                };
                // One registration at a time: the number is the slot's.
                T::slot().state.cmpxchg(IDLE, BUSY, Full).map_err(|_| EBUSY)?;
                // SAFETY: `ops` is memory for the struct, pinned until `drop` unregisters it.
                unsafe { ops.write(init) };
                // SAFETY: As above; the callbacks are of the type that the slot is for.
                let registered = to_result(unsafe { bindings::register_pernet_subsys(ops) });
                // Every namespace that there is has a cell by now, and so will those to come.
                let state = if registered.is_ok() { READY } else { IDLE };
                T::slot().state.store(state, Release);
                registered
            }),
            _type: PhantomData,
        })
    }
}

#[pinned_drop]
impl<T: PerNet> PinnedDrop for Registration<T> {
    fn drop(self: Pin<&mut Self>) {
        // Between the end of `get` and that of the cells the kernel waits for a grace period.
        T::slot().state.store(BUSY, Release);
        // SAFETY: Registered by `register`, or this would not exist.
        unsafe { bindings::unregister_pernet_subsys(self.ops.get()) };
        T::slot().state.store(IDLE, Release);
    }
}

struct Adapter<T: PerNet>(PhantomData<T>);

impl<T: PerNet> Adapter<T> {
    /// # Safety
    ///
    /// To be called as `pernet_operations::init` only.
    unsafe extern "C" fn init_callback(net: *mut bindings::net) -> c_int {
        from_result(|| {
            // SAFETY: The kernel passes a namespace that stays for the call.
            let net = unsafe { Net::from_raw(net) };
            // SAFETY: This is a callback of the registration.
            let cell = unsafe { T::slot().cell(net) }.ok_or(EINVAL)?;
            cell.store(T::new(net)?.into_raw().cast_mut(), Release);
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// To be called as `pernet_operations::exit` only.
    unsafe extern "C" fn exit_callback(net: *mut bindings::net) {
        // SAFETY: The kernel passes a namespace that stays for the call.
        let net = unsafe { Net::from_raw(net) };
        // SAFETY: This is a callback of the registration.
        let Some(cell) = (unsafe { T::slot().cell(net) }) else {
            return;
        };
        let value = cell.xchg(core::ptr::null_mut(), Full);
        if !value.is_null() {
            // SAFETY: What stood in the cell is `init`'s reference, taken out by this exchange.
            let value: RcuArc<T> = unsafe { RcuArc::from_raw(value.cast_const()) };
            value.exit(net);
        }
    }
}
