//! Log-probabilities of the model's own distribution.

use std::cmp::Ordering;

/// `ln(sum(exp(logits)))`; `max` is the largest logit. Summed in order of id in double precision.
pub(super) fn log_sum_exp(logits: &[f32], max: f32) -> f64 {
    let max = f64::from(max);
    let sum: f64 = logits.iter().map(|&logit| (f64::from(logit) - max).exp()).sum();
    max + sum.ln()
}

/// The log-probability of a token with `logit`.
pub(super) fn log_probability(logit: f32, normalizer: f64) -> f32 {
    (f64::from(logit) - normalizer) as f32
}

/// The `count` most likely tokens with their log-probabilities, descending, ties by id.
pub(super) fn top(logits: &[f32], normalizer: f64, count: usize) -> Vec<(u32, f32)> {
    let count = count.min(logits.len());
    let mut best: Vec<(u32, f32)> = Vec::with_capacity(count);
    if count == 0 {
        return best;
    }
    let mut threshold = f32::NEG_INFINITY;
    for (id, &logit) in (0_u32..).zip(logits) {
        // Ids ascend: a later token displaces an earlier one only when it is strictly more likely.
        if best.len() == count && logit.partial_cmp(&threshold) != Some(Ordering::Greater) {
            continue;
        }
        best.truncate(count - 1);
        let at = best.partition_point(|&(_, other)| other >= logit);
        best.insert(at, (id, logit));
        threshold = best.last().map_or(threshold, |&(_, last)| last);
    }
    for (_, value) in &mut best {
        *value = log_probability(*value, normalizer);
    }
    best
}
