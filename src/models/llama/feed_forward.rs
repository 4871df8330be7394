//! What follows attention: one SwiGLU network, or Mixtral's mixture of several.

use super::LlamaConfig;
use super::config::ExpertsConfig;
use super::names::Part;
use crate::backend::{Activation, Backend, BackendError, Expert, Routing, Scoring};
use crate::models::lora::{Adapted, GatedNetwork};
use crate::models::tensors::{MatrixOf, Store, Tensors};
use crate::models::{ModelError, Weights};
use crate::weights::Format;

/// The feed-forward network of a layer.
pub(super) enum FeedForward<W: Weights> {
    /// One for all tokens.
    Dense(GatedNetwork<W>),
    /// A choice for each token.
    Mixture { router: W::Matrix, experts: Vec<Expert<W::Matrix>>, routing: Routing },
}

impl<W: Weights> FeedForward<W> {
    pub(super) fn build<'a, S: Store<'a, Weights = W>>(
        config: &LlamaConfig,
        tensors: &mut Tensors<'a, '_, S>,
        at: usize,
    ) -> Result<Self, ModelError> {
        let LlamaConfig { hidden_size: hidden, intermediate_size: intermediate, experts, .. } = *config;
        let format = tensors.format();
        let Some(ExpertsConfig { count, used }) = experts else {
            let module =
                |part: Part, rows, cols| tensors.module(part.module(), &part.stem(format), rows, cols);
            let gate = module(Part::Gate(at), intermediate, hidden)?;
            let up = module(Part::Up(at), intermediate, hidden)?;
            let down = module(Part::Down(at), hidden, intermediate)?;
            let (gate_up, down) = (tensors.linear(&[gate, up])?, tensors.linear(&[down])?);
            return Ok(Self::Dense(GatedNetwork { gate_up, down }));
        };
        Ok(Self::Mixture {
            router: tensors.router(&Part::Router(at).stem(format), count, hidden)?,
            experts: (0..count)
                .map(|expert| match format {
                    Format::HuggingFace => separate(config, tensors, at, expert),
                    Format::Gguf => stacked(config, tensors, at, (expert, count)),
                })
                .collect::<Result<_, _>>()?,
            // A softmax over the two best is one over all whose two best are divided by their sum.
            routing: Routing {
                experts: count,
                top_k: used,
                scoring: Scoring::Softmax,
                groups: None,
                normalize: true,
                scale: 1.0,
            },
        })
    }
}

/// An expert with tensors of its own.
fn separate<'a, S: Store<'a>>(
    config: &LlamaConfig,
    tensors: &mut Tensors<'a, '_, S>,
    at: usize,
    expert: usize,
) -> Result<Expert<MatrixOf<'a, S>>, ModelError> {
    let LlamaConfig { hidden_size: hidden, intermediate_size: intermediate, .. } = *config;
    let stem = |name: &str| format!("model.layers.{at}.block_sparse_moe.experts.{expert}.{name}");
    let gate_up =
        [tensors.part(&stem("w1"), intermediate, hidden)?, tensors.part(&stem("w3"), intermediate, hidden)?];
    Ok(Expert {
        gate_up: tensors.stacked(&gate_up)?,
        down: tensors.product(&stem("w2"), hidden, intermediate)?,
    })
}

/// An expert of GGUF, where those of a layer are one tensor, `[experts, out, in]`.
fn stacked<'a, S: Store<'a>>(
    config: &LlamaConfig,
    tensors: &mut Tensors<'a, '_, S>,
    at: usize,
    (expert, count): (usize, usize),
) -> Result<Expert<MatrixOf<'a, S>>, ModelError> {
    let LlamaConfig { hidden_size: hidden, intermediate_size: intermediate, .. } = *config;
    let part = |name: &str, rows: usize, cols: usize| {
        let part = tensors.whole(&format!("blk.{at}.{name}.weight"), &[count, rows, cols])?;
        Ok::<_, ModelError>(part.rows(expert * rows..(expert + 1) * rows))
    };
    let gate_up = [part("ffn_gate_exps", intermediate, hidden)?, part("ffn_up_exps", intermediate, hidden)?];
    let down = part("ffn_down_exps", hidden, intermediate)?;
    Ok(Expert { gate_up: tensors.stacked(&gate_up)?, down: tensors.stacked(&[down])? })
}

impl<B: Backend> FeedForward<B> {
    pub(super) fn forward(
        &self,
        backend: &B,
        x: &B::Tensor,
        adapted: Adapted<'_, B>,
    ) -> Result<B::Tensor, BackendError> {
        match self {
            Self::Dense(network) => network.forward(backend, x, adapted, Activation::Silu),
            Self::Mixture { router, experts, routing } => {
                backend.mixture(x, router, None, experts, routing, Activation::Silu)
            }
        }
    }
}
