//! Conversations before and after they are put into the form of a template.

#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};

use crate::chat::dialect::{CallStyle, Dialect, SystemMessage};
use crate::chat::tool_format::ToolFormat;
use crate::chat::{TemplateError, generic_form};
use crate::error::{Error, ErrorKind};

fn generic(system: SystemMessage) -> Dialect {
    Dialect { system, ..Dialect::default() }
}

fn native(format: ToolFormat, object: bool, null: bool, apart: bool) -> Dialect {
    Dialect {
        format,
        renders_tools: true,
        calls: Some(CallStyle { object, null, apart }),
        system: SystemMessage::Always,
        ..Dialect::default()
    }
}

fn tool() -> Value {
    json!({"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}})
}

fn call(id: &str, name: &str, arguments: &str) -> Value {
    json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}})
}

fn messages(dialect: &Dialect, messages: &Value, tools: &[Value]) -> Value {
    dialect.messages(messages.as_array().unwrap(), tools).unwrap().0
}

#[test]
fn the_generic_form_is_that_of_its_documentation() {
    let conversation = json!([
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": null, "tool_calls": [call("a", "weather", r#"{"city": "Rome"}"#), call("b", "f", " ")]},
        {"role": "tool", "tool_call_id": "a", "content": " {\"celsius\": 21} "},
        {"role": "tool", "tool_call_id": "b", "content": "say \"21\""},
        {"role": "user", "content": "And now?"},
        {"role": "assistant", "content": "Look.", "tool_calls": [call("c", "f", "{}")]},
        {"role": "tool", "tool_call_id": "unknown", "content": null},
        {"role": "assistant", "content": "Fine."},
    ]);
    let expected = json!([
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content":
            "<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Rome\"}}\n</tool_call>\n\
             <tool_call>\n{\"name\": \"f\", \"arguments\": {}}\n</tool_call>"},
        {"role": "user", "content":
            "<tool_response>\n{\"name\": \"weather\", \"content\": {\"celsius\": 21}}\n</tool_response>\n\
             <tool_response>\n{\"name\": \"f\", \"content\": \"say \\\"21\\\"\"}\n</tool_response>\n\nAnd now?"},
        {"role": "assistant", "content": "Look.\n<tool_call>\n{\"name\": \"f\", \"arguments\": {}}\n</tool_call>"},
        {"role": "user", "content": "<tool_response>\n{\"content\": \"\"}\n</tool_response>"},
        {"role": "assistant", "content": "Fine."},
    ]);
    assert_eq!(messages(&generic(SystemMessage::Always), &conversation, &[]), expected);
}

#[test]
fn tools_are_described_where_the_template_takes_it() {
    let told = generic_form::instructions(&[tool()], ToolFormat::Generic).unwrap();
    let list = r#"[{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]"#;
    assert!(told.contains(list) && told.contains("<tool_call>\n{\"name\": \"NAME\""), "{told}");
    let (user, system) =
        (json!({"role": "user", "content": "Hi"}), json!({"role": "system", "content": "Be kind."}));
    for (taken, given, expected) in [
        (SystemMessage::Always, json!([user]), json!([{"role": "system", "content": told}, user])),
        (
            SystemMessage::Always,
            json!([system, user]),
            json!([{"role": "system", "content": format!("Be kind.\n\n{told}")}, user]),
        ),
        (SystemMessage::Never, json!([user]), json!([{"role": "user", "content": format!("{told}\n\nHi")}])),
        (
            SystemMessage::Never,
            json!([{"role": "assistant", "content": "Hm"}]),
            json!([{"role": "user", "content": told}, {"role": "assistant", "content": "Hm"}]),
        ),
    ] {
        let dialect = generic(taken);
        let (messages, tools) = dialect.messages(given.as_array().unwrap(), &[tool()]).unwrap();
        assert_eq!(messages, expected);
        assert_eq!(tools, None);
    }
    // A template that writes calls but no tools is told of them in its own notation, and keeps the calls.
    let deepseek = Dialect { renders_tools: false, ..native(ToolFormat::DeepSeek, false, true, false) };
    let calls = json!([user, {"role": "assistant", "content": null, "tool_calls": [call("a", "f", "{ }")]}]);
    let given = messages(&deepseek, &calls, &[tool()]);
    assert!(given[0]["content"].as_str().unwrap().contains("function<｜tool▁sep｜>NAME\n```json\n"));
    assert_eq!(given[2]["tool_calls"][0]["function"]["arguments"], "{ }");
}

