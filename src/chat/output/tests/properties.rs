//! Any split of any answer.

use proptest::prelude::*;
use serde_json::{Map, Value};

use super::*;

/// What answers of all notations are made of.
fn word() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "<tool_call>",
        "</tool_call>",
        "<tool_",
        "call>",
        "<|python_tag|>",
        "[TOOL_CALLS]",
        "[ARGS]",
        "[TOOL_",
        "<｜tool▁calls▁begin｜>",
        "<｜tool▁call▁begin｜>",
        "function",
        "<｜tool▁sep｜>",
        "```json",
        "```",
        "<｜tool▁call▁end｜>",
        "<｜tool▁calls▁end｜>",
        "<｜tool▁",
        "<think>",
        "</think>",
        "<thi",
        "{",
        "}",
        "[",
        "]",
        "{\"name\": ",
        "\"name\"",
        "\"weather\"",
        "\"weather_now\"",
        "weather",
        "\"f\"",
        "f",
        "größe",
        "\"parameters\"",
        "\"arguments\": ",
        ":",
        ", ",
        ";",
        " ",
        "\n",
        "\\",
        "\"",
        "\"type\": \"function\", ",
        "1",
        "-2.5e3",
        "true",
        "é",
        "😁",
        "text",
        "</",
        "<",
    ])
}

/// An answer; some of its words that are markers come as tokens.
fn answer() -> impl Strategy<Value = Vec<Input>> {
    let piece = (word(), any::<bool>()).prop_map(|(word, token)| {
        let marker =
            ToolFormat::ALL.iter().any(|format| format.markers().contains(&word)) || word.contains("think>");
        if token && marker { Input::Marker(word) } else { Input::Text(word.to_owned()) }
    });
    prop::collection::vec(piece, 0..24)
}

fn format() -> impl Strategy<Value = ToolFormat> {
    prop::sample::select(ToolFormat::ALL.to_vec())
}

fn options() -> impl Strategy<Value = OutputOptions> {
    (any::<bool>(), any::<bool>(), prop::bool::weighted(0.9)).prop_map(
        |(reasoning_open, spelled_markers, tools)| {
            let tools = if tools { offered().tools } else { Vec::new() };
            OutputOptions { tools, reasoning_open, spelled_markers }
        },
    )
}

/// Joins text that stands together, and cuts it anew.
fn resplit(input: &[Input], cuts: &[usize]) -> Vec<Input> {
    let mut joined: Vec<Input> = Vec::new();
    for piece in input {
        match (joined.last_mut(), piece) {
            (Some(Input::Text(last)), Input::Text(text)) => last.push_str(text),
            _ => joined.push(piece.clone()),
        }
    }
    let mut cuts = cuts.iter().cycle();
    let mut split = Vec::new();
    for piece in joined {
        let Input::Text(text) = piece else {
            split.push(piece);
            continue;
        };
        let mut rest = text.chars().peekable();
        while rest.peek().is_some() {
            let part: String = rest.by_ref().take(*cuts.next().unwrap_or(&1)).collect();
            split.push(Input::Text(part));
        }
    }
    split
}

fn written(input: &[Input]) -> String {
    input
        .iter()
        .map(|piece| match piece {
            Input::Text(text) => text.as_str(),
            Input::Marker(token) => token,
        })
        .collect()
}

fn is_subsequence(part: &str, whole: &str) -> bool {
    let mut whole = whole.chars();
    part.chars().all(|wanted| whole.any(|c| c == wanted))
}

