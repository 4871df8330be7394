//! The bar, and what is said at the end.

use std::time::{Duration, Instant};

use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use model_runtime::batch::BatchProgress;

/// A bar by bytes of the input. Only a terminal sees it.
pub(crate) struct Report {
    bar: ProgressBar,
    started: Instant,
}

impl Report {
    pub(crate) fn start() -> Self {
        let bar = ProgressBar::new(0);
        if let Ok(style) = ProgressStyle::with_template("{wide_bar} {percent:>3}% {msg}, {eta} left") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        Self { bar, started: Instant::now() }
    }

    pub(crate) fn show(&self, now: &BatchProgress) {
        if let Some(bytes) = now.bytes_total {
            self.bar.set_length(bytes);
        }
        self.bar.set_position(now.bytes_read);
        let waiting = match now.waiting {
            0 => String::new(),
            requests => format!(", {requests} waiting"),
        };
        self.bar.set_message(format!(
            "{} done, {} failed{waiting}, {:.0} tokens/s",
            HumanCount(now.done),
            HumanCount(now.failed),
            self.rate(now)
        ));
    }

    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    /// One line about the whole run.
    pub(crate) fn summary(&self, end: &BatchProgress) -> String {
        format!(
            "{} requests: {} done, {} failed, {} left out as done before; {} prompt and {} completion tokens in {:.2} s, {:.0} tokens/s",
            end.read,
            end.done,
            end.failed,
            end.skipped,
            end.prompt_tokens,
            end.completion_tokens,
            self.started.elapsed().as_secs_f64(),
            self.rate(end)
        )
    }

    /// Tokens a second, prompts and answers together.
    fn rate(&self, now: &BatchProgress) -> f64 {
        let seconds = self.started.elapsed().as_secs_f64().max(1e-9);
        (now.prompt_tokens + now.completion_tokens) as f64 / seconds
    }
}
