//! A request's grammar, compiled once.

use std::sync::Arc;

use llguidance::Logger;
use llguidance::api::{GrammarInit, GrammarWithLexer, ParserLimits, TopLevelGrammar};
use llguidance::earley::Parser;
use parking_lot::Mutex;
use serde_json::Value;

use super::error::GrammarError;
use super::matcher::Matcher;
use super::schema::{self, Layout};
use super::source::{Choice, GrammarSource};
use super::tools;
use super::vocabulary::{Vocabulary, slices};

/// The longest regular expression, in bytes.
const MAX_REGEX: usize = 16 << 10;
/// The longest grammar, in bytes.
const MAX_LARK: usize = 64 << 10;
/// The longest schema after normalization, and all schemas of a request together, in bytes.
const MAX_SCHEMA: usize = 256 << 10;
/// The engine recurses over the rules of a grammar, at most one per six bytes of source.
const STACK: usize = 256 << 20;

/// The most ways to read an answer that are followed at once, for schemas: a way for each value that is listed.
const WAYS_OF_SCHEMA: usize = 2_000;
/// As [`WAYS_OF_SCHEMA`], for grammars of callers. Ambiguous ones take time with its square.
const WAYS_OF_GRAMMAR: usize = 400;

/// What one computation may take. Of what a set is granted, the schemas of the tests take less than a tenth; all of it is
/// about 20 ms. A state of the lexer takes one or two kilobytes.
fn limits(ways: usize) -> ParserLimits {
    ParserLimits {
        max_items_in_row: ways,
        initial_lexer_fuel: 1_000_000,
        step_lexer_fuel: 200_000,
        step_max_items: 50_000,
        max_lexer_states: 50_000,
        max_grammar_size: 200_000,
        precompute_large_lexemes: true,
        verbose_errors: false,
    }
}

/// A compiled grammar. Answers of a request share it.
pub struct Grammar {
    vocabulary: Arc<Vocabulary>,
    /// At the beginning; every matcher starts as a copy of it.
    parser: Mutex<Parser>,
}

impl std::fmt::Debug for Grammar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Grammar").field("vocabulary", &self.vocabulary).finish_non_exhaustive()
    }
}

impl Grammar {
    /// Compiles `source` for a model. Takes milliseconds, and for hostile sources up to a second: keep it off the path of
    /// other requests.
    ///
    /// # Errors
    /// What is asked for is malformed, not supported, matches nothing, or passes a limit.
    pub fn compile(vocabulary: &Arc<Vocabulary>, source: &GrammarSource) -> Result<Self, GrammarError> {
        let (what, grammar) = translate(vocabulary, source)?;
        // On a stack of known size: that of the caller may be small, and an overflow cannot be caught.
        let engine = |reason: String| GrammarError::Engine { reason };
        let compiled = std::thread::scope(|scope| {
            std::thread::Builder::new()
                .name("grammar".into())
                .stack_size(STACK)
                .spawn_scoped(scope, || parser(vocabulary, what, grammar))
                .map_err(|e| engine(format!("no thread to compile on: {e}")))?
                .join()
                .unwrap_or_else(|_| Err(engine("panicked while it compiled".into())))
        });
        let grammar = Self { vocabulary: Arc::clone(vocabulary), parser: Mutex::new(compiled?) };
        // The first set tells whether anything matches at all. The engine takes what cannot match for the empty text.
        let mut first = grammar.matcher_within()?;
        let nothing = match first.allowed() {
            Ok(_) => first.is_complete(),
            Err(GrammarError::DeadEnd { .. }) => true,
            Err(error) => return Err(error),
        };
        if nothing {
            return Err(GrammarError::source(what, "matches no text of this vocabulary"));
        }
        Ok(grammar)
    }

    /// A matcher for an answer that is a text of its own, decoded from its beginning.
    ///
    /// # Errors
    /// A defect of the engine.
    pub fn matcher(&self) -> Result<Matcher, GrammarError> {
        Matcher::new(Arc::clone(&self.vocabulary), self.parser.lock().deep_clone(), true)
    }

    /// A matcher for an answer that goes on with a text, such as after reasoning: with SentencePiece vocabularies the
    /// first token keeps its leading space.
    ///
    /// # Errors
    /// A defect of the engine.
    pub fn matcher_within(&self) -> Result<Matcher, GrammarError> {
        Matcher::new(Arc::clone(&self.vocabulary), self.parser.lock().deep_clone(), false)
    }
}

