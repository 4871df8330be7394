//! What each notation means, case by case.

use super::*;

/// Splits at the markers of the format, which come as tokens.
fn input(format: ToolFormat, text: &str) -> Vec<Input> {
    let mut input = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let found = format.markers().iter().filter_map(|marker| Some((rest.find(marker)?, *marker))).min();
        let Some((at, marker)) = found else { break };
        if at > 0 {
            input.push(Input::Text(rest[..at].to_owned()));
        }
        input.push(Input::Marker(marker));
        rest = &rest[at + marker.len()..];
    }
    if !rest.is_empty() {
        input.push(Input::Text(rest.to_owned()));
    }
    input
}

/// Every case with markers as tokens and, where they may be spelled, as text.
fn check(format: ToolFormat, cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        let events = parse(&dialect(format, false), offered(), &input(format, text));
        assert_eq!(shown(&events), *expected, "{text:?}");
        let options = OutputOptions { spelled_markers: true, ..offered() };
        let events = parse(&dialect(format, false), options, &[Input::Text((*text).to_owned())]);
        assert_eq!(shown(&events), *expected, "spelled: {text:?}");
    }
}

#[test]
fn llama() {
    check(
        ToolFormat::Llama,
        &[
            (r#"{"name": "f", "parameters": {"a": 1}}"#, r#"C:f|A:{"a": 1}"#),
            ("\n {\"name\":\"f\",\"arguments\":{\n\"a\":\"}\\\"\"} }\n", "C:f|A:{\n\"a\":\"}\\\"\"}"),
            (r#"<|python_tag|>{"name": "weather", "parameters": {}}"#, "C:weather|A:{}"),
            (
                r#"{"name": "f", "parameters": {"a": 1}}; {"name": "weather", "parameters": {"b": []}}"#,
                r#"C:f|A:{"a": 1}|C:weather|A:{"b": []}"#,
            ),
            (r#"{"type": "function", "name": "f", "parameters": {"a": 1}}"#, r#"C:f|A:{"a": 1}"#),
            (r#"{"name": "f"}"#, "C:f|A:{}"),
            (r#"{"name": "\u0066", "parameters": {"x": "ü"}}"#, r#"C:f|A:{"x": "ü"}"#),
            // Text.
            ("Hello {\"name\": \"f\"}", "T:Hello {\"name\": \"f\"}"),
            (r#" {"name": "g", "parameters": {}}"#, r#"T: {"name": "g", "parameters": {}}"#),
            (r#"{"title": "f", "name": "f"}"#, r#"T:{"title": "f", "name": "f"}"#),
            (r#"{"type": "object", "name": "f"}"#, r#"T:{"type": "object", "name": "f"}"#),
            (r#"{"name": 7}"#, r#"T:{"name": 7}"#),
            (r#"{"name": "weat"#, r#"T:{"name": "weat"#),
            ("{}", "T:{}"),
            ("  \n", "T:  \n"),
            ("", ""),
            ("<|python_tag|>print(1)", "T:<|python_tag|>print(1)"),
            ("<|python_tag|>", "T:<|python_tag|>"),
            // Behind a call.
            (r#"{"name": "f", "parameters": {}} and"#, "C:f|A:{}|T: and"),
            (r#"{"name": "f", "parameters": {}}; {"name": "g"}"#, r#"C:f|A:{}|T:; {"name": "g"}"#),
            (r#"{"name": "f", "parameters": {}};; "#, "C:f|A:{}"),
            // Cut off.
            (r#"{"name": "f", "parameters": {"a": [1, "#, r#"C:f|A:{"a": [1, "#),
            (r#"{"name": "f", "para"#, "C:f"),
            // Damaged behind the name.
            (r#"{"name": "f", "parameters": {"a": 1]} x"#, r#"C:f|A:{"a": 1|T:]} x"#),
            (r#"{"name": "f" "parameters"}"#, r#"C:f|T: "parameters"}"#),
            (r#"{"name": "f", "parameters": }"#, r#"C:f|T:, "parameters": }"#),
        ],
    );
}

#[test]
fn mistral() {
    check(
        ToolFormat::Mistral,
        &[
            (r#"[TOOL_CALLS] [{"name": "f", "arguments": {"a": 1}}]"#, r#"C:f|A:{"a": 1}"#),
            (
                r#"Wait. [TOOL_CALLS][{"name": "f", "arguments": {"a": 1}, "id": "abcdefghi"}, {"id": 5, "arguments": [], "name": "weather"}] "#,
                r#"T:Wait. |C:f|A:{"a": 1}|C:weather|A:[]"#,
            ),
            (r#"[TOOL_CALLS]weather[ARGS]{"a": {}}"#, r#"C:weather|A:{"a": {}}"#),
            (
                r#"[TOOL_CALLS]weather_now[ARGS]{"a": "]"}[TOOL_CALLS]f [ARGS] {}"#,
                r#"C:weather_now|A:{"a": "]"}|C:f|A:{}"#,
            ),
            ("[TOOL_CALLS]größe[ARGS]{}\nDone.", "C:größe|A:{}|T:\nDone."),
            // Text.
            ("Hello [1] [TOOL_", "T:Hello [1] [TOOL_"),
            ("[TOOL_CALLS]", "T:[TOOL_CALLS]"),
            ("[TOOL_CALLS][]", "T:[TOOL_CALLS][]"),
            ("a [TOOL_CALLS] [ ", "T:a [TOOL_CALLS] [ "),
            ("\n[TOOL_CALLS] nothing", "T:\n[TOOL_CALLS] nothing"),
            (r#"[TOOL_CALLS][{"name": "g"}]"#, r#"T:[TOOL_CALLS][{"name": "g"}]"#),
            (r#"[TOOL_CALLS][{"arguments": {}}]"#, r#"T:[TOOL_CALLS][{"arguments": {}}]"#),
            ("[TOOL_CALLS]weather{}", "T:[TOOL_CALLS]weather{}"),
            ("[TOOL_CALLS]weather[ARG", "T:[TOOL_CALLS]weather[ARG"),
            ("[TOOL_CALLS]weather[ARGS] x", "C:weather|T: x"),
            (r#"[TOOL_CALLS][{"name": "f", "arguments": {}}, 7]"#, "C:f|A:{}|T:, 7]"),
            // Cut off.
            (r#"[TOOL_CALLS][{"name": "f", "arguments": {"a"#, r#"C:f|A:{"a"#),
            (r#"[TOOL_CALLS][{"name": "f", "arguments": {}}, {"na"#, r#"C:f|A:{}|T:, {"na"#),
        ],
    );
}

#[test]
fn a_marker_that_comes_again_begins_anew() {
    let call = r#"[TOOL_CALLS] [TOOL_CALLS][{"name": "f", "arguments": {}}]"#;
    let events = parse(&dialect(ToolFormat::Mistral, false), offered(), &input(ToolFormat::Mistral, call));
    assert_eq!(shown(&events), "T:[TOOL_CALLS] |C:f|A:{}");
}

#[test]
fn deepseek() {
    let one = |name: &str, arguments: &str| {
        format!(
            "<｜tool▁call▁begin｜>function<｜tool▁sep｜>{name}\n```json\n{arguments}\n```<｜tool▁call▁end｜>"
        )
    };
    let block = |calls: &[String]| format!("<｜tool▁calls▁begin｜>{}<｜tool▁calls▁end｜>", calls.join("\n"));
    let good = one("f", r#"{"a": "```"}"#);
    let cut = good.split_at(good.find("\n```<").unwrap()).0;
    let no_fence = good.replace("\n```<", "<");
    check(
        ToolFormat::DeepSeek,
        &[
            (&block(std::slice::from_ref(&good)), r#"C:f|A:{"a": "```"}"#),
            (
                &format!("I look. {}", block(&[good.clone(), one("weather", "{\n}")])),
                "T:I look. |C:f|A:{\"a\": \"```\"}|C:weather|A:{\n}",
            ),
            (&format!("{}\nDone.", block(std::slice::from_ref(&good))), "C:f|A:{\"a\": \"```\"}|T:\nDone."),
            (&block(&[no_fence]), r#"C:f|A:{"a": "```"}"#),
            // Text.
            ("a <｜tool▁call", "T:a <｜tool▁call"),
            ("<｜tool▁calls▁begin｜>", "T:<｜tool▁calls▁begin｜>"),
            (
                "\n<｜tool▁calls▁begin｜><｜tool▁calls▁end｜>",
                "T:\n<｜tool▁calls▁begin｜><｜tool▁calls▁end｜>",
            ),
            (&block(&[one("g", "{}")]), &format!("T:{}", block(&[one("g", "{}")]))),
            (&block(&[one("f", "[]")]), &format!("T:{}", block(&[one("f", "[]")]))),
            // Cut off.
            (&format!("<｜tool▁calls▁begin｜>{cut}"), r#"C:f|A:{"a": "```"}"#),
            (&format!("<｜tool▁calls▁begin｜>{cut}\n``"), r#"C:f|A:{"a": "```"}"#),
            (
                &format!("<｜tool▁calls▁begin｜>{good}\n<｜tool▁call▁begin｜>function<｜tool▁sep｜>wea"),
                "C:f|A:{\"a\": \"```\"}|T:\n<｜tool▁call▁begin｜>function<｜tool▁sep｜>wea",
            ),
            // Damaged.
            (&format!("<｜tool▁calls▁begin｜>{cut}\nx"), "C:f|A:{\"a\": \"```\"}|T:\nx"),
        ],
    );
}

#[test]
fn generic() {
    check(
        ToolFormat::Generic,
        &[
            (
                "Sure.\n<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": 1}}\n</tool_call>\n",
                "T:Sure.\n|C:f|A:{\"a\": 1}",
            ),
            (
                "\n<tool_call>{\"arguments\": {\"a\": 1}, \"name\": \"f\"}</tool_call> \n <tool_call>{\"name\": \"weather\"}</tool_call>",
                "C:f|A:{\"a\": 1}|C:weather|A:{}",
            ),
            (
                "<tool_call>{\"name\": \"f\", \"arguments\": -1.5e3 , \"id\": [\"}\"]}</tool_call>\nDone.",
                "C:f|A:-1.5e3|T:\nDone.",
            ),
            // The closing tag is missing.
            ("<tool_call>{\"name\": \"f\"}\nDone.", "C:f|A:{}|T:\nDone."),
            ("<tool_call>{\"name\": \"f\"}<tool_call>{\"name\": \"f\"}</tool_", "C:f|A:{}|C:f|A:{}"),
            ("<tool_call>{\"name\": \"f\"}</tool_x", "C:f|A:{}|T:</tool_x"),
            // Text.
            ("a < b <tool> <tool_cal", "T:a < b <tool> <tool_cal"),
            ("<tool_call>f(1)</tool_call>", "T:<tool_call>f(1)</tool_call>"),
            (" <tool_call> {\"name\": \"g\"}", "T: <tool_call> {\"name\": \"g\"}"),
            ("<tool_call><tool_call>{\"name\": \"f\"}</tool_call>", "T:<tool_call>|C:f|A:{}"),
            ("<tool_call>{\"name\": \"f", "T:<tool_call>{\"name\": \"f"),
            ("<tool_call>{\"arguments\": {\"a\": 1}", "T:<tool_call>{\"arguments\": {\"a\": 1}"),
            ("[TOOL_CALLS] [{\"name\": \"f\"}]", "T:[TOOL_CALLS] [{\"name\": \"f\"}]"),
            ("</tool_call>", "T:</tool_call>"),
            // Cut off.
            ("<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": \"<tool", "C:f|A:{\"a\": \"<tool"),
        ],
    );
}

#[test]
fn without_tools_all_is_text() {
    for (format, text) in [
        (ToolFormat::Llama, r#"{"name": "f", "parameters": {}}"#),
        (ToolFormat::Mistral, r#"[TOOL_CALLS][{"name": "f", "arguments": {}}]"#),
        (ToolFormat::Generic, "<tool_call>{\"name\": \"f\"}</tool_call>"),
    ] {
        for input in [input(format, text), vec![Input::Text(text.to_owned())]] {
            let options = OutputOptions { spelled_markers: true, ..OutputOptions::default() };
            assert_eq!(shown(&parse(&dialect(format, false), options, &input)), format!("T:{text}"));
        }
    }
}

#[test]
fn a_marker_of_the_vocabulary_is_not_recognised_where_it_is_spelled() {
    for (format, text) in [
        (ToolFormat::Mistral, r#"[TOOL_CALLS][{"name": "f", "arguments": {}}]"#),
        (ToolFormat::Llama, r#"<|python_tag|>{"name": "f", "parameters": {}}"#),
        (
            ToolFormat::DeepSeek,
            "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>f\n```json\n{}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
        ),
    ] {
        let events = parse(&dialect(format, false), offered(), &[Input::Text(text.to_owned())]);
        assert_eq!(shown(&events), format!("T:{text}"));
    }
}

#[test]
fn reasoning() {
    let call = "<tool_call>{\"name\": \"f\"}</tool_call>";
    let behind = format!("<think>a{call}</think>\n{call}");
    for (open, text, expected) in [
        (false, "<think>\n\nHm.\n</think>\n\nYes.", "R:Hm.\n|T:Yes."),
        (false, "\n <think>a</think>b</think><think>c", "R:a|T:b</think><think>c"),
        (false, "<think></think>b", "T:b"),
        (false, "<think>a <thi </thin", "R:a <thi </thin"),
        (false, "x<think>a</think>", "T:x<think>a</think>"),
        (false, " <thinking>", "T: <thinking>"),
        (false, "<thin", "T:<thin"),
        (false, " ", "T: "),
        (true, "\nHm.</think>\r\n Yes.", "R:Hm.|T: Yes."),
        (true, "<think>a</think>", "R:<think>a"),
        (true, "never ends", "R:never ends"),
        (false, &behind, &format!("R:a{call}|C:f|A:{{}}")),
    ] {
        let options = || OutputOptions { reasoning_open: open, ..offered() };
        let think = dialect(ToolFormat::Generic, true);
        assert_eq!(shown(&parse(&think, options(), &[Input::Text(text.to_owned())])), expected, "{text:?}");
        // The tags as tokens.
        let mut tokens = Vec::new();
        let mut rest = text;
        while let Some((at, tag)) =
            ["<think>", "</think>"].into_iter().filter_map(|tag| Some((rest.find(tag)?, tag))).min()
        {
            tokens.push(Input::Text(rest[..at].to_owned()));
            tokens.push(Input::Marker(tag));
            rest = &rest[at + tag.len()..];
        }
        tokens.push(Input::Text(rest.to_owned()));
        assert_eq!(shown(&parse(&think, options(), &tokens)), expected, "tokens of {text:?}");
        // A model that does not think.
        let plain = parse(&dialect(ToolFormat::Llama, false), options(), &[Input::Text(text.to_owned())]);
        assert_eq!(shown(&plain), format!("T:{text}"));
    }
}

#[test]
fn the_parser_says_when_it_is_within_reasoning() {
    let mut parser = OutputParser::new(&dialect(ToolFormat::Generic, true), offered());
    let mut events = Vec::new();
    let mut after = |piece: &str| {
        parser.text(piece, &mut events);
        parser.reasoning()
    };
    assert_eq!(
        [" <th", "ink>", "\n", "a", "</think", ">", "\n", "b"].map(&mut after),
        [false, true, true, true, true, false, false, false]
    );
    let options = OutputOptions { reasoning_open: true, ..offered() };
    assert!(OutputParser::new(&dialect(ToolFormat::Generic, true), options.clone()).reasoning());
    assert!(!OutputParser::new(&dialect(ToolFormat::Generic, false), options).reasoning());
}

/// No more is held back than may still become something else.
#[test]
fn what_is_certain_comes_at_once() {
    for (format, text, expected) in [
        (ToolFormat::Generic, "a < b", "T:a < b"),
        (ToolFormat::Generic, "a <tool", "T:a "),
        (ToolFormat::Generic, "a <toolb", "T:a <toolb"),
        (ToolFormat::Generic, "a <<tool_", "T:a <"),
        (ToolFormat::Generic, "a\n\n", "T:a\n\n"),
        (ToolFormat::Generic, "<tool_call>{\"name\": \"weather", ""),
        (ToolFormat::Generic, "<tool_call>{\"name\": \"weather\"", "C:weather"),
        (ToolFormat::Generic, "<tool_call>{\"name\": \"wet", "T:<tool_call>{\"name\": \"wet"),
        (ToolFormat::Generic, "<tool_call>{\"name\": \"f\", \"arguments\": {\"a", "C:f|A:{\"a"),
        (ToolFormat::Llama, "Hi", "T:Hi"),
        (ToolFormat::Llama, "{\"na", ""),
        (ToolFormat::Llama, "{\"no", "T:{\"no"),
        (ToolFormat::Llama, "{\"name\": \"f", ""),
        (ToolFormat::Llama, "{\"name\": \"f\"", "C:f"),
        (ToolFormat::Llama, "{\"name\": \"x", "T:{\"name\": \"x"),
        (ToolFormat::Llama, "{\"type\": \"fun", ""),
        (ToolFormat::Llama, "{\"type\": \"obj", "T:{\"type\": \"obj"),
        (ToolFormat::Mistral, "[TOOL", "T:[TOOL"),
        (ToolFormat::DeepSeek, "<｜tool", "T:<｜tool"),
    ] {
        let mut parser = OutputParser::new(&dialect(format, false), offered());
        let mut events = Vec::new();
        parser.text(text, &mut events);
        assert_eq!(shown(&events), expected, "{text:?}");
    }
}
