// SPDX-License-Identifier: GPL-2.0-only

//! A safe face over libxtables: what an extension for one target is, and its registration.
//!
//! C header: `xtables.h`. This file has all the `unsafe` of the extension. What it relies on is what
//! libxtables and `iptables` do: they are single-threaded, call an extension's functions with the
//! structures that they made for it, and never return from `xtables_error()`.

use core::cell::UnsafeCell;
use core::ffi::c_char;
use core::ffi::c_int;
use core::ffi::c_uint;
use core::ffi::c_void;
use core::ffi::CStr;
use core::fmt;
use core::fmt::Write;
use core::marker::PhantomData;
use core::mem::offset_of;
use core::mem::MaybeUninit;
use core::ptr;
use core::sync::atomic::AtomicBool;
use core::sync::atomic::Ordering::Relaxed;

use zerocopy::FromBytes;
use zerocopy::Immutable;
use zerocopy::IntoBytes;

/// What `xtables.h` says, by bindgen.
#[allow(non_camel_case_types, non_snake_case, non_upper_case_globals)]
#[allow(dead_code, clippy::all)]
pub mod bindings {
    include!(concat!(env!("OUT_DIR"), "/bindings.rs"));
}

/// A target of iptables, for IPv4, of one revision.
pub trait Target: Sized + 'static {
    /// What follows `-j`.
    const NAME: &'static CStr;
    /// The revision of the payload.
    const REVISION: u8;
    /// How large the payload is in the kernel, which may keep something of its own behind it.
    const KERNEL_SIZE: usize;
    /// What userspace and kernel exchange, and what `-D` and `-C` compare.
    type Payload: FromBytes + IntoBytes + Immutable + 'static;
    /// Why a line is not taken.
    type Problem<'a>: Problem;
    /// The options, 32 at most.
    const OPTIONS: &'static [Opt<Self>];
    /// What `-j NAME --help` prints after iptables' own help.
    const HELP: &'static str;
    /// What `iptables-translate` says before the line that it can't translate.
    const UNTRANSLATED: &'static str;

    /// Judges the options together, when all have been read.
    fn check(given: Given, payload: &Self::Payload) -> Result<(), Self::Problem<'static>>;
    /// Shows a rule's payload, for `-L`; the text starts with a space.
    fn print(payload: &Self::Payload, out: &mut dyn Write) -> fmt::Result;
    /// Writes a rule's payload as its options, for `-S` and `iptables-save`; starts with a space.
    fn save(payload: &Self::Payload, out: &mut dyn Write) -> fmt::Result;
}

/// Why a line is not taken. `iptables` prints it after its own name, and ends with 2.
pub trait Problem: fmt::Display {
    /// The word of the line that it is about, which is added in quotes, byte for byte.
    fn about(&self) -> Option<&CStr>;
}

/// An option: its name without the dashes, and what its value does to the payload.
///
/// Each can be given once, and none can be inverted.
pub struct Opt<T: Target> {
    /// The name.
    pub name: &'static CStr,
    kind: Kind<T>,
}

type Set<T, V> = fn(&mut <T as Target>::Payload, V);
type SetText<T> =
    for<'a> fn(&mut <T as Target>::Payload, &'a CStr) -> Result<(), <T as Target>::Problem<'a>>;
type SetMac<T> =
    fn(&mut <T as Target>::Payload, [u8; 6]) -> Result<(), <T as Target>::Problem<'static>>;

/// What an option takes. libxtables parses it, so its ways to write a number hold.
enum Kind<T: Target> {
    Flag(fn(&mut T::Payload)),
    Text(SetText<T>),
    Mac(SetMac<T>),
    U16(u16, u16, Set<T, u16>),
    U32(Set<T, u32>),
}

impl<T: Target> Opt<T> {
    /// An option without a value.
    pub const fn flag(name: &'static CStr, set: fn(&mut T::Payload)) -> Self {
        let kind = Kind::Flag(set);
        Self { name, kind }
    }

    /// An option with a word.
    pub const fn text(name: &'static CStr, set: SetText<T>) -> Self {
        let kind = Kind::Text(set);
        Self { name, kind }
    }

    /// An option with a hardware address.
    pub const fn mac(name: &'static CStr, set: SetMac<T>) -> Self {
        let kind = Kind::Mac(set);
        Self { name, kind }
    }

