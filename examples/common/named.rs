//! Models under names: what `--model NAME=PATH` says.

use std::path::PathBuf;

use model_runtime::{ModelRuntime, ServeOptions};

use crate::common::serve::serve;

/// A model and the name that requests call it by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
}

/// Reads `NAME=PATH`.
///
/// # Errors
/// What is missing.
pub(crate) fn parse(text: &str) -> Result<Named, String> {
    match text.split_once('=') {
        Some((name, path)) if !name.is_empty() && !path.is_empty() => {
            Ok(Named { name: name.into(), path: path.into() })
        }
        _ => Err("a model is written NAME=PATH, such as stories=examples/models/stories260K".into()),
    }
}

/// Serves all of them.
///
/// # Errors
/// What keeps a model from being loaded.
pub(crate) fn load(models: &[Named], context: Option<usize>) -> model_runtime::Result<ModelRuntime> {
    let runtime = ModelRuntime::builder().build()?;
    for Named { name, path } in models {
        let options = ServeOptions::default();
        let options = match context {
            Some(tokens) => options.context_length(tokens),
            None => options,
        };
        serve(&runtime, name, path, options, true)?;
    }
    Ok(runtime)
}
