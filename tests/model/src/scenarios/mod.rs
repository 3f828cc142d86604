// SPDX-License-Identifier: GPL-2.0-only

//! What meets what. A scenario holds when every order of its steps ends as it should: loom goes through
//! them all, with so many switches to another thread where the one before could have gone on.

mod nodes;
mod references;
mod registry;
mod world;

use loom::model::Builder;
use std::panic;
use std::process;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::Arc;

/// Goes through all orders of a model. The registry's steps are too many for all of them; those that take
/// few switches are where mistakes are found.
///
/// The first thing that is wrong ends the process: to unwind would be to run the rest of the model, which
/// is not as it should be. So each scenario has a process of its own (scripts/torture.d/model).
fn check(switches: Option<usize>, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = Builder::new();
    let short = std::env::var_os("SHORT").is_some_and(|short| !short.is_empty());
    builder.preemption_bound = match switches {
        Some(many) if short => Some(many.min(2)),
        _ => switches,
    };
    builder.max_branches = 100_000;
    panic::set_hook(Box::new(|wrong| {
        eprintln!("{wrong}");
        process::exit(101);
    }));
    let orders = Arc::new(AtomicU64::new(0));
    let count = orders.clone();
    builder.check(move || {
        count.fetch_add(1, Relaxed);
        kernel::alloc::begin();
        kernel::marked::begin();
        kernel::sync::rcu::begin();
        model();
        assert_eq!(kernel::alloc::live(), 0, "something is never freed");
    });
    let orders = orders.load(Relaxed);
    println!("orders {orders}");
    assert!(orders > 1, "nothing met");
}
