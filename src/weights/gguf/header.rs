//! Everything in a GGUF file before the tensors' bytes.

use std::path::Path;

use super::cursor::{Cursor, Fault};
use super::metadata::Metadata;
use super::types::TensorType;
use super::value::Value;
use crate::weights::error::WeightsError;
use crate::weights::file::ReadAt;
use crate::weights::tensor::{MAX_RANK, TensorInfo, check_names, check_overlaps, checked_shape};

const NOT_GGUF: &str =
    "does not start with \"GGUF\"; GGUF files and directories with safetensors are accepted";

/// The first four bytes of every GGUF file.
const MAGIC: [u8; 4] = *b"GGUF";

/// Metadata and descriptions may take this much; the largest vocabularies need about a tenth. What is read is kept in
/// memory, and a sparse file costs nobody anything.
const MAX_HEADER_BYTES: u64 = 128 << 20;
/// Ten times what the largest published models have.
const MAX_TENSORS: usize = 1 << 20;
const MAX_KEY_BYTES: u64 = 65_535;
const DEFAULT_ALIGNMENT: u64 = 32;

/// The checked header of a GGUF file.
#[derive(Debug, Clone)]
pub struct Header {
    /// The version of the format, 2 or 3.
    pub version: u32,
    /// The key/value pairs.
    pub metadata: Metadata,
    /// The tensors in the file's order.
    pub tensors: Vec<TensorInfo>,
}

/// Reads and checks the header of a GGUF file; `path` is what errors call the file.
///
/// Afterwards every tensor's bytes are known to lie inside `source` and to overlap no other's.
///
/// # Errors
/// [`WeightsError`] naming the key or tensor at fault.
pub fn parse<R: ReadAt + ?Sized>(source: &R, path: &Path) -> Result<Header, WeightsError> {
    let mut cursor = Cursor::new(source, MAX_HEADER_BYTES);
    let (version, tensor_count, entry_count) = preamble(&mut cursor, path)?;
    let metadata = read_metadata(&mut cursor, path, entry_count)?;
    let alignment = alignment(&metadata)?;

    // Each description takes its name's length, the rank, the type and the offset at least.
    let count = cursor
        .count("tensors", tensor_count, 24)
        .map_err(|fault| fault.of_place(path, "the number of tensors"))?;
    if count > MAX_TENSORS {
        return Err(WeightsError::file(path, format!("{count} tensors; up to {MAX_TENSORS} are accepted")));
    }
    let mut tensors = Vec::new();
    let mut sized = Vec::new();
    for index in 0..count {
        let (tensor, known_size) = read_tensor(&mut cursor, path, index, alignment)?;
        tensors.push(tensor);
        sized.push(known_size);
    }
    check_names(path, &tensors)?;
    if !tensors.is_empty() {
        let start = cursor.position().next_multiple_of(alignment);
        place(&mut tensors, &sized, start, source.size(), path)?;
        check_overlaps(path, &tensors)?;
    }
    Ok(Header { version, metadata, tensors })
}

/// Magic, version and the two counts.
fn preamble<R: ReadAt + ?Sized>(
    cursor: &mut Cursor<'_, R>,
    path: &Path,
) -> Result<(u32, u64, u64), WeightsError> {
    let in_preamble = |fault: Fault| fault.of_place(path, "the first bytes");
    let magic: [u8; 4] = cursor.array().map_err(in_preamble)?;
    if magic != MAGIC {
        return Err(WeightsError::file(path, NOT_GGUF));
    }
    let version = cursor.u32().map_err(in_preamble)?;
    match version {
        2 | 3 => {}
        _ if matches!(version.swap_bytes(), 2 | 3) => {
            return Err(WeightsError::file(
                path,
                "is a big-endian GGUF file; little-endian ones are accepted",
            ));
        }
        _ => {
            let problem = format!("has GGUF version {version}; 2 and 3 are accepted");
            return Err(WeightsError::file(path, problem));
        }
    }
    let tensors = cursor.u64().map_err(in_preamble)?;
    let entries = cursor.u64().map_err(in_preamble)?;
    Ok((version, tensors, entries))
}

fn read_metadata<R: ReadAt + ?Sized>(
    cursor: &mut Cursor<'_, R>,
    path: &Path,
    count: u64,
) -> Result<Metadata, WeightsError> {
    // An entry takes its key's length, its type and a byte of value at least.
    let count = cursor
        .count("metadata entries", count, 13)
        .map_err(|fault| fault.of_place(path, "the number of metadata entries"))?;
    let mut metadata = Metadata::new(path);
    for index in 0..count {
        let key = cursor
            .string(MAX_KEY_BYTES)
            .map_err(|fault| fault.of_place(path, &format!("the name of metadata entry {index}")))?;
        let tag = cursor.u32().map_err(|fault| fault.of_key(path, &key))?;
        let value = Value::read(cursor, tag).map_err(|fault| fault.of_key(path, &key))?;
        metadata.insert(key, value)?;
    }
    Ok(metadata)
}

