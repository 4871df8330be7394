//! Answers as callers see them: an iterator of chunks, or the whole at once.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;

use super::answer::{Answer, End, Read, Whole};
use super::group::Group;
use super::session::Session;
use super::shape::{Identity, Shape};
use crate::error::{Error, ErrorKind, Result};
use crate::protocol::Usage;

/// An answer that is being made. Dropping it cancels the request.
///
/// Iterating gives one chunk at a time and blocks until the next one; with feature `async` it is also a
/// `futures::Stream`. After an error or the last chunk there is nothing more.
pub struct ResponseStream<S: Shape> {
    identity: Identity,
    answer: Arc<Answer>,
    /// Weak: it is there as long as the engine has something to do for it.
    group: Weak<Group>,
    cursor: Mutex<Cursor<S>>,
}

/// How far an answer was read.
struct Cursor<S: Shape> {
    shape: S,
    ready: VecDeque<S::Chunk>,
    ended: bool,
}

/// What [`ResponseStream::next_timeout`] found.
#[derive(Debug)]
pub enum Next<C> {
    /// All chunks that are new, at least one.
    Chunks(Vec<C>),
    /// Nothing new within the time.
    TimedOut,
    /// Every chunk was read.
    Finished,
}

/// When things happened to a request that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct RequestTimings {
    /// From submission to the first step.
    pub queued: Duration,
    /// From submission to the first token; absent when none was made.
    pub time_to_first_token: Option<Duration>,
    /// From submission to the end.
    pub total: Duration,
    /// How often the request gave up its place in the cache and was computed again.
    pub preemptions: u32,
}

impl<S: Shape> ResponseStream<S> {
    pub(super) fn new(identity: Identity, shape: S, group: &Arc<Group>) -> Self {
        let ready = (0..identity.choices).filter_map(|choice| shape.first(&identity, choice)).collect();
        let cursor = Mutex::new(Cursor { shape, ready, ended: false });
        let answer = Arc::clone(group.answer());
        Self { identity, answer, group: Arc::downgrade(group), cursor }
    }

    /// The response's id.
    pub fn id(&self) -> &str {
        &self.identity.id
    }

    /// The exact version that serves the request.
    pub fn version(&self) -> &str {
        &self.identity.version
    }

    /// Tokens of the prompt, those of the chat template included.
    pub fn prompt_tokens(&self) -> usize {
        self.identity.prompt_tokens
    }

    /// Cancels the request: the stream ends with [`ErrorKind::Cancelled`] within one step of the engine. What was
    /// generated until then can still be read. A request that has ended stays as it is.
    pub fn cancel(&self) {
        if let Some(group) = self.group.upgrade() {
            group.cancel();
        }
    }

    /// A handle that can cancel this request from elsewhere, while somebody reads the stream.
    pub fn canceller(&self) -> Canceller {
        Canceller { group: self.group.clone() }
    }

    /// All chunks that are new. Waits for the first of them, at most `timeout`.
    ///
    /// # Errors
    /// What ended the request; afterwards the stream is [`Next::Finished`].
    pub fn next_timeout(&self, timeout: Duration) -> Result<Next<S::Chunk>> {
        // Held while waiting: two readers share the chunks, each chunk going to one of them.
        let mut cursor = self.cursor.lock();
        if cursor.ready.is_empty() && !cursor.ended {
            self.accept(&mut cursor, self.answer.read(Some(timeout)))?;
        }
        if cursor.ready.is_empty() {
            return Ok(if cursor.ended { Next::Finished } else { Next::TimedOut });
        }
        Ok(Next::Chunks(cursor.ready.drain(..).collect()))
    }

    /// The whole answer, whatever of it was read as chunks. Blocks until it ends.
    ///
    /// # Errors
    /// What ended the request.
    pub fn wait(&self) -> Result<S::Response> {
        self.wait_timeout(None)
            .unwrap_or_else(|| Err(Error::new(ErrorKind::Internal, "the wait ended early")))
    }

    /// As [`wait`](Self::wait), for at most `timeout` (for ever with `None`); `None` when it passes.
    pub fn wait_timeout(&self, timeout: Option<Duration>) -> Option<Result<S::Response>> {
        let (choices, end) = match self.answer.whole(timeout)? {
            Ok(whole) => whole,
            Err(error) => return Some(Err(error)),
        };
        Some(Ok(self.response(choices, &end)))
    }

