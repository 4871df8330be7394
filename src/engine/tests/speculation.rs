//! Drafts: what they cost the others, and that nobody's tokens depend on them.

use std::time::Duration;

use proptest::prelude::*;

use super::same_bytes::{Case, Dice, bits, cases, run};
use super::support::{request, small};
use crate::engine::draft::{MAX_DRAFT_TOKENS, verify};
use crate::engine::request::{Request, RequestId};
use crate::engine::scheduler::Scheduler;
use crate::engine::step::Verdict;
use crate::engine::{EngineOptions, EngineStats};

/// A scheduler, and what is sampled after a text.
struct Driver {
    scheduler: Scheduler,
    last_id: u64,
    next: fn(&[u32]) -> u32,
}

/// Goes in a circle of five tokens.
fn circle(text: &[u32]) -> u32 {
    (text[text.len() - 1] + 1) % 5
}

impl Driver {
    fn new(options: EngineOptions, next: fn(&[u32]) -> u32) -> Self {
        options.validate().unwrap();
        Self { scheduler: Scheduler::new(options), last_id: 0, next }
    }

    /// A request with drafts of up to 8 tokens whose prompt of `prompt` tokens goes in a circle.
    fn submit(&mut self, prompt: usize, max_tokens: usize) {
        let prompt = (0..prompt as u32).map(|token| token % 5).collect();
        let mut request = Request { prompt, prompt_lookup_tokens: 8, ..request(0, 1, max_tokens) };
        self.last_id += 1;
        self.scheduler.submit(RequestId(self.last_id), &mut request, Duration::ZERO).unwrap();
    }

    /// The rows that each sequence has in the next step.
    fn plan(&mut self) -> Vec<(u64, usize)> {
        let step = self.scheduler.plan(Duration::ZERO);
        step.participants.iter().map(|part| (part.id.0, part.rows)).collect()
    }

    fn commit(&mut self) {
        let mut judgements = Vec::new();
        for participant in self.scheduler.step().samplers() {
            let (prompt, generated) = self.scheduler.tokens(participant.index);
            let known = generated.len() + 1 - participant.choices();
            let sample = |row| Verdict::Token((self.next)(&[prompt, &generated[..known + row]].concat()));
            judgements.push(verify(&generated[known..], sample));
        }
        self.scheduler.commit(Duration::ZERO, &mut judgements);
    }

    fn step(&mut self) -> Vec<(u64, usize)> {
        let rows = self.plan();
        self.commit();
        rows
    }

    fn used(&self) -> usize {
        self.scheduler.stats().blocks_used
    }
}

#[test]
fn a_text_that_repeats_itself_comes_several_tokens_a_step() {
    let mut driver = Driver::new(small(), circle);
    driver.submit(10, 20);
    assert_eq!(driver.step(), [(1, 10)]);
    assert_eq!(driver.step(), [(1, 9)]);
    assert_eq!(driver.step(), [(1, 9)]);
    assert_eq!(driver.step(), [(1, 1)], "one token is wanted, and it needs no draft");
    assert!(!driver.scheduler.has_work());
    let EngineStats { steps, decode_tokens, draft_tokens, accepted_draft_tokens, generated_tokens, .. } =
        driver.scheduler.stats();
    assert_eq!((steps, decode_tokens, draft_tokens, accepted_draft_tokens), (4, 3, 16, 16));
    assert_eq!(generated_tokens, 20);
}

#[test]
fn wrong_drafts_leave_neither_tokens_nor_blocks_behind() {
    let mut driver = Driver::new(small(), |text| if text.len() < 14 { circle(text) } else { 40 });
    driver.submit(12, 20);
    driver.step();
    assert_eq!((driver.plan(), driver.used()), (vec![(1, 9)], 2));
    driver.commit();
    assert_eq!(driver.scheduler.tokens(0).1, [2, 3, 40], "the first draft stood, the second did not");
    assert_eq!(driver.used(), 1, "14 positions are computed");
    let stats = driver.scheduler.stats();
    assert_eq!((stats.draft_tokens, stats.accepted_draft_tokens, stats.generated_tokens), (8, 1, 3));
}

