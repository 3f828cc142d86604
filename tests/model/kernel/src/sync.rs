// SPDX-License-Identifier: GPL-2.0-only

//! Locks, atomics and RCU.

pub use loom::sync::MutexGuard as Guard;

/// loom's, which finds those that wait for each other.
pub struct Mutex<T>(loom::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub fn new(value: T) -> Self {
        Self(loom::sync::Mutex::new(value))
    }

    pub fn lock(&self) -> Guard<'_, T> {
        self.0
            .lock()
            .expect("nobody panics under a lock and goes on")
    }
}

pub mod atomic {
    use std::cell::Cell;
    use std::sync::atomic::Ordering;

    /// The orders, each a type.
    pub mod ordering {
        use std::sync::atomic::Ordering as Order;

        pub trait Ordering {
            const ORDER: Order;
        }

        macro_rules! orders {
            ($($name:ident is $order:ident),+) => {$(
                pub struct $name;

                impl Ordering for $name {
                    const ORDER: Order = Order::$order;
                }
            )+};
        }

        orders!(Relaxed is Relaxed, Acquire is Acquire, Release is Release, Full is SeqCst);
    }

    /// What there are atomics of.
    pub trait Word: Copy {
        type Loom;
        fn new(value: Self) -> Self::Loom;
        fn load(word: &Self::Loom, order: Ordering) -> Self;
        fn store(word: &Self::Loom, value: Self, order: Ordering);
        fn swap(word: &Self::Loom, value: Self, order: Ordering) -> Self;
        fn cmpxchg(word: &Self::Loom, old: Self, new: Self, order: Ordering) -> Result<Self, Self>;
    }

    /// Those that count.
    pub trait Number: Word {
        fn fetch_add(word: &Self::Loom, value: Self, order: Ordering) -> Self;
        fn fetch_sub(word: &Self::Loom, value: Self, order: Ordering) -> Self;
    }

    macro_rules! words {
        ($($type:ident is $loom:ident),+) => {$(
            impl Word for $type {
                type Loom = loom::sync::atomic::$loom;

                fn new(value: Self) -> Self::Loom {
                    Self::Loom::new(value)
                }
                fn load(word: &Self::Loom, order: Ordering) -> Self {
                    word.load(order)
                }
                fn store(word: &Self::Loom, value: Self, order: Ordering) {
                    word.store(value, order);
                }
                fn swap(word: &Self::Loom, value: Self, order: Ordering) -> Self {
                    word.swap(value, order)
                }
                fn cmpxchg(
                    word: &Self::Loom,
                    old: Self,
                    new: Self,
                    order: Ordering,
                ) -> Result<Self, Self> {
                    word.compare_exchange(old, new, order, Ordering::Relaxed)
                }
            }
        )+};
    }

    macro_rules! numbers {
        ($($type:ident),+) => {$(
            impl Number for $type {
                fn fetch_add(word: &Self::Loom, value: Self, order: Ordering) -> Self {
                    word.fetch_add(value, order)
                }
                fn fetch_sub(word: &Self::Loom, value: Self, order: Ordering) -> Self {
                    word.fetch_sub(value, order)
                }
            }
        )+};
    }

    words!(bool is AtomicBool, i32 is AtomicI32, u32 is AtomicU32, i64 is AtomicI64, u64 is AtomicU64,
        usize is AtomicUsize);
    numbers!(i32, u32, i64, u64);

    impl<P> Word for *mut P {
        type Loom = loom::sync::atomic::AtomicPtr<P>;

        fn new(value: Self) -> Self::Loom {
            Self::Loom::new(value)
        }
        fn load(word: &Self::Loom, order: Ordering) -> Self {
            word.load(order)
        }
        fn store(word: &Self::Loom, value: Self, order: Ordering) {
            word.store(value, order);
        }
        fn swap(word: &Self::Loom, value: Self, order: Ordering) -> Self {
            word.swap(value, order)
        }
        fn cmpxchg(word: &Self::Loom, old: Self, new: Self, order: Ordering) -> Result<Self, Self> {
            word.compare_exchange(old, new, order, Ordering::Relaxed)
        }
    }

