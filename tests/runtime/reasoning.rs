//! Models that think before they answer.

use model_runtime::protocol::{ChatMessage, ChatRequest, FinishReason, ResponseFormat};
use model_runtime::{ErrorKind, ModelRuntime, ServeOptions};
use serde_json::{Value, json};

use super::tiny;

/// The prompt opens the reasoning, as DeepSeek R1's does now.
const OPENED: &str = "{% for m in messages %}{% if m.role == 'user' %}<｜User｜>{{ m.content }}{% else %}<｜Assistant｜>\
     {{ m.content.split('</think>')[-1] }}{% endif %}{% endfor %}{% if add_generation_prompt %}<｜Assistant｜><think>\n{% endif %}";

/// The model opens it itself, as R1's first template had it.
const UNOPENED: &str = "{% for m in messages %}{% if m.role == 'user' %}<｜User｜>{{ m.content }}{% else %}<｜Assistant｜>\
     {{ m.content.split('</think>')[-1] }}{% endif %}{% endfor %}{% if add_generation_prompt %}<｜Assistant｜>{% endif %}";

fn runtime(template: &str) -> ModelRuntime {
    let runtime = ModelRuntime::builder().build().unwrap();
    let options = ServeOptions::default().chat_template(template);
    runtime.serve("thinker", tiny("deepseek_v3"), options).unwrap();
    runtime
}

fn request(seed: u64) -> ChatRequest {
    ChatRequest::new("thinker", vec![ChatMessage::user("What is it?")]).seed(seed).max_tokens(60)
}

/// The ids of the tags in the model's vocabulary.
fn tags() -> (u32, u32) {
    let file = std::fs::read(tiny("deepseek_v3").join("tokenizer.json")).unwrap();
    let file: Value = serde_json::from_slice(&file).unwrap();
    let id = |tag: &str| {
        let added = file["added_tokens"].as_array().unwrap();
        added.iter().find(|token| token["content"] == tag).unwrap()["id"].as_u64().unwrap() as u32
    };
    (id("<think>"), id("</think>"))
}

#[test]
fn the_budget_closes_the_reasoning_and_an_answer_follows() {
    let runtime = runtime(OPENED);
    let (_, close) = tags();
    for seed in 0..8 {
        let mut asked = request(seed).thinking(12);
        // It would rather think for ever.
        asked.options.logit_bias = [(close, -100.0), (1, -100.0)].into();
        let response = runtime.chat(asked.clone()).unwrap();
        let message = &response.choices[0].message;
        assert!(!message.reasoning_content.as_ref().unwrap().contains("</think>"));
        assert!(!message.content.as_ref().unwrap().is_empty());
        let details = response.usage.completion_tokens_details;
        assert_eq!(
            (details.reasoning_tokens, response.usage.completion_tokens),
            (13, 60),
            "12 and what closes them"
        );
        // The same in pieces: reasoning first, then the answer, nothing of the tags.
        let chunks: Vec<_> = runtime.chat_stream(asked).unwrap().map(Result::unwrap).collect();
        let deltas: Vec<_> =
            chunks.iter().flat_map(|chunk| &chunk.choices).map(|choice| &choice.delta).collect();
        let reasoning: String = deltas.iter().filter_map(|delta| delta.reasoning_content.clone()).collect();
        let text: String = deltas.iter().filter_map(|delta| delta.content.clone()).collect();
        assert_eq!(
            (Some(reasoning), Some(text)),
            (message.reasoning_content.clone(), message.content.clone())
        );
        let last_thought = deltas.iter().rposition(|delta| delta.reasoning_content.is_some()).unwrap();
        let first_word = deltas
            .iter()
            .position(|delta| delta.content.as_ref().is_some_and(|text| !text.is_empty()))
            .unwrap();
        assert!(last_thought < first_word);
    }
}

#[test]
fn without_a_budget_it_may_think_to_the_end() {
    let runtime = runtime(OPENED);
    let (_, close) = tags();
    let mut asked = request(1);
    asked.options.logit_bias = [(close, -100.0), (1, -100.0)].into();
    let response = runtime.chat(asked).unwrap();
    let choice = &response.choices[0];
    assert_eq!((choice.finish_reason, choice.message.content.as_deref()), (FinishReason::Length, Some("")));
    assert_eq!(response.usage.completion_tokens_details.reasoning_tokens, 60);
}

#[test]
fn the_form_of_an_answer_begins_behind_the_reasoning() {
    let schema = json!({ "type": "object", "properties": { "ok": { "type": "boolean" } }, "required": ["ok"], "additionalProperties": false });
    for template in [OPENED, UNOPENED] {
        let runtime = runtime(template);
        let (open, close) = tags();
        for seed in 0..8 {
            let mut asked = request(seed)
                .thinking(10)
                .response_format(ResponseFormat::json_schema("answer", schema.clone()));
            // An end within the reasoning would leave nothing to be valid.
            asked.options.logit_bias = [(1, 100.0), (close, -100.0)].into();
            asked.options.logit_bias.insert(open, if seed % 2 == 0 { 100.0 } else { -100.0 });
            let response = runtime.chat(asked).unwrap();
            let choice = &response.choices[0];
            let value: Value = serde_json::from_str(choice.message.content.as_ref().unwrap()).unwrap();
            assert!(value["ok"].is_boolean(), "{value}");
            assert_eq!(choice.finish_reason, FinishReason::Stop);
            let thinks = template == OPENED || seed % 2 == 0;
            let reasoning = response.usage.completion_tokens_details.reasoning_tokens;
            assert_eq!(reasoning > 0, thinks, "{seed}: {reasoning}");
        }
    }
}

#[test]
fn earlier_reasoning_is_left_out_by_the_template() {
    let runtime = runtime(OPENED);
    let tokens = |content: &str| {
        let mut request = request(1).max_tokens(1);
        request.messages.push(ChatMessage::assistant(content));
        request.messages.push(ChatMessage::user("And then?"));
        runtime.chat(request).unwrap().usage.prompt_tokens
    };
    assert_eq!(tokens("<think>so many thoughts</think>Yes."), tokens("Yes."));
}

#[test]
fn a_model_that_does_not_think_has_no_budget() {
    let runtime = ModelRuntime::builder().build().unwrap();
    runtime.serve("llama", tiny("llama3"), ServeOptions::default()).unwrap();
    let asked = ChatRequest::new("llama", vec![ChatMessage::user("Hi <think> there")]).max_tokens(8);
    let response = runtime.chat(asked.clone()).unwrap();
    assert_eq!(response.choices[0].message.reasoning_content, None);
    assert_eq!(response.usage.completion_tokens_details.reasoning_tokens, 0);
    let error = runtime.chat(asked.thinking(10)).unwrap_err();
    assert_eq!((error.kind(), error.param()), (ErrorKind::Unsupported, Some("thinking")));
}
