//! GGUF, versions 2 and 3, little endian.
//!
//! A file is: the magic `GGUF`, the version, the numbers of tensors and of metadata entries; the entries; the tensors'
//! descriptions; padding; the tensors' bytes. Specification: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>.

mod cursor;
mod header;
mod metadata;
mod types;
mod value;

pub use header::{Header, parse};
pub use metadata::Metadata;
pub use value::{Array, Value};
