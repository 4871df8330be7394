//! Putting partitions of the keys together: in order, whoever computed them.

#![allow(clippy::multiple_unsafe_ops_per_block)] // Kernels: every line is an access through a pointer.

use super::super::rowwise::rotary::rotated;
use super::super::simd::{LANES, Lanes, exp, multiversion};
use super::tile::{NOTHING, State};

/// Two states of the same rows.
#[derive(Clone, Copy)]
pub(super) struct Merge {
    pub(super) total: State,
    pub(super) part: State,
    pub(super) rows: usize,
    pub(super) padded: usize,
}

multiversion! {
    /// Takes the part into the total. A row that has seen nothing in one of them is that of the other, bit for bit.
    pub(super) fn merger(merge: &Merge) = add_part;
}

#[inline(always)]
unsafe fn add_part<L: Lanes>(merge: &Merge) {
    let &Merge { total, part, rows, padded } = merge;
    for row in 0..rows {
        // SAFETY: both states have that many rows.
        unsafe {
            let (before, new) = (*total.highest.add(row), *part.highest.add(row));
            if new == NOTHING {
                continue;
            }
            let (sums, values) = (total.sums.add(row * LANES), total.values.add(row * padded));
            let (new_sums, new_values) = (part.sums.add(row * LANES), part.values.add(row * padded));
            if before == NOTHING {
                *total.highest.add(row) = new;
                sums.copy_from_nonoverlapping(new_sums, LANES);
                values.copy_from_nonoverlapping(new_values, padded);
                continue;
            }
            let (before, new) = (L::splat(before), L::splat(new));
            let highest = before.max(new);
            highest.store_part(total.highest.add(row), 1);
            let (decay, weight) = (exp(before.sub(highest)), exp(new.sub(highest)));
            L::load(sums).fma(decay, L::load(new_sums).mul(weight)).store(sums);
            for at in (0..padded).step_by(LANES) {
                let new = L::load(new_values.add(at)).mul(weight);
                L::load(values.add(at)).fma(decay, new).store(values.add(at));
            }
        }
    }
}

/// One row's way out of its state.
#[derive(Clone, Copy)]
pub(super) struct Finish {
    pub(super) sums: *const f32,
    pub(super) values: *const f32,
    pub(super) value_dim: usize,
    pub(super) out: *mut f32,
}

multiversion! {
    /// Divides a row's values by its sum of weights.
    pub(super) fn finisher(finish: &Finish) = divide;
}

#[inline(always)]
unsafe fn divide<L: Lanes>(finish: &Finish) {
    // SAFETY: the pointers are as long as `Finish` says.
    unsafe {
        let sum = L::splat(L::load(finish.sums).sum());
        for at in (0..finish.value_dim).step_by(LANES) {
            let count = LANES.min(finish.value_dim - at);
            L::load_part(finish.values.add(at), count).div(sum).store_part(finish.out.add(at), count);
        }
    }
}

/// One query on its way into a task.
#[derive(Clone, Copy)]
pub(super) struct Query {
    pub(super) from: *const f32,
    pub(super) head_dim: usize,
    /// Null without rotation.
    pub(super) cos: *const f32,
    pub(super) sin: *const f32,
    /// Multiplies what was rotated.
    pub(super) factor: f32,
    pub(super) to: *mut f32,
}

multiversion! {
    /// Copies a query, rotated and multiplied.
    pub(super) fn rotator(query: &Query) = rotate;
}

#[inline(always)]
unsafe fn rotate<L: Lanes>(query: &Query) {
    // SAFETY: the pointers are as long as `Query` says.
    unsafe {
        if query.cos.is_null() {
            query.to.copy_from_nonoverlapping(query.from, query.head_dim);
        } else {
            rotated::<L>(query.from, query.head_dim, query.cos, query.sin, query.to);
        }
        for at in (0..query.head_dim).step_by(LANES) {
            let (count, to) = (LANES.min(query.head_dim - at), query.to.add(at));
            L::load_part(to, count).mul(L::splat(query.factor)).store_part(to, count);
        }
    }
}
