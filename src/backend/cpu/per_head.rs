//! Products of the parts of rows with a matrix for each part, all heads together.

use super::BackendError;
use super::buffer::Tensor;
use super::gemm::{Gemm, Group, Groups, Shapes};
use super::matrix::PackedMatrix;
use super::rowwise::{self, Run};
use super::threads::SharedMut;

/// `y_h = W_h x_h` for every head; see [`Backend::per_head`](crate::backend::Backend::per_head).
///
/// # Errors
/// Widths that do not fit.
pub(super) fn per_head(
    run: Run<'_>,
    gemm: Gemm<'_>,
    x: Tensor,
    matrices: &[PackedMatrix],
) -> Result<Tensor, BackendError> {
    let (rows, width, heads) = (x.rows(), x.width(), matrices.len());
    let of_head = width.checked_div(heads).unwrap_or(0);
    if of_head * heads != width {
        let (operation, expected) = ("per_head", of_head * heads);
        return Err(BackendError::Shape { operation, what: "input width", found: width, expected });
    }
    // Rows of heads: those of one head stand `heads` apart, and are brought together where there are several.
    let x = x.reshaped(rows * heads, of_head);
    let mut groups = run.arena.elements::<Group>(heads)?;
    for (head, group) in groups.as_mut_slice().iter_mut().enumerate() {
        *group = Group { matrix: head as u32, first: (head * rows) as u32, rows: rows as u32 };
    }
    let mut source = run.arena.elements::<u32>(if rows > 1 { rows * heads } else { 0 })?;
    for (at, source) in source.as_mut_slice().iter_mut().enumerate() {
        *source = (at % rows * heads + at / rows) as u32;
    }
    let (groups, matrix) = (groups.as_slice(), |head: usize| &matrices[head]);
    let groups = if rows == 0 { &groups[..heads.min(1)] } else { groups };
    let source = (rows > 1).then_some(source.as_slice());
    let found =
        gemm.multiply_groups(&x, &Groups { groups, matrix: &matrix, source, shapes: Shapes::Equal })?;
    let outputs = found.width();
    if rows <= 1 {
        return Ok(found.reshaped(rows, heads * outputs));
    }
    let mut out = run.arena.tensor(rows, heads * outputs)?;
    let target = SharedMut::new(out.as_mut_slice().as_mut_ptr());
    rowwise::split(run, rows, heads * outputs, &|range| {
        for row in range {
            // SAFETY: every row has its own part, and each row is handled once.
            let line = unsafe { target.slice(row * heads * outputs, heads * outputs) };
            for (head, part) in line.chunks_exact_mut(outputs.max(1)).enumerate() {
                part.copy_from_slice(found.row(head * rows + row));
            }
        }
    });
    Ok(out)
}
