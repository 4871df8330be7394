//! Metadata values and how they lie in a file.

use super::cursor::{Cursor, Fault};
use crate::weights::file::ReadAt;

/// Arrays may hold arrays; deeper than this nobody writes, and the reader recurses once per level.
const MAX_DEPTH: usize = 4;

/// The value of one metadata entry.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
#[allow(missing_docs)] // the variants are the format's types
pub enum Value {
    U8(u8),
    I8(i8),
    U16(u16),
    I16(i16),
    U32(u32),
    I32(i32),
    U64(u64),
    I64(i64),
    F32(f32),
    F64(f64),
    Bool(bool),
    String(String),
    Array(Array),
}

/// An array of a metadata entry; all elements have one type.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
#[allow(missing_docs)] // the variants are the format's types
pub enum Array {
    U8(Vec<u8>),
    I8(Vec<i8>),
    U16(Vec<u16>),
    I16(Vec<i16>),
    U32(Vec<u32>),
    I32(Vec<i32>),
    U64(Vec<u64>),
    I64(Vec<i64>),
    F32(Vec<f32>),
    F64(Vec<f64>),
    Bool(Vec<bool>),
    String(Vec<String>),
    Array(Vec<Array>),
}

impl Value {
    /// What the value is, for messages: `a string`, `an array of f32`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::U8(_) => "a u8",
            Self::I8(_) => "an i8",
            Self::U16(_) => "a u16",
            Self::I16(_) => "an i16",
            Self::U32(_) => "a u32",
            Self::I32(_) => "an i32",
            Self::U64(_) => "a u64",
            Self::I64(_) => "an i64",
            Self::F32(_) => "an f32",
            Self::F64(_) => "an f64",
            Self::Bool(_) => "a bool",
            Self::String(_) => "a string",
            Self::Array(array) => array.kind(),
        }
    }

    /// The value as an integer, whatever its width; `None` for other types.
    pub fn as_integer(&self) -> Option<i128> {
        Some(match *self {
            Self::U8(v) => v.into(),
            Self::I8(v) => v.into(),
            Self::U16(v) => v.into(),
            Self::I16(v) => v.into(),
            Self::U32(v) => v.into(),
            Self::I32(v) => v.into(),
            Self::U64(v) => v.into(),
            Self::I64(v) => v.into(),
            _ => return None,
        })
    }

    /// Whether the value is a single one, not an array.
    pub(super) fn is_scalar(&self) -> bool {
        !matches!(self, Self::Array(_))
    }

    /// Reads a value of the type with the number `tag`.
    pub(super) fn read<R: ReadAt + ?Sized>(cursor: &mut Cursor<'_, R>, tag: u32) -> Result<Self, Fault> {
        Ok(match tag {
            0 => Self::U8(u8::from_le_bytes(cursor.array()?)),
            1 => Self::I8(i8::from_le_bytes(cursor.array()?)),
            2 => Self::U16(u16::from_le_bytes(cursor.array()?)),
            3 => Self::I16(i16::from_le_bytes(cursor.array()?)),
            4 => Self::U32(u32::from_le_bytes(cursor.array()?)),
            5 => Self::I32(i32::from_le_bytes(cursor.array()?)),
            6 => Self::F32(f32::from_le_bytes(cursor.array()?)),
            7 => Self::Bool(boolean(cursor.array()?)?),
            8 => Self::String(cursor.string(u64::MAX)?),
            9 => Self::Array(Array::read(cursor, 1)?),
            10 => Self::U64(u64::from_le_bytes(cursor.array()?)),
            11 => Self::I64(i64::from_le_bytes(cursor.array()?)),
            12 => Self::F64(f64::from_le_bytes(cursor.array()?)),
            _ => return Err(Fault::Bad(format!("value type {tag}; 0 to 12 are accepted"))),
        })
    }
}

