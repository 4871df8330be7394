//! One precision, in a process of its own: the runtime serves the model and embeds for its callers.

use std::path::Path;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use model_runtime::ModelRuntime;
use model_runtime::protocol::EmbeddingInput;
use model_runtime::runtime::EmbedOptions;
use serde::{Deserialize, Serialize};

use super::Failure;
use super::arguments::{Arguments, Precision};
use super::process::{peak_bytes, progress};
use super::weights::Random;
use super::workload::Workload;

const ENDPOINT: &str = "bench";
/// How often a figure is taken when there is time.
const MOST: usize = 30;

/// What the process found.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Measured {
    /// Seconds from nothing to ready, without the digest of the files.
    pub(crate) load_seconds: f64,
    /// The most memory that the process ever had, where the system tells: without the crowd, whose threads are not ours.
    pub(crate) peak_bytes: Option<u64>,
    /// Tokens per second of every run of every workload.
    pub(crate) runs: Vec<Vec<f64>>,
}

/// Serves the model and takes the figures.
pub(crate) fn measure(model: &Path, precision: Precision, a: &Arguments) -> Result<Measured, Failure> {
    let runtime = ModelRuntime::builder().build()?;
    let start = Instant::now();
    let info = runtime.serve(ENDPOINT, model, precision.options(a))?;
    let load_seconds = start.elapsed().as_secs_f64();
    let mut caller = Caller { runtime, vocab: info.vocab_size, random: Random(1) };
    // The first batches pay for scratch space and cold caches.
    caller.run(&Workload::Batch { texts: 8, length: 64 })?;
    let (mut runs, mut peak) = (Vec::new(), None);
    for workload in a.workloads() {
        progress(&format!("    {:<18}", workload.name()));
        if matches!(workload, Workload::Crowd { .. }) {
            peak = peak_bytes();
        }
        let (mut rates, start) = (Vec::new(), Instant::now());
        while rates.len() < 2 || (rates.len() < MOST && start.elapsed().as_secs_f64() < a.seconds) {
            rates.push(caller.run(&workload)?);
        }
        progress(&format!("{:>9.0} tokens/s\n", rates.iter().copied().fold(0.0, f64::max)));
        runs.push(rates);
    }
    Ok(Measured { load_seconds, peak_bytes: peak.or_else(peak_bytes), runs })
}

/// Who asks.
struct Caller {
    runtime: ModelRuntime,
    vocab: usize,
    random: Random,
}

impl Caller {
    fn text(&mut self, length: usize) -> Vec<u32> {
        (0..length).map(|_| self.random.below(self.vocab) as u32).collect()
    }

    /// Tokens per second.
    fn run(&mut self, workload: &Workload) -> Result<f64, Failure> {
        let texts: Vec<Vec<u32>> = workload.lengths().into_iter().map(|length| self.text(length)).collect();
        let tokens: usize = texts.iter().map(Vec::len).sum();
        let seconds = match workload {
            Workload::Batch { .. } | Workload::Mixed | Workload::Alone { .. } => {
                let start = Instant::now();
                embed(&self.runtime, texts)?;
                start.elapsed().as_secs_f64()
            }
            Workload::Callers { .. } => return self.callers(&texts, Duration::from_millis(500)),
            Workload::Crowd { .. } => self.crowd(texts)?,
        };
        Ok(tokens as f64 / seconds)
    }

    /// Each caller asks for its text again and again, for about `time`: tokens per second from the first question to
    /// the last answer.
    fn callers(&self, texts: &[Vec<u32>], time: Duration) -> Result<f64, Failure> {
        let start = Instant::now();
        let counts: Vec<Result<usize, String>> = thread::scope(|scope| {
            let callers: Vec<_> = texts
                .iter()
                .map(|text| {
                    scope.spawn(move || {
                        let mut tokens = 0;
                        while start.elapsed() < time {
                            embed(&self.runtime, text.clone()).map_err(|error| error.to_string())?;
                            tokens += text.len();
                        }
                        Ok(tokens)
                    })
                })
                .collect();
            callers.into_iter().map(|caller| caller.join().map_err(|_| "a caller panicked")?).collect()
        });
        let tokens = counts.into_iter().sum::<Result<usize, String>>()?;
        Ok(tokens as f64 / start.elapsed().as_secs_f64())
    }

    /// Seconds until every caller has its vector, when all ask at the same moment.
    fn crowd(&self, texts: Vec<Vec<u32>>) -> Result<f64, Failure> {
        let together = Barrier::new(texts.len() + 1);
        thread::scope(|scope| {
            let together = &together;
            let callers: Vec<_> = texts
                .into_iter()
                .map(|text| {
                    scope.spawn(move || {
                        together.wait();
                        embed(&self.runtime, text).map_err(|error| error.to_string())
                    })
                })
                .collect();
            together.wait();
            let start = Instant::now();
            for caller in callers {
                caller.join().map_err(|_| "a caller panicked")??;
            }
            Ok(start.elapsed().as_secs_f64())
        })
    }
}

fn embed(runtime: &ModelRuntime, input: impl Into<EmbeddingInput>) -> Result<(), Failure> {
    let input = input.into();
    let texts = input.len();
    let vectors = runtime.embed(ENDPOINT, input, EmbedOptions::default())?;
    if vectors.len() == texts {
        Ok(())
    } else {
        Err(format!("{} vectors for {texts} texts", vectors.len()).into())
    }
}
