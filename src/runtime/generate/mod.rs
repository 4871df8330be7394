//! From a request of the protocol to requests of the engine.

mod chat;
mod completion;
mod format;

pub(super) use chat::chat;
pub(super) use completion::completion;

use std::sync::Arc;

use super::ModelRuntime;
use super::admission::Admitted;
use super::answer::Answer;
use super::constraint::{Constraint, Reasoning};
use super::generation::GenerationEntity;
use super::group::{Ended, Group};
use super::meter::Use;
use super::options::RequestOptions;
use super::response::ResponseStream;
use super::shape::{Identity, Shape};
use super::sink::{CallIds, Outline, TextSink};
use crate::backend::AdapterId;
use crate::catalog::Offering;
use crate::chat::OutputParser;
use crate::engine::{Request, SamplingParams};
use crate::error::{Error, ErrorKind, Result};
use crate::grammar::Grammar;
use crate::metering::limits::Output;
use crate::protocol::GenerationOptions;

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

/// What is to be generated.
struct Generation<'a> {
    prompts: Vec<Prompt>,
    options: &'a GenerationOptions,
    /// How many alternatives per token, if log-probabilities are wanted at all.
    logprobs: Option<u8>,
    /// Whether they are wanted of the prompt too.
    scores_prompt: bool,
    suffix: Option<String>,
    /// Whether what does not fit is left out, instead of being refused.
    truncate: bool,
    reading: Option<Reading>,
}

/// A text to be continued.
struct Prompt {
    tokens: Vec<u32>,
    /// What the answer begins with.
    echo: Option<String>,
}

