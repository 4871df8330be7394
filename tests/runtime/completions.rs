//! The fields of completions that chats do not have.

use std::sync::Arc;
use std::time::Duration;

use model_runtime::clock::ManualClock;
use model_runtime::protocol::{CompletionRequest, ErrorBehavior, FinishReason};
use model_runtime::{ErrorKind, ModelRuntime, ServeOptions};
use serde_json::Value;

use super::{exact, greedy, runtime_with, tiny};

/// A random model in single precision, and what transformers says of it.
fn reference(name: &str) -> (ModelRuntime, Vec<Value>) {
    let runtime = ModelRuntime::builder().build().unwrap();
    let options = ServeOptions::default().backend(exact());
    runtime.serve(name, tiny(name), options).unwrap();
    let golden = std::fs::read(tiny(name).join("golden.json")).unwrap();
    let golden: Value = serde_json::from_slice(&golden).unwrap();
    (runtime, golden["prompts"].as_array().unwrap().clone())
}

#[test]
fn log_probabilities_of_prompts_are_those_of_the_reference() {
    for name in ["llama3", "mistral", "mixtral"] {
        let (runtime, prompts) = reference(name);
        for prompt in &prompts {
            let ids: Vec<u32> = serde_json::from_value(prompt["input_ids"].clone()).unwrap();
            let expected: Vec<Option<f64>> =
                serde_json::from_value(prompt["prompt_logprobs"].clone()).unwrap();
            let request =
                CompletionRequest::new(name, ids.clone()).max_tokens(2).temperature(0.0).logprobs(5);
            let plain = runtime.complete(request.clone()).unwrap().choices.remove(0);
            let choice = runtime.complete(request.echo()).unwrap().choices.remove(0);
            let logprobs = choice.logprobs.unwrap();
            assert_eq!(logprobs.tokens.len(), ids.len() + plain.logprobs.as_ref().unwrap().tokens.len());
            assert_eq!((logprobs.token_logprobs[0], &logprobs.top_logprobs[0]), (None, &None));
            let found = &logprobs.token_logprobs[..ids.len()];
            let expected = &expected[expected.len() - ids.len()..];
            for (place, (found, expected)) in found.iter().zip(expected).enumerate().skip(1) {
                let (found, expected) = (f64::from(found.unwrap()), expected.unwrap());
                assert!((found - expected).abs() < 2e-3, "{name} {place}: {found}, not {expected}");
                assert_eq!(logprobs.top_logprobs[place].as_ref().unwrap().0.len(), 5);
            }
            // What is generated is the same as without an echo, to the bit.
            assert!(choice.text.ends_with(&plain.text));
            let generated = &logprobs.token_logprobs[ids.len()..];
            assert_eq!(generated, plain.logprobs.unwrap().token_logprobs);
        }
    }
}

#[test]
fn an_echo_is_the_same_in_chunks_of_any_size_and_beside_others() {
    let text = "Once upon a time, there was a little girl named Lily. She had a big red ball. ".repeat(3);
    let request = || greedy(&text, 8).echo().logprobs(2);
    let alone = runtime_with(ServeOptions::default()).complete(request()).unwrap().choices.remove(0);
    let mut options = ServeOptions::default().max_batch_tokens(24).max_prefill_tokens(7).max_sequences(4);
    options.cache_tokens = Some(700);
    let runtime = runtime_with(options);
    let streams: Vec<_> = (0..6).map(|_| runtime.complete_stream(request()).unwrap()).collect();
    for stream in streams {
        assert_eq!(stream.wait().unwrap().choices[0], alone);
        let chunks: Vec<_> = stream.map(|chunk| chunk.unwrap().choices.remove(0)).collect();
        assert!(chunks[0].text.starts_with(text.trim_end()), "the prompt comes first, with its tokens");
        let told: Vec<Option<f32>> = chunks
            .iter()
            .flat_map(|chunk| chunk.logprobs.iter())
            .flat_map(|l| l.token_logprobs.clone())
            .collect();
        assert_eq!(told, alone.logprobs.as_ref().unwrap().token_logprobs);
        let offsets: Vec<u64> = chunks
            .iter()
            .flat_map(|chunk| chunk.logprobs.iter())
            .flat_map(|l| l.text_offset.clone())
            .collect();
        assert_eq!(offsets, alone.logprobs.as_ref().unwrap().text_offset);
    }
}

#[test]
fn an_echo_without_log_probabilities_is_the_prompt() {
    let runtime = runtime_with(ServeOptions::default());
    let plain = runtime.complete(greedy("Once upon a time", 8)).unwrap().choices.remove(0).text;
    let echoed = runtime.complete(greedy("Once upon a time", 8).echo().n(2)).unwrap();
    for choice in echoed.choices {
        assert_eq!(choice.text, format!("Once upon a time{plain}"));
    }
}