    /// An option with a number from `min` to `max`.
    pub const fn u16(name: &'static CStr, min: u16, max: u16, set: Set<T, u16>) -> Self {
        let kind = Kind::U16(min, max, set);
        Self { name, kind }
    }

    /// An option with a number of 32 bits.
    pub const fn u32(name: &'static CStr, set: Set<T, u32>) -> Self {
        let kind = Kind::U32(set);
        Self { name, kind }
    }

    /// The option as libxtables wants it. It stores nothing itself: it hands the value over.
    const fn entry<const BASE: usize>(&self, id: c_uint) -> Entry<BASE> {
        let (kind, min, max) = match self.kind {
            Kind::Flag(_) => (bindings::XTTYPE_NONE, 0, 0),
            Kind::Text(_) => (bindings::XTTYPE_STRING, 0, 0),
            Kind::Mac(_) => (bindings::XTTYPE_ETHERMAC, 0, 0),
            // CAST: widening.
            Kind::U16(min, max, _) => (bindings::XTTYPE_UINT16, min as c_uint, max as c_uint),
            Kind::U32(_) => (bindings::XTTYPE_UINT32, 0, 0),
        };
        Entry {
            name: self.name.as_ptr(),
            kind,
            id,
            min,
            max,
            ..Entry::END
        }
    }
}

/// `struct xt_option_entry`, in its two sizes: libxtables added `base` in 1.8.11 without another
/// soname, so each size is the only right one for some `iptables` that may load this.
#[repr(C)]
#[derive(Clone, Copy)]
struct Entry<const BASE: usize> {
    name: *const c_char,
    kind: bindings::xt_option_type,
    id: c_uint,
    excl: c_uint,
    also: c_uint,
    flags: c_uint,
    ptroff: c_uint,
    size: usize,
    min: c_uint,
    max: c_uint,
    base: [c_uint; BASE],
}

/// Up to 1.8.10, and since.
type OldEntry = Entry<0>;
type NewEntry = Entry<1>;

// The header that this is built with has one of the two.
const _: () = {
    let size = size_of::<bindings::xt_option_entry>();
    assert!(size == size_of::<OldEntry>() || size == size_of::<NewEntry>());
    assert!(offset_of!(bindings::xt_option_entry, id) == offset_of!(NewEntry, id));
    assert!(offset_of!(bindings::xt_option_entry, max) == offset_of!(NewEntry, max));
    assert!(offset_of!(OldEntry, max) == offset_of!(NewEntry, max));
};

/// As many options as libxtables has bits for, and the end.
const TABLE: usize = c_uint::BITS as usize + 1; // CAST: 32.

impl<const BASE: usize> Entry<BASE> {
    /// What a table ends with.
    const END: Self = Self {
        name: ptr::null(),
        kind: bindings::XTTYPE_NONE,
        id: 0,
        excl: 0,
        also: 0,
        flags: 0,
        ptroff: 0,
        size: 0,
        min: 0,
        max: 0,
        base: [0; BASE],
    };

    /// A target's options; the place of each is its number.
    const fn table<T: Target>() -> [Self; TABLE] {
        assert!(T::OPTIONS.len() < TABLE);
        let mut table = [Self::END; TABLE];
        let mut id = 0;
        while id < T::OPTIONS.len() {
            // CAST: Not above 32. PANIC: It would be the compiler's.
            table[id] = T::OPTIONS[id].entry(id as c_uint);
            id += 1;
        }
        table
    }
}

/// Which options were given.
pub struct Given(c_uint);

impl Given {
    /// Whether none was.
    pub const fn is_empty(&self) -> bool {
        self.0 == 0
    }

    /// Those of a target's options that were not.
    pub fn absent<T: Target>(&self) -> impl Iterator<Item = &'static Opt<T>> {
        let given = self.0;
        (0..c_uint::BITS)
            .zip(T::OPTIONS)
            .filter(move |(id, _)| given & (1 << id) == 0)
            .map(|(_, option)| option)
    }
}

/// Says what is wrong, in 255 bytes at most and the word that it is about, and ends the program.
fn fail(status: c_uint, problem: &dyn Problem) -> ! {
    let text = Text::new(format_args!("{problem}"));
    let (format, about) = match problem.about() {
        None => (c"%s", c""),
        Some(about) => (c"%s \"%s\"", about),
    };
    // SAFETY: `xtables_init_all()` has set it before any extension is loaded, and it stays.
    let error = unsafe { (*bindings::xt_params).exit_err };
    if let Some(error) = error {
        // SAFETY: The format takes two strings at most, and these end with a zero byte.
        unsafe { error(status, format.as_ptr(), text.as_ptr(), about.as_ptr()) };
    }
    // SAFETY: It may be called at any time. No program gets here.
    unsafe { bindings::abort() }
}

