//! The whole engine: thread, messages, sinks, failures and the end.

use super::support::*;
use crate::engine::FinishReason;
use crate::engine::testing::ToyModel;

#[test]
fn one_request_gives_what_the_model_says() {
    let engine = start(ToyModel::new(VOCAB, 64), small());
    let request = request(1, 37, 21);
    let (tokens, outcome) = submit(&engine, &request).1.wait();
    assert_eq!(outcome.result.unwrap(), FinishReason::Length);
    assert_eq!(ids(&tokens), expected(&request));
    let stats = engine.stats();
    assert_eq!((stats.finished, stats.running, stats.queued, stats.blocks_used), (1, 0, 0, 0));
    assert_eq!((stats.prefill_tokens, stats.decode_tokens, stats.generated_tokens), (37, 20, 21));
}
