//! Tools, calls and their results, forms of answers, and thinking: what is accepted and what is refused by name.

use serde_json::{Value, json};

use super::{chat, messages, refused};
use crate::error::ErrorKind::{InvalidRequest, Unsupported};
use crate::protocol::*;

const TOOL: &str = r#"{"type":"function","function":{"name":"weather","description":"d","parameters":{"type":"object"},"strict":true}}"#;

fn with_tools(tools: &str, extra: &str) -> crate::Result<ChatRequest> {
    chat(&format!(r#","tools":{tools}{extra}"#))
}

#[test]
fn tools_are_functions() {
    let request = with_tools(&format!("[{TOOL}]"), "").unwrap();
    let parameters = json!({ "type": "object" });
    let function = request.tools[0].definition();
    assert_eq!(
        (function.name.as_str(), &function.parameters, function.strict),
        ("weather", &Some(parameters), Some(true))
    );
    assert_eq!(serde_json::to_string(&request.tools[0]).unwrap(), TOOL);
    with_tools("null", r#","tool_choice":null,"parallel_tool_calls":null"#).unwrap();
    with_tools("[]", r#","tool_choice":"none""#).unwrap();
    with_tools(
        r#"[{"type":"function","function":{"name":"f","description":null,"parameters":null,"strict":null}}]"#,
        "",
    )
    .unwrap();
    let one = |tool: &str| with_tools(&format!("[{tool}]"), "");
    refused(with_tools("{}", ""), InvalidRequest, "tools");
    refused(one("1"), InvalidRequest, "tools[0]");
    refused(one(r#"{"function":{"name":"f"}}"#), InvalidRequest, "tools[0].type");
    refused(one(r#"{"type":"custom","function":{"name":"f"}}"#), Unsupported, "tools[0].type");
    refused(one(r#"{"type":"web_search"}"#), InvalidRequest, "tools[0].type");
    refused(one(r#"{"type":"function"}"#), InvalidRequest, "tools[0].function");
    refused(one(r#"{"type":"function","function":{}}"#), InvalidRequest, "tools[0].function.name");
    let function = |body: &str| one(&format!(r#"{{"type":"function","function":{{{body}}}}}"#));
    for name in ["", "a b", "é", &"x".repeat(65)] {
        refused(function(&format!(r#""name":"{name}""#)), InvalidRequest, "tools[0].function.name");
    }
    function(&format!(r#""name":"{}""#, "x".repeat(64))).unwrap();
    refused(function(r#""name":"f","parameters":[]"#), InvalidRequest, "tools[0].function.parameters");
    refused(function(r#""name":"f","strict":1"#), InvalidRequest, "tools[0].function.strict");
    refused(function(r#""name":"f","x":1"#), InvalidRequest, "tools[0].function.x");
    refused(with_tools(&format!("[{TOOL},{TOOL}]"), ""), InvalidRequest, "tools[1].function.name");
    let many = |count: usize| {
        let tool = |i| format!(r#"{{"type":"function","function":{{"name":"f{i}"}}}}"#);
        with_tools(&format!("[{}]", (0..count).map(tool).collect::<Vec<_>>().join(",")), "")
    };
    assert_eq!(many(32).unwrap().tools.len(), 32);
    refused(many(33), InvalidRequest, "tools");
}

#[test]
fn the_choice_is_one_of_them() {
    let choice = |choice: &str| with_tools(&format!("[{TOOL}]"), &format!(r#","tool_choice":{choice}"#));
    let named = r#"{"type":"function","function":{"name":"weather"}}"#;
    for (text, expected) in [
        ("\"auto\"", ToolChoice::Auto),
        ("\"none\"", ToolChoice::None),
        ("\"required\"", ToolChoice::Required),
        (named, ToolChoice::Function("weather".into())),
    ] {
        let request = choice(text).unwrap();
        assert_eq!(request.tool_choice, Some(expected));
        assert_eq!(
            serde_json::to_value(&request).unwrap()["tool_choice"],
            serde_json::from_str::<Value>(text).unwrap()
        );
    }
    refused(choice("\"any\""), InvalidRequest, "tool_choice");
    refused(choice("1"), InvalidRequest, "tool_choice");
    refused(choice(r#"{"type":"function"}"#), InvalidRequest, "tool_choice.function.name");
    refused(choice(r#"{"type":"function","function":{"name":"other"}}"#), InvalidRequest, "tool_choice");
    refused(
        choice(r#"{"type":"function","function":{"name":"weather","x":1}}"#),
        InvalidRequest,
        "tool_choice.function.x",
    );
    refused(chat(r#","tool_choice":"required""#), InvalidRequest, "tool_choice");
    refused(
        with_tools(&format!("[{TOOL}]"), r#","parallel_tool_calls":1"#),
        InvalidRequest,
        "parallel_tool_calls",
    );
}

fn conversation(call: &str, result: &str) -> crate::Result<ChatRequest> {
    messages(&format!(
        r#"[{{"role":"user","content":"a"}},{{"role":"assistant","content":null,"tool_calls":[{call}]}},{result}]"#
    ))
}

#[test]
fn calls_and_results_go_back_in() {
    let call = r#"{"id":"c1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}}"#;
    let result = r#"{"role":"tool","tool_call_id":"c1","content":"21 degrees"}"#;
    let request = conversation(call, result).unwrap();
    assert_eq!(request.messages[1].tool_calls, [ToolCall::new("c1", "f", "{\"a\":1}")]);
    assert_eq!(request.messages[2], ChatMessage::tool("c1", "21 degrees"));
    let again = ChatRequest::from_json(&serde_json::to_vec(&request).unwrap()).unwrap();
    assert_eq!(again, request);

    let bad = |call: &str, param: &str| refused(conversation(call, result), InvalidRequest, param);
    bad(r#"{"type":"function","function":{"name":"f","arguments":"{}"}}"#, "messages[1].tool_calls[0].id");
    bad(r#"{"id":"c1","function":{"arguments":"{}"}}"#, "messages[1].tool_calls[0].function.name");
    bad(r#"{"id":"c1","function":{"name":"f"}}"#, "messages[1].tool_calls[0].function.arguments");
    bad(
        r#"{"id":"c1","function":{"name":"f","arguments":{}}}"#,
        "messages[1].tool_calls[0].function.arguments",
    );
    bad(
        r#"{"id":"c1","function":{"name":"f","arguments":"[1]"}}"#,
        "messages[1].tool_calls[0].function.arguments",
    );
    bad(
        r#"{"id":"c1","function":{"name":"f","arguments":"{}","x":1}}"#,
        "messages[1].tool_calls[0].function.x",
    );
    bad(&format!("{call},{call}"), "messages[1].tool_calls[1].id");
    let no = |result: &str, param: &str| refused(conversation(call, result), InvalidRequest, param);
    no(r#"{"role":"tool","content":"x"}"#, "messages[2].tool_call_id");
    no(r#"{"role":"tool","tool_call_id":"c2","content":"x"}"#, "messages[2].tool_call_id");
    no(r#"{"role":"tool","tool_call_id":"c1"}"#, "messages[2].content");
    no(r#"{"role":"user","tool_call_id":"c1","content":"x"}"#, "messages[2].tool_call_id");
    no(&format!("{result},{result}"), "messages[3].tool_call_id");
    refused(
        messages(r#"[{"role":"tool","content":"a","tool_call_id":"x"}]"#),
        InvalidRequest,
        "messages[0].tool_call_id",
    );
    refused(messages(r#"[{"role":"assistant","content":null}]"#), InvalidRequest, "messages[0].content");
    refused(
        messages(&format!(r#"[{{"role":"user","content":"a","tool_calls":[{call}]}}]"#)),
        InvalidRequest,
        "messages[0].tool_calls",
    );
    refused(
        messages(r#"[{"role":"user","content":"a","reasoning_content":"b"}]"#),
        InvalidRequest,
        "messages[0].reasoning_content",
    );
    let thought = messages(r#"[{"role":"assistant","content":"a","reasoning_content":"b"}]"#).unwrap();
    assert_eq!(thought.messages[0].reasoning_content.as_deref(), Some("b"));
}

#[test]
fn forms_of_answers() {
    let format = |format: &str| chat(&format!(r#","response_format":{format}"#));
    let schema =
        r#"{"type":"json_schema","json_schema":{"name":"city","schema":{"type":"object"},"strict":true}}"#;
    for text in [
        r#"{"type":"text"}"#,
        r#"{"type":"json_object"}"#,
        schema,
        r#"{"type":"grammar","grammar":{"syntax":"regex","definition":"[a-z]+"}}"#,
        r#"{"type":"grammar","grammar":{"syntax":"lark","definition":"start: \"a\""}}"#,
    ] {
        let read = format(text).unwrap().response_format.unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), text);
    }
    assert_eq!(format("null").unwrap().response_format, None);
    refused(format("\"json\""), InvalidRequest, "response_format");
    refused(format("{}"), InvalidRequest, "response_format.type");
    refused(format(r#"{"type":"xml"}"#), InvalidRequest, "response_format.type");
    refused(format(r#"{"type":"text","x":1}"#), InvalidRequest, "response_format.x");
    refused(format(r#"{"type":"json_schema"}"#), InvalidRequest, "response_format.json_schema");
    let json_schema = |body: &str| format(&format!(r#"{{"type":"json_schema","json_schema":{{{body}}}}}"#));
    refused(json_schema(r#""schema":{}"#), InvalidRequest, "response_format.json_schema.name");
    refused(json_schema(r#""name":"a b","schema":{}"#), InvalidRequest, "response_format.json_schema.name");
    refused(json_schema(r#""name":"a""#), InvalidRequest, "response_format.json_schema.schema");
    refused(json_schema(r#""name":"a","schema":true"#), InvalidRequest, "response_format.json_schema.schema");
    refused(json_schema(r#""name":"a","schema":{},"x":1"#), InvalidRequest, "response_format.json_schema.x");
    refused(
        format(r#"{"type":"grammar","grammar":{"syntax":"ebnf","definition":""}}"#),
        InvalidRequest,
        "response_format.grammar.syntax",
    );
    refused(
        format(r#"{"type":"grammar","grammar":{"syntax":"lark"}}"#),
        InvalidRequest,
        "response_format.grammar.definition",
    );
}

#[test]
fn thinking_has_a_budget() {
    let thinking = |thinking: &str| chat(&format!(r#","thinking":{thinking}"#));
    let request = thinking(r#"{"type":"enabled","budget_tokens":1024}"#).unwrap();
    assert_eq!(request.thinking, Some(Thinking { budget_tokens: 1024 }));
    assert_eq!(
        serde_json::to_value(&request).unwrap()["thinking"],
        json!({ "type": "enabled", "budget_tokens": 1024 })
    );
    refused(thinking("true"), InvalidRequest, "thinking");
    refused(thinking(r#"{"type":"enabled"}"#), InvalidRequest, "thinking.budget_tokens");
    refused(thinking(r#"{"type":"enabled","budget_tokens":0}"#), InvalidRequest, "thinking.budget_tokens");
    refused(thinking(r#"{"type":"disabled"}"#), Unsupported, "thinking.type");
    refused(thinking(r#"{"type":"enabled","budget_tokens":5,"x":1}"#), InvalidRequest, "thinking.x");
}
