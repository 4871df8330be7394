//! Changes of products that are matrices of low rank, for some rows of a step (LoRA; Hu et al., 2021, arXiv 2106.09685).

/// One term of a change: `y[first..first + out] += scale * B (A x)`.
#[derive(Debug)]
pub struct LowRank<M> {
    /// `A`, `[rank, in]`, loaded as [`MatrixUse::LowRank`](super::MatrixUse::LowRank).
    pub down: M,
    /// `B`, `[out, rank]`, likewise.
    pub up: M,
    /// The first output of the product that changes.
    pub first: usize,
    /// Multiplies the term.
    pub scale: f32,
}

/// Rows of a step that change alike.
#[derive(Debug)]
pub struct AdaptedRows<'a, M> {
    /// The terms of their change, which meet in no output. None where the product is left as it is.
    pub terms: &'a [LowRank<M>],
    /// The rows, ascending.
    pub rows: &'a [u32],
}

/// What changes in one product of one step.
pub struct Adaptation<'a, M> {
    /// How many adapters have rows in the step.
    pub adapters: usize,
    /// The change of one of them, by number. No two have a row in common.
    pub of: &'a (dyn Fn(usize) -> AdaptedRows<'a, M> + Sync),
}

impl<'a, M> Adaptation<'a, M> {
    /// What every adapter changes.
    pub fn iter(&self) -> impl Iterator<Item = AdaptedRows<'a, M>> {
        (0..self.adapters).map(|number| (self.of)(number))
    }
}

impl<M> std::fmt::Debug for Adaptation<'_, M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Adaptation").field("adapters", &self.adapters).finish_non_exhaustive()
    }
}
