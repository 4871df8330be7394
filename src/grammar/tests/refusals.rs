//! What is refused, and where the error points.

use serde_json::{Value, json};

use super::SMALL;
use crate::chat::ToolFormat;
use crate::error::{Error, ErrorKind};
use crate::grammar::{Choice, GrammarError, GrammarSource, TOOL_KEYS, ToolSignature};

/// A property `p` with this schema.
fn with(schema: Value) -> Value {
    json!({"type": "object", "properties": {"p": schema}})
}

fn refusal(schema: Value) -> GrammarError {
    match SMALL.schema(schema.clone()) {
        Ok(_) => panic!("accepted: {schema}"),
        Err(error) => {
            let text = error.to_string();
            assert!(!text.contains('\n') && text.len() < 500, "{text}");
            assert_eq!(Error::from(error.clone()).kind(), ErrorKind::InvalidRequest, "{text}");
            error
        }
    }
}

#[test]
fn keywords_and_values_that_are_refused_by_their_path() {
    let cases = [
        (with(json!({"type": "string", "pattern": "a"})), "schema.properties.p.pattern"),
        (with(json!({"anyOf": [{"type": "string"}]})), "schema.properties.p.anyOf"),
        (with(json!({"oneOf": [{"type": "string"}]})), "schema.properties.p.oneOf"),
        (with(json!({"allOf": [{"type": "string"}]})), "schema.properties.p.allOf"),
        (with(json!({"type": "array", "prefixItems": []})), "schema.properties.p.prefixItems"),
        (with(json!({"$ref": "#/$defs/x"})), "schema.properties.p.$ref"),
        (with(json!({"type": ["string", "integer"]})), "schema.properties.p.type"),
        (with(json!({"type": ["string"]})), "schema.properties.p.type"),
        (with(json!({"type": ["null", "null"]})), "schema.properties.p.type"),
        (with(json!({"type": ["string", "null", "null"]})), "schema.properties.p.type"),
        (with(json!({"type": 7})), "schema.properties.p.type"),
        (with(json!({"type": "text"})), "schema.properties.p.type"),
        (with(json!({"type": "string", "nullable": true})), "schema.properties.p.nullable"),
        (with(json!({"type": "array", "uniqueItems": true})), "schema.properties.p.uniqueItems"),
        (with(json!({"not": {}})), "schema.properties.p.not"),
        (with(json!({"patternProperties": {}})), "schema.properties.p.patternProperties"),
        (with(json!({"x-guidance": {"whitespace_flexible": true}})), "schema.properties.p.x-guidance"),
        (with(json!({"type": "string", "minimum": 1})), "schema.properties.p.minimum"),
        (with(json!({"type": "integer", "maxLength": 1})), "schema.properties.p.maxLength"),
        (with(json!({"minimum": 1, "maxLength": 1})), "schema.properties.p"),
        (with(json!({"type": "string", "format": "iban"})), "schema.properties.p.format"),
        (with(json!({"type": "string", "maxLength": -1})), "schema.properties.p.maxLength"),
        (with(json!({"type": "string", "maxLength": "3"})), "schema.properties.p.maxLength"),
        (with(json!({"type": "string", "minLength": 3, "maxLength": 2})), "schema.properties.p.minLength"),
        (with(json!({"type": "array", "minItems": 3, "maxItems": 2})), "schema.properties.p.minItems"),
        (with(json!({"type": "array", "items": true})), "schema.properties.p.items"),
        (with(json!({"type": "array", "items": [{}]})), "schema.properties.p.items"),
        (with(json!({"type": "number", "minimum": 2, "maximum": 1})), "schema.properties.p"),
        (with(json!({"type": "number", "minimum": 1, "exclusiveMaximum": 1})), "schema.properties.p"),
        (with(json!({"type": "number", "minimum": 1e300})), "schema.properties.p"),
        (with(json!({"type": "integer", "minimum": 0.2, "maximum": 0.8})), "schema.properties.p"),
        (
            with(json!({"type": "integer", "minimum": 1, "maximum": 6, "multipleOf": 7})),
            "schema.properties.p",
        ),
        (with(json!({"type": "integer", "multipleOf": 1.5})), "schema.properties.p.multipleOf"),
        (with(json!({"type": "number", "multipleOf": 0})), "schema.properties.p.multipleOf"),
        (with(json!({"type": "number", "exclusiveMinimum": true})), "schema.properties.p.exclusiveMinimum"),
        (with(json!({"enum": []})), "schema.properties.p.enum"),
        (with(json!({"enum": "a"})), "schema.properties.p.enum"),
        (with(json!({"type": "string", "enum": [1, 2]})), "schema.properties.p.enum"),
        (with(json!({"type": "integer", "const": 1.5})), "schema.properties.p.const"),
        (with(json!({"enum": [1], "const": 2})), "schema.properties.p.enum"),
        (with(json!({"enum": ["\u{1}"]})), "schema.properties.p.enum"),
        (with(json!({"const": 9_007_199_254_740_993_i64})), "schema.properties.p.const"),
        (with(json!({"type": "string", "enum": ["a"], "maxLength": 3})), "schema.properties.p.maxLength"),
        (with(json!([])), "schema.properties.p"),
        (with(json!(true)), "schema.properties.p"),
        (json!({"type": "object", "properties": ["p"]}), "schema.properties"),
        (json!({"type": "object", "required": "p"}), "schema.required"),
        (json!({"type": "object", "required": [1]}), "schema.required"),
        (json!({"type": "object", "required": ["a", "a"]}), "schema.required"),
        (json!({"type": "object", "required": ["p"], "additionalProperties": false}), "schema.required"),
        (json!({"type": "object", "additionalProperties": 1}), "schema.additionalProperties"),
        (
            json!({"type": "object", "additionalProperties": {"type": "object", "pattern": "a"}}),
            "schema.additionalProperties.pattern",
        ),
        (json!({"type": "object", "minProperties": 1, "properties": {}}), "schema.minProperties"),
        (json!({"type": "object", "maxProperties": 1, "required": ["a", "b"]}), "schema.maxProperties"),
        (json!({"type": "array"}), "schema.type"),
        (json!({"type": ["object", "null"]}), "schema.type"),
        (json!({}), "schema.type"),
        (json!("object"), "schema"),
        (json!(null), "schema"),
    ];
    for (schema, path) in cases {
        let error = refusal(schema.clone());
        assert_eq!(error.path(), Some(path), "{schema}: {error}");
        assert_eq!(Error::from(error).param(), Some(path));
    }
}

