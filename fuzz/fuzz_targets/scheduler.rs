//! Any sequence of arrivals, cancels, deadlines, failures and steps keeps the engine's promises.
#![no_main]

use libfuzzer_sys::fuzz_target;
use model_runtime::engine::testing::{Operation, Simulation};

fuzz_target!(|data: &[u8]| {
    let (words, _) = data.as_chunks::<4>();
    if let Some((options, operations)) = words.split_first() {
        Simulation::run(Simulation::options(*options), operations.iter().copied().map(Operation::decode));
    }
});
