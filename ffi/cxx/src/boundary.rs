//! No panic leaves this library: it becomes an exception like every other failure.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What C++ catches as `rust::Error`; `what()` is one line: the stable name of the error, and what was wrong.
#[derive(Debug)]
pub(crate) struct Failure(String);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<model_runtime::Error> for Failure {
    fn from(error: model_runtime::Error) -> Self {
        Self(format!("{}: {error}", error.kind().code()))
    }
}

/// Runs `body`.
pub(crate) fn guard<T>(body: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    catch_unwind(AssertUnwindSafe(body))
        .unwrap_or_else(|_| Err(Failure("internal: a defect in the library".into())))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic)]
    use super::*;

    #[test]
    fn a_panic_is_a_failure() {
        let failed: Result<(), Failure> = guard(|| panic!("within"));
        assert!(failed.is_err_and(|failure| failure.to_string().starts_with("internal: ")));
    }
}
