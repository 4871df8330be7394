//! Regular expressions and Lark grammars: what they take, what is refused, and within which limits.

use super::{Model, SMALL, accepts, data, tokens};
use crate::grammar::{Grammar, GrammarError, GrammarSource};

fn regex(pattern: &str) -> Result<Grammar, GrammarError> {
    SMALL.compile(&GrammarSource::Regex(pattern.into()))
}

fn lark(source: &str) -> Result<Grammar, GrammarError> {
    SMALL.compile(&GrammarSource::Lark(source.into()))
}

/// Whether `text` is an answer, in the middle of a text.
fn takes(grammar: &Grammar, text: &str) -> bool {
    // Behind a letter and a line break, so that no space is added before the text.
    let ids = SMALL.ids(&format!("a\n{text}"));
    let skip = SMALL.ids("a\n").len();
    accepts(&mut grammar.matcher_within().unwrap(), &ids[skip..])
}

#[test]
fn a_regular_expression_matches_the_whole_text() {
    let grammar = regex(r"(\d{2,3}|no/way)\n").unwrap();
    for (text, expected) in [
        ("12\n", true),
        ("123\n", true),
        ("no/way\n", true),
        ("1\n", false),
        ("12", false),
        ("1234\n", false),
    ] {
        assert_eq!(takes(&grammar, text), expected, "{text:?}");
    }
}

