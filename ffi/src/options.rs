//! Option structs that can grow: the caller says how large its struct is, what it does not know is zero.

use std::ffi::{c_char, c_void};

use crate::boundary::{Failure, guard_or};
use crate::callback::{mr_clock_callback, mr_lifecycle_callback, mr_user_data_free};
use crate::status::{MR_E_INVALID_ARGUMENT, MR_E_UNSUPPORTED, MR_OK, mr_status};
use runtime::{Error, ErrorKind};

/// No struct of ours will ever be larger; a size beyond it is an uninitialised struct.
const MAX_SIZE: usize = 4096;

/// Let the library choose, which is on.
pub const MR_PREFIX_SHARING_DEFAULT: i32 = 0;
/// Prompts that begin alike share what was computed for the beginning.
pub const MR_PREFIX_SHARING_ON: i32 = 1;
/// Every prompt is computed anew.
pub const MR_PREFIX_SHARING_OFF: i32 = 2;

/// Let the library choose, which is its own kernels.
pub const MR_BACKEND_DEFAULT: i32 = 0;
/// The library's own kernels.
pub const MR_BACKEND_CPU: i32 = 1;
/// candle in single precision: the reference, slower and larger. It takes none of the fields from threads
/// on. MR_E_UNSUPPORTED where the library was built without it.
pub const MR_BACKEND_CANDLE: i32 = 2;

/// What each format was made for: int8 activations for quantized weights, BF16 for BF16 weights where the processor
/// multiplies those, single precision for the others.
pub const MR_COMPUTE_DEFAULT: i32 = 0;
/// Single precision throughout.
pub const MR_COMPUTE_F32: i32 = 1;
/// BF16 activations where the processor multiplies those, single precision elsewhere.
pub const MR_COMPUTE_BF16: i32 = 2;
/// int8 activations for all weights: those in F32, F16 and BF16 that are not quantized become int8 with one scale per
/// output while they are read. The fastest, at some cost in accuracy.
pub const MR_COMPUTE_INT8: i32 = 3;

/// Let the library choose, which is F16.
pub const MR_CACHE_TYPE_DEFAULT: i32 = 0;
/// IEEE half precision.
pub const MR_CACHE_TYPE_F16: i32 = 1;
/// The upper half of single precision.
pub const MR_CACHE_TYPE_BF16: i32 = 2;
/// Single precision.
pub const MR_CACHE_TYPE_F32: i32 = 3;
/// 8-bit integers with a scale per token and head.
pub const MR_CACHE_TYPE_Q8: i32 = 4;

/// Weights stay as they are in the files.
pub const MR_QUANTIZE_NONE: i32 = 0;
/// F32, F16 and BF16 weights become Q8_0 while they are read.
pub const MR_QUANTIZE_Q8_0: i32 = 1;
/// F32, F16 and BF16 weights become Q6_K; Q8_0 where the width is no multiple of 256.
pub const MR_QUANTIZE_Q6_K: i32 = 2;
/// F32, F16 and BF16 weights become Q4_K; Q8_0 where the width is no multiple of 256.
pub const MR_QUANTIZE_Q4_K: i32 = 3;

