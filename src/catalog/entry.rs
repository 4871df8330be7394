//! The entries of a catalog.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::offering::Task;

/// A sentence about an entry, and while it is said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// The sentence.
    pub text: String,
    /// Whether it stands under the table rather than in it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub footnote: bool,
    /// The first day on which it is said; always, if none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Date>,
    /// The first day on which it is no longer said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Date>,
}

impl Note {
    /// Whether it is said on `day`.
    pub fn is_said_on(&self, day: Date) -> bool {
        self.from.is_none_or(|from| from <= day) && self.until.is_none_or(|until| day < until)
    }
}

/// A model offered by the token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct HostedModel {
    /// The canonical name.
    pub name: String,
    /// Other names.
    pub aliases: Vec<String>,
    /// What it does.
    pub task: Task,
    /// The preconfigured endpoint, if the documents name it.
    pub endpoint: Option<String>,
    /// The family, by its canonical name.
    pub family: Option<String>,
    /// What it is, for its card.
    pub description: Option<String>,
    /// The most tokens of prompt and answer together, where known.
    pub context_length: Option<u64>,
    /// For embeddings: whether vectors have unit length.
    pub normalized_embeddings: Option<bool>,
    /// The first day on which it is offered; always, if none.
    pub available_from: Option<Date>,
    /// Sentences about it.
    pub notes: Vec<Note>,
}

/// An architecture that can be deployed with reserved capacity, whoever trained the weights.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Architecture {
    /// The canonical name.
    pub name: String,
    /// Other names.
    pub aliases: Vec<String>,
    /// What its models do; at least one task.
    pub tasks: Vec<Task>,
    /// The family, by its canonical name.
    pub family: Option<String>,
    /// For embeddings: whether vectors have unit length.
    pub normalized_embeddings: Option<bool>,
    /// The first day on which it is offered; always, if none.
    pub available_from: Option<Date>,
    /// Sentences about it.
    pub notes: Vec<Note>,
}

/// How a model named as an example relates to the architecture it runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum VariantKind {
    /// The base model.
    Base,
    /// Trained further from a base model, by whatever method.
    FineTuned,
    /// Weights and a tokenizer of one's own.
    Custom,
}

/// A model named as an example of what runs with reserved capacity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Variant {
    /// The name.
    pub name: String,
    /// How it relates to an architecture.
    pub kind: VariantKind,
}

/// A model that can be trained further.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FineTuningModel {
    /// The canonical name, as on Hugging Face.
    pub name: String,
    /// Other names.
    pub aliases: Vec<String>,
    /// The family, by its canonical name.
    pub family: Option<String>,
    /// The most tokens of one training example.
    pub context_length: u64,
    /// Sentences about it.
    pub notes: Vec<Note>,
}

/// Models that are spoken of, licensed and retired together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Family {
    /// The canonical name.
    pub name: String,
    /// Other names.
    pub aliases: Vec<String>,
    /// The larger family that it belongs to, by its canonical name.
    pub parent: Option<String>,
    /// The licence, by its name; if none, that of the larger family.
    pub license: Option<String>,
}

/// A licence and what its users must be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct License {
    /// The name.
    pub name: String,
    /// Where it can be read.
    pub url: Option<String>,
    /// The copyright line.
    pub copyright: Option<String>,
    /// The acceptable-use policy that is part of it.
    pub acceptable_use_policy: Option<String>,
    /// Where that can be read.
    pub acceptable_use_url: Option<String>,
    /// What users have to see to.
    pub duty: Option<String>,
}

/// A provider of models that somebody else hosts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Provider {
    /// The name.
    pub name: String,
    /// Tasks for which a caller's own, fine-tuned model can be named.
    pub custom_models: Vec<Task>,
    /// The models that are named. Never complete: other names are accepted.
    pub models: Vec<ProviderModels>,
}

/// Models of one provider for one task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderModels {
    /// What they do.
    pub task: Task,
    /// Who made them, where the provider resells the models of others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Their names.
    pub names: Vec<String>,
}
