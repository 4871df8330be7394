//! Runs of many requests: a file of them in, a file of results out.
//!
//! Lines have the shape of the OpenAI batch API. A request is
//! `{"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": {...}}`, where the URL may also be `/v1/completions` or
//! `/v1/embeddings` and the body is what would be sent there; its result is
//! `{"id": "batch_req_1", "custom_id": "a", "response": {"status_code": 200, "request_id": "chatcmpl-...", "body": {...}}, "error": null}`. A
//! request that is refused or fails has the status and the error body that a hosted API would answer with. A line that is not a request
//! (no JSON, something missing, a name that an earlier line has) has `"response": null` and an `error` with its number, and the run goes on.
//! The number of the line is in each result's `id`.
//!
//! - So many requests as [`concurrency`](Batch::concurrency) says are in the runtime at once. A line is read when there is a place for it, and a
//!   result is written when it is ready, or when those before it are: memory is bounded by that many lines and answers, however long
//!   the file is. Only of the names something is kept for each line, 16 bytes, to find those that are used twice.
//! - What a full queue or a limit refuses for now is tried again: when something has ended, or when the limit says. It holds its place
//!   meanwhile. What else is sent to the same endpoint for the same user waits behind it; all others go on.
//! - Each result is one write. What was written stays whatever happens then; [`Batch::run_files`] goes on from there.

mod error;
mod holds;
mod known;
mod lines;
mod pending;
mod progress;
mod request;
mod result;
mod run;
#[cfg(test)]
mod tests;
mod waiters;
mod window;

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam::channel::{Receiver, Sender, unbounded};

pub use error::BatchError;
pub use progress::{BatchProgress, BatchSummary};

use crate::error::Result;
use crate::runtime::{ModelRuntime, RequestOptions};
use known::Results;
use pending::Ending;

/// The longest line of an input, in bytes. A longer one is an error of its own.
pub const MAX_LINE_BYTES: usize = 16 << 20;

/// The most requests that a run may have at once.
pub const MAX_CONCURRENCY: usize = 1024;

/// As many as an endpoint generates at once by default.
const DEFAULT_CONCURRENCY: usize = 64;

/// In which order results are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum BatchOrder {
    /// In the order of the requests. A slow one holds up those behind it, as many as there are places.
    #[default]
    InOrder,
    /// Each when it is ready: every place is always in use.
    AsReady,
}

/// Hears how far a run is and says whether it goes on.
type Hear<'a> = Box<dyn FnMut(&BatchProgress) -> ControlFlow<()> + Send + 'a>;

/// What a run is told from outside.
enum Event {
    Ended(u64, Ending),
    Cancelled,
}

/// A run of many requests; see the [module](self).
///
/// ```no_run
/// use std::ops::ControlFlow;
///
/// use model_runtime::ModelRuntime;
/// use model_runtime::batch::{Batch, BatchOrder};
///
/// # fn nightly(runtime: &ModelRuntime) -> model_runtime::Result<()> {
/// let batch = Batch::new(runtime).order(BatchOrder::AsReady).progress(|now| {
///     eprintln!("{} done, {} failed", now.done, now.failed);
///     ControlFlow::Continue(())
/// });
/// let summary = batch.run_files("requests.jsonl", "results.jsonl")?;
/// assert!(summary.complete);
/// # Ok(())
/// # }
/// ```
pub struct Batch<'a> {
    runtime: ModelRuntime,
    concurrency: usize,
    order: BatchOrder,
    options: RequestOptions,
    progress: Option<Hear<'a>>,
    cancelled: Arc<AtomicBool>,
    events: Sender<Event>,
    receiver: Receiver<Event>,
}

impl<'a> Batch<'a> {
    /// A run on the endpoints of `runtime`.
    pub fn new(runtime: &ModelRuntime) -> Self {
        let (events, receiver) = unbounded();
        Self {
            runtime: runtime.clone(),
            concurrency: DEFAULT_CONCURRENCY,
            order: BatchOrder::default(),
            options: RequestOptions::default(),
            progress: None,
            cancelled: Arc::default(),
            events,
            receiver,
        }
    }

