//! Calls of tools in each family's form.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::walk::{Random, walk};
use super::{Model, SMALL, accepts, data};
use crate::chat::ToolFormat;
use crate::grammar::{Choice, Grammar, GrammarSource, ToolSignature};

fn tools() -> Vec<ToolSignature> {
    let weather = json!({
        "type": "object",
        "properties": {"city": {"type": "string", "maxLength": 8}, "days": {"type": "integer", "minimum": 1, "maximum": 9}},
        "required": ["city"],
    });
    vec![
        ToolSignature { name: "get_weather".into(), parameters: weather },
        ToolSignature { name: "now.v2-x".into(), parameters: Value::Null },
    ]
}

fn source(format: ToolFormat, choice: Choice, parallel: bool) -> GrammarSource {
    GrammarSource::Tools { format, tools: tools(), choice, parallel }
}

/// Byte-level tokens with these markers as single tokens, special ones or, as in DeepSeek's vocabulary, not.
fn with_markers(markers: &[&str], special: bool) -> Model {
    let bytes = std::fs::read(data("tiny/llama3").join("tokenizer.json")).unwrap();
    let mut file: Value = serde_json::from_slice(&bytes).unwrap();
    let added = file["added_tokens"].as_array_mut().unwrap();
    added.retain(|token| !markers.contains(&token["content"].as_str().unwrap()));
    let free = added.iter().map(|token| token["id"].as_u64().unwrap()).max().unwrap() + 1;
    for (id, content) in (free..).zip(markers) {
        let mut token = added[0].clone();
        (token["id"], token["content"], token["special"]) = (json!(id), json!(content), json!(special));
        added.push(token);
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("tokenizer.json"), file.to_string()).unwrap();
    let model = Model::load(folder.path());
    for marker in markers {
        let id = model.tokenizer.token_to_id(marker).unwrap();
        assert_eq!((model.ids(marker), model.tokenizer.is_special(id)), (vec![id], special));
    }
    model
}

/// Text and control tokens in one string; `takes` reads the markers as tokens where the vocabulary has them.
fn takes(model: &Model, grammar: &Grammar, answer: &str) -> bool {
    // In the middle of a text: no space is added.
    let prefix = model.ids("a\n").len();
    let ids = model.ids(&format!("a\n{answer}"));
    accepts(&mut grammar.matcher_within().unwrap(), &ids[prefix..])
}

