//! The chat templates of published models: what is found out about each, and a conversation with tools through it.

use std::path::Path;

use model_runtime::chat::{
    ChatTemplate, Dialect, Event, OutputOptions, OutputParser, TemplateError, TemplateInput, TemplateTokens,
    ToolFormat,
};
use serde_json::{Value, json};

use super::{Outcome, Verdict};

/// What a template is known to do, from reading it.
struct Known {
    name: &'static str,
    format: ToolFormat,
    renders_tools: bool,
    renders_calls: bool,
    /// Whether it takes a system message without and with tools.
    system: [bool; 2],
    reasons: bool,
    opens_reasoning: bool,
    classifies: bool,
}

impl Known {
    /// A template without tools, that takes a system message.
    const fn plain(name: &'static str) -> Self {
        Self {
            name,
            format: ToolFormat::Generic,
            renders_tools: false,
            renders_calls: false,
            system: [true; 2],
            reasons: false,
            opens_reasoning: false,
            classifies: false,
        }
    }

    /// A template without tools and system message.
    const fn bare(name: &'static str) -> Self {
        Self { system: [false; 2], ..Self::plain(name) }
    }

    /// A template that renders tools and calls.
    const fn tools(name: &'static str, format: ToolFormat) -> Self {
        Self { format, renders_tools: true, renders_calls: true, ..Self::plain(name) }
    }

    /// A template that renders calls only.
    const fn deepseek(name: &'static str, reasons: bool, opens_reasoning: bool) -> Self {
        let format = ToolFormat::DeepSeek;
        Self { format, renders_calls: true, reasons, opens_reasoning, ..Self::plain(name) }
    }

    const fn guard(name: &'static str) -> Self {
        Self { classifies: true, ..Self::bare(name) }
    }
}

const KNOWN: [Known; 25] = [
    Known::plain("codellama-70b-instruct"),
    Known::plain("dbrx-instruct"),
    Known::deepseek("deepseek-r1-distill-llama", true, true),
    Known::deepseek("deepseek-r1-first", true, false),
    Known::deepseek("deepseek-r1-gguf", true, false),
    Known::deepseek("deepseek-r1", true, true),
    Known::deepseek("deepseek-v3", false, false),
    Known::guard("llama-guard3-1b"),
    Known::guard("llama-guard3-8b"),
    Known::plain("llama2-chat-community"),
    Known::plain("llama2-chat"),
    Known::plain("llama2-default-hf"),
    Known::plain("llama3-instruct"),
    Known::tools("llama3.1-instruct", ToolFormat::Llama),
    Known::tools("llama3.2-instruct", ToolFormat::Llama),
    Known::tools("llama3.3-instruct", ToolFormat::Llama),
    Known::bare("mistral-instruct-v0.1"),
    Known::bare("mistral-instruct-v0.2"),
    // It drops a system message.
    Known { system: [false; 2], ..Known::tools("mistral-instruct-v0.3-official", ToolFormat::Mistral) },
    // It drops a system message unless there are tools.
    Known { system: [false, true], ..Known::tools("mistral-instruct-v0.3", ToolFormat::Mistral) },
    Known::tools("mistral-nemo", ToolFormat::Mistral),
    Known::plain("mixtral-8x22b-instruct"),
    Known::bare("mixtral-8x7b-instruct-v0.1-early"),
    Known::plain("mixtral-8x7b-instruct-v0.1"),
    Known::plain("mpt-chatml"),
];