    /// A choice as a conversation to be kept ([`ModelRuntime::save_session`](crate::ModelRuntime::save_session)), once the
    /// request has ended well: its prompt and what was generated. `None` before, and for a choice that is not there.
    pub fn session(&self, choice: usize) -> Option<Session> {
        let (mut choices, _) = self.answer.whole(Some(Duration::ZERO))?.ok()?;
        if choice >= choices.len() {
            return None;
        }
        let Identity { prompts, endpoint, adapter, choices: all, .. } = &self.identity;
        let prompt = prompts.get(choice / (all / prompts.len().max(1)).max(1))?;
        let tokens = [prompt.as_slice(), &choices.swap_remove(choice).ids].concat();
        Some(Session { endpoint: endpoint.clone(), adapter: adapter.clone(), tokens })
    }

    /// When things happened, once the request has ended well.
    pub fn timings(&self) -> Option<RequestTimings> {
        let timings = self.answer.end()?.ok()?.timings;
        let since = |moment: Duration| moment.saturating_sub(timings.submitted);
        Some(RequestTimings {
            queued: since(timings.started.unwrap_or(timings.finished)),
            time_to_first_token: timings.first_token.map(since),
            total: since(timings.finished),
            preemptions: timings.preemptions,
        })
    }

    /// What the request took, once it has ended well.
    pub fn usage(&self) -> Option<Usage> {
        Some(self.answer.end()?.ok()?.usage)
    }

    fn response(&self, choices: Vec<Whole>, end: &End) -> S::Response {
        self.cursor.lock().shape.whole(&self.identity, choices, &end.reasons, end.usage)
    }

    /// Turns what was read into chunks.
    fn accept(&self, cursor: &mut Cursor<S>, read: Read) -> Result<()> {
        let Cursor { shape, ready, ended } = cursor;
        match read {
            Read::TimedOut => {}
            Read::Pieces(pieces) => {
                ready.extend(pieces.iter().map(|piece| shape.piece(&self.identity, piece)));
            }
            Read::End(end) => {
                *ended = true;
                let end = end?;
                for (choice, reason) in end.reasons.iter().enumerate() {
                    let is_last = choice + 1 == end.reasons.len();
                    ready.push_back(shape.last(&self.identity, choice, *reason, is_last));
                }
                if self.identity.include_usage {
                    ready.push_back(shape.usage(&self.identity, end.usage));
                }
            }
        }
        Ok(())
    }
}

impl<S: Shape> Iterator for ResponseStream<S> {
    type Item = Result<S::Chunk>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut cursor = self.cursor.lock();
        while cursor.ready.is_empty() && !cursor.ended {
            if let Err(error) = self.accept(&mut cursor, self.answer.read(None)) {
                return Some(Err(error));
            }
        }
        cursor.ready.pop_front().map(Ok)
    }
}

#[cfg(feature = "async")]
impl<S: Shape> futures_core::Stream for ResponseStream<S> {
    type Item = Result<S::Chunk>;

    fn poll_next(
        self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        let mut cursor = self.cursor.lock();
        while cursor.ready.is_empty() && !cursor.ended {
            let read = std::task::ready!(self.answer.poll_read(context));
            if let Err(error) = self.accept(&mut cursor, read) {
                return std::task::Poll::Ready(Some(Err(error)));
            }
        }
        std::task::Poll::Ready(cursor.ready.pop_front().map(Ok))
    }
}

impl<S: Shape> Drop for ResponseStream<S> {
    fn drop(&mut self) {
        // One that has ended is past cancelling; asking would only wake the worker.
        if self.answer.end().is_none() {
            self.cancel();
        }
    }
}

impl<S: Shape> std::fmt::Debug for ResponseStream<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Identity { id, version, .. } = &self.identity;
        f.debug_struct("ResponseStream").field("id", id).field("version", version).finish_non_exhaustive()
    }
}

/// Cancels one request; outlives the stream without keeping anything alive.
#[derive(Debug, Clone)]
pub struct Canceller {
    group: Weak<Group>,
}

impl Canceller {
    /// Cancels the request, as [`ResponseStream::cancel`].
    pub fn cancel(&self) {
        if let Some(group) = self.group.upgrade() {
            group.cancel();
        }
    }
}
