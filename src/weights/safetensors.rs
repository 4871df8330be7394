//! The safetensors header.
//!
//! A file is: the header's length as `u64`, little endian; the header, a JSON object from tensor names to element
//! type, shape and byte range; the tensors' bytes, without gaps. Specification:
//! <https://github.com/huggingface/safetensors#format>.

use std::fmt;
use std::path::Path;

use serde::de::{Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de};

use super::dtype::DType;
use super::error::{Quoted, WeightsError};
use super::file::ReadAt;
use super::tensor::{MAX_RANK, TensorInfo, check_names, check_overlaps, checked_shape};

/// The format's own limit.
const MAX_HEADER_BYTES: u64 = 100_000_000;
/// The one entry that is not a tensor.
const METADATA: &str = "__metadata__";

/// Reads and checks the header of a safetensors file: its tensors, in the order of their bytes. `path` is what errors
/// call the file.
///
/// Afterwards the tensors' bytes are known to cover everything behind the header, each byte once.
///
/// # Errors
/// [`WeightsError`] naming the tensor at fault.
pub fn parse<R: ReadAt + ?Sized>(source: &R, path: &Path) -> Result<Vec<TensorInfo>, WeightsError> {
    let size = source.size();
    if size < 8 {
        return Err(WeightsError::file(path, format!("is not a safetensors file: it has {size} bytes")));
    }
    let mut length = [0; 8];
    source.read_exact_at(&mut length, 0).map_err(|e| WeightsError::io(path, "read", e))?;
    let length = u64::from_le_bytes(length);
    let room = (size - 8).min(MAX_HEADER_BYTES);
    if length > room {
        let problem =
            format!("is not a safetensors file: a header of {length} bytes, up to {room} can be there");
        return Err(WeightsError::file(path, problem));
    }
    let mut json = vec![0; length as usize];
    source.read_exact_at(&mut json, 8).map_err(|e| WeightsError::io(path, "read", e))?;
    if json.first() != Some(&b'{') {
        return Err(WeightsError::file(
            path,
            "is not a safetensors file: its header does not start with \"{\"",
        ));
    }
    let entries: Entries =
        serde_json::from_slice(&json).map_err(|e| WeightsError::file(path, format!("in the header: {e}")))?;
    drop(json);

    let start = 8 + length;
    let mut tensors = Vec::with_capacity(entries.0.len());
    for (name, entry) in entries.0 {
        tensors.push(check_entry(name, entry, start, size, path)?);
    }
    check_names(path, &tensors)?;
    check_overlaps(path, &tensors)?;
    tensors.sort_by_key(|tensor| (tensor.offset, tensor.bytes));
    let end = check_gaps(&tensors, start, path)?;
    if end != size {
        let problem = format!("has {} bytes behind its last tensor, which belong to none", size - end);
        return Err(WeightsError::file(path, problem));
    }
    Ok(tensors)
}

fn check_entry(
    name: String,
    entry: Entry,
    start: u64,
    size: u64,
    path: &Path,
) -> Result<TensorInfo, WeightsError> {
    let wrong = |problem: String| WeightsError::tensor(path, &name, problem);
    let shape = checked_shape(&entry.shape.0).map_err(wrong)?;
    let (from, to) = entry.data_offsets;
    if from > to || to > size - start {
        let room = size - start;
        return Err(wrong(format!(
            "its bytes {from}..{to} lie outside the file, which has {room} behind the header"
        )));
    }
    let bytes = to - from;
    let dtype = match entry.dtype.as_str() {
        "F32" => DType::F32,
        "F16" => DType::F16,
        "BF16" => DType::BF16,
        "F8_E4M3" => DType::F8_E4M3,
        _ => DType::Other,
    };
    let elements = shape.iter().product::<usize>() as u64;
    if let Some(width) = element_bytes(&entry.dtype)
        && elements.checked_mul(width) != Some(bytes)
    {
        return Err(wrong(format!("{} of shape {shape:?} does not take {bytes} bytes", entry.dtype)));
    }
    Ok(TensorInfo { dtype, type_name: entry.dtype.into(), shape, file: 0, offset: start + from, bytes, name })
}

