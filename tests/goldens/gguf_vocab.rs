//! Goldens of a vocabulary-only GGUF file: token ids.

use std::path::{Path, PathBuf};

use model_runtime::tokenizer::{AddSpecial, Tokenizer};
use model_runtime::weights::Checkpoint;

use super::tokenizers::{ids, report, shown};
use super::{Outcome, Verdict, json};

/// Files without expected ids of their own, and the family whose vocabulary they have.
const SAME_AS: [(&str, &str); 2] = [("dbrx", "dbrx"), ("gpt-neox", "mpt")];

/// Compares the ids of every text; the expected ones lie in `NAME.expected.json`, or with the family of tokenizers.
pub(super) fn run(path: &Path) -> Outcome {
    let stem = path.file_stem().and_then(|s| s.to_str()).ok_or("no name")?;
    let name = stem.strip_prefix("ggml-vocab-").unwrap_or(stem);
    let Some(expected) = expected(path, name) else {
        return Ok(Verdict::Skipped(format!("no expected ids for {name}")));
    };
    let golden = json(&expected)?;
    let checkpoint = Checkpoint::open(path).map_err(|e| e.to_string())?;
    let tokenizer = Tokenizer::from_checkpoint(&checkpoint).map_err(|e| e.to_string())?;
    let cases = golden["cases"].as_array().filter(|c| !c.is_empty()).ok_or("no cases")?;
    let mut wrong = Vec::new();
    for case in cases {
        let text = case["text"].as_str().ok_or("a case without text")?;
        let expected = ids(&case["ids"]).ok_or("a case without ids")?;
        match tokenizer.encode(text, AddSpecial::No) {
            Ok(got) if got == expected => {}
            Ok(got) => wrong.push(format!("{}: {got:?} instead of {expected:?}", shown(text))),
            Err(error) => wrong.push(format!("{}: {error}", shown(text))),
        }
        // Families also have the text that the ids stand for.
        if let Some(decoded) = case["decoded"].as_str() {
            match tokenizer.decode(&expected, false) {
                Ok(got) if got == decoded => {}
                other => wrong.push(format!("{}: decoded {other:?}", shown(text))),
            }
        }
    }
    report(wrong, cases.len())
}

fn expected(path: &Path, name: &str) -> Option<PathBuf> {
    let folder = path.parent()?;
    let own = folder.join(format!("{name}.expected.json"));
    if own.is_file() {
        return Some(own);
    }
    let (_, family) = SAME_AS.iter().find(|(n, _)| *n == name)?;
    let shared = folder.parent()?.join(format!("tokenizers/golden/{family}.json"));
    shared.is_file().then_some(shared)
}
