//! What the C interface adds to the Rust one: `cargo bench --bench boundary -- --help`.
//!
//! The same requests by a C program against the shared library and by this program against the crate, in turns; what counts is the time of
//! the calling thread, which is what the boundary costs, not the model's. `benches/README.md` says what each figure means.

#[path = "../common/report.rs"]
mod report;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use clap::Parser;
use model_runtime::protocol::CompletionRequest;
use model_runtime::{ErrorKind, ModelRuntime, ServeOptions};
use report::Report;
use rustix::time::{ClockId, clock_gettime};
use serde::Deserialize;
use serde_json::json;

type Failure = Box<dyn std::error::Error + Send + Sync>;

const STORIES: &str = "examples/models/stories260K";
const ENCODER: &str = "examples/models/all-MiniLM-L6-v2/all-MiniLM-L6-v2.gguf";

#[derive(Parser)]
struct Arguments {
    /// Answers that are read in each round.
    #[arg(long, default_value_t = 20)]
    requests: u32,
    /// Tokens of each.
    #[arg(long, default_value_t = 400)]
    tokens: u32,
    /// Rounds; the best of each side counts.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Writes the figures as JSON too.
    #[arg(long)]
    json: Option<PathBuf>,
    /// What cargo adds.
    #[arg(long, hide = true)]
    bench: bool,
}

/// What one side found, in seconds of the calling thread.
#[derive(Deserialize)]
struct Round {
    tokens: f64,
    events: f64,
    text_seconds: f64,
    #[serde(default)]
    json_events: f64,
    #[serde(default)]
    json_seconds: f64,
    call_seconds: f64,
    #[serde(default)]
    look_1_seconds: f64,
    #[serde(default)]
    look_1024_seconds: f64,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing is left to do when the error stream is gone too.
            let _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let caller = build(folder.path())?;
    let runtime = ModelRuntime::builder().build()?;
    runtime.serve("stories", STORIES, ServeOptions::default())?;
    let (mut c, mut rust) = (Vec::new(), Vec::new());
    for _ in 0..arguments.rounds {
        rust.push(native(&runtime, arguments)?);
        c.push(called(&caller, arguments)?);
    }
    let best =
        |rounds: &[Round], of: &dyn Fn(&Round) -> f64| rounds.iter().map(of).fold(f64::INFINITY, f64::min);
    let of = json!({ "model": STORIES, "encoder": ENCODER, "tokens": arguments.requests * arguments.tokens });
    let mut report = Report::new("boundary", of);
    let mut add = |key, what: &str, seconds: f64, (unit, factor): (&'static str, f64), note: &str| {
        report.add(key, what, seconds * factor, unit, note.to_owned());
    };
    let (us, ns) = (("us", 1e6), ("ns", 1e9));
    let native = best(&rust, &|round| round.text_seconds / round.tokens);
    add("rust_token_us", "reading a token, Rust", native, us, "");
    let of_event = best(&c, &|round| round.text_seconds / round.events);
    let merged = best(&c, &|round| round.tokens / round.events);
    let note = format!("{merged:.2} tokens in an event");
    add("c_event_us", "reading an event, C, its text", of_event, us, &note);
    // For the same answers: an event may bring what Rust reads in several steps.
    let added = best(&c, &|round| (round.text_seconds - native * round.tokens) / round.events);
    add("text_overhead_us", "the boundary, per event, its text", added, us, "aim: under 2");
    let added = best(&c, &|round| (round.json_seconds - native * round.tokens) / round.json_events);
    add("json_overhead_us", "the boundary, per event, its JSON", added, us, "aim: under 2");
    add("rust_call_us", "a request that is refused, Rust", best(&rust, &|round| round.call_seconds), us, "");
    let call = best(&c, &|round| round.call_seconds);
    add("c_call_us", "a request that is refused, C", call, us, "with its error, which is freed");
    add("look_1_ns", "looking at 1 vector", best(&c, &|round| round.look_1_seconds), ns, "");
    let many = best(&c, &|round| round.look_1024_seconds);
    add("look_1024_ns", "looking at 1024 vectors", many, ns, "the same: nothing is copied");
    report.print(&mut io::stdout().lock())?;
    match &arguments.json {
        Some(path) => report.write(path),
        None => Ok(()),
    }
}

/// The shared library of this profile, and the C program beside it.
fn build(folder: &Path) -> Result<PathBuf, Failure> {
    let mut cargo = Command::new(env!("CARGO"));
    must(cargo.args(["build", "--release", "-p", "model-runtime-ffi"]))?;
    let here = std::env::current_exe()?;
    let profile = here.ancestors().nth(2).ok_or("no folder of a profile")?;
    let library = profile.join("libmodel_runtime.so");
    std::os::unix::fs::symlink(&library, folder.join("libmodel_runtime.so.0.1"))?;
    let program = folder.join("caller");
    let mut compiler = Command::new("cc");
    compiler.args(["-std=c11", "-O2", "-Iinclude", "benches/boundary/caller.c"]).arg(&library);
    must(compiler.arg(format!("-Wl,-rpath,{}", folder.display())).arg("-o").arg(&program))?;
    Ok(program)
}

fn must(command: &mut Command) -> Result<Vec<u8>, Failure> {
    let output = command.stderr(std::process::Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(format!("{command:?}: {}", output.status).into());
    }
    Ok(output.stdout)
}

fn called(caller: &Path, arguments: &Arguments) -> Result<Round, Failure> {
    let mut command = Command::new(caller);
    command.args([STORIES, ENCODER]).arg(arguments.requests.to_string()).arg(arguments.tokens.to_string());
    Ok(serde_json::from_slice(&must(&mut command)?)?)
}

/// Processor time of this thread.
fn spent() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn native(runtime: &ModelRuntime, arguments: &Arguments) -> Result<Round, Failure> {
    let mut request = CompletionRequest::new("stories", "Once upon a time");
    request = request.temperature(0.0).max_tokens(arguments.tokens);
    request.options.logit_bias.insert(2, -100.0);
    let (mut seconds, mut bytes) = (0.0, 0);
    for _ in 0..arguments.requests {
        let stream = runtime.complete_start(request.clone(), Default::default())?;
        let begun = spent();
        for chunk in stream {
            bytes += chunk?.choices.iter().map(|choice| choice.text.len()).sum::<usize>();
        }
        seconds += (spent() - begun).as_secs_f64();
    }
    std::hint::black_box(bytes);
    let refused = 2000;
    let json = br#"{"model":"nobody","prompt":"Once upon a time","temperature":0,"max_tokens":8}"#;
    let begun = spent();
    for _ in 0..refused {
        let answer = runtime.complete(CompletionRequest::from_json(json)?);
        if answer.map_err(|error| error.kind()) != Err(ErrorKind::NotFound) {
            return Err("somebody answered for nobody".into());
        }
    }
    let tokens = f64::from(arguments.requests * arguments.tokens);
    Ok(Round {
        tokens,
        events: tokens,
        text_seconds: seconds,
        json_events: 0.0,
        json_seconds: 0.0,
        call_seconds: (spent() - begun).as_secs_f64() / f64::from(refused),
        look_1_seconds: 0.0,
        look_1024_seconds: 0.0,
    })
}
