//! From TOML entries to the catalog's.

use super::Entries;
use super::entry::{
    Architecture, Family, FineTuningModel, HostedModel, License, Note, Provider, ProviderModels, Variant,
    VariantKind,
};
use super::error::CatalogError;
use super::offering::{Offering, Task};
use super::reader::{self, Entry};
use super::retirement::{RetirementDay, RetirementPolicy, RetirementRow, Wording};
use super::subject::Subject;
use super::zone::Zone;

type Result<T> = std::result::Result<T, CatalogError>;

const KINDS: &[&str] = &[
    "policy",
    "family",
    "license",
    "model",
    "architecture",
    "variant",
    "fine_tuning_model",
    "retirement",
    "provider",
];
const OFFERINGS: &str = "pay_per_token, provisioned_throughput, fine_tuning or external_models";
const TASKS: &str = "chat, completion or embedding";

impl std::str::FromStr for Wording {
    type Err = CatalogError;

    fn from_str(text: &str) -> Result<Self> {
        let all = [Self::After, Self::From, Self::TableOnly];
        let found = all.into_iter().find(|wording| wording.as_str() == text);
        found.ok_or_else(|| CatalogError::name("wording", text, "after, from, table_only"))
    }
}

impl std::str::FromStr for VariantKind {
    type Err = CatalogError;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "base" => Ok(Self::Base),
            "fine_tuned" => Ok(Self::FineTuned),
            "custom" => Ok(Self::Custom),
            _ => Err(CatalogError::name("kind", text, "base, fine_tuned, custom")),
        }
    }
}

impl std::str::FromStr for Zone {
    type Err = CatalogError;

    fn from_str(text: &str) -> Result<Self> {
        Self::new(text)
    }
}

/// What `text` says, on its own; `policy` gives what a `[policy]` table does not mention.
pub(super) fn entries(text: &str, policy: &RetirementPolicy) -> Result<Entries> {
    let table = reader::parse(text)?;
    let root = Entry::new(reader::ROOT.into(), &table, KINDS)?;
    Ok(Entries {
        policy: read_policy(&root, policy)?,
        families: each(&root, "family", &["name", "aliases", "parent", "license"], family)?,
        licenses: each(
            &root,
            "license",
            &["name", "url", "copyright", "acceptable_use_policy", "acceptable_use_url", "duty"],
            license,
        )?,
        models: each(
            &root,
            "model",
            &[
                "name",
                "aliases",
                "task",
                "endpoint",
                "family",
                "description",
                "context_length",
                "normalized_embeddings",
                "available_from",
                "notes",
            ],
            model,
        )?,
        architectures: each(
            &root,
            "architecture",
            &["name", "aliases", "tasks", "family", "normalized_embeddings", "available_from", "notes"],
            architecture,
        )?,
        variants: each(&root, "variant", &["name", "kind"], variant)?,
        fine_tuning_models: each(
            &root,
            "fine_tuning_model",
            &["name", "aliases", "family", "context_length", "notes"],
            fine_tuning_model,
        )?,
        retirements: each(
            &root,
            "retirement",
            &["offering", "family", "model", "day", "wording", "zone", "replacement", "known_from"],
            retirement,
        )?,
        providers: each(&root, "provider", &["name", "custom_models", "models"], provider)?,
    })
}

fn each<T>(
    root: &Entry<'_>,
    kind: &'static str,
    keys: &[&str],
    read: impl Fn(&Entry<'_>) -> Result<T>,
) -> Result<Vec<T>> {
    root.entries(kind, keys)?.iter().map(read).collect()
}

fn family(entry: &Entry<'_>) -> Result<Family> {
    Ok(Family {
        name: entry.text("name")?,
        aliases: entry.texts("aliases")?,
        parent: entry.opt_text("parent")?,
        license: entry.opt_text("license")?,
    })
}

fn license(entry: &Entry<'_>) -> Result<License> {
    Ok(License {
        name: entry.text("name")?,
        url: entry.opt_text("url")?,
        copyright: entry.opt_text("copyright")?,
        acceptable_use_policy: entry.opt_text("acceptable_use_policy")?,
        acceptable_use_url: entry.opt_text("acceptable_use_url")?,
        duty: entry.opt_text("duty")?,
    })
}

fn notes(entry: &Entry<'_>) -> Result<Vec<Note>> {
    let read = |note: &Entry<'_>| {
        Ok(Note {
            text: note.text("text")?,
            footnote: note.opt_flag("footnote")?.unwrap_or(false),
            from: note.opt_day("from")?,
            until: note.opt_day("until")?,
        })
    };
    each(entry, "notes", &["text", "footnote", "from", "until"], read)
}