/// Options of a runtime. Begin with MR_RUNTIME_OPTIONS_INIT or mr_runtime_options_init; zero is the default.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mr_runtime_options {
    /// sizeof(mr_runtime_options), set by the initializers.
    pub struct_size: usize,
    /// The most bytes that all models of the runtime take together, weights, caches and scratch; 0: no
    /// limit.
    pub memory_budget: u64,
    /// The SQLite file that keeps registered models, updates, retirements and usage, UTF-8; several processes may have it
    /// open. NULL: they are kept in memory, and of usage only that of endpoints by the token.
    pub database: *const c_char,
    /// Bytes in database.
    pub database_len: usize,
    /// Facts about models and their retirements, TOML in UTF-8, laid over the built-in ones; NULL: those alone.
    pub catalog: *const c_char,
    /// Bytes in catalog.
    pub catalog_len: usize,
    /// Tells the time; NULL: the system's clock.
    pub clock: mr_clock_callback,
    /// The first argument of clock.
    pub clock_data: *mut c_void,
    /// Frees clock_data when the runtime has ended, or when it could not be made; NULL: nobody does.
    pub clock_data_free: mr_user_data_free,
    /// Hears what is new about the life of models; NULL: nobody.
    pub on_lifecycle: mr_lifecycle_callback,
    /// The first argument of on_lifecycle.
    pub lifecycle_data: *mut c_void,
    /// Frees lifecycle_data when the runtime has ended, or when it could not be made; NULL: nobody does.
    pub lifecycle_data_free: mr_user_data_free,
}

/// Options of an endpoint. Begin with MR_SERVE_OPTIONS_INIT or mr_serve_options_init; zero is the default.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mr_serve_options {
    /// sizeof(mr_serve_options), set by the initializers.
    pub struct_size: usize,
    /// The longest prompt and answer together, in tokens; 0: what the model was made for, at most 8192.
    pub context_length: u64,
    /// Tokens that the block cache holds for all requests together; 0: the library's choice.
    pub cache_tokens: u64,
    /// The most tokens computed in one step; 0: the library's choice.
    pub max_batch_tokens: u32,
    /// The most prompt tokens computed in a step beside running answers, which bounds their pauses; 0: the library's
    /// choice.
    pub max_prefill_tokens: u32,
    /// The most requests that run at the same time; 0: the library's choice.
    pub max_sequences: u32,
    /// The most requests that wait; one more is refused with MR_E_OVERLOADED. 0: the library's choice.
    pub max_queue: u32,
    /// MR_PREFIX_SHARING_...
    pub prefix_sharing: i32,
    /// Must be 0.
    pub reserved: u32,
    /// The version's name, UTF-8, not NUL-terminated; NULL: made from the contents of the model's files.
    pub version: *const c_char,
    /// Bytes in version.
    pub version_len: usize,
    /// A Jinja chat template to use instead of the model's own, UTF-8; NULL: the model's own.
    pub chat_template: *const c_char,
    /// Bytes in chat_template.
    pub chat_template_len: usize,
    /// MR_BACKEND_...: what computes the model.
    pub backend: i32,
    /// Threads that compute, the endpoint's own included, at most 1024; 0: one for each core of affinity, or else as
    /// many as the process may use.
    pub threads: u32,
    /// MR_COMPUTE_...: the numbers that products are computed with.
    pub compute: i32,
    /// MR_CACHE_TYPE_...: what the cache of keys and values holds.
    pub cache_type: i32,
    /// MR_QUANTIZE_...: what weights in floating point become while they are read.
    pub quantize: i32,
    /// Must be 0.
    pub reserved2: u32,
    /// The cores, by the system's numbers and each at most once, that the threads run on: the first for the endpoint's
    /// own thread, then one for each further thread. Threads of the host are never bound. Linux only. NULL: wherever
    /// the system puts them.
    pub affinity: *const u32,
    /// Cores in affinity.
    pub affinity_len: usize,
}

/// Options of a request that are not part of its JSON. Begin with MR_REQUEST_OPTIONS_INIT or
/// mr_request_options_init; zero is the default.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mr_request_options {
    /// sizeof(mr_request_options), set by the initializers.
    pub struct_size: usize,
    /// Higher runs first; 0 is normal.
    pub priority: i32,
    /// Must be 0.
    pub reserved: u32,
    /// Milliseconds after which the answer is no longer wanted and the request ends with
    /// MR_E_DEADLINE_EXCEEDED; 0: never.
    pub timeout_ms: u64,
    /// Who asks, UTF-8: whom limits, fairness, usage and retirements know the request by. NULL: the request's "user".
    pub principal: *const c_char,
    /// Bytes in principal.
    pub principal_len: usize,
    /// The served entity that is to answer, UTF-8; NULL: the endpoint's shares of traffic decide.
    pub entity: *const c_char,
    /// Bytes in entity.
    pub entity_len: usize,
    /// 1: the response says what is known about the life of the model ("x_lifecycle"); 0: it does not.
    pub lifecycle: i32,
    /// Must be 0.
    pub reserved2: u32,
}

