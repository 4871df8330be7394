//! The tables of the documents, and that the catalog says the same: every row of a table is in it, and nothing else is.

use std::collections::BTreeSet;

use crate::catalog::{Catalog, Offering, SubjectKind, Task, Wording};

/// The rows of a table that is written as in the documents, a cell between bars.
fn rows(table: &str) -> Vec<Vec<String>> {
    let lines = table.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
}

/// That both have the same rows in the same order; the sets first, because they name what is missing.
#[track_caller]
fn same(documents: &str, catalog: impl IntoIterator<Item = Vec<String>>) {
    let (documents, catalog) = (rows(documents), catalog.into_iter().collect::<Vec<_>>());
    let sets = |rows: &[Vec<String>]| rows.iter().cloned().collect::<BTreeSet<_>>();
    let missing: Vec<_> = sets(&documents).difference(&sets(&catalog)).cloned().collect();
    assert!(missing.is_empty(), "in the documents but not in the catalog: {missing:?}");
    let invented: Vec<_> = sets(&catalog).difference(&sets(&documents)).cloned().collect();
    assert!(invented.is_empty(), "in the catalog but not in the documents: {invented:?}");
    assert_eq!(documents, catalog, "the order of the documents");
}

fn cells<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(str::to_owned).into()
}

fn catalog() -> Catalog {
    Catalog::builtin().unwrap()
}

/// Supported foundation models, with the row that the oldest document has in place of the 3.3 one.
const PAY_PER_TOKEN: &str = "
    | GTE Large (English)          | Embedding | databricks-gte-large-en                  |
    | Meta-Llama-3.3-70B-Instruct  | Chat      | databricks-meta-llama-3-3-70b-instruct   |
    | Meta-Llama-3.1-70B-Instruct  | Chat      | databricks-meta-llama-3-1-70b-instruct   |
    | Meta-Llama-3.1-405B-Instruct | Chat      | databricks-meta-llama-3-1-405b-instruct  |
    | DBRX Instruct                | Chat      | databricks-dbrx-instruct                 |
    | Mixtral-8x7B Instruct        | Chat      | databricks-mixtral-8x7b-instruct         |
    | BGE Large (English)          | Embedding | databricks-bge-large-en                  |
    | Meta-Llama-3-70B-Instruct    | Chat      |                                          |
    | Meta-Llama-2-70B-Chat        | Chat      |                                          |
    | MPT 7B Instruct              | Completion |                                         |
    | MPT 30B Instruct             | Completion |                                         |
";

#[test]
fn pay_per_token_models() {
    let catalog = catalog();
    let listed = catalog
        .models()
        .iter()
        .map(|model| cells([&model.name, model.task.title(), model.endpoint.as_deref().unwrap_or_default()]));
    same(PAY_PER_TOKEN, listed);
}

/// What the documents say of the models beside task and endpoint.
#[test]
fn pay_per_token_notes() {
    let catalog = catalog();
    let notes = catalog.models().iter().flat_map(|model| {
        model
            .notes
            .iter()
            .map(|note| cells([&model.name, &note.text, if note.footnote { "footnote" } else { "" }]))
    });
    same(
        "
        | GTE Large (English) | Does not generate normalized embeddings. | |
        | Meta-Llama-3.1-405B-Instruct | See Foundation Model APIs limits for region availability. | |
        | Meta-Llama-3.1-405B-Instruct | Reach out to your account team if you encounter endpoint failures or stabilization errors when using this model. | footnote |
        | DBRX Instruct | See Foundation Model APIs limits for region availability. | |
        | Mixtral-8x7B Instruct | See Foundation Model APIs limits for region availability. | |
        | BGE Large (English) | See Foundation Model APIs limits for region availability. | |
        ",
        notes,
    );
    let normalized = |name: &str| catalog.model(name).unwrap().normalized_embeddings;
    assert_eq!(normalized("GTE Large (English)"), Some(false));
    assert_eq!(normalized("BGE Large (English)"), Some(true));
    assert!(
        catalog
            .model("Meta-Llama-3.1-405B-Instruct")
            .unwrap()
            .description
            .as_ref()
            .unwrap()
            .contains("AzureML")
    );
}

