// SPDX-License-Identifier: GPL-2.0-only

//! Abstraction layer: targets of x_tables, for rules of IPv4.
//!
//! C header: `include/linux/netfilter/x_tables.h`.

use super::conntrack::DefragUse;
use super::conntrack::TrackingUse;
use crate::abstractions::net::netdev::Name;
use crate::abstractions::net::skb::SkBuff;
use crate::abstractions::net::skb::Unmoved;
use crate::abstractions::net::Net;
use crate::abstractions::rcu::RcuArc;
use crate::bindings;
use core::cell::Cell;
use core::ffi::CStr;
use core::marker::PhantomData;
use core::mem::offset_of;
use core::net::Ipv4Addr;
use kernel::error::from_result;
use kernel::error::to_result;
use kernel::ffi::c_int;
use kernel::ffi::c_uint;
use kernel::prelude::*;
use kernel::types::Opaque;

/// What becomes of a packet that matched the rule.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Verdict {
    /// It goes no further.
    Drop = bindings::NF_DROP,
    /// It goes on to the next rule.
    Continue = XT_CONTINUE,
}

/// C: `sizeof(struct iphdr)`.
pub(crate) const IPV4_HEADER: usize = 20;

/// C: `XT_CONTINUE`.
const XT_CONTINUE: c_uint = 0xffff_ffff;

/// C: `IPT_INV_VIA_IN` and `IPT_INV_DSTIP`.
const INV_VIA_IN: u8 = 0x01;
const INV_DSTIP: u8 = 0x10;

/// A target that rules can name.
pub(crate) trait Target: Send + Sync + 'static {
    /// The name, at most 28 bytes.
    const NAME: &'static CStr;
    /// The revision of the payload.
    const REVISION: u8;
    /// What a rule says to the target: plain data, of which every pattern is a value.
    type Payload: FromBytes + Copy;
    /// How many bytes a 32-bit program has behind the payload, where the kernel keeps a word.
    #[cfg_attr(not(CONFIG_NETFILTER_XTABLES_COMPAT), allow(dead_code))]
    const COMPAT_WORD: usize;
    /// What a rule is about. Rules may share it.
    type Subject: Send + Sync + 'static;

    /// A rule is to be added: refuses it, or says what it is about. May sleep.
    fn check(param: &CheckParam<'_>, payload: &Self::Payload) -> Result<RcuArc<Self::Subject>>;

    /// A rule is gone; no packet sees it any more. May sleep.
    fn destroy(net: &Net, subject: RcuArc<Self::Subject>);

    /// A packet matched a rule, which keeps connection tracking on if it `tracks`; `header` is the fixed
    /// part of the packet's IPv4 header. Called in softirq or process context; must not sleep.
    fn packet(
        subject: &Self::Subject,
        tracks: bool,
        header: &[u8; IPV4_HEADER],
        skb: Unmoved<'_>,
    ) -> Verdict;
}

/// A rule's payload in memory: what userspace wrote, and a word of the kernel's own, which userspace
/// reads as zero and which is overwritten, whatever it sent.
#[repr(C)]
pub(crate) struct Record<T: Target> {
    user: T::Payload,
    kept: Kept<T>,
}

impl<T: Target> Record<T> {
    /// How many of the bytes are userspace's.
    pub(crate) const USER_SIZE: usize = offset_of!(Self, kept);
}

/// The word: a reference to what the rule is about, and in the bits that its address leaves free what the
/// rule keeps on in its namespace.
struct Kept<T: Target> {
    word: *const u8,
    _own: PhantomData<RcuArc<T::Subject>>,
}

/// Bits of the word.
const TRACKS: usize = 1;
const DEFRAGMENTS: usize = 2;
const FLAGS: usize = TRACKS | DEFRAGMENTS;

