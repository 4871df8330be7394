//! Texts and token ids to be continued.

use std::sync::Arc;

use serde_json::{Map, json};

use super::super::generation::GenerationEntity;
use super::super::response::ResponseStream;
use super::super::shape::Completion;
use super::{Generation, Prompt, Submission, submit};
use crate::chat::TemplateInput;
use crate::error::{Error, ErrorKind, Result};
use crate::protocol::{CompletionRequest, ErrorBehavior, Prompt as Asked};
use crate::tokenizer::AddSpecial;

/// Submits what is to be continued.
pub(in crate::runtime) fn completion(
    entity: &Arc<GenerationEntity>,
    request: &CompletionRequest,
    submission: Submission<'_>,
) -> Result<ResponseStream<Completion>> {
    let templated = !request.use_raw_prompt && entity.template().is_ok();
    let text = |text: &String| prompt_of_text(entity, request, &submission, templated, text);
    let prompts = match &request.prompt {
        Asked::Text(one) => vec![text(one)?],
        Asked::Texts(texts) => texts.iter().map(text).collect::<Result<_>>()?,
        Asked::Tokens(tokens) => vec![prompt_of_tokens(entity, request, "prompt", tokens)?],
        Asked::TokenLists(lists) => lists
            .iter()
            .enumerate()
            .map(|(index, tokens)| prompt_of_tokens(entity, request, &format!("prompt[{index}]"), tokens))
            .collect::<Result<_>>()?,
    };
    let named = request.logprobs.map(|_| Arc::clone(entity.tokenizer()));
    let generation = Generation {
        prompts,
        options: &request.options,
        logprobs: request.logprobs,
        scores_prompt: request.echo && request.logprobs.is_some(),
        suffix: request.suffix.clone(),
        truncate: request.error_behavior == Some(ErrorBehavior::Truncate),
        reading: None,
    };
    let shape = |choices| Completion { logprobs: named, shown: vec![0; choices] };
    submit(entity, generation, shape, submission)
}

/// A text, in the model's chat template if it is `templated`.
fn prompt_of_text(
    entity: &GenerationEntity,
    request: &CompletionRequest,
    submission: &Submission<'_>,
    templated: bool,
    text: &str,
) -> Result<Prompt> {
    let echo = request.echo.then(|| text.to_owned());
    if !templated {
        return Ok(Prompt { tokens: entity.tokenizer().encode(text, AddSpecial::Yes)?, echo });
    }
    if request.echo && request.logprobs.is_some() {
        let message = "`echo` with `logprobs` reports the tokens of the prompt, which the chat template would wrap: \
                       accepted with `use_raw_prompt`: true";
        return Err(Error::new(ErrorKind::Unsupported, message).with_param("echo"));
    }
    let template = entity.template()?;
    let said = [json!({ "role": "user", "content": text })];
    let (messages, _) = template.dialect().messages(&said, &[])?;
    let text = template.render(&TemplateInput {
        messages: &messages,
        tools: None,
        add_generation_prompt: true,
        variables: &Map::new(),
        now: submission.admitted.at,
    })?;
    Ok(Prompt { tokens: entity.tokenizer().encode(&text, AddSpecial::No)?, echo })
}

fn prompt_of_tokens(
    entity: &GenerationEntity,
    request: &CompletionRequest,
    path: &str,
    tokens: &[u32],
) -> Result<Prompt> {
    let vocab = entity.info().vocab_size;
    if let Some(at) = tokens.iter().position(|&id| id as usize >= vocab) {
        let message = format!("{path}[{at}] is {}; the vocabulary has ids 0 to {}", tokens[at], vocab - 1);
        return Err(Error::invalid(format!("{path}[{at}]"), message));
    }
    let echo = request.echo.then(|| entity.tokenizer().decode(tokens, true)).transpose()?;
    Ok(Prompt { tokens: tokens.to_vec(), echo })
}
