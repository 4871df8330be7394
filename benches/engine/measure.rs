//! The measurements. Each serves the model anew, so that no cache carries over.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use model_runtime::protocol::CompletionRequest;
use model_runtime::{ModelRuntime, ServeOptions};

use super::Failure;
use super::arguments::Arguments;
use super::model::TOKENIZER_VOCAB;
use super::report::Report;
use super::weights::Random;

const ENDPOINT: &str = "bench";
/// A word of the tokenizer. The bias makes it every answer's every token: each chunk is then one token and no answer
/// ends early, whatever the random weights say. The model computes the same as without it.
const WORD: u32 = 300;
const BIAS: f32 = 100.0;
/// Prompts of the batch measurements: all of 32 prompts fit in one step of prefill.
const SHORT_PROMPT: usize = 8;

/// A prompt of tokens that are ordinary text.
fn prompt(random: &mut Random, length: usize) -> Vec<u32> {
    (0..length).map(|_| 259 + random.below(TOKENIZER_VOCAB - 259) as u32).collect()
}

fn serve(folder: &Path, options: ServeOptions) -> Result<ModelRuntime, Failure> {
    let runtime = ModelRuntime::builder().build()?;
    runtime.serve(ENDPOINT, folder, options)?;
    // The first steps pay for scratch space and cold caches.
    generate(&runtime, prompt(&mut Random(99), SHORT_PROMPT), 4)?;
    Ok(runtime)
}

fn options(a: &Arguments) -> ServeOptions {
    let sequences = a.batches.iter().copied().max().unwrap_or(1).max(a.running + 1);
    let cache = a.context() * 2 + sequences * (SHORT_PROMPT + a.tokens as usize + 64);
    ServeOptions::default()
        .context_length(a.context())
        .cache_tokens(cache)
        .max_sequences(sequences)
        .max_queue(sequences)
        .max_prefill_tokens(a.bound)
}

/// When the chunks of one answer arrived.
struct Arrivals {
    submitted: Instant,
    tokens: Vec<Instant>,
}

impl Arrivals {
    fn first(&self) -> Instant {
        self.tokens.first().copied().unwrap_or(self.submitted)
    }

    fn last(&self) -> Instant {
        self.tokens.last().copied().unwrap_or(self.submitted)
    }

    fn to_first(&self) -> Duration {
        self.first() - self.submitted
    }
}

/// One greedy answer of `tokens` tokens; each is seen by `on_token` as it arrives.
fn generate_with(
    runtime: &ModelRuntime,
    prompt: Vec<u32>,
    tokens: u32,
    mut on_token: impl FnMut(usize),
) -> Result<Arrivals, Failure> {
    let mut request = CompletionRequest::new(ENDPOINT, prompt).max_tokens(tokens).temperature(0.0);
    request.options.logit_bias.insert(WORD, BIAS);
    let submitted = Instant::now();
    let mut arrivals = Vec::with_capacity(tokens as usize);
    for chunk in runtime.complete_stream(request)? {
        if chunk?.choices.iter().any(|choice| !choice.text.is_empty()) {
            arrivals.push(Instant::now());
            on_token(arrivals.len());
        }
    }
    if arrivals.len() != tokens as usize {
        return Err(format!("{} chunks with text arrived for {tokens} tokens", arrivals.len()).into());
    }
    Ok(Arrivals { submitted, tokens: arrivals })
}

fn generate(runtime: &ModelRuntime, prompt: Vec<u32>, tokens: u32) -> Result<Arrivals, Failure> {
    generate_with(runtime, prompt, tokens, |_| {})
}

/// The best of several runs.
fn best(repeat: usize, mut run: impl FnMut(usize) -> Result<f64, Failure>) -> Result<f64, Failure> {
    (0..repeat.max(1)).try_fold(0.0, |best: f64, index| Ok(best.max(run(index)?)))
}

pub(crate) fn prefill(folder: &Path, a: &Arguments, report: &mut Report) -> Result<(), Failure> {
    let runtime = serve(folder, options(a))?;
    let mut random = Random(2);
    let rate = best(a.repeat, |_| {
        let arrivals = generate(&runtime, prompt(&mut random, a.prefill), 1)?;
        Ok(a.prefill as f64 / arrivals.to_first().as_secs_f64())
    })?;
    report.add("prefill_tokens_per_second", "prefill", rate, "tokens/s", format!("prompt of {}", a.prefill));
    Ok(())
}

pub(crate) fn batches(folder: &Path, a: &Arguments, report: &mut Report) -> Result<(), Failure> {
    let runtime = serve(folder, options(a))?;
    let mut alone = None;
    for &size in &a.batches {
        let rate = best(a.repeat, |index| batch(&runtime, a, size, index as u64))?;
        let alone = *alone.get_or_insert(rate / size as f64);
        let scaling = format!("{:.2} times one sequence", rate / alone);
        report.add(
            &format!("decode_tokens_per_second_{size}"),
            format!("decode, batch {size}"),
            rate,
            "tokens/s",
            scaling,
        );
    }
    Ok(())
}

/// Tokens per second of all `size` answers together, from the first token of any to the last token of any.
fn batch(runtime: &ModelRuntime, a: &Arguments, size: usize, run: u64) -> Result<f64, Failure> {
    let answers = thread::scope(|scope| {
        let running: Vec<_> = (0..size as u64)
            .map(|index| {
                let prompt = prompt(&mut Random(1 + index + 1000 * run), SHORT_PROMPT);
                scope.spawn(move || generate(runtime, prompt, a.tokens).map_err(|error| error.to_string()))
            })
            .collect();
        running.into_iter().map(join).collect::<Result<Vec<Arrivals>, String>>()
    })?;
    let start = answers.iter().map(Arrivals::first).min();
    let end = answers.iter().map(Arrivals::last).max();
    let seconds = start.zip(end).map_or(0.0, |(start, end)| (end - start).as_secs_f64());
    let after_first: usize = answers.iter().map(|answer| answer.tokens.len() - 1).sum();
    Ok(after_first as f64 / seconds)
}

