//! Calls of functions by models of every family, whose weights are random: what they may not do, they do not do.

use model_runtime::protocol::{
    ChatChunk, ChatMessage, ChatRequest, ChatResponse, FinishReason, Thinking, Tool, ToolCall, ToolChoice,
};
use model_runtime::{ErrorKind, ModelRuntime, ServeOptions};
use serde_json::{Value, json};

use super::{serve_with_room, tiny};

/// One model of each notation, and of those that have none of their own.
const FAMILIES: [&str; 6] = ["llama3", "mistral", "mixtral", "dbrx", "mpt", "deepseek_v3"];

fn weather() -> Tool {
    let parameters = json!({
        "type": "object",
        "properties": {
            "city": { "type": "string", "maxLength": 12 },
            "days": { "type": "integer", "minimum": 1, "maximum": 14 },
            "unit": { "type": "string", "enum": ["celsius", "fahrenheit"] }
        },
        "required": ["city", "unit"],
        "additionalProperties": false
    });
    Tool::function("get_weather", "The weather of the next days", parameters)
}

fn dice() -> Tool {
    let parameters =
        json!({ "type": "object", "properties": { "sides": { "enum": [4, 6, 20] } }, "required": ["sides"] });
    Tool::function("roll-dice", "Rolls dice", parameters)
}

fn runtime() -> ModelRuntime {
    let runtime = ModelRuntime::builder().build().unwrap();
    for name in FAMILIES {
        serve_with_room(&runtime, name, &tiny(name), ServeOptions::default());
    }
    runtime
}

fn request(model: &str, seed: u64) -> ChatRequest {
    let mut asked = ChatRequest::new(model, vec![ChatMessage::user("How is the weather in Oslo?")])
        .tool(weather())
        .tool(dice())
        .temperature(1.0)
        .seed(seed)
        .max_tokens(300);
    // It would rather think for ever.
    asked.thinking = (model == "deepseek_v3").then_some(Thinking { budget_tokens: 8 });
    asked
}

/// What is wrong with the arguments of a call.
fn judge(call: &ToolCall) {
    let tool = [weather(), dice()].into_iter().find(|tool| tool.definition().name == call.function.name);
    let tool = tool.unwrap_or_else(|| panic!("{call:?} is not of what was offered"));
    let arguments: Value = serde_json::from_str(&call.function.arguments).unwrap();
    jsonschema::validate(tool.definition().parameters.as_ref().unwrap(), &arguments)
        .unwrap_or_else(|error| panic!("{call:?}: {error}"));
}

/// The message and the finish reason that a stream adds up to, by the rules of the published clients.
fn reassembled(chunks: &[ChatChunk]) -> (String, Vec<ToolCall>, Option<FinishReason>) {
    let (mut text, mut calls, mut end) = (String::new(), Vec::<ToolCall>::new(), None);
    for choice in chunks.iter().flat_map(|chunk| &chunk.choices) {
        text.push_str(choice.delta.content.as_deref().unwrap_or_default());
        for delta in &choice.delta.tool_calls {
            let index = delta.index as usize;
            if index == calls.len() {
                let (id, name) = (delta.id.clone().unwrap(), delta.function.name.clone().unwrap());
                assert!(delta.kind.is_some());
                calls.push(ToolCall::new(id, name, ""));
            } else {
                assert_eq!(index + 1, calls.len(), "one call after the other");
                assert!(delta.id.is_none() && delta.function.name.is_none() && delta.kind.is_none());
            }
            calls[index].function.arguments.push_str(&delta.function.arguments);
        }
        end = end.or(choice.finish_reason);
    }
    (text, calls, end)
}

fn whole(response: &ChatResponse) -> (String, Vec<ToolCall>, Option<FinishReason>) {
    let choice = &response.choices[0];
    let text = choice.message.content.clone().unwrap_or_default();
    (text, choice.message.tool_calls.clone(), Some(choice.finish_reason))
}

