//! Choosing the next token from logits.
//!
//! The order is: repetition penalty, frequency and presence penalties, logit bias, then (unless greedy)
//! temperature, top-k, top-p, min-p and one draw. Log-probabilities are always those of the untouched logits.

mod distribution;
mod logprobs;
mod random;

use distribution::Distribution;

use crate::error::{Error, ErrorKind, Result};

/// The most alternatives whose log-probabilities can be asked for.
pub const MAX_LOGPROBS: u8 = 20;

/// Logits that are looked at together.
const CHUNK: usize = 64;

/// How tokens are chosen. Results depend on these values, the logits and the history alone.
#[derive(Debug, Clone, PartialEq)]
pub struct SamplingParams {
    /// 0 is greedy; at most 2.
    pub temperature: f32,
    /// Only the `k` most likely tokens; of equally likely ones those with the lowest ids.
    pub top_k: Option<u32>,
    /// The smallest set of tokens with at least this probability together.
    pub top_p: f32,
    /// Only tokens with at least this share of the most likely one's probability.
    pub min_p: f32,
    /// Divides (or multiplies, when negative) the logits of tokens seen in prompt or text; 1 is off.
    pub repetition_penalty: f32,
    /// Subtracted per occurrence in the text generated so far.
    pub frequency_penalty: f32,
    /// Subtracted once from tokens that occur in the text generated so far.
    pub presence_penalty: f32,
    /// Added to single tokens' logits.
    pub logit_bias: Vec<(u32, f32)>,
    /// Together with the number of tokens generated so far it decides every draw.
    pub seed: u64,
    /// Report log-probabilities of the chosen token and of this many most likely ones.
    pub logprobs: Option<u8>,
}

impl Default for SamplingParams {
    /// The model's own distribution: temperature 1, every filter and penalty off, seed 0.
    fn default() -> Self {
        Self {
            temperature: 1.0,
            top_k: None,
            top_p: 1.0,
            min_p: 0.0,
            repetition_penalty: 1.0,
            frequency_penalty: 0.0,
            presence_penalty: 0.0,
            logit_bias: Vec::new(),
            seed: 0,
            logprobs: None,
        }
    }
}

impl SamplingParams {
    /// Always the most likely token.
    pub fn greedy() -> Self {
        Self { temperature: 0.0, ..Self::default() }
    }

    /// Checks every value against the range that is accepted.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] naming the first field out of range, its value and the range.
    pub fn validate(&self) -> Result<()> {
        within("temperature", self.temperature, 0.0, 2.0)?;
        if self.top_k == Some(0) {
            return Err(Error::invalid("top_k", "top_k is 0; it must be at least 1"));
        }
        if !(self.top_p > 0.0 && self.top_p <= 1.0) {
            return Err(Error::invalid(
                "top_p",
                format!("top_p is {}; it must be above 0 and at most 1", self.top_p),
            ));
        }
        within("min_p", self.min_p, 0.0, 1.0)?;
        if !(self.repetition_penalty > 0.0 && self.repetition_penalty.is_finite()) {
            return Err(Error::invalid(
                "repetition_penalty",
                format!("repetition_penalty is {}; it must be a number above 0", self.repetition_penalty),
            ));
        }
        within("frequency_penalty", self.frequency_penalty, -2.0, 2.0)?;
        within("presence_penalty", self.presence_penalty, -2.0, 2.0)?;
        for &(id, bias) in &self.logit_bias {
            if !(-100.0..=100.0).contains(&bias) {
                return Err(Error::invalid(
                    "logit_bias",
                    format!("logit_bias of token {id} is {bias}; it must be between -100 and 100"),
                ));
            }
        }
        match self.logprobs {
            Some(n) if n > MAX_LOGPROBS => Err(Error::invalid(
                "top_logprobs",
                format!("{n} log-probabilities per token were asked for; at most {MAX_LOGPROBS} are given"),
            )),
            _ => Ok(()),
        }
    }

    /// Whether the logits are used as the model gave them.
    fn leaves_logits_alone(&self) -> bool {
        self.repetition_penalty == 1.0
            && self.frequency_penalty == 0.0
            && self.presence_penalty == 0.0
            && self.logit_bias.is_empty()
    }
}

/// `value` must lie in `low..=high`; a NaN does not.
fn within(name: &str, value: f32, low: f32, high: f32) -> Result<()> {
    if (low..=high).contains(&value) {
        return Ok(());
    }
    Err(Error::invalid(name, format!("{name} is {value}; it must be between {low} and {high}")))
}

/// A chosen token. Log-probabilities are of the model's own distribution, before temperature and penalties.
#[derive(Debug, Clone, PartialEq)]
pub struct SampledToken {
    /// The token's id.
    pub id: u32,
    /// Its log-probability, when asked for.
    pub logprob: Option<f32>,
    /// The most likely tokens with their log-probabilities, descending, ties by id; empty unless asked for.
    pub top: Vec<(u32, f32)>,
}

/// Chooses tokens. Holds scratch space only: two samplers given the same arguments give the same tokens.
#[derive(Debug)]
pub struct Sampler {
    vocab: usize,
    distribution: Distribution,
    /// Logits of which most are impossible.
    limited: Vec<f32>,
}

impl Sampler {
    /// A sampler for rows of `vocab` logits. Its scratch space is about 24 bytes per vocabulary entry.
    pub fn new(vocab: usize) -> Self {
        Self { vocab, distribution: Distribution::new(vocab), limited: Vec::new() }
    }