#[test]
fn provisioned_architectures() {
    let catalog = catalog();
    let listed = catalog.architectures().iter().map(|architecture| {
        let tasks: Vec<_> = architecture.tasks.iter().map(|task| task.title()).collect();
        let notes: Vec<_> = architecture.notes.iter().map(|note| note.text.as_str()).collect();
        cells([&architecture.name, &tasks.join(" or "), &notes.join(" ")])
    });
    same(
        "
        | DeepSeek R1 | Chat | You can download these models, register them in Unity Catalog, and deploy them using provisioned throughput. |
        | Meta Llama 3.3    | Chat or Completion | |
        | Meta Llama 3.2 3B | Chat or Completion | |
        | Meta Llama 3.2 1B | Chat or Completion | |
        | Meta Llama 3.1    | Chat or Completion | |
        | Meta Llama 3      | Chat or Completion | |
        | Meta Llama 2      | Chat or Completion | |
        | DBRX              | Chat or Completion | See Foundation Model APIs limits for region availability. |
        | Mistral           | Chat or Completion | |
        | Mixtral           | Chat or Completion | |
        | MPT               | Chat or Completion | |
        | GTE v1.5 (English) | Embedding | Does not generate normalized embeddings. |
        | BGE v1.5 (English) | Embedding | |
        ",
        listed,
    );
    let variants =
        catalog.variants().iter().map(|variant| cells([&variant.name, &format!("{:?}", variant.kind)]));
    same("| DBRX Base | Base |\n| LlamaGuard-7B | FineTuned |\n| CodeLlama | Custom |", variants);
}

#[test]
fn fine_tuning_models() {
    let catalog = catalog();
    let listed = catalog.fine_tuning_models().iter().map(|model| {
        cells([&model.name, &model.context_length.to_string(), model.family.as_deref().unwrap_or_default()])
    });
    same(
        "
        | meta-llama/Llama-3.2-1B               | 131072 | Meta-Llama-3.2 |
        | meta-llama/Llama-3.2-1B-Instruct      | 131072 | Meta-Llama-3.2 |
        | meta-llama/Llama-3.2-3B               | 131072 | Meta-Llama-3.2 |
        | meta-llama/Llama-3.2-3B-Instruct      | 131072 | Meta-Llama-3.2 |
        | meta-llama/Meta-Llama-3.1-70B         | 131072 | Llama-3.1-70B |
        | meta-llama/Meta-Llama-3.1-70B-Instruct | 131072 | Llama-3.1-70B |
        | meta-llama/Meta-Llama-3.1-8B          | 131072 | Llama-3.1-8B |
        | meta-llama/Meta-Llama-3.1-8B-Instruct | 131072 | Llama-3.1-8B |
        | mistralai/Mistral-7B-v0.1             | 32768 | Mistral |
        | mistralai/Mistral-7B-Instruct-v0.2    | 32768 | Mistral |
        | mistralai/Mixtral-8x7B-v0.1           | 32768 | Mixtral |
        | databricks/dbrx-base                  | 32768 | DBRX |
        | databricks/dbrx-instruct              | 32768 | DBRX |
        ",
        listed,
    );
}

/// The rows without replacements: those depend on the day, and `lifecycle` compares them.
#[test]
fn retirements() {
    let catalog = catalog();
    let listed = |offering: Offering, kind: SubjectKind| {
        let rows = catalog.retirements().iter().filter(move |row| row.offering == offering);
        rows.map(move |row| {
            assert_eq!(row.subject.kind, kind);
            cells([&row.subject.name, &row.retire.day.to_string(), row.retire.wording.as_str()])
        })
        .collect::<Vec<_>>()
    };
    same(
        "
        | DBRX                | 2025-04-30 | after |
        | Mixtral             | 2025-04-30 | after |
        | Mistral             | 2025-04-30 | after |
        | Meta-Llama-3.1-405B | 2025-01-30 | after |
        | Meta-Llama-3        | 2025-01-07 | table_only |
        | Meta-Llama-2        | 2025-01-07 | table_only |
        | Code Llama          | 2025-01-07 | table_only |
        ",
        listed(Offering::FineTuning, SubjectKind::Family),
    );
    same(
        "
        | DBRX Instruct               | 2025-04-30 | after |
        | Mixtral-8x7B Instruct       | 2025-04-30 | after |
        | Meta-Llama-3.1-70B-Instruct | 2024-12-11 | from |
        | Meta-Llama-3-70B-Instruct   | 2024-07-23 | from |
        | Meta-Llama-2-70B-Chat       | 2024-10-30 | table_only |
        | MPT 7B Instruct             | 2024-08-30 | table_only |
        | MPT 30B Instruct            | 2024-08-30 | table_only |
        ",
        listed(Offering::PayPerToken, SubjectKind::Model),
    );
    assert_eq!(catalog.retirements().len(), 14);
}

