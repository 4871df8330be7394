//! The files of a model, damaged by somebody who knows what they mean: loaded, and asked for a token if that goes well.
#![no_main]

#[path = "../../tests/common/mutations.rs"]
mod mutations;

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use model_runtime::protocol::CompletionRequest;
use model_runtime::{ErrorKind, ModelRuntime, ServeOptions};
use mutations::{Choices, damage};

static RUNTIME: LazyLock<ModelRuntime> = LazyLock::new(|| {
    ModelRuntime::builder().memory_budget(256 << 20).build().expect("a runtime without models")
});

const MODELS: [&str; 5] = [
    "examples/models/stories260K",
    "tests/data/tiny/llama3",
    "tests/data/tiny/deepseek_v3",
    "tests/data/tiny/mixtral",
    "tests/data/gguf/tiny-llama-256-Q4_0.gguf",
];

fuzz_target!(|bytes: &[u8]| {
    let mut choices = Choices::of(bytes);
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(MODELS[choices.below(MODELS.len())]);
    let folder = tempfile::tempdir().expect("a folder");
    let sources = if model.is_file() {
        vec![model.clone()]
    } else {
        let entries =
            fs::read_dir(&model).expect("the model is there").filter_map(|entry| Some(entry.ok()?.path()));
        entries.filter(|path| path.is_file() && !path.to_string_lossy().contains("golden")).collect()
    };
    let victim = choices.below(sources.len());
    for (number, source) in sources.iter().enumerate() {
        let name = source.file_name().expect("a name").to_string_lossy().into_owned();
        let mut content = fs::read(source).expect("the file is there");
        if number == victim {
            damage(&name, &mut content, &mut choices);
        }
        fs::write(folder.path().join(name), content).expect("a copy");
    }
    let path = if model.is_file() {
        folder.path().join(model.file_name().expect("a name"))
    } else {
        folder.path().to_path_buf()
    };
    match RUNTIME.serve("victim", path.as_path(), ServeOptions::default()) {
        Err(error) => assert_ne!(error.kind(), ErrorKind::Internal, "{error}"),
        Ok(_) => {
            let mut request = CompletionRequest::new("victim", "Once").max_tokens(2);
            request.use_raw_prompt = true;
            // Weights that are no numbers are the model's fault, and said to be.
            let _ = RUNTIME.complete(request);
            RUNTIME.remove("victim").expect("it was served");
        }
    }
});