/// Where tensors may start: at multiples of a power of two.
fn alignment(metadata: &Metadata) -> Result<u64, WeightsError> {
    const KEY: &str = "general.alignment";
    match metadata.u32(KEY)? {
        None => Ok(DEFAULT_ALIGNMENT),
        Some(alignment) if alignment.is_power_of_two() => Ok(u64::from(alignment)),
        Some(alignment) => {
            let problem = format!("an alignment of {alignment}; powers of two are accepted");
            Err(WeightsError::key(metadata.path(), KEY, problem))
        }
    }
}

/// One description; the offset in it still counts from the start of the tensors' bytes. The flag tells whether the
/// type's size is known.
fn read_tensor<R: ReadAt + ?Sized>(
    cursor: &mut Cursor<'_, R>,
    path: &Path,
    index: usize,
    alignment: u64,
) -> Result<(TensorInfo, bool), WeightsError> {
    let name = cursor
        .string(MAX_KEY_BYTES)
        .map_err(|fault| fault.of_place(path, &format!("the name of tensor {index}")))?;
    let description = read_description(cursor, alignment).map_err(|fault| fault.of_tensor(path, &name))?;
    let (kind, shape, bytes, offset) = description;
    let tensor = TensorInfo {
        name,
        dtype: kind.dtype,
        type_name: kind.name,
        shape,
        file: 0,
        offset,
        bytes: bytes.unwrap_or(0),
    };
    Ok((tensor, bytes.is_some()))
}

type Description = (TensorType, Vec<usize>, Option<u64>, u64);

fn read_description<R: ReadAt + ?Sized>(
    cursor: &mut Cursor<'_, R>,
    alignment: u64,
) -> Result<Description, Fault> {
    let rank = cursor.u32()?;
    if rank as usize > MAX_RANK {
        return Err(Fault::Bad(format!("it has {rank} dimensions; up to {MAX_RANK} are accepted")));
    }
    let mut dimensions = Vec::with_capacity(rank as usize);
    for _ in 0..rank {
        dimensions.push(cursor.u64()?);
    }
    // The file has the innermost dimension first.
    dimensions.reverse();
    let shape = checked_shape(&dimensions).map_err(Fault::Bad)?;
    let kind = TensorType::from_number(cursor.u32()?);
    let columns = shape.last().map_or(1, |&size| size as u64);
    let rows = shape.split_last().map_or(1, |(_, outer)| outer.iter().product::<usize>() as u64);
    let bytes = kind.bytes_for(rows, columns).map_err(Fault::Bad)?;
    let offset = cursor.u64()?;
    if !offset.is_multiple_of(alignment) {
        return Err(Fault::Bad(format!(
            "its offset {offset} is not a multiple of the alignment {alignment}"
        )));
    }
    Ok((kind, shape, bytes, offset))
}

/// Turns offsets into absolute ones, inside the file. A tensor of unknown type reaches to where the next one starts.
fn place(
    tensors: &mut [TensorInfo],
    sized: &[bool],
    start: u64,
    size: u64,
    path: &Path,
) -> Result<(), WeightsError> {
    let mut starts = Vec::new();
    for (tensor, sized) in tensors.iter_mut().zip(sized) {
        let relative = tensor.offset;
        let end = start.checked_add(relative).and_then(|offset| {
            tensor.offset = offset;
            offset.checked_add(tensor.bytes)
        });
        if end.is_none_or(|end| end > size) {
            let problem = format!(
                "its {} bytes at offset {relative} from {start} lie outside the file, which has {size} bytes",
                tensor.bytes
            );
            return Err(WeightsError::tensor(path, &tensor.name, problem));
        }
        if !sized {
            starts.push(tensor.offset);
        }
    }
    if !starts.is_empty() {
        let mut boundaries: Vec<u64> = tensors.iter().map(|tensor| tensor.offset).collect();
        boundaries.push(size);
        boundaries.sort_unstable();
        for (tensor, _) in tensors.iter_mut().zip(sized).filter(|(_, sized)| !**sized) {
            let next = boundaries.partition_point(|&boundary| boundary <= tensor.offset);
            tensor.bytes = boundaries.get(next).map_or(0, |&next| next - tensor.offset);
        }
    }
    Ok(())
}
