//! From a request of the protocol to a request of the engine.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::ModelRuntime;
use super::admission::Admitted;
use super::answer::{Answer, TextSink};
use super::generation::GenerationEntity;
use super::meter::Use;
use super::options::RequestOptions;
use super::response::ResponseStream;
use super::shape::{Chat, Completion, Identity, Shape};
use crate::backend::AdapterId;
use crate::chat::TemplateInput;
use crate::clock::Clock;
use crate::engine::{Request, SamplingParams};
use crate::error::{Error, ErrorKind, Result};
use crate::metering::limits::Output;
use crate::protocol::{ChatRequest, CompletionRequest, GenerationOptions, Prompt};
use crate::tokenizer::{AddSpecial, StreamDecoder};

/// What the runtime adds to a request.
pub(super) struct Submission<'a> {
    pub(super) runtime: &'a ModelRuntime,
    pub(super) admitted: &'a Admitted,
    pub(super) id: String,
    /// Decides the draws of a request without a seed of its own.
    pub(super) seed: u64,
    pub(super) options: &'a RequestOptions,
    /// Whether the answer is wanted chunk by chunk.
    pub(super) streaming: bool,
}

/// Renders the conversation and submits it.
pub(super) fn chat(
    entity: &Arc<GenerationEntity>,
    request: &ChatRequest,
    submission: Submission<'_>,
) -> Result<ResponseStream<Chat>> {
    let template = entity.template()?;
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
        now: submission.admitted.at,
    })?;
    // The template has written the special tokens already.
    let prompt = entity.tokenizer().encode(&text, AddSpecial::No)?;
    let logprobs = request.logprobs.then(|| request.top_logprobs.unwrap_or(0));
    let shape = Chat { logprobs: logprobs.map(|_| Arc::clone(entity.tokenizer())) };
    submit(entity, prompt, &request.options, logprobs, shape, submission)
}

/// Submits a text or token ids to be continued.
pub(super) fn completion(
    entity: &Arc<GenerationEntity>,
    request: &CompletionRequest,
    submission: Submission<'_>,
) -> Result<ResponseStream<Completion>> {
    let tokenizer = entity.tokenizer();
    let (prompt, text) = match &request.prompt {
        Prompt::Text(text) => (tokenizer.encode(text, AddSpecial::Yes)?, text.clone()),
        Prompt::Tokens(tokens) => {
            let vocab = entity.info().vocab_size;
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
    submit(entity, prompt, &request.options, request.logprobs, shape, submission)
}

fn submit<S: Shape>(
    entity: &Arc<GenerationEntity>,
    prompt: Vec<u32>,
    options: &GenerationOptions,
    logprobs: Option<u8>,
    shape: S,
    submission: Submission<'_>,
) -> Result<ResponseStream<S>> {
    let Submission { runtime, admitted, id, seed, options: asked, streaming } = submission;
    let clock = runtime.clock();
    let adapter = match &options.adapter {
        Some(name) => Some(entity.adapters().find(&entity.info().name, name)?),
        None => None,
    };
    let base = &entity.info().version;
    let version = adapter.as_ref().map_or_else(|| base.clone(), |adapter| adapter.version(base));
    let max_tokens = max_tokens(entity, prompt.len(), options.max_tokens)?;
    let output = match options.max_tokens {
        Some(_) => Output::AtMost(max_tokens as u64),
        None => Output::UpTo(max_tokens as u64),
    };
    let sampling = sampling(entity, options, logprobs, seed)?;
    // Dropped with the sink of a request that the engine does not take: then all of it is credited.
    let meter = runtime.meter(
        admitted,
        Use {
            id: id.clone(),
            client_request_id: options.client_request_id.clone(),
            usage_context: options.usage_context.clone(),
            version: Some(version.clone()),
            input_tokens: prompt.len() as u64,
            output,
            streaming,
        },
    )?;
    let identity = Identity {
        id,
        created: admitted.at.as_second(),
        version,
        prompt_tokens: prompt.len(),
        include_usage: options.stream_options.is_some_and(|stream| stream.include_usage),
        lifecycle: admitted.lifecycle.clone(),
    };
    let request = Request {
        prompt,
        adapter: adapter.as_ref().map_or(AdapterId::BASE, |adapter| adapter.id),
        max_tokens,
        stop_tokens: entity.stop_tokens().iter().chain(&options.stop_token_ids).copied().collect(),
        sampling,
        caller: admitted.caller(),
        priority: asked.priority,
        prompt_lookup_tokens: options.prompt_lookup_tokens.unwrap_or(0) as usize,
        deadline: asked.timeout.map(|timeout| deadline(clock, timeout)),
    };
    let answer = Arc::new(Answer::default());
    let decoder = StreamDecoder::new(Arc::clone(entity.tokenizer()), true);
    let stops = options.stop.clone();
    let sink = TextSink::new(Arc::clone(&answer), decoder, stops, logprobs.is_some(), adapter, meter);
    let request = entity.engine().submit(request, Box::new(sink))?;
    Ok(ResponseStream::new(identity, shape, answer, entity, request))
}

/// What was asked for, or what the context leaves.
fn max_tokens(entity: &GenerationEntity, prompt: usize, asked: Option<u32>) -> Result<usize> {
    let context = entity.info().context_length;
    let exceeded = |what: String| {
        let message = format!("{what}; endpoint `{}` has a context of {context} tokens", entity.info().name);
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
    entity: &GenerationEntity,
    options: &GenerationOptions,
    logprobs: Option<u8>,
    seed: u64,
) -> Result<SamplingParams> {
    let vocab = entity.info().vocab_size;
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