/// Options of a run of many requests. Begin with MR_BATCH_OPTIONS_INIT or mr_batch_options_init; zero is the default.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct mr_batch_options {
    /// sizeof(mr_batch_options), set by the initializers.
    pub struct_size: usize,
    /// The most requests at once, at most 1024; 0: 64.
    pub concurrency: u32,
    /// MR_ORDER_...: in which order results are written.
    pub order: i32,
    /// Options of each request; NULL: the defaults.
    pub requests: *const mr_request_options,
}

/// A struct of plain numbers and pointers that begins with its size and for which all zero bytes are the default.
///
/// # Safety
/// `repr(C)`, without padding, valid when all its bytes are zero, the first field a `usize`.
pub(crate) unsafe trait Options: Copy {
    /// The sizes that the struct had in earlier releases of this binary interface, and the present one last.
    const SIZES: &'static [usize];
}

/// Asserts that fields follow each other without padding and end with the struct.
macro_rules! options_layout {
    ($name:ident[$($earlier:literal,)* ..=$size:literal], $($offset:literal $field:ident: $type:ty),* $(,)?) => {
        const _: () = {
            let mut end = 0;
            $(
                assert!(std::mem::offset_of!($name, $field) == $offset);
                assert!(end == $offset, "padding before this field");
                end = $offset + size_of::<$type>();
            )*
            assert!(end == $size && size_of::<$name>() == $size);
        };
        // SAFETY: repr(C), no padding (asserted), begins with `struct_size`, and zero is a valid value of each field.
        unsafe impl Options for $name {
            const SIZES: &'static [usize] = &[$($earlier,)* $size];
        }
    };
}

options_layout!(
    mr_runtime_options[16, ..=96],
    0 struct_size: usize,
    8 memory_budget: u64,
    16 database: *const c_char,
    24 database_len: usize,
    32 catalog: *const c_char,
    40 catalog_len: usize,
    48 clock: mr_clock_callback,
    56 clock_data: *mut c_void,
    64 clock_data_free: mr_user_data_free,
    72 on_lifecycle: mr_lifecycle_callback,
    80 lifecycle_data: *mut c_void,
    88 lifecycle_data_free: mr_user_data_free,
);
options_layout!(
    mr_serve_options[80, ..=120],
    0 struct_size: usize,
    8 context_length: u64,
    16 cache_tokens: u64,
    24 max_batch_tokens: u32,
    28 max_prefill_tokens: u32,
    32 max_sequences: u32,
    36 max_queue: u32,
    40 prefix_sharing: i32,
    44 reserved: u32,
    48 version: *const c_char,
    56 version_len: usize,
    64 chat_template: *const c_char,
    72 chat_template_len: usize,
    80 backend: i32,
    84 threads: u32,
    88 compute: i32,
    92 cache_type: i32,
    96 quantize: i32,
    100 reserved2: u32,
    104 affinity: *const u32,
    112 affinity_len: usize,
);
options_layout!(
    mr_request_options[24, ..=64],
    0 struct_size: usize,
    8 priority: i32,
    12 reserved: u32,
    16 timeout_ms: u64,
    24 principal: *const c_char,
    32 principal_len: usize,
    40 entity: *const c_char,
    48 entity_len: usize,
    56 lifecycle: i32,
    60 reserved2: u32,
);

options_layout!(
    mr_batch_options[..=24],
    0 struct_size: usize,
    8 concurrency: u32,
    12 order: i32,
    16 requests: *const mr_request_options,
);

