//! One part of one model, in a process of its own: the runtime serves the model and answers requests.
//!
//! Times are the runtime's own, from a request's submission to its first token and to its end.

use std::path::Path;
use std::time::Instant;

use model_runtime::models::stop_tokens;
use model_runtime::protocol::CompletionRequest;
use model_runtime::runtime::{BackendChoice, CompletionStream, RequestTimings};
use model_runtime::weights::Checkpoint;
use model_runtime::{ModelRuntime, ServeOptions};
use serde::{Deserialize, Serialize};

use super::Failure;
use super::arguments::{Arguments, Part};
use super::process::{peak_bytes, progress};
use super::weights::Random;
use super::workload::{Kind, Workload};

const ENDPOINT: &str = "bench";
/// Tokens in a block of the cache: what of a cached prompt may have to be computed again.
const BLOCK: usize = 16;
/// How often a batch is started before it counts as one that cannot be.
const STARTS: usize = 4;

/// What the process found.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Measured {
    /// Seconds from nothing to ready, without the digest of the files.
    pub(crate) load_seconds: f64,
    /// The most memory that the process ever had, where the system tells.
    pub(crate) peak_bytes: Option<u64>,
    /// Whether the model ended answers by itself, so that a logit bias had to keep it from that.
    pub(crate) biased: bool,
    /// Tokens per second of every run of every workload.
    pub(crate) runs: Vec<Vec<f64>>,
}

/// Serves the model and takes the figures.
pub(crate) fn measure(
    model: &Path,
    part: Part,
    workloads: &[Workload],
    max_positions: usize,
    a: &Arguments,
) -> Result<Measured, Failure> {
    let runtime = ModelRuntime::builder().build()?;
    let start = Instant::now();
    let info = runtime.serve(ENDPOINT, model, options(part, workloads, max_positions, a)?)?;
    let load_seconds = start.elapsed().as_secs_f64();
    let vocab = info.vocab_size;
    let blockers = blockers(workloads, max_positions);
    let mut caller = Caller { runtime, vocab, blockers, random: Random(1), bias: None };
    // The first steps pay for scratch space and cold caches.
    caller.run(Kind::Decode { sequences: 1, prompt: 8, tokens: 4 })?;
    let mut runs = Vec::new();
    for workload in workloads {
        let mut rates = Vec::new();
        progress(&format!("    {}:", workload.name));
        for _ in 0..a.repeat.max(1) {
            let rate = match caller.run(workload.kind)? {
                Some(rate) => rate,
                None => {
                    caller.bias = Some(some_token(model, vocab)?);
                    caller.run(workload.kind)?.ok_or("the answers end early whatever is asked for")?
                }
            };
            progress(&format!(" {rate:.1}"));
            rates.push(rate);
        }
        progress(" tokens/s\n");
        runs.push(rates);
    }
    Ok(Measured { load_seconds, peak_bytes: peak_bytes(), biased: caller.bias.is_some(), runs })
}

/// The most of something that any workload has.
fn most(workloads: &[Workload], of: fn(Kind) -> usize) -> usize {
    workloads.iter().map(|workload| of(workload.kind)).max().unwrap_or(1)
}

/// Rows of a step: as many as by default, and enough for what of each cached prompt is computed again.
fn rows(workloads: &[Workload]) -> usize {
    ServeOptions::default().max_batch_tokens.max(most(workloads, Kind::sequences) * BLOCK)
}

/// Lengths of prompts that fill a step. A model with a short context takes several.
fn blockers(workloads: &[Workload], max_positions: usize) -> Vec<usize> {
    let (rows, longest) = (rows(workloads), max_positions.saturating_sub(1).max(1));
    (0..rows).step_by(longest).map(|begin| longest.min(rows - begin)).collect()
}

fn options(
    part: Part,
    workloads: &[Workload],
    max_positions: usize,
    a: &Arguments,
) -> Result<ServeOptions, Failure> {
    let (sequences, rows) = (most(workloads, Kind::sequences), rows(workloads));
    let blockers = blockers(workloads, max_positions).len();
    let context = most(workloads, Kind::context).max(rows + 1).min(max_positions);
    // Whole blocks for each sequence and for the prompts that keep the engine busy.
    let own = most(workloads, Kind::context).next_multiple_of(BLOCK);
    let cache = sequences * own + rows + (blockers + 4) * BLOCK;
    Ok(ServeOptions::default()
        .backend(BackendChoice::Cpu(a.cpu()?))
        .version("bench")
        .context_length(context)
        .cache_tokens(cache.max(context))
        .max_sequences(sequences + blockers)
        .max_queue(sequences + blockers)
        .max_batch_tokens(rows)
        // A prompt is prefilled once and then found in the cache, except where nothing but prefill is measured.
        .prefix_sharing(part != Part::Prefill))
}