/// How the answers to a conversation are read, and what they may be.
struct Reading {
    parser: Box<dyn Fn() -> OutputParser>,
    markers: Vec<(u32, &'static str)>,
    grammar: Option<Arc<Grammar>>,
    /// Whether answers begin within the reasoning.
    opened: bool,
    reasoning: Option<Box<dyn Fn() -> Reasoning>>,
    short_call_ids: bool,
}

/// Submits every choice of a request: of each prompt the first one at once, its others when the prompt is computed.
fn submit<S: Shape>(
    entity: &Arc<GenerationEntity>,
    generation: Generation<'_>,
    shape: impl FnOnce(usize) -> S,
    submission: Submission<'_>,
) -> Result<ResponseStream<S>> {
    let Generation { prompts, options, logprobs, scores_prompt, suffix, truncate, reading } = generation;
    let Submission { runtime, admitted, id, seed, options: asked, streaming } = submission;
    let each = choices(options, admitted)?;
    let total = prompts.len() * each;
    let adapter = match &options.adapter {
        Some(name) => Some(entity.adapters().find(&entity.info().name, name)?),
        None => None,
    };
    let base = &entity.info().version;
    let version = adapter.as_ref().map_or_else(|| base.clone(), |adapter| adapter.version(base));
    let most = prompts
        .iter()
        .map(|prompt| max_tokens(entity, prompt.tokens.len(), options.max_tokens, truncate))
        .collect::<Result<Vec<usize>>>()?;
    let output: usize = most.iter().map(|tokens| tokens * each).sum();
    let sampling = sampling(entity, options, logprobs, options.seed.unwrap_or(seed))?;
    let prompt_tokens = prompts.iter().map(|prompt| prompt.tokens.len()).sum();
    // Dropped with a request that the engine does not take: then all of it is credited.
    let meter = runtime.meter(
        admitted,
        Use {
            id: id.clone(),
            client_request_id: options.client_request_id.clone(),
            usage_context: options.usage_context.clone(),
            version: Some(version.clone()),
            input_tokens: prompt_tokens as u64,
            output: match options.max_tokens {
                Some(_) => Output::AtMost(output as u64),
                None => Output::UpTo(output as u64),
            },
            streaming,
        },
    )?;
    let identity = Identity {
        id,
        created: admitted.at.as_second(),
        version,
        prompt_tokens,
        endpoint: admitted.endpoint.name().to_owned(),
        adapter: options.adapter.clone(),
        prompts: prompts.iter().map(|prompt| prompt.tokens.clone()).collect(),
        choices: total,
        include_usage: options.stream_options.is_some_and(|stream| stream.include_usage),
        lifecycle: admitted.lifecycle.clone(),
    };
    let answer = Arc::new(Answer::new(total));
    let group = Arc::new(Group::new(answer, entity, total, prompt_tokens, meter));
    let stop_tokens: Vec<u32> = entity.stop_tokens().iter().chain(&options.stop_token_ids).copied().collect();
    let deadline = asked.timeout.map(|timeout| runtime.clock().monotonic().saturating_add(timeout));
    let one = |index: usize, number: usize, prompt: &Prompt| -> Result<(Request, TextSink)> {
        let choice = index * each + number;
        let draws = SamplingParams { seed: choice_seed(sampling.seed, number), ..sampling.clone() };
        let request = Request {
            prompt: prompt.tokens.clone(),
            adapter: adapter.as_ref().map_or(AdapterId::BASE, |adapter| adapter.id),
            max_tokens: most[index],
            stop_tokens: stop_tokens.clone(),
            sampling: draws,
            caller: admitted.caller(),
            priority: asked.priority,
            prompt_lookup_tokens: options.prompt_lookup_tokens.unwrap_or(0) as usize,
            deadline,
            prompt_logprobs: logprobs.filter(|_| scores_prompt),
        };
        let outline = Outline {
            choice,
            echo: prompt.echo.clone(),
            suffix: suffix.clone(),
            stops: options.stop.clone(),
            logprobs: logprobs.is_some(),
            scored_prompt: scores_prompt.then(|| prompt.tokens.clone()),
            parser: reading.as_ref().map(|reading| (reading.parser)()),
            markers: reading.as_ref().map(|reading| reading.markers.clone()).unwrap_or_default(),
            constraint: reading.as_ref().map(|reading| constraint(entity, reading)).transpose()?.flatten(),
            truncate,
            followers: None,
            leads: number == 0,
            adapter: adapter.clone(),
            call_ids: CallIds {
                seed: seed ^ (choice as u64).rotate_left(32),
                short: reading.as_ref().is_some_and(|reading| reading.short_call_ids),
            },
        };
        Ok((request, TextSink::new(Arc::clone(&group), entity, outline)))
    };
    for (index, prompt) in prompts.iter().enumerate() {
        let (request, mut sink) = one(index, 0, prompt)?;
        let others = (1..each).map(|number| one(index, number, prompt)).collect::<Result<Vec<_>>>()?;
        if !others.is_empty() {
            sink.lead(followers(Arc::clone(&group), index * each + 1, others));
        }
        if let Err(error) = group.submit(request, sink) {
            // Those that were taken go with it.
            group.cancel();
            return Err(error);
        }
    }
    Ok(ResponseStream::new(identity, shape(total), &group))
}

/// Begins the choices from number `first` on that share a prompt, once that is in the cache.
fn followers(group: Arc<Group>, first: usize, others: Vec<(Request, TextSink)>) -> Box<dyn FnOnce() + Send> {
    Box::new(move || {
        for (choice, (request, sink)) in (first..).zip(others) {
            if let Err(error) = group.submit(request, sink) {
                let ended =
                    Ended { result: Err(error), tokens: 0, reasoning_tokens: 0, timings: None, leads: false };
                group.end(choice, ended);
            }
        }
    })
}

/// How many answers each prompt gets.
fn choices(options: &GenerationOptions, admitted: &Admitted) -> Result<usize> {
    let n = options.n.unwrap_or(1) as usize;
    let offering = admitted.endpoint.options().offering;
    if n > 1 && offering == Offering::PayPerToken {
        let message = format!(
            "`n` is {n}; accepted is 1 on endpoint `{}`, which is offered as {}",
            admitted.endpoint.name(),
            offering.title()
        );
        return Err(Error::invalid("n", message));
    }
    Ok(n)
}

/// The first choice draws as if it were alone; the others each in a way of their own.
fn choice_seed(seed: u64, number: usize) -> u64 {
    seed ^ (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// What limits the tokens of one choice, if anything does.
fn constraint(entity: &Arc<GenerationEntity>, reading: &Reading) -> Result<Option<Constraint>> {
    let reasoning = reading.reasoning.as_ref().map(|reasoning| reasoning());
    let matcher = match &reading.grammar {
        Some(grammar) if reading.opened => Some(grammar.matcher_within()?),
        Some(grammar) => Some(grammar.matcher()?),
        None => None,
    };
    if reasoning.is_none() && matcher.is_none() {
        return Ok(None);
    }
    Constraint::new(reasoning, matcher, entity.mask_thread(), entity.engine().waker()).map(Some)
}

/// What was asked for, or what the context leaves.
fn max_tokens(entity: &GenerationEntity, prompt: usize, asked: Option<u32>, truncate: bool) -> Result<usize> {
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
        Some(_) if truncate => Ok(context - prompt),
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
        seed,
        logprobs,
    })
}
