//! The published responses: what is printed.

use crate::protocol::chat_response::*;
use crate::protocol::completion_response::*;
use crate::protocol::*;

#[test]
fn chat_response_prints_as_published() {
    let response = ChatResponse {
        id: "chatcmpl-1".into(),
        object: ChatResponseObject::ChatCompletion,
        created: 1_700_000_000,
        model: "m-030424".into(),
        choices: vec![ChatChoice {
            index: 0,
            message: ResponseMessage::assistant("Hi"),
            logprobs: Some(ChatLogprobs {
                content: vec![TokenLogprob {
                    token: "Hi".into(),
                    logprob: -0.1,
                    bytes: Some(vec![72, 105]),
                    top_logprobs: vec![TopLogprob {
                        token: "Ho".into(),
                        logprob: f32::NEG_INFINITY,
                        bytes: None,
                    }],
                }],
                refusal: None,
            }),
            finish_reason: FinishReason::Stop,
        }],
        usage: Usage::new(9, 1, 4),
        x_lifecycle: None,
    };
    let printed = serde_json::to_string(&response).unwrap();
    assert_eq!(
        printed,
        concat!(
            r#"{"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"m-030424","choices":[{"index":0,"#,
            r#""message":{"role":"assistant","content":"Hi","refusal":null},"logprobs":{"content":[{"token":"Hi","logprob":-0.1,"#,
            r#""bytes":[72,105],"top_logprobs":[{"token":"Ho","logprob":-9999.0,"bytes":null}]}],"refusal":null},"finish_reason":"stop"}],"#,
            r#""usage":{"prompt_tokens":9,"completion_tokens":1,"total_tokens":10,"prompt_tokens_details":{"cached_tokens":4},"completion_tokens_details":{"reasoning_tokens":0}}}"#
        )
    );
    let read: ChatResponse = serde_json::from_str(&printed).unwrap();
    assert_eq!(serde_json::to_string(&read).unwrap(), printed);
}

