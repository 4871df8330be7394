//! The same tokens and the same log-probability bits, alone and in any company.

use std::path::PathBuf;

use model_runtime::backend::cpu::{CacheType, Compute, CpuOptions, Level, Quantize};
use model_runtime::protocol::CompletionRequest;
use model_runtime::runtime::BackendChoice;
use model_runtime::weights::DType;
use model_runtime::{ErrorKind, ModelRuntime, ServeOptions};

use super::adapters::lora;
use super::{gguf, stories, tiny};

/// A small generator, so that every run asks the same.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % end
    }
}

/// What one request gave: its text and, token by token, the text and the bits of its log-probability.
type Answer = (String, Vec<(String, u32)>);

fn answer(runtime: &ModelRuntime, request: CompletionRequest) -> Answer {
    read(runtime.complete(request).unwrap())
}

fn read(response: model_runtime::protocol::CompletionResponse) -> Answer {
    let choice = response.choices.into_iter().next().unwrap();
    let logprobs = choice.logprobs.unwrap();
    let bits = logprobs.token_logprobs.iter().map(|l| l.unwrap().to_bits());
    (choice.text, logprobs.tokens.into_iter().zip(bits).collect())
}

/// Requests of random lengths, temperatures and seeds; some begin alike. They name the adapters in turn, and none. Every
/// fifth will be cancelled.
fn requests(vocab: u64, adapters: &[&str]) -> Vec<(CompletionRequest, bool)> {
    let mut numbers = Numbers(64);
    let shared: Vec<u32> = (0..70).map(|_| numbers.below(vocab) as u32).collect();
    (0..64)
        .map(|at| {
            let mut prompt: Vec<u32> = shared[..numbers.below(70) as usize].to_vec();
            prompt.extend((0..1 + numbers.below(40)).map(|_| numbers.below(vocab) as u32));
            let mut request = CompletionRequest::new("model", prompt)
                .max_tokens(1 + numbers.below(90) as u32)
                .temperature([0.0, 0.7, 1.0, 1.3][at % 4])
                .seed(numbers.below(1 << 30))
                .logprobs(2);
            request.options.presence_penalty = (at % 3 == 0).then_some(0.5);
            request.options.adapter =
                (at % (adapters.len() + 1)).checked_sub(1).map(|adapter| adapters[adapter].into());
            (request, at % 5 == 4)
        })
        .collect()
}

/// The backend's own choice of everything at one instruction level.
fn at(level: Level) -> BackendChoice {
    BackendChoice::Cpu(CpuOptions::default().level(level))
}

fn serve(model: PathBuf, options: ServeOptions) -> (ModelRuntime, u64) {
    let runtime = ModelRuntime::builder().build().unwrap();
    let info = runtime.serve("model", model, options).unwrap();
    (runtime, info.vocab_size as u64)
}

fn sixty_four_requests(model: PathBuf, backend: BackendChoice) {
    sixty_four_adapted_requests(model, &[], backend);
}

fn sixty_four_adapted_requests(model: PathBuf, adapters: &[&str], backend: BackendChoice) {
    let context = 256;
    // Alone: one sequence at a time, nothing shared, prompts in one piece.
    let options = || ServeOptions::default().context_length(context).backend(backend.clone());
    let alone = || options().max_sequences(1).prefix_sharing(false);
    let adapted = |options: ServeOptions| {
        adapters.iter().fold(options, |options, name| options.adapter(*name, lora(name)))
    };
    // Those without an adapter have the bytes of a model that has none.
    let (plain, vocab) = serve(model.clone(), alone());
    let (runtime, _) = serve(model.clone(), adapted(alone()));
    let expected: Vec<Answer> = requests(vocab, adapters)
        .into_iter()
        .map(|(request, _)| {
            answer(if request.options.adapter.is_some() { &runtime } else { &plain }, request)
        })
        .collect();

    // Together: prefixes shared, prompts in small chunks, drafts for two of three requests, and a cache so small that
    // sequences lose their place.
    let crowded =
        options().cache_tokens(context + 64).max_sequences(24).max_batch_tokens(48).max_prefill_tokens(20);
    let (runtime, _) = serve(model, adapted(crowded));
    let streams: Vec<_> = requests(vocab, adapters)
        .into_iter()
        .zip([0, 8, 8].into_iter().cycle())
        .map(|((request, cancel), drafts)| {
            (runtime.complete_stream(request.prompt_lookup_tokens(drafts)).unwrap(), cancel)
        })
        .collect();
    for (at, (mut stream, cancel)) in streams.into_iter().enumerate() {
        if cancel {
            let _ = stream.next();
            stream.cancel();
        }
        match stream.wait() {
            Ok(response) => assert_eq!(read(response), expected[at], "request {at}"),
            Err(error) => {
                assert!(cancel && error.kind() == ErrorKind::Cancelled, "request {at}: {error}")
            }
        }
    }
    let stats = runtime.stats().endpoints[0].engine.unwrap();
    assert!(stats.preemptions > 0 && stats.prefix_hit_tokens > 0, "the test must be hard: {stats:?}");
    assert!(stats.draft_tokens > 0, "the test must be hard: {stats:?}");
    assert!(stats.mean_batch_rows > 4.0, "the test must be hard: {stats:?}");
}