#[test]
fn keys_are_counted_at_all_levels() {
    let keys = |n: usize| -> Value {
        let names = |from: usize, to: usize| (from..to).map(|i| (format!("k{i}"), json!({"type": "null"})));
        let inner: serde_json::Map<String, Value> = names(0, n / 2).collect();
        let mut outer: serde_json::Map<String, Value> = names(n / 2, n - 1).collect();
        outer.insert(
            "list".into(),
            json!({"type": "array", "items": {"type": "object", "properties": inner}}),
        );
        json!({"type": "object", "properties": outer})
    };
    assert!(SMALL.schema(keys(64)).is_ok());
    assert!(matches!(refusal(keys(65)), GrammarError::Limit { value: 65, limit: 64, .. }));
    let tool = |n| GrammarSource::Tools {
        format: ToolFormat::Generic,
        tools: vec![ToolSignature { name: "f".into(), parameters: keys(n) }],
        choice: Choice::Required,
        parallel: false,
    };
    assert!(SMALL.compile(&tool(TOOL_KEYS)).is_ok());
    let error = SMALL.compile(&tool(TOOL_KEYS + 1)).unwrap_err();
    assert!(matches!(error, GrammarError::Limit { value: 17, limit: 16, .. }), "{error}");
}

#[test]
fn what_passes_without_being_enforced() {
    let passing = [
        json!({"type": "object", "title": "t", "description": "d", "default": {}, "examples": [1], "$schema": "x", "$defs": {"y": 1}}),
        json!({"type": "object", "properties": {"a": {"type": "string", "maxLength": 1_000_000}}}),
        json!({"type": "object", "properties": {"a": {}, "b": {}, "c": {}}, "minProperties": 2, "maxProperties": 2}),
        json!({"properties": {"a": {"items": {"maxLength": 3}}}}),
        json!({"type": "object", "properties": {"a": {"type": "array", "maxItems": 4_000_000_000_u64}}}),
    ];
    for schema in passing {
        SMALL.schema(schema.clone()).unwrap_or_else(|e| panic!("{schema}: {e}"));
    }
}