    /// Where an atomic is, for one marked read.
    pub struct Place<'a, T: Word>(&'a Atomic<T>);

    impl<P> Place<'_, *mut P> {
        /// What is read by a pointer comes after the pointer, on every machine: no order of loom's says just that, and
        /// this one says it and a little more. It is an exchange of nothing, since loom remembers one access of an atomic,
        /// and forgets a load for whose sake a store by somebody else should be tried earlier.
        ///
        /// # Safety
        ///
        /// None is needed here; a volatile read is unsafe.
        pub unsafe fn read_marked(self) -> *mut P {
            let (null, order) = (std::ptr::null_mut(), Ordering::Acquire);
            let seen = self.0.word().compare_exchange(null, null, order, order);
            seen.unwrap_or_else(|seen| seen)
        }
    }

    /// loom's, with all the values that a machine may show; and it tells whoever uses it after its end.
    pub struct Atomic<T: Word> {
        there: Cell<bool>,
        word: T::Loom,
    }

    // SAFETY: loom runs all threads of a model on one.
    unsafe impl<T: Word> Sync for Atomic<T> {}

    impl<T: Word> Atomic<T> {
        pub fn new(value: T) -> Self {
            Self {
                there: Cell::new(true),
                word: T::new(value),
            }
        }

        fn word(&self) -> &T::Loom {
            assert!(self.there.get(), "used after it was freed");
            &self.word
        }

        pub fn as_ptr(&self) -> Place<'_, T> {
            Place(self)
        }

        pub fn load<O: ordering::Ordering>(&self, _: O) -> T {
            T::load(self.word(), O::ORDER)
        }

        pub fn store<O: ordering::Ordering>(&self, value: T, _: O) {
            T::store(self.word(), value, O::ORDER);
        }

        pub fn xchg<O: ordering::Ordering>(&self, value: T, _: O) -> T {
            T::swap(self.word(), value, O::ORDER)
        }

        pub fn cmpxchg<O: ordering::Ordering>(&self, old: T, new: T, _: O) -> Result<T, T> {
            T::cmpxchg(self.word(), old, new, O::ORDER)
        }
    }

    impl<T: Number> Atomic<T> {
        pub fn fetch_add<O: ordering::Ordering>(&self, value: T, _: O) -> T {
            T::fetch_add(self.word(), value, O::ORDER)
        }

        pub fn fetch_sub<O: ordering::Ordering>(&self, value: T, _: O) -> T {
            T::fetch_sub(self.word(), value, O::ORDER)
        }
    }

    impl<T: Word> Drop for Atomic<T> {
        fn drop(&mut self) {
            // Kept from being left out: the memory is looked at afterwards.
            self.there.set(false);
            std::hint::black_box(&self.there);
        }
    }
}

/// RCU that waits for nobody but those who read when it is asked: what it frees it frees as early as it
/// may.
pub mod rcu {
    use crate::ffi::c_ulong;
    use loom::sync::atomic::fence;
    use loom::thread;
    use std::cell::RefCell;
    use std::collections::BTreeSet;
    use std::marker::PhantomData;
    use std::sync::atomic::Ordering::SeqCst;

    type Callback = Box<dyn FnOnce()>;

    #[derive(Default)]
    struct State {
        next: u64,
        readers: BTreeSet<u64>,
        /// Each with the readers that it waits for.
        callbacks: Vec<(BTreeSet<u64>, Callback)>,
        /// For each time that somebody asked for, those who read then and still do.
        times: Vec<BTreeSet<u64>>,
        /// Whether somebody has waited for a grace period.
        waited: bool,
    }

    thread_local! {
        // loom runs all threads of a model on one.
        static STATE: RefCell<State> = RefCell::default();
    }

    /// An execution begins: nothing is left of the one before.
    pub fn begin() {
        STATE.take();
    }

    /// A read-side section.
    pub struct Guard(u64, PhantomData<*mut ()>);

    pub fn read_lock() -> Guard {
        // Whoever begins after a grace period sees all that was done before it.
        if STATE.with_borrow(|state| state.waited) {
            fence(SeqCst);
        }
        STATE.with_borrow_mut(|state| {
            state.next += 1;
            state.readers.insert(state.next);
            Guard(state.next, PhantomData)
        })
    }

    impl Drop for Guard {
        fn drop(&mut self) {
            STATE.with_borrow_mut(|state| {
                state.readers.remove(&self.0);
                for (readers, _) in &mut state.callbacks {
                    readers.remove(&self.0);
                }
                for readers in &mut state.times {
                    readers.remove(&self.0);
                }
            });
            run();
        }
    }

    /// Calls back when all who read now have ended.
    pub fn call(callback: impl FnOnce() + 'static) {
        STATE.with_borrow_mut(|state| {
            let readers = state.readers.clone();
            state.callbacks.push((readers, Box::new(callback)));
        });
        run();
    }

    /// The time, never 0.
    pub fn now() -> c_ulong {
        STATE.with_borrow_mut(|state| {
            let readers = state.readers.clone();
            state.times.push(readers);
            state.times.len() as c_ulong
        })
    }

    /// Waits until all who read at that time have ended; at 0 there was nobody.
    pub fn synchronize_since(time: c_ulong) {
        let Some(time) = time.checked_sub(1) else {
            return;
        };
        while STATE.with_borrow(|state| !state.times[time as usize].is_empty()) {
            thread::yield_now();
        }
        fence(SeqCst);
        STATE.with_borrow_mut(|state| state.waited = true);
    }

    fn run() {
        loop {
            let ready = STATE.with_borrow_mut(|state| {
                let at = state.callbacks.iter().position(|(left, _)| left.is_empty());
                at.map(|at| state.callbacks.remove(at))
            });
            match ready {
                Some((_, callback)) => callback(),
                None => return,
            }
        }
    }
}
