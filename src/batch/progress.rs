//! What is told about a run.

/// How far a run is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BatchProgress {
    /// Lines read, those without a request in them left out.
    pub read: u64,
    /// Lines that had their result already when the run began.
    pub skipped: u64,
    /// Answers written.
    pub done: u64,
    /// Errors written: of requests that were refused or have failed, and of lines that are no requests.
    pub failed: u64,
    /// Requests that are being answered.
    pub running: usize,
    /// Requests that were refused for now, by a full queue or a limit, and are tried again later.
    pub waiting: usize,
    /// Tokens of the prompts of all answers.
    pub prompt_tokens: u64,
    /// Tokens of all answers.
    pub completion_tokens: u64,
    /// Bytes read of the input.
    pub bytes_read: u64,
    /// Bytes of the input, where that is known.
    pub bytes_total: Option<u64>,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct BatchSummary {
    /// What was done.
    pub progress: BatchProgress,
    /// Whether every line of the input has its result; not so after a stop or a cancel.
    pub complete: bool,
}
