//! Responses as server-sent events, for hosts that offer over HTTP what the runtime answers.
//!
//! The lines are those of the OpenAI API: each chunk is one `data:` line of JSON and an empty line, and `data: [DONE]` is the
//! end. A request that fails before its first chunk is answered by its status and its [`ErrorBody`]. One that fails later has
//! sent its status already: the error comes as an event of its own, and the stream ends without `[DONE]`, so that nobody takes
//! for whole what is not. The published clients raise an error when they read such an event.

use serde::Serialize;

use super::error_body::ErrorBody;
use crate::error::{Error, ErrorKind, Result};

/// What a host says of such a body in the header `Content-Type`.
pub const CONTENT_TYPE: &str = "text/event-stream";

/// The event after the last chunk.
pub const DONE: &str = "data: [DONE]\n\n";

/// An event whose data is `value` as JSON.
///
/// # Errors
/// [`ErrorKind::Internal`] for what JSON cannot say, such as a map whose keys are lists; no type of this crate is such.
pub fn event(value: &impl Serialize) -> Result<String> {
    // JSON escapes line breaks within strings, and this has none between them: the data is one line.
    let json = serde_json::to_string(value).map_err(|error| {
        Error::new(ErrorKind::Internal, format!("a chunk cannot be written as JSON: {error}"))
            .with_source(error)
    })?;
    Ok(format!("data: {json}\n\n"))
}

/// The event that ends a stream whose request has failed: `data: {"error": {...}}`.
pub fn error_event(error: &Error) -> String {
    // Made of plain strings and numbers. Should it ever fail, the stream just ends, which is a failure to its reader too.
    event(&ErrorBody::from(error)).unwrap_or_default()
}

/// The events of a stream of chunks, [`DONE`] or an error at the end.
///
/// ```no_run
/// use model_runtime::ModelRuntime;
/// use model_runtime::protocol::{ChatRequest, EventStream};
///
/// # fn answer(runtime: &ModelRuntime, body: &[u8], mut send: impl FnMut(&str)) -> model_runtime::Result<()> {
/// for event in EventStream::new(runtime.chat_stream(ChatRequest::from_json(body)?)?) {
///     send(&event);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct EventStream<I> {
    chunks: I,
    ended: bool,
}

impl<I> EventStream<I> {
    /// The events of `chunks`.
    pub fn new(chunks: I) -> Self {
        Self { chunks, ended: false }
    }
}

impl<I, C> Iterator for EventStream<I>
where
    I: Iterator<Item = Result<C>>,
    C: Serialize,
{
    type Item = String;

    fn next(&mut self) -> Option<String> {
        if self.ended {
            return None;
        }
        let next = self.chunks.next().map(|chunk| event(&chunk?));
        self.ended = !matches!(next, Some(Ok(_)));
        Some(match next {
            Some(Ok(event)) => event,
            Some(Err(error)) => error_event(&error),
            None => DONE.to_owned(),
        })
    }
}

impl<I, C> std::iter::FusedIterator for EventStream<I>
where
    I: Iterator<Item = Result<C>>,
    C: Serialize,
{
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::protocol::{CompletionChunk, CompletionChunkChoice, CompletionObject};

    /// The data of the events of a text, as the WHATWG's rules for event streams read them.
    fn read(text: &str) -> Vec<String> {
        let (mut events, mut data) = (Vec::new(), None::<String>);
        for line in text.replace("\r\n", "\n").split(['\n', '\r']) {
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            match field {
                "" if line.is_empty() => events.extend(data.take()),
                "data" => {
                    let value = value.strip_prefix(' ').unwrap_or(value);
                    data = Some(data.map_or(value.to_owned(), |before| format!("{before}\n{value}")));
                }
                other => assert!(other.is_empty(), "a field nobody sends: {line:?}"),
            }
        }
        events
    }

    fn chunk(text: &str) -> CompletionChunk {
        CompletionChunk {
            id: "cmpl-1".into(),
            object: CompletionObject::TextCompletion,
            created: 7,
            model: "m".into(),
            choices: vec![CompletionChunkChoice {
                text: text.into(),
                index: 0,
                logprobs: None,
                finish_reason: None,
            }],
            usage: None,
            x_lifecycle: None,
        }
    }

    #[test]
    fn events_are_written_as_the_api_writes_them() {
        assert_eq!(event(&chunk("a\nb")).unwrap().lines().count(), 2);
        assert_eq!(
            event(&serde_json::json!({"text": "a\r\n\u{2028}b"})).unwrap(),
            "data: {\"text\":\"a\\r\\n\u{2028}b\"}\n\n"
        );
        assert_eq!(
            error_event(&Error::new(ErrorKind::Cancelled, "the request was cancelled")),
            "data: {\"error\":{\"message\":\"the request was cancelled\",\"type\":\"cancelled_error\",\"param\":null,\"code\":\"cancelled\"}}\n\n"
        );
        assert_eq!(DONE, "data: [DONE]\n\n");
    }

    #[test]
    fn what_json_cannot_say_is_an_error() {
        let unsayable = std::collections::BTreeMap::from([(vec![1], 2)]);
        assert_eq!(event(&unsayable).unwrap_err().kind(), ErrorKind::Internal);
        let events: Vec<String> = EventStream::new([Ok(unsayable)].into_iter()).collect();
        assert!(matches!(&events[..], [one] if one.starts_with(r#"data: {"error":"#)), "{events:?}");
    }

    #[test]
    fn an_error_is_the_last_event_and_nothing_is_done() {
        let late = Error::new(ErrorKind::DeadlineExceeded, "the deadline has passed");
        let events = EventStream::new([Ok(chunk("a")), Err(late), Ok(chunk("b"))].into_iter());
        let events = read(&events.collect::<String>());
        assert_eq!(events.len(), 2, "{events:?}");
        let last: Value = serde_json::from_str(&events[1]).unwrap();
        assert_eq!(
            (&last["error"]["type"], &last["error"]["code"]),
            (&"timeout_error".into(), &"deadline_exceeded".into())
        );
    }

    proptest! {
        #[test]
        fn chunks_come_back_whole_whatever_they_say(texts in prop::collection::vec("(?s).{0,40}", 0..8)) {
            let chunks: Vec<CompletionChunk> = texts.iter().map(|text| chunk(text)).collect();
            let events: Vec<String> = EventStream::new(chunks.iter().cloned().map(Ok)).collect();
            for event in &events {
                let data = event.strip_suffix("\n\n").unwrap();
                prop_assert!(!data.contains(['\n', '\r']), "{event:?}");
            }
            let mut data = read(&events.concat());
            prop_assert_eq!(data.pop(), Some("[DONE]".to_owned()));
            let back: Vec<CompletionChunk> = data.iter().map(|json| serde_json::from_str(json).unwrap()).collect();
            prop_assert_eq!(back, chunks);
        }
    }
}
