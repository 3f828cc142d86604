// SPDX-License-Identifier: GPL-2.0-only

//! What a file's readers and writers see.

use core::ffi::c_char;
use core::ffi::CStr;

/// The kernel's own name for it.
pub trait CStrExt {
    fn as_char_ptr(&self) -> *const c_char;
}

impl CStrExt for CStr {
    fn as_char_ptr(&self) -> *const c_char {
        self.as_ptr()
    }
}

pub mod seq_file {
    use std::cell::RefCell;
    use std::fmt;

    /// What is read.
    #[derive(Default)]
    pub struct SeqFile(RefCell<String>);

    impl SeqFile {
        pub fn call_printf(&self, what: fmt::Arguments<'_>) {
            self.0.borrow_mut().push_str(&what.to_string());
        }

        pub fn text(&self) -> String {
            self.0.take()
        }
    }

    pub use crate::seq_print;
}

#[macro_export]
macro_rules! seq_print {
    ($file:expr, $($what:tt)+) => {
        $file.call_printf(format_args!($($what)+))
    };
}

pub mod uaccess {
    use crate::alloc::Flags;
    use crate::alloc::KVec;
    use crate::error::Result;
    use crate::prelude::EINVAL;

    /// What is written.
    pub struct UserSliceReader(Vec<u8>);

    impl UserSliceReader {
        pub fn of(line: &[u8]) -> Self {
            Self(line.to_vec())
        }

        #[allow(clippy::len_without_is_empty)]
        pub fn len(&self) -> usize {
            self.0.len()
        }

        pub fn read_slice(&mut self, to: &mut [u8]) -> Result {
            let line = self.0.get(..to.len()).ok_or(EINVAL)?;
            to.copy_from_slice(line);
            self.0.drain(..to.len());
            Ok(())
        }

        /// Into a vector that is empty.
        pub fn read_all(self, to: &mut KVec<u8>, flags: Flags) -> Result {
            assert!(to.is_empty());
            *to = KVec::from_elem(0, self.0.len(), flags)?;
            to.copy_from_slice(&self.0);
            Ok(())
        }
    }
}
