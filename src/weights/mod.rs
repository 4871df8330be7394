//! Model files: Hugging Face directories (safetensors) and GGUF, read by position.
//!
//! [`Checkpoint::open`] reads headers only and checks all of them: every tensor's bytes lie inside its file, no two
//! overlap, no count or product of dimensions overflows, nothing is named twice. What it allocates is bounded by what
//! the files really hold. Tensor data is then read with positional reads into buffers of the caller, never through a
//! memory mapping: a mapped file that somebody truncates kills the whole process, a positional read returns an error.
//!
//! Element types that this library does not decode (integers, other 8-bit floats than E4M3, newer GGUF
//! quantisations) do not keep a file from opening: their tensors are listed with [`DType::Other`], and only reading one
//! is an error.

mod checkpoint;
mod companions;
mod dequant;
mod digest;
mod dtype;
mod error;
mod file;
pub mod gguf;
mod progress;
pub mod safetensors;
mod shards;
mod tensor;

pub use checkpoint::{Checkpoint, Format};
pub use dequant::dequantize;
pub(crate) use dequant::e4m3;
pub use digest::{Digest, FileDigest, Fingerprint};
pub use dtype::DType;
pub use error::WeightsError;
pub use file::ReadAt;
pub use gguf::{Array, Metadata, Value};
pub use progress::{LoadPhase, LoadProgress};
pub use tensor::TensorInfo;

#[cfg(test)]
mod tests;
