//! What callers ask of endpoints that embed.

use super::ModelRuntime;
use super::embedding::{EmbedOptions, Embeddings, PendingEmbeddings};
use super::options::RequestOptions;
use crate::catalog::Task;
#[cfg(doc)]
use crate::error::ErrorKind;
use crate::error::Result;
use crate::protocol::{EmbeddingInput, EmbeddingRequest, EmbeddingResponse};

impl ModelRuntime {
    /// The vectors of texts.
    ///
    /// ```no_run
    /// use model_runtime::runtime::EmbedOptions;
    /// use model_runtime::{ModelRuntime, ServeOptions};
    ///
    /// let runtime = ModelRuntime::builder().build()?;
    /// runtime.serve("bge", "models/bge-large-en-v1.5", ServeOptions::default())?;
    /// let query = EmbedOptions::default().instruction("Represent this sentence for searching relevant passages: ");
    /// let query = runtime.embed("bge", "What is a block table?", query)?;
    /// let passages = runtime.embed("bge", ["A block table is ...", "An oven is ..."], EmbedOptions::default())?;
    /// let scores = passages.iter().map(|p| p.iter().zip(query.values()).map(|(a, b)| a * b).sum::<f32>());
    /// # let _ = scores;
    /// # Ok::<(), model_runtime::Error>(())
    /// ```
    ///
    /// # Errors
    /// Inputs or options that are not valid, a text that is too long ([`ErrorKind::ContextLengthExceeded`]), an unknown
    /// endpoint or one that generates ([`ErrorKind::Unsupported`]), a full queue ([`ErrorKind::Overloaded`]), or what
    /// ended the request.
    pub fn embed(
        &self,
        endpoint: &str,
        inputs: impl Into<EmbeddingInput>,
        options: EmbedOptions,
    ) -> Result<Embeddings> {
        self.embed_start(endpoint, inputs, options)?.wait()
    }

    /// Begins to make the vectors of texts; what comes back tells how far they are, and can be cancelled.
    ///
    /// # Errors
    /// As [`embed`](Self::embed), as far as it shows before anything is computed.
    pub fn embed_start(
        &self,
        endpoint: &str,
        inputs: impl Into<EmbeddingInput>,
        options: EmbedOptions,
    ) -> Result<PendingEmbeddings> {
        let input = inputs.into();
        self.answered(endpoint, Task::Embedding, &options.request, None, |admitted| {
            admitted.entity.served.embedding()?.submit(self, admitted, &input, &options)
        })
    }

    /// Answers an embedding request in the OpenAI shape.
    ///
    /// # Errors
    /// As [`embed`](Self::embed).
    pub fn embeddings(&self, request: EmbeddingRequest) -> Result<EmbeddingResponse> {
        self.embeddings_with(request, RequestOptions::default())
    }

    /// As [`embeddings`](Self::embeddings), with a priority or a timeout.
    ///
    /// # Errors
    /// As [`embed`](Self::embed).
    pub fn embeddings_with(
        &self,
        request: EmbeddingRequest,
        options: RequestOptions,
    ) -> Result<EmbeddingResponse> {
        let format = request.encoding_format;
        Ok(self.embeddings_start(request, options)?.wait()?.to_response(format))
    }

    /// Begins to answer an embedding request in the OpenAI shape: its vectors come as [`Embeddings`], in whatever
    /// encoding the request asks for, and [`Embeddings::to_response`] makes the response of them.
    ///
    /// # Errors
    /// As [`embed`](Self::embed), as far as it shows before anything is computed.
    pub fn embeddings_start(
        &self,
        request: EmbeddingRequest,
        options: RequestOptions,
    ) -> Result<PendingEmbeddings> {
        request.validate()?;
        let options = EmbedOptions::of(&request, options);
        self.embed_start(&request.model, request.input, options)
    }
}