/// What is known of the templates in the files of other projects; those not named here are plain.
const OTHERS: [Known; 13] = [
    Known::bare("TheBloke/Mistral-7B-Instruct-v0.1-GPTQ"),
    Known::bare("mistralai/Mixtral-8x7B-Instruct-v0.1"),
    Known {
        system: [false; 2],
        ..Known::tools("mistralai/Mistral-7B-Instruct-v0.3 (JSON Schema)", ToolFormat::Mistral)
    },
    Known {
        system: [false, true],
        ..Known::tools("CISCai/Mistral-7B-Instruct-v0.3-SOTA-GGUF", ToolFormat::Mistral)
    },
    Known::tools("NousResearch/Hermes-2-Pro-Llama-3-8B (JSON Schema)", ToolFormat::Generic),
    Known::tools("mistralai/Mistral-Nemo-Instruct-2407", ToolFormat::Mistral),
    Known::tools("meta-llama/Llama-3.1-8B-Instruct", ToolFormat::Llama),
    Known::tools("meta-llama/Llama-3.2-11B-Vision-Instruct", ToolFormat::Llama),
    Known::deepseek("deepseek-ai/DeepSeek-R1", true, false),
    Known::guard("meta-llama/Llama-Guard-3-11B-Vision"),
    Known::bare("mistralai/Mistral-7B-Instruct-v0.2 (NOTE: Old pre-v1 without a system prompt)"),
    Known::tools(
        "Mistral-Large-Instruct-2407 (mistralai 'v3' template; modified to have system prompt at start)",
        ToolFormat::Mistral,
    ),
    Known::tools(
        "Mistral-Nemo-Instruct-2407 (mistralai 'v3-tekken' template; modified to have system prompt at start)",
        ToolFormat::Mistral,
    ),
];

const CALL_ID: &str = "call_Qm1-x";
const ARGUMENTS: &str = r#"{"city": "Reykjavík", "days": [1, 2.5]}"#;

/// Checks one template.
pub(super) fn run(path: &Path) -> Outcome {
    let name = path.file_stem().and_then(|s| s.to_str()).ok_or("no name")?;
    let known = KNOWN.iter().find(|known| known.name == name).ok_or("nothing is known of this template")?;
    let source = std::fs::read_to_string(path).map_err(|e| e.to_string())?;
    let tokens = TemplateTokens::new("<s>".to_owned(), "</s>".to_owned());
    let template = ChatTemplate::new(&source, tokens).map_err(|e| e.to_string())?;
    facts(known, template.dialect())?;
    system(known, &template)?;
    if known.classifies {
        classifier(&template)?
    } else {
        conversation(&template)?
    }
    Ok(Verdict::Ran)
}

/// Checks the templates in a file of goldens of another project.
pub(super) fn others(path: &Path) -> Outcome {
    let file = super::json(path)?;
    let cases = file["cases"].as_array().filter(|cases| !cases.is_empty()).ok_or("no cases")?;
    for case in cases {
        let name = case["name"].as_str().ok_or("no name")?;
        let source = ["chat_template", "template_str"].into_iter().find_map(|key| case[key].as_str());
        let tokens = TemplateTokens::new("<s>".to_owned(), "</s>".to_owned());
        let template = ChatTemplate::new(source.ok_or("no template")?, tokens).map_err(|e| e.to_string())?;
        let plain = Known::plain("");
        let known = OTHERS.iter().find(|known| known.name == name).unwrap_or(&plain);
        facts(known, template.dialect()).map_err(|e| format!("{name}: {e}"))?;
        if known.renders_calls {
            conversation(&template).map_err(|e| format!("{name}: {e}"))?;
        }
    }
    Ok(Verdict::Ran)
}

fn facts(known: &Known, found: &Dialect) -> Result<(), String> {
    let same = found.tool_format() == known.format
        && found.renders_tools() == known.renders_tools
        && found.renders_calls() == known.renders_calls
        && [found.takes_system_message(false), found.takes_system_message(true)] == known.system
        && found.reasons() == known.reasons
        && found.opens_reasoning() == known.opens_reasoning
        && found.classifies() == known.classifies;
    if same { Ok(()) } else { Err(format!("found {found:?}")) }
}

/// A system message is in the prompt, or refused by its place.
fn system(known: &Known, template: &ChatTemplate) -> Result<(), String> {
    let messages =
        [json!({"role": "system", "content": "Be terse."}), json!({"role": "user", "content": "Hello"})];
    for (tools, taken) in [(Vec::new(), known.system[0]), (vec![tool()], known.system[1])] {
        if known.classifies && !tools.is_empty() {
            continue;
        }
        match template.dialect().messages(&messages, &tools) {
            Ok((messages, tools)) if taken => {
                contains(&render(template, &messages, tools.as_ref())?, &["Be terse.", "Hello"])?;
            }
            Err(TemplateError::NotTaken { param, .. }) if !taken && param == "messages[0].role" => {}
            other => return Err(format!("a system message, tools {}: {other:?}", !tools.is_empty())),
        }
    }
    Ok(())
}

