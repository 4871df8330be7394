//! A steady decode allocates nothing: not in the model, the backend or its threads, not in scheduling and sampling.
//!
//! The allocator of this program counts, on all threads, what is asked of it between two moments. Nothing else may run
//! meanwhile, so this is a program without the test harness.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod counting;
mod model;
mod operations;

use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};

use counting::{Counting, start, stop};
use model::{Computed, SEQUENCES};
use model_runtime::SystemClock;
use model_runtime::backend::cpu::{CacheType, Compute, CpuOptions};
use model_runtime::engine::{
    Engine, EngineOptions, Executor, Flow, Outcome, Request, SampledToken, SamplingParams, Sink,
};
use model_runtime::fairness::CallerId;
use operations::Operations;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Steps after which everything has the size that it will have, and steps that are counted.
const WARM: usize = 40;
const COUNTED: usize = 64;

/// Where there are adapters for a model, sequences have them. Llama's tensors also play the experts of [`Operations`].
const LLAMAS: [(&str, Compute, CacheType, usize); 6] = [
    ("examples/models/stories260K", Compute::Auto, CacheType::F16, 2),
    ("tests/data/tiny/llama3", Compute::Auto, CacheType::F16, 2),
    ("tests/data/tiny/llama3_2", Compute::Auto, CacheType::Bf16, 1),
    ("tests/data/tiny/llama3_2", Compute::F32, CacheType::F32, 2),
    ("tests/data/gguf/tiny-llama-256-Q8_0.gguf", Compute::Auto, CacheType::Q8, 3),
    ("tests/data/gguf/tiny-llama-256-Q4_K.gguf", Compute::F32, CacheType::F16, 2),
];
const OTHERS: [(&str, Compute, CacheType, usize); 1] =
    [("tests/data/tiny/deepseek_v3_fp8", Compute::Auto, CacheType::F16, 2)];

fn main() {
    let of = |compute, cache, threads| CpuOptions::default().threads(threads).compute(compute).cache(cache);
    for (path, compute, cache, threads) in LLAMAS.into_iter().chain(OTHERS) {
        steps_of_a_model(path, of(compute, cache, threads));
        steps_of_an_engine(path, of(compute, cache, threads));
        println!("{path}, {compute:?}, {cache:?}, {threads} threads: no allocation in {COUNTED} steps");
    }
    for (path, compute, cache, threads) in LLAMAS {
        steps_of_operations(path, of(compute, cache, threads));
        println!("operations on {path}, {compute:?}: no allocation in {COUNTED} steps");
    }
}

/// A model and a backend, given one batch after the other.
fn steps_of_a_model(path: &str, options: CpuOptions) {
    let mut computed = Computed::load(path, options);
    for step in 0..WARM + COUNTED {
        computed.plan(step);
        // Each step on its own, so that what one leaves over does not hide what the next one takes.
        if step >= WARM {
            start();
        }
        computed.compute();
        stop("a step of the model");
    }
}

/// Experts, encoders' norms and networks, pooling.
fn steps_of_operations(path: &str, options: CpuOptions) {
    let mut operations = Operations::load(path, options);
    for step in 0..WARM + COUNTED {
        if step >= WARM {
            start();
        }
        operations.compute(step);
        stop("a step of operations");
    }
}

/// Starts to count at its `WARM`-th token and stops `COUNTED` tokens later; both happen within a step, so that what is
/// counted are whole rounds of plan, computation, sampling and commit.
struct Switch {
    tokens: usize,
    switches: bool,
    end: Sender<Outcome>,
}

impl Sink for Switch {
    fn token(&mut self, _: SampledToken) -> Flow {
        self.tokens += 1;
        match self.tokens {
            WARM if self.switches => start(),
            at if at == WARM + COUNTED && self.switches => stop("steps of the engine"),
            _ => {}
        }
        Flow::Continue
    }

    fn finish(self: Box<Self>, outcome: Outcome) {
        self.end.send(outcome).unwrap();
    }
}

/// The whole engine, with every way of sampling.
fn steps_of_an_engine(path: &str, options: CpuOptions) {
    let computed = Computed::load(path, options);
    let vocab = computed.vocab_size();
    let adapters: Vec<_> = (0..SEQUENCES).map(|sequence| computed.adapter(sequence)).collect();
    let mut bounds = EngineOptions::default();
    (bounds.blocks, bounds.context_length) = (model::BLOCKS, 512);
    (bounds.max_batch_tokens, bounds.max_prefill_tokens, bounds.max_sequences) = (128, 64, SEQUENCES);
    let engine = Engine::start(Box::new(computed), bounds, Arc::new(SystemClock::new()), None).unwrap();
    let (end, ended) = channel();
    for (index, adapter) in adapters.into_iter().enumerate() {
        let sampling = match index % 4 {
            0 => SamplingParams::greedy(),
            1 => SamplingParams { top_p: 0.9, seed: 7, ..SamplingParams::default() },
            2 => SamplingParams { top_k: Some(40), min_p: 0.05, seed: 8, ..SamplingParams::default() },
            _ => SamplingParams {
                repetition_penalty: 1.1,
                frequency_penalty: 0.5,
                presence_penalty: 0.5,
                logit_bias: vec![(2, -100.0)],
                ..SamplingParams::greedy()
            },
        };
        let request = Request {
            prompt: model::prompt(index, vocab),
            adapter,
            max_tokens: 2 * WARM + COUNTED,
            stop_tokens: Vec::new(),
            sampling,
            prompt_lookup_tokens: 0,
            prompt_logprobs: None,
            caller: CallerId::default(),
            priority: 0,
            deadline: None,
        };
        // The last one to come: when it is warm, so are the others.
        let switches = index + 1 == SEQUENCES;
        engine.submit(request, Box::new(Switch { tokens: 0, switches, end: end.clone() })).unwrap();
    }
    drop(end);
    let outcomes: Vec<Outcome> = ended.iter().collect();
    assert_eq!(outcomes.len(), SEQUENCES);
    outcomes.into_iter().for_each(|outcome| assert!(outcome.result.is_ok(), "{:?}", outcome.result));
}
