//! Going back, copies, and what ends an answer.

use serde_json::json;

use super::walk::Random;
use super::{SMALL, tokens};
use crate::grammar::{Grammar, GrammarError, GrammarSource, Matcher, Vocabulary};

fn grammar() -> Grammar {
    SMALL
        .schema(json!({
            "type": "object",
            "properties": {
                "a": {"type": "string"},
                "b": {"type": "array", "items": {"type": "integer"}},
                "c": {"type": "object", "properties": {"d": {"type": "string"}, "e": {"type": "string"}}},
            },
        }))
        .unwrap()
}

/// Takes up to `steps` random tokens, and gives them.
fn advance(matcher: &mut Matcher, steps: usize, random: &mut Random) -> Vec<u32> {
    let mut taken = Vec::new();
    while taken.len() < steps && !matcher.is_complete() {
        let allowed = tokens(matcher.allowed().unwrap());
        let token = allowed[random.below(allowed.len())];
        matcher.accept(token).unwrap();
        taken.push(token);
    }
    taken
}

fn same(one: &mut Matcher, other: &mut Matcher) {
    assert_eq!(one.is_complete(), other.is_complete());
    assert_eq!(one.may_end(), other.may_end());
    assert_eq!(one.allowed().unwrap(), other.allowed().unwrap());
}

#[test]
fn taking_back_is_never_having_accepted() {
    let grammar = grammar();
    for seed in 0..60 {
        let mut random = Random(seed);
        let mut matcher = grammar.matcher().unwrap();
        let before = random.below(12);
        let kept = advance(&mut matcher, before, &mut random);
        if seed % 2 == 0 {
            matcher.allowed().unwrap();
        }
        let further = random.below(12);
        let taken = advance(&mut matcher, further, &mut random);
        matcher.rollback(taken.len()).unwrap();
        let mut fresh = grammar.matcher().unwrap();
        for token in &kept {
            fresh.accept(*token).unwrap();
        }
        same(&mut matcher, &mut fresh);
        // Also on a way that differs from the one taken back, step by step.
        for _ in 0..12 {
            if fresh.is_complete() {
                break;
            }
            let [token] = advance(&mut fresh, 1, &mut random)[..] else { break };
            matcher.accept(token).unwrap();
            same(&mut matcher, &mut fresh);
        }
    }
}

#[test]
fn a_stop_token_can_be_taken_back() {
    let grammar = SMALL.compile(&GrammarSource::Regex("x*".into())).unwrap();
    let mut matcher = grammar.matcher().unwrap();
    let stop = SMALL.vocabulary.stop_tokens()[0];
    assert!(matcher.may_end() && !matcher.is_complete());
    matcher.accept(stop).unwrap();
    assert!(matcher.is_complete());
    assert_eq!(tokens(matcher.allowed().unwrap()), SMALL.vocabulary.stop_tokens());
    assert!(matches!(matcher.accept(stop), Err(GrammarError::NotAllowed { position: 1, .. })));
    matcher.rollback(1).unwrap();
    same(&mut matcher, &mut grammar.matcher().unwrap());
    assert_eq!(matcher.rollback(1), Err(GrammarError::Rollback { tokens: 1, position: 0 }));
    same(&mut matcher, &mut grammar.matcher().unwrap());
}

#[test]
fn a_copy_goes_its_own_way() {
    let grammar = grammar();
    let mut random = Random(11);
    let mut one = grammar.matcher().unwrap();
    advance(&mut one, 4, &mut random);
    let mut other = one.clone();
    let mut untouched = one.clone();
    advance(&mut one, 20, &mut random);
    same(&mut other, &mut untouched);
    let path = advance(&mut other, 6, &mut random);
    for token in path {
        untouched.accept(token).unwrap();
    }
    same(&mut other, &mut untouched);
}

#[test]
fn a_token_that_is_not_allowed_changes_nothing() {
    let grammar = grammar();
    let mut matcher = grammar.matcher().unwrap();
    let rows = SMALL.vocabulary.rows() as u32;
    for token in 0..rows + 70 {
        let mut copy = matcher.clone();
        let allowed = token < rows && tokens(matcher.allowed().unwrap()).contains(&token);
        // With the set at hand and without it.
        assert_eq!(copy.accept(token).is_ok(), allowed, "{token}");
        if !allowed {
            assert_eq!(matcher.accept(token), Err(GrammarError::NotAllowed { token, position: 0 }));
            same(&mut copy, &mut grammar.matcher().unwrap());
        }
    }
    same(&mut matcher, &mut grammar.matcher().unwrap());
}

