//! Goldens of a tokenizer family: ids, decoded text and the pieces of a stream, from the reference implementation.

use std::path::Path;
use std::sync::Arc;

use model_runtime::tokenizer::{AddSpecial, StreamDecoder, Tokenizer};
use serde_json::Value;

use super::{Outcome, Verdict, json};

/// Compares one family: `golden/FAMILY.json` with `FAMILY/tokenizer.json` beside the folder.
pub(super) fn run(path: &Path) -> Outcome {
    let golden = json(path)?;
    let family = golden["family"].as_str().ok_or("no family")?;
    let folder = path.parent().and_then(Path::parent).ok_or("no folder")?.join(family);
    let file = folder.join("tokenizer.json");
    if !file.is_file() {
        return Ok(Verdict::Skipped(format!("{} is not there", file.display())));
    }
    let bytes = std::fs::read(&file).map_err(|e| format!("{}: {e}", file.display()))?;
    let tokenizer = Arc::new(Tokenizer::from_json(&bytes).map_err(|e| e.to_string())?);
    // What the application sees of the whole folder, where that differs from the file alone.
    let config = std::fs::read(folder.join("tokenizer_config.json")).ok();
    let configured = Tokenizer::from_files(&bytes, config.as_deref()).map_err(|e| e.to_string())?;

    let cases = golden["cases"].as_array().filter(|c| !c.is_empty()).ok_or("no cases")?;
    let mut wrong = Vec::new();
    for case in cases {
        let text = case["text"].as_str().ok_or("a case without text")?;
        compare(&tokenizer, &configured, text, case)
            .unwrap_or_else(|why| wrong.push(format!("{}: {why}", shown(text))));
    }
    report(wrong, cases.len())
}

/// The verdict over a list of differences.
pub(crate) fn report(wrong: Vec<String>, total: usize) -> Outcome {
    match wrong.first() {
        None => Ok(Verdict::Ran),
        Some(_) => {
            Err(format!("{} of {total} differ: {}", wrong.len(), wrong[..wrong.len().min(8)].join("; ")))
        }
    }
}

/// The beginning of a text, for a message.
pub(crate) fn shown(text: &str) -> String {
    format!("{:?}", text.chars().take(40).collect::<String>())
}

/// A list of ids in a golden.
pub(crate) fn ids(value: &Value) -> Option<Vec<u32>> {
    value.as_array()?.iter().map(|id| id.as_u64().and_then(|id| u32::try_from(id).ok())).collect()
}

fn compare(
    tokenizer: &Arc<Tokenizer>,
    configured: &Tokenizer,
    text: &str,
    case: &Value,
) -> Result<(), String> {
    let expected = ids(&case["ids"]).ok_or("no ids")?;
    equal("ids", &tokenizer.encode(text, AddSpecial::No), &expected)?;
    if let Some(with_special) = ids(&case["ids_with_special"]) {
        equal("ids_with_special", &tokenizer.encode(text, AddSpecial::Yes), &with_special)?;
        let as_configured = ids(&case["ids_transformers"]).unwrap_or(with_special);
        equal("ids_transformers", &configured.encode(text, AddSpecial::Yes), &as_configured)?;
    }
    equal("decoded", &tokenizer.decode(&expected, false), &text_of(case, "decoded")?)?;
    equal(
        "decoded_skip_special",
        &tokenizer.decode(&expected, true),
        &text_of(case, "decoded_skip_special")?,
    )?;

    let pieces = case["stream"].as_array().ok_or("no stream")?;
    let mut stream = StreamDecoder::new(tokenizer.clone(), true);
    for (index, (id, piece)) in expected.iter().zip(pieces).enumerate() {
        equal(&format!("stream[{index}]"), &stream.push(*id), &piece.as_str().map(str::to_owned))?;
    }
    equal("the end of the stream", &stream.finish(), &None)
}

fn text_of(case: &Value, name: &str) -> Result<String, String> {
    case[name].as_str().map(str::to_owned).ok_or(format!("no {name}"))
}

fn equal<T: PartialEq + std::fmt::Debug, E: std::fmt::Display>(
    what: &str,
    got: &Result<T, E>,
    expected: &T,
) -> Result<(), String> {
    match got {
        Ok(got) if got == expected => Ok(()),
        Ok(got) => Err(format!("{what} {got:?} instead of {expected:?}")),
        Err(error) => Err(format!("{what}: {error}")),
    }
}
