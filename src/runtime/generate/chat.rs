//! A conversation becomes a prompt; its answers are read by the model's own conventions.

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::constraint::Reasoning;
use super::super::generation::GenerationEntity;
use super::super::response::ResponseStream;
use super::super::shape::Chat;
use super::{Generation, Prompt, Reading, Submission, format, submit};
use crate::chat::{Dialect, OutputOptions, OutputParser, TemplateInput, ToolFormat};
use crate::error::{Error, ErrorKind, Result};
use crate::protocol::{ChatMessage, ChatRequest, Tool, ToolChoice};
use crate::tokenizer::AddSpecial;

/// The tags around reasoning.
const THINK: &str = "<think>";
const END_THINK: &str = "</think>";

/// Renders the conversation and submits it.
pub(in crate::runtime) fn chat(
    entity: &Arc<GenerationEntity>,
    request: &ChatRequest,
    submission: Submission<'_>,
) -> Result<ResponseStream<Chat>> {
    let template = entity.template()?;
    let dialect = template.dialect();
    let offered: &[Tool] = match request.tool_choice {
        Some(ToolChoice::None) => &[],
        _ => &request.tools,
    };
    let messages: Vec<Value> = request.messages.iter().map(message).collect();
    let tools: Vec<Value> = offered.iter().map(tool).collect();
    let (messages, tools) = dialect.messages(&messages, &tools)?;
    let text = template.render(&TemplateInput {
        messages: &messages,
        tools: tools.as_ref(),
        add_generation_prompt: true,
        variables: &serde_json::Map::new(),
        now: submission.admitted.at,
    })?;
    // The template has written the special tokens already.
    let tokens = entity.tokenizer().encode(&text, AddSpecial::No)?;
    let logprobs = request.logprobs.then(|| request.top_logprobs.unwrap_or(0));
    let (named, classifies) = (logprobs.map(|_| Arc::clone(entity.tokenizer())), dialect.classifies());
    let generation = Generation {
        prompts: vec![Prompt { tokens, echo: None }],
        options: &request.options,
        logprobs,
        scores_prompt: false,
        suffix: None,
        truncate: false,
        reading: Some(reading(entity, dialect, request, offered, &text)?),
    };
    let shape = |choices| Chat { logprobs: named, classifies, calls: vec![0; choices] };
    submit(entity, generation, shape, submission)
}

/// A message as templates read it.
fn message(message: &ChatMessage) -> Value {
    let content = message.content.as_ref().map(|content| content.text());
    let mut value = json!({ "role": message.role.as_str(), "content": content });
    if let Some(reasoning) = &message.reasoning_content {
        value["reasoning_content"] = json!(reasoning);
    }
    if !message.tool_calls.is_empty() {
        value["tool_calls"] = json!(message.tool_calls);
    }
    if let Some(id) = &message.tool_call_id {
        value["tool_call_id"] = json!(id);
    }
    value
}

/// A tool as templates read it: whether its schema is enforced is no matter of the model's.
fn tool(tool: &Tool) -> Value {
    let mut value = json!(tool);
    if let Some(function) = value["function"].as_object_mut() {
        function.shift_remove("strict");
    }
    value
}

/// How the answers are read, and what they may be.
fn reading(
    entity: &GenerationEntity,
    dialect: &Dialect,
    request: &ChatRequest,
    offered: &[Tool],
    prompt: &str,
) -> Result<Reading> {
    if request.thinking.is_some() && !dialect.reasons() {
        let message = format!("endpoint `{}` serves a model that does not think", entity.info().name);
        return Err(Error::new(ErrorKind::Unsupported, message).with_param("thinking"));
    }
    let grammar = format::grammar(entity, dialect.tool_format(), request, offered)?;
    let opened = dialect.prompt_opens_reasoning(prompt);
    let budget = request.thinking.map(|thinking| thinking.budget_tokens as usize);
    let reasoning = match dialect.reasons() && (budget.is_some() || grammar.is_some()) {
        true => Some(reasoning(entity, budget, opened, grammar.is_some())?),
        false => None,
    };
    let format = dialect.tool_format();
    let known = |spelling: &str| entity.markers().iter().any(|(_, marker)| *marker == spelling);
    let options = OutputOptions {
        tools: offered.iter().map(|tool| tool.definition().name.clone()).collect(),
        reasoning_open: opened,
        spelled_markers: format.markers().first().is_some_and(|marker| !known(marker)),
    };
    // Without tools there are no calls, and what would begin them is no text either.
    let means = |spelling: &str| !offered.is_empty() || !format.markers().contains(&spelling);
    let markers = entity.markers().iter().filter(|(_, spelling)| means(spelling)).copied().collect();
    let dialect = dialect.clone();
    Ok(Reading {
        parser: Box::new(move || OutputParser::new(&dialect, options.clone())),
        markers,
        grammar,
        opened,
        reasoning,
        short_call_ids: format == ToolFormat::Mistral,
    })
}

/// Limits the reasoning of each answer to `budget` tokens; with `answers` there has to be one behind it.
fn reasoning(
    entity: &GenerationEntity,
    budget: Option<usize>,
    opened: bool,
    answers: bool,
) -> Result<Box<dyn Fn() -> Reasoning>> {
    let tokenizer = entity.tokenizer();
    let close = match tokenizer.token_to_id(END_THINK) {
        Some(token) => vec![token],
        None => tokenizer.encode(END_THINK, AddSpecial::No)?,
    };
    let open = tokenizer.token_to_id(THINK).filter(|_| !opened);
    let endless = answers.then(|| entity.tokens_that_do_not_stop());
    Ok(Box::new(move || Reasoning {
        budget: budget.unwrap_or(usize::MAX),
        close: close.clone(),
        open,
        endless: endless.clone(),
    }))
}
