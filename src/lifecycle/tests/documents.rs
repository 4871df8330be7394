//! The documents of a day, generated, against the documents.

use super::{builtin, date, day};
use crate::catalog::{Offering, RetirementDay, Subject};
use crate::lifecycle::{Change, Documents, Draft, OverrideReason, Plan, Table};

fn table(now: &str, of: impl Fn(&Documents<'_>) -> Table) -> Table {
    let (catalog, timeline) = builtin();
    of(&Documents::at(&catalog, &timeline, day(now)))
}

/// The rows of a table as the documents have it, a cell between bars; both directions and the order.
#[track_caller]
fn same(table: &Table, expected: &str) {
    let lines = expected.lines().map(str::trim).filter(|line| !line.is_empty());
    let expected: Vec<Vec<String>> = lines
        .map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect())
        .collect();
    assert_eq!(table.rows, expected, "{}", table.title);
}

/// The maintenance policy, of 2025 before the retirements of April.
#[test]
fn the_retirement_tables() {
    same(
        &table("2025-02-01", |documents| documents.retirements(Offering::FineTuning)),
        "
        | DBRX                | April 30, 2025   | Llama-3.1-70B |
        | Mixtral             | April 30, 2025   | Llama-3.1-70B |
        | Mistral             | April 30, 2025   | Llama-3.1-8B |
        | Meta-Llama-3.1-405B | January 30, 2025 | Llama-3.1-70B |
        | Meta-Llama-3        | January 7, 2025  | Meta-Llama-3.1 |
        | Meta-Llama-2        | January 7, 2025  | Meta-Llama-3.1 |
        | Code Llama          | January 7, 2025  | Meta-Llama-3.1 |
        ",
    );
    same(
        &table("2025-02-01", |documents| documents.retirements(Offering::PayPerToken)),
        "
        | DBRX Instruct               | April 30, 2025    | Meta-Llama-3.3-70B-Instruct |
        | Mixtral-8x7B Instruct       | April 30, 2025    | Meta-Llama-3.3-70B-Instruct |
        | Meta-Llama-3.1-70B-Instruct | December 11, 2024 | Meta-Llama-3.3-70B-Instruct |
        | Meta-Llama-3-70B-Instruct   | July 23, 2024     | Meta-Llama-3.3-70B-Instruct |
        | Meta-Llama-2-70B-Chat       | October 30, 2024  | Meta-Llama-3.3-70B-Instruct |
        | MPT 7B Instruct             | August 30, 2024   | Meta-Llama-3.3-70B-Instruct |
        | MPT 30B Instruct            | August 30, 2024   | Meta-Llama-3.3-70B-Instruct |
        ",
    );
}

/// The supported models of the same time.
#[test]
fn the_supported_models() {
    let table = table("2025-02-01", |documents| documents.supported_models());
    same(
        &table,
        "
        | GTE Large (English)           | Embedding | databricks-gte-large-en | Does not generate normalized embeddings. |
        | Meta-Llama-3.3-70B-Instruct   | Chat | databricks-meta-llama-3-3-70b-instruct | |
        | Meta-Llama-3.1-405B-Instruct* | Chat | databricks-meta-llama-3-1-405b-instruct | |
        | DBRX Instruct                 | Chat | databricks-dbrx-instruct | This model is no longer supported after April 30, 2025. |
        | Mixtral-8x7B Instruct         | Chat | databricks-mixtral-8x7b-instruct | This model is no longer supported after April 30, 2025. |
        | BGE Large (English)           | Embedding | databricks-bge-large-en | |
        ",
    );
    assert_eq!(
        table.footnotes,
        [
            "* Reach out to your account team if you encounter endpoint failures or stabilization errors when using this model."
        ]
    );
}

