//! Loading a model with a progress bar.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use model_runtime::weights::{LoadPhase, LoadProgress};
use model_runtime::{ModelRuntime, ServeOptions};

use super::arguments::Arguments;

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
    let bar = if arguments.json { ProgressBar::hidden() } else { ProgressBar::new(0) };
    if let Ok(style) =
        ProgressStyle::with_template("{msg:10} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec}")
    {
        bar.set_style(style);
    }
    let shown = bar.clone();
    let options =
        ServeOptions::default().max_queue(arguments.parallel as usize).progress(move |now: LoadProgress| {
            shown.set_message(match now.phase {
                LoadPhase::Digest => "checking",
                _ => "loading",
            });
            shown.set_length(now.total_bytes);
            shown.set_position(now.done_bytes);
            ControlFlow::Continue(())
        });
    let options = match arguments.context {
        Some(tokens) => options.context_length(tokens),
        None => options,
    };
    let served = runtime.serve(ENDPOINT, arguments.model.as_path(), options);
    bar.finish_and_clear();
    let has_template = served?.chat;
    Ok(Model { runtime, has_template, load_time: started.elapsed() })
}
