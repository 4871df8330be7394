//! Requests print and read back as themselves; anything near one is read or refused.

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::error::ErrorKind;
use crate::protocol::*;

fn options() -> impl Strategy<Value = GenerationOptions> {
    let numbers = (
        option::of(1u32..),
        option::of(0f32..=2.0),
        option::of(1e-6f32..=1.0),
        option::of(1u32..),
        option::of(0f32..=1.0),
        option::of(1e-6f32..f32::MAX),
        option::of(-2f32..=2.0),
        option::of(-2f32..=2.0),
    );
    let rest = (
        btree_map(any::<u32>(), -100f32..=100.0, 0..4),
        option::of(any::<u64>()),
        vec(".{1,4}", 0..=4),
        vec(any::<u32>(), 0..4),
        option::of(0u32..=16),
        option::of(option::of(any::<bool>())),
        option::of(".*"),
        option::of(".*"),
        option::of(1u32..=5),
    );
    (numbers, rest).prop_map(|(numbers, rest)| GenerationOptions {
        max_tokens: numbers.0,
        temperature: numbers.1,
        top_p: numbers.2,
        top_k: numbers.3,
        min_p: numbers.4,
        repetition_penalty: numbers.5,
        frequency_penalty: numbers.6,
        presence_penalty: numbers.7,
        logit_bias: rest.0,
        seed: rest.1,
        stop: rest.2,
        stop_token_ids: rest.3,
        prompt_lookup_tokens: rest.4,
        adapter: rest.6.clone().filter(|name| !name.is_empty()),
        stream: rest.5.is_some(),
        stream_options: rest.5.flatten().map(|include_usage| StreamOptions { include_usage }),
        user: rest.6,
        usage_context: rest.7.as_ref().map(|text| Map::from_iter([(text.clone(), text.as_str().into())])),
        client_request_id: rest.7,
        n: rest.8,
    })
}

fn content() -> impl Strategy<Value = Content> {
    prop_oneof![
        ".*".prop_map(Content::Text),
        vec(".*".prop_map(|text| ContentPart::Text { text }), 1..3).prop_map(Content::Parts),
    ]
}

fn said(role: Role, content: Content) -> ChatMessage {
    ChatMessage { content: Some(content), ..ChatMessage::new(role, "") }
}

/// What is said in turns, and perhaps calls of functions with their results.
fn conversation() -> impl Strategy<Value = Vec<ChatMessage>> {
    let turn = (prop_oneof![Just(Role::User), Just(Role::Assistant)], content());
    let call = ("[a-z]{1,8}", ".*", option::of(content()), option::of(".*"));
    let calls = vec(call, 0..3);
    (option::of(content()), vec(turn, 1..4), calls).prop_map(|(system, turns, calls)| {
        let mut messages: Vec<ChatMessage> =
            system.into_iter().map(|content| said(Role::System, content)).collect();
        messages.extend(turns.into_iter().map(|(role, content)| said(role, content)));
        for (index, (name, text, content, reasoning_content)) in calls.into_iter().enumerate() {
            let id = format!("call_{index}");
            let call = ToolCall::new(&id, name, json!({ "text": text }).to_string());
            messages.push(ChatMessage { content, reasoning_content, ..ChatMessage::calls(vec![call]) });
            messages.push(ChatMessage::tool(id, text));
        }
        messages
    })
}

/// What a chat request has beside its messages and options.
fn rest() -> impl Strategy<Value = ChatRequest> {
    let schema = || Just(json!({ "type": "object", "properties": { "a": { "type": "integer" } } }));
    let format = prop_oneof![
        Just(ResponseFormat::Text),
        Just(ResponseFormat::JsonObject),
        ("[a-zA-Z0-9_-]{1,64}", schema())
            .prop_map(|(name, schema)| ResponseFormat::json_schema(name, schema)),
        ".*".prop_map(ResponseFormat::Regex),
        ".*".prop_map(ResponseFormat::Lark),
    ];
    let tools = btree_map(
        "[a-zA-Z0-9_-]{1,64}",
        (option::of(".*"), option::of(schema()), option::of(any::<bool>())),
        0..4,
    )
    .prop_map(|tools| {
        let function = |(name, (description, parameters, strict))| Tool::Function {
            function: FunctionDefinition { name, description, parameters, strict },
        };
        tools.into_iter().map(function).collect::<Vec<Tool>>()
    });
    let top = option::of(option::of(0u8..=20));
    let thinking = option::of((1u32..).prop_map(|budget_tokens| Thinking { budget_tokens }));
    (tools, 0usize..5, option::of(any::<bool>()), option::of(format), thinking, top).prop_map(
        |(tools, choice, parallel_tool_calls, response_format, thinking, top)| {
            let tool_choice = match (choice, tools.first()) {
                (0, _) => None,
                (1, _) => Some(ToolChoice::Auto),
                (2, Some(_)) => Some(ToolChoice::Required),
                (3, Some(tool)) => Some(ToolChoice::Function(tool.definition().name.clone())),
                _ => Some(ToolChoice::None),
            };
            ChatRequest {
                tools,
                tool_choice,
                parallel_tool_calls,
                response_format,
                thinking,
                logprobs: top.is_some(),
                top_logprobs: top.flatten(),
                ..ChatRequest::new("m", Vec::new())
            }
        },
    )
}

