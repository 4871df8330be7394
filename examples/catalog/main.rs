//! Shows which models are offered and retired on any day: `cargo run --release --example catalog -- --at 2024-11-15`.
//!
//! Cards with their warnings and the tables of the documents; `--markdown` writes the tables as the documents have them,
//! `--catalog FILE.toml` lays entries of one's own over them.

mod arguments;
mod screen;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use arguments::Arguments;
use model_runtime::catalog::{Catalog, Offering};
use model_runtime::lifecycle::{Documents, Principal, Timeline, fine_tuning_list, model_card};

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let arguments = match arguments::parse() {
        Ok(arguments) => arguments,
        Err(code) => return code,
    };
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        // The reader of our output has seen enough.
        Err(error) if is_broken_pipe(error.as_ref()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing is left to do when the error stream is gone too.
            let _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn is_broken_pipe(error: &(dyn std::error::Error + 'static)) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut catalog = Catalog::builtin()?;
    if let Some(path) = &arguments.catalog {
        let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        catalog = catalog.with_toml(&text)?;
    }
    let timeline = Timeline::from_catalog(&catalog)?;
    let now = arguments.at(&catalog)?;
    let documents = Documents::at(&catalog, &timeline, now);
    let mut out = io::stdout().lock();
    if arguments.markdown {
        return Ok(out.write_all(documents.to_markdown().as_bytes())?);
    }
    let somebody = Principal::default();
    let names: Vec<&str> = match &arguments.model {
        Some(name) => vec![name],
        None => catalog.models().iter().map(|model| model.name.as_str()).collect(),
    };
    let mut cards = Vec::new();
    for name in names {
        let card = model_card(&catalog, &timeline, name, &somebody, now);
        cards.push(card.ok_or_else(|| format!("no model has the name or endpoint {name:?}"))?);
    }
    if arguments.json {
        serde_json::to_writer_pretty(&mut out, &cards)?;
        return Ok(writeln!(out)?);
    }
    let colours = out.is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let mut screen = screen::Screen::new(out, colours);
    for card in &cards {
        screen.card(card)?;
    }
    if arguments.model.is_some() {
        return Ok(());
    }
    screen.listings(&fine_tuning_list(&catalog, &timeline, &somebody, now))?;
    for table in [
        documents.supported_models(),
        documents.retirements(Offering::PayPerToken),
        documents.retirements(Offering::FineTuning),
    ] {
        screen.table(&table)?;
    }
    Ok(())
}
