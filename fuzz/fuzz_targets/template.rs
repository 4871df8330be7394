//! A chat template, however hostile, gives an error or a prompt.
#![no_main]

use libfuzzer_sys::fuzz_target;
use model_runtime::chat::{ChatTemplate, TemplateInput, TemplateTokens};
use model_runtime::{Clock, SystemClock};

fuzz_target!(|source: &str| {
    let tokens = TemplateTokens::new("<s>".to_owned(), "</s>".to_owned());
    let Ok(template) = ChatTemplate::new(source, tokens) else { return };
    let messages =
        serde_json::json!([{"role": "system", "content": "Be kind."}, {"role": "user", "content": null}]);
    let _ = template.render(&TemplateInput {
        messages: &messages,
        tools: Some(&serde_json::json!([{"type": "function", "function": {"name": "f", "x": [1.5, -2]}}])),
        add_generation_prompt: true,
        variables: &serde_json::Map::new(),
        now: SystemClock::new().wall(),
    });
});
