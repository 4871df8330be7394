//! Telling a caller how far a load has come.

/// What a load is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LoadPhase {
    /// Hashing the files that define the model.
    Digest,
    /// Reading tensors.
    Weights,
}

/// How far a load has come. Callbacks that get one return [`std::ops::ControlFlow::Break`] to cancel the load, which
/// then ends with [`super::WeightsError::Cancelled`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoadProgress {
    /// What is being done.
    pub phase: LoadPhase,
    /// Bytes of this phase that are done.
    pub done_bytes: u64,
    /// Bytes of this phase in all.
    pub total_bytes: u64,
}
