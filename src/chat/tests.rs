//! What templates rely on, with expected strings from Jinja2 3.1 in transformers' environment; and hostile templates.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::{Duration, Instant};

use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{ChatTemplate, TemplateError, TemplateInput, TemplateTokens};
use crate::error::{Error, ErrorKind};

fn render_with(
    source: &str,
    messages: &Value,
    variables: &Map<String, Value>,
) -> Result<String, TemplateError> {
    let tokens = TemplateTokens::new("<s>".to_owned(), "</s>".to_owned());
    ChatTemplate::new(source, tokens)?.render(&TemplateInput {
        messages,
        tools: None,
        add_generation_prompt: true,
        variables,
        now: Timestamp::from_second(1_721_952_000).unwrap(),
    })
}

fn render(source: &str) -> Result<String, TemplateError> {
    let messages = json!([
        {"role": "system", "content": " Be 'kind'.\n"},
        {"role": "user", "content": "Hello World"},
        {"role": "assistant", "content": null, "tool_calls": [{"name": "f", "arguments": {"b": 1, "a": [1.5, true, null, "x'y"]}}]},
    ]);
    render_with(source, &messages, &Map::new())
}

#[test]
fn templates_print_what_jinja2_prints() {
    for (source, expected) in [
        ("{{ bos_token }}{{ eos_token }}{{ unk_token is defined }}{{ tools is none }}", "<s></s>FalseTrue"),
        (
            "{{ messages[2].content }} {{ messages[2].content is none }} {{ true }} {{ False }}",
            "None True True False",
        ),
        ("{{ messages[2].tool_calls[0].arguments }}", "{'b': 1, 'a': [1.5, True, None, \"x'y\"]}"),
        ("{{ messages[2].tool_calls[0].arguments | tojson }}", r#"{"b": 1, "a": [1.5, true, null, "x'y"]}"#),
        ("{{ {'a': [], 'b': '<é>'} | tojson(indent=2) }}", "{\n  \"a\": [],\n  \"b\": \"<é>\"\n}"),
        (
            "{{ [1] | tojson(separators=(',', ':'), indent=none) }}{{ 'é' | tojson(ensure_ascii=true) }}",
            r#"[1]"\u00e9""#,
        ),
        ("[{{ nothing }}][{{ messages[0].nothing }}]{{ nothing is defined }}", "[][]False"),
        ("{{ strftime_now('%d %b %Y') }} {{ strftime_now('%-d') }}", "26 Jul 2024 26"),
        (
            "{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + loop.index %}{% endfor %}{{ ns.n }}",
            "6",
        ),
        (
            "{% for m in messages %}{% if loop.first %}{% continue %}{% endif %}{{ m.role }}{% break %}{% endfor %}",
            "user",
        ),
        ("{% generation %}a{% endgeneration %}", "a"),
        ("{% if true %}\n  x\n{% endif %}\ny\n", "  x\ny"),
        ("  {% if true %}\nx{% endif %}", "x"),
        (
            "{{ messages[1].content.split(' ')[-1].upper() }}{{ messages[0].content.strip() }}",
            "WORLDBe 'kind'.",
        ),
        (
            "{{ 'abc'.removeprefix('a').removesuffix('c') }}{{ 'a-b-c'.partition('-') }}{{ 'a b  c '.rsplit(none, 1) }}",
            "b('a', '-', 'b-c')['a b', 'c']",
        ),
        (
            "{{ 'abc'.center(8) }}|{{ 'ab'.center(5) }}|{{ '-7'.zfill(4) }}|{{ 'a'.ljust(3, '.') }}{{ 'a'.rjust(3) }}",
            "  abc   |  ab |-007|a..  a",
        ),
        ("{{ 'a\n\nb' | indent(2, true) }}|{{ 'a\nb' | indent }}", "  a\n\n  b|a\n    b"),
        ("{{ '%s is %5d' | format('x', 3) }} {{ '{} {{}} {:>4}'.format('a', 1) }}", "x is     3 a {}    1"),
        ("{{ 1e16 }} {{ 1.0 }} {{ [1e16, 0.1] }} {{ 1e16 | string }}", "1e+16 1.0 [1e+16, 0.1] 1e+16"),
        ("{{ '{{ bos_token }}' }}", "{{ bos_token }}"),
    ] {
        assert_eq!(render(source).unwrap_or_else(|e| panic!("{source}: {e}")), expected, "{source}");
    }
}

#[test]
fn what_fails_in_python_fails() {
    for source in [
        "{{ nothing.more }}",
        "{{ 'a' + none }}",
        "{{ 'a' + nothing }}",
        "{{ none.strip() }}",
        "{{ 'a' in none }}",
        "{{ messages[0].method() }}",
        "{{ unknown() }}",
        "{{ nothing | tojson }}",
        "{{ 'x'.join([1]) }}",
        "{{ 'x'.split('') }}",
        "{{ strftime_now('%') }}",
        "{{ debug() }}",
        "{% include 'other' %}",
    ] {
        let error = render(source).unwrap_err();
        assert!(matches!(error, TemplateError::Render { line: 1, .. }), "{source}: {error}");
        assert_eq!(Error::from(error).kind(), ErrorKind::InvalidRequest);
    }
}

#[test]
fn a_refusal_has_the_words_of_the_template() {
    for source in [
        "{{ raise_exception('Only \"user\"\nplease') }}",
        "{% macro say() %}{{ raise_exception('Only \"user\"\nplease') }}{% endmacro %}{% for m in messages %}{{ say() }}{% endfor %}",
    ] {
        match render(source) {
            Err(TemplateError::Refused { message }) => assert_eq!(message, "Only \"user\"\nplease"),
            other => panic!("{source}: {other:?}"),
        }
    }
}

#[test]
fn a_syntax_error_names_its_line() {
    for source in ["a\n\n{% if %}", "a\n\n{{ 1 + }}", "a\n\n{% unknown %}"] {
        match ChatTemplate::new(source, TemplateTokens::default()).unwrap_err() {
            TemplateError::Syntax { line: 3, .. } => {}
            other => panic!("{source:?}: {other:?}"),
        }
    }
}

#[test]
fn content_is_data_and_variables_go_first() {
    let messages = json!([{"role": "user", "content": "{{ bos_token }}{% raw %}<b>&"}]);
    let mut variables = Map::new();
    variables.insert("eos_token".into(), json!("<end>"));
    variables.insert("enable".into(), json!(true));
    let text = render_with("{{ messages[0].content }}{{ eos_token }}{{ enable }}", &messages, &variables);
    assert_eq!(text.unwrap(), "{{ bos_token }}{% raw %}<b>&<end>True");
}

#[test]
fn hostile_templates_end() {
    let deep_lists = format!("{{{{ {}{} }}}}", "[".repeat(5_000), "]".repeat(5_000));
    let deep_blocks = format!("{}{}", "{% if 1 %}".repeat(5_000), "{% endif %}".repeat(5_000));
    let deep_parentheses = format!("{{{{ {}1{} }}}}", "(".repeat(5_000), ")".repeat(5_000));
    let deep_filters = format!("{{{{ 1{} }}}}", "|abs".repeat(30_000));
    let deep_not = format!("{{{{ {} 1 }}}}", "not ".repeat(5_000));
    let huge = "x".repeat(2 << 20);
    let nested_value = "{% set ns = namespace(a=[]) %}{% for i in range(10000) %}{% set ns.a = [ns.a] %}{% endfor %}{{ ns.a | tojson }}";
    for source in [
        "{% for a in range(99999) %}{% for b in range(99999) %}{{ a * b }}{% endfor %}{% endfor %}",
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{% for a in range(1000000000000) %}{% endfor %}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{{ 'x' * 1000000000000 }}",
        "{% for a in range(9999) %}{{ 'x' * 90000000 }}{% endfor %}",
        "{{ 'a' | indent(1000000000, true) }}",
        "{{ [1] | batch(1000000000, 0) }}",
        "{{ [1] | slice(1000000000) }}",
        "{{ '%1000000000d' | format(1) }}",
        "{{ '%*d' | format(1000000000, 1) }}",
        "{{ '{:>1000000000}'.format('a') }}",
        "{{ '{:>{w}}'.format('a', w=1000000000) }}",
        "{{ 'a'.center(1000000000) }}",
        "{{ 9 ** 9 ** 9 ** 9 }}",
        "{{ '%.1000000000f' | format(1.0) }}",
        nested_value,
        &deep_lists,
        &deep_blocks,
        &deep_parentheses,
        &huge,
    ] {
        let begun = Instant::now();
        let shown: String = source.chars().take(60).collect();
        assert!(render(source).is_err(), "{shown}");
        assert!(begun.elapsed() < Duration::from_secs(20), "{shown}: {:?}", begun.elapsed());
    }
    // A value nested as deep as instructions allow: compared, printed and dropped.
    let nest = format!("{}ns.a{}", "[".repeat(70), "]".repeat(70));
    for last in ["", "{{ ns.a == ns.b }}", "{{ 'x' ~ ns.a }}", "{{ ns.a }}"] {
        let made = render(&format!(
            "{{% set ns = namespace(a=[], b=[]) %}}{{% for i in range(1950) %}}{{% set ns.a = {nest} %}}{{% set ns.b = {nest} %}}{{% endfor %}}made{last}"
        ));
        assert!(!last.is_empty() || made.as_deref().ok() == Some("made"), "{made:?}");
    }
    // Long but flat: may pass or fail, but comes to an end.
    let elifs = format!("{{% if 0 %}}{}{{% endif %}}", "{% elif 0 %}".repeat(10_000));
    let sums = format!("{{{{ 1{} }}}}", "+1".repeat(60_000));
    let attributes = format!("{{{{ x{} }}}}", ".a".repeat(60_000));
    for source in [&elifs, &sums, &attributes] {
        let _ = render(source);
    }
    let _ = render(&deep_filters);
    let _ = render(&deep_not);
}

/// Each would take more memory than there is.
#[test]
fn texts_that_grow_without_end_are_errors() {
    let again = |step: &str, last: &str| {
        format!(
            "{{% set ns = namespace(x='ab', l=['ab']) %}}{{% for i in range(60) %}}{step}{{% endfor %}}{last}"
        )
    };
    let long = |last: &str| format!("{{% set x = 'a' * 20000000 %}}{last}");
    let nested = |last: &str| again("{% set ns.l = [ns.l, ns.l] %}", last);
    for source in [
        again("{% set ns.x = ns.x ~ ns.x %}", ""),
        again("{% set ns.x = ns.x + ns.x %}", ""),
        again("{% set ns.x = ns.x * 4 %}", ""),
        again("{% set x %}{{ ns.x }}{{ ns.x }}{% endset %}{% set ns.x = x %}", ""),
        again("{% set ns.x = [ns.x, ns.x] | join %}", ""),
        again("{% set ns.x = ''.join([ns.x, ns.x]) %}", ""),
        again("{% set ns.x = ns.x.replace('a', ns.x) %}", ""),
        again("{% set ns.x = ns.x | replace('a', ns.x) %}", ""),
        again("{% set ns.x = '%s%s' | format(ns.x, ns.x) %}", ""),
        again("{% set ns.x = '{}{}'.format(ns.x, ns.x) %}", ""),
        again("{% set ns.x = '{a}{a}'.format(a=ns.x) %}", ""),
        "{% set x = 'a' * 30000 %}{% for i in range(99999) %}{{ x.replace('a', 'aaaaaaaa') }}{% endfor %}"
            .to_owned(),
        long("{{ x.replace('a', x) }}"),
        long("{{ x.join(x | list) }}"),
        long("{{ x.split('a') | length }}"),
        long("{{ x.rsplit('a') | length }}"),
        long("{{ ('{0}' * 10000).format(x) }}"),
        "{{ ('\n' * 20000000) | indent(999, true, true) }}".to_owned(),
        "{{ ('\n' * 20000000).splitlines() | length }}".to_owned(),
        nested("{{ ns.l }}"),
        nested("{{ ns.l | tojson }}"),
        nested("{{ ns.l | string }}"),
        nested("{{ '%s' | format(ns.l) }}"),
        nested("{{ '{}'.format(ns.l) }}"),
        "{{ [[[1]]] | tojson(separators=('a' * 20000000, ':')) }}".to_owned(),
    ] {
        let shown: String = source.chars().take(160).collect();
        let Err(error) = render(&source) else { panic!("{shown} was rendered") };
        assert!(matches!(error, TemplateError::Limit { .. }), "{shown}: {error}");
    }
}

#[test]
fn hostile_messages_end() {
    let deep = (0..500).fold(json!("x"), |inner, _| json!([inner]));
    let error = render_with("{{ messages }}", &deep, &Map::new()).unwrap_err();
    assert!(matches!(error, TemplateError::Limit { .. }), "{error}");
    let long = json!([{"role": "user", "content": "x".repeat(1 << 20)}]);
    let error =
        render_with("{% for i in range(100) %}{{ messages[0].content }}{% endfor %}", &long, &Map::new());
    assert!(matches!(error.unwrap_err(), TemplateError::Limit { .. }));
}

proptest! {
    #[test]
    fn any_source_compiles_or_names_what_is_wrong(
        parts in proptest::collection::vec(
            prop_oneof![
                Just("{{"), Just("}}"), Just("{%-"), Just("%}"), Just("{#"), Just("#}"), Just(" for m in messages "),
                Just(" endfor "), Just(" if "), Just(" endif "), Just("messages[0]"), Just(".content"), Just("|tojson"),
                Just(" set x = "), Just("'a'"), Just("1.5"), Just("+"), Just("~"), Just("("), Just(")"), Just("é\n"),
                Just(" generation "), Just(" endgeneration "), Just(" macro x() "), Just(" endmacro "), Just("x"),
                Just(".split(' ')"), Just("[::-1]"), Just("|join"), Just("namespace(x=1)"), Just("-"), Just("%"),
            ],
            0..30,
        ),
    ) {
        let _ = render(&parts.concat());
    }
}
