//! What a caller may ask of an embedding.

use std::time::Duration;

use crate::protocol::{EmbeddingRequest, Normalize, PoolingMode, Truncate};
use crate::runtime::options::{RequestOptions, setters};

/// What a caller may ask of an embedding. The default is what the model's authors had in mind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct EmbedOptions {
    /// Put before every text, as it is: what the model's authors ask for before a query, for instance. It counts as
    /// part of the text. An empty one leaves out the model's default prompt.
    pub instruction: Option<String>,
    /// The name of one of the model's own prompts, put before every text; not together with an instruction.
    pub prompt_name: Option<String>,
    /// Keep only so many values of each vector, from the first on. A vector that is to have unit length has it after it
    /// was cut. Sensible for models that were trained so (Matryoshka, Kusupati et al., 2022).
    pub dimensions: Option<usize>,
    /// Whether vectors have unit length.
    pub normalize: Normalize,
    /// What happens to a text that is longer than the model takes.
    pub truncate: Truncate,
    /// How a text's rows become its vector; as the model has it by default.
    pub pooling: Option<PoolingMode>,
    /// Higher goes first; 0 is normal.
    pub priority: i32,
    /// How long the caller is willing to wait for all vectors.
    pub timeout: Option<Duration>,
}

impl EmbedOptions {
    setters! {
        /// Sets [`instruction`](Self::instruction).
        instruction: impl Into<String> => Some(instruction.into());
        /// Sets [`prompt_name`](Self::prompt_name).
        prompt_name: impl Into<String> => Some(prompt_name.into());
        /// Sets [`dimensions`](Self::dimensions).
        dimensions: usize => Some(dimensions);
        /// Sets [`normalize`](Self::normalize).
        normalize: Normalize => normalize;
        /// Sets [`truncate`](Self::truncate).
        truncate: Truncate => truncate;
        /// Sets [`pooling`](Self::pooling).
        pooling: PoolingMode => Some(pooling);
        /// Sets [`priority`](Self::priority).
        priority: i32 => priority;
        /// Sets [`timeout`](Self::timeout).
        timeout: Duration => Some(timeout);
    }

    /// What a request of the protocol asks for.
    pub(in crate::runtime) fn of(request: &EmbeddingRequest, options: RequestOptions) -> Self {
        Self {
            instruction: request.instruction.clone(),
            prompt_name: request.prompt_name.clone(),
            dimensions: request.dimensions.map(|dimensions| dimensions as usize),
            normalize: request.normalize,
            truncate: request.truncate,
            pooling: request.pooling,
            priority: options.priority,
            timeout: options.timeout,
        }
    }
}
