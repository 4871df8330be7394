//! Products that adapters may change.

use super::Adapted;
use crate::backend::{Activation, Backend, BackendError};
use crate::models::Weights;

/// A product that adapters may change: its matrix, and its number among those of the model.
pub(in crate::models) struct Linear<W: Weights> {
    matrix: W::Matrix,
    site: usize,
}

impl<W: Weights> Linear<W> {
    pub(in crate::models) fn new(matrix: W::Matrix, site: usize) -> Self {
        Self { matrix, site }
    }
}

impl<B: Backend> Linear<B> {
    /// `x W^T + b`, and for rows with an adapter what that adds.
    pub(in crate::models) fn apply(
        &self,
        backend: &B,
        x: &B::Tensor,
        adapted: Adapted<'_, B>,
    ) -> Result<B::Tensor, BackendError> {
        let mut y = backend.linear(x, &self.matrix)?;
        adapted.change(backend, self.site, &mut y, x)?;
        Ok(y)
    }
}

/// A gated network that adapters may change: `down(act(gate(x)) * up(x))`, gate over up in one product.
pub(in crate::models) struct GatedNetwork<W: Weights> {
    pub(in crate::models) gate_up: Linear<W>,
    pub(in crate::models) down: Linear<W>,
}

impl<B: Backend> GatedNetwork<B> {
    pub(in crate::models) fn forward(
        &self,
        backend: &B,
        x: &B::Tensor,
        adapted: Adapted<'_, B>,
        activation: Activation,
    ) -> Result<B::Tensor, BackendError> {
        let hidden = backend.gated(&self.gate_up.apply(backend, x, adapted)?, activation)?;
        self.down.apply(backend, &hidden, adapted)
    }
}
