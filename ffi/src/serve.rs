//! What the option struct of an endpoint says in the library's own terms.

use ::runtime::ServeOptions;
use ::runtime::backend::cpu::{Affinity, CacheType, Compute, CpuOptions, Quantize};
use ::runtime::runtime::BackendChoice;
use ::runtime::weights::DType;

use crate::boundary::Failure;
use crate::options::{
    self, MR_BACKEND_CANDLE, MR_BACKEND_CPU, MR_BACKEND_DEFAULT, MR_CACHE_TYPE_BF16, MR_CACHE_TYPE_DEFAULT,
    MR_CACHE_TYPE_F16, MR_CACHE_TYPE_F32, MR_CACHE_TYPE_Q8, MR_COMPUTE_BF16, MR_COMPUTE_DEFAULT,
    MR_COMPUTE_F32, MR_COMPUTE_INT8, MR_PREFIX_SHARING_DEFAULT, MR_PREFIX_SHARING_OFF, MR_PREFIX_SHARING_ON,
    MR_QUANTIZE_NONE, MR_QUANTIZE_Q4_K, MR_QUANTIZE_Q6_K, MR_QUANTIZE_Q8_0, mr_serve_options,
};
use crate::text::input;

/// As many cores as there may be threads.
const MAX_CORES: usize = 1024;

