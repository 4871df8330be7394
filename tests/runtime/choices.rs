//! Several answers to one request, and several prompts in one.

use model_runtime::protocol::{ChatMessage, ChatRequest, CompletionRequest, FinishReason};
use model_runtime::runtime::{EndpointOptions, ServedModel};
use model_runtime::{ErrorKind, ModelRuntime, ServeOptions};

use super::{runtime_with, stories};

const STORY: &str =
    "Once upon a time, there was a little girl named Lily. She loved to play outside in the park.";

fn sampled(prompt: &str, seed: u64) -> CompletionRequest {
    CompletionRequest::new("stories", prompt).temperature(1.0).seed(seed).max_tokens(24)
}

fn texts(runtime: &ModelRuntime, request: CompletionRequest) -> Vec<String> {
    runtime.complete(request).unwrap().choices.into_iter().map(|choice| choice.text).collect()
}

#[test]
fn choices_differ_and_the_first_is_what_it_would_be_alone() {
    let runtime = runtime_with(ServeOptions::default());
    let alone = texts(&runtime, sampled(STORY, 7));
    let response = runtime.complete(sampled(STORY, 7).n(5)).unwrap();
    let indexes: Vec<u32> = response.choices.iter().map(|choice| choice.index).collect();
    assert_eq!(indexes, [0, 1, 2, 3, 4]);
    let all: Vec<String> = response.choices.into_iter().map(|choice| choice.text).collect();
    assert_eq!(all[0], alone[0]);
    for (place, text) in all.iter().enumerate() {
        assert!(!all[..place].contains(text), "{text:?} twice: each choice draws for itself");
    }
    // The same again, whatever is in the cache.
    assert_eq!(texts(&runtime, sampled(STORY, 7).n(5)), all);
    // Greedy choices are all the same.
    let greedy = texts(&runtime, sampled(STORY, 7).temperature(0.0).n(3));
    assert!(greedy.iter().all(|text| *text == greedy[0]));
}

#[test]
fn the_prompt_of_all_choices_is_computed_once() {
    let runtime = runtime_with(ServeOptions::default());
    let response = runtime.complete(sampled(STORY, 1).n(5)).unwrap();
    let usage = response.usage;
    let stats = runtime.stats().endpoints[0].engine.unwrap();
    let blocks = usage.prompt_tokens / 16 * 16;
    assert!(blocks >= 16, "a prompt of {} tokens shows nothing", usage.prompt_tokens);
    // All of it once, and of the other four what does not fill a block.
    let rest = usage.prompt_tokens - (usage.prompt_tokens - 1) / 16 * 16;
    assert_eq!(stats.prefill_tokens, usage.prompt_tokens + 4 * rest);
    assert_eq!(usage.completion_tokens, stats.generated_tokens, "those of all choices");
    assert_eq!(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens);
    assert_eq!(usage.prompt_tokens_details.cached_tokens, 0, "nobody had computed it before");
}

#[test]
fn a_stream_of_choices_reassembles_to_the_whole() {
    let runtime = runtime_with(ServeOptions::default());
    let whole = runtime.complete(sampled(STORY, 3).n(4)).unwrap();
    let mut texts = vec![String::new(); 4];
    let mut ends = vec![None; 4];
    for chunk in runtime.complete_stream(sampled(STORY, 3).n(4)).unwrap() {
        let choice = chunk.unwrap().choices.remove(0);
        let place = choice.index as usize;
        assert_eq!(ends[place], None, "nothing comes after the end");
        texts[place].push_str(&choice.text);
        ends[place] = choice.finish_reason;
    }
    for (choice, (text, end)) in whole.choices.iter().zip(texts.iter().zip(ends)) {
        assert_eq!((&choice.text, Some(choice.finish_reason)), (text, end));
    }
}

