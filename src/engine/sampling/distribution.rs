//! From logits and history to the distribution that a token is drawn from.

use std::cmp::Ordering;

use super::SamplingParams;
use crate::error::{Error, Result};

/// How many of the most likely tokens are tried first for top-p; quadrupled until they hold enough.
const FIRST_NUCLEUS: usize = 256;

/// The scratch space of one sampler. Every vector reaches its final capacity at construction.
#[derive(Debug)]
pub(super) struct Distribution {
    /// Logits after penalties and bias, in double precision, by id.
    logits: Vec<f64>,
    /// Occurrences of each token in the history; all zero between calls.
    counts: Vec<u32>,
    /// The tokens that are left, ascending by id once prepared.
    kept: Vec<u32>,
    /// The weight of each kept token, in the order of `kept`; the most likely token's is 1.
    weights: Vec<f64>,
    /// The sum of the weights.
    total: f64,
}

impl Distribution {
    pub(super) fn new(vocab: usize) -> Self {
        Self {
            logits: Vec::with_capacity(vocab),
            counts: vec![0; vocab],
            kept: Vec::with_capacity(vocab),
            weights: Vec::with_capacity(vocab),
            total: 0.0,
        }
    }

    /// Penalties and bias: fills `self.logits`.
    pub(super) fn adjust(
        &mut self,
        logits: &[f32],
        params: &SamplingParams,
        prompt: &[u32],
        generated: &[u32],
    ) -> Result<()> {
        self.logits.clear();
        self.logits.extend(logits.iter().map(|&logit| f64::from(logit)));
        if params.repetition_penalty != 1.0 {
            self.penalize_repetition(params.repetition_penalty.into(), prompt, generated);
        }
        if params.frequency_penalty != 0.0 || params.presence_penalty != 0.0 {
            let (frequency, presence) = (params.frequency_penalty.into(), params.presence_penalty.into());
            self.penalize_occurrences(frequency, presence, generated);
        }
        for &(id, bias) in &params.logit_bias {
            let Some(logit) = self.logits.get_mut(id as usize) else {
                return Err(Error::invalid(
                    "logit_bias",
                    format!("logit_bias names token {id}; the vocabulary has {} tokens", logits.len()),
                ));
            };
            *logit += f64::from(bias);
        }
        Ok(())
    }

    /// Keskar et al., "CTRL" (2019), section 4.1, with the sign handled so that a penalty above 1 always lowers the
    /// logit. Applied once per distinct token.
    fn penalize_repetition(&mut self, penalty: f64, prompt: &[u32], generated: &[u32]) {
        for &id in prompt.iter().chain(generated) {
            let id = id as usize;
            if let (Some(logit), Some(count)) = (self.logits.get_mut(id), self.counts.get_mut(id))
                && *count == 0
            {
                *count = 1;
                *logit = if *logit > 0.0 { *logit / penalty } else { *logit * penalty };
            }
        }
        for &id in prompt.iter().chain(generated) {
            if let Some(count) = self.counts.get_mut(id as usize) {
                *count = 0;
            }
        }
    }

    /// The formula of the OpenAI API reference: `logit -= count * frequency + (count > 0) * presence`.
    fn penalize_occurrences(&mut self, frequency: f64, presence: f64, generated: &[u32]) {
        for &id in generated {
            if let Some(count) = self.counts.get_mut(id as usize) {
                *count += 1;
            }
        }
        for &id in generated {
            let id = id as usize;
            if let (Some(logit), Some(count)) = (self.logits.get_mut(id), self.counts.get_mut(id))
                && *count > 0
            {
                *logit -= f64::from(*count) * frequency + presence;
                *count = 0;
            }
        }
    }

    /// The token with the largest adjusted logit, the lowest id on ties.
    pub(super) fn most_likely(&self) -> u32 {
        let (mut best, mut max) = (0, f64::NEG_INFINITY);
        for (id, &logit) in (0_u32..).zip(&self.logits) {
            if logit > max {
                (best, max) = (id, logit);
            }
        }
        best
    }

