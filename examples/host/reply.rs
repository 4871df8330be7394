//! Replies: JSON, errors, events.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Bytes, Frame};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Method, StatusCode};
use model_runtime::protocol::{ErrorBody, ErrorDetail, PlainDetail, event_stream};
use model_runtime::{Error, ErrorKind, Result};
use serde::Serialize;
use tokio::sync::mpsc::Receiver;

use super::answer::CancelOnDrop;

pub(crate) type Response = hyper::Response<UnsyncBoxBody<Bytes, Infallible>>;

/// A value, all is well.
pub(crate) fn json(value: &impl Serialize) -> Result<Response> {
    let body = serde_json::to_vec(value).map_err(|error| {
        Error::new(ErrorKind::Internal, format!("the answer cannot be written as JSON: {error}"))
    })?;
    Ok(plain(StatusCode::OK, body))
}

/// An error under the status that the library gives it.
pub(crate) fn error(error: &Error) -> Response {
    let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = plain(status, serde_json::to_vec(&ErrorBody::from(error)).unwrap_or_default());
    if let Some(after) = error.retry_after() {
        // In whole seconds, rounded up: who waits as long need not come again.
        let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    response
}

/// A URL that is there, asked for in another way.
pub(crate) fn wrong_method(path: &str, found: &Method, accepted: &Method) -> Response {
    let detail = PlainDetail {
        message: format!("{path} does not take {found}; accepted is {accepted}"),
        kind: "invalid_request_error".into(),
        param: None,
        code: Some("method_not_allowed".into()),
    };
    let body = ErrorBody { error: ErrorDetail::Plain(detail) };
    let body = serde_json::to_vec(&body).unwrap_or_default();
    let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, body);
    if let Ok(accepted) = HeaderValue::from_str(accepted.as_str()) {
        response.headers_mut().insert(ALLOW, accepted);
    }
    response
}

fn plain(status: StatusCode, body: Vec<u8>) -> Response {
    let mut response = Response::new(Full::new(Bytes::from(body)).boxed_unsync());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Server-sent events. The guard goes with them: who stops to listen cancels the answer.
pub(crate) fn events(events: Receiver<String>, guard: CancelOnDrop) -> Response {
    let mut response = Response::new(Events { events, _guard: guard }.boxed_unsync());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(event_stream::CONTENT_TYPE));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// A body that is being made.
struct Events {
    events: Receiver<String>,
    _guard: CancelOnDrop,
}

impl Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.events.poll_recv(context).map(|event| event.map(|event| Ok(Frame::data(event.into()))))
    }
}
