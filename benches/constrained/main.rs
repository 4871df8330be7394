//! What it costs that answers have a form: `cargo bench --bench constrained -- --help`.
//!
//! The same requests, free and by a schema, in turns, on a synthetic model through the public interface. `benches/README.md`
//! says what each figure means.

#[path = "../common/model.rs"]
mod model;
#[path = "../common/report.rs"]
mod report;
#[path = "../common/shape.rs"]
mod shape;
#[path = "../common/weights.rs"]
mod weights;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use model_runtime::protocol::{ChatMessage, ChatRequest, ResponseFormat};
use model_runtime::{ModelRuntime, ServeOptions};
use report::Report;
use serde_json::{Value, json};
use shape::ShapeArguments;
use weights::Random;

type Failure = Box<dyn std::error::Error + Send + Sync>;

const TEMPLATE: &str = "{% for m in messages %}{{ m.content }}\n{% endfor %}";

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    shape: ShapeArguments,
    /// A folder with another tokenizer.json, such as one of 128,256 tokens; `--vocab` must have room for it.
    #[arg(long)]
    tokenizer: Option<PathBuf>,
    /// Requests at once.
    #[arg(long, default_value_t = 16)]
    requests: usize,
    /// Tokens of each answer.
    #[arg(long, default_value_t = 96)]
    answer: u32,
    /// Rounds; the best of each kind counts.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Writes the figures as JSON too.
    #[arg(long)]
    json: Option<PathBuf>,
    /// What cargo adds.
    #[arg(long, hide = true)]
    bench: bool,
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

fn schema() -> Value {
    let item = json!({
        "type": "object",
        "properties": {
            "name": { "type": "string" },
            "count": { "type": "integer" },
            "kind": { "type": "string", "enum": ["animal", "plant", "stone"] },
            "tags": { "type": "array", "items": { "type": "string" } }
        },
        "required": ["name", "count", "kind", "tags"],
        "additionalProperties": false
    });
    // So many that no answer ends before its last token.
    let list = json!({ "type": "array", "items": item, "minItems": 32 });
    json!({ "type": "object", "properties": { "items": list }, "required": ["items"], "additionalProperties": false })
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    let shape = arguments.shape.with_context(2048);
    let folder = model::write(&shape)?;
    if let Some(tokenizer) = &arguments.tokenizer {
        for name in ["tokenizer.json", "tokenizer_config.json"] {
            let from = tokenizer.join(name);
            if from.is_file() {
                std::fs::copy(&from, folder.path().join(name))?;
            }
        }
    }
    let runtime = serve(folder.path())?;
    let form = ResponseFormat::json_schema("list", schema());
    let begin = Instant::now();
    round(&runtime, Some(&form), 1, 1)?;
    let first = begin.elapsed().as_secs_f64();
    let (mut free, mut formed) = (0.0f64, 0.0f64);
    for _ in 0..arguments.rounds {
        free = free.max(round(&runtime, None, arguments.requests, arguments.answer)?);
        formed = formed.max(round(&runtime, Some(&form), arguments.requests, arguments.answer)?);
    }
    let stats = runtime.stats().endpoints.remove(0).engine.ok_or("the endpoint generates")?;
    let of =
        json!({ "shape": shape, "parameters": model::parameters(&shape), "requests": arguments.requests });
    let mut report = Report::new("constrained", of);
    let late = 100.0 * stats.late_choices as f64 / stats.generated_tokens as f64;
    report.add("free", "free answers", free, "tokens/s", String::new());
    report.add(
        "formed",
        "answers by a schema",
        formed,
        "tokens/s",
        format!("{:.2} of free ones", formed / free),
    );
    report.add("late", "tokens known late", late, "%", String::new());
    report.add("first", "first answer of all", first, "s", "vocabulary and schema prepared".into());
    report.print(&mut io::stdout().lock())?;
    if let Some(path) = &arguments.json {
        report.write(path)?;
    }
    Ok(())
}

fn serve(folder: &Path) -> Result<ModelRuntime, Failure> {
    let runtime = ModelRuntime::builder().build()?;
    runtime.serve("model", folder, ServeOptions::default().chat_template(TEMPLATE))?;
    Ok(runtime)
}

/// Tokens a second of so many requests at once.
fn round(
    runtime: &ModelRuntime,
    form: Option<&ResponseFormat>,
    requests: usize,
    answer: u32,
) -> Result<f64, Failure> {
    let mut random = Random(7);
    let begin = Instant::now();
    let streams = (0..requests)
        .map(|seed| {
            let question = format!("Question number {}", random.below(1000));
            let mut ask = ChatRequest::new("model", vec![ChatMessage::user(question)])
                .seed(seed as u64)
                .max_tokens(answer);
            ask.response_format = form.cloned();
            runtime.chat_stream(ask)
        })
        .collect::<model_runtime::Result<Vec<_>>>()?;
    let mut tokens = 0;
    for stream in streams {
        tokens += stream.wait()?.usage.completion_tokens;
    }
    Ok(tokens as f64 / begin.elapsed().as_secs_f64())
}