    /// Everything up to the draw: adjusts the logits, filters the tokens and computes their weights.
    pub(super) fn prepare(
        &mut self,
        logits: &[f32],
        params: &SamplingParams,
        prompt: &[u32],
        generated: &[u32],
    ) -> Result<()> {
        self.adjust(logits, params, prompt, generated)?;
        self.kept.clear();
        self.kept.extend(0..logits.len() as u32);
        let max = self.logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let temperature = f64::from(params.temperature);
        // From here on `logits` are relative to the most likely token, whose weight is exp(0) whatever the scale.
        for logit in &mut self.logits {
            *logit = (*logit - max) / temperature;
        }
        if let Some(k) = params.top_k {
            self.keep_most_likely(k as usize);
        }
        if params.top_p < 1.0 {
            self.keep_nucleus(params.top_p.into());
        }
        if params.min_p > 0.0 {
            let min = f64::from(params.min_p);
            let logits = &self.logits;
            self.kept.retain(|&id| logits.get(id as usize).is_some_and(|logit| logit.exp() >= min));
        }
        self.weigh();
        Ok(())
    }

    /// Top-k by partial selection: linear in the vocabulary, no full sort.
    fn keep_most_likely(&mut self, k: usize) {
        if k == 0 || k >= self.kept.len() {
            return;
        }
        let logits = &self.logits;
        self.kept.select_nth_unstable_by(k - 1, |&a, &b| likelier(logits, a, b));
        self.kept.truncate(k);
        self.kept.sort_unstable();
    }

    /// Top-p (Holtzman et al., "The Curious Case of Neural Text Degeneration", 2019): the smallest set of most likely
    /// tokens that together have at least the probability `p`. Only a growing head of the vocabulary is ever sorted.
    fn keep_nucleus(&mut self, p: f64) {
        self.weigh();
        let wanted = p * self.total;
        let logits = &self.logits;
        let (mut sorted, mut mass) = (0, 0.0);
        while sorted < self.kept.len() {
            let end = sorted.saturating_mul(4).max(FIRST_NUCLEUS).min(self.kept.len());
            let Some(rest) = self.kept.get_mut(sorted..) else { break };
            let head = end - sorted;
            if head < rest.len() {
                rest.select_nth_unstable_by(head - 1, |&a, &b| likelier(logits, a, b));
            }
            let Some(head) = rest.get_mut(..head) else { break };
            head.sort_unstable_by(|&a, &b| likelier(logits, a, b));
            for (taken, &id) in (sorted + 1..).zip(head.iter()) {
                mass += logits.get(id as usize).map_or(0.0, |logit| logit.exp());
                if mass >= wanted {
                    self.kept.truncate(taken);
                    self.kept.sort_unstable();
                    return;
                }
            }
            sorted = end;
        }
        self.kept.sort_unstable();
    }

    /// Weights of the kept tokens and their sum, in order of id.
    fn weigh(&mut self) {
        let logits = &self.logits;
        self.weights.clear();
        self.weights
            .extend(self.kept.iter().map(|&id| logits.get(id as usize).map_or(0.0, |logit| logit.exp())));
        self.total = self.weights.iter().sum();
    }

    /// The token at `u` in `[0, 1)` of the cumulative distribution over the kept tokens in order of id.
    pub(super) fn draw(&self, u: f64) -> u32 {
        let target = u * self.total;
        let (mut sum, mut last) = (0.0, 0);
        for (&id, &weight) in self.kept.iter().zip(&self.weights) {
            if weight > 0.0 {
                sum += weight;
                last = id;
                if sum > target {
                    break;
                }
            }
        }
        last
    }

    /// The kept tokens that have any probability, ascending by id.
    pub(super) fn probabilities(&self) -> Vec<(u32, f64)> {
        let pairs = self.kept.iter().zip(&self.weights);
        pairs.filter(|&(_, &weight)| weight > 0.0).map(|(&id, &weight)| (id, weight / self.total)).collect()
    }
}

/// Descending by logit, ties by id: a total order, because ids differ and no logit is NaN.
fn likelier(logits: &[f64], a: u32, b: u32) -> Ordering {
    let of = |id: u32| logits.get(id as usize).copied().unwrap_or(f64::NEG_INFINITY);
    of(b).partial_cmp(&of(a)).unwrap_or(Ordering::Equal).then(a.cmp(&b))
}
