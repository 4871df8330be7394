//! Random schemas, judged by an independent validator.

use super::SMALL;
use super::walk::{Random, judged};

#[path = "../../../tests/common/schemas.rs"]
mod schemas;

#[test]
fn every_answer_to_200_random_schemas_is_valid() {
    let mut random = Random(0);
    let mut longest = 0;
    for seed in 0..200 {
        let schema = schemas::schema(seed);
        let grammar = SMALL.schema(schema.clone()).unwrap_or_else(|e| panic!("{seed}: {e}: {schema}"));
        for _ in 0..3 {
            longest = longest.max(judged(&SMALL, &schema, &grammar, &mut random).len());
        }
    }
    assert!(longest > 300, "the schemas ask for more than trifles: {longest}");
}

#[test]
fn a_schema_is_the_same_for_the_same_seed() {
    assert_eq!(schemas::schema(7), schemas::schema(7));
    assert_ne!(schemas::schema(7), schemas::schema(8));
}