/// A token that ends no answer.
fn some_token(model: &Path, vocab: usize) -> Result<u32, Failure> {
    let stops = stop_tokens(&Checkpoint::open(model)?)?;
    let found = (vocab as u32 / 2..vocab as u32).find(|token| !stops.contains(token));
    found.ok_or_else(|| "every token ends the answer".into())
}

/// Who asks.
struct Caller {
    runtime: ModelRuntime,
    vocab: usize,
    /// Lengths of prompts that together fill a step.
    blockers: Vec<usize>,
    random: Random,
    /// A token that every answer consists of.
    bias: Option<u32>,
}

/// A request that was submitted between two moments.
struct Submitted {
    begin: Instant,
    end: Instant,
    stream: CompletionStream,
}

impl Submitted {
    /// Waits for the end; `None` when the answer is shorter than asked for.
    fn finish(&self, tokens: u32) -> Result<Option<RequestTimings>, Failure> {
        let generated = self.stream.wait()?.usage.completion_tokens;
        let timings = self.stream.timings().ok_or("an answer has no times")?;
        Ok((generated == u64::from(tokens)).then_some(timings))
    }
}

impl Caller {
    fn prompt(&mut self, length: usize) -> Vec<u32> {
        (0..length).map(|_| self.random.below(self.vocab) as u32).collect()
    }

    fn submit(&self, prompt: Vec<u32>, tokens: u32) -> Result<Submitted, Failure> {
        let mut request = CompletionRequest::new(ENDPOINT, prompt).max_tokens(tokens).temperature(0.0);
        if let Some(token) = self.bias {
            request.options.logit_bias.insert(token, 100.0);
        }
        let begin = Instant::now();
        let stream = self.runtime.complete_stream(request)?;
        Ok(Submitted { begin, end: Instant::now(), stream })
    }

    /// Tokens per second; `None` when an answer ended early.
    fn run(&mut self, kind: Kind) -> Result<Option<f64>, Failure> {
        match kind {
            Kind::Prefill { prompt } => {
                let tokens = self.prompt(prompt);
                let first =
                    self.submit(tokens, 1)?.finish(1)?.and_then(|timings| timings.time_to_first_token);
                Ok(first.map(|first| prompt as f64 / first.as_secs_f64()))
            }
            Kind::Decode { sequences, prompt, tokens } => {
                let prompts: Vec<Vec<u32>> = (0..sequences).map(|_| self.prompt(prompt)).collect();
                self.decode(&prompts, tokens)
            }
        }
    }

    /// All answers at once, in step: `n * (tokens - 1)` tokens in the time from the first token to the last.
    fn decode(&mut self, prompts: &[Vec<u32>], tokens: u32) -> Result<Option<f64>, Failure> {
        for _ in 0..STARTS {
            // From here on the cache has the prompts, but for the last tokens of each.
            for prompt in prompts {
                if self.submit(prompt.clone(), 1)?.finish(1)?.is_none() {
                    return Ok(None);
                }
            }
            // A step without room for more: while the engine computes it, all others arrive, and then their rests
            // share the next one.
            let blockers = if prompts.len() > 1 { self.blockers.clone() } else { Vec::new() };
            let blockers = blockers.into_iter().map(|length| {
                let prompt = self.prompt(length);
                self.submit(prompt, 1)
            });
            let blockers = blockers.collect::<Result<Vec<_>, Failure>>()?;
            let streams = prompts.iter().map(|prompt| self.submit(prompt.clone(), tokens));
            let streams = streams.collect::<Result<Vec<_>, Failure>>()?;
            for blocker in blockers {
                blocker.stream.wait()?;
            }
            let mut times = Vec::new();
            for request in &streams {
                match request.finish(tokens)? {
                    Some(timings) => times.push((request, timings)),
                    None => return Ok(None),
                }
            }
            if let Some(seconds) = in_step(&times, tokens) {
                return Ok(Some(prompts.len() as f64 * f64::from(tokens - 1) / seconds));
            }
        }
        Err(format!("{} requests never started in the same step", prompts.len()).into())
    }
}

/// Seconds from the first token to the last, when all answers had theirs in the same steps.
fn in_step(times: &[(&Submitted, RequestTimings)], tokens: u32) -> Option<f64> {
    let base = times.first()?.0.begin;
    let mut seconds: f64 = 0.0;
    let (mut earliest, mut latest) = (f64::INFINITY, f64::NEG_INFINITY);
    for (request, timings) in times {
        let first = timings.time_to_first_token?;
        seconds = seconds.max((timings.total - first).as_secs_f64());
        // The caller may have been held up on the way: the first token came somewhere between these two.
        earliest = earliest.min((request.end - base + first).as_secs_f64());
        latest = latest.max((request.begin - base + first).as_secs_f64());
    }
    // Less than half a step apart: the same step.
    (2.0 * (latest - earliest) < seconds / f64::from(tokens - 1)).then_some(seconds)
}
