// SPDX-License-Identifier: GPL-2.0-only

//! The options of a target: what libxtables is told of them, and what becomes of their values.

use core::ffi::c_char;
use core::ffi::c_uint;
use core::ffi::CStr;
use core::mem::offset_of;
use core::ptr;

use super::bindings;
use super::fail;
use super::Target;

/// An option: its name without the dashes, and what its value does to the payload.
///
/// Each can be given once, if nothing else is said, and none can be inverted.
pub struct Opt<T: Target> {
    /// The name.
    pub name: &'static CStr,
    /// Other names for it.
    short: &'static [&'static CStr],
    kind: Kind<T>,
    many: bool,
    /// The option that it can't stand beside.
    instead: Option<&'static CStr>,
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
    const fn new(name: &'static CStr, kind: Kind<T>) -> Self {
        Self {
            name,
            short: &[],
            kind,
            many: false,
            instead: None,
        }
    }

    /// It has these names, too: beginnings that were unique before another option came.
    pub const fn short(mut self, names: &'static [&'static CStr]) -> Self {
        self.short = names;
        self
    }

    /// It can be given more than once.
    pub const fn many(mut self) -> Self {
        self.many = true;
        self
    }

    /// It can be given instead of another option, not beside it.
    pub const fn instead_of(mut self, name: &'static CStr) -> Self {
        self.instead = Some(name);
        self
    }

    /// An option without a value.
    pub const fn flag(name: &'static CStr, set: fn(&mut T::Payload)) -> Self {
        Self::new(name, Kind::Flag(set))
    }

    /// An option with a word.
    pub const fn text(name: &'static CStr, set: SetText<T>) -> Self {
        Self::new(name, Kind::Text(set))
    }

    /// An option with a hardware address.
    pub const fn mac(name: &'static CStr, set: SetMac<T>) -> Self {
        Self::new(name, Kind::Mac(set))
    }

    /// An option with a number from `min` to `max`.
    pub const fn u16(name: &'static CStr, min: u16, max: u16, set: Set<T, u16>) -> Self {
        Self::new(name, Kind::U16(min, max, set))
    }

    /// An option with a number of 32 bits.
    pub const fn u32(name: &'static CStr, set: Set<T, u32>) -> Self {
        Self::new(name, Kind::U32(set))
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
        let flags = if self.many { bindings::XTOPT_MULTI } else { 0 };
        let excl = match self.instead {
            Some(name) => 1 << place::<T>(name),
            None => 0,
        };
        Entry {
            name: self.name.as_ptr(),
            kind,
            id,
            excl,
            flags,
            min,
            max,
            ..Entry::END
        }
    }
}

/// The place of a target's option, which is its number. That there is one is for the compiler to find.
const fn place<T: Target>(name: &CStr) -> c_uint {
    let mut id = 0;
    while !same(T::OPTIONS[id].name.to_bytes(), name.to_bytes()) {
        id += 1;
    }
    id as c_uint // CAST: Not above 32.
}

const fn same(one: &[u8], other: &[u8]) -> bool {
    let mut at = 0;
    while at < one.len() && at < other.len() && one[at] == other[at] {
        at += 1;
    }
    at == one.len() && at == other.len()
}

/// `struct xt_option_entry`, in its two sizes: libxtables added `base` in 1.8.11 without another
/// soname, so each size is the only right one for some `iptables` that may load this.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Entry<const BASE: usize> {
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
pub(super) type OldEntry = Entry<0>;
pub(super) type NewEntry = Entry<1>;

// The header that this is built with has one of the two.
const _: () = {
    let size = size_of::<bindings::xt_option_entry>();
    assert!(size == size_of::<OldEntry>() || size == size_of::<NewEntry>());
    assert!(offset_of!(bindings::xt_option_entry, id) == offset_of!(NewEntry, id));
    assert!(offset_of!(bindings::xt_option_entry, max) == offset_of!(NewEntry, max));
    assert!(offset_of!(OldEntry, max) == offset_of!(NewEntry, max));
};

/// Room for as many options as libxtables has bits for, for other names of theirs, and the end.
pub(super) const TABLE: usize = 2 * c_uint::BITS as usize + 1; // CAST: 32.

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

    /// A target's options; the place of each is its number. Other names of an option come behind all of
    /// them: by a number libxtables finds the first.
    pub(super) const fn table<T: Target>() -> [Self; TABLE] {
        assert!(T::OPTIONS.len() <= c_uint::BITS as usize); // CAST: 32.
        let mut table = [Self::END; TABLE];
        let mut end = T::OPTIONS.len();
        let mut id = 0;
        while id < T::OPTIONS.len() {
            let option = &T::OPTIONS[id];
            // CAST: Not above 32. PANIC: It would be the compiler's, here and below.
            table[id] = option.entry(id as c_uint);
            let mut other = 0;
            while other < option.short.len() {
                table[end] = Entry {
                    name: option.short[other].as_ptr(),
                    ..table[id]
                };
                end += 1;
                other += 1;
            }
            id += 1;
        }
        assert!(end < TABLE);
        table
    }
}

/// Which options were given.
#[derive(Clone, Copy)]
pub struct Given(pub(super) c_uint);

impl Given {
    /// Whether an option of a target was.
    pub fn has<T: Target>(&self, name: &CStr) -> bool {
        self.absent::<T>().all(|option| option.name != name)
    }

    /// Without these options of a target.
    pub fn except<T: Target>(self, names: &[&CStr]) -> Self {
        let named = (0..c_uint::BITS)
            .zip(T::OPTIONS)
            .filter(|(_, option)| names.contains(&option.name));
        Self(named.fold(self.0, |given, (id, _)| given & !(1 << id)))
    }

    /// Whether none was.
    pub const fn is_empty(&self) -> bool {
        self.0 == 0
    }

    /// Those of a target's options that were not.
    pub fn absent<T: Target>(&self) -> impl Iterator<Item = &'static Opt<T>> + use<T> {
        let given = self.0;
        (0..c_uint::BITS)
            .zip(T::OPTIONS)
            .filter(move |(id, _)| given & (1 << id) == 0)
            .map(|(_, option)| option)
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
pub(super) unsafe fn takes_new_entries() -> bool {
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

/// # Safety
///
/// `call` is libxtables' own, about an option of this target, with its entry and room for a payload.
pub(super) unsafe extern "C" fn parse<T: Target>(call: *mut bindings::xt_option_call) {
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
