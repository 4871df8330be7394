//! The bar, and what is said at the end.

use std::fmt;
use std::time::{Duration, Instant};

use indicatif::{HumanCount, ProgressBar, ProgressStyle};

/// What was done so far.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Totals {
    pub(crate) started: Instant,
    pub(crate) lines: u64,
    pub(crate) tokens: u64,
    pub(crate) truncated: u64,
}

impl Totals {
    pub(crate) fn start() -> Self {
        Self { started: Instant::now(), lines: 0, tokens: 0, truncated: 0 }
    }

    fn rates(&self) -> (f64, f64) {
        let seconds = self.started.elapsed().as_secs_f64().max(1e-9);
        (self.lines as f64 / seconds, self.tokens as f64 / seconds)
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (lines, tokens) = self.rates();
        let seconds = self.started.elapsed().as_secs_f64();
        write!(
            f,
            "{} lines ({} truncated), {} tokens in {seconds:.2} s: {lines:.1} lines/s, {tokens:.0} tokens/s",
            self.lines, self.truncated, self.tokens
        )
    }
}

/// A bar by bytes where the length of the input is known, else a counter. Only a terminal sees it.
pub(crate) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    pub(crate) fn start(bytes: Option<u64>) -> Self {
        let (bar, template) = match bytes {
            Some(bytes) => (ProgressBar::new(bytes), "{wide_bar} {percent:>3}% {msg}, {eta} left"),
            None => (ProgressBar::new_spinner(), "{spinner} {msg}, {elapsed}"),
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        Self { bar }
    }

    /// `offset` bytes of the input have been dealt with.
    pub(crate) fn show(&self, offset: u64, totals: &Totals) {
        let (lines, tokens) = totals.rates();
        self.bar
            .set_message(format!("{} lines, {lines:.0}/s, {tokens:.0} tokens/s", HumanCount(totals.lines)));
        self.bar.set_position(offset);
    }

    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
