// SPDX-License-Identifier: GPL-2.0-only

//! As much of the kernel crate as the registry of VIPs needs, over loom: the module's own files are
//! compiled against it, unchanged.
//!
//! Names and signatures are the kernel crate's. What is locked or atomic is loom's, so that loom
//! chooses who goes on; [`rcu`](sync::rcu) frees as early as the rules of RCU let it; and what is freed
//! says so when it is used again ([`alloc`]). Volatile accesses are loom's, too ([`marked`]).

pub mod alloc;
pub mod marked;
pub mod sync;
pub mod text;

pub use text::seq_file;
pub use text::uaccess;

/// Errors, by their numbers.
pub mod error {
    use std::convert::Infallible;

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Error(i32);

    impl Error {
        pub const fn from_errno(errno: i32) -> Self {
            Self(errno)
        }
    }

    impl From<Infallible> for Error {
        fn from(never: Infallible) -> Self {
            match never {}
        }
    }

    pub type Result<T = (), E = Error> = core::result::Result<T, E>;

    pub fn to_result(errno: i32) -> Result {
        if errno < 0 {
            Err(Error(errno))
        } else {
            Ok(())
        }
    }
}

pub mod ffi {
    pub use core::ffi::*;
}

/// What nearly every file uses.
pub mod prelude {
    pub use crate::alloc::InPlaceInit;
    pub use crate::alloc::KBox;
    pub use crate::alloc::KBox as Box;
    pub use crate::alloc::KVec;
    pub use crate::error::Error;
    pub use crate::error::Result;
    pub use crate::marked::Marked;
    pub use crate::pr_err;
    pub use crate::text::CStrExt;
    pub use core::ffi::CStr;
    pub use core::pin::Pin;
    pub use pinned_init::pin_data;
    pub use pinned_init::pin_init;
    pub use pinned_init::pinned_drop;
    pub use pinned_init::try_pin_init;
    pub use pinned_init::PinInit;

    pub const ENOENT: Error = Error::from_errno(-2);
    pub const EIO: Error = Error::from_errno(-5);
    pub const ENOMEM: Error = Error::from_errno(-12);
    pub const EFAULT: Error = Error::from_errno(-14);
    pub const EINVAL: Error = Error::from_errno(-22);
    pub const ERANGE: Error = Error::from_errno(-34);
    pub const EOVERFLOW: Error = Error::from_errno(-75);

    pub const GFP_KERNEL: crate::alloc::Flags = crate::alloc::Flags;
    pub const GFP_KERNEL_ACCOUNT: crate::alloc::Flags = crate::alloc::Flags;
}

pub mod types {
    use core::cell::UnsafeCell;
    use core::mem::MaybeUninit;
    use pinned_init::pin_init_from_closure;
    use pinned_init::PinInit;

    /// Something that C knows.
    #[repr(transparent)]
    pub struct Opaque<T>(UnsafeCell<MaybeUninit<T>>);

    impl<T> Opaque<T> {
        pub fn zeroed() -> Self {
            Self(UnsafeCell::new(MaybeUninit::zeroed()))
        }

        pub fn ffi_init(init: impl FnOnce(*mut T)) -> impl PinInit<Self> {
            // SAFETY: `init` gets memory of the size of a `T`, and writes one.
            unsafe {
                pin_init_from_closure(move |slot: *mut Self| {
                    init(slot.cast());
                    Ok(())
                })
            }
        }

        pub fn get(&self) -> *mut T {
            self.0.get().cast()
        }
    }
}

/// For builds with a mistake, which let a moment last.
pub mod time {
    pub struct Delta;

    impl Delta {
        pub fn from_millis(_: i64) -> Self {
            Self
        }
    }

    pub mod delay {
        /// Somebody else's turn.
        pub fn fsleep(_: super::Delta) {
            loom::thread::yield_now();
        }
    }
}

#[macro_export]
macro_rules! pr_err {
    ($($what:tt)*) => {
        let _ = format_args!($($what)*);
    };
}

#[macro_export]
macro_rules! new_mutex {
    ($value:expr $(,)?) => {
        $crate::sync::Mutex::new($value)
    };
}

#[macro_export]
macro_rules! container_of {
    ($field:expr, $type:ty, $name:ident) => {{
        let offset = core::mem::offset_of!($type, $name);
        $field.byte_sub(offset).cast::<$type>()
    }};
}
