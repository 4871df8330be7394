//! Answers questions from a folder of text: `cargo run --release --example search -- "QUESTION"`.
//!
//! Every text of the folder is cut into passages, whose vectors go into an index; the passages nearest to the question
//! come out. `--index DIR` keeps the index, and only files that changed are embedded again. With `--chat MODEL` a
//! second model writes an answer from the passages.

mod answer;
mod arguments;
#[path = "../common/mod.rs"]
mod common;
mod embed;
#[path = "../common/encoder.rs"]
mod encoder;
mod files;
mod graph;
mod index;
mod passages;
mod report;
mod store;
mod update;

use std::io::{self, BufRead, IsTerminal, Write};
use std::process::ExitCode;

use answer::Writer;
use arguments::Arguments;
use common::Failure;
use embed::Embedder;
use index::Index;
use model_runtime::ModelRuntime;
use report::Report;

fn main() -> ExitCode {
    match common::parse() {
        Ok(arguments) => common::exit_code(run(&arguments)),
        Err(code) => code,
    }
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    let runtime = ModelRuntime::builder().build()?;
    let served = encoder::load(&runtime, &arguments.model, arguments.threads)?;
    let embedder = Embedder::new(&runtime, arguments.instruction.as_deref());
    let index = build(arguments, &embedder, &served.version)?;
    let writer =
        arguments.chat.as_deref().map(|model| Writer::load(&runtime, model, arguments)).transpose()?;
    let session = Session { arguments, embedder, index, writer };
    match arguments.question() {
        Some(question) => session.answer(&question),
        None => session.converse(),
    }
}

/// The index of the folder as it is now; what was saved of it is used as far as it still holds.
fn build(arguments: &Arguments, embedder: &Embedder<'_>, version: &str) -> Result<Index, Failure> {
    let settings = arguments.settings(version);
    let saved = match arguments.index.as_deref().filter(|_| !arguments.rebuild) {
        Some(folder) => store::load(folder)?.filter(|index| index.settings == settings),
        None => None,
    };
    let (index, changes) = update::run(saved, settings, &arguments.folder, &arguments.endings(), embedder)?;
    writeln!(io::stderr(), "{changes}")?;
    match arguments.index.as_deref() {
        Some(folder) if changes.any() => store::save(&index, folder)?,
        _ => {}
    }
    Ok(index)
}

/// Everything that answering takes.
struct Session<'a> {
    arguments: &'a Arguments,
    embedder: Embedder<'a>,
    index: Index,
    writer: Option<Writer<'a>>,
}

impl Session<'_> {
    fn answer(&self, question: &str) -> Result<(), Failure> {
        let vector = self.embedder.question(question)?;
        let hits = self.index.nearest(&vector, self.arguments.top.get());
        let mut out = io::stdout().lock();
        let report = Report { question, hits: &hits, colours: out.is_terminal() };
        if self.arguments.json {
            return Ok(report.json(&mut out)?);
        }
        report.print(&mut out)?;
        match &self.writer {
            Some(writer) if !hits.is_empty() => writer.answer(question, &hits, &mut out),
            _ => Ok(()),
        }
    }

    /// A question per line, until the input ends.
    fn converse(&self) -> Result<(), Failure> {
        let talking = io::stdin().is_terminal();
        loop {
            if talking {
                write!(io::stdout(), "\nquestion> ")?;
                io::stdout().flush()?;
            }
            let mut line = String::new();
            if io::stdin().lock().read_line(&mut line)? == 0 {
                return Ok(());
            }
            match line.trim() {
                "" => {}
                question => match self.answer(question) {
                    // One question that cannot be answered does not end the conversation.
                    Err(error) if talking && error.is::<model_runtime::Error>() => {
                        writeln!(io::stderr(), "error: {error}")?;
                    }
                    answered => answered?,
                },
            }
        }
    }
}
