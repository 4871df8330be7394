//! Loading a model with a progress bar.

use std::time::{Duration, Instant};

use model_runtime::{ModelRuntime, ServeOptions};

use super::arguments::Arguments;
use super::common::serve::serve;

/// The name under which the model is served.
pub(crate) const ENDPOINT: &str = "chat";

/// A model that answers.
pub(crate) struct Model {
    pub(crate) runtime: ModelRuntime,
    pub(crate) has_template: bool,
    pub(crate) load_time: Duration,
}

pub(crate) fn load(arguments: &Arguments) -> model_runtime::Result<Model> {
    let started = Instant::now();
    let runtime = ModelRuntime::builder().build()?;
    let options = ServeOptions::default().max_queue(arguments.parallel as usize);
    let options = match arguments.context {
        Some(tokens) => options.context_length(tokens),
        None => options,
    };
    let served = serve(&runtime, ENDPOINT, &arguments.model, options, !arguments.json);
    let has_template = served?.chat;
    Ok(Model { runtime, has_template, load_time: started.elapsed() })
}
