//! One line of the output.

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind};
use crate::protocol::ErrorBody;

/// Which line of the input a result belongs to.
#[derive(Debug, Clone)]
pub(super) struct Head {
    /// The line's number, from 1.
    pub(super) line: u64,
    /// The caller's own name for the request, if it could be read.
    pub(super) custom_id: Option<String>,
}

/// What the name of a result begins with; the number of the line follows.
const ID_PREFIX: &str = "batch_req_";

/// The line number that the id of a result names.
pub(super) fn line_of(id: &str) -> Option<u64> {
    id.strip_prefix(ID_PREFIX)?.parse().ok()
}

#[derive(Serialize)]
struct ResultLine<'a, B> {
    id: &'a str,
    custom_id: Option<&'a str>,
    response: Option<Response<'a, B>>,
    error: Option<LineError<'a>>,
}

#[derive(Serialize)]
struct Response<'a, B> {
    status_code: u16,
    request_id: &'a str,
    body: B,
}

/// Why there is no response: the line is not a request.
#[derive(Serialize)]
struct LineError<'a> {
    code: &'a str,
    message: &'a str,
}

impl Head {
    fn id(&self) -> String {
        format!("{ID_PREFIX}{}", self.line)
    }

    fn write(
        &self,
        response: Option<Response<'_, &impl Serialize>>,
        error: Option<LineError<'_>>,
    ) -> Vec<u8> {
        let line = ResultLine { id: &self.id(), custom_id: self.custom_id.as_deref(), response, error };
        // Strings, numbers and lists, all of them: there is nothing that JSON could not say.
        let mut bytes = serde_json::to_vec(&line).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }

    /// The line of an answer. `request_id` is the response's own id, where it has one.
    pub(super) fn answered(&self, request_id: Option<&str>, body: &impl Serialize) -> Vec<u8> {
        self.responded(200, request_id, body)
    }

    /// The line of a request that was refused or has failed: the status and the body that a hosted API would answer with.
    pub(super) fn failed(&self, request_id: Option<&str>, error: &Error) -> Vec<u8> {
        self.responded(error.status(), request_id, &ErrorBody::from(error))
    }

    fn responded(&self, status_code: u16, request_id: Option<&str>, body: &impl Serialize) -> Vec<u8> {
        let id = self.id();
        let response = Response { status_code, request_id: request_id.unwrap_or(&id), body };
        self.write(Some(response), None)
    }

    /// The line of what is not a request.
    pub(super) fn malformed(&self, error: &Error) -> Vec<u8> {
        let message = format!("line {}: {}", self.line, error.message());
        let error = LineError { code: error.kind().code(), message: &message };
        self.write(None::<Response<'_, &()>>, Some(error))
    }
}

/// What of a result that was written before says that it need not be made again.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// The request of this name has its answer.
    Answered(String),
    /// The line of this number is not a request, and this was said.
    Malformed(u64),
}

/// Reads a result that was written before.
///
/// # Errors
/// Why the line is none.
pub(super) fn read(line: &[u8]) -> Result<Known, String> {
    #[derive(Deserialize)]
    struct Written {
        id: String,
        custom_id: Option<String>,
        // Told apart from a field that is not there: requests have none.
        response: Option<serde::de::IgnoredAny>,
        error: Option<serde::de::IgnoredAny>,
    }
    let written: Written = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    match (written.response, written.custom_id, written.error) {
        (Some(_), Some(custom_id), None) => Ok(Known::Answered(custom_id)),
        (None, _, Some(_)) => match line_of(&written.id) {
            Some(number) => Ok(Known::Malformed(number)),
            None => {
                Err(format!("its id {:?} names no line", written.id.chars().take(48).collect::<String>()))
            }
        },
        _ => Err("it has not one of `response` with a `custom_id`, and `error`".into()),
    }
}

/// The error of a line that has more bytes than may be.
pub(super) fn too_long(limit: usize) -> Error {
    let message = format!("the line is longer than {limit} bytes; accepted are shorter ones");
    Error::new(ErrorKind::InvalidRequest, message)
}

/// The error of a name that an earlier line has.
pub(super) fn twice(custom_id: &str) -> Error {
    let shown: String = custom_id.chars().take(48).collect();
    let message =
        format!("`custom_id` is {shown:?}, which an earlier line has; accepted is a name of its own");
    Error::invalid("custom_id", message)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn head(custom_id: Option<&str>) -> Head {
        Head { line: 7, custom_id: custom_id.map(Into::into) }
    }

    #[test]
    fn results_print_as_published() {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        assert_eq!(
            text(head(Some("a")).answered(Some("cmpl-1"), &serde_json::json!({"text": "b\nc"}))),
            concat!(
                r#"{"id":"batch_req_7","custom_id":"a","response":{"status_code":200,"request_id":"cmpl-1","#,
                r#""body":{"text":"b\nc"}},"error":null}"#,
                "\n"
            )
        );
        assert_eq!(
            text(head(Some("a")).failed(None, &Error::new(ErrorKind::NotFound, "no endpoint"))),
            concat!(
                r#"{"id":"batch_req_7","custom_id":"a","response":{"status_code":404,"request_id":"batch_req_7","body":{"error":"#,
                r#"{"message":"no endpoint","type":"not_found_error","param":null,"code":"not_found"}}},"error":null}"#,
                "\n"
            )
        );
        assert_eq!(
            text(head(None).malformed(&Error::invalid("url", "`url` is missing"))),
            concat!(
                r#"{"id":"batch_req_7","custom_id":null,"response":null,"#,
                r#""error":{"code":"invalid_request","message":"line 7: `url` is missing"}}"#,
                "\n"
            )
        );
    }

    #[test]
    fn results_are_known_again_and_nothing_else_is() {
        assert_eq!(read(&head(Some("a")).answered(None, &1)), Ok(Known::Answered("a".into())));
        let failed = Error::new(ErrorKind::NotFound, "no");
        assert_eq!(read(&head(Some("a")).failed(None, &failed)), Ok(Known::Answered("a".into())));
        assert_eq!(read(&head(None).malformed(&failed)), Ok(Known::Malformed(7)));
        assert_eq!(read(&head(Some("a")).malformed(&twice("a"))), Ok(Known::Malformed(7)));
        for other in [
            "",
            "17",
            "{}",
            r#"{"custom_id":"a","method":"POST","url":"/v1/completions","body":{}}"#,
            r#"{"id":"x","custom_id":"a","response":null,"error":null}"#,
            r#"{"id":"x","custom_id":null,"response":null,"error":{}}"#,
            r#"{"id":"batch_req_1","custom_id":"a","response":{"status_code":2"#,
        ] {
            assert!(read(other.as_bytes()).is_err(), "{other}");
        }
    }
}
