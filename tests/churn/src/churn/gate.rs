// SPDX-License-Identifier: GPL-2.0-only

//! Lets all racers run, and stops them all, each between two of its steps.

use anyhow::anyhow;
use anyhow::Result;
use nix::unistd::gettid;
use std::collections::BTreeMap;
use std::fs;
use std::panic::catch_unwind;
use std::panic::AssertUnwindSafe;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::thread;
use std::time::Duration;

/// What a round is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Rules come and go; one VIP stands all the while, and with it the module.
    Rules,
    /// The module comes and goes, with what loads it.
    Module,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Paused,
    Running(Kind),
    Over,
}

struct State {
    phase: Phase,
    /// Racers that are not at the gate, and their threads' numbers.
    running: BTreeMap<String, i32>,
    faults: Vec<String>,
}

pub struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

impl Gate {
    pub fn new() -> Self {
        let state = State {
            phase: Phase::Paused,
            running: BTreeMap::new(),
            faults: Vec::new(),
        };
        Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
        }
    }

    /// No racer panics while it holds the lock.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|error| error.into_inner())
    }

    /// A racer's life: steps in every round, until the end. It takes part in no round after its first
    /// fault, but comes to the gate.
    pub fn race(&self, name: &str, mut step: impl FnMut(Kind) -> Result<()>) {
        let mut broken = false;
        while let Some(kind) = self.pass(name) {
            if broken {
                thread::sleep(Duration::from_millis(20));
                continue;
            }
            let done = catch_unwind(AssertUnwindSafe(|| step(kind)))
                .unwrap_or_else(|_| Err(anyhow!("the racer itself panicked")));
            if let Err(error) = done {
                broken = true;
                self.lock().faults.push(format!("{name}: {error:#}"));
            }
        }
    }

    fn pass(&self, name: &str) -> Option<Kind> {
        let mut state = self.lock();
        if let Phase::Running(kind) = state.phase {
            // Its first step, or one of many.
            if !state.running.contains_key(name) {
                state.running.insert(name.to_string(), gettid().as_raw());
            }
            return Some(kind);
        }
        state.running.remove(name);
        self.changed.notify_all();
        let paused = |state: &mut State| state.phase == Phase::Paused;
        let mut state = self
            .changed
            .wait_while(state, paused)
            .unwrap_or_else(|error| error.into_inner());
        match state.phase {
            Phase::Running(kind) => {
                state.running.insert(name.to_string(), gettid().as_raw());
                Some(kind)
            }
            _ => None,
        }
    }

    pub fn start(&self, kind: Kind) {
        self.lock().phase = Phase::Running(kind);
        self.changed.notify_all();
    }

    /// Stops all racers. An error, with what the kernel does for them, when some do not come.
    pub fn pause(&self, limit: Duration) -> Result<()> {
        let mut state = self.lock();
        state.phase = Phase::Paused;
        let (state, waited) = self
            .changed
            .wait_timeout_while(state, limit, |state| !state.running.is_empty())
            .unwrap_or_else(|error| error.into_inner());
        if !waited.timed_out() {
            return Ok(());
        }
        let stuck: Vec<String> = state
            .running
            .iter()
            .map(|(name, thread)| {
                let stack = fs::read_to_string(format!("/proc/self/task/{thread}/stack"));
                format!(
                    "{name}:\n{}",
                    stack.unwrap_or_else(|error| error.to_string())
                )
            })
            .collect();
        Err(anyhow!(
            "after {} s these have not ended their step:\n{}",
            limit.as_secs(),
            stuck.join("\n")
        ))
    }

    /// Ends the race; all racers are at the gate.
    pub fn end(&self) {
        self.lock().phase = Phase::Over;
        self.changed.notify_all();
    }

    /// What racers found wrong.
    pub fn faults(&self) -> Vec<String> {
        self.lock().faults.clone()
    }
}