#[test]
fn malformed_regular_expressions() {
    for (pattern, part) in [
        ("", "is empty"),
        ("a(", "unclosed group"),
        ("a)", "unopened group"),
        ("[z-a]", "invalid"),
        ("a\\", "ends within an escape"),
        (r"a\\\", "ends within an escape"),
        (r"(a)\1", "backreference"),
        ("a(?=b)", "look-around"),
        (r"[^\s\S]", "matches no text"),
        ("a{9999999999}", "decimal"),
    ] {
        let error = regex(pattern).unwrap_err().to_string();
        assert!(
            error.starts_with("regex: ") && error.contains(part) && !error.contains('\n'),
            "{pattern}: {error}"
        );
    }
    let nested = (0..300).fold("a".to_owned(), |inner, _| format!("({inner})"));
    let error = regex(&nested).unwrap_err().to_string();
    assert!(error.contains("nested") && error.len() < 400, "{error}");
    assert!(matches!(regex(&"a".repeat(20_000)), Err(GrammarError::Limit { limit: 16_384, .. })));
}

/// Either an error in one line, or a set within the limits; never a hang.
#[test]
fn regular_expressions_that_blow_up() {
    let nested = (0..200).fold("a".to_owned(), |inner, _| format!("({inner}b)*"));
    for pattern in [
        "(a|aa)+".repeat(300),
        "(.*a){30}".into(),
        "(((a{100}){100}){100}){100}".into(),
        "(.{1,1000}x){1,1000}".into(),
        "[a-z]*a[a-z]{40}[a-z]*b[a-z]{40}".into(),
        r"\p{L}{1,5000}".into(),
        nested,
    ] {
        let Ok(grammar) = regex(&pattern) else { continue };
        let mut matcher = grammar.matcher().unwrap();
        for _ in 0..50 {
            let Ok(allowed) = matcher.allowed() else { break };
            let allowed = tokens(allowed);
            matcher.accept(allowed[allowed.len() / 2]).unwrap();
            if matcher.is_complete() {
                break;
            }
        }
    }
}

#[test]
fn a_grammar_of_rules() {
    let grammar = lark(
        "start: sum\nsum: product (\"+\" product)*\nproduct: NUMBER | \"(\" sum \")\"\nNUMBER: /[0-9]+/\n",
    )
    .unwrap();
    for (text, expected) in [("1", true), ("(1+2)+33", true), ("1+", false), ("(1", false), ("1-1", false)] {
        assert_eq!(takes(&grammar, text), expected, "{text:?}");
    }
}

#[test]
fn malformed_grammars() {
    let chain: String = (0..5_000).map(|i| format!("a{i}:a{}\n", i + 1)).collect();
    for (source, part) in [
        ("", "start"),
        ("start: ", "matches no text"),
        ("begin: \"a\"", "no start rule found"),
        ("start: missing", "missing"),
        ("start: \"a", "lexer error"),
        ("start: A\nA: A", "circular"),
        ("start: x\nx: x", "matches no text"),
        ("start: <nothing>", "unknown special token"),
        ("start: <[99999]>", "99999"),
        ("start: text\ntext[stop=\"x\"]: /.*/", "suffix="),
        ("start: text\ntext[max_tokens=3]: /.*/", "suffix="),
        ("start: \"a\" | %json {\"type\": \"integer\"}", "%json is not supported"),
        ("start: %lark {\nstart: \"a\"\n}", "%lark is not supported"),
        (chain.as_str(), "no start rule found"),
    ] {
        let shown: String = source.chars().take(60).collect();
        let error = lark(source).unwrap_err().to_string();
        assert!(
            error.starts_with("grammar: ") && error.contains(part) && !error.contains('\n'),
            "{shown}: {error}"
        );
    }
    assert!(matches!(lark(&"#".repeat(70_000)), Err(GrammarError::Limit { limit: 65_536, .. })));
}

/// The engine recurses over rules and over groups: as deep as the length of a grammar allows, it neither overflows the
/// caller's stack nor takes the process down.
#[test]
fn deep_grammars_from_a_thread_with_a_small_stack() {
    let chain: String = std::iter::once("start:a0\n".to_owned())
        .chain((0..5_000).map(|i| format!("a{i}:a{}\n", i + 1)))
        .chain(std::iter::once("a5000:\"x\"\n".to_owned()))
        .collect();
    let tokens: String = std::iter::once("start:A0\n".to_owned())
        .chain((0..5_000).map(|i| format!("A{i}:A{}\n", i + 1)))
        .chain(std::iter::once("A5000:\"x\"\n".to_owned()))
        .collect();
    let groups = format!("start: {}\"x\"{}", "(".repeat(30_000), ")".repeat(30_000));
    let nots = format!("start: A\nA: {}\"x\"", "~".repeat(60_000));
    let regex = GrammarSource::Regex(format!("{}x{}", "(".repeat(8_000), ")".repeat(8_000)));
    let sources = [chain, tokens, groups, nots].map(GrammarSource::Lark).into_iter().chain([regex]);
    let vocabulary = std::sync::Arc::clone(&SMALL.vocabulary);
    let small = std::thread::Builder::new().stack_size(192 << 10);
    let run = small.spawn(move || {
        for source in sources {
            if let Ok(grammar) = Grammar::compile(&vocabulary, &source) {
                let mut matcher = grammar.matcher().unwrap();
                let first = tokens_of(&mut matcher)[0];
                matcher.accept(first).unwrap();
                matcher.rollback(1).unwrap();
                tokens_of(&mut matcher);
            }
        }
    });
    run.unwrap().join().unwrap();
}

fn tokens_of(matcher: &mut crate::grammar::Matcher) -> Vec<u32> {
    tokens(matcher.allowed().unwrap())
}

/// SentencePiece: the first token of a text loses its leading space when it is decoded.
#[test]
fn the_first_token_of_a_text_reads_without_its_space() {
    let model = Model::load(&data("tiny/llama2"));
    let grammar = model.compile(&GrammarSource::Regex(r"yes(, sir)?".into())).unwrap();
    // `▁yes` or its pieces, as the tokenizer writes the beginning of a text.
    let ids = model.ids("yes");
    assert_eq!(model.tokenizer.decode(&ids, true).unwrap(), "yes");
    assert!(model.tokenizer.token_bytes(ids[0]).unwrap().starts_with(b" "));
    assert!(accepts(&mut grammar.matcher().unwrap(), &ids));
    assert!(!accepts(&mut grammar.matcher_within().unwrap(), &ids));

    // A text that begins with a space begins with two.
    let grammar = model.compile(&GrammarSource::Regex(r" yes".into())).unwrap();
    let ids = model.ids(" yes");
    assert_eq!(model.tokenizer.decode(&ids, true).unwrap(), " yes");
    assert!(accepts(&mut grammar.matcher().unwrap(), &ids));
    let ids = model.ids("yes");
    assert!(accepts(&mut grammar.matcher_within().unwrap(), &ids));
    assert!(!accepts(&mut grammar.matcher().unwrap(), &ids));
}

/// All tokens that read the same are allowed, such as a letter and its byte.
#[test]
fn tokens_with_the_same_bytes_are_allowed_together() {
    let grammar = regex("x").unwrap();
    let mut matcher = grammar.matcher_within().unwrap();
    let allowed: Vec<String> =
        tokens_of(&mut matcher).iter().filter_map(|id| SMALL.tokenizer.id_to_token(*id)).collect();
    assert_eq!(allowed, ["<0x78>", "x"]);
}

#[test]
fn control_tokens_are_never_text_and_can_be_named() {
    let any = regex("(?s:.*)").unwrap();
    let allowed = tokens_of(&mut any.matcher().unwrap());
    for token in 0..SMALL.vocabulary.rows() as u32 {
        let text =
            SMALL.tokenizer.token_bytes(token).is_some_and(|bytes| bytes.is_ascii() && !bytes.is_empty());
        let stop = SMALL.vocabulary.stop_tokens().contains(&token);
        if text || stop || SMALL.tokenizer.is_special(token) || token as usize >= SMALL.tokenizer.vocab_size()
        {
            assert_eq!(allowed.contains(&token), text || stop, "{token}");
        }
    }
    let named = lark("start: \"x\" <s>").unwrap();
    let mut matcher = named.matcher_within().unwrap();
    let start = SMALL.tokenizer.token_to_id("<s>").unwrap();
    assert!(matcher.accept(start).is_err());
    let x = tokens_of(&mut matcher)[0];
    matcher.accept(x).unwrap();
    assert_eq!(tokens_of(&mut matcher), [start]);
    matcher.accept(start).unwrap();
    assert!(matcher.is_complete());
    matcher.rollback(1).unwrap();
    assert_eq!(tokens_of(&mut matcher), [start]);
}