    /// The most requests at once, 1 to [`MAX_CONCURRENCY`]; 64 by default. Each has a thread that sleeps until its answer is there.
    #[must_use]
    pub fn concurrency(mut self, requests: usize) -> Self {
        self.concurrency = requests;
        self
    }

    /// In which order results are written.
    #[must_use]
    pub fn order(mut self, order: BatchOrder) -> Self {
        self.order = order;
        self
    }

    /// Who asks, and how urgently, for all requests: a low [`priority`](RequestOptions::priority) lets others go before. A
    /// [`timeout`](RequestOptions::timeout) is that of each request.
    #[must_use]
    pub fn options(mut self, options: RequestOptions) -> Self {
        self.options = options;
        self
    }

    /// Who hears how far the run is, when results were written and before each wait. After a `Break` no new request is begun; those
    /// that run end and are written.
    #[must_use]
    pub fn progress(mut self, hear: impl FnMut(&BatchProgress) -> ControlFlow<()> + Send + 'a) -> Self {
        self.progress = Some(Box::new(hear));
        self
    }

    /// A handle that ends the run from elsewhere.
    pub fn canceller(&self) -> BatchCanceller {
        BatchCanceller { cancelled: Arc::clone(&self.cancelled), events: self.events.clone() }
    }

    /// Answers the requests of `input`, a line each, into `output`. Blocks until the last result is written. Reading blocks too: what
    /// is ready meanwhile is written when the line is there.
    ///
    /// # Errors
    /// [`BatchError`], as [`source`](std::error::Error::source): the input cannot be read, the output not be written. What runs is
    /// cancelled then.
    pub fn run(self, input: impl BufRead, output: impl Write) -> Result<BatchSummary> {
        self.check()?;
        Ok(run::run(self, input, output, Results::default(), None)?)
    }

    /// As [`run`](Self::run), from one file into another. If the file of results is there already, the run goes on where an earlier one
    /// ended: what has its result is left out, a line that was cut off is done again. Requests are known by their `custom_id`, lines
    /// that are no requests by their number.
    ///
    /// # Errors
    /// As [`run`](Self::run); a file that cannot be opened; results that another run is writing; a file that holds something else.
    pub fn run_files(self, input: impl AsRef<Path>, output: impl AsRef<Path>) -> Result<BatchSummary> {
        self.check()?;
        let failed = |path: &Path, source| BatchError::File { path: path.into(), source };
        let input = input.as_ref();
        // First: without an input no file of results is made.
        let requests = File::open(input).map_err(|source| failed(input, source))?;
        // A pipe has no length.
        let bytes = requests.metadata().ok().filter(std::fs::Metadata::is_file).map(|data| data.len());
        let (results, file) = Results::open(output.as_ref())?;
        let summary = run::run(self, BufReader::with_capacity(1 << 16, requests), &file, results, bytes)?;
        file.sync_all().map_err(|source| failed(output.as_ref(), source))?;
        Ok(summary)
    }

    fn check(&self) -> Result<(), BatchError> {
        match self.concurrency {
            1..=MAX_CONCURRENCY => Ok(()),
            value => Err(BatchError::Concurrency { value, accepted: MAX_CONCURRENCY }),
        }
    }

    fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }
}

impl std::fmt::Debug for Batch<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Batch")
            .field("concurrency", &self.concurrency)
            .field("order", &self.order)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// Ends a run from elsewhere.
#[derive(Clone)]
pub struct BatchCanceller {
    cancelled: Arc<AtomicBool>,
    events: Sender<Event>,
}

impl BatchCanceller {
    /// No new request is begun, those that run are cancelled. What has ended is written; what was cancelled has no result, and is done
    /// when the run is taken up again.
    pub fn cancel(&self) {
        // Said once: whoever cancels in answer to each progress would keep the run from waiting.
        if !self.cancelled.swap(true, Ordering::AcqRel) {
            // A run that is over hears nothing, and need not.
            let _ = self.events.send(Event::Cancelled);
        }
    }
}

impl std::fmt::Debug for BatchCanceller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BatchCanceller").field("cancelled", &self.cancelled).finish_non_exhaustive()
    }
}
