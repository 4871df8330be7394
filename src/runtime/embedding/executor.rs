//! An encoder on a backend, as the engine's embedder.

use std::ops::Range;

use crate::backend::{Backend, Pooling, Texts};
use crate::embedding::Embedder;
use crate::error::Result;
use crate::models::EncoderModel;
use crate::runtime::memory::Reservation;

const POOLINGS: [Pooling; 3] = [Pooling::First, Pooling::Mean, Pooling::Last];

/// Computes texts with a model on a backend.
pub(super) struct ModelEmbedder<B: Backend> {
    backend: B,
    model: Box<dyn EncoderModel<B>>,
    /// The rows of the last batch that are pooled, and which of them each text has.
    rows: Vec<u32>,
    spans: Vec<Range<usize>>,
    /// Vectors of the last batch.
    vectors: Vec<f32>,
    buffer: Vec<f32>,
    /// Given back when the model is gone, wherever that happens.
    _memory: Reservation,
}

impl<B: Backend> ModelEmbedder<B> {
    pub(super) fn new(backend: B, model: Box<dyn EncoderModel<B>>, memory: Reservation) -> Self {
        let (rows, spans, vectors, buffer) = Default::default();
        Self { backend, model, rows, spans, vectors, buffer, _memory: memory }
    }
}

impl<B: Backend> Embedder for ModelEmbedder<B> {
    fn width(&self) -> usize {
        self.model.width()
    }

    fn vocab_size(&self) -> usize {
        self.model.vocab_size()
    }

    fn enter(&mut self) -> Result<()> {
        Ok(self.backend.enter()?)
    }

    fn embed(&mut self, texts: &Texts, poolings: &[Pooling]) -> Result<&[f32]> {
        self.rows.clear();
        self.spans.clear();
        for (text, pooling) in texts.spans.iter().zip(poolings) {
            let first = self.rows.len();
            self.rows.extend(pooling.reads(text).map(|row| row as u32));
            self.spans.push(first..self.rows.len());
        }
        let hidden = self.model.forward(&self.backend, texts, &self.rows)?;
        let width = self.model.width();
        self.vectors.clear();
        self.vectors.resize(texts.len() * width, 0.0);
        for pooling in POOLINGS {
            let of_kind = || (0..texts.len()).filter(|&at| poolings[at] == pooling);
            let spans: Vec<_> = of_kind().map(|at| self.spans[at].clone()).collect();
            if spans.is_empty() {
                continue;
            }
            let pooled = self.backend.pool(&hidden, &spans, pooling)?;
            let values = self.backend.read(&pooled, &mut self.buffer)?;
            for (at, vector) in of_kind().zip(values.chunks_exact(width)) {
                self.vectors[at * width..][..width].copy_from_slice(vector);
            }
        }
        Ok(&self.vectors)
    }
}
