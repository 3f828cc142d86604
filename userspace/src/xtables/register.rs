// SPDX-License-Identifier: GPL-2.0-only

//! Registration: what libxtables is told of a target, and what it calls.

use core::cell::UnsafeCell;
use core::ffi::c_int;
use core::ffi::c_void;
use core::ffi::CStr;
use core::fmt::Write;
use core::marker::PhantomData;
use core::mem::offset_of;
use core::mem::MaybeUninit;
use core::ptr;
use core::sync::atomic::AtomicBool;
use core::sync::atomic::AtomicPtr;
use core::sync::atomic::Ordering::Relaxed;

use super::bindings;
use super::fail;
use super::options::parse;
use super::options::takes_new_entries;
use super::options::NewEntry;
use super::options::OldEntry;
use super::options::TABLE;
use super::Given;
use super::Newer;
use super::Stdout;
use super::Target;

/// A target as libxtables knows it: a static of the extension.
struct Registration<T> {
    target: UnsafeCell<bindings::xtables_target>,
    _target: PhantomData<T>,
}

// SAFETY: What loads an extension is single-threaded, and all that reaches inside is `register()`,
// which hands it over to libxtables.
unsafe impl<T> Sync for Registration<T> {}

impl<T: Target> Registration<T> {
    const OLD_OPTIONS: &'static [OldEntry; TABLE] = &OldEntry::table::<T>();
    const OPTIONS: &'static [NewEntry; TABLE] = &NewEntry::table::<T>();

    /// What libxtables is to know of the target.
    const fn new() -> Self {
        let target = bindings::xtables_target {
            version: bindings::XTABLES_VERSION.as_ptr().cast(),
            name: T::NAME.as_ptr(),
            revision: T::REVISION,
            family: bindings::NFPROTO_IPV4 as u16, // CAST: 2.
            size: kernel_size::<T>(),
            userspacesize: size_of::<T::Payload>(),
            help: Some(help::<T>),
            print: Some(print::<T>),
            save: Some(save::<T>),
            x6_parse: Some(parse::<T>),
            x6_fcheck: Some(check::<T>),
            xlate: Some(translate::<T>),
            // SAFETY: All that is left are pointers, functions and numbers that may be zero.
            ..unsafe { MaybeUninit::zeroed().assume_init() }
        };
        let target = UnsafeCell::new(target);
        let _target = PhantomData;
        Self { target, _target }
    }

    /// What libxtables is to know of a revision that follows another one.
    const fn newer() -> Self
    where
        T: Newer,
    {
        const {
            assert!(size_of::<<T::Older as Target>::Payload>() <= size_of::<T::Payload>());
            assert!(align_of::<<T::Older as Target>::Payload>() <= align_of::<T::Payload>());
        }
        let mut new = Self::new();
        let target = new.target.get_mut();
        target.print = Some(print_newer::<T>);
        target.save = Some(save_newer::<T>);
        target.x6_fcheck = Some(check_newer::<T>);
        new
    }

    /// Registers the target.
    ///
    /// # Safety
    ///
    /// Once, by a program that has initialised libxtables, and in its only thread.
    unsafe fn register(&'static self) -> *mut bindings::xtables_target {
        let target = self.target.get();
        // SAFETY: By the contract of this function.
        let options = if unsafe { takes_new_entries() } {
            Self::OPTIONS.as_ptr().cast()
        } else {
            Self::OLD_OPTIONS.as_ptr().cast()
        };
        // SAFETY: Nobody else has it yet.
        unsafe { (*target).x6_options = options };
        // SAFETY: It stays for good, and is libxtables' from now on.
        unsafe { bindings::xtables_register_target(target) };
        target
    }
}

/// How much room a payload takes, in whole words, in a rule that goes to the kernel.
const fn kernel_size<T: Target>() -> usize {
    T::KERNEL_SIZE.next_multiple_of(align_of::<u64>())
}

/// The entry of the newer revision, once it is registered: what libxtables finds first, and copies.
static NEWER: AtomicPtr<bindings::xtables_target> = AtomicPtr::new(ptr::null_mut());

/// Two revisions of a target: statics of an extension, which registers no others.
pub struct Pair<T: Newer> {
    newer: Registration<T>,
    older: Registration<T::Older>,
}

