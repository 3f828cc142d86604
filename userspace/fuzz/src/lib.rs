// SPDX-License-Identifier: GPL-2.0-only

//! The extension with libxtables around it, as iptables has it, in one process.

use std::ffi::c_char;
use std::ffi::c_int;
use std::ffi::c_void;
use std::ffi::CString;
use std::ptr;
use std::slice;
use std::sync::OnceLock;

use ipt_CLUSTERIP::target::ClusterIp1;
use ipt_CLUSTERIP::xtables::bindings::xtables_target;
use ipt_CLUSTERIP::xtables::Pair;

/// What userspace and kernel exchange, of each revision; the kernel has 8 bytes of its own behind it.
pub const PAYLOADS: [usize; 2] = [56, 168];
const KERNEL: usize = 176;
/// What stands before a payload: `struct xt_entry_target`.
pub const HEADER: usize = 32;

static REGISTRATION: Pair<ClusterIp1> = Pair::new();

extern "C" {
    fn drive_init() -> c_int;
    fn drive_parse(
        target: *mut xtables_target,
        argc: c_int,
        argv: *mut *mut c_char,
        payload: *mut c_void,
        size: *mut usize,
        revision: *mut c_int,
    ) -> c_int;
    fn drive_show(
        target: *mut xtables_target,
        entry: *const c_void,
        what: c_int,
        size: *mut usize,
    ) -> *mut c_char;
    fn free(what: *mut c_void);
    fn mmap(
        at: *mut c_void,
        length: usize,
        prot: c_int,
        flags: c_int,
        fd: c_int,
        o: i64,
    ) -> *mut c_void;
}

fn target() -> *mut xtables_target {
    static TARGET: OnceLock<usize> = OnceLock::new();
    *TARGET.get_or_init(|| {
        // SAFETY: Once, before anything else of libxtables.
        assert_eq!(unsafe { drive_init() }, 0);
        // SAFETY: As above, and once.
        unsafe { REGISTRATION.register() as usize }
    }) as *mut xtables_target
}

/// The payload of a line, as long as it is in the revision that it is sent in, or the status with which iptables
/// would end.
pub fn parse(words: &[&[u8]]) -> Result<Vec<u8>, c_int> {
    parse_for(target(), words)
}

/// The same where the kernel has revision 0 only.
pub fn parse_older(words: &[&[u8]]) -> Result<Vec<u8>, c_int> {
    // SAFETY: In libxtables' list the newer one is followed by the other.
    parse_for(unsafe { (*target()).next }, words)
}

fn parse_for(target: *mut xtables_target, words: &[&[u8]]) -> Result<Vec<u8>, c_int> {
    // The name of the program; and what a line can't have, no word can.
    let words: Vec<CString> = [b"iptables".as_slice()]
        .iter()
        .chain(words)
        .map(|word| CString::new(word.split(|byte| *byte == 0).next().unwrap_or_default()))
        .collect::<Result<_, _>>()
        .expect("no zero byte is left");
    let mut argv: Vec<*mut c_char> = words
        .iter()
        .map(|word| word.as_ptr().cast_mut())
        .chain([ptr::null_mut()])
        .collect();
    let mut payload = vec![0; KERNEL];
    let (mut size, mut revision) = (KERNEL, -1);
    // SAFETY: `argv` is as main() has it, `payload` that large. getopt_long() moves pointers only.
    let status = unsafe {
        drive_parse(
            target,
            words.len() as c_int,
            argv.as_mut_ptr(),
            payload.as_mut_ptr().cast(),
            &mut size,
            &mut revision,
        )
    };
    match status {
        0 => {
            let own = payload.split_off(size - 8);
            assert!(
                own.iter().all(|byte| *byte == 0),
                "the kernel's own part is zero"
            );
            assert_eq!(PAYLOADS.get(revision as usize), Some(&payload.len()));
            Ok(payload)
        }
        status => Err(status),
    }
}

/// What is printed, and what is saved, of a rule whose target has these bytes behind its header; the
/// whole words of 8 bytes of them, as a rule is made of such words.
///
/// They stand at the end of a page, and the next one can't be read.
pub fn show(payload: &[u8]) -> [String; 2] {
    const PAGE: usize = 4096;
    static PAGES: OnceLock<usize> = OnceLock::new();
    let pages = *PAGES.get_or_init(|| {
        // SAFETY: Private (2), anonymous (32) pages; nothing can be read (0) of the second.
        unsafe {
            let pages = mmap(ptr::null_mut(), 2 * PAGE, 0, 2 | 32, -1, 0);
            let first = mmap(pages, PAGE, 1 | 2, 2 | 32 | 16, -1, 0);
            assert!(first == pages && pages as isize != -1);
            pages as usize
        }
    });
    let payload = &payload[..payload.len().min(KERNEL) & !7];
    let size = HEADER + payload.len();
    let entry = pages + PAGE - size;
    // SAFETY: The last `size` bytes of the first page, which is ours.
    let bytes = unsafe { slice::from_raw_parts_mut(entry as *mut u8, size) };
    bytes.fill(0);
    bytes[..2].copy_from_slice(&(size as u16).to_ne_bytes());
    bytes[2..11].copy_from_slice(b"CLUSTERIP");
    bytes[HEADER..].copy_from_slice(payload);
    // SAFETY: An entry as long as it says.
    [0, 1].map(|what| unsafe { said(entry as *const c_void, what) })
}

/// What is printed for any rule: the help, and why there is no translation, which is said once.
pub fn texts() -> [String; 3] {
    // SAFETY: These look at no entry.
    [2, 3, 3].map(|what| unsafe { said(ptr::null(), what) })
}

/// # Safety
///
/// `entry` is one as long as it says, where one is looked at.
unsafe fn said(entry: *const c_void, what: c_int) -> String {
    let mut length = 0;
    // SAFETY: By the contract of this function; the length has its place.
    let text = unsafe { drive_show(target(), entry, what, &mut length) };
    // SAFETY: So many bytes.
    let copy = unsafe { slice::from_raw_parts(text.cast::<u8>(), length) }.to_vec();
    // SAFETY: The driver's malloc().
    unsafe { free(text.cast()) };
    String::from_utf8(copy).expect("only ASCII is printed")
}

/// The words of a text that was saved.
pub fn words(saved: &str) -> Vec<&[u8]> {
    saved.split_ascii_whitespace().map(str::as_bytes).collect()
}

/// A number of 16 or 32 bits of a payload.
pub fn number(payload: &[u8], at: usize, bytes: usize) -> u32 {
    let mut wide = [0; 4];
    wide[..bytes].copy_from_slice(&payload[at..at + bytes]);
    u32::from_le_bytes(wide)
}
