//! Operations that go row by row: norms, activations, pooling.

use std::ops::Range;

use candle_core::{D, Tensor};

use super::super::pooling::check;
use super::super::{Activation, BackendError, Pooling};

/// `x / sqrt(mean(x^2) + epsilon) * weight`.
pub(super) fn rms_norm(x: &Tensor, weight: &Tensor, epsilon: f32) -> Result<Tensor, BackendError> {
    let mean_square = x.sqr()?.mean_keepdim(D::Minus1)?;
    let scale = (mean_square + f64::from(epsilon))?.sqrt()?;
    Ok(x.broadcast_div(&scale)?.broadcast_mul(weight)?)
}

/// `(x - mean(x)) / sqrt(variance(x) + epsilon) * weight + bias`.
pub(super) fn layer_norm(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    epsilon: f32,
) -> Result<Tensor, BackendError> {
    let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
    let normal = rms_norm(&centred, weight, epsilon)?;
    match bias {
        Some(bias) => Ok(normal.broadcast_add(bias)?),
        None => Ok(normal),
    }
}

pub(super) fn activate(x: &Tensor, activation: Activation) -> Result<Tensor, BackendError> {
    Ok(match activation {
        Activation::Silu => x.silu()?,
        Activation::GeluTanh => x.gelu()?,
        Activation::GeluErf => x.gelu_erf()?,
    })
}

/// One row for each span of rows of `x`.
pub(super) fn pool(x: &Tensor, spans: &[Range<usize>], pooling: Pooling) -> Result<Tensor, BackendError> {
    check(spans, x.dim(0)?)?;
    let width = x.dim(1)?;
    let mut texts = Vec::with_capacity(spans.len());
    for Range { start, end } in spans.iter().cloned() {
        texts.push(match pooling {
            Pooling::First => x.narrow(0, start, 1)?,
            Pooling::Last => x.narrow(0, end - 1, 1)?,
            Pooling::Mean => (x.narrow(0, start, end - start)?.sum_keepdim(0)? / (end - start) as f64)?,
        });
    }
    if texts.is_empty() {
        return Ok(Tensor::zeros((0, width), x.dtype(), x.device())?);
    }
    Ok(Tensor::cat(&texts, 0)?)
}
