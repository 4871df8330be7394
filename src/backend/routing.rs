//! Which experts a row goes to, and with what weights.

use super::BackendError;

/// What makes scores of a router's logits; in `f32`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scoring {
    /// The softmax over all experts (Mixtral, DBRX).
    Softmax,
    /// `1 / (1 + e^-logit)`, each expert for itself (DeepSeek V3).
    Sigmoid,
}

/// Experts are chosen from some groups only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExpertGroups {
    /// Groups of neighbouring experts; divides their number.
    pub groups: usize,
    /// How many of them stay: those with the greatest sums of their two best scores.
    pub top_groups: usize,
}

/// How the rows of a mixture choose their experts.
///
/// - Mixtral: softmax, 2 of 8, normalized (Jiang et al., 2024).
/// - DBRX: softmax, 4 of 16, normalized, since the L1 norm of positive weights is their sum.
/// - DeepSeek V3: sigmoid, 8 of 256 from 4 of 8 groups, chosen with a correction and weighted without, normalized and
///   scaled (DeepSeek-AI, 2024).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Routing {
    /// Experts.
    pub experts: usize,
    /// Experts of a row.
    pub top_k: usize,
    /// What makes scores of logits.
    pub scoring: Scoring,
    /// The groups that experts are chosen from; all experts when `None`.
    pub groups: Option<ExpertGroups>,
    /// Whether the weights of a row are divided by their sum.
    pub normalize: bool,
    /// Multiplies all weights.
    pub scale: f32,
}

/// The network of one expert.
#[derive(Debug)]
pub struct Expert<M> {
    /// Gate over up, `[2 * ffn, hidden]`.
    pub gate_up: M,
    /// `[hidden, ffn]`.
    pub down: M,
}

/// An expert of a row, and the weight of its output.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Choice {
    pub(super) expert: u32,
    pub(super) weight: f32,
}

/// Keeps a sum of weights from being zero, as DeepSeek V3 has it; nothing in `f32` to the sum of a softmax's best.
const MIN_SUM: f32 = 1e-20;

impl Routing {
    /// Checks the numbers against each other, and against the number of experts and the length of a correction that
    /// there are. [`Backend::mixture`](super::Backend::mixture) does it too.
    ///
    /// # Errors
    /// What does not fit.
    pub fn check(&self, experts: usize, correction: Option<usize>) -> Result<(), BackendError> {
        let shape =
            |what, found, expected| BackendError::Shape { operation: "mixture", what, found, expected };
        if experts != self.experts {
            return Err(shape("the number of experts", experts, self.experts));
        }
        if let Some(len) = correction.filter(|len| *len != self.experts) {
            return Err(shape("the length of the correction", len, self.experts));
        }
        let (groups, top_groups) = (self.group_count(), self.groups.map_or(1, |of| of.top_groups));
        let within = |option, value: usize, most: usize| {
            let (value, accepted) = (value.to_string(), format!("1 to {most}"));
            Err(BackendError::Option { option, value, accepted })
        };
        if groups == 0 || !experts.is_multiple_of(groups) {
            let accepted = format!("a divisor of {experts} experts");
            return Err(BackendError::Option { option: "groups", value: groups.to_string(), accepted });
        }
        if !(1..=groups).contains(&top_groups) {
            return within("top_groups", top_groups, groups);
        }
        let most = experts / groups * top_groups;
        if !(1..=most).contains(&self.top_k) {
            return within("top_k", self.top_k, most);
        }
        Ok(())
    }

    /// Groups that experts are chosen from: one where there are none.
    pub(super) fn group_count(&self) -> usize {
        self.groups.map_or(1, |of| of.groups)
    }

    /// Chooses the experts of a row with these scores: those with the greatest scores plus corrections, of equal ones
    /// those with the lower index; NaN is less than everything. Their weights come from the scores alone.
    ///
    /// `group_scores` is scratch for each group; `chosen` has room for `top_k`, which are in the order of their
    /// experts in the end.
    pub(super) fn choose(
        &self,
        scores: &[f32],
        correction: Option<&[f32]>,
        group_scores: &mut [f32],
        chosen: &mut [Choice],
    ) {
        let corrected = |expert: usize| match correction {
            Some(correction) => scores[expert] + correction[expert],
            None => scores[expert],
        };
        let size = self.experts / group_scores.len().max(1);
        for (group, score) in group_scores.iter_mut().enumerate() {
            *score = best_two((group * size..(group + 1) * size).map(corrected));
        }
        let top_groups = self.groups.map_or(1, |of| of.top_groups);
        let mut count = 0;
        for group in (0..group_scores.len()).filter(|&group| rank(group, group_scores) < top_groups) {
            for expert in group * size..(group + 1) * size {
                let score = corrected(expert);
                let at = chosen[..count].partition_point(|other| !beats(score, other.weight));
                if at < chosen.len() {
                    count = (count + 1).min(chosen.len());
                    chosen[at..count].rotate_right(1);
                    chosen[at] = Choice { expert: expert as u32, weight: score };
                }
            }
        }
        let mut sum = 0.0;
        for choice in chosen.iter_mut() {
            choice.weight = scores[choice.expert as usize];
            sum += choice.weight;
        }
        for choice in chosen.iter_mut() {
            let weight = if self.normalize { choice.weight / (sum + MIN_SUM) } else { choice.weight };
            choice.weight = weight * self.scale;
        }
        chosen.sort_unstable_by_key(|choice| choice.expert);
    }
}

/// Whether `a` comes before `b`; NaN comes last.
fn beats(a: f32, b: f32) -> bool {
    a > b || (b.is_nan() && !a.is_nan())
}

/// The sum of the two best scores; the only one of a group of one.
fn best_two(scores: impl Iterator<Item = f32>) -> f32 {
    let (mut first, mut second) = (f32::NAN, f32::NAN);
    let mut count = 0;
    for score in scores {
        count += 1;
        if beats(score, first) {
            (first, second) = (score, first);
        } else if beats(score, second) {
            second = score;
        }
    }
    if count == 1 { first } else { first + second }
}

/// How many others come before a score, of equal ones those with the lower index.
fn rank(at: usize, scores: &[f32]) -> usize {
    let before = |(other, &score): (usize, &f32)| {
        beats(score, scores[at]) || (other < at && !beats(scores[at], score))
    };
    scores.iter().enumerate().filter(|&(other, score)| other != at && before((other, score))).count()
}

#[cfg(test)]
mod tests;
