//! An answer in words: a model that writes reads the passages first.

use std::io::Write;
use std::path::Path;

use model_runtime::protocol::{ChatMessage, ChatRequest, CompletionRequest};
use model_runtime::{ErrorKind, ModelRuntime, ServeOptions};

use super::arguments::Arguments;
use super::common::Failure;
use super::common::serve::serve;
use super::index::Hit;

/// The name under which the model is served.
const WRITER: &str = "writer";

const INSTRUCTION: &str = "Answer the question from the passages alone, in a few sentences, and name the files that \
                           you used. If the passages do not say it, say so.";

/// A model that writes.
pub(crate) struct Writer<'a> {
    runtime: &'a ModelRuntime,
    has_template: bool,
    max_tokens: u32,
}

impl<'a> Writer<'a> {
    /// Serves the model beside the encoder.
    pub(crate) fn load(
        runtime: &'a ModelRuntime,
        model: &Path,
        arguments: &Arguments,
    ) -> Result<Self, Failure> {
        let served = serve(runtime, WRITER, model, ServeOptions::default(), true)?;
        Ok(Self { runtime, has_template: served.chat, max_tokens: arguments.max_tokens })
    }

    /// Writes an answer from the passages, piece by piece. Passages that the model's context has no room for are left
    /// out, those of the lowest score first, and the last one is cut.
    pub(crate) fn answer(
        &self,
        question: &str,
        hits: &[Hit<'_>],
        out: &mut impl Write,
    ) -> Result<(), Failure> {
        let mut passages: Vec<String> = hits.iter().map(quoted).collect();
        loop {
            let context = passages.join("\n\n");
            match self.write(question, &context, out) {
                Err(error) if is_too_long(&error) && shorten(&mut passages) => {}
                Ok(()) => {
                    let used: Vec<String> = hits[..passages.len()].iter().map(place).collect();
                    return Ok(writeln!(out, "\n\n[from {}]", used.join(", "))?);
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn write(&self, question: &str, context: &str, out: &mut impl Write) -> Result<(), Failure> {
        let question = format!("Passages:\n\n{context}\n\nQuestion: {question}");
        if self.has_template {
            let messages = vec![ChatMessage::system(INSTRUCTION), ChatMessage::user(question)];
            let request = ChatRequest::new(WRITER, messages).max_tokens(self.max_tokens);
            for chunk in self.runtime.chat_stream(request)? {
                for choice in chunk?.choices {
                    show(out, choice.delta.content.as_deref().unwrap_or_default())?;
                }
            }
        } else {
            // A model without a template continues a text: so the text ends where an answer begins.
            let prompt = format!("{INSTRUCTION}\n\n{question}\nAnswer:");
            let request = CompletionRequest::new(WRITER, prompt).max_tokens(self.max_tokens);
            for chunk in self.runtime.complete_stream(request)? {
                for choice in chunk?.choices {
                    show(out, &choice.text)?;
                }
            }
        }
        Ok(())
    }
}

fn show(out: &mut impl Write, text: &str) -> Result<(), Failure> {
    write!(out, "{text}")?;
    Ok(out.flush()?)
}

fn place(hit: &Hit<'_>) -> String {
    format!("{}:{}", hit.path, hit.passage.line)
}

fn quoted(hit: &Hit<'_>) -> String {
    format!("[{}]\n{}", place(hit), hit.passage.text)
}

fn is_too_long(error: &Failure) -> bool {
    let error = error.downcast_ref::<model_runtime::Error>();
    error.is_some_and(|error| error.kind() == ErrorKind::ContextLengthExceeded)
}

/// Takes the last passage away, or half of the only one; `false` when nothing is left to take.
fn shorten(passages: &mut Vec<String>) -> bool {
    if passages.len() > 1 {
        passages.pop();
        return true;
    }
    let Some(only) = passages.first_mut().filter(|only| !only.is_empty()) else { return false };
    let half = only.chars().count() / 2;
    *only = only.chars().take(half).collect();
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passages_get_fewer_then_shorter_until_nothing_is_left() {
        let mut passages = vec!["äbcd".to_owned(), "second".to_owned()];
        for expected in ["äbcd", "äb", "ä", ""] {
            assert!(shorten(&mut passages));
            assert_eq!(passages, [expected]);
        }
        assert!(!shorten(&mut passages));
    }
}