/// Where the last tensor ends; the error names the tensor that is preceded by bytes of none.
fn check_gaps(tensors: &[TensorInfo], start: u64, path: &Path) -> Result<u64, WeightsError> {
    let mut end = start;
    for tensor in tensors {
        if tensor.offset > end {
            let problem = format!("{} bytes before it belong to no tensor", tensor.offset - end);
            return Err(WeightsError::tensor(path, &tensor.name, problem));
        }
        end = end.max(tensor.end());
    }
    Ok(end)
}

/// The width of the format's element types; `None` for those below a byte and for unknown ones.
fn element_bytes(name: &str) -> Option<u64> {
    Some(match name {
        "BOOL" | "U8" | "I8" | "F8_E4M3" | "F8_E5M2" | "F8_E8M0" | "F8_E4M3FNUZ" | "F8_E5M2FNUZ" => 1,
        "I16" | "U16" | "F16" | "BF16" => 2,
        "I32" | "U32" | "F32" => 4,
        "I64" | "U64" | "F64" | "C64" => 8,
        _ => return None,
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    dtype: String,
    shape: Shape,
    data_offsets: (u64, u64),
}

/// Dimensions, no more than are accepted, so that a hostile list is not collected first.
struct Shape(Vec<u64>);

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Dimensions;
        impl<'de> Visitor<'de> for Dimensions {
            type Value = Shape;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a list of up to {MAX_RANK} dimensions")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Shape, A::Error> {
                let mut dimensions = Vec::new();
                while let Some(dimension) = seq.next_element()? {
                    if dimensions.len() == MAX_RANK {
                        return Err(A::Error::invalid_length(MAX_RANK + 1, &self));
                    }
                    dimensions.push(dimension);
                }
                Ok(Shape(dimensions))
            }
        }
        deserializer.deserialize_seq(Dimensions)
    }
}

/// The header's entries in order, repeated names kept for the check that refuses them.
struct Entries(Vec<(String, Entry)>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Tensors;
        impl<'de> Visitor<'de> for Tensors {
            type Value = Entries;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
                let mut entries = Vec::new();
                let mut metadata = false;
                while let Some(name) = map.next_key::<String>()? {
                    if name == METADATA {
                        if std::mem::replace(&mut metadata, true) {
                            return Err(A::Error::custom(format_args!("key {METADATA:?} is there twice")));
                        }
                        map.next_value::<UniqueStrings>()
                            .map_err(|e| A::Error::custom(format_args!("key {METADATA:?}: {e}")))?;
                        continue;
                    }
                    match map.next_value::<Entry>() {
                        Ok(entry) => entries.push((name, entry)),
                        Err(e) => {
                            return Err(A::Error::custom(format_args!("tensor {}: {e}", Quoted(&name))));
                        }
                    }
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(Tensors)
    }
}

/// A JSON object from strings to strings in which no key comes twice.
#[derive(Debug)]
pub(crate) struct UniqueStrings(pub(crate) Vec<(String, String)>);

impl<'de> Deserialize<'de> for UniqueStrings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = UniqueStrings;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of strings")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<UniqueStrings, A::Error> {
                let mut pairs: Vec<(String, String)> = Vec::new();
                let mut seen = std::collections::HashSet::new();
                while let Some(key) = map.next_key::<String>()? {
                    if !seen.insert(key.clone()) {
                        return Err(de::Error::custom(format_args!("key {} is there twice", Quoted(&key))));
                    }
                    let value = map
                        .next_value()
                        .map_err(|e| A::Error::custom(format_args!("key {}: {e}", Quoted(&key))))?;
                    pairs.push((key, value));
                }
                Ok(UniqueStrings(pairs))
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}
