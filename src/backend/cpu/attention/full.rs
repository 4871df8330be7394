//! Attention in which every row sees its whole text, as encoders have it: no cache, keys and values of the step alone.

use std::ops::Range;

use super::super::super::{AdapterId, BLOCK_TOKENS, BackendError, CacheEntry, Span};
use super::super::cache::{self, CacheType, Layout, Target};
use super::super::rowwise::Run;
use super::{Inputs, Sight, attend};

/// Attention of every row over all rows of its text. Keys and values are laid out for the step in `f32` and forgotten.
/// `out` is `[rows, heads * head_dim]`.
///
/// # Errors
/// Widths that do not fit, texts that do not cover the rows, a window or ALiBi, or an allocation that fails.
pub(in super::super) fn full(
    run: Run<'_>,
    inputs: Inputs<'_>,
    texts: &[Range<usize>],
    out: &mut [f32],
) -> Result<(), BackendError> {
    inputs.attention.check_two_sided()?;
    let rows = inputs.check(out)?;
    let memory = BackendError::Memory { what: "keys and values of a step", bytes: u64::MAX };
    let (kv_heads, head_dim) = (inputs.attention.kv_heads, inputs.attention.head_dim);
    let mut blocks = 0;
    let spans: Vec<Span> = texts
        .iter()
        .map(|rows| {
            let first = blocks;
            blocks += rows.len().div_ceil(BLOCK_TOKENS);
            Span { rows: rows.clone(), start: 0, blocks: first..blocks, adapter: AdapterId::BASE }
        })
        .collect();
    cache::check_rows(&spans, rows)?;
    let entry = CacheEntry::KeyValue { kv_heads, head_dim };
    let layout = Layout::new(blocks, entry, size_of::<f32>()).ok_or(memory)?;
    let table: Vec<u32> = (0..blocks as u32).collect();
    let cells = blocks * kv_heads * BLOCK_TOKENS;
    let mut keys = run.arena.elements::<f32>(cells.saturating_mul(head_dim))?;
    let mut values = run.arena.elements::<f32>(cells.saturating_mul(layout.padded))?;
    let mut rotated = run.arena.elements::<f32>(run.threads.count() * layout.padded)?;
    let target = Target {
        layout,
        kind: CacheType::F32,
        keys: keys.as_mut_slice().as_mut_ptr().cast(),
        values: values.as_mut_slice().as_mut_ptr().cast(),
        key_scales: std::ptr::null_mut(),
        value_scales: std::ptr::null_mut(),
        scratch: rotated.as_mut_slice().as_mut_ptr(),
    };
    // SAFETY: the pools have a cell for every block of the table, and the table a block for every 16 rows of a span.
    unsafe { cache::write((run.level, run.threads), &inputs.source(), target, (&spans, &table)) };
    attend(run, &inputs, target.into(), (&spans, &table), Sight::All, out)
}