/// A short text that ends with a zero byte, whatever was written.
struct Text {
    bytes: [u8; 256],
    used: usize,
}

impl Text {
    fn new(text: fmt::Arguments<'_>) -> Self {
        let (bytes, used) = ([0; 256], 0);
        let mut new = Self { bytes, used };
        // It never says that there was an error.
        let _ = new.write_fmt(text);
        new
    }

    fn as_ptr(&self) -> *const c_char {
        self.bytes.as_ptr().cast()
    }
}

impl Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let last = self.bytes.len() - 1;
        let room = self.bytes.get_mut(self.used..last).unwrap_or_default();
        let written = room.len().min(text.len());
        for (to, from) in room.iter_mut().zip(text.bytes()) {
            *to = from;
        }
        self.used += written;
        Ok(())
    }
}

/// C's standard output, which `iptables` has the rest of the line in.
struct Stdout;

impl Write for Stdout {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // A piece of a line is never longer than that.
        let length = c_int::try_from(text.len()).unwrap_or(c_int::MAX);
        // SAFETY: The format takes a length and that many bytes, which are there.
        unsafe { bindings::printf(c"%.*s".as_ptr(), length, text.as_ptr()) };
        // Nobody who prints rules asks whether they were written.
        Ok(())
    }
}

/// The first version with the new entries, and a function that it has since and that it calls its
/// own, so that it may hide it one day.
const NEW_SINCE: [u32; 3] = [1, 8, 11];
const NEW_FUNCTION: &CStr = c"xtables_strtoul_base";

/// Whether the libxtables that this runs with has the new entries.
///
/// The function says so; the version of the program alone would not do, since `nft` has another. To
/// try it out will not do either: `xtables_options_xfrm()` frees the options that are in use.
///
/// # Safety
///
/// libxtables is initialised.
unsafe fn takes_new_entries() -> bool {
    // SAFETY: The name ends with a zero byte. What is looked for is what the program has been linked
    // with, or this file itself.
    if !unsafe { bindings::dlsym(ptr::null_mut(), NEW_FUNCTION.as_ptr()) }.is_null() {
        return true;
    }
    // SAFETY: By the contract of this function.
    let version = unsafe { (*bindings::xt_params).program_version };
    if version.is_null() {
        return false;
    }
    // SAFETY: It is a string of the program's own.
    version_of(unsafe { CStr::from_ptr(version) }.to_bytes()) >= NEW_SINCE
}

/// The numbers of a version; what is missing or no number counts as 0.
pub fn version_of(text: &[u8]) -> [u32; 3] {
    let mut parts = text.split(|byte| *byte == b'.').map(|digits| {
        let digits = digits
            .iter()
            .map_while(|byte| char::from(*byte).to_digit(10));
        digits.fold(0u32, |number, digit| {
            number.saturating_mul(10).saturating_add(digit)
        })
    });
    [(); 3].map(|()| parts.next().unwrap_or_default())
}

/// A target as libxtables knows it: a static of the extension.
pub struct Registration<T> {
    target: UnsafeCell<bindings::xtables_target>,
    _target: PhantomData<T>,
}

// SAFETY: What loads an extension is single-threaded, and all that reaches inside is `register()`,
// which hands it over to libxtables.
unsafe impl<T> Sync for Registration<T> {}

impl<T: Target> Registration<T> {
    const OLD_OPTIONS: &'static [OldEntry; TABLE] = &Entry::table::<T>();
    const OPTIONS: &'static [NewEntry; TABLE] = &Entry::table::<T>();

    /// What libxtables is to know of the target.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        let target = bindings::xtables_target {
            version: bindings::XTABLES_VERSION.as_ptr().cast(),
            name: T::NAME.as_ptr(),
            revision: T::REVISION,
            family: bindings::NFPROTO_IPV4 as u16, // CAST: 2.
            size: T::KERNEL_SIZE.next_multiple_of(align_of::<u64>()),
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

