//! Conversations that are kept, taken up again, and forked.

use model_runtime::backend::cpu::{CacheType, CpuOptions};
use model_runtime::protocol::{ChatMessage, ChatRequest, CompletionRequest};
use model_runtime::runtime::{BackendChoice, Session};
use model_runtime::{ErrorKind, ModelRuntime, ServeOptions};

use super::{exact, runtime_with, tiny};

const STORY: &str = "Once upon a time, there was a little girl named Lily. She loved to play outside in the park. \
                     One day, she saw a big dog. The dog was";

fn request(prompt: Vec<u32>) -> CompletionRequest {
    CompletionRequest::new("stories", prompt).temperature(1.0).seed(11).max_tokens(40).logprobs(2)
}

/// A first turn, and the conversation that it is.
fn first_turn(runtime: &ModelRuntime) -> Session {
    let turn = CompletionRequest::new("stories", STORY).temperature(0.8).seed(3).max_tokens(40);
    let stream = runtime.complete_stream(turn).unwrap();
    assert_eq!(stream.session(0), None, "not before the end");
    stream.wait().unwrap();
    assert_eq!(stream.session(1), None);
    let session = stream.session(0).unwrap();
    assert_eq!(session.tokens().len(), stream.prompt_tokens() + 40);
    session
}

fn prefilled(runtime: &ModelRuntime) -> u64 {
    runtime.stats().endpoints[0].engine.unwrap().prefill_tokens
}

#[test]
fn a_conversation_goes_on_elsewhere_as_if_it_had_never_stopped() {
    let caches =
        [CacheType::F16, CacheType::F32, CacheType::Q8].map(|cache| CpuOptions::default().cache(cache));
    let mut backends: Vec<BackendChoice> = caches.into_iter().map(BackendChoice::Cpu).collect();
    backends.push(exact());
    #[cfg(feature = "candle")]
    backends.push(BackendChoice::Candle);
    for backend in backends {
        let options = || ServeOptions::default().backend(backend.clone());
        let here = runtime_with(options());
        let session = first_turn(&here);
        let bytes = here.save_session(&session).unwrap();
        let next = [session.tokens(), &[7, 8, 9]].concat();
        let expected = here.complete(request(next.clone())).unwrap().choices;

        let there = runtime_with(options());
        let restored = there.restore_session("stories", &bytes).unwrap();
        assert_eq!(restored.session, session);
        // The last token was never computed: it was only generated.
        assert_eq!(restored.cached_tokens, (session.tokens().len() - 1) / 16 * 16);
        let response = there.complete(request(next.clone())).unwrap();
        assert_eq!(response.choices, expected, "{backend:?}: the same bits");
        assert_eq!(response.usage.prompt_tokens_details.cached_tokens, restored.cached_tokens as u64);
        assert_eq!(prefilled(&there), (next.len() - restored.cached_tokens) as u64);
    }
}

#[test]
fn latent_caches_and_chats_are_kept_too() {
    let serve = || {
        let runtime = ModelRuntime::builder().build().unwrap();
        runtime.serve("deep", tiny("deepseek_v3"), ServeOptions::default()).unwrap();
        runtime
    };
    let chat = |turns: &[&str]| {
        let messages = turns.iter().enumerate().map(|(at, text)| {
            if at % 2 == 0 { ChatMessage::user(*text) } else { ChatMessage::assistant(*text) }
        });
        ChatRequest::new("deep", messages.collect()).seed(5).max_tokens(30)
    };
    let here = serve();
    let stream = here.chat_stream(chat(&["Tell me about the sea and all that lives in it."])).unwrap();
    stream.wait().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kept");
    here.save_session_to(&stream.session(0).unwrap(), &path).unwrap();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing unfinished is left behind");
    let turns = ["Tell me about the sea and all that lives in it.", "Fish.", "And more?"];
    let expected = here.chat(chat(&turns)).unwrap();
    let there = serve();
    there.restore_session_from("deep", &path).unwrap();
    let found = there.chat(chat(&turns)).unwrap();
    assert_eq!(found.choices, expected.choices);
    assert!(found.usage.prompt_tokens_details.cached_tokens >= 16, "{:?}", found.usage);
}

