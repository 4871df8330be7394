//! Choosing the next token from logits.

/// How tokens are chosen. Results depend on these values, the logits and the history alone.
#[derive(Debug, Clone, PartialEq)]
pub struct SamplingParams {
    /// 0 is greedy; at most 2.
    pub temperature: f32,
    /// Only the `k` most likely tokens.
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

/// A chosen token. Log-probabilities are of the model's own distribution, before temperature and penalties.
#[derive(Debug, Clone, PartialEq)]
pub struct SampledToken {
    /// The token's id.
    pub id: u32,
    /// Its log-probability, when asked for.
    pub logprob: Option<f32>,
    /// The most likely tokens with their log-probabilities, descending; empty unless asked for.
    pub top: Vec<(u32, f32)>,
}
