use proptest::collection::vec;
use proptest::prelude::*;

use crate::engine::testing::{Operation, Simulation};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    /// Random bounds, arrivals, cancels, deadlines and failures: the simulation checks every promise after every step.
    #[test]
    fn every_request_ends_as_it_would_alone(
        options in any::<[u8; 4]>(),
        operations in vec(any::<[u8; 4]>(), 0..60),
    ) {
        Simulation::run(Simulation::options(options), operations.into_iter().map(Operation::decode));
    }

    /// Only arrivals and steps, in a cache so small that sequences are preempted again and again.
    #[test]
    fn nobody_is_lost_under_pressure(
        blocks in 10usize..14,
        requests in vec(((0u8..3, 0u8..4, 1u16..100, 20u8..48, -1i8..3, 0u8..17), any::<bool>(), 0u8..4), 4..16),
    ) {
        let options = crate::engine::EngineOptions {
            blocks, context_length: 160, max_batch_tokens: 32, max_prefill_tokens: 16, max_sequences: 8,
            max_queue: 16, ..Default::default()
        };
        let operations = requests.iter().flat_map(|((text, adapter, prompt, max_tokens, priority, drafts), scores, late)| [
            Operation::Submit {
                caller: *adapter / 2, text: *text, adapter: *adapter % 2, prompt: *prompt, max_tokens: *max_tokens, priority: *priority, deadline: None,
                drafts: *drafts, scores: *scores, late: *late,
            },
            Operation::Steps { count: 2 },
        ]);
        let stats = Simulation::run(options, operations);
        prop_assert_eq!(stats.finished, requests.len() as u64);
    }
}

/// The fuzz target's seeds, through the same door.
#[test]
fn the_seeds_of_the_fuzz_target_hold() {
    let seeds = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/scheduler");
    let mut count = 0;
    for seed in std::fs::read_dir(seeds).unwrap() {
        let bytes = std::fs::read(seed.unwrap().path()).unwrap();
        let (words, _) = bytes.as_chunks::<4>();
        let (options, operations) = words.split_first().unwrap();
        Simulation::run(Simulation::options(*options), operations.iter().copied().map(Operation::decode));
        count += 1;
    }
    assert!(count > 0);
}
