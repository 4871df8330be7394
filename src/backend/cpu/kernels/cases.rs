//! The cases that the kernels of every level are tried on, and what is demanded of them.
//!
//! - Results lie within the rounding of their sums ([`Sum::check`]) of sums taken in `f64`; where all terms are whole
//!   numbers below 2^24, which leaves nothing to round, they are equal.
//! - A row alone has the same bits as in any company of rows, and a panel alone the same as among other panels.
//! - Nothing is written outside the rows and columns asked for, at any alignment of `out`.
//! - Rows are converted to int8 bit for bit as [`super::portable`] states.

#![allow(clippy::unwrap_used, clippy::panic)]

mod float;
mod fp8;
mod int8;
mod per_channel;
mod rows;

use crate::backend::cpu::buffer::AlignedBytes;
use crate::backend::cpu::pack::{PANEL, pack_panel, panel_bytes};
use crate::weights::DType;

pub(crate) use float::{bf16_dot, float};
pub(crate) use fp8::fp8;
pub(crate) use int8::int8;
pub(crate) use per_channel::per_channel;
pub(crate) use rows::{quantize, to_bf16};

/// Rows of the inputs; more than any tile is high, and no multiple of one.
const ROWS: usize = 41;

/// Numbers of rows in one call, where not every number up to [`ROWS`] is tried.
const SOME_ROWS: [usize; 4] = [1, 2, 7, 33];

/// SplitMix64 (Steele, Lea and Flood, 2014): the same cases in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From -1 to 1.
    fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    /// From `-limit` to `limit`.
    fn whole(&mut self, limit: i64) -> i64 {
        self.next().cast_signed().rem_euclid(2 * limit + 1) - limit
    }
}

/// A sum in `f64`, with what is needed to judge one in `f32`.
#[derive(Clone, Copy)]
struct Sum {
    value: f64,
    /// The terms' magnitudes together.
    magnitude: f64,
    terms: usize,
    /// Whether all terms, and the factors they are made of, are whole numbers.
    whole: bool,
}

impl Sum {
    const ZERO: Self = Self { value: 0.0, magnitude: 0.0, terms: 0, whole: true };

    /// Adds a product.
    fn add(&mut self, factors: [f64; 3]) {
        let term: f64 = factors.iter().product();
        self.value += term;
        self.magnitude += term.abs();
        self.terms += 1;
        self.whole &= factors.iter().all(|factor| factor.fract() == 0.0);
    }

    /// `n` terms, each the product of up to four factors, deviate by at most `(n + 4) 2^-24` of their magnitudes
    /// together when they are rounded and added in any order (Higham, Accuracy and Stability of Numerical Algorithms,
    /// section 4.2); products below the normal range may be flushed to zero.
    fn check(&self, found: f32, place: impl FnOnce() -> String) {
        let exact = self.whole && self.magnitude < f64::from(1 << 24);
        let rounding = (self.terms + 4) as f64 * 2f64.powi(-24) * self.magnitude;
        let allowed = if exact { 0.0 } else { rounding + self.terms as f64 * f64::from(f32::MIN_POSITIVE) };
        let distance = (f64::from(found) - self.value).abs();
        // A NaN is no distance.
        let close = distance <= allowed;
        assert!(close, "{}: {found} against {}, {allowed} allowed", place(), self.value);
    }
}

/// Panels of rows of file bytes, one behind the other, aligned as in a matrix.
fn pack(dtype: DType, rows: &[Vec<u8>], cols: usize) -> AlignedBytes {
    let size = panel_bytes(dtype, cols).unwrap();
    let panels = rows.len().div_ceil(PANEL);
    let mut bytes = AlignedBytes::zeroed(panels * size, "weights").unwrap();
    for (rows, out) in rows.chunks(PANEL).zip(bytes.as_mut_slice().chunks_exact_mut(size)) {
        let rows: Vec<&[u8]> = rows.iter().map(Vec::as_slice).collect();
        pack_panel(dtype, &rows, cols, out);
    }
    bytes
}

/// Which panels and rows a call is given.
#[derive(Clone, Copy)]
struct Call {
    first_panel: usize,
    panels: usize,
    first_row: usize,
    rows: usize,
}

/// Runs a kernel on an output that is guarded on all sides and returns `[rows][16 * panels]`.
fn guarded(call: Call, run: impl FnOnce(*mut f32, usize)) -> Vec<f32> {
    const GUARD: u32 = 0x7fc0_dead;
    let width = call.panels * PANEL;
    // Neither the first value nor the rows are aligned to more than an f32.
    let (before, stride) = (5, width + 3);
    let mut out = vec![f32::from_bits(GUARD); before + call.rows * stride + PANEL];
    run(out[before..].as_mut_ptr(), stride);
    let mut values = Vec::with_capacity(call.rows * width);
    for (index, value) in out.iter().enumerate() {
        let inside = index.checked_sub(before).filter(|at| at / stride < call.rows && at % stride < width);
        if inside.is_some() {
            values.push(*value);
        } else {
            assert_eq!(value.to_bits(), GUARD, "value {index} was written, {} rows", call.rows);
        }
    }
    values
}

/// Demands the same bits of every row and panel in any company, and returns the outputs `[ROWS][16 * panels]`.
fn in_any_company(
    panels: usize,
    every_number: bool,
    name: &dyn Fn() -> String,
    run: &dyn Fn(Call) -> Vec<f32>,
) -> Vec<f32> {
    let width = panels * PANEL;
    let call = |first_row, rows| run(Call { first_panel: 0, panels, first_row, rows });
    let alone: Vec<f32> = (0..ROWS).flat_map(|row| call(row, 1)).collect();
    let numbers: Vec<usize> = if every_number { (1..=ROWS).collect() } else { SOME_ROWS.into() };
    for rows in numbers {
        for (index, (found, alone)) in call(0, rows).iter().zip(&alone).enumerate() {
            let (row, column) = (index / width, index % width);
            assert_eq!(
                found.to_bits(),
                alone.to_bits(),
                "{} row {row} of {rows}, column {column}: {found}, alone {alone}",
                name()
            );
        }
    }
    for panel in 0..panels {
        for rows in [1, 5] {
            let one = run(Call { first_panel: panel, panels: 1, first_row: 0, rows });
            for (row, values) in one.chunks_exact(PANEL).enumerate() {
                for (lane, found) in values.iter().enumerate() {
                    let among = alone[row * width + panel * PANEL + lane];
                    assert_eq!(
                        found.to_bits(),
                        among.to_bits(),
                        "{} panel {panel} lane {lane} row {row} of {rows}: {found}, among {panels} panels {among}",
                        name()
                    );
                }
            }
        }
    }
    alone
}
