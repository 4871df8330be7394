//! A mixture of experts, one expert after the other.

use candle_core::{D, Tensor};

use super::super::routing::Choice;
use super::super::{Activation, Backend, BackendError, Expert, Routing, Scoring};
use super::{CandleBackend, Matrix};

pub(super) fn forward(
    backend: &CandleBackend,
    x: &Tensor,
    router: &Matrix,
    correction: Option<&Tensor>,
    experts: &[Expert<Matrix>],
    routing: &Routing,
    activation: Activation,
) -> Result<Tensor, BackendError> {
    let correction = correction.map(Tensor::to_vec1::<f32>).transpose()?;
    routing.check(experts.len(), correction.as_ref().map(Vec::len))?;
    if router.outputs() != experts.len() {
        let (found, expected) = (router.outputs(), experts.len());
        return Err(BackendError::Shape { operation: "mixture", what: "router outputs", found, expected });
    }
    let scores = scores(&router.apply(x)?, routing.scoring)?.to_vec2::<f32>()?;
    let none = Choice { expert: 0, weight: 0.0 };
    let mut group_scores = vec![0.0; routing.group_count()];
    let mut chosen = vec![none; routing.top_k];
    // The rows of each expert, with their weights.
    let mut rows: Vec<(Vec<u32>, Vec<f32>)> = vec![Default::default(); experts.len()];
    for (row, scores) in scores.iter().enumerate() {
        routing.choose(scores, correction.as_deref(), &mut group_scores, &mut chosen);
        for choice in &chosen {
            let (rows, weights) = &mut rows[choice.expert as usize];
            rows.push(row as u32);
            weights.push(choice.weight);
        }
    }
    let outputs = experts.first().map_or(0, |expert| expert.down.outputs());
    let mut out = Tensor::zeros((x.dim(0)?, outputs), x.dtype(), x.device())?;
    for (expert, (rows, weights)) in experts.iter().zip(rows).filter(|(_, (rows, _))| !rows.is_empty()) {
        let rows = Tensor::new(rows, x.device())?;
        let found =
            backend.gated_mlp(&x.index_select(&rows, 0)?, &expert.gate_up, &expert.down, activation)?;
        let weights = Tensor::new(weights, x.device())?.unsqueeze(1)?;
        out = out.index_add(&rows, &found.broadcast_mul(&weights)?, 0)?;
    }
    Ok(out)
}

fn scores(logits: &Tensor, scoring: Scoring) -> Result<Tensor, BackendError> {
    Ok(match scoring {
        Scoring::Softmax => {
            let powers = logits.broadcast_sub(&logits.max_keepdim(D::Minus1)?)?.exp()?;
            powers.broadcast_div(&powers.sum_keepdim(D::Minus1)?)?
        }
        Scoring::Sigmoid => (logits.neg()?.exp()? + 1.0)?.recip()?,
    })
}