#[test]
fn native_calls_have_the_shape_that_the_template_takes() {
    let text = r#"{"b": 1, "a": "é"}"#;
    let said = |content: Value| {
        json!([
            {"role": "assistant", "content": content, "tool_calls": [call("a", "f", text)]},
            {"role": "tool", "tool_call_id": "a", "content": null},
            {"role": "assistant", "content": null, "tool_calls": null},
        ])
    };
    let object = json!({"b": 1, "a": "é"});
    for (object_taken, null, content, expected) in [
        (true, true, Value::Null, json!([null, object])),
        (true, true, json!(""), json!([null, object])),
        (true, true, json!("Hm"), json!(["Hm", object])),
        (false, false, Value::Null, json!(["", text])),
    ] {
        let dialect = native(ToolFormat::Llama, object_taken, null, false);
        let given = messages(&dialect, &said(content), &[]);
        let call = &given[0];
        assert_eq!(json!([call["content"], call["tool_calls"][0]["function"]["arguments"]]), expected);
        assert_eq!(given[1], json!({"role": "tool", "tool_call_id": "a", "content": "", "name": "f"}));
        assert_eq!(given[2], json!({"role": "assistant", "content": ""}));
    }
    let apart = messages(&native(ToolFormat::DeepSeek, false, true, true), &said(json!("Hm")), &[]);
    assert_eq!(apart[0], json!({"role": "assistant", "content": "Hm"}));
    assert_eq!(apart[1]["content"], Value::Null);
    assert_eq!(apart[1]["tool_calls"][0]["function"]["arguments"], text);
    // The tools go to the template as they are; none are none.
    let (_, tools) = native(ToolFormat::Llama, true, true, false).messages(&[], &[tool()]).unwrap();
    assert_eq!(tools, Some(json!([tool()])));
    let (_, tools) = native(ToolFormat::Llama, true, true, false).messages(&[], &[]).unwrap();
    assert_eq!(tools, None);
}

#[test]
fn mistral_gets_ids_of_nine_characters() {
    let conversation = json!([
        {"role": "assistant", "content": null, "tool_calls": [call("call_1", "f", "{}"), call("abcdefGH9", "f", "{}")]},
        {"role": "tool", "tool_call_id": "call_1", "content": "1"},
        {"role": "tool", "tool_call_id": "abcdefGH9", "content": "2"},
    ]);
    let given = messages(&native(ToolFormat::Mistral, true, true, false), &conversation, &[]);
    let id = given[0]["tool_calls"][0]["id"].as_str().unwrap();
    assert!(id.len() == 9 && id.bytes().all(|b| b.is_ascii_alphanumeric()), "{id}");
    assert_eq!(given[1]["tool_call_id"], id);
    assert_eq!(given[0]["tool_calls"][1]["id"], "abcdefGH9");
    assert_eq!(given[2]["tool_call_id"], "abcdefGH9");
    let others = messages(&native(ToolFormat::Llama, true, true, false), &conversation, &[]);
    assert_eq!(others[0]["tool_calls"][0]["id"], "call_1");
}

#[test]
fn what_is_not_taken_is_refused_by_its_place() {
    let system = json!([{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi"}]);
    let user = json!([{"role": "user", "content": "Hi"}]);
    let called = json!([{"role": "assistant", "content": null, "tool_calls": [call("a", "f", "{}")]}]);
    let damaged =
        |text: &str| json!([{"role": "assistant", "content": null, "tool_calls": [call("a", "f", text)]}]);
    let guard = Dialect { classifies: true, ..generic(SystemMessage::Never) };
    let with_tools =
        Dialect { system: SystemMessage::WithTools, ..native(ToolFormat::Mistral, true, true, false) };
    for (dialect, conversation, tools, param) in [
        (&generic(SystemMessage::Never), &system, vec![], "messages[0].role"),
        (&generic(SystemMessage::Never), &system, vec![tool()], "messages[0].role"),
        (&generic(SystemMessage::WithTools), &system, vec![tool()], "messages[0].role"),
        (&with_tools, &system, vec![], "messages[0].role"),
        (&guard, &system, vec![], "messages[0].role"),
        (&guard, &user, vec![tool()], "tools"),
        (&guard, &called, vec![], "messages[0].tool_calls"),
        (&with_tools, &damaged("[1]"), vec![], "messages[0].tool_calls[0].function.arguments"),
        (
            &generic(SystemMessage::Always),
            &damaged("{\"a\": "),
            vec![],
            "messages[0].tool_calls[0].function.arguments",
        ),
    ] {
        let refused = dialect.messages(conversation.as_array().unwrap(), &tools).unwrap_err();
        assert!(matches!(refused, TemplateError::NotTaken { .. }), "{refused}");
        let error = Error::from(refused);
        assert_eq!((error.kind(), error.param()), (ErrorKind::InvalidRequest, Some(param)), "{error}");
        assert!(error.message().starts_with(param), "{error}");
    }
    let given = with_tools.messages(system.as_array().unwrap(), &[tool()]).unwrap();
    assert_eq!(given.0, system);
}

#[test]
fn contents_become_parts_where_the_template_reads_parts() {
    let guard = Dialect { classifies: true, parts: true, ..Dialect::default() };
    let given = messages(&guard, &json!([{"role": "user", "content": "Hi"}]), &[]);
    assert_eq!(given, json!([{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]));
}
