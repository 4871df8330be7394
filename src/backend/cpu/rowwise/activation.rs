//! Activations, alone and times what they gate.

#![allow(clippy::multiple_unsafe_ops_per_block)] // Kernels: every line is an access through a pointer.

use super::super::super::{Activation, BackendError};
use super::super::simd::{Lanes, gelu_erf, gelu_tanh, multiversion, sigmoid, silu};
use super::reduce::{Map, map};
use super::{Run, fits, rows_of, split};

/// Rows of gates and what they gate.
struct Gates {
    gate: *const f32,
    /// Null where nothing is gated.
    up: *const f32,
    out: *mut f32,
    width: usize,
    /// Values from row to row of `gate` and `up`.
    stride: usize,
}

// SAFETY: tasks write different rows.
unsafe impl Sync for Gates {}

/// `act(gate) * up` for rows of `width` gates followed by `width` values; `out` is `[rows, width]`.
///
/// # Errors
/// Widths that do not fit.
pub(in super::super) fn gated(
    run: Run<'_>,
    gate_up: &[f32],
    width: usize,
    activation: Activation,
    out: &mut [f32],
) -> Result<(), BackendError> {
    let rows = rows_of("gated_mlp", out.len(), width)?;
    fits("gated_mlp", "gates and values", gate_up.len(), 2 * out.len())?;
    let gate = gate_up.as_ptr();
    let gates = Gates { gate, up: gate.wrapping_add(width), out: out.as_mut_ptr(), width, stride: 2 * width };
    apply(run, rows, gates, kernel(run, activation));
    Ok(())
}

/// `act(x)`, in place.
pub(in super::super) fn activate(run: Run<'_>, x: &mut [f32], activation: Activation) {
    in_place(run, x, kernel(run, activation));
}

/// `1 / (1 + e^-x)`, in place.
pub(in super::super) fn sigmoids(run: Run<'_>, x: &mut [f32]) {
    in_place(run, x, gater::<Sigmoid>(run.level));
}

fn in_place(run: Run<'_>, x: &mut [f32], kernel: Kernel) {
    // Any cut will do: every value stands alone. What is left over is a last row of its own.
    let width = super::TASK_VALUES;
    let (whole, rest) = (x.len() / width, x.len() % width);
    let (rows, last) = x.split_at_mut(whole * width);
    for (part, count, width) in [(rows, whole, width), (last, 1, rest)] {
        let out = part.as_mut_ptr();
        let gates = Gates { gate: out, up: std::ptr::null(), out, width, stride: width };
        apply(run, count, gates, kernel);
    }
}

/// What is done to one row of gates.
type Kernel = unsafe fn(&Gates, usize);

fn kernel(run: Run<'_>, activation: Activation) -> Kernel {
    match activation {
        Activation::Silu => gater::<Silu>(run.level),
        Activation::GeluTanh => gater::<GeluTanh>(run.level),
        Activation::GeluErf => gater::<GeluErf>(run.level),
    }
}

fn apply(run: Run<'_>, rows: usize, gates: Gates, kernel: Kernel) {
    let gates = &gates;
    split(run, rows, gates.width, &|range| {
        for row in range {
            // SAFETY: the row exists, no other task has it, and the level is the processor's.
            unsafe { kernel(gates, row) }
        }
    });
}

multiversion! {
    /// One row of gates.
    fn gater<A: Gate>(gates: &Gates, row: usize) = gate_row;
}

#[inline(always)]
unsafe fn gate_row<L: Lanes, A: Gate>(gates: &Gates, row: usize) {
    let &Gates { width, stride, .. } = gates;
    // SAFETY: the row exists.
    unsafe {
        let (gate, out) = (gates.gate.add(row * stride), gates.out.add(row * width));
        let up = if gates.up.is_null() { gates.up } else { gates.up.add(row * stride) };
        map::<L>(gate, out, width, &Gated { up, gate: std::marker::PhantomData::<A> });
    }
}

/// The activation, times what it gates, unless that is null.
struct Gated<A> {
    up: *const f32,
    gate: std::marker::PhantomData<A>,
}

impl<A: Gate> Map for Gated<A> {
    #[inline(always)]
    unsafe fn of<L: Lanes>(&self, x: L, at: usize, count: usize) -> L {
        // SAFETY: the caller's promise.
        unsafe {
            let x = A::apply(x);
            if self.up.is_null() { x } else { x.mul(L::load_part(self.up.add(at), count)) }
        }
    }
}

/// An activation.
trait Gate {
    /// # Safety
    /// The processor has the instructions of `L`.
    unsafe fn apply<L: Lanes>(x: L) -> L;
}

/// Declares a type for each function.
macro_rules! gates {
    ($($name:ident = $function:ident),*) => {
        $(
            struct $name;

            impl Gate for $name {
                #[inline(always)]
                unsafe fn apply<L: Lanes>(x: L) -> L {
                    // SAFETY: the caller's promise.
                    unsafe { $function(x) }
                }
            }
        )*
    };
}

gates!(Silu = silu, GeluTanh = gelu_tanh, GeluErf = gelu_erf, Sigmoid = sigmoid);
