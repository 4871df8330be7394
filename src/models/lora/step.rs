//! Which rows of a step go through which adapter.

use std::ops::Range;
use std::sync::Arc;

use super::Adapter;
use crate::backend::{Adaptation, AdaptedRows, AdapterId, Backend, BackendError, Batch};

/// The adapters of one step and their rows. Filled again for every step, so that a steady decode allocates nothing.
pub struct StepAdapters<B: Backend> {
    active: Vec<Active<B>>,
    /// Rows of the step, adapter by adapter.
    rows: Vec<u32>,
    /// Rows among those that have logits, adapter by adapter.
    logit_rows: Vec<u32>,
}

/// An adapter with rows in the step.
struct Active<B: Backend> {
    id: AdapterId,
    adapter: Arc<Adapter<B>>,
    rows: Range<usize>,
    logit_rows: Range<usize>,
}

impl<B: Backend> Default for StepAdapters<B> {
    fn default() -> Self {
        Self { active: Vec::new(), rows: Vec::new(), logit_rows: Vec::new() }
    }
}

impl<B: Backend> StepAdapters<B> {
    /// Takes up who computes the rows of a batch; `find` gives the adapter of that name.
    ///
    /// # Errors
    /// The name of an adapter that `find` does not know.
    pub fn fill(
        &mut self,
        batch: &Batch,
        mut find: impl FnMut(AdapterId) -> Option<Arc<Adapter<B>>>,
    ) -> Result<(), AdapterId> {
        self.clear();
        for span in &batch.spans {
            let id = span.adapter;
            if id == AdapterId::BASE || self.active.iter().any(|active| active.id == id) {
                continue;
            }
            let adapter = find(id).ok_or(id)?;
            self.active.push(Active { id, adapter, rows: 0..0, logit_rows: 0..0 });
        }
        for active in &mut self.active {
            let (first, first_logits) = (self.rows.len(), self.logit_rows.len());
            let mut logits = (0u32..).zip(&batch.logit_rows).peekable();
            for span in &batch.spans {
                let is_own = span.adapter == active.id;
                if is_own {
                    self.rows.extend(span.rows.clone().map(|row| row as u32));
                }
                while let Some((at, _)) = logits.next_if(|(_, row)| (**row as usize) < span.rows.end) {
                    if is_own {
                        self.logit_rows.push(at);
                    }
                }
            }
            active.rows = first..self.rows.len();
            active.logit_rows = first_logits..self.logit_rows.len();
        }
        Ok(())
    }

    /// Lets all adapters go and keeps the memory.
    pub fn clear(&mut self) {
        self.active.clear();
        self.rows.clear();
        self.logit_rows.clear();
    }

    /// For products of all rows of the step.
    pub(in crate::models) fn rows(&self) -> Adapted<'_, B> {
        Adapted { step: self, of_logits: false }
    }

    /// For products of the rows that have logits.
    pub(in crate::models) fn logit_rows(&self) -> Adapted<'_, B> {
        Adapted { step: self, of_logits: true }
    }
}

/// The adapters of some activations: those of all rows, or of the rows that have logits.
pub(in crate::models) struct Adapted<'a, B: Backend> {
    step: &'a StepAdapters<B>,
    of_logits: bool,
}

impl<B: Backend> Clone for Adapted<'_, B> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<B: Backend> Copy for Adapted<'_, B> {}

impl<B: Backend> Adapted<'_, B> {
    /// Adds to a product `y` of `x` what the adapters change in it.
    pub(super) fn change(
        self,
        backend: &B,
        site: usize,
        y: &mut B::Tensor,
        x: &B::Tensor,
    ) -> Result<(), BackendError> {
        let StepAdapters { active, rows, logit_rows } = self.step;
        if active.iter().all(|active| active.adapter.terms(site).is_empty()) {
            return Ok(());
        }
        let of = |number: usize| {
            let Active { adapter, rows: of_step, logit_rows: of_logits, .. } = &active[number];
            let rows = if self.of_logits { &logit_rows[of_logits.clone()] } else { &rows[of_step.clone()] };
            AdaptedRows { terms: adapter.terms(site), rows }
        };
        backend.add_low_rank(y, x, &Adaptation { adapters: active.len(), of: &of })
    }
}