/// Offers a tool, has it called, gives the result, asks again.
fn conversation(template: &ChatTemplate) -> Result<(), String> {
    let dialect = template.dialect();
    for content in [Value::Null, json!(""), json!("I look it up.")] {
        let mut messages = vec![
            json!({"role": "user", "content": "How is the weather?"}),
            json!({"role": "assistant", "content": content, "tool_calls": [
                {"id": CALL_ID, "type": "function", "function": {"name": "get_weather", "arguments": ARGUMENTS}}
            ]}),
            json!({"role": "tool", "tool_call_id": CALL_ID, "content": "sunny, 21 degrees"}),
        ];
        for more in ["", "It is sunny.", "Thanks, and tomorrow?"] {
            if !more.is_empty() {
                let role = if messages.len() % 2 == 1 { "assistant" } else { "user" };
                messages.push(json!({"role": role, "content": more}));
            }
            // A conversation that ends with the assistant's answer is one to train on, not to continue.
            if more == "It is sunny." {
                continue;
            }
            let (given, tools) = dialect.messages(&messages, &[tool()]).map_err(|e| e.to_string())?;
            let prompt = render(template, &given, tools.as_ref())?;
            contains(&prompt, &["get_weather", "The city's name", "Reykjavík", "sunny, 21 degrees", more])?;
            read_back(dialect, &prompt)?;
        }
    }
    Ok(())
}

/// The prompt has the call in the notation in which answers are read.
fn read_back(dialect: &Dialect, prompt: &str) -> Result<(), String> {
    let begin = match dialect.tool_format() {
        ToolFormat::Llama => r#"{"name": "get_weather", "parameters""#,
        format => format.markers()[0],
    };
    // The description of the tools may show the notation, too.
    let is_call = |text: &str| {
        let options = OutputOptions {
            tools: vec!["get_weather".to_owned()],
            spelled_markers: true,
            ..OutputOptions::default()
        };
        let mut parser = OutputParser::new(dialect, options);
        let mut events = Vec::new();
        parser.text(text, &mut events);
        parser.finish(&mut events);
        match events.as_slice() {
            [Event::Call { name }, Event::Arguments(arguments), ..] => {
                name == "get_weather"
                    && serde_json::from_str::<Value>(arguments).ok() == serde_json::from_str(ARGUMENTS).ok()
            }
            _ => false,
        }
    };
    if prompt.match_indices(begin).any(|(at, _)| is_call(&prompt[at..])) {
        Ok(())
    } else {
        Err(format!("no call is read from {prompt:?}"))
    }
}

fn classifier(template: &ChatTemplate) -> Result<(), String> {
    let dialect = template.dialect();
    let messages = [
        json!({"role": "user", "content": "How do I pick a lock?"}),
        json!({"role": "assistant", "content": "With care."}),
    ];
    let (given, tools) = dialect.messages(&messages, &[]).map_err(|e| e.to_string())?;
    contains(&render(template, &given, tools.as_ref())?, &["S1", "How do I pick a lock?", "With care."])?;
    match dialect.messages(&messages, &[tool()]) {
        Err(TemplateError::NotTaken { param, .. }) if param == "tools" => Ok(()),
        other => Err(format!("tools: {other:?}")),
    }
}

fn tool() -> Value {
    json!({"type": "function", "function": {
        "name": "get_weather",
        "description": "How the weather is",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "description": "The city's name"}},
            "required": ["city"],
        },
    }})
}

fn render(template: &ChatTemplate, messages: &Value, tools: Option<&Value>) -> Result<String, String> {
    template
        .render(&TemplateInput {
            messages,
            tools,
            add_generation_prompt: true,
            variables: &serde_json::Map::new(),
            now: jiff::Timestamp::UNIX_EPOCH,
        })
        .map_err(|e| format!("{e} on {messages}"))
}

fn contains(prompt: &str, parts: &[&str]) -> Result<(), String> {
    match parts.iter().find(|part| !prompt.contains(**part)) {
        Some(part) => Err(format!("{part:?} is not in {prompt:?}")),
        None => Ok(()),
    }
}
