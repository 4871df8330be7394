//! Changes of low rank: the rows of all adapters put beside each other, and two products for all of them together.
//!
//! A line is one row of the step under one term of its adapter's change. The lines of a term are a group with matrices of
//! its own; lines are taken a window at a time, so that what their products need stays in the cache, whatever the step's
//! size. The factors are floats and are multiplied as floats, whatever other weights are.

use super::buffer::{Element, Elements, Tensor};
use super::gemm::{Gemm, Group, Groups, Shapes};
use super::matrix::PackedMatrix;
use super::rowwise::{self, Run};
use super::{BackendError, Compute};
use crate::backend::{Adaptation, LowRank};

/// Values of all lines of a window.
const WINDOW_VALUES: usize = 1 << 20;

/// A term, by the number of its adapter and its own among that adapter's.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
struct Term {
    adapter: u32,
    number: u32,
}

// SAFETY: two numbers.
unsafe impl Element for Term {}

/// Lines to be computed together.
struct Window {
    /// The term of each group.
    terms: Elements<Term>,
    /// In the order of their lines: the first `count`.
    groups: Elements<Group>,
    count: usize,
    /// The row of the step that each line is: the first `lines`.
    source: Elements<u32>,
    lines: usize,
}

/// Adds changes to the products `y` of the rows `x`; see [`Backend::add_low_rank`](crate::backend::Backend::add_low_rank).
///
/// # Errors
/// Widths that do not fit, rows that are not there or out of order, and factors that are not floats.
pub(super) fn add(
    run: Run<'_>,
    gemm: Gemm<'_>,
    y: &mut Tensor,
    x: &Tensor,
    adaptation: &Adaptation<'_, PackedMatrix>,
) -> Result<(), BackendError> {
    let Size { terms, lines, widest } = check(y, x, adaptation)?;
    if lines == 0 {
        return Ok(());
    }
    let most = (WINDOW_VALUES / widest.max(x.width()).max(1)).clamp(1, lines);
    let mut window = Window {
        terms: run.arena.elements(terms)?,
        groups: run.arena.elements(terms)?,
        count: 0,
        source: run.arena.elements(most)?,
        lines: 0,
    };
    let gemm = Gemm { compute: Compute::F32, ..gemm };
    for (adapter, adapted) in (0u32..).zip(adaptation.iter()) {
        for number in 0..adapted.terms.len() as u32 {
            let mut rest = adapted.rows;
            while !rest.is_empty() {
                let (taken, others) = rest.split_at(rest.len().min(most - window.lines));
                window.push(Term { adapter, number }, taken);
                rest = others;
                if window.lines == most {
                    window.compute(run, &gemm, y, x, adaptation)?;
                }
            }
        }
    }
    window.compute(run, &gemm, y, x, adaptation)
}

/// How much there is to do.
struct Size {
    terms: usize,
    lines: usize,
    /// The most outputs of a term.
    widest: usize,
}

fn check(y: &Tensor, x: &Tensor, adaptation: &Adaptation<'_, PackedMatrix>) -> Result<Size, BackendError> {
    let shape =
        |what, found, expected| BackendError::Shape { operation: "add_low_rank", what, found, expected };
    if y.rows() != x.rows() {
        return Err(shape("rows of outputs", y.rows(), x.rows()));
    }
    let mut size = Size { terms: 0, lines: 0, widest: 0 };
    for adapted in adaptation.iter() {
        let mut next = 0;
        for &row in adapted.rows {
            if (row as usize) < next || row as usize >= x.rows() {
                let (operation, index) = ("add_low_rank", row as usize);
                return Err(BackendError::Index { operation, index, len: x.rows() });
            }
            next = row as usize + 1;
        }
        for LowRank { down, up, first, .. } in adapted.terms {
            if down.cols() != x.width() {
                return Err(shape("input width", x.width(), down.cols()));
            }
            if up.cols() != down.rows() {
                return Err(shape("rank", up.cols(), down.rows()));
            }
            if first.saturating_add(up.rows()) > y.width() {
                return Err(shape("output width", y.width(), first.saturating_add(up.rows())));
            }
            if up.bias().or(down.bias()).is_some() {
                return Err(shape("biases of factors", 1, 0));
            }
            size.widest = size.widest.max(up.rows());
        }
        size.terms += adapted.terms.len();
        size.lines = size.lines.saturating_add(adapted.terms.len().saturating_mul(adapted.rows.len()));
    }
    Ok(size)
}

impl Window {
    /// Appends lines of one term, which are a group.
    fn push(&mut self, term: Term, rows: &[u32]) {
        let (first, end) = (self.lines, self.lines + rows.len());
        self.terms.as_mut_slice()[self.count] = term;
        self.groups.as_mut_slice()[self.count] =
            Group { matrix: self.count as u32, first: first as u32, rows: rows.len() as u32 };
        self.source.as_mut_slice()[first..end].copy_from_slice(rows);
        (self.count, self.lines) = (self.count + 1, end);
    }

    /// Adds what the lines so far are, and begins anew.
    fn compute(
        &mut self,
        run: Run<'_>,
        gemm: &Gemm<'_>,
        y: &mut Tensor,
        x: &Tensor,
        adaptation: &Adaptation<'_, PackedMatrix>,
    ) -> Result<(), BackendError> {
        if self.lines == 0 {
            return Ok(());
        }
        let groups = &self.groups.as_slice()[..self.count];
        let source = &self.source.as_slice()[..self.lines];
        let terms = self.terms.as_slice();
        let term = |group: usize| {
            let Term { adapter, number } = terms[group];
            &(adaptation.of)(adapter as usize).terms[number as usize]
        };
        let (down, up) = (|group: usize| &term(group).down, |group: usize| &term(group).up);
        let of = |matrix, source| Groups { groups, matrix, source, shapes: Shapes::UpToWidest };
        let inner = gemm.multiply_groups(x, &of(&down, Some(source)))?;
        let change = gemm.multiply_groups(&inner, &of(&up, None))?;
        for (number, group) in groups.iter().enumerate() {
            let LowRank { up, first, scale, .. } = term(number);
            let columns = *first..first + up.rows();
            let lines = group.first as usize..(group.first + group.rows) as usize;
            rowwise::add_scaled(run, (&change, lines.clone()), *scale, (y, &source[lines], columns))?;
        }
        (self.count, self.lines) = (0, 0);
        Ok(())
    }
}