fn prompt() -> impl Strategy<Value = Prompt> {
    let ids = || vec(any::<u32>(), 1..4);
    prop_oneof![
        ".*".prop_map(Prompt::Text),
        ids().prop_map(Prompt::Tokens),
        vec(".*", 1..=16).prop_map(Prompt::Texts),
        vec(ids(), 1..=16).prop_map(Prompt::TokenLists),
    ]
}

/// JSON that looks like a request: the real field names with any values.
fn near_request() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop_oneof![Just("user"), Just("text"), Just("")].prop_map(Value::from),
    ];
    let names = prop_oneof![
        Just("model"),
        Just("messages"),
        Just("prompt"),
        Just("role"),
        Just("content"),
        Just("type"),
        Just("text"),
        Just("stop"),
        Just("seed"),
        Just("n"),
        Just("logit_bias"),
        Just("tools"),
        Just("tool_calls"),
        Just("tool_call_id"),
        Just("function"),
        Just("name"),
        Just("arguments"),
        Just("response_format"),
        Just("tool_choice"),
        Just("5"),
        Just("stream_options"),
    ];
    leaf.prop_recursive(5, 40, 4, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((names.clone(), inner), 0..6).prop_map(|entries| {
                Value::Object(entries.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
            }),
        ]
    })
}

proptest! {
    #[test]
    fn chat_requests_read_back_as_they_were(messages in conversation(), options in options(), rest in rest()) {
        let request = ChatRequest { messages, options, ..rest };
        let printed = serde_json::to_vec(&request).unwrap();
        prop_assert_eq!(&ChatRequest::from_json(&printed).unwrap(), &request);
        prop_assert_eq!(&serde_json::from_slice::<ChatRequest>(&printed).unwrap(), &request);
    }

    #[test]
    fn completion_requests_read_back_as_they_were(
        prompt in prompt(), options in options(), echo in any::<bool>(), use_raw_prompt in any::<bool>(),
        logprobs in option::of(0u8..=5), suffix in option::of(".*"),
        error_behavior in option::of(prop_oneof![Just(ErrorBehavior::Truncate), Just(ErrorBehavior::Error)]),
    ) {
        let stream = options.stream && prompt.count() == 1;
        let stream_options = options.stream_options.filter(|_| stream);
        let options = GenerationOptions { stream, stream_options, ..options };
        let model = "m".into();
        let request =
            CompletionRequest { model, prompt, options, echo, logprobs, suffix, use_raw_prompt, error_behavior };
        let printed = serde_json::to_vec(&request).unwrap();
        prop_assert_eq!(&CompletionRequest::from_json(&printed).unwrap(), &request);
        prop_assert_eq!(&serde_json::from_slice::<CompletionRequest>(&printed).unwrap(), &request);
    }

    #[test]
    fn anything_near_a_request_is_read_or_refused(mut tree in near_request(), valid in any::<bool>()) {
        if let (true, Some(map)) = (valid, tree.as_object_mut()) {
            map.insert("model".into(), json!("m"));
        }
        let bytes = serde_json::to_vec(&tree).unwrap();
        for error in [ChatRequest::from_json(&bytes).err(), CompletionRequest::from_json(&bytes).err()].into_iter().flatten() {
            prop_assert!(matches!(error.kind(), ErrorKind::InvalidRequest | ErrorKind::Unsupported));
            prop_assert!(!error.message().contains('\n') && error.message().len() < 400);
        }
    }
}
