// SPDX-License-Identifier: GPL-2.0-only

//! Counted references and the map that gives them out: who finds a value may use it, and it goes once.

use super::check;
use crate::abstractions::rcu::RcuArc;
use crate::abstractions::rcu::RcuMap;
use kernel::prelude::*;
use kernel::sync::atomic::ordering::Relaxed;
use kernel::sync::atomic::Atomic;
use kernel::sync::rcu;
use loom::thread;
use std::sync::Arc;

const KEY: u32 = 7;

/// Somebody else's memory as soon as it is freed.
struct Value(Atomic<u32>);

impl Value {
    fn look(&self) {
        assert_eq!(self.0.load(Relaxed), 42);
    }
}

struct Map(KBoxed);
type KBoxed = Pin<KBox<RcuMap<Value>>>;

// SAFETY: loom runs all threads of a model on one.
unsafe impl Send for Map {}
// SAFETY: As above.
unsafe impl Sync for Map {}

fn value() -> RcuArc<Value> {
    RcuArc::pin_init(Value(Atomic::new(42)), GFP_KERNEL).expect("memory")
}

fn map() -> Arc<Map> {
    let map = KBox::try_pin_init(RcuMap::new(), GFP_KERNEL).unwrap_or_else(|never| match never {});
    map.insert(KEY, value()).expect("memory");
    Arc::new(Map(map))
}

#[test]
fn the_last_of_two_frees() {
    check(None, || {
        let one = value();
        let other = one.clone();
        let hand = thread::spawn(move || {
            other.look();
            drop(other);
        });
        one.look();
        drop(one);
        hand.join().unwrap();
    });
}

#[test]
fn what_is_found_stays_for_the_section() {
    check(None, || {
        let map = map();
        let reader = {
            let map = map.clone();
            thread::spawn(move || {
                let guard = rcu::read_lock();
                if let Some(value) = map.0.get(KEY, &guard) {
                    value.look();
                    value.look();
                }
            })
        };
        drop(map.0.remove(KEY));
        reader.join().unwrap();
    });
}

#[test]
fn what_is_kept_stays_for_the_keeper() {
    check(Some(4), || {
        let map = map();
        let keeper = {
            let map = map.clone();
            thread::spawn(move || {
                if let Some(value) = map.0.get_owned(KEY) {
                    value.look();
                    value.clone().look();
                    value.look();
                }
            })
        };
        let removed = map.0.remove(KEY).expect("it was there");
        removed.look();
        drop(removed);
        keeper.join().unwrap();
    });
}

#[test]
fn two_keep_what_a_third_removes() {
    check(Some(2), || {
        let map = map();
        let keepers = [1, 2].map(|_| {
            let map = map.clone();
            thread::spawn(move || {
                if let Some(value) = map.0.get_owned(KEY) {
                    value.look();
                }
            })
        });
        drop(map.0.remove(KEY));
        for keeper in keepers {
            keeper.join().unwrap();
        }
    });
}
