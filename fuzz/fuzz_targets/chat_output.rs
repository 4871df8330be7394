//! Whatever a model writes, however it is split: the same events, nothing lost.
//!
//! The first byte chooses the notation and the options; the rest is the answer, in which every second piece between
//! `\u{1}` is a token where it is spelled as one.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use model_runtime::chat::{
    ChatTemplate, Dialect, Event, OutputOptions, OutputParser, TemplateTokens, ToolFormat,
};

/// How a template of each notation writes a call.
const CALLS: [(ToolFormat, &str); 4] = [
    (ToolFormat::Llama, r#"{"name": "{{ f.name }}", "parameters": {{ f.arguments | tojson }}}"#),
    (ToolFormat::Mistral, "[TOOL_CALLS][{{ f | tojson }}]"),
    (
        ToolFormat::DeepSeek,
        "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>{{ f.name }}{{ '\\n```json\\n' + f.arguments + '\\n```' }}<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
    ),
    (ToolFormat::Generic, "<tool_call>{{ f | tojson }}</tool_call>"),
];

/// Every notation, of models that reason and of models that do not.
static DIALECTS: LazyLock<Vec<Dialect>> = LazyLock::new(|| {
    let dialect = |(format, call): (ToolFormat, &str), reasons: bool| {
        let think = if reasons { "{% if false %}<think>{% endif %}" } else { "" };
        let source = format!(
            "{think}{{% for m in messages %}}{{% if m.tool_calls %}}{{% set f = m.tool_calls[0].function %}}{call}\
             {{% else %}}{{{{ m.content }}}}{{% endif %}}{{% endfor %}}"
        );
        let template = ChatTemplate::new(&source, TemplateTokens::default()).expect("it is well-formed");
        assert_eq!((template.dialect().tool_format(), template.dialect().reasons()), (format, reasons));
        template.dialect().clone()
    };
    CALLS.iter().flat_map(|call| [dialect(*call, false), dialect(*call, true)]).collect()
});

/// Neighbours of a kind put together.
fn join(events: Vec<Event>) -> Vec<Event> {
    let mut joined: Vec<Event> = Vec::new();
    for event in events {
        match (joined.last_mut(), &event) {
            (Some(Event::Text(last)), Event::Text(text))
            | (Some(Event::Reasoning(last)), Event::Reasoning(text))
            | (Some(Event::Arguments(last)), Event::Arguments(text)) => last.push_str(text),
            _ => joined.push(event),
        }
    }
    joined
}

fuzz_target!(|data: &[u8]| {
    let Some((choice, answer)) = data.split_first() else { return };
    let answer = String::from_utf8_lossy(answer);
    let dialect = &DIALECTS[usize::from(choice & 7)];
    let tools = if choice & 8 == 0 { vec!["weather".to_owned(), "f".to_owned()] } else { Vec::new() };
    let options =
        OutputOptions { tools, reasoning_open: choice & 16 != 0, spelled_markers: choice & 32 != 0 };
    let mut whole = OutputParser::new(dialect, options.clone());
    let mut split = OutputParser::new(dialect, options);
    let (mut events, mut pieces) = (Vec::new(), Vec::new());
    for (index, piece) in answer.split('\u{1}').enumerate() {
        if index % 2 == 1 && dialect.markers().contains(&piece) {
            whole.marker(piece, &mut events);
            split.marker(piece, &mut pieces);
        } else {
            whole.text(piece, &mut events);
            piece.chars().for_each(|c| {
                let mut one = Vec::new();
                split.text(c.encode_utf8(&mut [0; 4]), &mut one);
                pieces.append(&mut one);
            });
        }
        assert_eq!(whole.reasoning(), split.reasoning());
    }
    whole.finish(&mut events);
    split.finish(&mut pieces);
    let events = join(events);
    assert_eq!(events, join(pieces));
    let written = answer.replace('\u{1}', "");
    match events.as_slice() {
        [] => assert!(dialect.reasons() || written.is_empty()),
        [Event::Text(text)] if !dialect.reasons() => assert_eq!(*text, written),
        _ => {}
    }
});