#[test]
fn chat_chunks_print_as_published() {
    let mut chunk = ChatChunk {
        id: "chatcmpl-1".into(),
        object: ChatChunkObject::ChatCompletionChunk,
        created: 7,
        model: "m".into(),
        choices: vec![ChatChunkChoice {
            index: 0,
            delta: ChatDelta {
                role: Some(Role::Assistant),
                content: Some(String::new()),
                ..ChatDelta::default()
            },
            logprobs: None,
            finish_reason: None,
        }],
        usage: None,
        x_lifecycle: None,
    };
    let head = r#"{"id":"chatcmpl-1","object":"chat.completion.chunk","created":7,"model":"m","choices":"#;
    let first =
        r#"[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]"#;
    let check = |chunk: &ChatChunk, expected: String| {
        assert_eq!(serde_json::to_string(chunk).unwrap(), expected);
        assert_eq!(&serde_json::from_str::<ChatChunk>(&expected).unwrap(), chunk);
    };
    check(&chunk, format!("{head}{first}}}"));
    chunk.usage = Some(None);
    check(&chunk, format!("{head}{first},\"usage\":null}}"));
    chunk.choices[0].delta = ChatDelta::default();
    chunk.choices[0].finish_reason = Some(FinishReason::Length);
    chunk.usage = None;
    check(
        &chunk,
        format!(r#"{head}[{{"index":0,"delta":{{}},"logprobs":null,"finish_reason":"length"}}]}}"#),
    );
    chunk.choices.clear();
    chunk.usage = Some(Some(Usage::new(1, 2, 0)));
    let usage = r#"{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3,"prompt_tokens_details":{"cached_tokens":0},"completion_tokens_details":{"reasoning_tokens":0}}"#;
    check(&chunk, format!(r#"{head}[],"usage":{usage}}}"#));
}

#[test]
fn completions_print_as_published() {
    let logprobs = CompletionLogprobs {
        tokens: vec!["a".into(), "b".into()],
        token_logprobs: vec![None, Some(-0.5)],
        top_logprobs: vec![
            None,
            Some(TopLogprobs(vec![("b".into(), -0.5), ("c".into(), -1.5), ("b".into(), -9.0)])),
        ],
        text_offset: vec![0, 1],
    };
    let logprobs_printed = r#"{"tokens":["a","b"],"token_logprobs":[null,-0.5],"top_logprobs":[null,{"b":-0.5,"c":-1.5}],"text_offset":[0,1]}"#;
    let response = CompletionResponse {
        id: "cmpl-1".into(),
        object: CompletionObject::TextCompletion,
        created: 7,
        model: "m".into(),
        choices: vec![CompletionChoice {
            text: "ab".into(),
            index: 0,
            logprobs: Some(logprobs.clone()),
            finish_reason: FinishReason::Length,
        }],
        usage: Usage::new(1, 1, 0),
        x_lifecycle: None,
    };
    let head = r#"{"id":"cmpl-1","object":"text_completion","created":7,"model":"m","choices":"#;
    let usage = r#"{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2,"prompt_tokens_details":{"cached_tokens":0},"completion_tokens_details":{"reasoning_tokens":0}}"#;
    let expected = format!(
        r#"{head}[{{"text":"ab","index":0,"logprobs":{logprobs_printed},"finish_reason":"length"}}],"usage":{usage}}}"#
    );
    assert_eq!(serde_json::to_string(&response).unwrap(), expected);
    let read: CompletionResponse = serde_json::from_str(&expected).unwrap();
    assert_eq!(serde_json::to_string(&read).unwrap(), expected);

    let chunk = CompletionChunk {
        id: "cmpl-1".into(),
        object: CompletionObject::TextCompletion,
        created: 7,
        model: "m".into(),
        choices: vec![CompletionChunkChoice {
            text: "a".into(),
            index: 0,
            logprobs: None,
            finish_reason: None,
        }],
        usage: Some(None),
        x_lifecycle: None,
    };
    let expected =
        format!(r#"{head}[{{"text":"a","index":0,"logprobs":null,"finish_reason":null}}],"usage":null}}"#);
    assert_eq!(serde_json::to_string(&chunk).unwrap(), expected);
    assert_eq!(serde_json::from_str::<CompletionChunk>(&expected).unwrap(), chunk);
}

#[test]
fn calls_and_reasoning_print_as_published() {
    let mut message = ResponseMessage::assistant("");
    message.content = None;
    message.reasoning_content = Some("Hm.".into());
    message.tool_calls = vec![ToolCall::new("call_1", "weather", r#"{"city":"Oslo"}"#)];
    let printed = serde_json::to_string(&message).unwrap();
    assert_eq!(
        printed,
        concat!(
            r#"{"role":"assistant","content":null,"refusal":null,"reasoning_content":"Hm.","tool_calls":[{"id":"call_1","#,
            r#""type":"function","function":{"name":"weather","arguments":"{\"city\":\"Oslo\"}"}}]}"#
        )
    );
    assert_eq!(serde_json::from_str::<ResponseMessage>(&printed).unwrap(), message);
    let begin = ToolCallDelta {
        index: 1,
        id: Some("call_1".into()),
        kind: Some(ToolKind::Function),
        function: FunctionCallDelta { name: Some("weather".into()), arguments: String::new() },
    };
    assert_eq!(
        serde_json::to_string(&begin).unwrap(),
        r#"{"index":1,"id":"call_1","type":"function","function":{"name":"weather","arguments":""}}"#
    );
    let more = ToolCallDelta {
        index: 1,
        function: FunctionCallDelta { name: None, arguments: "{}".into() },
        ..ToolCallDelta::default()
    };
    assert_eq!(serde_json::to_string(&more).unwrap(), r#"{"index":1,"function":{"arguments":"{}"}}"#);
    let usage = serde_json::to_string(&Usage::new(1, 5, 0).reasoning(3)).unwrap();
    assert!(usage.ends_with(r#""completion_tokens_details":{"reasoning_tokens":3}}"#), "{usage}");
}