#[test]
fn llama() {
    let model = with_markers(ToolFormat::Llama.markers(), true);
    let auto = model.compile(&source(ToolFormat::Llama, Choice::Auto, true)).unwrap();
    let required = model.compile(&source(ToolFormat::Llama, Choice::Required, false)).unwrap();
    let one = r#"{"name": "get_weather", "parameters": {"city": "Rome"}}"#;
    for (answer, with_auto, with_required) in [
        (one.to_owned(), true, true),
        (r#"{"name":"get_weather","parameters":{"city":"Rome","days":3}}"#.into(), true, true),
        (format!("<|python_tag|>{one}"), true, true),
        (format!("{one}; {one}"), true, false),
        (format!("{one};{one}"), true, false),
        (r#"{"name": "now.v2-x", "parameters": {}}"#.into(), true, true),
        ("It is {warm}.".into(), true, false),
        ("  \n It is.".into(), true, false),
        (String::new(), true, false),
        (r#"{"name": "other", "parameters": {}}"#.into(), false, false),
        (r#"{"name": "now.v2-x", "parameters": {"city": "Rome"}}"#.into(), false, false),
        (r#"{"name": "get_weather", "parameters": {"days": 3}}"#.into(), false, false),
        (r#" {"name": "now.v2-x", "parameters": {}}"#.into(), false, false),
        (format!("{one} and so on"), false, false),
        ("It <|python_tag|>".into(), false, false),
    ] {
        assert_eq!(takes(&model, &auto, &answer), with_auto, "auto: {answer}");
        assert_eq!(takes(&model, &required, &answer), with_required, "required: {answer}");
    }
}

#[test]
fn mistral() {
    let model = with_markers(&["[TOOL_CALLS]", "[INST]"], true);
    let auto = model.compile(&source(ToolFormat::Mistral, Choice::Auto, true)).unwrap();
    let required = model.compile(&source(ToolFormat::Mistral, Choice::Required, false)).unwrap();
    let one = r#"{"name": "get_weather", "arguments": {"city": "Rome"}}"#;
    for (answer, with_auto, with_required) in [
        (format!("[TOOL_CALLS] [{one}]"), true, true),
        (format!("[TOOL_CALLS][{one}]"), true, true),
        (format!("[TOOL_CALLS] [{one}, {one}]"), true, false),
        (format!("Wait.[TOOL_CALLS] [{one}]"), true, false),
        ("It is.".into(), true, false),
        ("[TOOL_CALLS] []".into(), false, false),
        (format!("[TOOL_CALLS] [{one}] then"), false, false),
        (format!("[TOOL_CALLS] [{one}][TOOL_CALLS] [{one}]"), false, false),
        ("[INST]".into(), false, false),
    ] {
        assert_eq!(takes(&model, &auto, &answer), with_auto, "auto: {answer}");
        assert_eq!(takes(&model, &required, &answer), with_required, "required: {answer}");
    }
}

#[test]
fn deep_seek() {
    let model = with_markers(ToolFormat::DeepSeek.markers(), false);
    let auto = model.compile(&source(ToolFormat::DeepSeek, Choice::Auto, true)).unwrap();
    let required =
        model.compile(&source(ToolFormat::DeepSeek, Choice::Function("get_weather".into()), false)).unwrap();
    let call = |name: &str, arguments: &str| {
        format!(
            "<｜tool▁call▁begin｜>function<｜tool▁sep｜>{name}\n```json\n{arguments}\n```<｜tool▁call▁end｜>"
        )
    };
    let (begin, end) = ("<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>");
    let one = call("get_weather", r#"{"city": "Rome", "days": 2}"#);
    for (answer, with_auto, with_required) in [
        (format!("{begin}{one}{end}"), true, true),
        (format!("{begin}{one}\n{one}{end}"), true, false),
        (format!("{begin}{one}{one}{end}"), true, false),
        (format!("First.{begin}{one}{end}"), true, false),
        (format!("{begin}{}{end}", call("now.v2-x", "{}")), true, false),
        ("It is.".into(), true, false),
        (format!("{begin}{one}"), false, false),
        (format!("{begin}{end}"), false, false),
        (format!("{begin}{one}{end} then"), false, false),
        (one.clone(), false, false),
    ] {
        assert_eq!(takes(&model, &auto, &answer), with_auto, "auto: {answer}");
        assert_eq!(takes(&model, &required, &answer), with_required, "required: {answer}");
    }
}

/// Markers that the vocabulary lacks are spelled.
#[test]
fn generic_in_plain_text() {
    let auto = SMALL.compile(&source(ToolFormat::Generic, Choice::Auto, true)).unwrap();
    let required = SMALL.compile(&source(ToolFormat::Generic, Choice::Required, false)).unwrap();
    let one = "<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Rome\"}}\n</tool_call>";
    for (answer, with_auto, with_required) in [
        (one.to_owned(), true, true),
        ("<tool_call>{\"name\":\"now.v2-x\",\"arguments\":{}}</tool_call>".into(), true, true),
        (format!("{one}\n{one}"), true, false),
        (format!("{one}{one}"), true, false),
        (format!("Well, <tool. {one}"), true, false),
        ("It is <tool_".into(), true, false),
        (String::new(), true, false),
        ("It is <tool_call>".into(), false, false),
        (format!("{one} then"), false, false),
    ] {
        assert_eq!(takes(&SMALL, &auto, &answer), with_auto, "auto: {answer}");
        assert_eq!(takes(&SMALL, &required, &answer), with_required, "required: {answer}");
    }
}

/// Qwen's vocabularies have the tags as single tokens, which are not special.
#[test]
fn generic_with_tags_of_the_vocabulary() {
    let model = with_markers(ToolFormat::Generic.markers(), false);
    let auto = model.compile(&source(ToolFormat::Generic, Choice::Auto, true)).unwrap();
    let one = "<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Rome\"}}\n</tool_call>";
    for (answer, expected) in [
        (one.to_owned(), true),
        (format!("Well. {one}\n{one}"), true),
        ("It is.".into(), true),
        ("It is <tool_call>".into(), false),
        (format!("{one} then"), false),
    ] {
        assert_eq!(takes(&model, &auto, &answer), expected, "{answer}");
    }
    // The parser of answers reads a spelled tag as well as the token: text may not spell it.
    let mut matcher = auto.matcher().unwrap();
    let spelled: Vec<u32> = ["<", "tool", "_", "call", ">"].iter().flat_map(|part| model.ids(part)).collect();
    let taken = spelled.iter().take_while(|id| matcher.accept(**id).is_ok()).count();
    assert_eq!(taken, spelled.len() - 1);
}

/// The other notations where the vocabulary has none of their markers.
#[test]
fn markers_that_the_vocabulary_lacks() {
    let one = r#"{"name": "get_weather", "arguments": {"city": "Rome"}}"#;
    let mistral = SMALL.compile(&source(ToolFormat::Mistral, Choice::Auto, true)).unwrap();
    assert!(takes(&SMALL, &mistral, &format!("Wait.[TOOL_CALLS] [{one}]")));
    assert!(takes(&SMALL, &mistral, "Wait. [TOOL"));
    assert!(!takes(&SMALL, &mistral, "Wait.[TOOL_CALLS] and"));
    for format in ToolFormat::ALL {
        SMALL.compile(&source(format, Choice::Auto, false)).unwrap();
        SMALL.compile(&source(format, Choice::Required, true)).unwrap();
    }
}

/// Mistral's newer vocabularies have a marker between name and arguments.
#[test]
fn mistral_with_a_marker_before_the_arguments() {
    let model = with_markers(ToolFormat::Mistral.markers(), true);
    let auto = model.compile(&source(ToolFormat::Mistral, Choice::Auto, true)).unwrap();
    let one = r#"[TOOL_CALLS]get_weather[ARGS]{"city": "Rome"}"#;
    for (answer, expected) in [
        (one.to_owned(), true),
        (format!("{one}[TOOL_CALLS]now.v2-x[ARGS]{{}}"), true),
        (format!("Wait.{one}"), true),
        (format!("{one} then"), false),
        ("[TOOL_CALLS]other[ARGS]{}".into(), false),
        (r#"[TOOL_CALLS][{"name": "now.v2-x", "arguments": {}}]"#.into(), false),
    ] {
        assert_eq!(takes(&model, &auto, &answer), expected, "{answer}");
    }
}

/// Random answers that have to be calls: their arguments are valid, and every tool comes up.
#[test]
fn arguments_of_random_calls_are_valid() {
    let grammar = SMALL.compile(&source(ToolFormat::Generic, Choice::Required, true)).unwrap();
    let mut random = Random(5);
    let mut names = BTreeSet::new();
    for _ in 0..40 {
        let text = walk(&SMALL, &mut grammar.matcher().unwrap(), &mut random);
        for call in text.split("<tool_call>").skip(1) {
            let body = call.trim_end().strip_suffix("</tool_call>").unwrap_or_else(|| panic!("{text}"));
            let call: Value = serde_json::from_str(body).unwrap_or_else(|e| panic!("{e}: {text}"));
            let name = call["name"].as_str().unwrap().to_owned();
            let tool = tools().into_iter().find(|tool| tool.name == name).unwrap();
            let schema = if tool.parameters.is_null() {
                json!({"type": "object", "additionalProperties": false})
            } else {
                tool.parameters
            };
            jsonschema::validate(&schema, &call["arguments"]).unwrap_or_else(|e| panic!("{e}: {text}"));
            names.insert(name);
        }
    }
    assert_eq!(names.len(), 2);
}

/// Every notation, with and without its markers in the vocabulary, leads on wherever one goes.
#[test]
fn no_random_answer_is_lost() {
    let marked: Vec<&str> = ToolFormat::ALL.iter().flat_map(|format| format.markers()).copied().collect();
    let marked = with_markers(&marked, true);
    let mut random = Random(9);
    for model in [&*SMALL, &marked] {
        for format in ToolFormat::ALL {
            for (choice, parallel) in
                [(Choice::Auto, true), (Choice::Required, true), (Choice::Required, false)]
            {
                let grammar = model.compile(&source(format, choice, parallel)).unwrap();
                for _ in 0..8 {
                    walk(model, &mut grammar.matcher().unwrap(), &mut random);
                    walk(model, &mut grammar.matcher_within().unwrap(), &mut random);
                }
            }
        }
    }
}
