//! Goldens of chat templates: prompts, and messages that a template must refuse.

use std::path::Path;

use model_runtime::chat::{ChatTemplate, TemplateError, TemplateInput, TemplateTokens};
use serde_json::{Map, Value};

use super::tokenizers::report;
use super::{Outcome, json};

/// What a rendering must come to.
enum Expected<'a> {
    Prompt(&'a str),
    /// The template says no, in these words.
    Refusal(Option<&'a str>),
    /// The template cannot work on these messages.
    Failure,
}

/// One rendering.
struct Case<'a> {
    name: String,
    source: String,
    messages: &'a Value,
    tools: Option<&'a Value>,
    add_generation_prompt: bool,
    tokens: TemplateTokens,
    variables: Map<String, Value>,
    expected: Expected<'a>,
}

/// Renders every case of one file.
pub(super) fn run(path: &Path) -> Outcome {
    let file = json(path)?;
    let folder = path.parent().ok_or("no folder")?;
    let kind = file["kind"].as_str().unwrap_or_default();
    let list = file["cases"].as_array().filter(|c| !c.is_empty()).ok_or("no cases")?;
    let mut wrong = Vec::new();
    for case in list {
        let read = match kind {
            "chat-template" => own(&file, case, folder),
            "chat-template-thirdparty" => third_party(case),
            "chat-template-llama.cpp" => llama_cpp(&file, case),
            other => return Err(format!("unknown kind {other:?}")),
        }?;
        if let Err(why) = check(&read) {
            wrong.push(format!("{}: {why}", read.name));
        }
    }
    report(wrong, list.len())
}

fn check(case: &Case<'_>) -> Result<(), String> {
    let input = TemplateInput {
        messages: case.messages,
        tools: case.tools,
        add_generation_prompt: case.add_generation_prompt,
        variables: &case.variables,
        now: jiff::Timestamp::UNIX_EPOCH,
    };
    let template = ChatTemplate::new(&case.source, case.tokens.clone()).map_err(|e| e.to_string())?;
    match (template.render(&input), &case.expected) {
        (Ok(prompt), Expected::Prompt(expected)) if prompt == *expected => Ok(()),
        (Ok(prompt), Expected::Prompt(expected)) => Err(difference(&prompt, expected)),
        (Ok(prompt), _) => Err(format!("rendered {:?} instead of failing", tail(&prompt))),
        (Err(TemplateError::Refused { message }), Expected::Refusal(expected)) => match expected {
            Some(expected) if message != *expected => {
                Err(format!("refused with {message:?}, not {expected:?}"))
            }
            _ => Ok(()),
        },
        (Err(_), Expected::Failure) => Ok(()),
        (Err(error), _) => Err(error.to_string()),
    }
}

fn own<'a>(file: &Value, case: &'a Value, folder: &Path) -> Result<Case<'a>, String> {
    let template = text(case, "template")?;
    let listed = file["templates"][template]["file"].as_str().ok_or(format!("no template {template}"))?;
    let path = folder.join(Path::new(listed).file_name().ok_or("no file name")?);
    let source = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    Ok(Case {
        name: format!("{template}/{}", text(case, "case")?),
        source,
        messages: &case["messages"],
        tools: Some(&case["tools"]).filter(|t| !t.is_null()),
        add_generation_prompt: case["add_generation_prompt"].as_bool().unwrap_or(false),
        tokens: tokens(case),
        variables: case["variables"].as_object().cloned().unwrap_or_default(),
        expected: expected(case),
    })
}

fn third_party(case: &Value) -> Result<Case<'_>, String> {
    let data = &case["data"];
    let mut variables = data.as_object().ok_or("no data")?.clone();
    for own in ["messages", "tools", "add_generation_prompt", "bos_token", "eos_token"] {
        variables.remove(own);
    }
    Ok(Case {
        name: text(case, "name")?.to_owned(),
        source: text(case, "chat_template")?.to_owned(),
        messages: &data["messages"],
        tools: data.get("tools").filter(|t| !t.is_null()),
        add_generation_prompt: data["add_generation_prompt"].as_bool().unwrap_or(false),
        tokens: tokens(data),
        variables,
        expected: Expected::Prompt(text(case, "expected")?),
    })
}

fn llama_cpp<'a>(file: &'a Value, case: &'a Value) -> Result<Case<'a>, String> {
    Ok(Case {
        name: text(case, "name")?.to_owned(),
        source: text(case, "template_str")?.to_owned(),
        messages: &file["messages"],
        tools: None,
        add_generation_prompt: file["add_generation_prompt"].as_bool().unwrap_or(false),
        // Its table leaves tokens out where they are empty.
        tokens: TemplateTokens::new(
            case["bos_token"].as_str().unwrap_or_default().to_owned(),
            case["eos_token"].as_str().unwrap_or_default().to_owned(),
        ),
        variables: Map::new(),
        // llama.cpp's own rendering bends some messages to fit; the reference is what transformers makes of them.
        expected: expected(&case["transformers"]),
    })
}

fn expected(value: &Value) -> Expected<'_> {
    match (value["expected"].as_str(), value["error"].as_str()) {
        (Some(prompt), _) => Expected::Prompt(prompt),
        (None, Some("TemplateError")) => Expected::Refusal(value["message"].as_str()),
        (None, _) => Expected::Failure,
    }
}

fn tokens(value: &Value) -> TemplateTokens {
    let token = |name: &str| value[name].as_str().map(str::to_owned);
    TemplateTokens::new(token("bos_token"), token("eos_token"))
}

fn text<'a>(value: &'a Value, name: &str) -> Result<&'a str, String> {
    value[name].as_str().ok_or(format!("no {name}"))
}

/// The two texts from shortly before the place where they part.
fn difference(got: &str, expected: &str) -> String {
    let same = got.chars().zip(expected.chars()).take_while(|(a, b)| a == b).count();
    let from = |text: &str| text.chars().skip(same.saturating_sub(15)).take(60).collect::<String>();
    format!("{:?} instead of {:?}", from(got), from(expected))
}

fn tail(text: &str) -> String {
    let skip = text.chars().count().saturating_sub(60);
    text.chars().skip(skip).collect()
}