impl<T: Target> Kept<T> {
    /// Gives what a rule has away to a word.
    fn new(
        subject: RcuArc<T::Subject>,
        tracking: Option<TrackingUse>,
        defrag: Option<DefragUse>,
    ) -> Self {
        const { assert!(align_of::<T::Subject>() > FLAGS) }
        let mut flags = 0;
        if let Some(tracking) = tracking {
            core::mem::forget(tracking);
            flags |= TRACKS;
        }
        if let Some(defrag) = defrag {
            core::mem::forget(defrag);
            flags |= DEFRAGMENTS;
        }
        Self {
            word: subject.into_raw().cast::<u8>().wrapping_add(flags),
            _own: PhantomData,
        }
    }

    #[inline(always)]
    fn has(&self, flag: usize) -> bool {
        self.word.addr() & flag != 0
    }

    #[inline(always)]
    fn subject(&self) -> *const T::Subject {
        self.word.map_addr(|word| word & !FLAGS).cast()
    }

    /// Takes back what a word has.
    ///
    /// # Safety
    ///
    /// The word must be `new`'s, taken back once, and the namespace the one that the rule was checked for.
    unsafe fn take(&self, net: &Net) -> RcuArc<T::Subject> {
        if self.has(TRACKS) {
            // SAFETY: `new` was given one, which it forgot.
            drop(unsafe { TrackingUse::taken(net) });
        }
        if self.has(DEFRAGMENTS) {
            // SAFETY: As above.
            drop(unsafe { DefragUse::taken(net) });
        }
        // SAFETY: The address is `into_raw`'s.
        unsafe { RcuArc::from_raw(self.subject()) }
    }
}

/// What is known of a rule when it is checked. C: `struct xt_tgchk_param`.
pub(crate) struct CheckParam<'a> {
    raw: &'a bindings::xt_tgchk_param,
    tracking: Cell<Option<TrackingUse>>,
    defrag: Cell<Option<DefragUse>>,
}

impl<'a> CheckParam<'a> {
    /// The namespace that the rule is for.
    pub(crate) fn net(&self) -> &'a Net {
        // SAFETY: The namespace is alive while its rules are checked.
        unsafe { Net::from_raw(self.raw.net) }
    }

    /// Whether the rule is for the `raw` table, which sees packets before connection tracking does.
    pub(crate) fn is_raw_table(&self) -> bool {
        // SAFETY: The name of the table is a string that lives as long as the table.
        unsafe { bindings::strcmp(self.raw.table, c"raw".as_char_ptr()) == 0 }
    }

    /// What the rule matches, or `EOPNOTSUPP` when nftables asks: it has no rule to show.
    pub(crate) fn entry(&self) -> Result<Entry<'a>> {
        if self.raw.nft_compat {
            // CAST: A small number.
            return Err(Error::from_errno(-(bindings::EOPNOTSUPP as i32)));
        }
        // SAFETY: The family of the target is IPv4, so this is `struct ipt_entry`; it stays for the
        // call.
        Ok(Entry(unsafe { &*self.raw.entryinfo.cast() }))
    }

    /// Whether nftables carries the rule into a namespace that is not the machine's own root's.
    ///
    /// There, what waits for a file's readers in a rule's destruction waits for a user; and nftables holds a lock
    /// meanwhile that it also takes under RTNL.
    pub(crate) fn is_users_nftables(&self) -> bool {
        self.raw.nft_compat && !self.net().is_roots()
    }

    /// Keeps connection tracking on for as long as the rule stands.
    pub(crate) fn use_conntrack(&self) -> Result {
        // SAFETY: What is taken is kept with the rule, which x_tables destroys before the namespace.
        let tracking = unsafe { TrackingUse::new(self.net()) }?;
        self.tracking.set(Some(tracking));
        Ok(())
    }

    /// Keeps defragmentation on for as long as the rule stands.
    pub(crate) fn use_defrag(&self) -> Result {
        // SAFETY: What is taken is kept with the rule, which x_tables destroys before the namespace.
        let defrag = unsafe { DefragUse::new(self.net()) }?;
        self.defrag.set(Some(defrag));
        Ok(())
    }
}