#[test]
fn the_policy() {
    let catalog = catalog();
    let policy = catalog.policy();
    assert_eq!(policy, &crate::catalog::RetirementPolicy::default());
    assert_eq!(policy.notice_months, 3);
    assert_eq!(policy.table_only, Wording::After);
    for offering in Offering::ALL {
        for task in Task::ALL {
            let covered =
                matches!(offering, Offering::PayPerToken | Offering::FineTuning) && *task != Task::Embedding;
            assert_eq!(policy.covers(*offering, *task), covered, "{offering} {task}");
        }
    }
}

#[test]
fn licenses() {
    let catalog = catalog();
    let listed = catalog.licenses().iter().map(|license| {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        cells([
            &license.name,
            &text(&license.acceptable_use_policy),
            &text(&license.copyright),
            &text(&license.duty),
        ])
    });
    same(
        "
        | LLAMA 3.3 Community License | Llama 3.3 Acceptable Use Policy | Copyright (c) Meta Platforms, Inc. All Rights Reserved. | Customers are responsible for ensuring their compliance with the terms of this license and the Llama 3.3 Acceptable Use Policy. |
        | LLAMA 3.2 Community License | Llama 3.2 Acceptable Use Policy | Copyright (c) Meta Platforms, Inc. All Rights Reserved. | Customers are responsible for ensuring their compliance with the terms of this license and the Llama 3.2 Acceptable Use Policy. |
        | LLAMA 3.1 Community License | | Copyright (c) Meta Platforms, Inc. All Rights Reserved. | Customers are responsible for ensuring compliance with applicable model licenses. |
        | Databricks Open Model License | Databricks Acceptable Use policy | Copyright (c) Databricks, Inc. All rights reserved. | Customers are responsible for ensuring compliance with applicable model licenses, including the Databricks Acceptable Use policy. |
        ",
        listed,
    );
    let of = |family: &str| catalog.license_of(family).map(|license| license.name.as_str());
    assert_eq!(of("Llama-3.1-70B"), Some("LLAMA 3.1 Community License"), "by way of the larger family");
    assert_eq!(of("Meta Llama 3.2"), Some("LLAMA 3.2 Community License"));
    assert_eq!(of("DBRX"), Some("Databricks Open Model License"));
    assert_eq!(of("MPT"), None);
    let with_policy = catalog.licenses().iter().filter(|license| license.acceptable_use_policy.is_some());
    assert!(with_policy.into_iter().all(|license| license.acceptable_use_url.is_some()));
}

