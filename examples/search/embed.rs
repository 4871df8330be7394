//! Vectors of passages and questions.

use std::collections::VecDeque;

use indicatif::{ProgressBar, ProgressStyle};
use model_runtime::ModelRuntime;
use model_runtime::protocol::{Normalize, Truncate};
use model_runtime::runtime::{EmbedOptions, PendingEmbeddings};

use super::common::Failure;
use super::encoder::ENCODER;

/// Passages of one request, and requests at once: the engine computes one while the next is encoded.
const BATCH: usize = 64;
const REQUESTS: usize = 2;

/// Makes vectors of unit length.
pub(crate) struct Embedder<'a> {
    runtime: &'a ModelRuntime,
    instruction: Option<&'a str>,
}

impl<'a> Embedder<'a> {
    /// `instruction` is put before questions.
    pub(crate) fn new(runtime: &'a ModelRuntime, instruction: Option<&'a str>) -> Self {
        Self { runtime, instruction }
    }

    /// The vector of a question.
    pub(crate) fn question(&self, text: &str) -> Result<Vec<f32>, Failure> {
        let mut options = EmbedOptions::default().normalize(Normalize::L2).truncate(Truncate::End);
        options.instruction = self.instruction.map(str::to_owned);
        Ok(self.runtime.embed(ENCODER, text, options)?.into_values())
    }

    /// The vectors of passages, in their order, with a progress bar in a terminal. A passage of more tokens than the
    /// model takes is known by its beginning.
    pub(crate) fn passages(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, Failure> {
        let bar = ProgressBar::new(texts.len() as u64);
        if let Ok(style) =
            ProgressStyle::with_template("embedding  {wide_bar} {pos}/{len} passages, {per_sec}, {eta} left")
        {
            bar.set_style(style);
        }
        let mut vectors = Vec::with_capacity(texts.len());
        let mut waiting = VecDeque::with_capacity(REQUESTS);
        let mut take = |pending: Option<PendingEmbeddings>| -> Result<(), Failure> {
            if let Some(pending) = pending {
                let made = pending.wait()?;
                vectors.extend(made.iter().map(<[f32]>::to_vec));
                bar.inc(made.len() as u64);
            }
            Ok(())
        };
        for batch in texts.chunks(BATCH) {
            if waiting.len() == REQUESTS {
                take(waiting.pop_front())?;
            }
            let options = EmbedOptions::default().normalize(Normalize::L2).truncate(Truncate::End);
            waiting.push_back(self.runtime.embed_start(ENCODER, batch, options)?);
        }
        while !waiting.is_empty() {
            take(waiting.pop_front())?;
        }
        bar.finish_and_clear();
        Ok(vectors)
    }
}
