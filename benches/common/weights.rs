//! Files of random weights, and the numbers they are made of.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use serde_json::{Map, Value, json};

use super::Failure;

/// A tensor: name, rows and columns; a vector has no columns.
pub(crate) type Tensor = (String, usize, Option<usize>);

/// A safetensors file: the length of the header, the header, the tensors one after the other.
pub(crate) fn write(path: &Path, tensors: &[Tensor]) -> Result<(), Failure> {
    let mut header = Map::new();
    let mut end = 0;
    for (name, rows, columns) in tensors {
        let start = end;
        end += rows * columns.unwrap_or(1) * size_of::<f32>();
        let shape: Vec<usize> = [Some(*rows), *columns].into_iter().flatten().collect();
        header.insert(name.clone(), json!({ "dtype": "F32", "shape": shape, "data_offsets": [start, end] }));
    }
    let mut header = serde_json::to_vec(&Value::Object(header))?;
    header.resize(header.len().next_multiple_of(8), b' ');
    let mut file = BufWriter::new(File::create(path)?);
    file.write_all(&(header.len() as u64).to_le_bytes())?;
    file.write_all(&header)?;
    let mut random = Random(1);
    for (_, rows, columns) in tensors {
        match columns {
            // Variance 1/columns keeps activations of unit size through any number of layers.
            Some(columns) => {
                let scale = (12.0 / *columns as f32).sqrt();
                for _ in 0..rows * columns {
                    file.write_all(&(random.centred() * scale).to_le_bytes())?;
                }
            }
            None => (0..*rows).try_for_each(|_| file.write_all(&1_f32.to_le_bytes()))?,
        }
    }
    Ok(file.flush()?)
}

/// Knuth's 64-bit linear congruential generator (MMIX): quick, and good enough for weights nobody reads.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    /// Uniform in -0.5..0.5.
    fn centred(&mut self) -> f32 {
        self.next() as f32 / (1_u64 << 31) as f32 - 0.5
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}