#[test]
fn a_required_call_is_made_and_its_arguments_are_valid() {
    let runtime = runtime();
    for model in FAMILIES {
        for seed in 0..6 {
            let asked = request(model, seed).tool_choice(ToolChoice::Required);
            let response = runtime.chat(asked).unwrap();
            let choice = &response.choices[0];
            assert!(!choice.message.tool_calls.is_empty(), "{model} {seed}: {choice:?}");
            // The last of several calls may be cut off, and a number may be long.
            if choice.finish_reason == FinishReason::Length {
                continue;
            }
            assert_eq!(choice.finish_reason, FinishReason::ToolCalls, "{model} {seed}");
            assert_eq!(choice.message.content, None, "{model} {seed}");
            choice.message.tool_calls.iter().for_each(judge);
        }
    }
}

#[test]
fn a_named_function_is_the_one_that_is_called_once() {
    let runtime = runtime();
    for model in FAMILIES {
        let mut asked = request(model, 3).tool_choice(ToolChoice::Function("roll-dice".into()));
        asked.parallel_tool_calls = Some(false);
        let message = runtime.chat(asked).unwrap().choices.remove(0).message;
        let [call] = message.tool_calls.as_slice() else { panic!("{model}: {message:?}") };
        assert_eq!(call.function.name, "roll-dice");
        judge(call);
        let short = call.id.len() == 9 && call.id.bytes().all(|b| b.is_ascii_alphanumeric());
        assert!(short || call.id.starts_with("call_"), "{model}: {}", call.id);
    }
}

#[test]
fn no_call_is_made_where_none_may_be() {
    let runtime = runtime();
    for model in FAMILIES {
        let asked = request(model, 1).tool_choice(ToolChoice::None).max_tokens(40);
        let with = runtime.chat(asked.clone()).unwrap();
        assert!(with.choices[0].message.tool_calls.is_empty());
        // The model is not even told of them.
        let mut without = asked;
        (without.tools, without.tool_choice) = (Vec::new(), None);
        let without = runtime.chat(without).unwrap();
        assert_eq!(with.choices, without.choices);
        let told = runtime.chat(request(model, 1).max_tokens(1)).unwrap().usage.prompt_tokens;
        // It may stand in the place of the model's own system prompt, which may be longer.
        assert_ne!(told, without.usage.prompt_tokens, "{model}: what is offered is in the prompt");
    }
}

#[test]
fn where_the_model_decides_what_it_calls_is_valid() {
    let runtime = runtime();
    for model in FAMILIES {
        for seed in 0..4 {
            let response = runtime.chat(request(model, seed).max_tokens(60)).unwrap();
            let choice = &response.choices[0];
            if choice.finish_reason == FinishReason::ToolCalls {
                choice.message.tool_calls.iter().for_each(judge);
            }
        }
    }
}

#[test]
fn deltas_of_a_stream_add_up_to_the_calls() {
    let runtime = runtime();
    for model in FAMILIES {
        for (seed, choice) in [ToolChoice::Required, ToolChoice::Auto].into_iter().enumerate() {
            let asked = request(model, seed as u64).tool_choice(choice).max_tokens(120);
            let expected = runtime.chat(asked.clone()).unwrap();
            let chunks: Vec<_> = runtime.chat_stream(asked).unwrap().map(Result::unwrap).collect();
            let (text, mut calls, end) = reassembled(&chunks);
            let (expected_text, mut expected_calls, expected_end) = whole(&expected);
            // Each answer names its calls for itself.
            calls.iter_mut().chain(&mut expected_calls).for_each(|call| call.id.clear());
            assert_eq!((text, calls, end), (expected_text, expected_calls, expected_end), "{model}");
        }
    }
}

