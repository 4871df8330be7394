//! Catalogs of hosts: what is taken in, what is refused and how.

use proptest::prelude::*;

use crate::catalog::{Catalog, CatalogError, Offering, Subject, Wording};

fn builtin() -> Catalog {
    Catalog::builtin().unwrap()
}

#[test]
fn entries_are_added_at_the_end_and_replaced_in_place() {
    let catalog = builtin()
        .with_toml(
            r#"
            [[model]]
            name = "dbrx_instruct"
            task = "chat"
            endpoint = "our-dbrx"
            context_length = 32768

            [[family]]
            name = "House"
            aliases = ["In-house models"]

            [[model]]
            name = "House-7B"
            task = "chat"
            family = "in-house models"
            "#,
        )
        .unwrap();
    let names: Vec<_> = catalog.models().iter().map(|model| model.name.as_str()).collect();
    assert_eq!(names[4], "dbrx_instruct");
    assert_eq!(names.last(), Some(&"House-7B"));
    assert_eq!(names.len(), builtin().models().len() + 1);
    let replaced = catalog.model("DBRX Instruct").unwrap();
    assert_eq!(replaced.endpoint.as_deref(), Some("our-dbrx"));
    assert_eq!(replaced.family, None, "a key that is not given is unset, not inherited");
    assert_eq!(catalog.endpoint("databricks-dbrx-instruct"), None);
    assert_eq!(catalog.model("House-7B").unwrap().family.as_deref(), Some("House"));
    let row = catalog.retirements().iter().find(|row| row.subject.name == "dbrx_instruct").unwrap();
    assert_eq!(row.offering, Offering::PayPerToken, "what refers to the old entry refers to the new one");
}

#[test]
fn a_policy_changes_only_what_it_names() {
    let catalog =
        builtin().with_toml("[policy]\nzone = \"America/New_York\"\ntable_only = \"from\"").unwrap();
    assert_eq!(catalog.policy().zone.name(), "America/New_York");
    assert_eq!(catalog.policy().table_only, Wording::From);
    assert_eq!(catalog.policy().notice_months, 3);
    let none = builtin().with_toml("[policy]\nofferings = []").unwrap();
    assert!(none.policy().offerings.is_empty());
}

#[test]
fn retirements_name_models_of_their_offering() {
    let toml = |offering: &str, subject: &str| {
        format!(
            "[[retirement]]\noffering = \"{offering}\"\n{subject}\nday = 2027-01-01\nreplacement = \"House\""
        )
    };
    let catalog = builtin().with_toml("[[family]]\nname = \"House\"").unwrap();
    let retired = catalog.with_toml(&toml("fine_tuning", "family = \"meta llama 3.2\"")).unwrap();
    let row = retired.retirements().last().unwrap();
    assert_eq!(row.subject, Subject::family("Meta-Llama-3.2"));
    assert_eq!(row.replacement, Some(Subject::family("House")));
    assert_eq!(row.retire.wording, Wording::TableOnly);
    let error = catalog.with_toml(&toml("pay_per_token", "model = \"databricks/dbrx-base\"")).unwrap_err();
    assert_eq!(
        error.to_string(),
        r#"catalog entry retirement "databricks/dbrx-base": model is "databricks/dbrx-base"; accepted is the name of a model"#
    );
}

/// An alias in a retirement means the model's row, not another one.
#[test]
fn a_retirement_is_replaced_by_any_name_of_its_subject() {
    let text = "[[retirement]]\noffering = \"pay_per_token\"\nmodel = \"llama 2 70b chat\"\nday = 2027-01-01";
    let once = builtin().with_toml(text).unwrap();
    assert_eq!(once.retirements().len(), builtin().retirements().len());
    assert_eq!(once.with_toml(text).unwrap(), once);
    let twice = format!("{text}\n{}", text.replace("llama 2 70b chat", "Meta-Llama-2-70B-Chat"));
    assert!(
        builtin().with_toml(&twice).unwrap_err().to_string().contains("one entry of a name in each text")
    );
}