#[test]
fn external_providers() {
    let catalog = catalog();
    let listed = catalog.providers().iter().flat_map(|provider| {
        provider.models.iter().map(|models| {
            let who = models
                .from
                .as_ref()
                .map_or(provider.name.clone(), |from| format!("{}: {from}", provider.name));
            cells([&who, models.task.as_str(), &models.names.join(", ")])
        })
    });
    same(
        "
        | OpenAI | completion | gpt-3.5-turbo-instruct, babbage-002, davinci-002 |
        | OpenAI | chat | o1, o1-mini, o1-mini-2024-09-12, gpt-3.5-turbo, gpt-4, gpt-4-turbo, gpt-4-turbo-2024-04, gpt-4o, gpt-4o-2024-05-13, gpt-4o-mini |
        | OpenAI | embedding | text-embedding-ada-002, text-embedding-3-large, text-embedding-3-small |
        | Azure OpenAI | completion | text-davinci-003, gpt-35-turbo-instruct |
        | Azure OpenAI | chat | o1, o1-mini, gpt-35-turbo, gpt-35-turbo-16k, gpt-4, gpt-4-turbo, gpt-4-32k, gpt-4o, gpt-4o-mini |
        | Azure OpenAI | embedding | text-embedding-ada-002, text-embedding-3-large, text-embedding-3-small |
        | Anthropic | completion | claude-1, claude-1.3-100k, claude-2, claude-2.1, claude-2.0, claude-instant-1.2 |
        | Anthropic | chat | claude-3-5-sonnet-latest, claude-3-5-haiku-latest, claude-3-5-opus-latest, claude-3-5-sonnet-20241022, claude-3-5-haiku-20241022, claude-3-5-sonnet-20240620, claude-3-haiku-20240307, claude-3-opus-20240229, claude-3-sonnet-20240229 |
        | Cohere | completion | command, command-light |
        | Cohere | chat | command-r7b-12-2024, command-r-plus-08-2024, command-r-08-2024, command-r-plus, command-r, command, command-light-nightly, command-light, command-nightly |
        | Cohere | embedding | embed-english-v2.0, embed-multilingual-v2.0, embed-english-light-v2.0, embed-english-v3.0, embed-english-light-v3.0, embed-multilingual-v3.0, embed-multilingual-light-v3.0 |
        | Mosaic AI Model Serving | completion | Databricks serving endpoint |
        | Mosaic AI Model Serving | chat | Databricks serving endpoint |
        | Mosaic AI Model Serving | embedding | Databricks serving endpoint |
        | Amazon Bedrock: Anthropic | completion | claude-instant-v1, claude-v2 |
        | Amazon Bedrock: Cohere | completion | command-text-v14, command-light-text-v14 |
        | Amazon Bedrock: AI21 Labs | completion | j2-grande-instruct, j2-jumbo-instruct, j2-mid, j2-mid-v1, j2-ultra, j2-ultra-v1 |
        | Amazon Bedrock: Anthropic | chat | claude-3-5-sonnet-20241022-v2:0, claude-3-5-haiku-20241022-v1:0, claude-3-opus-20240229-v1:0, claude-3-sonnet-20240229-v1:0, claude-3-5-sonnet-20240620-v1:0 |
        | Amazon Bedrock: Cohere | chat | command-r-plus-v1:0, command-r-v1:0 |
        | Amazon Bedrock: Amazon | embedding | titan-embed-text-v1, titan-embed-g1-text-02 |
        | Amazon Bedrock: Cohere | embedding | embed-english-v3, embed-multilingual-v3 |
        | AI21 Labs | completion | j2-mid, j2-light, j2-ultra |
        | Google Cloud Vertex AI | completion | text-bison |
        | Google Cloud Vertex AI | chat | chat-bison, gemini-pro, gemini-1.0-pro, gemini-1.5-pro, gemini-1.5-flash, gemini-2.0-flash |
        | Google Cloud Vertex AI | embedding | text-embedding-004, text-embedding-005, textembedding-gecko |
        ",
        listed,
    );
    let custom =
        catalog.providers().iter().filter(|provider| !provider.custom_models.is_empty()).map(|provider| {
            let tasks: Vec<_> = provider.custom_models.iter().map(|task| task.as_str()).collect();
            cells([&provider.name, &tasks.join(" and ")])
        });
    same(
        "
        | OpenAI | completion and chat |
        | Azure OpenAI | completion and chat |
        | Cohere | completion and chat |
        | AI21 Labs | completion |
        ",
        custom,
    );
}

/// The documents write one thing in several ways.
#[test]
fn every_name_of_the_documents_is_found() {
    let catalog = catalog();
    let subject = |offering, name| catalog.subject(offering, name).unwrap_or_else(|| panic!("{name}")).name;
    for name in ["Llama 2 70B Chat", "Meta-Llama-2-70B-Chat", "meta llama 2 70b chat"] {
        assert_eq!(subject(Offering::PayPerToken, name), "Meta-Llama-2-70B-Chat");
    }
    for name in ["Mixtral-8x7B Instruct", "mixtral-8x7b-instruct", "databricks-mixtral-8x7b-instruct"] {
        assert_eq!(subject(Offering::PayPerToken, name), "Mixtral-8x7B Instruct");
    }
    for name in ["Llama-3.1-70B", "Meta-Llama-3.1-70B", "meta llama 3.1 70b"] {
        assert_eq!(subject(Offering::FineTuning, name), "Llama-3.1-70B");
    }
    for name in ["Code Llama", "CodeLlama", "code-llama"] {
        assert_eq!(subject(Offering::FineTuning, name), "Code Llama");
    }
    for row in rows(PAY_PER_TOKEN).iter().filter(|row| !row[2].is_empty()) {
        assert_eq!(catalog.endpoint(&row[2]).unwrap().name, row[0]);
    }
    assert_eq!(catalog.subject(Offering::PayPerToken, "no such model"), None);
    assert_eq!(catalog.endpoint("Databricks-DBRX-Instruct"), None, "endpoints are compared exactly");
}
