//! Models whose files say something else than they should: every load fails with an error that says why, or serves a model that
//! answers or says why it cannot.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use model_runtime::runtime::EmbedOptions;
use model_runtime::{Error, ErrorKind, ModelRuntime, ServeOptions};

use super::mutations::{Choices, damage};
use super::{gguf, greedy, stories, tiny};

const CASES: u32 = 600;

fn files(model: &Path) -> BTreeMap<String, Vec<u8>> {
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    if model.is_file() {
        return BTreeMap::from([(name(model), fs::read(model).unwrap())]);
    }
    let entries = fs::read_dir(model).unwrap().map(|entry| entry.unwrap().path());
    let wanted = entries.filter(|path| path.is_file() && !name(path).contains("golden"));
    wanted.map(|path| (name(&path), fs::read(&path).unwrap())).collect()
}

/// Nothing may be a defect: whatever the files say, it is they who are at fault.
fn proper(error: &Error, case: u32) {
    assert_ne!(error.kind(), ErrorKind::Internal, "case {case}: {error}");
    assert!(!error.message().contains("panicked"), "case {case}: {error}");
}

#[test]
fn damaged_models_are_refused_or_answer() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = ModelRuntime::builder().memory_budget(1 << 30).build().unwrap();
    runtime.serve("stories", stories(), ServeOptions::default()).unwrap();
    let alone = runtime.complete(greedy("Once", 8)).unwrap().choices;
    let models = [
        stories(),
        tiny("llama3"),
        gguf("tiny-llama-256-Q4_0.gguf"),
        tiny("deepseek_v3"),
        tiny("bert_bge"),
        tiny("new_gte"),
        tiny("mixtral"),
    ];
    let models = models.map(|model| files(&model));
    let (mut served, mut refused, mut answered) = (0, 0, 0);
    for case in 0..CASES {
        let seed = case.to_le_bytes();
        let mut choices = Choices::of(&seed);
        let mut model = models[case as usize % models.len()].clone();
        // One file of several: often the configuration, which leads everywhere.
        let names: Vec<String> = model.keys().cloned().collect();
        let victim = match names.iter().find(|name| *name == "config.json") {
            Some(config) if choices.below(2) == 0 => config,
            _ => &names[choices.below(names.len())],
        };
        damage(victim, model.get_mut(victim).unwrap(), &mut choices);
        let path = folder.path().join(format!("{case}"));
        let source = if names.len() == 1 { path.join(&names[0]) } else { path.clone() };
        fs::create_dir(&path).unwrap();
        for (name, bytes) in &model {
            fs::write(path.join(name), bytes).unwrap();
        }
        match runtime.serve("victim", source.as_path(), ServeOptions::default()) {
            Err(error) => {
                proper(&error, case);
                refused += 1;
            }
            Ok(info) => {
                served += 1;
                let mut request = greedy("Once upon", 3);
                request.model = "victim".into();
                request.use_raw_prompt = true;
                let ended = if info.embedding.is_some() {
                    runtime.embed("victim", ["a text"], EmbedOptions::default()).map(|_| ())
                } else {
                    runtime.complete(request).map(|_| ())
                };
                match ended {
                    Ok(()) => answered += 1,
                    // Weights that are no numbers give logits that are none: the model's fault, said as such.
                    Err(error)
                        if error.message().contains("not finite") || error.message().contains("NaN") => {}
                    Err(error) => proper(&error, case),
                }
                runtime.remove("victim").unwrap();
            }
        }
        fs::remove_dir_all(&path).unwrap();
    }
    assert_eq!(runtime.complete(greedy("Once", 8)).unwrap().choices, alone, "others are answered as before");
    assert!(
        refused > CASES / 4 && answered > CASES / 20,
        "{refused} refused, {served} served, {answered} answered"
    );
}
