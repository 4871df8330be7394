//! Serving a model with a progress bar.

use std::ops::ControlFlow;
use std::path::Path;

use indicatif::{ProgressBar, ProgressStyle};
use model_runtime::runtime::EndpointInfo;
use model_runtime::weights::{LoadPhase, LoadProgress};
use model_runtime::{ModelRuntime, ServeOptions};

/// Serves `model` as `name`. The bar is drawn when `shown`, and only in a terminal.
pub(crate) fn serve(
    runtime: &ModelRuntime,
    name: &str,
    model: &Path,
    options: ServeOptions,
    shown: bool,
) -> model_runtime::Result<EndpointInfo> {
    let bar = if shown { ProgressBar::new(0) } else { ProgressBar::hidden() };
    if let Ok(style) =
        ProgressStyle::with_template("{msg:10} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec}")
    {
        bar.set_style(style);
    }
    let drawn = bar.clone();
    let options = options.progress(move |now: LoadProgress| {
        drawn.set_message(match now.phase {
            LoadPhase::Digest => "checking",
            _ => "loading",
        });
        drawn.set_length(now.total_bytes);
        drawn.set_position(now.done_bytes);
        ControlFlow::Continue(())
    });
    let served = runtime.serve(name, model, options);
    bar.finish_and_clear();
    served
}