fn join<T>(thread: thread::ScopedJoinHandle<'_, Result<T, String>>) -> Result<T, String> {
    thread.join().unwrap_or_else(|_| Err("a caller's thread panicked".into()))
}

pub(crate) fn decode_gap(folder: &Path, a: &Arguments, report: &mut Report) -> Result<(), Failure> {
    let unbounded = options(a).max_prefill_tokens(a.long_prompt).max_batch_tokens(a.long_prompt + a.running);
    let bounded = (format!("bound {} tokens", a.bound), "bounded", options(a));
    for (name, key, options) in [bounded, ("no bound".to_owned(), "unbounded", unbounded)] {
        let gaps = longest_gaps(folder, a, options)?;
        let milliseconds = |gap: Duration| gap.as_secs_f64() * 1e3;
        report.add(
            &format!("decode_gap_{key}_ms"),
            format!("longest decode gap, {name}"),
            milliseconds(gaps.beside),
            "ms",
            format!(
                "{} running, a prompt of {} arrives; before it {:.1} ms",
                a.running,
                a.long_prompt,
                milliseconds(gaps.alone)
            ),
        );
        report.add(
            &format!("long_prompt_first_token_{key}_ms"),
            format!("its first token, {name}"),
            milliseconds(gaps.first_token),
            "ms",
            String::new(),
        );
    }
    Ok(())
}

struct Gaps {
    /// The longest pause between two tokens of a running answer while the long prompt is computed.
    beside: Duration,
    /// The same before the long prompt came.
    alone: Duration,
    /// How long the long prompt waited for its own first token.
    first_token: Duration,
}

fn longest_gaps(folder: &Path, a: &Arguments, options: ServeOptions) -> Result<Gaps, Failure> {
    const BEFORE: usize = 24;
    let runtime = serve(folder, options)?;
    // A running answer has to outlast the long prompt: one token per step at least, some steps before and after.
    let tokens =
        (a.context() - SHORT_PROMPT - 1).min(BEFORE + 64 + 4 * a.long_prompt.div_ceil(a.bound)) as u32;
    let (under_way, go) = crossbeam::channel::bounded(a.running);
    let (running, long) = thread::scope(|scope| {
        let running: Vec<_> = (0..a.running as u64)
            .map(|index| {
                let (runtime, under_way) = (&runtime, under_way.clone());
                scope.spawn(move || {
                    generate_with(runtime, prompt(&mut Random(500 + index), SHORT_PROMPT), tokens, |count| {
                        if count == BEFORE {
                            // The other side is gone only when the measurement failed.
                            let _ = under_way.send(());
                        }
                    })
                    .map_err(|error| error.to_string())
                })
            })
            .collect();
        drop(under_way);
        go.iter().take(a.running).for_each(drop);
        let long =
            generate(&runtime, prompt(&mut Random(7), a.long_prompt), 1).map_err(|error| error.to_string());
        let running = running.into_iter().map(join).collect::<Result<Vec<Arrivals>, String>>();
        running.and_then(|running| Ok((running, long?)))
    })?;
    let gap = |from: Instant, to: Instant| {
        let pairs = running.iter().flat_map(|answer| answer.tokens.windows(2));
        pairs
            .filter(|pair| pair[1] >= from && pair[0] <= to)
            .map(|pair| pair[1] - pair[0])
            .max()
            .unwrap_or_default()
    };
    if running.iter().any(|answer| answer.last() < long.first()) {
        return Err(
            "a running answer ended before the long prompt was computed; give more --running or a longer one"
                .into(),
        );
    }
    let started = running.iter().map(Arrivals::first).max().unwrap_or(long.submitted);
    // Up to one token before the prompt came: the pause that it falls into belongs to it.
    let quiet = running.iter().map(|answer| answer.tokens[BEFORE - 2]).min().unwrap_or(started);
    Ok(Gaps {
        beside: gap(long.submitted, long.first()),
        alone: gap(started, quiet),
        first_token: long.to_first(),
    })
}

pub(crate) fn prefix_hit(folder: &Path, a: &Arguments, report: &mut Report) -> Result<(), Failure> {
    let runtime = serve(folder, options(a))?;
    let mut random = Random(3);
    let mut cold = f64::INFINITY;
    let mut warm = f64::INFINITY;
    for _ in 0..a.repeat.max(1) {
        let prefix = prompt(&mut random, a.prefix);
        let mut after = |prefix: &[u32]| [prefix, &prompt(&mut random, SHORT_PROMPT)].concat();
        cold = cold.min(generate(&runtime, after(&prefix), 1)?.to_first().as_secs_f64());
        warm = warm.min(generate(&runtime, after(&prefix), 1)?.to_first().as_secs_f64());
    }
    let note = format!(
        "first token after {:.1} ms instead of {:.1} ms, prefix of {}",
        warm * 1e3,
        cold * 1e3,
        a.prefix
    );
    report.add("prefix_cold_first_token_ms", "first token, cold prefix", cold * 1e3, "ms", String::new());
    report.add("prefix_hit_first_token_ms", "first token, prefix hit", warm * 1e3, "ms", String::new());
    report.add("prefix_hit_speedup", "prefix-hit speed-up", cold / warm, "times", note);
    Ok(())
}