#[test]
fn long_enumerations() {
    let strings: Vec<String> = (0..1_500).map(|i| format!("value {i}")).collect();
    assert!(SMALL.schema(with(json!({"enum": strings}))).is_ok());
    let objects = |n: usize| -> Vec<Value> { (0..n).map(|i| json!({"k": i})).collect() };
    let schema = with(json!({"enum": objects(256)}));
    let mut random = super::walk::Random(1);
    super::walk::judged(&SMALL, &schema, &SMALL.schema(schema.clone()).unwrap(), &mut random);
    assert!(matches!(refusal(with(json!({"enum": objects(257)}))), GrammarError::Limit { limit: 256, .. }));
}

#[test]
fn depth_is_limited() {
    let nested = |depth: usize| {
        (0..depth).fold(json!({"type": "null"}), |inner, _| json!({"type": "array", "items": inner}))
    };
    assert!(SMALL.schema(with(nested(30))).is_ok());
    let error = refusal(with(nested(40)));
    assert!(error.to_string().ends_with("nested deeper than 32 levels"), "{error}");
    let deep_value = (0..40).fold(json!(1), |inner, _| json!([inner]));
    assert!(refusal(with(json!({"const": deep_value}))).to_string().contains("nested deeper"));
}

#[test]
fn tools_are_checked() {
    let compile = |tools: &[(&str, Value)], choice| {
        let tools = tools
            .iter()
            .map(|(name, parameters)| ToolSignature { name: (*name).into(), parameters: parameters.clone() });
        let source = GrammarSource::Tools {
            format: ToolFormat::Llama,
            tools: tools.collect(),
            choice,
            parallel: true,
        };
        SMALL.compile(&source).map(|_| ())
    };
    let object = json!({"type": "object", "properties": {"x": {"type": "string"}}});
    let message = |result: Result<(), GrammarError>| result.unwrap_err().to_string();
    assert_eq!(message(compile(&[], Choice::Auto)), "tools: is empty; at least one tool is needed");
    assert!(message(compile(&[("a b", json!({}))], Choice::Auto)).starts_with("tools[0].name: is \"a b\""));
    assert!(message(compile(&[("", json!({}))], Choice::Auto)).starts_with("tools[0].name"));
    assert!(
        message(compile(&[("f", json!({})), ("f", json!({}))], Choice::Auto)).starts_with("tools[1].name")
    );
    assert_eq!(
        message(compile(&[("f", object.clone())], Choice::Function("g".into()))),
        "tools: no tool is named \"g\""
    );
    assert!(
        message(compile(&[("f", json!({})), ("g", json!({"type": "string"}))], Choice::Auto))
            .starts_with("tools[1].parameters.type")
    );
    let broken = json!({"type": "object", "properties": {"x": {"type": "string", "pattern": "a"}}});
    assert!(
        message(compile(&[("f", broken)], Choice::Auto))
            .starts_with("tools[0].parameters.properties.x.pattern")
    );
    compile(&[("f", object), ("g", Value::Null)], Choice::Auto).unwrap();
}
