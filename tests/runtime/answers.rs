//! Answers: text, chunks, log-probabilities, stop strings, limits.

use std::time::Duration;

use model_runtime::protocol::{ChatMessage, ChatRequest, CompletionRequest, FinishReason, StreamOptions};
use model_runtime::runtime::Next;
use model_runtime::{ErrorKind, ModelRuntime, ServeOptions};

use super::{greedy, runtime_with, stories, tiny};

/// What llama2.c's own test expects of this model at temperature 0.
const STORY: &str = "Once upon a time, there was a little girl named Lily. She loved to play outside in the park. \
    One day, she saw a big, red ball. She wanted to play with it, but it was too high.";

#[test]
fn a_story_is_the_one_that_the_reference_tells() {
    let runtime = runtime_with(ServeOptions::default());
    let answer = runtime.complete(greedy("Once upon a time", 80).echo()).unwrap();
    assert!(answer.choices[0].text.starts_with(STORY), "{}", answer.choices[0].text);
    assert_eq!(answer.choices[0].finish_reason, FinishReason::Length);
    assert_eq!((answer.usage.prompt_tokens, answer.usage.completion_tokens), (5, 80));
    assert!(answer.model.starts_with("stories260K@"), "{}", answer.model);
    assert!(answer.id.starts_with("cmpl-"));
}

#[test]
fn chunks_are_the_answer_in_pieces() {
    let runtime = runtime_with(ServeOptions::default().version("stories-1"));
    let whole = runtime.complete(greedy("Once upon", 40)).unwrap();
    let mut request = greedy("Once upon", 40);
    request.options.stream = true;
    request.options.stream_options = Some(StreamOptions { include_usage: true });
    let stream = runtime.complete_stream(request).unwrap();
    assert_eq!(stream.version(), "stories-1");
    let chunks: Vec<_> = stream.map(Result::unwrap).collect();
    let (usage, chunks) = chunks.split_last().unwrap();
    assert!(usage.choices.is_empty());
    assert_eq!(usage.usage.unwrap().unwrap().completion_tokens, 40);
    let text: String = chunks.iter().map(|c| c.choices[0].text.as_str()).collect();
    assert_eq!(text, whole.choices[0].text);
    for (at, chunk) in chunks.iter().enumerate() {
        assert_eq!(chunk.model, "stories-1");
        assert_eq!(chunk.usage, Some(None));
        let last = at + 1 == chunks.len();
        assert_eq!(chunk.choices[0].finish_reason, last.then_some(FinishReason::Length));
    }
}

#[test]
fn pulling_with_a_timeout_gives_everything_once() {
    let runtime = runtime_with(ServeOptions::default());
    let stream = runtime.complete_stream(greedy("The dog", 60)).unwrap();
    let mut text = String::new();
    loop {
        match stream.next_timeout(Duration::from_secs(60)).unwrap() {
            Next::Chunks(chunks) => {
                assert!(!chunks.is_empty());
                text.extend(chunks.iter().map(|c| c.choices[0].text.as_str()));
            }
            Next::TimedOut => panic!("a minute for one token"),
            Next::Finished => break,
        }
    }
    // The whole is still there after every chunk was read.
    assert_eq!(stream.wait().unwrap().choices[0].text, text);
    let timings = stream.timings().unwrap();
    assert!(timings.time_to_first_token.unwrap() <= timings.total);
}

#[test]
fn a_stop_string_ends_the_text_and_is_not_part_of_it() {
    let runtime = runtime_with(ServeOptions::default());
    let request = greedy("Once upon a time", 200).stop("red ball").stop("never met");
    let answer = runtime.complete(request.clone()).unwrap();
    let text = &answer.choices[0].text;
    assert!(text.ends_with("she saw a big, "), "{text}");
    assert_eq!(answer.choices[0].finish_reason, FinishReason::Stop);
    // The generation really ended there, within a token or two.
    assert!(answer.usage.completion_tokens < 60, "{:?}", answer.usage);
    let streamed: String =
        runtime.complete_stream(request).unwrap().map(|c| c.unwrap().choices[0].text.clone()).collect();
    assert_eq!(&streamed, text);
}