    /// Chooses the token that follows `prompt` and `generated`, given the model's `logits` for that position.
    ///
    /// `params` are taken as valid ([`SamplingParams::validate`]). History ids outside the vocabulary are ignored. With
    /// `allowed`, a bit set of tokens, all others are impossible before anything else is done to the logits.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] when the row has the wrong length or holds NaN, infinity or nothing but
    /// negative infinity; [`ErrorKind::InvalidRequest`] when `logit_bias` names a token outside the vocabulary.
    pub fn sample(
        &mut self,
        logits: &[f32],
        allowed: Option<&[u32]>,
        params: &SamplingParams,
        prompt: &[u32],
        generated: &[u32],
    ) -> Result<SampledToken> {
        let Some(allowed) = allowed else { return self.choose(logits, logits, params, prompt, generated) };
        let mut limited = std::mem::take(&mut self.limited);
        limited.clear();
        // A bias of a token that is not allowed would be one on negative infinity, which stays what it is.
        limited.extend(logits.iter().enumerate().map(|(id, &logit)| {
            let word = allowed.get(id / 32).copied().unwrap_or_default();
            // What is no number is told apart from what is not allowed.
            if word >> (id % 32) & 1 == 1 || logit.is_nan() { logit } else { f32::NEG_INFINITY }
        }));
        let chosen = self.choose(&limited, logits, params, prompt, generated);
        self.limited = limited;
        chosen
    }

    /// Chooses by `logits`; log-probabilities are those of the model's `own`.
    fn choose(
        &mut self,
        logits: &[f32],
        own: &[f32],
        params: &SamplingParams,
        prompt: &[u32],
        generated: &[u32],
    ) -> Result<SampledToken> {
        let (best, _) = self.check(logits)?;
        let id = if params.temperature > 0.0 {
            self.distribution.prepare(logits, params, prompt, generated)?;
            self.distribution.draw(random::unit(params.seed, generated.len() as u64))
        } else if params.leaves_logits_alone() {
            best
        } else {
            self.distribution.adjust(logits, params, prompt, generated)?;
            self.distribution.most_likely()
        };
        let Some(count) = params.logprobs else {
            return Ok(SampledToken { id, logprob: None, top: Vec::new() });
        };
        self.score(own, id, count)
    }

    /// The log-probability of `id` after the model's `logits`, and of the `count` most likely tokens beside it.
    ///
    /// # Errors
    /// As for [`sample`](Self::sample), and [`ErrorKind::Internal`] for a token outside the vocabulary.
    pub fn score(&self, logits: &[f32], id: u32, count: u8) -> Result<SampledToken> {
        let (_, max) = self.check(logits)?;
        let normalizer = logprobs::log_sum_exp(logits, max);
        let logit = logits.get(id as usize).copied().ok_or_else(|| {
            let message = format!("token {id} is not one of the vocabulary's {}", self.vocab);
            Error::new(ErrorKind::Internal, message)
        })?;
        let logprob = Some(logprobs::log_probability(logit, normalizer));
        Ok(SampledToken { id, logprob, top: logprobs::top(logits, normalizer, count.into()) })
    }

    /// The distribution that [`sample`](Self::sample) would draw from: the tokens that passed every filter with
    /// their probabilities, ascending by id. For greedy parameters one token with probability 1.
    ///
    /// # Errors
    /// As for [`sample`](Self::sample).
    pub fn distribution(
        &mut self,
        logits: &[f32],
        params: &SamplingParams,
        prompt: &[u32],
        generated: &[u32],
    ) -> Result<Vec<(u32, f64)>> {
        self.check(logits)?;
        if params.temperature > 0.0 {
            self.distribution.prepare(logits, params, prompt, generated)?;
            return Ok(self.distribution.probabilities());
        }
        self.distribution.adjust(logits, params, prompt, generated)?;
        Ok(vec![(self.distribution.most_likely(), 1.0)])
    }

    /// The most likely token (lowest id on ties) and its logit, when the row can be sampled from at all.
    fn check(&self, logits: &[f32]) -> Result<(u32, f32)> {
        if logits.len() != self.vocab {
            return Err(Error::new(
                ErrorKind::Internal,
                format!("the model gave {} logits; the vocabulary has {}", logits.len(), self.vocab),
            ));
        }
        let (mut best, mut max) = (None, f32::NEG_INFINITY);
        // A chunk at a time, in loops without exits, which the compiler makes into a few vector operations.
        for (first, chunk) in (0_u32..).step_by(CHUNK).zip(logits.chunks(CHUNK)) {
            let (mut chunk_max, mut finite) = (f32::NEG_INFINITY, true);
            for &logit in chunk {
                chunk_max = if logit > chunk_max { logit } else { chunk_max };
                finite &= logit < f32::INFINITY;
            }
            if !finite
                && let Some(at) = chunk.iter().position(|&logit| logit.is_nan() || logit == f32::INFINITY)
            {
                let (id, logit) = (first as usize + at, chunk[at]);
                return Err(Error::new(
                    ErrorKind::Internal,
                    format!("the model's logit of token {id} is {logit}; logits must be finite numbers"),
                ));
            }
            if chunk_max > max {
                best = chunk.iter().position(|&logit| logit == chunk_max).map(|at| first + at as u32);
                max = chunk_max;
            }
        }
        match best {
            Some(best) => Ok((best, max)),
            None => Err(Error::new(
                ErrorKind::Internal,
                "all of the model's logits are negative infinity; no token can be chosen",
            )),
        }
    }
}

#[cfg(test)]
mod tests;