/// Reads the caller's options; NULL means all defaults. A newer caller's fields that this library does not know are
/// accepted only while they are zero.
///
/// # Safety
/// `options` is NULL or points to as many readable bytes as its first field says.
pub(crate) unsafe fn read<T: Options>(options: *const T) -> Result<T, Failure> {
    let ours = size_of::<T>();
    // SAFETY: the trait promises that all zero bytes are a value.
    let mut value: T = unsafe { std::mem::zeroed() };
    if options.is_null() {
        return Ok(value);
    }
    // SAFETY: not NULL, and the struct begins with its size.
    let size = unsafe { options.cast::<usize>().read() };
    if !(T::SIZES.contains(&size) || (ours..=MAX_SIZE).contains(&size)) {
        let what = format!("says struct_size {size}, but {ours} is known; use the initializer");
        return Err(Failure::argument("options", what));
    }
    let bytes = options.cast::<u8>();
    // SAFETY: the caller's struct has `size` bytes, and ours has at least the ones that are copied.
    unsafe { std::ptr::copy_nonoverlapping(bytes, (&raw mut value).cast::<u8>(), size.min(ours)) };
    // SAFETY: the caller's struct has `size` bytes, and `size` is then at least `ours`.
    let unknown = unsafe { std::slice::from_raw_parts(bytes.wrapping_add(ours), size.saturating_sub(ours)) };
    if let Some(offset) = unknown.iter().position(|byte| *byte != 0) {
        let message =
            format!("`options` sets a field at byte {} that this version does not know", ours + offset);
        return Err(Error::new(ErrorKind::Unsupported, message).with_param("options").into());
    }
    Ok(value)
}

/// Fails unless a reserved field is zero.
pub(crate) fn reserved(value: u32) -> Result<(), Failure> {
    match value {
        0 => Ok(()),
        _ => Err(Failure {
            status: MR_E_UNSUPPORTED,
            ..Failure::argument("options", format!("has {value} in a reserved field; it must be 0"))
        }),
    }
}

/// # Safety
/// `options` is NULL or points to `size` writable bytes.
unsafe fn init<T: Options>(options: *mut T, size: usize) -> mr_status {
    guard_or(MR_E_INVALID_ARGUMENT, || {
        let known = T::SIZES.contains(&size) || (size_of::<T>()..=MAX_SIZE).contains(&size);
        if options.is_null() || !known {
            return None;
        }
        // SAFETY: the caller promises `size` writable bytes.
        unsafe { options.cast::<u8>().write_bytes(0, size) };
        // SAFETY: every known size has room for the first field.
        unsafe { options.cast::<usize>().write(size) };
        Some(MR_OK)
    })
}

/// Sets every option of a runtime to its default.
///
/// @param options (out) The struct to fill; not NULL.
/// @param struct_size (in) sizeof *options.
/// @return MR_OK; MR_E_INVALID_ARGUMENT if options is NULL or no release had a struct of this size.
///
/// Thread safety: any thread.
/// Blocking: never.
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mr_runtime_options_init(
    options: *mut mr_runtime_options,
    struct_size: usize,
) -> mr_status {
    // SAFETY: the contract of the header.
    unsafe { init(options, struct_size) }
}

/// Sets every option of an endpoint to its default.
///
/// @param options (out) The struct to fill; not NULL.
/// @param struct_size (in) sizeof *options.
/// @return MR_OK; MR_E_INVALID_ARGUMENT if options is NULL or no release had a struct of this size.
///
/// Thread safety: any thread.
/// Blocking: never.
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mr_serve_options_init(
    options: *mut mr_serve_options,
    struct_size: usize,
) -> mr_status {
    // SAFETY: the contract of the header.
    unsafe { init(options, struct_size) }
}

