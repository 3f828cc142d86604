// SPDX-License-Identifier: GPL-2.0-only

//! The VIPs of each network namespace: made with a VIP's first rule, gone with its last.
//!
//! A namespace has one lock for what rules bring about and for its own end, which are thus in one
//! order (D7, D8, D9). Packets and ARP take no lock: they look at a [`Vip`] as it is. Removing a file waits for
//! those who read or write it, under the lock; so they never take it, but one of their own ([`Namespace::sets`]).

#![forbid(unsafe_code)]

use crate::abstractions::net::pernet::PerNet;
use crate::abstractions::net::pernet::Slot as NamespaceSlot;
use crate::abstractions::net::ratelimit;
use crate::abstractions::net::Net;
use crate::abstractions::netfilter::hook::Hook;
use crate::abstractions::proc_file::Dir;
use crate::abstractions::proc_table::TableFile;
use crate::abstractions::rcu::RcuArc;
use crate::arp;
use crate::devices::Vips;
use crate::procfs;
use crate::procfs::VipFiles;
use crate::request::Request;
use crate::stat::Stat;
use crate::vip::Vip;
use core::net::Ipv4Addr;
use kernel::new_mutex;
use kernel::prelude::*;
use kernel::sync::Mutex;

/// What the lock guards, beside each VIP's number of rules.
struct State {
    /// There is one while there are VIPs.
    hook: Option<Hook<Namespace>>,
    /// Gone when the namespace has ended.
    dir: Option<Dir<VipFiles>>,
    /// As `dir`.
    stat: Option<TableFile<Stat>>,
}

/// What a network namespace has.
#[pin_data]
pub(crate) struct Namespace {
    /// Its VIPs. Their lock is taken under `state`'s, never the other way round.
    #[pin]
    pub(crate) vips: Vips,
    /// Whoever changes a VIP's nodes holds this, and whoever wants to see them all at one time. Nothing is taken
    /// under it.
    #[pin]
    pub(crate) sets: Mutex<()>,
    #[pin]
    state: Mutex<State>,
}

static SLOT: NamespaceSlot<Namespace> = NamespaceSlot::new();

impl PerNet for Namespace {
    fn slot() -> &'static NamespaceSlot<Self> {
        &SLOT
    }

    fn new(net: &Net) -> Result<RcuArc<Self>> {
        Self::make(net).inspect_err(|_| {
            if ratelimit() {
                pr_err!("Unable to proc dir entry: free memory and make the namespace again\n");
            }
        })
    }

    /// Rules may outlive this by a moment, when their table was there before us: they find nothing
    /// left to undo.
    fn exit(&self, net: &Net) {
        let mut state = self.state.lock();
        if let Some(dir) = state.dir.take() {
            dir.remove(net);
        }
        if let Some(stat) = state.stat.take() {
            stat.remove(net);
        }
        state.end_hook(net);
        self.vips.forget_all(net);
    }
}

impl Namespace {
    fn make(net: &Net) -> Result<RcuArc<Self>> {
        let this = RcuArc::pin_init(
            try_pin_init!(Self {
                vips <- Vips::new(),
                sets <- new_mutex!(()),
                state <- new_mutex!(State {
                    hook: None,
                    dir: None,
                    stat: None,
                }),
            }? Error),
            GFP_KERNEL,
        )?;
        let dir = Dir::new(net, procfs::DIRECTORY)?;
        match TableFile::new(net, procfs::DIRECTORY) {
            Ok(stat) => {
                let mut state = this.state.lock();
                (state.dir, state.stat) = (Some(dir), Some(stat));
            }
            Err(error) => {
                dir.remove(net);
                return Err(error);
            }
        }
        Ok(this)
    }

    /// Counts a rule in, and makes its VIP if it is the first.
    pub(crate) fn join(this: &RcuArc<Self>, net: &Net, request: &Request) -> Result<RcuArc<Vip>> {
        let mut state = this.state.lock();
        match this.vips.get(request.vip) {
            Some(vip) => share(net, vip, request),
            None => Self::create(this, net, &mut state, request),
        }
    }

    /// Counts a rule out, and undoes its VIP if it was the last.
    pub(crate) fn leave(&self, net: &Net, vip: Ipv4Addr) {
        let mut state = self.state.lock();
        let Some(vip) = self.vips.get(vip) else {
            return;
        };
        match vip.rules().checked_sub(1) {
            Some(rules @ 1..) => vip.set_rules(rules),
            _ => self.undo(net, &mut state, &vip),
        }
    }

    /// Makes a VIP of its first rule. All or nothing: what fails takes back what went before it.
    fn create(
        this: &RcuArc<Self>,
        net: &Net,
        state: &mut State,
        request: &Request,
    ) -> Result<RcuArc<Vip>> {
        let vip = this.vips.make(net, request)?;
        if let Err(error) = Self::publish(this, net, state, &vip) {
            this.undo(net, state, &vip);
            return Err(request.cannot_make(error));
        }
        Ok(vip)
    }

    /// Gives a new VIP its file, and the namespace its hook if it is the first one.
    fn publish(this: &RcuArc<Self>, net: &Net, state: &mut State, vip: &Vip) -> Result {
        let dir = state.dir.as_mut().ok_or(ENOENT)?;
        let name = procfs::name(vip.address);
        dir.create(net, &name, procfs::MODE, u32::from(vip.address))?;
        if state.hook.is_none() {
            state.hook = Some(Hook::register(
                net,
                arp::FAMILY,
                arp::PRIORITY,
                this.clone(),
                GFP_KERNEL_ACCOUNT,
            )?);
        }
        Ok(())
    }

    /// Takes back all that a VIP was given, or as much as it was. The file goes first: whoever is writing to it
    /// ends what was begun.
    fn undo(&self, net: &Net, state: &mut State, vip: &Vip) {
        if let Some(dir) = &mut state.dir {
            // There is none when it could not be made.
            let _ = dir.remove_file(&procfs::name(vip.address));
        }
        self.vips.forget(net, vip.address);
        if self.vips.is_empty() {
            state.end_hook(net);
        }
    }
}

/// Counts one more rule of a VIP that is there.
fn share(net: &Net, vip: RcuArc<Vip>, request: &Request) -> Result<RcuArc<Vip>> {
    let rules = vip.rules().checked_add(1).ok_or(EOVERFLOW)?;
    request.joins(net, &vip)?;
    if !vip.told() && request.differs(&vip) {
        vip.set_told(request.tell_what_is_in_force(&vip));
    }
    vip.set_rules(rules);
    Ok(vip)
}

impl State {
    fn end_hook(&mut self, net: &Net) {
        if let Some(hook) = self.hook.take() {
            hook.unregister(net);
        }
    }
}
