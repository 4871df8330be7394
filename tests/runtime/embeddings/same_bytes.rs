//! The same bits of a vector, alone and in any company, at any number of threads.

use std::path::Path;

use model_runtime::backend::cpu::CpuOptions;
use model_runtime::protocol::PoolingMode;
use model_runtime::runtime::{BackendChoice, EmbedOptions};
use model_runtime::{ModelRuntime, ServeOptions};
use serde_json::json;

use super::super::tiny;
use super::{change, copy_of};

/// The longest text.
const LONGEST: usize = 8192;

/// A small generator, so that every run asks the same.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % end
    }
}

/// Lengths from 1 to the longest, as many short ones as long ones on a scale of powers; both ends are among them.
fn texts(count: usize, longest: usize) -> Vec<Vec<u32>> {
    let mut numbers = Numbers(500);
    (0..count)
        .map(|at| {
            let length = match at {
                0 => longest,
                1 => 1,
                _ => (longest as f64).powf(numbers.below(1 << 20) as f64 / f64::from(1 << 20)) as usize,
            };
            (0..length.max(1)).map(|_| numbers.below(4000) as u32).collect()
        })
        .collect()
}

/// Every third text is pooled in each way.
fn options(at: usize) -> EmbedOptions {
    EmbedOptions::default().pooling([PoolingMode::Cls, PoolingMode::Mean, PoolingMode::Last][at % 3])
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

fn serve(model: &Path, options: ServeOptions, backend: BackendChoice) -> ModelRuntime {
    let runtime = ModelRuntime::builder().build().unwrap();
    runtime.serve("model", model, options.backend(backend)).unwrap();
    runtime
}

fn same_bits(model: &Path, texts: &[Vec<u32>], alone: BackendChoice, together: BackendChoice) {
    // Alone: one text at a time.
    let runtime = serve(model, ServeOptions::default(), alone);
    let expected: Vec<Vec<u32>> = texts
        .iter()
        .enumerate()
        .map(|(at, text)| bits(runtime.embed("model", text.clone(), options(at)).unwrap().values()))
        .collect();
    drop(runtime);

    // Together: many callers, requests of several texts each, batches of another size, priorities.
    let runtime = serve(model, ServeOptions::default().max_batch_tokens(2000), together);
    std::thread::scope(|scope| {
        for caller in 0..7 {
            let (runtime, expected) = (&runtime, &expected);
            scope.spawn(move || {
                let mine: Vec<usize> = (caller..texts.len()).step_by(7).collect();
                let mut started = Vec::new();
                for kind in 0..3 {
                    let of_kind: Vec<usize> = mine.iter().copied().filter(|at| at % 3 == kind).collect();
                    for group in of_kind.chunks(1 + caller * 3) {
                        let lists: Vec<Vec<u32>> = group.iter().map(|&at| texts[at].clone()).collect();
                        let options = options(kind).priority(caller as i32 % 3 - 1);
                        let pending = runtime.embed_start("model", lists, options).unwrap();
                        started.push((group.to_vec(), pending));
                    }
                }
                for (group, pending) in started {
                    let found = pending.wait().unwrap();
                    for (vector, at) in found.iter().zip(group) {
                        assert_eq!(bits(vector), expected[at], "text {at} of {} tokens", texts[at].len());
                    }
                }
            });
        }
    });
    let stats = runtime.stats().endpoints[0].embedding.unwrap();
    assert!(stats.batches < stats.texts, "the test must be hard: {stats:?}");
}

/// The tiny GTE, made for longer texts, with the first of its layers only: attention over them takes its time.
fn for_long_texts() -> (tempfile::TempDir, std::path::PathBuf) {
    let (folder, path) = copy_of(&tiny("new_gte_logn"));
    change(&path.join("config.json"), json!({"max_position_embeddings": LONGEST, "num_hidden_layers": 1}));
    change(&path.join("sentence_bert_config.json"), json!({"max_seq_length": LONGEST}));
    (folder, path)
}

fn threads(count: usize) -> BackendChoice {
    BackendChoice::Cpu(CpuOptions::default().threads(count))
}

#[test]
fn same_bits_of_500_texts_of_1_to_8192_tokens() {
    let (_folder, path) = for_long_texts();
    same_bits(&path, &texts(500, LONGEST), threads(1), threads(3));
}

#[test]
fn same_bits_of_a_bert() {
    same_bits(&tiny("bert_bge"), &texts(150, 96), threads(2), threads(1));
}

#[cfg(feature = "candle")]
#[test]
fn same_bits_on_the_reference_backend() {
    same_bits(&tiny("new_gte"), &texts(60, 200), BackendChoice::Candle, BackendChoice::Candle);
}
