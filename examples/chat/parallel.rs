//! Many requests at once, each with its own seed, in one batch.

use std::io::{self, IsTerminal, Write};
use std::thread;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::arguments::Arguments;
use super::common::Failure;
use super::generate::{self, Generation, Prompt};
use super::load::Model;
use super::report;

/// How many characters of a text's end its live line is given; the terminal's width cuts them further.
const SHOWN_CHARS: usize = 250;

pub(crate) fn run(model: &Model, arguments: &Arguments) -> Result<(), Failure> {
    let prompt = Prompt::of(arguments, model.has_template);
    let live = !arguments.json && io::stdout().is_terminal();
    let target = if live { ProgressDrawTarget::stdout() } else { ProgressDrawTarget::hidden() };
    let lines = MultiProgress::with_draw_target(target);
    let generations = thread::scope(|scope| {
        let running: Vec<_> = (0..arguments.parallel)
            .map(|index| {
                let line = lines.add(ProgressBar::new_spinner());
                // Aligned to the right, a text that is too long loses its beginning and not its end.
                if let Ok(style) = ProgressStyle::with_template("{prefix:>3} {wide_msg:>}") {
                    line.set_style(style);
                }
                line.set_prefix(index.to_string());
                let prompt = &prompt;
                // A failure crosses the thread as its message, which is all that is shown of it.
                scope.spawn(move || one(model, arguments, prompt, index, &line).map_err(|e| e.to_string()))
            })
            .collect();
        running
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| Err("a request's thread panicked".into())))
            .collect::<Result<Vec<_>, String>>()
    })?;
    let mut out = io::stdout().lock();
    if arguments.json {
        return report::json(&mut out, model, &generations);
    }
    if !live {
        for (index, generation) in generations.iter().enumerate() {
            let text = [prompt.text().unwrap_or_default(), &generation.text].concat();
            writeln!(out, "{index:>3} {}", single_line(&text))?;
        }
    }
    report::summary(&mut out, model, &generations)
}

fn one(
    model: &Model,
    arguments: &Arguments,
    prompt: &Prompt,
    index: u32,
    line: &ProgressBar,
) -> Result<Generation, Failure> {
    let mut text = prompt.text().unwrap_or_default().to_owned();
    let seed = arguments.seed.wrapping_add(index.into());
    let generation = generate::run(model, arguments, prompt, seed, |piece| {
        text.push_str(piece);
        let shown = single_line(&text);
        let skip = shown.chars().count().saturating_sub(SHOWN_CHARS);
        line.set_message(shown.chars().skip(skip).collect::<String>());
        Ok(())
    });
    line.finish();
    generation
}

fn single_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