/// A value that the header names, its name, and what it means.
type Named<T> = (i32, &'static str, T);

const PREFIX_SHARING: [Named<bool>; 3] = [
    (MR_PREFIX_SHARING_DEFAULT, "MR_PREFIX_SHARING_DEFAULT", true),
    (MR_PREFIX_SHARING_ON, "MR_PREFIX_SHARING_ON", true),
    (MR_PREFIX_SHARING_OFF, "MR_PREFIX_SHARING_OFF", false),
];

/// Whether it is candle.
const BACKEND: [Named<bool>; 3] = [
    (MR_BACKEND_DEFAULT, "MR_BACKEND_DEFAULT", false),
    (MR_BACKEND_CPU, "MR_BACKEND_CPU", false),
    (MR_BACKEND_CANDLE, "MR_BACKEND_CANDLE", true),
];

const COMPUTE: [Named<Compute>; 4] = [
    (MR_COMPUTE_DEFAULT, "MR_COMPUTE_DEFAULT", Compute::Auto),
    (MR_COMPUTE_F32, "MR_COMPUTE_F32", Compute::F32),
    (MR_COMPUTE_BF16, "MR_COMPUTE_BF16", Compute::Bf16),
    (MR_COMPUTE_INT8, "MR_COMPUTE_INT8", Compute::Int8),
];

const CACHE_TYPE: [Named<CacheType>; 5] = [
    (MR_CACHE_TYPE_DEFAULT, "MR_CACHE_TYPE_DEFAULT", CacheType::F16),
    (MR_CACHE_TYPE_F16, "MR_CACHE_TYPE_F16", CacheType::F16),
    (MR_CACHE_TYPE_BF16, "MR_CACHE_TYPE_BF16", CacheType::Bf16),
    (MR_CACHE_TYPE_F32, "MR_CACHE_TYPE_F32", CacheType::F32),
    (MR_CACHE_TYPE_Q8, "MR_CACHE_TYPE_Q8", CacheType::Q8),
];

const QUANTIZE: [Named<Quantize>; 4] = [
    (MR_QUANTIZE_NONE, "MR_QUANTIZE_NONE", Quantize::None),
    (MR_QUANTIZE_Q8_0, "MR_QUANTIZE_Q8_0", Quantize::To(DType::Q8_0)),
    (MR_QUANTIZE_Q6_K, "MR_QUANTIZE_Q6_K", Quantize::To(DType::Q6K)),
    (MR_QUANTIZE_Q4_K, "MR_QUANTIZE_Q4_K", Quantize::To(DType::Q4K)),
];

/// What `value` means, or an error that names the field, the value and everything that is accepted.
pub(crate) fn choice<T: Copy>(field: &str, value: i32, named: &[Named<T>]) -> Result<T, Failure> {
    if let Some((.., meaning)) = named.iter().find(|(number, ..)| *number == value) {
        return Ok(*meaning);
    }
    let accepted: Vec<String> = named.iter().map(|(number, name, _)| format!("{name} ({number})")).collect();
    Err(Failure::argument(field, format!("is {value}; accepted: {}", accepted.join(", "))))
}

/// What the options of an endpoint say.
///
/// # Safety
/// The lists and text fields of `given` point to the elements and bytes that they say.
pub(crate) unsafe fn serve_options(given: &mr_serve_options) -> Result<ServeOptions, Failure> {
    options::reserved(given.reserved)?;
    options::reserved(given.reserved2)?;
    let mut options = ServeOptions::default();
    let size = |name: &str, value: u64| {
        usize::try_from(value)
            .map_err(|_| Failure::argument(name, format!("is {value}, more than this machine counts")))
    };
    if given.context_length != 0 {
        options.context_length = Some(size("context_length", given.context_length)?);
    }
    if given.cache_tokens != 0 {
        options.cache_tokens = Some(size("cache_tokens", given.cache_tokens)?);
    }
    for (field, value) in [
        (&mut options.max_batch_tokens, given.max_batch_tokens),
        (&mut options.max_prefill_tokens, given.max_prefill_tokens),
        (&mut options.max_sequences, given.max_sequences),
        (&mut options.max_queue, given.max_queue),
    ] {
        if value != 0 {
            *field = value as usize;
        }
    }
    options.prefix_sharing = choice("prefix_sharing", given.prefix_sharing, &PREFIX_SHARING)?;
    // SAFETY: forwarded.
    options.backend = unsafe { backend(given) }?;
    // SAFETY: forwarded.
    let version = unsafe { input("version", given.version, given.version_len) }?;
    if !version.is_empty() {
        options.version = Some(version.to_owned());
    }
    // SAFETY: forwarded.
    let template = unsafe { input("chat_template", given.chat_template, given.chat_template_len) }?;
    if !template.is_empty() {
        options.chat_template = Some(template.to_owned());
    }
    Ok(options)
}

/// What computes, and how.
///
/// # Safety
/// `affinity` points to as many numbers as `affinity_len` says.
unsafe fn backend(given: &mr_serve_options) -> Result<BackendChoice, Failure> {
    let candle = choice("backend", given.backend, &BACKEND)?;
    let compute = choice("compute", given.compute, &COMPUTE)?;
    let cache = choice("cache_type", given.cache_type, &CACHE_TYPE)?;
    let quantize = choice("quantize", given.quantize, &QUANTIZE)?;
    if given.affinity.is_null() && given.affinity_len != 0 {
        let what = format!("is NULL, but affinity_len is {}", given.affinity_len);
        return Err(Failure::argument("affinity", what));
    }
    if given.affinity_len > MAX_CORES {
        let what = format!("is {}; accepted: at most {MAX_CORES}", given.affinity_len);
        return Err(Failure::argument("affinity_len", what));
    }
    if candle {
        for (field, value) in [
            ("threads", i64::from(given.threads)),
            ("compute", given.compute.into()),
            ("cache_type", given.cache_type.into()),
            ("quantize", given.quantize.into()),
            ("affinity_len", given.affinity_len.try_into().unwrap_or(i64::MAX)),
        ] {
            if value != 0 {
                let what = format!("is {value}; MR_BACKEND_CANDLE has no such option: accepted: 0");
                return Err(Failure::argument(field, what));
            }
        }
        return candle_choice();
    }
    let mut options = CpuOptions::default().compute(compute).cache(cache).quantize(quantize);
    if given.threads != 0 {
        options = options.threads(given.threads as usize);
    }
    if given.affinity_len != 0 {
        // SAFETY: the caller's promise; not NULL.
        let cores = unsafe { std::slice::from_raw_parts(given.affinity, given.affinity_len) };
        options = options.affinity(Affinity::Cores(cores.iter().map(|&core| core as usize).collect()));
    }
    Ok(BackendChoice::Cpu(options))
}

#[cfg(feature = "candle")]
fn candle_choice() -> Result<BackendChoice, Failure> {
    Ok(BackendChoice::Candle)
}

#[cfg(not(feature = "candle"))]
fn candle_choice() -> Result<BackendChoice, Failure> {
    let message =
        "`backend` is MR_BACKEND_CANDLE, which this library was built without; accepted: MR_BACKEND_CPU";
    let error = ::runtime::Error::new(::runtime::ErrorKind::Unsupported, message).with_param("backend");
    Err(error.into())
}