fn model(entry: &Entry<'_>) -> Result<HostedModel> {
    Ok(HostedModel {
        name: entry.text("name")?,
        aliases: entry.texts("aliases")?,
        task: entry.one("task", TASKS)?,
        endpoint: entry.opt_text("endpoint")?,
        family: entry.opt_text("family")?,
        description: entry.opt_text("description")?,
        context_length: entry.opt_number("context_length", 1..=u64::from(u32::MAX))?,
        normalized_embeddings: entry.opt_flag("normalized_embeddings")?,
        available_from: entry.opt_day("available_from")?,
        notes: notes(entry)?,
    })
}

fn architecture(entry: &Entry<'_>) -> Result<Architecture> {
    let tasks: Vec<Task> = entry.many("tasks")?;
    if tasks.is_empty() {
        return Err(entry.missing("tasks", format!("an array of {TASKS}")));
    }
    Ok(Architecture {
        name: entry.text("name")?,
        aliases: entry.texts("aliases")?,
        tasks,
        family: entry.opt_text("family")?,
        normalized_embeddings: entry.opt_flag("normalized_embeddings")?,
        available_from: entry.opt_day("available_from")?,
        notes: notes(entry)?,
    })
}

fn variant(entry: &Entry<'_>) -> Result<Variant> {
    Ok(Variant { name: entry.text("name")?, kind: entry.one("kind", "base, fine_tuned or custom")? })
}

fn fine_tuning_model(entry: &Entry<'_>) -> Result<FineTuningModel> {
    let length = entry.opt_number("context_length", 1..=u64::from(u32::MAX))?;
    Ok(FineTuningModel {
        name: entry.text("name")?,
        aliases: entry.texts("aliases")?,
        family: entry.opt_text("family")?,
        context_length: length.ok_or_else(|| entry.missing("context_length", "a number of tokens"))?,
        notes: notes(entry)?,
    })
}

fn retirement(entry: &Entry<'_>) -> Result<RetirementRow> {
    let subject: fn(String) -> Subject = match (entry.has("family"), entry.has("model")) {
        (true, false) => Subject::family,
        (false, true) => Subject::model,
        (false, false) => {
            return Err(entry.missing("model", "the name of a model, or `family` that of a family"));
        }
        (true, true) => {
            return Err(entry.bad_text(
                "family",
                entry.text("family")?,
                "one of `family` and `model`, not both",
            ));
        }
    };
    let name = if entry.has("family") { entry.text("family")? } else { entry.text("model")? };
    Ok(RetirementRow {
        offering: entry.one::<Offering>("offering", OFFERINGS)?,
        subject: subject(name),
        retire: RetirementDay {
            day: entry.day("day")?,
            wording: entry.opt_one("wording")?.unwrap_or(Wording::TableOnly),
            zone: entry.opt_one("zone")?,
        },
        replacement: entry.opt_text("replacement")?.map(subject),
        known_from: entry.opt_day("known_from")?,
    })
}

fn provider(entry: &Entry<'_>) -> Result<Provider> {
    let models = |models: &Entry<'_>| {
        Ok(ProviderModels {
            task: models.one("task", TASKS)?,
            from: models.opt_text("from")?,
            names: models.texts("names")?,
        })
    };
    Ok(Provider {
        name: entry.text("name")?,
        custom_models: entry.many("custom_models")?,
        models: each(entry, "models", &["task", "from", "names"], models)?,
    })
}

fn read_policy(root: &Entry<'_>, policy: &RetirementPolicy) -> Result<RetirementPolicy> {
    let keys = [
        "offerings",
        "tasks",
        "notice_months",
        "table_only",
        "zone",
        "recent_use_days",
        "legacy_admits_new",
        "announced_admits_new",
        "long_term_offering",
    ];
    let mut policy = policy.clone();
    let Some(entry) = root.table("policy", &keys)? else { return Ok(policy) };
    if entry.has("offerings") {
        policy.offerings = entry.many("offerings")?;
    }
    if entry.has("tasks") {
        policy.tasks = entry.many("tasks")?;
    }
    if let Some(wording) = entry.opt_one("table_only")? {
        if wording == Wording::TableOnly {
            return Err(entry.bad_text("table_only", "table_only", "after or from"));
        }
        policy.table_only = wording;
    }
    let days = |key, most| {
        entry.opt_number(key, 0..=most).map(|days| days.and_then(|days| u32::try_from(days).ok()))
    };
    policy.notice_months = days("notice_months", 1200)?.unwrap_or(policy.notice_months);
    policy.recent_use_days = days("recent_use_days", 36_500)?.unwrap_or(policy.recent_use_days);
    policy.zone = entry.opt_one("zone")?.unwrap_or(policy.zone);
    policy.legacy_admits_new = entry.opt_flag("legacy_admits_new")?.unwrap_or(policy.legacy_admits_new);
    policy.announced_admits_new =
        entry.opt_flag("announced_admits_new")?.unwrap_or(policy.announced_admits_new);
    policy.long_term_offering = entry.opt_one("long_term_offering")?.or(policy.long_term_offering);
    Ok(policy)
}