#[test]
fn a_suffix_ends_every_answer() {
    let runtime = runtime_with(ServeOptions::default());
    let plain = runtime.complete(greedy("Once", 8)).unwrap().choices.remove(0).text;
    let response = runtime.complete(greedy("Once", 8).suffix(" The end.").n(2)).unwrap();
    for choice in &response.choices {
        assert_eq!(choice.text, format!("{plain} The end."));
    }
    assert_eq!(response.usage.completion_tokens, 16, "it was not generated");
    let chunks = runtime.complete_stream(greedy("Once", 8).suffix(" The end.")).unwrap();
    let text: String = chunks.map(|chunk| chunk.unwrap().choices[0].text.clone()).collect();
    assert_eq!(text, format!("{plain} The end."));
}

#[test]
fn texts_go_through_the_template_unless_they_are_raw() {
    let (runtime, prompts) = reference("llama3");
    let prompt = &prompts[0];
    let text = prompt["text"].as_str().unwrap();
    let request = || CompletionRequest::new("llama3", text).max_tokens(4).temperature(0.0);
    let raw = runtime.complete(request().raw()).unwrap();
    let ids: Vec<u32> = serde_json::from_value(prompt["input_ids"].clone()).unwrap();
    assert_eq!(raw.usage.prompt_tokens, ids.len() as u64);
    let by_ids =
        runtime.complete(CompletionRequest::new("llama3", ids).max_tokens(4).temperature(0.0)).unwrap();
    assert_eq!(by_ids.choices, raw.choices, "ids always go as they are");
    let templated = runtime.complete(request()).unwrap();
    let chat = model_runtime::protocol::ChatRequest::new(
        "llama3",
        vec![model_runtime::protocol::ChatMessage::user(text)],
    );
    let chat = runtime.chat(chat.max_tokens(4).temperature(0.0)).unwrap();
    assert_eq!(templated.usage.prompt_tokens, chat.usage.prompt_tokens);
    assert_eq!(Some(&templated.choices[0].text), chat.choices[0].message.content.as_ref());
    let echoed = runtime.complete(request().echo()).unwrap();
    assert!(echoed.choices[0].text.starts_with(text), "the caller's own words");
    let error = runtime.complete(request().echo().logprobs(0)).unwrap_err();
    assert_eq!((error.kind(), error.param()), (ErrorKind::Unsupported, Some("echo")));
}

#[test]
fn what_does_not_fit_is_cut_off_when_that_is_asked_for() {
    let runtime = runtime_with(ServeOptions::default().context_length(64));
    let mut request = greedy("Once upon a time", 600);
    request.options.logit_bias.insert(2, -100.0);
    let error = runtime.complete(request.clone().error_behavior(ErrorBehavior::Error)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ContextLengthExceeded);
    let response = runtime.complete(request.clone().error_behavior(ErrorBehavior::Truncate)).unwrap();
    assert_eq!((response.usage.total_tokens, response.choices[0].finish_reason), (64, FinishReason::Length));
    // Nothing can be returned where the prompt alone is too long.
    let mut long = request.error_behavior(ErrorBehavior::Truncate);
    long.prompt = "a ".repeat(100).into();
    assert_eq!(runtime.complete(long).unwrap_err().kind(), ErrorKind::ContextLengthExceeded);
}

#[test]
fn what_is_late_is_cut_off_when_that_is_asked_for() {
    let clock = Arc::new(ManualClock::at(jiff::Timestamp::UNIX_EPOCH));
    let runtime = ModelRuntime::builder().clock(clock.clone()).build().unwrap();
    runtime.serve("stories", super::stories(), ServeOptions::default()).unwrap();
    for behavior in [ErrorBehavior::Truncate, ErrorBehavior::Error] {
        let mut request = greedy("Once", 490).error_behavior(behavior);
        request.options.logit_bias.insert(2, -100.0);
        let options = model_runtime::RequestOptions::default().timeout(Duration::from_secs(5));
        let mut stream = runtime.complete_stream_with(request, options).unwrap();
        let first = stream.next().unwrap().unwrap().choices.remove(0).text;
        clock.advance(Duration::from_secs(6));
        match behavior {
            ErrorBehavior::Truncate => {
                let choice = stream.wait().unwrap().choices.remove(0);
                assert_eq!(choice.finish_reason, FinishReason::Length);
                assert!(choice.text.starts_with(&first));
            }
            ErrorBehavior::Error => {
                assert_eq!(stream.wait().unwrap_err().kind(), ErrorKind::DeadlineExceeded);
            }
        }
    }
}