impl<T: Newer> Pair<T> {
    /// What libxtables is to know of them.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        Self {
            newer: Registration::newer(),
            older: Registration::new(),
        }
    }

    /// Registers the newer revision if the kernel has it, and the older one behind it. The first of them is what
    /// options are read for.
    ///
    /// libxtables by itself would ask for the newest that the kernel has, and forget the others; then
    /// `iptables-legacy` shows rules of these as `[unsupported revision]`. So the older one is brought to its list
    /// before libxtables hears of a newer one, which comes to stand before it.
    ///
    /// # Safety
    ///
    /// Once, by a program that has initialised libxtables, and in its only thread.
    pub unsafe fn register(&'static self) -> *mut bindings::xtables_target {
        // SAFETY: By the contract of this function.
        let older = unsafe { self.older.register() };
        // SAFETY: As above. What is registered stays, and nothing is loaded.
        let found = unsafe { find::<T>() };
        if found != older {
            // It looks for no target of this name, or for none of this family: nothing is asked for.
            // SAFETY: As above.
            return unsafe { self.newer.register() };
        }
        // SAFETY: It stands in the list, and nobody else looks at it meanwhile. Otherwise --help would show it, too.
        unsafe { (*older).used = 0 };
        // SAFETY: By the contract of this function.
        if !unsafe { is_in_kernel::<T>() } {
            return older;
        }
        let newer = self.newer.target.get();
        // The kernel was asked: libxtables, which asks again, hears of the one that is known to be there. A user who
        // can't ask is told so in a line, and one will do.
        // SAFETY: Nobody else has it yet.
        unsafe { (*newer).revision = T::Older::REVISION };
        // SAFETY: By the contract of this function.
        unsafe { self.newer.register() };
        // SAFETY: As above.
        unsafe { find::<T>() };
        // SAFETY: As for the older one.
        unsafe { (*newer).revision = T::REVISION };
        NEWER.store(newer, Relaxed);
        newer
    }
}

/// The target of this name that libxtables finds first; nothing is loaded for it.
///
/// # Safety
///
/// libxtables is initialised, and this is its only thread.
unsafe fn find<T: Target>() -> *mut bindings::xtables_target {
    // SAFETY: By the contract of this function; the name ends with a zero byte.
    unsafe { bindings::xtables_find_target(T::NAME.as_ptr(), bindings::XTF_DURING_LOAD) }
}

/// Whether the kernel has this revision of the target. `iptables-translate` and users who can't ask take it for granted.
///
/// # Safety
///
/// libxtables is initialised.
unsafe fn is_in_kernel<T: Target>() -> bool {
    // SAFETY: By the contract of this function.
    let ask = unsafe { (*bindings::xt_params).compat_rev };
    // CAST: 67.
    let option = bindings::IPT_SO_GET_REVISION_TARGET as c_int;
    // SAFETY: This is what it is for; the name ends with a zero byte.
    ask.is_some_and(|ask| unsafe { ask(T::NAME.as_ptr(), T::REVISION, option) } != 0)
}

/// # Safety
///
/// None is needed; libxtables has this type for it.
unsafe extern "C" fn help<T: Target>() {
    let _ = Stdout.write_str(T::HELP);
}

/// # Safety
///
/// `call` is libxtables' own, with the payload that `parse()` wrote.
unsafe extern "C" fn check<T: Target>(call: *mut bindings::xt_fcheck_call) {
    // SAFETY: By the contract of this function.
    let call = unsafe { &*call };
    // SAFETY: As in `parse()`.
    let payload = unsafe { &*call.data.cast::<T::Payload>() };
    if let Err(problem) = T::check(Given(call.xflags), payload) {
        fail(bindings::PARAMETER_PROBLEM, &problem);
    }
}

/// Judges as [`check()`], and makes the rule one of the older revision if it says nothing newer.
///
/// # Safety
///
/// As for `check()`; the payload stands in a target with room for one of the newer revision.
unsafe extern "C" fn check_newer<T: Newer>(call: *mut bindings::xt_fcheck_call) {
    // SAFETY: By the contract of this function.
    unsafe { check::<T>(call) };
    // SAFETY: As above.
    let data = unsafe { (*call).data };
    // SAFETY: As in `check()`.
    let payload = unsafe { &*data.cast::<T::Payload>() };
    let (revision, size, compared) = match T::older(payload) {
        None => (T::REVISION, kernel_size::<T>(), size_of::<T::Payload>()),
        Some(older) => {
            // SAFETY: So many bytes are there. Whoever reads them as the kernel has them finds nothing behind the payload.
            unsafe { ptr::write_bytes(data.cast::<u8>(), 0, kernel_size::<T>()) };
            // SAFETY: It is no larger and needs no more alignment, as `newer()` asserts.
            unsafe { data.cast::<<T::Older as Target>::Payload>().write(older) };
            (
                T::Older::REVISION,
                kernel_size::<T::Older>(),
                size_of::<<T::Older as Target>::Payload>(),
            )
        }
    };
    let header = offset_of!(bindings::xt_entry_target, data);
    // SAFETY: What libxtables gives for the data is the `data` of a target.
    let target = unsafe { data.byte_sub(header).cast::<bindings::xt_entry_target>() };
    // SAFETY: As above. The revision is in the view that userspace has of it, which starts with the size.
    let user = unsafe { &mut (*target).u.user };
    user.target_size = (header + size) as u16; // CAST: Some hundreds.
    user.revision = revision;
    let newer = NEWER.load(Relaxed);
    if !newer.is_null() {
        // `iptables-legacy -v` shows the rule before it goes: it takes a copy of the entry and looks from there for one of
        // the rule's revision, for ever if the copy, which is followed by itself, is of another.
        // SAFETY: It is a static of the extension, and nobody else looks at it meanwhile.
        unsafe { (*newer).revision = revision };
        // So many bytes -C and -D compare. What the kernel keeps behind them is its own.
        // SAFETY: As above.
        unsafe { (*newer).userspacesize = compared };
    }
}

