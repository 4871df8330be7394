//! Callers that ask again and again.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::Scope;
use std::time::{Duration, Instant};

use model_runtime::protocol::CompletionRequest;
use model_runtime::runtime::RequestOptions;
use model_runtime::{ErrorKind, ModelRuntime};

use super::Failure;
use super::model::TOKENIZER_VOCAB;
use super::weights::Random;

/// A word of the tokenizer. The bias makes it every answer's every token, so that no answer ends early, whatever the random
/// weights say. The model computes the same as without it.
const WORD: u32 = 300;
const BIAS: f32 = 100.0;

/// Requests to one endpoint by one principal.
#[derive(Clone, Copy)]
pub(crate) struct Traffic<'a> {
    pub(crate) runtime: &'a ModelRuntime,
    pub(crate) endpoint: &'a str,
    pub(crate) principal: &'a str,
    pub(crate) prompt: usize,
    pub(crate) answer: u32,
}

/// No two prompts begin alike, whoever makes them.
static SEED: AtomicU64 = AtomicU64::new(1);

impl Traffic<'_> {
    /// One answer; how long it took to its first token.
    pub(crate) fn ask(&self) -> Result<Duration, Failure> {
        let mut random = Random(SEED.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let prompt: Vec<u32> =
            (0..self.prompt).map(|_| 259 + random.below(TOKENIZER_VOCAB - 259) as u32).collect();
        let mut request =
            CompletionRequest::new(self.endpoint, prompt).max_tokens(self.answer).temperature(0.0);
        request.options.logit_bias.insert(WORD, BIAS);
        let begin = Instant::now();
        let stream = self
            .runtime
            .complete_stream_with(request, RequestOptions::default().principal(self.principal))?;
        let mut first = None;
        for chunk in stream {
            if chunk?.choices.iter().any(|choice| !choice.text.is_empty()) {
                first.get_or_insert_with(|| begin.elapsed());
            }
        }
        Ok(first.unwrap_or_default())
    }

    /// Starts `callers` threads that ask until `stop` is set. What goes wrong ends the process's measurement: it is told by
    /// setting `stop` and is met again by whoever asks next.
    pub(crate) fn start<'scope, 'env>(
        self,
        scope: &'scope Scope<'scope, 'env>,
        callers: usize,
        stop: &'scope AtomicBool,
    ) where
        Self: 'scope,
    {
        for _ in 0..callers {
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    match self.ask() {
                        Ok(_) => {}
                        Err(error)
                            if error
                                .downcast_ref::<model_runtime::Error>()
                                .is_some_and(|error| error.kind() == ErrorKind::Overloaded) => {}
                        Err(_) => return stop.store(true, Ordering::Relaxed),
                    }
                }
            });
        }
    }
}