#[test]
fn logprobs_name_every_token() {
    let runtime = runtime_with(ServeOptions::default());
    let answer = runtime.complete(greedy("Once upon a time", 12).logprobs(3)).unwrap();
    let choice = &answer.choices[0];
    let logprobs = choice.logprobs.as_ref().unwrap();
    assert_eq!(logprobs.tokens.len(), 12);
    // Greedy: every token is the first of its alternatives.
    for (at, token) in logprobs.tokens.iter().enumerate() {
        let top = &logprobs.top_logprobs[at].as_ref().unwrap().0;
        assert_eq!(top.len(), 3);
        assert_eq!((&top[0].0, Some(top[0].1)), (token, logprobs.token_logprobs[at]));
        let offset = logprobs.text_offset[at] as usize;
        let text: String = choice.text.chars().skip(offset).collect();
        assert!(text.starts_with(token.as_str()), "{at}: {token:?} in {text:?}");
    }
}

#[test]
fn chat_goes_through_the_template() {
    let runtime = ModelRuntime::builder().build().unwrap();
    let info = runtime.serve("tiny", tiny("llama3"), ServeOptions::default()).unwrap();
    assert!(info.chat);
    let request = ChatRequest::new("tiny", vec![ChatMessage::user("Hello")]).temperature(0.0).max_tokens(8);
    let answer = runtime.chat(request.clone()).unwrap();
    assert!(answer.usage.prompt_tokens > 5, "the template's own tokens count: {:?}", answer.usage);
    let chunks: Vec<_> = runtime.chat_stream(request).unwrap().map(Result::unwrap).collect();
    assert!(chunks[0].choices[0].delta.role.is_some());
    let text: String = chunks.iter().filter_map(|c| c.choices[0].delta.content.clone()).collect();
    assert_eq!(Some(text), answer.choices[0].message.content);
    assert!(chunks.last().unwrap().choices[0].finish_reason.is_some());
}

#[test]
fn a_chat_without_a_template_says_so() {
    let runtime = runtime_with(ServeOptions::default());
    let request = ChatRequest::new("stories", vec![ChatMessage::user("Hello")]);
    let error = runtime.chat(request.clone()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.message().contains("no chat template"), "{error}");

    let runtime = ModelRuntime::builder().build().unwrap();
    let template = "{% for m in messages %}{{ m.content }}{% endfor %}";
    runtime.serve("stories", stories(), ServeOptions::default().chat_template(template)).unwrap();
    assert!(runtime.chat(request.max_tokens(4)).is_ok());
}

#[test]
fn what_does_not_fit_the_context_is_refused_with_the_numbers() {
    let runtime = runtime_with(ServeOptions::default().context_length(64));
    let error = runtime.complete(greedy("Once upon a time", 60)).unwrap_err();
    assert_eq!((error.kind(), error.param()), (ErrorKind::ContextLengthExceeded, Some("max_tokens")));
    for number in ["5 tokens", "60", "64"] {
        assert!(error.message().contains(number), "{error}");
    }
    // Without max_tokens the answer takes what is left.
    let mut request = CompletionRequest::new("stories", "Once upon a time").temperature(0.0);
    request.options.logit_bias.insert(2, -100.0);
    let usage = runtime.complete(request).unwrap().usage;
    assert_eq!(usage.total_tokens, 64);
}

#[test]
fn token_ids_outside_the_vocabulary_are_refused() {
    let runtime = runtime_with(ServeOptions::default());
    let error = runtime.complete(CompletionRequest::new("stories", vec![1u32, 512])).unwrap_err();
    assert_eq!(error.param(), Some("prompt[1]"));
    let mut request = greedy("Once", 4);
    request.options.logit_bias.insert(9999, 1.0);
    assert_eq!(runtime.complete(request).unwrap_err().param(), Some("logit_bias"));
}

#[test]
fn stream_true_is_not_ignored() {
    let runtime = runtime_with(ServeOptions::default());
    let mut request = greedy("Once", 4);
    request.options.stream = true;
    let error = runtime.complete(request).unwrap_err();
    assert_eq!(error.param(), Some("stream"));
}

#[cfg(feature = "async")]
#[test]
fn a_stream_is_a_futures_stream() {
    use futures::StreamExt as _;
    let runtime = runtime_with(ServeOptions::default());
    let whole = runtime.complete(greedy("Once", 24)).unwrap();
    let stream = runtime.complete_stream(greedy("Once", 24)).unwrap();
    let text = futures::executor::block_on(
        futures::StreamExt::map(stream, |chunk| chunk.unwrap().choices[0].text.clone()).collect::<Vec<_>>(),
    );
    assert_eq!(text.concat(), whole.choices[0].text);
}