/// The payload of a rule's target, whatever its bytes; none if it is too short for one.
///
/// # Safety
///
/// `target` is as long as it says.
unsafe fn payload<T: Target>(target: *const bindings::xt_entry_target) -> Option<T::Payload> {
    let offset = offset_of!(bindings::xt_entry_target, data);
    // SAFETY: By the contract of this function. Each variant of the union starts with the size.
    let size = usize::from(unsafe { (&raw const (*target).u.target_size).read_unaligned() });
    if size < offset + size_of::<T::Payload>() {
        return None;
    }
    // SAFETY: So many bytes are there, and a payload is plain data. They need not be aligned.
    Some(unsafe { ptr::read_unaligned(target.byte_add(offset).cast()) })
}

/// # Safety
///
/// `target` is that of a rule, of this name and revision.
unsafe extern "C" fn print<T: Target>(
    _ip: *const c_void,
    target: *const bindings::xt_entry_target,
    _numeric: c_int,
) {
    // SAFETY: By the contract of this function.
    if let Some(payload) = unsafe { payload::<T>(target) } {
        let _ = T::print(&payload, &mut Stdout);
    }
}

/// # Safety
///
/// As for `print()`.
unsafe extern "C" fn save<T: Target>(_ip: *const c_void, target: *const bindings::xt_entry_target) {
    // SAFETY: By the contract of this function.
    if let Some(payload) = unsafe { payload::<T>(target) } {
        let _ = T::save(&payload, &mut Stdout);
    }
}

/// Shows a rule of either revision. Which one it is its length says: `iptables-nft` takes each for the newest that the
/// kernel has.
///
/// # Safety
///
/// As for `print()`, but for the revision.
unsafe extern "C" fn print_newer<T: Newer>(
    ip: *const c_void,
    target: *const bindings::xt_entry_target,
    numeric: c_int,
) {
    // SAFETY: By the contract of this function.
    match unsafe { payload::<T>(target) } {
        // SAFETY: As above.
        Some(_) => unsafe { print::<T>(ip, target, numeric) },
        // SAFETY: As above.
        None => unsafe { print::<T::Older>(ip, target, numeric) },
    }
}

/// # Safety
///
/// As for `print_newer()`.
unsafe extern "C" fn save_newer<T: Newer>(
    ip: *const c_void,
    target: *const bindings::xt_entry_target,
) {
    // SAFETY: By the contract of this function.
    match unsafe { payload::<T>(target) } {
        // SAFETY: As above.
        Some(_) => unsafe { save::<T>(ip, target) },
        // SAFETY: As above.
        None => unsafe { save::<T::Older>(ip, target) },
    }
}

/// Says why there is no translation, once: a rule with two addresses comes here twice. It stands in
/// a comment: before it `iptables-translate` prints at most `nft `, after it the line as a comment.
///
/// `nft` asks as well, when it lists a rule, and prints the target behind whatever was said. In a comment it would
/// be lost to whoever loads that list again, and the rule with it: so to others nothing is said.
///
/// # Safety
///
/// As for `help()`.
unsafe extern "C" fn translate<T: Target>(
    _xl: *mut bindings::xt_xlate,
    _params: *const bindings::xt_xlate_tg_params,
) -> c_int {
    static SAID: AtomicBool = AtomicBool::new(false);
    // SAFETY: By the contract of this function.
    if unsafe { is_translator() } && !SAID.swap(true, Relaxed) {
        let _ = write!(Stdout, "# {} ", T::UNTRANSLATED);
    }
    0
}

/// Whether the program is `iptables-translate` or one of its kin.
///
/// # Safety
///
/// libxtables is initialised.
unsafe fn is_translator() -> bool {
    const NAME: &[u8] = b"translate";
    // SAFETY: By the contract of this function.
    let program = unsafe { (*bindings::xt_params).program_name };
    if program.is_null() {
        return false;
    }
    // SAFETY: It is a string of the program's own.
    let program = unsafe { CStr::from_ptr(program) }.to_bytes();
    program.windows(NAME.len()).any(|part| part == NAME)
}
