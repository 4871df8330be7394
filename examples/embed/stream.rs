//! From lines to vectors, a bounded number of lines at a time.

use std::collections::VecDeque;
use std::io::BufRead;

use model_runtime::runtime::PendingEmbeddings;
use model_runtime::{Error, ModelRuntime};

use super::arguments::Arguments;
use super::common::Failure;
use super::encoder::ENCODER;
use super::input::{Line, Lines};
use super::output::Output;
use super::progress::{Progress, Totals};

/// Requests that the engine has at once: it computes one while the next is read and the last is written.
const REQUESTS: usize = 2;

/// Lines whose vectors are being made.
struct Batch {
    lines: Vec<Line>,
    vectors: PendingEmbeddings,
}

/// Sends every line through the model; vectors come out in the order of the lines.
pub(crate) fn run(
    runtime: &ModelRuntime,
    arguments: &Arguments,
    lines: Lines<impl BufRead>,
    mut output: Output,
    progress: &Progress,
) -> Result<Totals, Failure> {
    let mut totals = Totals::start();
    let mut waiting = VecDeque::with_capacity(REQUESTS);
    let mut lines = lines.peekable();
    while lines.peek().is_some() {
        let batch: Vec<Line> = lines.by_ref().take(arguments.batch.get()).collect::<Result<_, _>>()?;
        if waiting.len() == REQUESTS {
            write(waiting.pop_front(), &mut output, &mut totals, progress)?;
        }
        let texts: Vec<String> = batch.iter().map(|line| line.text.clone()).collect();
        let vectors = runtime
            .embed_start(ENCODER, texts, arguments.options())
            .map_err(|error| of_line(&error, &batch))?;
        waiting.push_back(Batch { lines: batch, vectors });
    }
    while !waiting.is_empty() {
        write(waiting.pop_front(), &mut output, &mut totals, progress)?;
    }
    output.finish()?;
    Ok(totals)
}

fn write(
    batch: Option<Batch>,
    output: &mut Output,
    totals: &mut Totals,
    progress: &Progress,
) -> Result<(), Failure> {
    let Some(Batch { lines, vectors }) = batch else { return Ok(()) };
    let vectors = vectors.wait().map_err(|error| of_line(&error, &lines))?;
    for ((line, &row), vector) in lines.iter().zip(vectors.rows()).zip(vectors.iter()) {
        output.push(line, row, vector)?;
        totals.lines += 1;
        totals.tokens += row.tokens as u64;
        totals.truncated += u64::from(row.truncated);
    }
    output.flush()?;
    progress.show(lines.last().map_or(0, |line| line.offset), totals);
    Ok(())
}

/// The error of a request in terms of the file: `input[3]` is the fourth line of its batch.
fn of_line(error: &Error, lines: &[Line]) -> Failure {
    let named = error.param().and_then(|param| {
        let at: usize = param.strip_prefix("input[")?.strip_suffix(']')?.parse().ok()?;
        let place = format!("line {}", lines.get(at)?.number);
        let message = error.message();
        Some(if message.contains(param) {
            message.replacen(param, &place, 1)
        } else {
            format!("{place}: {message}")
        })
    });
    named.unwrap_or_else(|| error.to_string()).into()
}

#[cfg(test)]
mod tests {
    use model_runtime::ErrorKind;

    use super::*;

    #[test]
    fn an_error_names_the_line_of_the_file() {
        let lines = [7, 9].map(|number| Line { number, text: "a".into(), offset: 0 });
        let error =
            Error::new(ErrorKind::ContextLengthExceeded, "input[1] has 300 tokens").with_param("input[1]");
        assert_eq!(of_line(&error, &lines).to_string(), "line 9 has 300 tokens");
        let error = Error::new(ErrorKind::InvalidRequest, "dimensions is 500").with_param("dimensions");
        assert!(of_line(&error, &lines).to_string().contains("dimensions is 500"));
    }
}
