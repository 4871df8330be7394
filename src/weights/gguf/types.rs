//! The numbers that GGUF gives to tensor types.

use std::borrow::Cow;

use crate::weights::dtype::{DType, block_layout_bytes};

/// A tensor type of a file.
pub(super) struct TensorType {
    pub(super) dtype: DType,
    pub(super) name: Cow<'static, str>,
    /// Elements and bytes of a block; `None` for numbers that are not known here.
    block: Option<(u64, u64)>,
}

impl TensorType {
    pub(super) fn from_number(number: u32) -> Self {
        let known = match number {
            0 => Ok(DType::F32),
            1 => Ok(DType::F16),
            2 => Ok(DType::Q4_0),
            3 => Ok(DType::Q4_1),
            6 => Ok(DType::Q5_0),
            7 => Ok(DType::Q5_1),
            8 => Ok(DType::Q8_0),
            10 => Ok(DType::Q2K),
            11 => Ok(DType::Q3K),
            12 => Ok(DType::Q4K),
            13 => Ok(DType::Q5K),
            14 => Ok(DType::Q6K),
            30 => Ok(DType::BF16),
            other => Err(other),
        };
        match known {
            Ok(dtype) => Self {
                dtype,
                name: Cow::Borrowed(dtype.name()),
                block: Some((dtype.block_elements() as u64, dtype.block_bytes() as u64)),
            },
            Err(number) => {
                let listed = UNDECODED.iter().find(|row| row.0 == number);
                Self {
                    dtype: DType::Other,
                    name: listed
                        .map_or_else(|| Cow::Owned(format!("number {number}")), |row| Cow::Borrowed(row.1)),
                    block: listed.map(|row| (row.2, row.3)),
                }
            }
        }
    }

    /// The bytes of `rows` rows of `columns` elements, `None` for types of unknown layout; the error is the problem.
    pub(super) fn bytes_for(&self, rows: u64, columns: u64) -> Result<Option<u64>, String> {
        let Some((block_elements, block_bytes)) = self.block else { return Ok(None) };
        if !columns.is_multiple_of(block_elements) {
            let name = &self.name;
            return Err(format!(
                "rows of {columns} elements are not whole blocks of {block_elements} ({name})"
            ));
        }
        let row = block_layout_bytes(columns, block_elements, block_bytes);
        match row.and_then(|row| row.checked_mul(rows)) {
            Some(bytes) => Ok(Some(bytes)),
            None => Err(format!("the size of {rows} rows of {columns} elements ({}) overflows", self.name)),
        }
    }
}

/// Types that are not decoded here, so that files that hold them still open: number, name, elements and bytes of a
/// block.
const UNDECODED: [(u32, &str, u64, u64); 21] = [
    (9, "Q8_1", 32, 40),
    (15, "Q8_K", 256, 292),
    (16, "IQ2_XXS", 256, 66),
    (17, "IQ2_XS", 256, 74),
    (18, "IQ3_XXS", 256, 98),
    (19, "IQ1_S", 256, 50),
    (20, "IQ4_NL", 32, 18),
    (21, "IQ3_S", 256, 110),
    (22, "IQ2_S", 256, 82),
    (23, "IQ4_XS", 256, 136),
    (24, "I8", 1, 1),
    (25, "I16", 1, 2),
    (26, "I32", 1, 4),
    (27, "I64", 1, 8),
    (28, "F64", 1, 8),
    (29, "IQ1_M", 256, 56),
    (34, "TQ1_0", 256, 54),
    (35, "TQ2_0", 256, 66),
    (39, "MXFP4", 32, 17),
    (40, "NVFP4", 64, 36),
    (41, "Q1_0", 128, 18),
];