#[test]
fn every_choice_of_a_chat_begins_with_its_role() {
    let runtime = ModelRuntime::builder().build().unwrap();
    runtime.serve("tiny", super::tiny("llama3"), ServeOptions::default()).unwrap();
    let request = ChatRequest::new("tiny", vec![ChatMessage::user("Hello")]).seed(3).max_tokens(6).n(3);
    let chunks: Vec<_> = runtime.chat_stream(request).unwrap().map(Result::unwrap).collect();
    for index in 0..3 {
        let own: Vec<_> =
            chunks.iter().flat_map(|chunk| &chunk.choices).filter(|choice| choice.index == index).collect();
        assert!(own[0].delta.role.is_some() && own[1..].iter().all(|choice| choice.delta.role.is_none()));
        assert_eq!(own.iter().filter(|choice| choice.finish_reason.is_some()).count(), 1);
        assert!(own.last().unwrap().finish_reason.is_some());
    }
}

#[test]
fn several_prompts_are_answered_as_if_alone_in_their_order() {
    let runtime = runtime_with(ServeOptions::default());
    let prompts = ["Once upon a time", "One day", "The dog"];
    let alone: Vec<Vec<String>> =
        prompts.iter().map(|prompt| texts(&runtime, sampled(prompt, 5).n(2))).collect();
    let asked: Vec<String> = prompts.iter().map(|prompt| (*prompt).to_owned()).collect();
    let mut request = sampled("", 5).n(2);
    request.prompt = asked.into();
    let response = runtime.complete(request.clone()).unwrap();
    let found: Vec<String> = response.choices.iter().map(|choice| choice.text.clone()).collect();
    assert_eq!(found, alone.concat());
    let each: u64 =
        prompts.iter().map(|prompt| runtime.complete(sampled(prompt, 5)).unwrap().usage.prompt_tokens).sum();
    assert_eq!(response.usage.prompt_tokens, each);
    request.options.stream = true;
    assert_eq!(runtime.complete_stream(request).unwrap_err().param(), Some("prompt"));
}

#[test]
fn a_group_is_cancelled_as_one() {
    let runtime = runtime_with(ServeOptions::default());
    let mut request = sampled(STORY, 1).n(5).max_tokens(400);
    request.options.logit_bias.insert(2, -100.0);
    let mut stream = runtime.complete_stream(request).unwrap();
    stream.next().unwrap().unwrap();
    let canceller = stream.canceller();
    canceller.cancel();
    assert_eq!(stream.wait().unwrap_err().kind(), ErrorKind::Cancelled);
    canceller.cancel();
    let stats = runtime.stats().endpoints[0].engine.unwrap();
    assert!(stats.cancelled >= 1 && stats.blocks_used == 0, "{stats:?}");
}

#[test]
fn what_does_not_fit_of_one_prompt_refuses_all() {
    let runtime = runtime_with(ServeOptions::default().context_length(64));
    let mut request = sampled("", 1);
    request.prompt = vec!["Once".to_owned(), "a ".repeat(100)].into();
    assert_eq!(runtime.complete(request).unwrap_err().kind(), ErrorKind::ContextLengthExceeded);
    let stats = runtime.stats().endpoints[0].engine.unwrap();
    assert_eq!((stats.running, stats.queued), (0, 0));
}

#[test]
fn a_full_queue_refuses_the_choices_that_find_no_place() {
    let runtime = runtime_with(ServeOptions::default().max_queue(1).max_sequences(1));
    let mut request = sampled("", 1);
    request.prompt = vec!["Once".to_owned(); 16].into();
    let error = runtime.complete(request).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Overloaded);
    // As soon as there is room the next one is served.
    let served = loop {
        match runtime.complete(sampled("Once", 1)) {
            Ok(response) => break response,
            Err(error) => assert_eq!(error.kind(), ErrorKind::Overloaded),
        }
        std::thread::yield_now();
    };
    assert_eq!(served.choices.len(), 1);
}

#[test]
fn by_the_token_there_is_one_answer() {
    let runtime = ModelRuntime::builder().build().unwrap();
    let model = ServedModel::load(stories(), ServeOptions::default());
    runtime.serve_endpoint("stories", EndpointOptions::pay_per_token(), vec![model]).unwrap();
    let error = runtime.complete(sampled("Once", 1).n(2)).unwrap_err();
    assert_eq!((error.kind(), error.param()), (ErrorKind::InvalidRequest, Some("n")));
    let one = runtime.complete(sampled("Once", 1).n(1)).unwrap();
    assert_eq!((one.choices.len(), one.choices[0].finish_reason), (1, FinishReason::Length));
}
