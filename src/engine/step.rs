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
    /// How many of its last rows have logits: those that score the prompt's next token, then one if they choose the next
    /// token, and one for each draft.
    pub(crate) logits: usize,
    /// How many of them score the prompt.
    pub(crate) scores: usize,
}

impl Participant {
    /// How many of its rows choose a token.
    pub(crate) fn choices(&self) -> usize {
        self.logits - self.scores
    }
}

/// A planned step. The scheduler fills the same one again and again.
#[derive(Debug, Default)]
pub(crate) struct Step {
    pub(crate) batch: Batch,
    /// One per span of the batch, in the same order: decodes, then prefill chunks.
    pub(crate) participants: Vec<Participant>,
    /// Rows of decodes, drafts included.
    pub(crate) decode_rows: usize,
    pub(crate) draft_rows: usize,
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
        self.draft_rows = 0;
        self.prefill_rows = 0;
    }

    /// Those that have logits, in the order of these.
    pub(crate) fn samplers(&self) -> impl Iterator<Item = Participant> + '_ {
        self.participants.iter().copied().filter(|participant| participant.logits > 0)
    }
}

/// What became of one sequence's rows of logits.
#[derive(Debug)]
pub(crate) struct Judgement {
    /// So many of its drafts, from the first on, are what was sampled.
    pub(crate) accepted: usize,
    /// The verdict on the row after them; what comes behind that row is void.
    pub(crate) verdict: Verdict,
}

impl From<Verdict> for Judgement {
    fn from(verdict: Verdict) -> Self {
        Self { accepted: 0, verdict }
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
    /// The token is not chosen yet, because it is not known what it may be.
    Later,
    /// The rows have scored a part of the prompt, and chosen nothing.
    Scored,
}