/// The reasoning and the answer, found in the whole text.
fn split_reasoning(text: &str, open: bool) -> (String, String) {
    let breaks = ['\n', '\r'];
    let inside = if open { Some(text) } else { text.trim_start().strip_prefix("<think>") };
    match inside {
        None => (String::new(), text.to_owned()),
        Some(inside) => {
            let inside = inside.trim_start_matches(breaks);
            match inside.split_once("</think>") {
                None => (inside.to_owned(), String::new()),
                Some((reasoning, answer)) => {
                    (reasoning.to_owned(), answer.trim_start_matches(breaks).to_owned())
                }
            }
        }
    }
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a-z<>\\[\\]{}\"\\\\\n`é｜▁]{0,8}".prop_map(Value::from),
        word().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec(("[a-z\"é]{0,4}", inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// A call: a name on offer, and arguments as they are written.
fn call() -> impl Strategy<Value = (String, String)> {
    let arguments = prop::collection::vec(("[a-z\"{}]{1,5}", json()), 0..4);
    (prop::sample::select(TOOLS.to_vec()), arguments, any::<bool>()).prop_map(|(name, members, pretty)| {
        let object = Value::Object(members.into_iter().collect::<Map<_, _>>());
        let text = if pretty { serde_json::to_string_pretty(&object).unwrap() } else { object.to_string() };
        (name.to_owned(), text)
    })
}

/// Calls in a notation of the format, as pieces.
fn write(format: ToolFormat, calls: &[(String, String)], variant: bool) -> Vec<Input> {
    let mut input = Vec::new();
    let mut text = |text: &str| match text {
        "[TOOL_CALLS]" => input.push(Input::Marker("[TOOL_CALLS]")),
        "<｜tool▁calls▁begin｜>" => input.push(Input::Marker("<｜tool▁calls▁begin｜>")),
        "<|python_tag|>" => input.push(Input::Marker("<|python_tag|>")),
        _ => input.push(Input::Text(text.to_owned())),
    };
    for (index, (name, arguments)) in calls.iter().enumerate() {
        let name_json = Value::from(name.as_str()).to_string();
        match format {
            ToolFormat::Llama => {
                text(if index > 0 {
                    "; "
                } else if variant {
                    "<|python_tag|>"
                } else {
                    "\n"
                });
                text(&format!(r#"{{"name": {name_json}, "parameters": {arguments}}}"#));
            }
            ToolFormat::Mistral if variant => {
                text("[TOOL_CALLS]");
                text(&format!("{name}[ARGS]{arguments}"));
            }
            ToolFormat::Mistral => {
                if index == 0 {
                    text("[TOOL_CALLS]");
                }
                text(if index > 0 { ", " } else { " [" });
                text(&format!(r#"{{"id": "abc", "name": {name_json}, "arguments": {arguments}}}"#));
                if index + 1 == calls.len() {
                    text("]");
                }
            }
            ToolFormat::DeepSeek => {
                text(if index > 0 { "\n" } else { "<｜tool▁calls▁begin｜>" });
                text(&format!(
                    "<｜tool▁call▁begin｜>function<｜tool▁sep｜>{name}\n```json\n{arguments}\n```<｜tool▁call▁end｜>"
                ));
                if index + 1 == calls.len() {
                    text("<｜tool▁calls▁end｜>");
                }
            }
            ToolFormat::Generic if variant => {
                text(&format!(
                    "<tool_call>{{\"arguments\": {arguments}, \"name\": {name_json}}}</tool_call>"
                ));
            }
            ToolFormat::Generic => text(&format!(
                "<tool_call>\n{{\"name\": {name_json}, \"arguments\": {arguments}}}\n</tool_call>\n"
            )),
        }
    }
    input
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn a_split_changes_nothing(
        input in answer(),
        cuts in prop::collection::vec(1usize..7, 1..8),
        format in format(),
        reasons in any::<bool>(),
        options in options(),
    ) {
        let dialect = dialect(format, reasons);
        let whole = parse(&dialect, options.clone(), &resplit(&input, &[usize::MAX]));
        let parts = parse(&dialect, options, &resplit(&input, &cuts));
        prop_assert_eq!(whole, parts);
    }

    #[test]
    fn nothing_is_lost(
        input in answer(),
        format in format(),
        reasons in any::<bool>(),
        options in options(),
    ) {
        let text = written(&input);
        let events = parse(&dialect(format, reasons), options.clone(), &input);
        let (mut reasoning, mut shown, mut calls) = (String::new(), String::new(), 0);
        for event in &events {
            match event {
                Event::Text(text) => shown.push_str(text),
                Event::Reasoning(text) => reasoning.push_str(text),
                Event::Call { name } => {
                    calls += 1;
                    prop_assert!(options.tools.contains(name));
                }
                Event::Arguments(_) => prop_assert!(calls > 0),
            }
        }
        let (thought, answered) =
            if reasons { split_reasoning(&text, options.reasoning_open) } else { (String::new(), text) };
        prop_assert_eq!(reasoning, thought);
        if calls == 0 {
            prop_assert_eq!(shown, answered);
        } else {
            prop_assert!(is_subsequence(&shown, &answered));
        }
    }

    #[test]
    fn calls_are_read_back(
        calls in prop::collection::vec(call(), 1..5),
        before in "[A-Za-z .]{0,10}",
        cuts in prop::collection::vec(1usize..9, 1..5),
        format in format(),
        variant in any::<bool>(),
    ) {
        let mut input = write(format, &calls, variant);
        // Llama's calls are the whole answer.
        let text = if format == ToolFormat::Llama { String::new() } else { before };
        input.insert(0, Input::Text(text.clone()));
        let events = parse(&dialect(format, false), offered(), &resplit(&input, &cuts));
        let mut expected = Vec::new();
        if !text.trim().is_empty() {
            expected.push(Event::Text(text));
        }
        for (name, arguments) in calls {
            expected.extend([Event::Call { name }, Event::Arguments(arguments)]);
        }
        prop_assert_eq!(events, expected);
    }

    #[test]
    fn a_cut_answer_has_the_beginnings_of_its_calls(
        calls in prop::collection::vec(call(), 1..4),
        format in format(),
        variant in any::<bool>(),
        at in any::<prop::sample::Index>(),
    ) {
        let pieces = resplit(&write(format, &calls, variant), &[1]);
        let events = parse(&dialect(format, false), offered(), &pieces[..=at.index(pieces.len())]);
        let mut given: Vec<(String, String)> = Vec::new();
        for event in events {
            match event {
                Event::Call { name } => given.push((name, String::new())),
                Event::Arguments(text) => given.last_mut().unwrap().1.push_str(&text),
                Event::Text(_) | Event::Reasoning(_) => {}
            }
        }
        for (index, ((name, arguments), (expected, whole))) in given.iter().zip(&calls).enumerate() {
            prop_assert_eq!(name, expected);
            prop_assert!(whole.starts_with(arguments.as_str()));
            prop_assert!(index + 1 == given.len() || whole == arguments);
        }
    }
}
