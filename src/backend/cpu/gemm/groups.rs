//! Products that are computed together: rows grouped by the matrix that they are multiplied with.

use std::ops::Range;

use super::super::buffer::{Element, Tensor};
use super::super::matrix::{PackedMatrix, PackedPart};
use crate::backend::BackendError;

/// Consecutive rows and the number of the matrix that they are multiplied with.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(in super::super) struct Group {
    pub(in super::super) matrix: u32,
    pub(in super::super) first: u32,
    pub(in super::super) rows: u32,
}

// SAFETY: three numbers.
unsafe impl Element for Group {}

impl Group {
    /// Its rows.
    pub(super) fn range(self) -> Range<usize> {
        self.first as usize..(self.first + self.rows) as usize
    }
}

/// How the shapes of matrices that are multiplied together may differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Shapes {
    /// Not at all.
    Equal,
    /// A matrix may have fewer inputs than the activations are wide, and is then multiplied with the first of them, and
    /// fewer outputs than the widest, and then leaves what is behind them as it was. All are floats, computed as
    /// floats.
    UpToWidest,
}

/// Products that are computed together.
#[derive(Clone, Copy)]
pub(in super::super) struct Groups<'a> {
    /// In the order of their rows, without gaps; none is empty, unless it is the only one.
    pub(in super::super) groups: &'a [Group],
    /// A matrix by its number.
    pub(in super::super) matrix: &'a (dyn Fn(usize) -> &'a PackedMatrix + Sync),
    /// The row of the activations that each row is; they are the same when `None`.
    pub(in super::super) source: Option<&'a [u32]>,
    pub(in super::super) shapes: Shapes,
}

impl<'a> Groups<'a> {
    /// Rows of all groups.
    pub(super) fn rows(&self) -> usize {
        self.groups.last().map_or(0, |group| group.range().end)
    }

    /// The matrix of a group.
    pub(super) fn matrix_of(&self, group: Group) -> &'a PackedMatrix {
        (self.matrix)(group.matrix as usize)
    }

    /// The parts of all matrices.
    pub(super) fn parts(&self) -> impl Iterator<Item = &'a PackedPart> {
        self.groups.iter().flat_map(|group| self.matrix_of(*group).parts())
    }

    /// The group of a row.
    pub(super) fn group_of(&self, row: usize) -> Option<Group> {
        let behind = self.groups.partition_point(|group| group.first as usize <= row);
        self.groups.get(behind.checked_sub(1)?).copied()
    }

    /// The row of the activations that a row is.
    pub(super) fn source_of(&self, row: usize) -> usize {
        self.source.map_or(row, |source| source[row] as usize)
    }

    /// The outputs of the widest matrix.
    ///
    /// # Errors
    /// Matrices that do not fit each other or the activations.
    pub(super) fn outputs(&self, x: &Tensor) -> Result<usize, BackendError> {
        let shape =
            |what, found, expected| BackendError::Shape { operation: "linear", what, found, expected };
        let matrices = || self.groups.iter().map(|group| self.matrix_of(*group));
        let narrower = self.shapes == Shapes::UpToWidest;
        let fits =
            |matrix: &PackedMatrix| x.width() == matrix.cols() || (narrower && matrix.cols() < x.width());
        if let Some(other) = matrices().find(|matrix| !fits(matrix)) {
            return Err(shape("input width", x.width(), other.cols()));
        }
        if narrower {
            return Ok(matrices().map(PackedMatrix::rows).max().unwrap_or(0));
        }
        let outputs = matrices().next().map_or(0, PackedMatrix::rows);
        match matrices().find(|matrix| matrix.rows() != outputs) {
            Some(other) => Err(shape("output width", other.rows(), outputs)),
            None => Ok(outputs),
        }
    }
}
