//! Kills processes that write to one database, again and again, and looks whether anything that was acknowledged is missing,
//! is there twice, or contradicts the rest.
//!
//! The test runs itself as two children at a time. Each registers, aliases, deletes, appends and records usage at random and
//! prints every write that it was told had succeeded. The parent kills both without warning, at a random moment, a hundred times:
//! twenty times on each of five databases, the first time while it is created.

#![allow(clippy::print_stdout, clippy::print_stderr, clippy::exit)]

mod check;
mod child;
mod random;
mod writes;

use std::error::Error;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use check::{Books, Totals};
use random::Random;
use writes::Write;

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

const DATABASES: u64 = 5;
const ROUNDS: u64 = 20;
/// The directory, and the number of the child.
const CHILD: &str = "MODEL_RUNTIME_CRASH_CHILD";
/// The latest moment at which a child is killed, after its first write or, now and then, after its start.
const LIFE_MICROS: u64 = 60_000;

fn main() -> ExitCode {
    let outcome = match std::env::var(CHILD) {
        Ok(task) => child::run(&task),
        Err(_) => parent(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn parent() -> Outcome {
    let begun = Instant::now();
    let seed = std::env::var("MODEL_RUNTIME_CRASH_SEED").ok().and_then(|seed| seed.parse().ok());
    // Another run, other moments. A failure names the seed, though a kill cannot be repeated to the microsecond.
    let seed =
        seed.unwrap_or_else(|| begun.elapsed().as_nanos() as u64 ^ u64::from(std::process::id()) << 32);
    let mut random = Random::new(seed);
    let mut totals = Totals::default();
    for database in 0..DATABASES {
        let dir = tempfile::tempdir()?;
        write_model(&dir.path().join("files"))?;
        let mut books = Books::default();
        let place = |round| format!("database {database}, round {round}, seed {seed}");
        for round in 0..ROUNDS {
            let writes = kill_two(dir.path(), database * ROUNDS + round, round == 0, &mut random)?;
            books.enter(writes);
            books.check(dir.path()).map_err(|error| format!("{}: {error}", place(round)))?;
        }
        books.finish(dir.path()).map_err(|error| format!("{}: {error}", place(ROUNDS)))?;
        totals.add(&books);
    }
    totals.check()?;
    println!("{} rounds in {:.1} s: {totals}", DATABASES * ROUNDS, begun.elapsed().as_secs_f64());
    Ok(())
}

/// Starts two children and kills each at a moment of its own. Gives what they acknowledged.
fn kill_two(dir: &Path, round: u64, new: bool, random: &mut Random) -> Outcome<Vec<Write>> {
    let mut running = Vec::new();
    for number in [2 * round, 2 * round + 1] {
        let task = format!("{number}:{}:{}", random.next(), dir.display());
        // Now and then before it has written anything: while the database is created, migrated or recovered.
        let early = new || random.below(8) == 0;
        let life = Duration::from_micros(random.below(LIFE_MICROS));
        running.push((start(&task)?, early, life));
    }
    let threads: Vec<_> = running
        .into_iter()
        .map(|((child, lines), early, life)| {
            thread::spawn(move || kill(child, &lines, early, life).map_err(|error| error.to_string()))
        })
        .collect();
    let mut writes = Vec::new();
    for thread in threads {
        writes.extend(thread.join().map_err(|_| "a thread of the test panicked")??);
    }
    Ok(writes)
}

fn start(task: &str) -> Outcome<(Child, Receiver<String>)> {
    let mut child = Command::new(std::env::current_exe()?)
        .env(CHILD, task)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut output = BufReader::new(child.stdout.take().ok_or("the child has no output")?);
    let (tell, told) = channel();
    thread::spawn(move || {
        let mut line = String::new();
        // A line that was cut by the kill is no acknowledgement.
        while output.read_line(&mut line).is_ok_and(|read| read > 0) && line.ends_with('\n') {
            if tell.send(std::mem::take(&mut line)).is_err() {
                return;
            }
        }
    });
    Ok((child, told))
}

fn kill(mut child: Child, lines: &Receiver<String>, early: bool, life: Duration) -> Outcome<Vec<Write>> {
    let mut read = Vec::new();
    if !early {
        read.extend(lines.recv().ok());
    }
    let end = Instant::now() + life;
    while let Some(left) = end.checked_duration_since(Instant::now()) {
        match lines.recv_timeout(left) {
            Ok(line) => read.push(line),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
        }
    }
    child.kill()?;
    let status = child.wait()?;
    // What it had printed before.
    read.extend(lines.iter());
    if status.code().is_some() {
        let mut complaint = String::new();
        child.stderr.take().ok_or("the child has no errors")?.read_to_string(&mut complaint)?;
        return Err(format!("a child ended by itself, {status}: {}", complaint.trim()).into());
    }
    read.iter().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

/// A model of one tensor.
fn write_model(dir: &Path) -> Outcome {
    std::fs::create_dir_all(dir)?;
    let data = [7; 64];
    let tensor = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![4, 4], &data)?;
    std::fs::write(dir.join("model.safetensors"), safetensors::serialize([("w", tensor)], None)?)?;
    std::fs::write(dir.join("config.json"), "{}")?;
    Ok(())
}