#[test]
fn drafts_get_the_rows_that_prefill_leaves_in_equal_shares() {
    let mut driver = Driver::new(EngineOptions { prefix_sharing: false, ..small() }, circle);
    driver.submit(10, 100);
    driver.submit(11, 100);
    driver.submit(12, 100);
    driver.step();
    assert_eq!(driver.step(), [(1, 7), (2, 6), (3, 6)], "16 rows beside the decodes");
    driver.submit(16 + 12, 100);
    assert_eq!(driver.step(), [(1, 1), (2, 1), (3, 1), (4, 16)]);
    assert_eq!(driver.step(), [(1, 3), (2, 2), (3, 2), (4, 12)]);

    let options =
        EngineOptions { max_batch_tokens: 512, max_prefill_tokens: 256, max_sequences: 40, ..small() };
    let mut driver = Driver::new(EngineOptions { blocks: 256, ..options }, circle);
    for sequences in [30, 10] {
        for _ in 0..sequences {
            driver.submit(10, 60);
        }
        driver.step();
        let rows: usize = driver.plan().iter().map(|(_, rows)| rows).sum();
        assert_eq!(rows, if sequences == 30 { 32 } else { 40 }, "in a wide step drafts are not worth it");
        driver.commit();
    }
}

#[test]
fn drafts_get_the_blocks_that_nobody_holds() {
    let options = EngineOptions { blocks: 5, prefix_sharing: false, max_prefill_tokens: 64, ..small() };
    let mut driver = Driver::new(options, circle);
    driver.submit(30, 30);
    driver.submit(30, 30);
    assert_eq!(driver.step(), [(1, 30), (2, 30)]);
    assert_eq!(driver.step(), [(1, 9), (2, 2)], "the fifth block for the first, nothing for the second");
    assert_eq!(driver.scheduler.stats().preemptions, 0);
    let next = driver.step();
    assert_eq!(next, [(1, 9)], "it needs a third block now, with or without drafts, and there is none");
    assert_eq!(driver.scheduler.stats().preemptions, 1);
}

/// The same cases, some of them with drafts.
fn with_drafts(plain: &[Case], seed: u64) -> Vec<Case> {
    let mut dice = Dice(seed);
    let mut drafts = plain.to_vec();
    for case in &mut drafts {
        case.request.prompt_lookup_tokens = dice.below(MAX_DRAFT_TOKENS as u64 + 1) as usize;
    }
    drafts
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Tokens, the bits of their log-probabilities and the way each request ends, with penalties and seeds of all
    /// kinds, in caches that preempt, in chunks of any size, with prefixes shared and callers that lose interest.
    #[test]
    fn with_drafts_and_without_every_request_gets_the_same(
        seed in any::<u64>(), blocks in 10usize..40, max_sequences in 1usize..12, more_rows in 0usize..60,
        max_prefill_tokens in 1usize..40, prefix_sharing in any::<bool>(),
    ) {
        let max_batch_tokens = max_sequences + more_rows;
        let options = EngineOptions {
            blocks, max_sequences, max_batch_tokens, max_prefill_tokens, prefix_sharing, ..small()
        };
        let plain = cases(seed);
        let (expected, without) = run(&plain, &options);
        let (found, with) = run(&with_drafts(&plain, seed), &options);
        for (number, (found, expected)) in found.iter().zip(&expected).enumerate() {
            prop_assert_eq!(bits(&found.0), bits(&expected.0), "request {}", number);
            prop_assert_eq!(&found.1, &expected.1, "request {}", number);
        }
        prop_assert_eq!(with.generated_tokens, without.generated_tokens);
        prop_assert!(with.accepted_draft_tokens <= with.draft_tokens);
    }
}

#[test]
fn drafts_stand_in_a_cache_so_small_that_it_preempts() {
    let options = EngineOptions { blocks: 12, max_sequences: 8, max_batch_tokens: 40, ..small() };
    let plain = cases(7);
    let (expected, without) = run(&plain, &options);
    let (found, with) = run(&with_drafts(&plain, 7), &options);
    assert!(found.iter().zip(&expected).all(|(a, b)| bits(&a.0) == bits(&b.0) && a.1 == b.1));
    assert!(with.preemptions > 0 && with.prefix_hit_tokens > 0 && with.cancelled > 0, "{with:?}");
    assert!(with.accepted_draft_tokens > 0 && with.accepted_draft_tokens < with.draft_tokens, "{with:?}");
    assert!(with.steps < without.steps, "{} steps instead of {}", with.steps, without.steps);
    assert_eq!((without.draft_tokens, without.accepted_draft_tokens), (0, 0));
}
