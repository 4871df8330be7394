//! A conversation in a terminal; the history goes along with every turn.

use std::io::{BufRead, Write};

use model_runtime::ErrorKind;
use model_runtime::protocol::ChatMessage;

use super::arguments::Arguments;
use super::common::Failure;
use super::generate::{self, Generation, Prompt};
use super::load::Model;

pub(crate) fn run(
    model: &Model,
    arguments: &Arguments,
    mut input: impl BufRead,
    mut out: impl Write,
) -> Result<(), Failure> {
    writeln!(out, "/new starts over, /exit or the end of the input leaves")?;
    let opening: Vec<ChatMessage> = arguments.system.iter().map(ChatMessage::system).collect();
    let mut history = opening.clone();
    let mut turn: u64 = 0;
    loop {
        write!(out, "\n> ")?;
        out.flush()?;
        let mut line = String::new();
        if input.read_line(&mut line)? == 0 {
            return Ok(writeln!(out)?);
        }
        match line.trim() {
            "" => continue,
            "/exit" => return Ok(()),
            "/new" => history.clone_from(&opening),
            text => {
                history.push(ChatMessage::user(text));
                let seed = arguments.seed.wrapping_add(turn);
                turn += 1;
                match answer(model, arguments, &history, seed, &mut out) {
                    Ok(generation) => {
                        history.push(ChatMessage::assistant(&generation.text));
                        status(&mut out, &generation)?;
                    }
                    Err(error) => {
                        // The turn that failed must not make every later one fail.
                        history.pop();
                        let error = error.downcast::<model_runtime::Error>()?;
                        let hint = match error.kind() {
                            ErrorKind::ContextLengthExceeded => "; /new starts over",
                            _ => "",
                        };
                        writeln!(out, "error: {error}{hint}")?;
                    }
                }
            }
        }
    }
}

fn answer(
    model: &Model,
    arguments: &Arguments,
    history: &[ChatMessage],
    seed: u64,
    out: &mut impl Write,
) -> Result<Generation, Failure> {
    let generation = generate::run(model, arguments, &Prompt::Messages(history.to_vec()), seed, |piece| {
        write!(out, "{piece}")?;
        out.flush()
    });
    writeln!(out)?;
    generation
}

fn status(out: &mut impl Write, generation: &Generation) -> Result<(), Failure> {
    let rate = generation.decode_rate().map_or(String::new(), |rate| format!(", {rate:.1} tokens/s"));
    let (tokens, first) = (generation.usage.completion_tokens, generation.first_token.as_secs_f64() * 1e3);
    writeln!(out, "[{tokens} tokens{rate}, first after {first:.0} ms, {}]", generation.version)?;
    Ok(())
}
