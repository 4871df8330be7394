//! What is measured: the workloads that the other engines' benchmarks have too.

use super::arguments::{Arguments, Part};

/// Tokens of the prompt of `prefill`.
const PREFILL: usize = 512;
/// Tokens of the prompt of `decode`.
const SHORT: usize = 8;
/// Tokens of each prompt of `batch`.
const BATCH: usize = 128;
/// Tokens that `long` generates, up to its context.
const LONG: u32 = 64;

/// One figure to take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Workload {
    /// How it reads in the table, and its name in JSON.
    pub(crate) name: String,
    pub(crate) kind: Kind,
}

/// What is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A prompt, up to its first token.
    Prefill { prompt: usize },
    /// Answers at once, from each one's first token to its last.
    Decode { sequences: usize, prompt: usize, tokens: u32 },
}

impl Kind {
    /// Sequences at once.
    pub(crate) fn sequences(self) -> usize {
        match self {
            Self::Prefill { .. } => 1,
            Self::Decode { sequences, .. } => sequences,
        }
    }

    /// Tokens of each prompt.
    pub(crate) fn prompt(self) -> usize {
        match self {
            Self::Prefill { prompt } | Self::Decode { prompt, .. } => prompt,
        }
    }

    /// Tokens of each answer.
    pub(crate) fn tokens(self) -> u32 {
        match self {
            Self::Prefill { .. } => 1,
            Self::Decode { tokens, .. } => tokens,
        }
    }

    /// Tokens of a sequence at its end.
    pub(crate) fn context(self) -> usize {
        self.prompt() + self.tokens() as usize
    }
}

/// The figures of one part, and what is left out: workloads that do not fit the model's context.
pub(crate) fn workloads(part: Part, a: &Arguments, max_positions: usize) -> (Vec<Workload>, Vec<Workload>) {
    let tokens = a.tokens.max(2);
    let decode =
        |name, sequences, prompt, tokens| Workload { name, kind: Kind::Decode { sequences, prompt, tokens } };
    let all: Vec<Workload> = match part {
        Part::Prefill => {
            vec![Workload { name: format!("prefill {PREFILL}"), kind: Kind::Prefill { prompt: PREFILL } }]
        }
        Part::Decode => vec![decode("decode".to_owned(), 1, SHORT, tokens)],
        Part::Batch => {
            let sizes = a.batches.iter().filter(|&&size| size > 0);
            sizes.map(|&size| decode(format!("batch {size}"), size, BATCH, tokens)).collect()
        }
        Part::Long => {
            let contexts = a.contexts.iter().filter(|&&context| context > LONG as usize);
            contexts
                .map(|&context| decode(format!("context {context}"), 1, context - LONG as usize, LONG))
                .collect()
        }
    };
    all.into_iter().partition(|workload| workload.kind.context() <= max_positions)
}
