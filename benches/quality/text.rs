//! The text that a model is measured on.

use model_runtime::engine::{Sampler, SamplingParams};
use model_runtime::models::stop_tokens;
use model_runtime::tokenizer::{AddSpecial, Tokenizer};
use model_runtime::weights::Checkpoint;

use super::arguments::Arguments;
use super::computed::Computed;
use super::{Failure, choices};

/// The text in windows of at most `window` tokens, each of which begins as the model's texts do.
pub(crate) fn windows(
    arguments: &Arguments,
    checkpoint: &Checkpoint,
    window: usize,
) -> Result<Vec<Vec<u32>>, Failure> {
    let tokenizer = Tokenizer::from_checkpoint(checkpoint)?;
    let before = tokenizer.encode("", AddSpecial::Yes)?;
    match &arguments.text {
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
            let ids = tokenizer.encode(&text, AddSpecial::No)?;
            let room = window.saturating_sub(before.len()).max(1);
            let ids = &ids[..ids.len().min(arguments.tokens.get())];
            Ok(ids.chunks(room).map(|part| [&before, part].concat()).collect())
        }
        None => write(arguments, checkpoint, before.first().copied().unwrap_or(1), window),
    }
}

/// What the model itself writes in single precision, at temperature 1, one text for each window. Ends of text are
/// forbidden.
fn write(
    arguments: &Arguments,
    checkpoint: &Checkpoint,
    first: u32,
    window: usize,
) -> Result<Vec<Vec<u32>>, Failure> {
    let count = arguments.tokens.get().div_ceil(window.max(1));
    let options = choices::reference().options(arguments.threads);
    let mut computed = Computed::load(checkpoint, options, window, count)?;
    let vocab = computed.vocab_size();
    let mut sampler = Sampler::new(vocab);
    let logit_bias: Vec<(u32, f32)> = stop_tokens(checkpoint)?.into_iter().map(|id| (id, -100.0)).collect();
    let mut texts = vec![vec![first]; count];
    for position in 0..window.saturating_sub(1) {
        let last: Vec<u32> = texts.iter().filter_map(|text| text.last().copied()).collect();
        let logits = computed.decode(&last, position)?;
        for (index, (text, logits)) in (0u64..).zip(texts.iter_mut().zip(logits.chunks_exact(vocab))) {
            let seed = arguments.seed.wrapping_add(index);
            let params = SamplingParams { seed, logit_bias: logit_bias.clone(), ..SamplingParams::default() };
            let token = sampler.sample(logits, None, &params, &text[..1], &text[1..])?.id;
            text.push(token);
        }
    }
    Ok(texts)
}