/// What a rule of IPv4 matches. C: `struct ipt_entry`.
#[derive(Clone, Copy)]
pub(crate) struct Entry<'a>(&'a bindings::ipt_entry);

impl Entry<'_> {
    /// The destination address.
    pub(crate) fn destination(&self) -> Ipv4Addr {
        Ipv4Addr::from(self.0.ip.dst.s_addr.to_ne_bytes())
    }

    /// The bits of the destination that count.
    pub(crate) fn destination_mask(&self) -> Ipv4Addr {
        Ipv4Addr::from(self.0.ip.dmsk.s_addr.to_ne_bytes())
    }

    /// Whether the rule matches every destination but the one it names.
    pub(crate) fn destination_inverted(&self) -> bool {
        self.0.ip.invflags & INV_DSTIP != 0
    }

    /// The devices that packets come in by.
    pub(crate) fn in_device(&self) -> InDevice {
        let name = Name::new(&self.0.ip.iniface);
        let bytes = name.as_bytes();
        // A whole name is compared up to its NUL. A mask of nothing is left to its maker.
        let mask = &self.0.ip.iniface_mask;
        let compared = mask
            .iter()
            .position(|byte| *byte != 0xff)
            .unwrap_or(mask.len());
        InDevice {
            name,
            inverted: self.0.ip.invflags & INV_VIA_IN != 0,
            wildcard: bytes.last() == Some(&b'+'),
            compared_in_part: compared != 0 && compared <= bytes.len(),
        }
    }
}

/// The devices that a rule's packets come in by.
pub(crate) struct InDevice {
    /// `-i`, or empty when the rule names none.
    pub(crate) name: Name,
    /// `! -i`: all devices but the one that is named.
    pub(crate) inverted: bool,
    /// `-i eth+`: all devices whose names begin like it.
    pub(crate) wildcard: bool,
    /// Only the beginning of the name is compared; of a rule made by hand, without a `+`, too.
    pub(crate) compared_in_part: bool,
}

impl InDevice {
    /// All devices.
    pub(crate) fn any() -> Self {
        Self::one(Name::new(&[0; 16]))
    }

    /// The one of this name.
    pub(crate) fn one(name: Name) -> Self {
        Self {
            name,
            inverted: false,
            wildcard: false,
            compared_in_part: false,
        }
    }
}

/// The registration of a [`Target`]. Unregisters when dropped; x_tables holds a reference on the
/// module for every rule, so that none is left by then.
#[pin_data(PinnedDrop)]
pub(crate) struct Registration<T: Target> {
    #[pin]
    target: Opaque<bindings::xt_target>,
    _type: PhantomData<T>,
}

// SAFETY: Nothing can be done with a registration but to drop it, from any thread.
unsafe impl<T: Target> Send for Registration<T> {}
// SAFETY: As above.
unsafe impl<T: Target> Sync for Registration<T> {}

impl<T: Target> Registration<T> {
    /// Lets rules name the target.
    pub(crate) fn register(module: &'static ThisModule) -> impl PinInit<Self, Error> + use<T> {
        try_pin_init!(Self {
            target <- Opaque::try_ffi_init(|target: *mut bindings::xt_target| {
                // SAFETY: All zeroes are a valid struct.
                let mut init: bindings::xt_target = unsafe { core::mem::zeroed() };
                const { assert!(T::NAME.to_bytes().len() < bindings::XT_EXTENSION_MAXNAMELEN as usize) };
                for (to, from) in init.name.iter_mut().zip(T::NAME.to_bytes()) {
                    *to = *from;
                }
                init.revision = T::REVISION;
                // CAST: The number of the family is 2.
                init.family = bindings::NFPROTO_IPV4 as u16;
                init.target = Some(Adapter::<T>::target_callback);
                init.checkentry = Some(Adapter::<T>::check_callback);
                init.destroy = Some(Adapter::<T>::destroy_callback);
                init.me = module.as_ptr();
                init.targetsize = size_of::<Record<T>>().try_into()?;
                init.usersize = Record::<T>::USER_SIZE.try_into()?;
                #[cfg(CONFIG_NETFILTER_XTABLES_COMPAT)]
                {
                    // The rest is laid out alike, so that x_tables' own conversion is right.
                    init.compatsize = Record::<T>::USER_SIZE.wrapping_add(T::COMPAT_WORD).try_into()?;
                }
                // SAFETY: `target` is memory for the struct, pinned until `drop` unregisters it.
                unsafe { target.write(init) };
                // SAFETY: As above; the callbacks are of the right types.
                to_result(unsafe { bindings::xt_register_target(target) })
            }),
            _type: PhantomData,
        })
    }
}

