// SPDX-License-Identifier: GPL-2.0-only

//! A safe face over libxtables: what an extension for one target is, and its registration.
//!
//! C header: `xtables.h`. This directory has all the `unsafe` of the extension. What it relies on is what
//! libxtables and `iptables` do: they are single-threaded, call an extension's functions with the
//! structures that they made for it, and never return from `xtables_error()`.

mod options;
mod register;

use core::ffi::c_char;
use core::ffi::c_int;
use core::ffi::c_uint;
use core::ffi::CStr;
use core::fmt;
use core::fmt::Write;

use zerocopy::FromBytes;
use zerocopy::Immutable;
use zerocopy::IntoBytes;

pub use options::version_of;
pub use options::Given;
pub use options::Opt;
pub use register::Pair;

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

/// A revision of a target that follows another one.
///
/// A rule that the older one can say as well is sent in that one: a kernel or a program that knows no other has
/// to take it, and to find it again.
pub trait Newer: Target {
    /// The revision before it. Its payload is no larger.
    type Older: Target;

    /// The payload as the older revision has it, if that means the same.
    fn older(payload: &Self::Payload) -> Option<<Self::Older as Target>::Payload>;
}

/// Why a line is not taken. `iptables` prints it after its own name, and ends with 2.
pub trait Problem: fmt::Display {
    /// The word of the line that it is about, which is added in quotes, byte for byte.
    fn about(&self) -> Option<&CStr>;
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

/// Makes a shared object of the crate that libxtables can load: registers a [`Newer`] target and the one
/// before it when it is loaded, and says what a panic says.
#[macro_export]
macro_rules! extension {
    ($target:ty) => {
        static REGISTRATION: $crate::xtables::Pair<$target> = $crate::xtables::Pair::new();

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
