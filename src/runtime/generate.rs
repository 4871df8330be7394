//! From a request of the protocol to a request of the engine.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::answer::{Answer, TextSink};
use super::endpoint::Endpoint;
use super::options::RequestOptions;
use super::response::ResponseStream;
use super::shape::{Chat, Completion, Identity, Shape};
use crate::backend::AdapterId;
use crate::chat::TemplateInput;
use crate::clock::Clock;
use crate::engine::{Request, SamplingParams};
use crate::error::{Error, ErrorKind, Result};
use crate::fairness::CallerId;
use crate::protocol::{ChatRequest, CompletionRequest, GenerationOptions, Prompt};
use crate::tokenizer::{AddSpecial, StreamDecoder};

/// What the runtime adds to a request.
pub(super) struct Submission<'a> {
    pub(super) id: String,
    /// Decides the draws of a request without a seed of its own.
    pub(super) seed: u64,
    pub(super) clock: &'a dyn Clock,
    pub(super) options: RequestOptions,
}

/// Renders the conversation and submits it.
pub(super) fn chat(
    endpoint: &Arc<Endpoint>,
    request: &ChatRequest,
    submission: Submission<'_>,
) -> Result<ResponseStream<Chat>> {
    let template = endpoint.template()?;
    let messages: Vec<Value> = request
        .messages
        .iter()
        .map(|m| serde_json::json!({ "role": m.role.as_str(), "content": m.content.text() }))
        .collect();
    let text = template.render(&TemplateInput {
        messages: &Value::Array(messages),
        tools: None,
        add_generation_prompt: true,
        variables: &serde_json::Map::new(),
        now: submission.clock.wall(),
    })?;
    // The template has written the special tokens already.
    let prompt = endpoint.tokenizer().encode(&text, AddSpecial::No)?;
    let logprobs = request.logprobs.then(|| request.top_logprobs.unwrap_or(0));
    let shape = Chat { logprobs: logprobs.map(|_| Arc::clone(endpoint.tokenizer())) };
    submit(endpoint, prompt, &request.options, logprobs, shape, submission)
}

/// Submits a text or token ids to be continued.
pub(super) fn completion(
    endpoint: &Arc<Endpoint>,
    request: &CompletionRequest,
    submission: Submission<'_>,
) -> Result<ResponseStream<Completion>> {
    let tokenizer = endpoint.tokenizer();
    let (prompt, text) = match &request.prompt {
        Prompt::Text(text) => (tokenizer.encode(text, AddSpecial::Yes)?, text.clone()),
        Prompt::Tokens(tokens) => {
            let vocab = endpoint.info().vocab_size;
            if let Some(at) = tokens.iter().position(|&id| id as usize >= vocab) {
                let message =
                    format!("prompt[{at}] is {}; the vocabulary has ids 0 to {}", tokens[at], vocab - 1);
                return Err(Error::invalid(format!("prompt[{at}]"), message));
            }
            let text = if request.echo { tokenizer.decode(tokens, true)? } else { String::new() };
            (tokens.clone(), text)
        }
    };
    let shape = Completion {
        logprobs: request.logprobs.map(|_| Arc::clone(tokenizer)),
        echo: request.echo.then_some(text),
    };
    submit(endpoint, prompt, &request.options, request.logprobs, shape, submission)
}

fn submit<S: Shape>(
    endpoint: &Arc<Endpoint>,
    prompt: Vec<u32>,
    options: &GenerationOptions,
    logprobs: Option<u8>,
    shape: S,
    submission: Submission<'_>,
) -> Result<ResponseStream<S>> {
    let Submission { id, seed, clock, options: RequestOptions { priority, timeout, .. } } = submission;
    let adapter = match &options.adapter {
        Some(name) => Some(endpoint.adapters().find(&endpoint.info().name, name)?),
        None => None,
    };
    let max_tokens = max_tokens(endpoint, prompt.len(), options.max_tokens)?;
    let identity = Identity {
        id,
        created: clock.wall().as_second(),
        version: adapter.as_ref().map_or(&endpoint.info().version, |of| &of.info.version).clone(),
        prompt_tokens: prompt.len(),
        include_usage: options.stream_options.is_some_and(|stream| stream.include_usage),
    };
    let request = Request {
        prompt,
        adapter: adapter.as_ref().map_or(AdapterId::BASE, |adapter| adapter.id),
        max_tokens,
        stop_tokens: endpoint.stop_tokens().iter().chain(&options.stop_token_ids).copied().collect(),
        sampling: sampling(endpoint, options, logprobs, seed)?,
        caller: CallerId::default(),
        priority,
        prompt_lookup_tokens: options.prompt_lookup_tokens.unwrap_or(0) as usize,
        deadline: timeout.map(|timeout| deadline(clock, timeout)),
    };
    let answer = Arc::new(Answer::default());
    let decoder = StreamDecoder::new(Arc::clone(endpoint.tokenizer()), true);
    let sink = TextSink::new(Arc::clone(&answer), decoder, options.stop.clone(), logprobs.is_some(), adapter);
    let request = endpoint.engine().submit(request, Box::new(sink))?;
    Ok(ResponseStream::new(identity, shape, answer, endpoint, request))
}

/// What was asked for, or what the context leaves.
fn max_tokens(endpoint: &Endpoint, prompt: usize, asked: Option<u32>) -> Result<usize> {
    let context = endpoint.info().context_length;
    let exceeded = |what: String| {
        let message =
            format!("{what}; endpoint `{}` has a context of {context} tokens", endpoint.info().name);
        Error::new(ErrorKind::ContextLengthExceeded, message)
    };
    if prompt == 0 {
        return Err(Error::invalid("prompt", "the prompt has no tokens; it needs at least one"));
    }
    if prompt >= context {
        return Err(exceeded(format!("the prompt has {prompt} tokens and leaves no room to generate")));
    }
    match asked.map(|tokens| tokens as usize) {
        None => Ok(context - prompt),
        Some(tokens) if tokens <= context - prompt => Ok(tokens),
        Some(tokens) => Err(exceeded(format!("the prompt has {prompt} tokens and max_tokens is {tokens}"))
            .with_param("max_tokens")),
    }
}

fn sampling(
    endpoint: &Endpoint,
    options: &GenerationOptions,
    logprobs: Option<u8>,
    seed: u64,
) -> Result<SamplingParams> {
    let vocab = endpoint.info().vocab_size;
    if let Some((id, _)) = options.logit_bias.iter().find(|(id, _)| **id as usize >= vocab) {
        let message = format!("logit_bias names token {id}; the vocabulary has ids 0 to {}", vocab - 1);
        return Err(Error::invalid("logit_bias", message));
    }
    let default = SamplingParams::default();
    Ok(SamplingParams {
        temperature: options.temperature.unwrap_or(default.temperature),
        top_k: options.top_k,
        top_p: options.top_p.unwrap_or(default.top_p),
        min_p: options.min_p.unwrap_or(default.min_p),
        repetition_penalty: options.repetition_penalty.unwrap_or(default.repetition_penalty),
        frequency_penalty: options.frequency_penalty.unwrap_or(default.frequency_penalty),
        presence_penalty: options.presence_penalty.unwrap_or(default.presence_penalty),
        logit_bias: options.logit_bias.iter().map(|(&id, &bias)| (id, bias)).collect(),
        seed: options.seed.unwrap_or(seed),
        logprobs,
    })
}

fn deadline(clock: &dyn Clock, timeout: Duration) -> Duration {
    clock.monotonic().saturating_add(timeout)
}
