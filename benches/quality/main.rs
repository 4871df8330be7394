//! What faster and smaller costs in quality: `cargo bench --bench quality -- --help`.
//!
//! The same text goes through a model once for every choice that the CPU backend offers, and the distributions of the
//! next token are compared with those of single precision. `benches/README.md` says what each figure means.

mod arguments;
mod choices;
mod compare;
mod computed;
mod report;
mod text;

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use arguments::Arguments;
use compare::Comparison;
use computed::Computed;
use model_runtime::models::CausalSources;
use model_runtime::weights::Checkpoint;
use report::{Report, Row};

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    match run(&arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing is left to do when the error stream is gone too.
            let _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut reports = Vec::new();
    for model in arguments.models() {
        let report = measure(arguments, &model)?;
        report.print(&mut io::stdout().lock())?;
        reports.push(report);
    }
    match &arguments.json {
        Some(path) => report::write(&reports, path),
        None => Ok(()),
    }
}

fn measure(arguments: &Arguments, path: &Path) -> Result<Report, Failure> {
    let checkpoint = Checkpoint::open(path)?;
    let window = arguments.window.min(CausalSources::resolve(&checkpoint)?.shape().max_positions);
    let reference = choices::reference();
    let mut computed = Computed::load(&checkpoint, reference.options(arguments.threads), window, 1)?;
    let text = text::windows(arguments, &checkpoint, window)?;
    // The reference's logits are more than memory may hold for a large vocabulary.
    let mut file = tempfile::tempfile()?;
    let mut comparison = Comparison::default();
    for window in &text {
        computed.logits(window, arguments.chunk, |targets, logits| {
            comparison.add(targets, logits, logits);
            compare::save(&mut file, logits)
        })?;
    }
    drop(computed);
    let mut report = Report::new(path, &text, window, reference, comparison.figures());
    for choice in arguments.choices().into_iter().filter(|choice| *choice != reference) {
        let row = match choices::obstacle(&checkpoint, choice)? {
            Some(obstacle) => Row::NotPossible(obstacle),
            None => Row::Figures(compare_with(arguments, &checkpoint, choice, &text, window, &mut file)?),
        };
        report.add(choice, row);
    }
    Ok(report)
}

/// The figures of one choice, beside the logits that the reference left in `file`.
fn compare_with(
    arguments: &Arguments,
    checkpoint: &Checkpoint,
    choice: choices::Choice,
    text: &[Vec<u32>],
    window: usize,
    file: &mut std::fs::File,
) -> Result<compare::Figures, Failure> {
    let mut computed = Computed::load(checkpoint, choice.options(arguments.threads), window, 1)?;
    let mut comparison = Comparison::default();
    let mut expected = Vec::new();
    compare::rewind(file)?;
    for window in text {
        computed.logits(window, arguments.chunk, |targets, logits| {
            compare::load(file, logits.len(), &mut expected)?;
            comparison.add(targets, &expected, logits);
            Ok(())
        })?;
    }
    Ok(comparison.figures())
}
