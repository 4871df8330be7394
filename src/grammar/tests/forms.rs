//! Answers that are either of a form or call something.

use serde_json::json;

use super::{SMALL, accepts};
use crate::chat::ToolFormat;
use crate::grammar::{Choice, GrammarSource, ToolSignature};

fn either(format: ToolFormat, form: GrammarSource) -> GrammarSource {
    let parameters = json!({ "type": "object", "properties": { "n": { "type": "integer" } }, "required": ["n"], "additionalProperties": false });
    GrammarSource::Tools {
        format,
        tools: vec![ToolSignature { name: "f".into(), parameters }],
        choice: Choice::AutoOr(Box::new(form)),
        parallel: true,
    }
}

#[test]
fn a_text_of_the_form_or_a_call_and_nothing_else() {
    let schema = json!({ "type": "object", "properties": { "sure": { "type": "boolean" } }, "required": ["sure"], "additionalProperties": false });
    let forms = [
        (GrammarSource::JsonSchema(schema), r#"{"sure":true}"#),
        (GrammarSource::JsonObject, r#"{"any":[1]}"#),
        (GrammarSource::Regex("yes|no".into()), "no"),
        (GrammarSource::Lark("start: \"a\" b\nb: \"c\" | \"(\" b \")\"".into()), "a((c))"),
    ];
    for (form, text) in forms {
        for (format, call) in [
            (ToolFormat::Llama, r#"{"name": "f", "parameters": {"n": 1}}"#),
            (ToolFormat::Generic, "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"n\": 1}}\n</tool_call>"),
        ] {
            // No token of this vocabulary begins calls: only tags beside JSON can be told from it.
            let json = matches!(form, GrammarSource::JsonObject | GrammarSource::JsonSchema(_));
            let compiled = SMALL.compile(&either(format, form.clone()));
            if !json || format == ToolFormat::Llama {
                assert!(compiled.unwrap_err().to_string().starts_with("tools: cannot go beside this form"));
                continue;
            }
            let grammar = compiled.unwrap();
            let accepted = |text: &str| accepts(&mut grammar.matcher().unwrap(), &SMALL.ids(text));
            assert!(accepted(text), "{format:?} {form:?}: {text}");
            assert!(accepted(call), "{format:?} {form:?}: {call}");
            assert!(!accepted("Sure thing"), "{format:?} {form:?}");
        }
    }
}