/// The oldest document, of November 2024.
#[test]
fn the_oldest_document() {
    let table = table("2024-11-15", |documents| documents.supported_models());
    same(
        &table,
        "
        | GTE Large (English)           | Embedding | databricks-gte-large-en | Does not generate normalized embeddings. |
        | Meta-Llama-3.1-70B-Instruct   | Chat | databricks-meta-llama-3-1-70b-instruct | |
        | Meta-Llama-3.1-405B-Instruct* | Chat | databricks-meta-llama-3-1-405b-instruct | See Foundation Model APIs limits for region availability. |
        | DBRX Instruct                 | Chat | databricks-dbrx-instruct | See Foundation Model APIs limits for region availability. |
        | Mixtral-8x7B Instruct         | Chat | databricks-mixtral-8x7b-instruct | See Foundation Model APIs limits for region availability. |
        | BGE Large (English)           | Embedding | databricks-bge-large-en | See Foundation Model APIs limits for region availability. |
        ",
    );
    let (catalog, timeline) = builtin();
    let documents = Documents::at(&catalog, &timeline, day("2024-11-15"));
    assert_eq!(
        documents.replacement_notice().unwrap(),
        "Starting July 23, 2024, Meta-Llama-3.1-70B-Instruct replaces support for Meta-Llama-3-70B-Instruct in pay-per-token."
    );
    assert_eq!(
        documents.retired_sentence().unwrap(),
        "The following models are now retired: Meta-Llama-2-70B-Chat, MPT 7B Instruct, MPT 30B Instruct."
    );
    let architectures: Vec<_> =
        documents.architectures().rows.into_iter().map(|row| row[0].clone()).collect();
    assert_eq!(architectures.len(), 11);
    assert!(!architectures.iter().any(|name| name == "DeepSeek R1" || name == "Meta Llama 3.3"));
    assert_eq!(documents.to_markdown(), include_str!("golden/2024-11-15.md"));
}

#[test]
fn the_newest_documents() {
    let (catalog, timeline) = builtin();
    let documents = Documents::at(&catalog, &timeline, day("2025-02-01"));
    assert_eq!(
        documents.replacement_notice().unwrap(),
        "Starting December 11, 2024, Meta-Llama-3.3-70B-Instruct replaces support for Meta-Llama-3.1-70B-Instruct in pay-per-token."
    );
    assert_eq!(documents.to_markdown(), include_str!("golden/2025-02-01.md"));
    // After the retirement a model is in the table of retirements only.
    let later = Documents::at(&catalog, &timeline, day("2025-05-01"));
    assert!(later.supported_models().rows.iter().all(|row| row[0] != "DBRX Instruct"));
    assert_eq!(later.retirements(Offering::PayPerToken).rows.len(), 7);
    assert_eq!(later.fine_tuning_models().rows.len(), 8);
}

#[test]
fn what_a_host_announces_follows() {
    let (catalog, mut timeline) = builtin();
    let plan = Plan::retire(RetirementDay::from(date("2026-03-01")))
        .replaced_by(Subject::model("Meta-Llama-3.3-70B-Instruct"));
    let draft =
        Draft::new(Subject::model("Meta-Llama-3.1-405B-Instruct"), Offering::PayPerToken, Change::Plan(plan));
    timeline.record(draft.overriding(OverrideReason::Licence), day("2026-02-01")).unwrap();
    let rows = Documents::at(&catalog, &timeline, day("2026-02-02")).retirements(Offering::PayPerToken).rows;
    assert_eq!(rows.len(), 8);
    assert_eq!(rows[7][1], "March 1, 2026 (without the usual notice: licence)");
    let before = Documents::at(&catalog, &timeline, day("2026-01-31"));
    assert_eq!(before.retirements(Offering::PayPerToken).rows.len(), 7);
}

#[test]
fn no_name_breaks_out_of_its_cell() {
    let (catalog, _) = builtin();
    let text = "[[model]]\nname = \"a|b *c*\"\ntask = \"chat\"\nendpoint = \"x|y\"";
    let catalog = catalog.with_toml(text).unwrap();
    let timeline = crate::lifecycle::Timeline::from_catalog(&catalog).unwrap();
    let markdown = Documents::at(&catalog, &timeline, day("2026-01-01")).supported_models().to_markdown();
    assert!(markdown.contains(r"| a\|b \*c\* | Chat | x\|y |  |"), "{markdown}");
}
