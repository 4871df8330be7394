//! What one step computes, for whom, and what came of it.

use super::request::{FinishReason, RequestId};
use crate::backend::Batch;
use crate::error::Error;

/// A sequence's part in a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Participant {
    pub(crate) id: RequestId,
    /// Its place among the running sequences, while the step is planned.
    pub(crate) index: usize,
    pub(crate) rows: usize,
    /// Whether its last row's logits choose the next token.
    pub(crate) samples: bool,
}

/// A planned step. The scheduler fills the same one again and again.
#[derive(Debug, Default)]
pub(crate) struct Step {
    pub(crate) batch: Batch,
    /// One per span of the batch, in the same order: decodes, then prefill chunks.
    pub(crate) participants: Vec<Participant>,
    pub(crate) decode_rows: usize,
    pub(crate) prefill_rows: usize,
}

impl Step {
    pub(crate) fn is_empty(&self) -> bool {
        self.participants.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        self.batch.clear();
        self.participants.clear();
        self.decode_rows = 0;
        self.prefill_rows = 0;
    }

    /// Those that choose a token, in the order of the step's logits.
    pub(crate) fn samplers(&self) -> impl Iterator<Item = Participant> + '_ {
        self.participants.iter().copied().filter(|participant| participant.samples)
    }
}

/// What became of one row of logits.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// The token goes on the sequence's end.
    Token(u32),
    /// The token is the last one wanted.
    LastToken(u32, FinishReason),
    /// A stop token: nothing is added.
    Stop,
    /// The request has failed or its caller is gone.
    End(Error),
}