#[pinned_drop]
impl<T: Target> PinnedDrop for Registration<T> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: Registered by `register`, or this would not exist.
        unsafe { bindings::xt_unregister_target(self.target.get()) };
    }
}

struct Adapter<T: Target>(PhantomData<T>);

impl<T: Target> Adapter<T> {
    /// # Safety
    ///
    /// To be called as `xt_target::checkentry` only.
    unsafe extern "C" fn check_callback(raw: *const bindings::xt_tgchk_param) -> c_int {
        from_result(|| {
            // SAFETY: x_tables passes a struct that stays for the call.
            let raw = unsafe { &*raw };
            let record = raw.targinfo.cast::<Record<T>>();
            // C: `XT_ALIGN()`.
            const { assert!(align_of::<Record<T>>() <= align_of::<u64>()) }
            // SAFETY: x_tables checked the size of the payload against `targetsize`, and aligned it;
            // every pattern is a value of the type.
            let payload = unsafe { (*record).user };
            let param = CheckParam {
                raw,
                tracking: Cell::new(None),
                defrag: Cell::new(None),
            };
            let subject = T::check(&param, &payload)?;
            let kept = Kept::new(subject, param.tracking.take(), param.defrag.take());
            // SAFETY: As above; the word is ours to write, whatever stood in it.
            unsafe { (&raw mut (*record).kept).write(kept) };
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// To be called as `xt_target::destroy` only, for a rule whose check succeeded.
    unsafe extern "C" fn destroy_callback(raw: *const bindings::xt_tgdtor_param) {
        // SAFETY: x_tables passes a struct that stays for the call.
        let raw = unsafe { &*raw };
        // SAFETY: The namespace is alive while its rules are destroyed.
        let net = unsafe { Net::from_raw(raw.net) };
        // SAFETY: The check succeeded in this namespace, so it filled the word; nobody else writes it, and
        // no packet sees the rule any more.
        let subject = unsafe { (*raw.targinfo.cast::<Record<T>>()).kept.take(net) };
        T::destroy(net, subject);
    }

    /// # Safety
    ///
    /// To be called as `xt_target::target` only, for a rule whose check succeeded.
    unsafe extern "C" fn target_callback(
        skb: *mut bindings::sk_buff,
        par: *const bindings::xt_action_param,
    ) -> c_uint {
        // SAFETY: x_tables passes a struct that stays for the call, with the payload of a rule.
        let record = unsafe { (*par).__bindgen_anon_2.targinfo.cast::<Record<T>>() };
        // SAFETY: As above; the check succeeded, so it filled the word.
        let kept = unsafe { &(*record).kept };
        // SAFETY: What the word points to stays until the rule is destroyed, which waits for packets that
        // see it.
        let subject = unsafe { &*kept.subject() };
        // SAFETY: The packet is valid. In the hooks of IPv4 `data` is the network header, whose fixed
        // part the stack has made linear before any of them. It stays where it is: `T::packet` gets the packet as
        // unmoved.
        let header = unsafe { &*(*skb).data.cast::<[u8; IPV4_HEADER]>() };
        // SAFETY: The packet is the hook's for the call; its data is not part of the struct.
        let skb = unsafe { SkBuff::from_raw(skb) };
        // CAST: The numbers are C's.
        T::packet(subject, kept.has(TRACKS), header, Unmoved::new(skb)) as c_uint
    }
}