/// The engine's form of `source`, and its name in errors.
fn translate(
    vocabulary: &Vocabulary,
    source: &GrammarSource,
) -> Result<(&'static str, TopLevelGrammar), GrammarError> {
    let json = |schema| TopLevelGrammar::from_json_schema(Layout::Compact.apply(schema));
    Ok(match source {
        GrammarSource::JsonObject => ("json schema", json(schema::any_object())),
        GrammarSource::JsonSchema(schema) => {
            let schema = schema::response(schema)?;
            bounded("json schema: bytes", schema.to_string().len(), MAX_SCHEMA)?;
            ("json schema", json(schema))
        }
        GrammarSource::Regex(regex) => ("regex", TopLevelGrammar::from_regex(checked_regex(regex)?)),
        GrammarSource::Lark(lark) => ("grammar", TopLevelGrammar::from_lark(checked_lark(lark)?.to_owned())),
        GrammarSource::Tools { format, tools, choice, parallel } => {
            let grammar = tools::grammar(vocabulary, *format, tools, choice, *parallel)?;
            let size = grammar.arguments.iter().map(|(_, schema)| schema.to_string().len()).sum();
            bounded("tools: bytes of schemas", size, MAX_SCHEMA)?;
            let mut all = with_arguments(grammar.lark, grammar.arguments);
            if let Choice::AutoOr(text) = choice {
                all.grammars.push(text_of_form(vocabulary, text)?);
            }
            ("tools", all)
        }
    })
}

/// The grammar that an answer has where it calls nothing.
fn text_of_form(vocabulary: &Vocabulary, source: &GrammarSource) -> Result<GrammarWithLexer, GrammarError> {
    let (what, form) = translate(vocabulary, source)?;
    match <[GrammarWithLexer; 1]>::try_from(form.grammars) {
        Ok([form]) => Ok(GrammarWithLexer { name: Some(tools::TEXT.to_owned()), ..form }),
        Err(_) => Err(GrammarError::source(what, "is no form of a text")),
    }
}

/// A grammar that refers to schemas by name.
fn with_arguments(lark: String, arguments: Vec<(String, Value)>) -> TopLevelGrammar {
    let mut grammars = vec![GrammarWithLexer::from_lark(lark)];
    grammars.extend(arguments.into_iter().map(|(name, schema)| GrammarWithLexer {
        name: Some(name),
        json_schema: Some(Layout::Spaced.apply(schema)),
        lark_grammar: None,
    }));
    TopLevelGrammar { grammars, max_tokens: None }
}

/// What the engine's own translation would take for something else.
fn checked_regex(regex: &str) -> Result<&str, GrammarError> {
    bounded("regex: bytes", regex.len(), MAX_REGEX)?;
    if regex.is_empty() {
        return Err(GrammarError::source("regex", "is empty"));
    }
    let escapes = regex.len() - regex.trim_end_matches('\\').len();
    if escapes % 2 == 1 {
        return Err(GrammarError::source("regex", "ends within an escape"));
    }
    Ok(regex)
}

/// Grammars within grammars are refused: their schemas would pass by the checks here, and where one of them and the rules
/// around it begin alike, the engine fails in the middle of an answer.
fn checked_lark(lark: &str) -> Result<&str, GrammarError> {
    bounded("grammar: bytes", lark.len(), MAX_LARK)?;
    match ["%json", "%lark"].into_iter().find(|nested| lark.contains(nested)) {
        Some(nested) => Err(GrammarError::source(
            "grammar",
            format!("{nested} is not supported; a schema is asked for on its own"),
        )),
        None => Ok(lark),
    }
}

fn bounded(what: &str, value: usize, limit: usize) -> Result<(), GrammarError> {
    if value > limit {
        return Err(GrammarError::Limit { what: what.to_owned(), value, limit });
    }
    Ok(())
}

fn parser(
    vocabulary: &Vocabulary,
    what: &'static str,
    grammar: TopLevelGrammar,
) -> Result<Parser, GrammarError> {
    let refuse = |e: &dyn std::fmt::Display| GrammarError::source(what, e);
    let limits = limits(if what == "grammar" { WAYS_OF_GRAMMAR } else { WAYS_OF_SCHEMA });
    let compiled = GrammarInit::Serialized(grammar)
        .to_cgrammar(Some(vocabulary.env.clone()), &mut Logger::new(0, 0), limits.clone(), slices())
        .map_err(|e| refuse(&format!("{e:#}")))?;
    let spec = compiled.lexer_spec();
    if spec.has_stop || spec.has_max_tokens || spec.has_temperature {
        return Err(refuse(
            &"stop=, max_tokens= and temperature= are not supported; suffix= ends a rule at a text",
        ));
    }
    Parser::new(vocabulary.env.clone(), compiled, limits, Arc::clone(&vocabulary.counters))
        .map_err(|e| refuse(&format!("{e:#}")))
}
