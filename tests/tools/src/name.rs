// SPDX-License-Identifier: GPL-2.0-only

//! Names of functions: how they read, and which ones mean a panic.

/// C functions that end the machine or the task.
const C_PANICS: [&str; 4] = [
    "panic",
    "__fortify_panic",
    "fortify_panic",
    "rust_helper_BUG",
];

/// Rust functions without a mangled name that do.
const BARE_PANICS: [&str; 2] = ["rust_begin_unwind", "rust_build_error"];

/// How the kernel's compilers name a call through a pointer.
const INDIRECT: [&str; 2] = ["__x86_indirect_thunk_", "__x86_indirect_call_thunk_"];

/// The name as a reader of the source would write it; the hash at its end is left out.
pub fn readable(symbol: &str) -> String {
    format!("{:#}", rustc_demangle::demangle(symbol))
}

/// Whether this function panics, or is only ever called to.
pub fn panics(symbol: &str) -> bool {
    if C_PANICS.contains(&symbol) || BARE_PANICS.contains(&symbol) {
        return true;
    }
    if rustc_demangle::try_demangle(symbol).is_err() {
        return false;
    }
    let name = readable(symbol);
    let last = name.rsplit("::").next().unwrap_or(&name);
    name.contains("panicking::")
        || last.contains("panic")
        || last.contains("begin_unwind")
        || last.contains("build_error")
        || last.ends_with("_overflow")
        || last.ends_with("_fail")
        || last.ends_with("_failed")
        || last == "handle_alloc_error"
        || last == "capacity_overflow"
}

/// Whether this stands for a call through a pointer, whose end can't be seen.
pub fn indirect(symbol: &str) -> bool {
    INDIRECT.iter().any(|prefix| symbol.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panics_are_known_by_name() {
        for symbol in [
            "_RNvNtCsabc_4core9panicking9panic_fmt",
            "_RNvNtCsabc_4core9panicking18panic_bounds_check",
            "_RNvNtNtCsabc_4core9panicking11panic_const24panic_const_add_overflow",
            "_RNvNtNtCsabc_4core5slice5index24slice_end_index_len_fail",
            "_RNvNtCsabc_4core6option13unwrap_failed",
            "_RNvNtCsabc_4core6option13expect_failed",
            "_RNvNtCsabc_4core4cell22panic_already_borrowed",
            "_ZN4core9panicking5panic17h0123456789abcdefE",
            "rust_begin_unwind",
            "rust_build_error",
            "__fortify_panic",
        ] {
            assert!(panics(symbol), "{symbol}: {}", readable(symbol));
        }
    }

    #[test]
    fn others_are_not() {
        for symbol in [
            "_RNvNtCsabc_6kernel5print11call_printk",
            "_RNvNtCsabc_4core3fmt5write",
            "__stack_chk_fail",
            "skb_copy_bits",
            "__x86_return_thunk",
        ] {
            assert!(!panics(symbol), "{symbol}: {}", readable(symbol));
        }
    }

    #[test]
    fn calls_through_pointers_are_known_by_name() {
        assert!(indirect("__x86_indirect_thunk_r11"));
        assert!(!indirect("__x86_return_thunk"));
    }
}
