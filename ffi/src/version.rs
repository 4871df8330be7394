//! The versions of the header and of the library.

use std::ffi::c_char;

use crate::boundary::guard_or;

/// Major version of this header.
pub const MR_VERSION_MAJOR: u32 = 0;
/// Minor version of this header.
pub const MR_VERSION_MINOR: u32 = 1;
/// Patch version of this header.
pub const MR_VERSION_PATCH: u32 = 0;
/// Version of this header as one number that grows: major * 1000000 + minor * 1000 + patch.
pub const MR_VERSION_NUMBER: u32 = 1000;
/// Version of the binary interface of this header; another number means another SONAME.
pub const MR_ABI_VERSION: u32 = 1;

const _: () =
    assert!(MR_VERSION_NUMBER == MR_VERSION_MAJOR * 1_000_000 + MR_VERSION_MINOR * 1_000 + MR_VERSION_PATCH);

/// The library's version, such as 0.1.0.
///
/// @return A constant with a NUL behind it; never NULL.
///
/// Thread safety: any thread, concurrently.
/// Blocking: never.
/// @since 0.1
#[unsafe(no_mangle)]
pub extern "C" fn mr_version() -> *const c_char {
    const VERSION: &std::ffi::CStr =
        match std::ffi::CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
            Ok(version) => version,
            Err(_) => c"",
        };
    guard_or(VERSION.as_ptr(), || None)
}

/// The version of the library's binary interface. A program may check at its start that it equals MR_ABI_VERSION.
///
/// @return The number.
///
/// Thread safety: any thread, concurrently.
/// Blocking: never.
/// @since 0.1
#[unsafe(no_mangle)]
pub extern "C" fn mr_abi_version() -> u32 {
    guard_or(MR_ABI_VERSION, || None)
}
