//! What a caller may ask of an embedding.

use std::time::Duration;

use serde_json::{Map, Value};

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
    /// The caller's own name for the request, for the ledger.
    pub client_request_id: Option<String>,
    /// What the caller wants to find with the request in the ledger.
    pub usage_context: Option<Map<String, Value>>,
    /// Who asks, how urgently, and which entity is to answer.
    pub request: RequestOptions,
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
        /// Sets [`client_request_id`](Self::client_request_id).
        client_request_id: impl Into<String> => Some(client_request_id.into());
        /// Sets [`usage_context`](Self::usage_context).
        usage_context: Map<String, Value> => Some(usage_context);
        /// Sets [`request`](Self::request).
        request: RequestOptions => request;
    }

    /// Higher goes first; 0 is normal.
    #[must_use]
    pub fn priority(mut self, priority: i32) -> Self {
        self.request = self.request.priority(priority);
        self
    }

    /// How long the caller is willing to wait for all vectors.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.request = self.request.timeout(timeout);
        self
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
            client_request_id: request.client_request_id.clone(),
            usage_context: request.usage_context.clone(),
            request: RequestOptions {
                principal: options.principal.or_else(|| request.user.as_deref().map(Into::into)),
                ..options
            },
        }
    }
}
