//! What is found out about small templates, each with one trait of published ones.

#![allow(clippy::unwrap_used)]

use crate::chat::dialect::{CallStyle, Dialect, SystemMessage};
use crate::chat::tool_format::ToolFormat;
use crate::chat::{ChatTemplate, TemplateTokens};

fn found(source: &str) -> Dialect {
    ChatTemplate::new(source, TemplateTokens::default()).unwrap().dialect().clone()
}

/// All messages, one by one, with `call` in place of an assistant's calls.
fn template(head: &str, call: &str, tail: &str) -> String {
    format!(
        "{head}{{% for m in messages %}}{{% if m.tool_calls is defined %}}{call}{{% else %}}\
         [{{{{ m.role }}}}]{{{{ m.content }}}}{{% endif %}}{{% endfor %}}{tail}"
    )
}

const LIST: &str = "{% if tools %}{{ tools | tojson }}{% endif %}";

#[test]
fn the_notation_of_calls_is_that_of_the_template() {
    let object = CallStyle { object: true, null: true, apart: false };
    for (call, format) in [
        (
            r#"{"name": "{{ m.tool_calls[0].function.name }}", "parameters": {{ m.tool_calls[0].function.arguments | tojson }}}"#,
            ToolFormat::Llama,
        ),
        (
            r#"[TOOL_CALLS] [{"name": "{{ m.tool_calls[0].function.name }}", "arguments": {{ m.tool_calls[0].function.arguments | tojson }}}]"#,
            ToolFormat::Mistral,
        ),
        (
            "[TOOL_CALLS]{{ m.tool_calls[0].function.name }}[ARGS]{{ m.tool_calls[0].function.arguments | tojson }}",
            ToolFormat::Mistral,
        ),
        ("<tool_call>{{ m.tool_calls[0].function | tojson }}</tool_call>", ToolFormat::Generic),
    ] {
        let with_tools = found(&template(LIST, call, ""));
        assert_eq!((with_tools.format, with_tools.calls), (format, Some(object)), "{call}");
        assert!(with_tools.renders_tools);
        assert!(!found(&template("", call, "")).renders_tools);
    }
    // Notations that are none of ours: as if the template knew no tools.
    for call in [
        "Action: {{ m.tool_calls[0].function | tojson }}",
        "<function={{ m.tool_calls[0].function.name }}>{{ m.tool_calls[0].function.arguments | tojson }}</function>",
        "{{ m.tool_calls[0].function.arguments }}",
        "",
    ] {
        let unknown = found(&template(LIST, call, ""));
        assert_eq!((unknown.format, unknown.calls), (ToolFormat::Generic, None), "{call}");
        assert!(!unknown.renders_tools);
    }
}

#[test]
fn calls_are_given_as_the_template_takes_them() {
    let deepseek = |condition: &str, head: &str| {
        template(
            "",
            &format!(
                "{{% if {condition} %}}{head}<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>\
                 {{{{ m.tool_calls[0].function.name + '\\n```json\\n' + m.tool_calls[0].function.arguments + '\\n```' }}}}\
                 <｜tool▁call▁end｜><｜tool▁calls▁end｜>{{% else %}}{{{{ m.content }}}}{{% endif %}}"
            ),
            "",
        )
    };
    for (source, style) in [
        (deepseek("true", ""), CallStyle { object: false, null: true, apart: false }),
        (deepseek("m.content is none", ""), CallStyle { object: false, null: true, apart: true }),
        (
            deepseek("true", "{{ 'said: ' + m.content }}"),
            CallStyle { object: false, null: false, apart: false },
        ),
    ] {
        let dialect = found(&source);
        assert_eq!((dialect.format, dialect.calls), (ToolFormat::DeepSeek, Some(style)), "{source}");
    }
}

#[test]
fn system_messages_are_taken_refused_or_dropped() {
    let skip = "{% for m in messages %}{% if m.role != 'system' %}{{ m.content }}{% endif %}{% endfor %}";
    let refuse = "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no') }}{% endif %}{{ m.content }}{% endfor %}";
    let with_tools =
        "{% for m in messages %}{% if tools or m.role != 'system' %}{{ m.content }}{% endif %}{% endfor %}";
    for (source, system) in [
        ("{% for m in messages %}{{ m.content }}{% endfor %}", SystemMessage::Always),
        (skip, SystemMessage::Never),
        (refuse, SystemMessage::Never),
        (with_tools, SystemMessage::WithTools),
        // Nothing can be tried with it.
        ("{{ raise_exception('never') }}", SystemMessage::Always),
    ] {
        assert_eq!(found(source).system, system, "{source}");
    }
}

#[test]
fn reasoning_is_opened_by_the_prompt_or_by_the_model() {
    for (tail, reasons, opens) in [
        ("", false, false),
        ("{% if add_generation_prompt %}<think>{% endif %}", true, true),
        ("{% if add_generation_prompt %}<think>{{ '\\n' }}{% endif %}", true, true),
        ("{% if false %}</think>{% endif %}", true, false),
        ("<think></think>", true, false),
    ] {
        let dialect = found(&template("", "", tail));
        assert_eq!((dialect.reasons(), dialect.opens_reasoning()), (reasons, opens), "{tail}");
        assert_eq!(dialect.markers().contains(&"<think>"), reasons);
    }
    let after = found("{{ messages[-1].content }}{% if messages[-1].role == 'user' %}<think>{% endif %}");
    assert!(after.opens_reasoning());
    assert!(after.prompt_opens_reasoning("x<think>\n"));
    assert!(!after.prompt_opens_reasoning("x"));
}

#[test]
fn a_classifier_may_want_parts() {
    let task = "<BEGIN UNSAFE CONTENT CATEGORIES>{% for m in messages %}";
    let text = found(&format!("{task}{{{{ m.content }}}}{{% endfor %}}"));
    assert!(text.classifies && !text.parts);
    let parts = found(&format!(
        "{task}{{% for part in m.content | selectattr('type', 'equalto', 'text') %}}{{{{ part.text }}}}{{% endfor %}}{{% endfor %}}"
    ));
    assert!(parts.classifies && parts.parts);
}