impl Array {
    /// The number of elements.
    pub fn len(&self) -> usize {
        match self {
            Self::U8(v) => v.len(),
            Self::I8(v) => v.len(),
            Self::U16(v) => v.len(),
            Self::I16(v) => v.len(),
            Self::U32(v) => v.len(),
            Self::I32(v) => v.len(),
            Self::U64(v) => v.len(),
            Self::I64(v) => v.len(),
            Self::F32(v) => v.len(),
            Self::F64(v) => v.len(),
            Self::Bool(v) => v.len(),
            Self::String(v) => v.len(),
            Self::Array(v) => v.len(),
        }
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::U8(_) => "an array of u8",
            Self::I8(_) => "an array of i8",
            Self::U16(_) => "an array of u16",
            Self::I16(_) => "an array of i16",
            Self::U32(_) => "an array of u32",
            Self::I32(_) => "an array of i32",
            Self::U64(_) => "an array of u64",
            Self::I64(_) => "an array of i64",
            Self::F32(_) => "an array of f32",
            Self::F64(_) => "an array of f64",
            Self::Bool(_) => "an array of bool",
            Self::String(_) => "an array of strings",
            Self::Array(_) => "an array of arrays",
        }
    }

    fn read<R: ReadAt + ?Sized>(cursor: &mut Cursor<'_, R>, depth: usize) -> Result<Self, Fault> {
        if depth > MAX_DEPTH {
            return Err(Fault::Bad(format!("arrays nest deeper than {MAX_DEPTH} levels")));
        }
        let tag = cursor.u32()?;
        let count = cursor.u64()?;
        Ok(match tag {
            0 => Self::U8(numbers(cursor, count, u8::from_le_bytes)?),
            1 => Self::I8(numbers(cursor, count, i8::from_le_bytes)?),
            2 => Self::U16(numbers(cursor, count, u16::from_le_bytes)?),
            3 => Self::I16(numbers(cursor, count, i16::from_le_bytes)?),
            4 => Self::U32(numbers(cursor, count, u32::from_le_bytes)?),
            5 => Self::I32(numbers(cursor, count, i32::from_le_bytes)?),
            6 => Self::F32(numbers(cursor, count, f32::from_le_bytes)?),
            7 => {
                let bytes = numbers(cursor, count, |byte: [u8; 1]| byte)?;
                Self::Bool(bytes.into_iter().map(boolean).collect::<Result<_, _>>()?)
            }
            8 => {
                // A string takes eight bytes at least, a `String` twenty-four: bounded by what is there.
                let count = cursor.count("strings", count, 8)?;
                let mut strings = Vec::with_capacity(count);
                for _ in 0..count {
                    strings.push(cursor.string(u64::MAX)?);
                }
                Self::String(strings)
            }
            9 => {
                let count = cursor.count("arrays", count, 12)?;
                let mut arrays = Vec::with_capacity(count);
                for _ in 0..count {
                    arrays.push(Self::read(cursor, depth + 1)?);
                }
                Self::Array(arrays)
            }
            10 => Self::U64(numbers(cursor, count, u64::from_le_bytes)?),
            11 => Self::I64(numbers(cursor, count, i64::from_le_bytes)?),
            12 => Self::F64(numbers(cursor, count, f64::from_le_bytes)?),
            _ => return Err(Fault::Bad(format!("array element type {tag}; 0 to 12 are accepted"))),
        })
    }
}

fn boolean([byte]: [u8; 1]) -> Result<bool, Fault> {
    match byte {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Fault::Bad(format!("a bool of value {byte}; 0 and 1 are accepted"))),
    }
}

/// `count` numbers of `N` bytes each.
fn numbers<R: ReadAt + ?Sized, T, const N: usize>(
    cursor: &mut Cursor<'_, R>,
    count: u64,
    convert: impl Fn([u8; N]) -> T,
) -> Result<Vec<T>, Fault> {
    const PIECE: usize = 4096;
    let count = cursor.count("elements", count, N as u64)?;
    let mut values = Vec::with_capacity(count);
    let mut buffer = [0; PIECE];
    while values.len() < count {
        let bytes = &mut buffer[..N * (count - values.len()).min(PIECE / N)];
        cursor.fill(bytes)?;
        values.extend(bytes.as_chunks::<N>().0.iter().map(|bytes| convert(*bytes)));
    }
    Ok(values)
}
