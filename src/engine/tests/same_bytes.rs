//! What a request gets does not depend on what else runs.

use super::support::*;
use crate::backend::AdapterId;
use crate::engine::testing::ToyModel;
use crate::engine::{EngineOptions, EngineStats, FinishReason, Flow, Request, SampledToken, SamplingParams};
use crate::error::ErrorKind;
use crate::fairness::CallerId;

/// Numbers that look random and are the same in every run.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// A request, and after how many tokens its caller loses interest.
#[derive(Clone)]
pub(super) struct Case {
    pub(super) request: Request,
    cancel_after: Option<usize>,
}

pub(super) fn cases(seed: u64) -> Vec<Case> {
    let mut dice = Dice(seed);
    let mut case = |number: u64| {
        let prompt = 1 + dice.below(90) as usize;
        let mut request = request(dice.below(3) as u32, prompt, 1 + dice.below(60) as usize);
        // Their prompts have common beginnings, whoever computes them.
        request.adapter = AdapterId(dice.below(3) as u32);
        request.caller = CallerId(dice.below(3) as u32);
        request.priority = dice.below(4) as i32 - 1;
        request.stop_tokens = vec![dice.below(VOCAB as u64 * 8) as u32];
        request.sampling = SamplingParams {
            temperature: if number.is_multiple_of(4) { 0.0 } else { 0.7 + dice.below(10) as f32 / 10.0 },
            top_k: (dice.below(2) == 0).then_some(20),
            top_p: 0.95,
            frequency_penalty: dice.below(3) as f32 / 2.0,
            repetition_penalty: 1.0 + dice.below(3) as f32 / 10.0,
            seed: dice.below(1 << 30),
            logprobs: Some(dice.below(4) as u8),
            ..SamplingParams::default()
        };
        Case { request, cancel_after: (dice.below(6) == 0).then(|| 1 + dice.below(20) as usize) }
    };
    (0..64).map(&mut case).collect()
}

/// A token with the bits of all its log-probabilities.
pub(super) type Bits = (u32, Option<u32>, Vec<(u32, u32)>);

pub(super) fn bits(tokens: &[SampledToken]) -> Vec<Bits> {
    let top = |token: &SampledToken| token.top.iter().map(|(id, logprob)| (*id, logprob.to_bits())).collect();
    tokens.iter().map(|token| (token.id, token.logprob.map(f32::to_bits), top(token))).collect()
}

/// What became of a request: its tokens, and how it ended.
pub(super) type End = (Vec<SampledToken>, Result<FinishReason, ErrorKind>);

pub(super) fn run(cases: &[Case], options: &EngineOptions) -> (Vec<End>, EngineStats) {
    let (model, gate) = ToyModel::new(VOCAB, options.blocks).gated();
    let engine = start(model, options.clone());
    let submit = |case: &Case| {
        let limit = case.cancel_after;
        let (sink, answer) =
            channel_with(move |seen| if limit == Some(seen) { Flow::Cancel } else { Flow::Continue });
        engine.submit(case.request.clone(), sink).unwrap();
        answer
    };
    let answers: Vec<_> = cases.iter().map(submit).collect();
    // Everybody is there: now the steps may run.
    drop(gate);
    let wait = |answer: &Answer| {
        let (tokens, outcome) = answer.wait();
        (tokens, outcome.result.map_err(|error| error.kind()))
    };
    let ends = answers.iter().map(wait).collect();
    (ends, engine.stats())
}

fn compare(seed: u64, options: &EngineOptions) -> EngineStats {
    let cases = cases(seed);
    let roomy = EngineOptions { max_batch_tokens: 512, prefix_sharing: false, ..small() };
    let (together, stats) = run(&cases, options);
    for (number, (case, together)) in cases.iter().zip(&together).enumerate() {
        let (alone, _) = run(std::slice::from_ref(case), &roomy);
        assert_eq!(bits(&together.0), bits(&alone[0].0), "request {number}");
        assert_eq!(together.1, alone[0].1, "request {number}");
    }
    stats
}

#[test]
fn same_bytes_in_a_cache_so_small_that_it_preempts() {
    let options = EngineOptions { blocks: 12, max_sequences: 8, max_batch_tokens: 40, ..small() };
    let stats = compare(1, &options);
    assert!(stats.preemptions > 0 && stats.prefix_hit_tokens > 0 && stats.cancelled > 0, "{stats:?}");
    assert_eq!(stats.finished + stats.cancelled, 64);
}

#[test]
fn same_bytes_in_tiny_chunks() {
    let options = EngineOptions { max_batch_tokens: 16, max_prefill_tokens: 3, max_sequences: 16, ..small() };
    let stats = compare(2, &options);
    assert!(stats.longest_decode_gap == 3, "{stats:?}");
}

#[test]
fn same_bytes_in_one_big_batch() {
    let options = EngineOptions {
        blocks: 1024,
        max_batch_tokens: 4096,
        max_prefill_tokens: 4096,
        max_sequences: 64,
        ..small()
    };
    let stats = compare(3, &options);
    assert_eq!(stats.preemptions, 0);
}