    /// Registers the target.
    ///
    /// # Safety
    ///
    /// Once, by a program that has initialised libxtables, and in its only thread.
    pub unsafe fn register(&'static self) -> *mut bindings::xtables_target {
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

/// Makes a shared object of the crate that libxtables can load: registers a [`Target`] when it is
/// loaded, and says what a panic says.
#[macro_export]
macro_rules! extension {
    ($target:ty) => {
        static REGISTRATION: $crate::xtables::Registration<$target> =
            $crate::xtables::Registration::new();

        extern "C" fn register() {
            // SAFETY: Whoever loads the file is libxtables, which does it once.
            unsafe { REGISTRATION.register() };
        }

        #[used]
        #[link_section = ".init_array"]
        static REGISTER: extern "C" fn() = register;

        #[panic_handler]
        fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
            $crate::xtables::bug::<$target>()
        }
    };
}
pub use extension;

/// Says that the extension itself is at fault, and ends the program with 1.
pub fn bug<T: Target>() -> ! {
    fail(bindings::OTHER_PROBLEM, &Bug(T::NAME))
}

struct Bug(&'static CStr);

impl fmt::Display for Bug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this is a bug of the extension for target")
    }
}

impl Problem for Bug {
    fn about(&self) -> Option<&CStr> {
        Some(self.0)
    }
}

/// # Safety
///
/// None is needed; libxtables has this type for it.
unsafe extern "C" fn help<T: Target>() {
    let _ = Stdout.write_str(T::HELP);
}

/// # Safety
///
/// `call` is libxtables' own, about an option of this target, with its entry and room for a payload.
unsafe extern "C" fn parse<T: Target>(call: *mut bindings::xt_option_call) {
    // SAFETY: This is what it is for. It does not return if the value is none of the option's kind.
    unsafe { bindings::xtables_option_parse(call) };
    // SAFETY: As above; nobody else has it meanwhile.
    let call = unsafe { &*call };
    // SAFETY: It is an entry of the table above.
    let id = unsafe { (*call.entry).id };
    // SAFETY: There is room for a payload, zeroed at first, and aligned as malloc's are.
    let payload = unsafe { &mut *call.data.cast::<T::Payload>() };
    // CAST: widening.
    let Some(option) = T::OPTIONS.get(id as usize) else {
        return;
    };

    let value = &call.val;
    let result = match option.kind {
        Kind::Flag(set) => {
            set(payload);
            Ok(())
        }
        // SAFETY: An option of this type has an argument, a string of `main()`'s.
        Kind::Text(set) => set(payload, unsafe { CStr::from_ptr(call.arg) }),
        // SAFETY: For an option of this type these bytes were written, at the union's start. The
        // field has another name in each version of the header.
        Kind::Mac(set) => set(payload, unsafe {
            ptr::from_ref(value).cast::<[u8; 6]>().read()
        }),
        Kind::U16(_, _, set) => {
            // SAFETY: As above.
            set(payload, unsafe { value.u16_ });
            Ok(())
        }
        Kind::U32(set) => {
            // SAFETY: As above.
            set(payload, unsafe { value.u32_ });
            Ok(())
        }
    };
    if let Err(problem) = result {
        fail(bindings::PARAMETER_PROBLEM, &problem);
    }
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

/// Says why there is no translation, once: a rule with two addresses comes here twice. It stands in
/// a comment: before it `iptables-translate` prints at most `nft `, after it the line as a comment.
///
/// # Safety
///
/// As for `help()`.
unsafe extern "C" fn translate<T: Target>(
    _xl: *mut bindings::xt_xlate,
    _params: *const bindings::xt_xlate_tg_params,
) -> c_int {
    static SAID: AtomicBool = AtomicBool::new(false);
    if !SAID.swap(true, Relaxed) {
        let _ = write!(Stdout, "# {} ", T::UNTRANSLATED);
    }
    0
}

#[cfg(test)]
mod tests {
    use super::version_of;
    use super::NEW_SINCE;

    #[test]
    fn versions() {
        let of = |text: &str| version_of(text.as_bytes());
        assert_eq!(of("1.8.9"), [1, 8, 9]);
        assert_eq!(of("1.8.13-rc1"), [1, 8, 13]);
        assert_eq!(of("2"), [2, 0, 0]);
        assert_eq!(of(""), [0, 0, 0]);
        assert_eq!(of("99999999999.x.1"), [u32::MAX, 0, 1]);
        assert!(of("1.8.10") < NEW_SINCE && of("1.8.9") < NEW_SINCE);
        assert!(of("1.8.11") >= NEW_SINCE && of("1.9") >= NEW_SINCE && of("1.8.14") >= NEW_SINCE);
    }
}
