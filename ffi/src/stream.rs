//! Running answers of any shape behind one trait: chats and completions differ only in what they print.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_core::Stream;
use runtime::protocol::{ChatChunk, CompletionChunk};
use runtime::runtime::{Canceller, Next, RequestTimings, ResponseStream, Session, Shape};
use runtime::{Error, ErrorKind};
use serde::Serialize;

use crate::event::EventHandle;

/// What a reader finds.
pub(crate) enum Found {
    Event(EventHandle),
    TimedOut,
    End,
}

/// A running answer.
pub(crate) trait Answer: Send + Sync {
    /// All that is new as one event. Waits for it, at most `timeout`. An error is reported by every call after it.
    fn next(&self, timeout: Duration) -> Result<Found, Error>;
    /// All that is new as one event; `None` after the end.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<EventHandle>, Error>>;
    /// The whole response as JSON; `None` when `timeout` passes first.
    fn wait(&self, timeout: Option<Duration>) -> Option<Result<String, Error>>;
    fn canceller(&self) -> Canceller;
    fn version(&self) -> &str;
    fn timings(&self) -> Option<RequestTimings>;
    /// A choice as a conversation, once the request has ended well.
    fn session(&self, choice: usize) -> Option<Session>;
}

/// The text that a chunk adds to its answer; of several choices, to the first.
trait Piece: Serialize + Send + Sync + 'static {
    fn add_to(&self, text: &mut String);
}

impl Piece for ChatChunk {
    fn add_to(&self, text: &mut String) {
        self.choices
            .iter()
            .filter(|choice| choice.index == 0)
            .filter_map(|choice| choice.delta.content.as_deref())
            .for_each(|new| text.push_str(new));
    }
}

impl Piece for CompletionChunk {
    fn add_to(&self, text: &mut String) {
        self.choices.iter().filter(|choice| choice.index == 0).for_each(|choice| text.push_str(&choice.text));
    }
}

fn event<C: Piece>(chunks: Vec<C>) -> EventHandle {
    let mut text = String::new();
    chunks.iter().for_each(|chunk| chunk.add_to(&mut text));
    EventHandle::chunks(text, chunks)
}

/// What ended an answer, if that was an error. The stream itself reports it only once.
trait Failing {
    fn failure(&self) -> Option<Error>;
}

impl<S: Shape> Failing for ResponseStream<S> {
    fn failure(&self) -> Option<Error> {
        self.wait_timeout(Some(Duration::ZERO))?.err()
    }
}

impl<S> Answer for ResponseStream<S>
where
    S: Shape + Send + Sync + Unpin,
    S::Chunk: Piece + Unpin,
    S::Response: Serialize,
{
    fn next(&self, timeout: Duration) -> Result<Found, Error> {
        match self.next_timeout(timeout)? {
            Next::Chunks(chunks) => Ok(Found::Event(event(chunks))),
            Next::TimedOut => Ok(Found::TimedOut),
            Next::Finished => self.failure().map_or(Ok(Found::End), Err),
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<EventHandle>, Error>> {
        let first = match std::task::ready!(Pin::new(&mut *self).poll_next(context)) {
            Some(chunk) => chunk?,
            None => return Poll::Ready(self.failure().map_or(Ok(None), Err)),
        };
        let mut chunks = vec![first];
        // If this meets the answer's error instead, the next poll asks for it again.
        if let Ok(Next::Chunks(rest)) = self.next_timeout(Duration::ZERO) {
            chunks.extend(rest);
        }
        Poll::Ready(Ok(Some(event(chunks))))
    }

    fn wait(&self, timeout: Option<Duration>) -> Option<Result<String, Error>> {
        self.wait_timeout(timeout).map(|response| print(&response?))
    }

    fn canceller(&self) -> Canceller {
        self.canceller()
    }

    fn version(&self) -> &str {
        self.version()
    }

    fn timings(&self) -> Option<RequestTimings> {
        self.timings()
    }

    fn session(&self, choice: usize) -> Option<Session> {
        self.session(choice)
    }
}

/// An answer of which only the end is reported.
pub(crate) struct Whole(pub(crate) Box<dyn Answer>);

impl Answer for Whole {
    fn next(&self, timeout: Duration) -> Result<Found, Error> {
        let deadline = Instant::now().checked_add(timeout);
        let left = || deadline.map_or(Duration::MAX, |at| at.saturating_duration_since(Instant::now()));
        loop {
            match self.0.next(left())? {
                Found::Event(_) => {}
                end => return Ok(end),
            }
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<EventHandle>, Error>> {
        loop {
            match std::task::ready!(self.0.poll(context)) {
                Ok(Some(_)) => {}
                end => return Poll::Ready(end),
            }
        }
    }

    fn wait(&self, timeout: Option<Duration>) -> Option<Result<String, Error>> {
        self.0.wait(timeout)
    }

    fn canceller(&self) -> Canceller {
        self.0.canceller()
    }

    fn version(&self) -> &str {
        self.0.version()
    }

    fn timings(&self) -> Option<RequestTimings> {
        self.0.timings()
    }

    fn session(&self, choice: usize) -> Option<Session> {
        self.0.session(choice)
    }
}

/// As JSON. The types of the protocol always print; a failure would be a defect.
pub(crate) fn print(value: &impl Serialize) -> Result<String, Error> {
    serde_json::to_string(value)
        .map_err(|error| Error::new(ErrorKind::Internal, format!("a response does not print: {error}")))
}