/// Sets every option of a request to its default.
///
/// @param options (out) The struct to fill; not NULL.
/// @param struct_size (in) sizeof *options.
/// @return MR_OK; MR_E_INVALID_ARGUMENT if options is NULL or no release had a struct of this size.
///
/// Thread safety: any thread.
/// Blocking: never.
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mr_request_options_init(
    options: *mut mr_request_options,
    struct_size: usize,
) -> mr_status {
    // SAFETY: the contract of the header.
    unsafe { init(options, struct_size) }
}

/// Sets every option of a run to its default.
///
/// @param options (out) The struct to fill; not NULL.
/// @param struct_size (in) sizeof *options.
/// @return MR_OK; MR_E_INVALID_ARGUMENT if options is NULL or no release had a struct of this size.
///
/// Thread safety: any thread.
/// Blocking: never.
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mr_batch_options_init(
    options: *mut mr_batch_options,
    struct_size: usize,
) -> mr_status {
    // SAFETY: the contract of the header.
    unsafe { init(options, struct_size) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::multiple_unsafe_ops_per_block)]
    use super::*;

    /// A struct as a newer header may have it.
    #[repr(C)]
    struct Newer {
        known: mr_request_options,
        added: u64,
    }

    fn read_newer(added: u64) -> Result<mr_request_options, Failure> {
        // SAFETY: NULL is the default.
        let mut known = unsafe { read::<mr_request_options>(std::ptr::null()) }.unwrap();
        (known.struct_size, known.priority, known.timeout_ms) = (size_of::<Newer>(), -3, 9);
        let newer = Newer { known, added };
        // SAFETY: the struct says its own size.
        unsafe { read((&raw const newer).cast::<mr_request_options>()) }
    }

    #[test]
    fn null_is_the_default_and_sizes_are_checked() {
        // SAFETY: NULL, and structs that have at least the bytes that they say, or fewer bytes than are known.
        unsafe {
            assert_eq!(read::<mr_request_options>(std::ptr::null()).unwrap().timeout_ms, 0);
            let mut options = read::<mr_request_options>(std::ptr::null()).unwrap();
            (options.struct_size, options.priority, options.timeout_ms) = (24, 5, 7);
            assert_eq!(read(&raw const options).unwrap().priority, 5);
            for size in [0, 1, 8, 23, 25, 63, 4097, usize::MAX] {
                options.struct_size = size;
                assert_eq!(read(&raw const options).err().unwrap().status, MR_E_INVALID_ARGUMENT);
                assert_eq!(mr_request_options_init(&raw mut options, size), MR_E_INVALID_ARGUMENT);
            }
            assert_eq!(mr_request_options_init(&raw mut options, 24), MR_OK);
            assert_eq!((options.struct_size, options.priority, options.timeout_ms), (24, 0, 0));
            assert_eq!(mr_serve_options_init(std::ptr::null_mut(), 120), MR_E_INVALID_ARGUMENT);
        }
    }

    #[test]
    fn an_older_callers_struct_has_the_defaults_of_what_it_lacks() {
        // SAFETY: a struct that says a smaller size than it has.
        unsafe {
            let mut options = read::<mr_serve_options>(std::ptr::null()).unwrap();
            (options.struct_size, options.max_queue, options.threads) = (80, 7, 9);
            let read = read(&raw const options).unwrap();
            assert_eq!((read.max_queue, read.threads), (7, 0));
            assert_eq!(mr_serve_options_init(&raw mut options, 80), MR_OK);
            assert_eq!((options.struct_size, options.max_queue, options.threads), (80, 0, 9));
        }
    }

    #[test]
    fn a_newer_callers_fields_pass_while_they_are_zero() {
        let known = read_newer(0).unwrap();
        assert_eq!((known.priority, known.timeout_ms), (-3, 9));
        let failure = read_newer(1 << 40).err().unwrap();
        assert_eq!((failure.status, failure.error.param()), (MR_E_UNSUPPORTED, Some("options")));
        assert_eq!(reserved(1).unwrap_err().status, MR_E_UNSUPPORTED);
    }
}
