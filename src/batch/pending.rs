//! Requests that are being answered: submitting them, waiting for them, cancelling them.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use crossbeam::channel::{Receiver, Sender, bounded};

use super::request::Call;
use super::result::Head;
use super::window::Finished;
use crate::error::{Error, ErrorKind, Result};
use crate::protocol::{EncodingFormat, Usage};
use crate::runtime::{
    self, ChatStream, CompletionStream, Embeddings, ModelRuntime, PendingEmbeddings, RequestOptions,
};

/// An answer that is being made.
pub(super) enum Pending {
    Chat(ChatStream),
    Completion(CompletionStream),
    Embedding(PendingVectors),
}

/// Cancels a [`Pending`] while somebody waits for it.
#[derive(Debug)]
pub(super) enum Canceller {
    Generation(runtime::Canceller),
    Vectors(Arc<Bell>),
}

/// How an answer ended: its line, or an error and the id of the response that it would have been.
pub(super) type Ending = Result<Finished, (Error, Option<String>)>;

impl Call {
    /// Begins to answer; returns at once.
    ///
    /// # Errors
    /// What shows before anything is computed, a full queue and limits among it.
    pub(super) fn submit(
        &self,
        runtime: &ModelRuntime,
        options: &RequestOptions,
    ) -> Result<(Pending, Canceller)> {
        Ok(match self {
            Self::Chat(request) => {
                let stream = runtime.chat_start(request.clone(), options.clone())?;
                let canceller = Canceller::Generation(stream.canceller());
                (Pending::Chat(stream), canceller)
            }
            Self::Completion(request) => {
                let stream = runtime.complete_start(request.clone(), options.clone())?;
                let canceller = Canceller::Generation(stream.canceller());
                (Pending::Completion(stream), canceller)
            }
            Self::Embedding(request) => {
                let vectors = runtime.embeddings_start(request.clone(), options.clone())?;
                let (pending, bell) = PendingVectors::new(vectors, request.encoding_format);
                (Pending::Embedding(pending), Canceller::Vectors(bell))
            }
        })
    }
}

impl Pending {
    /// Blocks until the answer is there.
    pub(super) fn wait(self, head: &Head) -> Ending {
        match self {
            Self::Chat(stream) => {
                let response = stream.wait().map_err(|error| (error, Some(stream.id().to_owned())))?;
                Ok(generated(head.answered(Some(&response.id), &response), &response.usage))
            }
            Self::Completion(stream) => {
                let response = stream.wait().map_err(|error| (error, Some(stream.id().to_owned())))?;
                Ok(generated(head.answered(Some(&response.id), &response), &response.usage))
            }
            Self::Embedding(vectors) => {
                let format = vectors.format;
                let vectors = vectors.wait().map_err(|error| (error, None))?;
                let response = vectors.to_response(format);
                let bytes = head.answered(None, &response);
                let prompt_tokens = response.usage.prompt_tokens;
                Ok(Finished { bytes, answered: true, prompt_tokens, completion_tokens: 0 })
            }
        }
    }
}

fn generated(bytes: Vec<u8>, usage: &Usage) -> Finished {
    let (prompt_tokens, completion_tokens) = (usage.prompt_tokens, usage.completion_tokens);
    Finished { bytes, answered: true, prompt_tokens, completion_tokens }
}

impl Canceller {
    pub(super) fn cancel(&self) {
        match self {
            Self::Generation(canceller) => canceller.cancel(),
            Self::Vectors(bell) => {
                bell.cancelled.store(true, Ordering::Release);
                bell.ring();
            }
        }
    }
}

/// Vectors that somebody can cancel while somebody else waits for them.
pub(super) struct PendingVectors {
    vectors: PendingEmbeddings,
    format: EncodingFormat,
    bell: Arc<Bell>,
    rung: Receiver<()>,
}

/// What who waits for vectors listens to: they are there, or no longer wanted.
#[derive(Debug)]
pub(super) struct Bell {
    ringing: Sender<()>,
    cancelled: AtomicBool,
}

impl Bell {
    fn ring(&self) {
        // One that is ringing already is heard all the same.
        let _ = self.ringing.try_send(());
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.ring();
    }
}

impl PendingVectors {
    fn new(vectors: PendingEmbeddings, format: EncodingFormat) -> (Self, Arc<Bell>) {
        let (ringing, rung) = bounded(1);
        let bell = Arc::new(Bell { ringing, cancelled: AtomicBool::new(false) });
        (Self { vectors, format, bell: Arc::clone(&bell), rung }, bell)
    }

    fn wait(mut self) -> Result<Embeddings> {
        let waker = Waker::from(Arc::clone(&self.bell));
        let mut context = Context::from_waker(&waker);
        loop {
            if self.bell.cancelled.load(Ordering::Acquire) {
                self.vectors.cancel();
            }
            if let Poll::Ready(vectors) = Pin::new(&mut self.vectors).poll(&mut context) {
                return vectors;
            }
            let lost =
                |_| Error::new(ErrorKind::Internal, "nobody is left to say that the vectors are there");
            self.rung.recv().map_err(lost)?;
        }
    }
}