#[test]
fn same_bytes_of_64_requests_on_a_trained_model() {
    sixty_four_requests(stories(), BackendChoice::default());
}

#[test]
fn same_bytes_of_64_requests_with_grouped_queries_and_scaled_positions() {
    sixty_four_requests(tiny("llama3"), BackendChoice::default());
}

#[test]
fn same_bytes_of_64_requests_with_a_sliding_window() {
    sixty_four_requests(tiny("mistral"), BackendChoice::default());
}

#[test]
fn same_bytes_of_64_requests_with_int8_at_every_level() {
    for level in Level::supported() {
        sixty_four_requests(gguf("tiny-llama-256-Q4_K.gguf"), at(level));
    }
}

#[test]
fn same_bytes_of_64_requests_with_int8_of_float_weights_at_every_level() {
    for level in Level::supported() {
        let options = CpuOptions::default().level(level).compute(Compute::Int8).threads(3);
        sixty_four_requests(tiny("llama2"), BackendChoice::Cpu(options));
    }
}

#[test]
fn same_bytes_of_64_requests_with_bf16_at_every_level() {
    for level in Level::supported() {
        sixty_four_requests(tiny("llama3_2"), at(level));
    }
}

#[test]
fn same_bytes_of_64_requests_with_an_int8_cache_and_quantized_weights() {
    let options = CpuOptions::default().cache(CacheType::Q8).quantize(Quantize::To(DType::Q8_0)).threads(3);
    sixty_four_requests(tiny("llama3"), BackendChoice::Cpu(options));
}

#[test]
fn same_bytes_of_64_requests_with_latents_and_experts() {
    sixty_four_requests(tiny("deepseek_v3"), BackendChoice::default());
}

#[test]
fn same_bytes_of_64_requests_with_8_bit_floats_and_latents_in_int8() {
    let options = CpuOptions::default().cache(CacheType::Q8).threads(3);
    sixty_four_requests(tiny("deepseek_v3_fp8"), BackendChoice::Cpu(options));
}

#[test]
fn same_bytes_of_64_requests_with_mixtures_of_experts() {
    for model in ["mixtral", "dbrx"] {
        sixty_four_requests(tiny(model), BackendChoice::default());
    }
}

#[test]
fn same_bytes_of_64_requests_with_linear_biases() {
    // The tiny model was made for 128 tokens, but nothing in it has positions.
    let folder = tempfile::tempdir().unwrap();
    for file in ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"] {
        std::fs::copy(tiny("mpt").join(file), folder.path().join(file)).unwrap();
    }
    let config = folder.path().join("config.json");
    let text = std::fs::read_to_string(&config).unwrap();
    let longer = text.replace("\"max_seq_len\": 128", "\"max_seq_len\": 256");
    assert_ne!(longer, text);
    std::fs::write(&config, longer).unwrap();
    sixty_four_requests(folder.path().into(), BackendChoice::default());
}

/// For the tiny Llama 3.
const ADAPTERS: [&str; 2] = ["llama3-all", "llama3-qv"];

#[test]
fn same_bytes_of_64_requests_with_two_adapters_and_none_at_every_level() {
    for level in Level::supported() {
        sixty_four_adapted_requests(tiny("llama3"), &ADAPTERS, at(level));
    }
}

#[test]
fn same_bytes_of_64_requests_with_adapters_beside_int8() {
    let options = CpuOptions::default().compute(Compute::Int8).cache(CacheType::Q8).threads(3);
    sixty_four_adapted_requests(tiny("llama3"), &ADAPTERS, BackendChoice::Cpu(options));
}

#[cfg(feature = "candle")]
#[test]
fn same_bytes_of_64_requests_with_adapters_on_the_reference_backend() {
    sixty_four_adapted_requests(tiny("llama3"), &ADAPTERS, BackendChoice::Candle);
}

#[cfg(feature = "candle")]
#[test]
fn same_bytes_of_64_requests_on_the_reference_backend() {
    for model in ["llama3", "mixtral"] {
        sixty_four_requests(tiny(model), BackendChoice::Candle);
    }
}

#[test]
fn same_bytes_from_many_threads() {
    let (runtime, vocab) = serve(stories(), ServeOptions::default().context_length(256));
    let expected: Vec<Answer> =
        requests(vocab, &[]).into_iter().take(16).map(|(request, _)| answer(&runtime, request)).collect();
    std::thread::scope(|scope| {
        for ((request, _), expected) in requests(vocab, &[]).into_iter().zip(&expected) {
            let runtime = &runtime;
            scope.spawn(move || assert_eq!(&answer(runtime, request), expected));
        }
    });
}