#[test]
fn calls_and_results_are_part_of_the_next_prompt() {
    let runtime = runtime();
    for model in FAMILIES {
        let call = ToolCall::new("call_1", "get_weather", r#"{"city":"Oslo","unit":"celsius"}"#);
        let mut messages = request(model, 1).messages;
        messages.push(ChatMessage::calls(vec![call]));
        messages.push(ChatMessage::tool("call_1", "21 degrees and sunny"));
        let asked = ChatRequest { messages, ..request(model, 1).max_tokens(8) };
        let before = runtime.chat(request(model, 1).max_tokens(1)).unwrap().usage.prompt_tokens;
        let response = runtime.chat(asked).unwrap();
        assert!(
            response.usage.prompt_tokens > before + 20,
            "{model}: {} after {before}",
            response.usage.prompt_tokens
        );
    }
}

#[test]
fn calls_are_valid_in_a_batch_with_choices_stops_and_drafts() {
    let runtime = runtime();
    let streams: Vec<_> = (0..16)
        .map(|seed| {
            let mut asked = request("llama3", seed).tool_choice(ToolChoice::Required).n(2).stop("Oslo");
            asked.options.prompt_lookup_tokens = Some((seed % 3 * 4) as u32);
            (runtime.chat_stream(asked.clone()).unwrap(), asked)
        })
        .collect();
    for (stream, mut asked) in streams {
        let together = stream.wait().unwrap();
        asked.options.prompt_lookup_tokens = None;
        let alone = runtime.chat(asked).unwrap();
        for (choice, alone) in together.choices.into_iter().zip(alone.choices) {
            let names =
                |calls: &[ToolCall]| -> Vec<_> { calls.iter().map(|call| call.function.clone()).collect() };
            assert_eq!(names(&choice.message.tool_calls), names(&alone.message.tool_calls));
            if choice.finish_reason == FinishReason::ToolCalls {
                choice.message.tool_calls.iter().for_each(judge);
            }
        }
    }
}

#[test]
fn what_a_schema_may_not_have_is_refused_by_its_place() {
    let runtime = runtime();
    let refused = |parameters: Value, param: &str| {
        let asked = ChatRequest::new("llama3", vec![ChatMessage::user("Hi")])
            .tool(dice())
            .tool(Tool::function("f", "", parameters));
        let error = runtime.chat(asked).unwrap_err();
        assert_eq!((error.kind(), error.param()), (ErrorKind::InvalidRequest, Some(param)), "{error}");
        assert!(error.message().contains(param), "{error}");
    };
    let property = |schema: Value| json!({ "type": "object", "properties": { "a": schema } });
    let place = "tools[1].function.parameters.properties.a";
    refused(property(json!({ "type": "string", "pattern": "a" })), &format!("{place}.pattern"));
    for keyword in ["anyOf", "oneOf", "allOf", "prefixItems"] {
        refused(property(json!({ keyword: [{ "type": "string" }] })), &format!("{place}.{keyword}"));
    }
    refused(property(json!({ "$ref": "#" })), &format!("{place}.$ref"));
    refused(property(json!({ "type": ["string", "integer"] })), &format!("{place}.type"));
    let keys: serde_json::Map<String, Value> =
        (0..17).map(|key| (format!("k{key}"), json!({ "type": "integer" }))).collect();
    refused(json!({ "type": "object", "properties": keys }), "tools[1].function.parameters");
}

#[test]
fn system_messages_go_by_the_family() {
    let runtime = runtime();
    let with_system = |model: &str| {
        let messages = vec![ChatMessage::system("Be brief."), ChatMessage::user("Hi")];
        runtime.chat(ChatRequest::new(model, messages).max_tokens(2))
    };
    for model in ["llama3", "mixtral", "dbrx", "deepseek_v3"] {
        with_system(model).unwrap();
    }
    let error = with_system("mistral").unwrap_err();
    assert_eq!(
        (error.kind(), error.param()),
        (ErrorKind::InvalidRequest, Some("messages[0].role")),
        "{error}"
    );
}
