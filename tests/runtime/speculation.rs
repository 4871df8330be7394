//! Drafts on a trained model: the same answers in fewer steps.

use model_runtime::protocol::{CompletionRequest, CompletionResponse};
use model_runtime::{ModelRuntime, ServeOptions};

use super::{greedy, runtime_with};

/// A text that the model goes on repeating.
const REPETITIVE: &str = "Tom had a red ball. Tom had a red ball. Tom had a red ball. Tom had a";

/// Greedy and sampled, with penalties, stop strings and log-probabilities.
fn requests() -> Vec<CompletionRequest> {
    let prompts = [REPETITIVE, "Once upon a time", "Lily and Ben went to the park. Lily and Ben"];
    (0..24)
        .map(|at| {
            let mut request = greedy(prompts[at % 3], 60 + at as u32)
                .temperature([0.0, 0.0, 0.4, 1.0][at % 4])
                .seed(at as u64);
            match at % 5 {
                1 => request = request.logprobs(2),
                2 => request = request.stop("the").stop("zzz"),
                3 => request = request.frequency_penalty(0.4).repetition_penalty(1.1),
                _ => {}
            }
            request
        })
        .collect()
}

/// What callers see, less the answer's name and time.
fn seen(mut response: CompletionResponse) -> CompletionResponse {
    response.id.clear();
    response.created = 0;
    response.usage.prompt_tokens_details = Default::default();
    response
}

/// All requests at once.
fn answers(runtime: &ModelRuntime, requests: Vec<CompletionRequest>) -> Vec<CompletionResponse> {
    let streams: Vec<_> =
        requests.into_iter().map(|request| runtime.complete_stream(request).unwrap()).collect();
    streams.into_iter().map(|stream| seen(stream.wait().unwrap())).collect()
}

#[test]
fn answers_are_the_same_with_drafts_and_without() {
    let options = || ServeOptions::default().context_length(256).version("1");
    let plain = runtime_with(options().max_sequences(1));
    let expected: Vec<_> = requests().into_iter().map(|r| seen(plain.complete(r).unwrap())).collect();
    assert_eq!(plain.stats().endpoints[0].engine.unwrap().draft_tokens, 0);

    let together = runtime_with(options().cache_tokens(320).max_sequences(8).max_prefill_tokens(20));
    let requests = requests().into_iter().enumerate();
    let drafts = requests.map(|(at, r)| r.prompt_lookup_tokens([16, 4, 1][at % 3])).collect();
    assert_eq!(answers(&together, drafts), expected);
    let stats = together.stats().endpoints[0].engine.unwrap();
    assert!(stats.accepted_draft_tokens > 0 && stats.accepted_draft_tokens < stats.draft_tokens, "{stats:?}");
    assert!(stats.preemptions > 0, "the test must be hard: {stats:?}");
}

#[test]
fn a_repetitive_text_takes_fewer_steps() {
    let steps = |drafts| {
        let runtime = runtime_with(ServeOptions::default());
        // A penalty below 1 is a reward: the model goes in circles.
        let request = greedy(REPETITIVE, 200).repetition_penalty(0.7).prompt_lookup_tokens(drafts);
        let response = seen(runtime.complete(request).unwrap());
        assert_eq!(response.usage.completion_tokens, 200);
        (response, runtime.stats().endpoints[0].engine.unwrap().steps)
    };
    let ((plain, one_each), (drafts, several)) = (steps(0), steps(16));
    assert_eq!(plain, drafts);
    assert!(several * 5 < one_each, "{several} steps instead of {one_each}");
}
