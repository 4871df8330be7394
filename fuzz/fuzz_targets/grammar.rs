//! A schema, a regular expression (`/...`) or a Lark grammar, however hostile, gives an error or sets that lead on: whoever
//! takes tokens of them gets no error but a limit's, and JSON at the end of what began as a schema.
#![no_main]

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use model_runtime::grammar::{Grammar, GrammarError, GrammarSource, Vocabulary};
use model_runtime::tokenizer::Tokenizer;

static MODEL: LazyLock<(Tokenizer, Arc<Vocabulary>)> = LazyLock::new(|| {
    let file = include_bytes!("../../tests/data/tokenizers/tinystories-512/tokenizer.json");
    let tokenizer = Tokenizer::from_json(file).expect("the tokenizer of the repository");
    let vocabulary = Vocabulary::new(&tokenizer, 512, &[2]).expect("its vocabulary");
    (tokenizer, Arc::new(vocabulary))
});

fuzz_target!(|text: &str| {
    let (tokenizer, vocabulary) = &*MODEL;
    let source = match text.strip_prefix('/') {
        Some(regex) => GrammarSource::Regex(regex.to_owned()),
        None => match serde_json::from_str(text) {
            Ok(schema) => GrammarSource::JsonSchema(schema),
            Err(_) => GrammarSource::Lark(text.to_owned()),
        },
    };
    let Ok(grammar) = Grammar::compile(vocabulary, &source) else { return };
    let mut matcher = grammar.matcher().expect("a grammar that was compiled");
    let (mut ids, mut draw) = (Vec::new(), text.len());
    while ids.len() < 64 && !matcher.is_complete() {
        let allowed = match matcher.allowed() {
            Ok(mask) => mask.to_vec(),
            // Lark and regular expressions may lead nowhere; a schema never does.
            Err(GrammarError::DeadEnd { .. }) if !matches!(source, GrammarSource::JsonSchema(_)) => return,
            Err(GrammarError::TooComplex { .. }) => return,
            Err(error) => panic!("{error}"),
        };
        let tokens: Vec<u32> = (0..512).filter(|t| allowed[*t as usize / 32] >> (t % 32) & 1 == 1).collect();
        draw = draw.wrapping_mul(31).wrapping_add(7);
        let token = tokens[draw % tokens.len()];
        match matcher.accept(token) {
            Ok(()) => ids.push(token),
            Err(GrammarError::TooComplex { .. }) => return,
            Err(error) => panic!("{error}"),
        }
    }
    if matcher.is_complete() && matches!(source, GrammarSource::JsonSchema(_)) {
        let answer = tokenizer.decode(&ids, true).expect("tokens of the vocabulary");
        assert!(serde_json::from_str::<serde_json::Value>(&answer).is_ok(), "{answer}");
    }
});