#[test]
fn forks_share_what_they_have_in_common() {
    let runtime = runtime_with(ServeOptions::default());
    let session = first_turn(&runtime);
    let fork = session.clone();
    let before = prefilled(&runtime);
    let mine = runtime.complete_stream(request([session.tokens(), &[20]].concat())).unwrap();
    let other = runtime.complete_stream(request([fork.tokens(), &[30]].concat())).unwrap();
    let (mine, other) = (mine.wait().unwrap(), other.wait().unwrap());
    let common = (session.tokens().len() - 1) / 16 * 16;
    for usage in [mine.usage, other.usage] {
        assert_eq!(usage.prompt_tokens_details.cached_tokens, common as u64);
    }
    let rest = (session.tokens().len() + 1 - common) as u64;
    assert_eq!(prefilled(&runtime) - before, 2 * rest, "nothing in common was computed again");
}

#[test]
fn a_session_of_something_else_is_refused_with_both_sides() {
    let runtime = runtime_with(ServeOptions::default());
    let bytes = runtime.save_session(&first_turn(&runtime)).unwrap();
    let other = ModelRuntime::builder().build().unwrap();
    other.serve("llama", tiny("llama3"), ServeOptions::default()).unwrap();
    let error = other.restore_session("llama", &bytes).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(error.message().matches("sha256:").count(), 2, "{error}");
    let cache = BackendChoice::Cpu(CpuOptions::default().cache(CacheType::Bf16));
    let error =
        runtime_with(ServeOptions::default().backend(cache)).restore_session("stories", &bytes).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.message().contains("F16") && error.message().contains("Bf16"), "{error}");
    let error = runtime.restore_session("nobody", &bytes).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let mut damaged = bytes.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    for bad in [&damaged[..], &bytes[..40], b"", b"{}"] {
        let error = runtime.restore_session("stories", bad).unwrap_err();
        assert_eq!((error.kind(), error.param()), (ErrorKind::InvalidRequest, Some("session")));
    }
    let unshared = runtime_with(ServeOptions::default().prefix_sharing(false));
    assert_eq!(unshared.restore_session("stories", &bytes).unwrap_err().kind(), ErrorKind::Unsupported);
    // It still serves.
    runtime.restore_session("stories", &bytes).unwrap();
}

#[test]
fn a_cache_that_is_too_small_takes_the_beginning() {
    let runtime = runtime_with(ServeOptions::default());
    let session = first_turn(&runtime);
    let bytes = runtime.save_session(&session).unwrap();
    let mut options = ServeOptions::default().context_length(48);
    options.cache_tokens = Some(48);
    let small = runtime_with(options);
    let restored = small.restore_session("stories", &bytes).unwrap();
    assert_eq!(restored.cached_tokens, 48);
    let short = session.tokens()[..40].to_vec();
    let answer = |runtime: &ModelRuntime| runtime.complete(request(short.clone()).max_tokens(8)).unwrap();
    let found = answer(&small);
    assert_eq!(found.usage.prompt_tokens_details.cached_tokens, 32);
    assert_eq!(found.choices, answer(&runtime).choices);
}

#[test]
fn what_was_never_computed_is_saved_as_tokens_alone() {
    let runtime = runtime_with(ServeOptions::default());
    let session = Session::new("stories", vec![1, 5, 9]);
    let bytes = runtime.save_session(&session).unwrap();
    let restored = runtime.restore_session("stories", &bytes).unwrap();
    assert_eq!((restored.session, restored.cached_tokens), (session, 0));
}

#[test]
fn others_are_served_while_sessions_come_and_go() {
    let runtime = runtime_with(ServeOptions::default());
    let session = first_turn(&runtime);
    let alone = runtime.complete(request(vec![1, 2, 3])).unwrap().choices;
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for _ in 0..20 {
                    let bytes = runtime.save_session(&session).unwrap();
                    runtime.restore_session("stories", &bytes).unwrap();
                }
            });
        }
        for _ in 0..10 {
            assert_eq!(runtime.complete(request(vec![1, 2, 3])).unwrap().choices, alone);
        }
    });
    assert_eq!(runtime.stats().endpoints[0].engine.unwrap().blocks_used, 0);
}
