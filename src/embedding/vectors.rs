//! The vectors of one request: one block, row by row.

use crate::error::{Error, ErrorKind, Result};

/// The smallest length that a vector is divided by, as sentence-transformers has it.
const MIN_LENGTH: f64 = 1e-12;

/// Vectors of one request: one contiguous block, `[rows, dimension]`, in the order of its texts.
#[derive(Debug, Clone, PartialEq)]
pub struct Vectors {
    values: Vec<f32>,
    dimension: usize,
}

impl Vectors {
    /// Room for the vectors of a request.
    ///
    /// # Errors
    /// [`ErrorKind::InsufficientMemory`] when there is none.
    pub(super) fn with_capacity(rows: usize, dimension: usize) -> Result<Self> {
        let mut values = Vec::new();
        let room =
            rows.checked_mul(dimension).ok_or(()).and_then(|n| values.try_reserve_exact(n).map_err(drop));
        room.map_err(|()| {
            let message = format!("{rows} vectors of {dimension} values cannot be allocated");
            Error::new(ErrorKind::InsufficientMemory, message).with_param("input")
        })?;
        Ok(Self { values, dimension })
    }

    /// Appends the beginning of `vector`, divided by its length when `normalize` says so.
    ///
    /// # Errors
    /// A vector that has infinities or is not a number: the model's weights have.
    pub(super) fn push(&mut self, vector: &[f32], normalize: bool) -> Result<()> {
        let vector = &vector[..self.dimension];
        // In double precision, where no square of a finite value overflows.
        let squares: f64 = vector.iter().map(|&value| f64::from(value) * f64::from(value)).sum();
        if !squares.is_finite() {
            let message =
                format!("the model's vector of input[{}] has values that are not finite", self.rows());
            return Err(Error::new(ErrorKind::InvalidModel, message));
        }
        if normalize {
            let scale = squares.sqrt().max(MIN_LENGTH).recip();
            self.values.extend(vector.iter().map(|&value| (f64::from(value) * scale) as f32));
        } else {
            self.values.extend_from_slice(vector);
        }
        Ok(())
    }

    /// The number of vectors.
    pub fn rows(&self) -> usize {
        self.values.len() / self.dimension.max(1)
    }

    /// The number of values of a vector.
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// All values, row by row.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// All values, row by row.
    pub fn into_values(self) -> Vec<f32> {
        self.values
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_vector_is_cut_before_it_is_normalized() {
        let mut vectors = Vectors::with_capacity(2, 2).unwrap();
        vectors.push(&[3.0, 4.0, 100.0], true).unwrap();
        vectors.push(&[3.0, 4.0, 100.0], false).unwrap();
        assert_eq!(vectors.values(), [0.6, 0.8, 3.0, 4.0]);
        assert_eq!((vectors.rows(), vectors.dimension()), (2, 2));
    }

    #[test]
    fn extremes_keep_their_direction() {
        let mut vectors = Vectors::with_capacity(3, 2).unwrap();
        vectors.push(&[3e38, 4e37], true).unwrap();
        vectors.push(&[3e-30, 4e-30], true).unwrap();
        vectors.push(&[0.0, 0.0], true).unwrap();
        let length = (9e76f64 + 16e74).sqrt();
        assert_eq!(vectors.values()[..2], [(3e38 / length) as f32, (4e37 / length) as f32]);
        assert_eq!(vectors.values()[4..], [0.0, 0.0]);
        // Below the smallest length vectors stay short instead of becoming noise.
        assert!(vectors.values()[2..4].iter().all(|value| *value < 1e-12));
    }

    #[test]
    fn what_is_not_finite_is_an_error_that_names_the_text() {
        for value in [f32::NAN, f32::INFINITY] {
            let mut vectors = Vectors::with_capacity(2, 2).unwrap();
            vectors.push(&[1.0, 2.0], false).unwrap();
            let error = vectors.push(&[1.0, value], false).unwrap_err();
            assert!(error.message().contains("input[1]"), "{error}");
            assert_eq!(vectors.rows(), 1);
        }
        assert!(Vectors::with_capacity(usize::MAX, 2).is_err());
    }
}