/// Which tokens are allowed never depends on what was looked at before.
#[test]
fn a_set_does_not_depend_on_the_way_it_was_asked_for() {
    let grammar = grammar();
    for seed in 0..20 {
        let mut random = Random(seed);
        let mut eager = grammar.matcher().unwrap();
        let path = advance(&mut eager, 30, &mut random);
        let mut lazy = grammar.matcher().unwrap();
        for token in path {
            lazy.accept(token).unwrap();
        }
        same(&mut eager, &mut lazy);
    }
}

/// No row of the vocabulary has the digit, and the answer may not end.
#[test]
fn a_dead_end_is_an_error_and_stays_one() {
    let grammar = SMALL.compile(&GrammarSource::Lark("start: \"x\" A\nA: /y/ & /z/".into()));
    let mut matcher = match grammar {
        // The engine may see it when it compiles.
        Err(error) => {
            assert!(error.to_string().starts_with("grammar: "), "{error}");
            return;
        }
        Ok(grammar) => grammar.matcher_within().unwrap(),
    };
    let first = tokens(matcher.allowed().unwrap())[0];
    matcher.accept(first).unwrap();
    assert_eq!(matcher.allowed(), Err(GrammarError::DeadEnd { position: 1 }));
    assert_eq!(matcher.allowed(), Err(GrammarError::DeadEnd { position: 1 }));
    assert_eq!(matcher.accept(first), Err(GrammarError::DeadEnd { position: 1 }));
    assert_eq!(matcher.rollback(1), Err(GrammarError::DeadEnd { position: 1 }));
}

/// What goes wrong in the engine is an error of that answer alone.
#[test]
fn a_panic_of_the_engine_reaches_no_other_answer() {
    let grammar = grammar();
    let mut random = Random(3);
    let mut lost = grammar.matcher().unwrap();
    advance(&mut lost, 3, &mut random);
    let mut copy = lost.clone();
    let mut expected = lost.clone();
    let error = GrammarError::Engine { reason: "synthetic error".into() };
    assert_eq!(lost.panic(), Err(error.clone()));
    assert_eq!(lost.allowed().err(), Some(error.clone()));
    assert_eq!(lost.rollback(1), Err(error.clone()));
    assert_eq!(lost.clone().allowed().err(), Some(error));
    same(&mut copy, &mut expected);
    advance(&mut copy, 10, &mut random);
    advance(&mut grammar.matcher().unwrap(), 10, &mut random);
}

/// A grammar that is ambiguous without bound reaches a limit, with a typed error.
#[test]
fn limits_end_an_answer() {
    let grammar =
        SMALL.compile(&GrammarSource::Lark("start: e\ne: e e | e e e | \"a\" | \"aa\"".into())).unwrap();
    let mut matcher = grammar.matcher_within().unwrap();
    let letter = SMALL.tokenizer.token_to_id("a").unwrap();
    let mut outcome = Ok(());
    for _ in 0..5_000 {
        outcome = matcher.allowed().map(|_| ()).and_then(|()| matcher.accept(letter));
        if outcome.is_err() {
            break;
        }
    }
    assert!(matches!(outcome, Err(GrammarError::TooComplex { .. })), "{outcome:?}");
    assert_eq!(matcher.allowed().map(|_| ()), outcome);
}

#[test]
fn vocabularies_that_cannot_be_generated_with() {
    let new = |rows, stop: &[u32]| {
        Vocabulary::new(&SMALL.tokenizer, rows, stop).map(|_| ()).unwrap_err().to_string()
    };
    assert_eq!(new(512, &[]), "vocabulary: the model names no token that ends an answer");
    assert_eq!(new(512, &[2, 512]), "vocabulary: stop token 512 is not one of 512 rows");
    assert!(new(0, &[2]).starts_with("vocabulary: 0 rows"));
    assert!(new(1 << 24, &[2]).starts_with("vocabulary: 16777216 rows"));
}
