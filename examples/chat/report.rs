//! What a run cost, in words and as JSON.

use std::io::Write;
use std::time::{Duration, Instant};

use serde_json::json;

use super::common::Failure;
use super::generate::Generation;
use super::load::Model;

/// Totals over generations that ran at the same time.
struct Totals {
    tokens: u64,
    prompt_tokens: u64,
    /// From the first request's start to the last one's end.
    wall: Duration,
    /// Tokens per second: of a single generation after its first token, of several over the wall time.
    rate: Option<f64>,
    /// The mean time to the first token, and the longest.
    first_token: Duration,
    slowest_first_token: Duration,
}

impl Totals {
    fn of(generations: &[Generation]) -> Self {
        let tokens = generations.iter().map(|g| g.usage.completion_tokens).sum();
        let start: Option<Instant> = generations.iter().map(|g| g.started).min();
        let end: Option<Instant> = generations.iter().map(|g| g.started + g.total).max();
        let wall = start.zip(end).map_or(Duration::ZERO, |(start, end)| end - start);
        let rate = match generations {
            [one] => one.decode_rate(),
            _ => Some(tokens as f64 / wall.as_secs_f64()),
        };
        Self {
            tokens,
            prompt_tokens: generations.iter().map(|g| g.usage.prompt_tokens).sum(),
            wall,
            rate: rate.filter(|rate| rate.is_finite()),
            first_token: generations.iter().map(|g| g.first_token).sum::<Duration>()
                / u32::try_from(generations.len().max(1)).unwrap_or(u32::MAX),
            slowest_first_token: generations.iter().map(|g| g.first_token).max().unwrap_or_default(),
        }
    }
}

/// A block of lines for people.
pub(crate) fn summary(
    out: &mut impl Write,
    model: &Model,
    generations: &[Generation],
) -> Result<(), Failure> {
    let totals = Totals::of(generations);
    writeln!(out)?;
    let requests = match generations.len() {
        1 => String::new(),
        n => format!(" by {n} requests in {:.2} s", totals.wall.as_secs_f64()),
    };
    writeln!(out, "tokens               {} (prompt {}){requests}", totals.tokens, totals.prompt_tokens)?;
    if let Some(rate) = totals.rate {
        writeln!(out, "tokens/s             {rate:.1}")?;
    }
    let slowest = match generations.len() {
        1 => String::new(),
        _ => format!(" on average, {:.1} ms at most", milliseconds(totals.slowest_first_token)),
    };
    writeln!(out, "time to first token  {:.1} ms{slowest}", milliseconds(totals.first_token))?;
    writeln!(out, "loaded in            {:.1} ms", milliseconds(model.load_time))?;
    writeln!(out, "version              {}", version(generations))?;
    Ok(())
}

/// One JSON object on one line.
pub(crate) fn json(out: &mut impl Write, model: &Model, generations: &[Generation]) -> Result<(), Failure> {
    let totals = Totals::of(generations);
    let answers: Vec<_> = generations
        .iter()
        .map(|g| {
            json!({
                "seed": g.seed,
                "text": g.text,
                "finish_reason": g.finish_reason,
                "usage": g.usage,
                "time_to_first_token_ms": milliseconds(g.first_token),
                "tokens_per_second": g.decode_rate().filter(|rate| rate.is_finite()),
            })
        })
        .collect();
    let report = json!({
        "version": version(generations),
        "tokens": totals.tokens,
        "prompt_tokens": totals.prompt_tokens,
        "seconds": totals.wall.as_secs_f64(),
        "tokens_per_second": totals.rate,
        "time_to_first_token_ms": milliseconds(totals.first_token),
        "load_ms": milliseconds(model.load_time),
        "generations": answers,
    });
    writeln!(out, "{report}")?;
    Ok(())
}

fn version(generations: &[Generation]) -> &str {
    generations.first().map_or("", |generation| &generation.version)
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