/// Each text and the one line that it is answered with.
#[test]
fn errors_name_entry_key_value_and_what_is_accepted() {
    let cases = [
        ("[[model]\nname = 1", "the catalog is not TOML: line 1: "),
        ("models = 1", "catalog entry (top level): unknown key \"models\"; accepted are policy, family, "),
        ("model = 1", "catalog entry (top level): model is \"1\"; accepted is an array of tables"),
        ("[[model]]\ntask = \"chat\"", "catalog entry model[0]: key \"name\" is missing; it takes a text"),
        (
            "[[model]]\nname = \"A\"",
            "catalog entry model[0] \"A\": key \"task\" is missing; it takes chat, completion or embedding",
        ),
        (
            "[[model]]\nname = \"A\"\ntask = \"chatting\"",
            "catalog entry model[0] \"A\": task is \"chatting\"; accepted is chat, completion, embedding",
        ),
        (
            "[[model]]\nname = \"A\"\ntask = \"chat\"\ncolour = 3",
            "catalog entry model[0] \"A\": unknown key \"colour\"; accepted are name, aliases, task, ",
        ),
        (
            "[[model]]\nname = \"A\\nB\"\ntask = \"chat\"",
            "catalog entry model[0] \"A\\nB\": name is \"A\\nB\"; accepted is a text of one line",
        ),
        (
            "[[model]]\nname = \"A\"\ntask = \"chat\"\navailable_from = \"2025-01-01\"",
            "catalog entry model[0] \"A\": available_from is \"2025-01-01\"; accepted is a day, such as 2025-04-30 without",
        ),
        (
            "[[model]]\nname = \"A\"\ntask = \"chat\"\nnotes = [{ text = \"x\", until = 3 }]",
            "catalog entry model[0] \"A\", notes[0]: until is \"3\"; accepted is a day",
        ),
        (
            "[[model]]\nname = \"A\"\ntask = \"chat\"\nfamily = \"Gone\"",
            "catalog entry model \"A\": family is \"Gone\"; accepted is the name of a family",
        ),
        (
            "[[model]]\nname = \"A\"\ntask = \"chat\"\nendpoint = \"databricks-dbrx-instruct\"",
            "catalog entry model \"A\": endpoint is \"databricks-dbrx-instruct\"; accepted is a name of its own: \"DBRX Instruct\"",
        ),
        (
            "[[model]]\nname = \"A\"\naliases = [\"dbrx-instruct\"]\ntask = \"chat\"",
            "catalog entry model \"A\": aliases is \"dbrx-instruct\"; accepted is a name of its own: \"DBRX Instruct\"",
        ),
        (
            "[[model]]\nname = \"--\"\ntask = \"chat\"",
            "catalog entry model \"--\": name is \"--\"; accepted is a name with letters",
        ),
        (
            "[[variant]]\nname = \"A\"\nkind = \"base\"\n[[variant]]\nname = \"a\"\nkind = \"base\"",
            "catalog entry variant \"a\": its name is \"a\"; accepted is one entry of a name in each text",
        ),
        (
            "[[fine_tuning_model]]\nname = \"A\"\ncontext_length = 0",
            "catalog entry fine_tuning_model[0] \"A\": context_length is \"0\"; accepted is a number from 1 to 4294967295",
        ),
        (
            "[[architecture]]\nname = \"A\"\ntasks = [\"chat\", \"chat\"]",
            "catalog entry architecture[0] \"A\": tasks[1] is \"chat\"; accepted is each only once",
        ),
        (
            "[[family]]\nname = \"A\"\nparent = \"B\"\n[[family]]\nname = \"B\"\nparent = \"A\"",
            "catalog entry family \"A\": parent is \"B\"; accepted is a family that does not belong to this one",
        ),
        (
            "[[retirement]]\noffering = \"pay_per_token\"\nday = 2025-01-01",
            "catalog entry retirement[0]: key \"model\" is missing; it takes the name of a model, or `family`",
        ),
        (
            "[[retirement]]\noffering = \"free\"\nmodel = \"DBRX Instruct\"\nday = 2025-01-01",
            "catalog entry retirement[0] \"DBRX Instruct\": offering is \"free\"; accepted is pay_per_token, ",
        ),
        (
            "[policy]\nzone = \"Mars\"",
            "catalog entry policy: zone is \"Mars\"; accepted is names of the IANA database",
        ),
        (
            "[policy]\nnotice_months = -1",
            "catalog entry policy: notice_months is \"-1\"; accepted is a number from 0 to 1200",
        ),
        (
            "[policy]\ntable_only = \"table_only\"",
            "catalog entry policy: table_only is \"table_only\"; accepted is after or from",
        ),
    ];
    for (text, expected) in cases {
        let error = builtin().with_toml(text).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{text:?}\n  gave     {error}\n  expected {expected}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}

#[test]
fn the_line_of_a_syntax_error_is_named() {
    let error = builtin().with_toml("[[model]]\nname = \"A\"\n\ntask = chat\n").unwrap_err();
    assert!(matches!(error, CatalogError::Syntax { line: 4, .. }), "{error}");
}

#[test]
fn serializes_as_one_object() {
    let json = serde_json::to_value(builtin()).unwrap();
    assert_eq!(json["models"][0]["endpoint"], "databricks-gte-large-en");
    assert_eq!(json["retirements"][0]["retire"]["day"], "2025-04-30");
    assert_eq!(json["policy"]["zone"], "UTC");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Laying the same text over a catalog a second time changes nothing.
    #[test]
    fn merging_is_idempotent(names in prop::collection::vec("[A-Z][a-z]{1,3}", 0..6), replaced in 0..11_usize) {
        let builtin = builtin();
        let names = names.into_iter().collect::<std::collections::BTreeSet<_>>();
        let own = builtin.models()[replaced].name.clone();
        let mut text: String = names.iter().map(|name| format!("[[model]]\nname = {name:?}\ntask = \"chat\"\n")).collect();
        text += &format!("[[model]]\nname = {own:?}\ntask = \"completion\"\n");
        if let Ok(once) = builtin.with_toml(&text) {
            prop_assert_eq!(&once.with_toml(&text).unwrap(), &once);
            prop_assert_eq!(once.models()[replaced].name.as_str(), own);
            prop_assert!(once.models().len() >= builtin.models().len() + names.len() - 1);
        } else {
            // Only a name that an alias has already.
            prop_assert!(names.iter().any(|name| builtin.model(name).is_some()));
        }
    }

    /// No text panics, and every error is one line.
    #[test]
    fn any_text_is_a_catalog_or_one_line(text in "(\\[\\[(model|family|retirement)\\]\\]\n|(name|task|day|family|model|offering) = (\"[a-z\\\\]{0,4}\"|2025-13-01|9999-12-31|[0-9]{1,20}|\\[\\])\n|\\PC{0,3}){0,12}") {
        if let Err(error) = builtin().with_toml(&text) {
            prop_assert_eq!(error.to_string().lines().count(), 1);
        }
    }
}
