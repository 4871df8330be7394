//! A mixture of experts: rows are grouped by expert, and the networks of all experts are computed together.
//!
//! A step of few rows touches many experts with a row or two each. Their products are one list of tasks, so the threads
//! meet a few times for the whole mixture and not a few times for each expert; experts without rows cost nothing.

use super::buffer::{Element, Elements, Tensor};
use super::gemm::{Gemm, Group, Groups, Shapes};
use super::matrix::PackedMatrix;
use super::rowwise::{self, Run};
use super::threads::SharedMut;
use super::{Activation, BackendError, Compute, Expert, Routing};
use crate::backend::Scoring;
use crate::backend::routing::Choice;

// SAFETY: two numbers.
unsafe impl Element for Choice {}

/// Experts and how rows come to them.
pub(super) struct Mixture<'a> {
    pub(super) run: Run<'a>,
    pub(super) gemm: Gemm<'a>,
    pub(super) router: &'a PackedMatrix,
    pub(super) correction: Option<&'a [f32]>,
    pub(super) experts: &'a [Expert<PackedMatrix>],
    pub(super) routing: &'a Routing,
    pub(super) activation: Activation,
}

/// Rows put beside each other by expert: each of them once for every expert that it goes to.
struct Grouped {
    /// The experts that have rows, and which: the first `count`.
    groups: Elements<Group>,
    count: usize,
    /// The row of the input that each row of a group is.
    source: Elements<u32>,
    /// For each row of the input and each of its experts: where it lies in the groups.
    places: Elements<u32>,
    /// The weights of the same.
    weights: Elements<f32>,
}

impl Mixture<'_> {
    /// The mixture of these rows.
    ///
    /// # Errors
    /// Numbers of the routing that contradict each other, widths that do not fit.
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor, BackendError> {
        let Self { run, ref gemm, experts, .. } = *self;
        self.routing.check(experts.len(), self.correction.map(<[f32]>::len))?;
        if self.router.rows() != experts.len() {
            let (found, expected) = (self.router.rows(), experts.len());
            return Err(BackendError::Shape {
                operation: "mixture",
                what: "router outputs",
                found,
                expected,
            });
        }
        let outputs = experts.first().map_or(0, |expert| expert.down.rows());
        let mut out = run.arena.tensor(x.rows(), outputs)?;
        if x.rows() == 0 {
            return Ok(out);
        }
        let chosen = self.choose(x)?;
        let grouped = self.group(chosen.as_slice())?;
        let groups = &grouped.groups.as_slice()[..grouped.count];
        let (gate_up, down) =
            (|expert: usize| &experts[expert].gate_up, |expert: usize| &experts[expert].down);
        let source = Some(grouped.source.as_slice());
        let shapes = Shapes::Equal;
        let both = gemm.multiply_groups(x, &Groups { groups, matrix: &gate_up, source, shapes })?;
        let width = both.width() / 2;
        let mut hidden = run.arena.tensor(both.rows(), width)?;
        rowwise::gated(run, both.as_slice(), width, self.activation, hidden.as_mut_slice())?;
        drop(both);
        let found = gemm.multiply_groups(&hidden, &Groups { groups, matrix: &down, source: None, shapes })?;
        let terms = (grouped.places.as_slice(), grouped.weights.as_slice());
        let top_k = self.routing.top_k;
        rowwise::combine(run, found.as_slice(), found.width(), terms, top_k, out.as_mut_slice())?;
        Ok(out)
    }

    /// The experts of each row, `[rows, top_k]`, in their order.
    fn choose(&self, x: &Tensor) -> Result<Elements<Choice>, BackendError> {
        let Self { run, routing, correction, .. } = *self;
        // A choice that flips changes more than any rounding that would be faster.
        let mut scores = Gemm { compute: Compute::F32, ..self.gemm }.multiply(x, self.router)?;
        let width = scores.width();
        match routing.scoring {
            Scoring::Softmax => rowwise::softmax(run, scores.as_mut_slice(), width)?,
            Scoring::Sigmoid => rowwise::sigmoids(run, scores.as_mut_slice()),
        }
        let (groups, top_k) = (routing.group_count(), routing.top_k);
        let mut chosen = run.arena.elements::<Choice>(x.rows() * top_k)?;
        let mut group_scores = run.arena.elements::<f32>(x.rows() * groups)?;
        let target = SharedMut::new(chosen.as_mut_slice().as_mut_ptr());
        let scratch = SharedMut::new(group_scores.as_mut_slice().as_mut_ptr());
        // A score costs a few comparisons.
        rowwise::split(run, x.rows(), 8 * width, &|rows| {
            for row in rows {
                // SAFETY: every row has its own part, and each row is handled once.
                let chosen = unsafe { target.slice(row * top_k, top_k) };
                // SAFETY: as above.
                let group_scores = unsafe { scratch.slice(row * groups, groups) };
                routing.choose(scores.row(row), correction, group_scores, chosen);
            }
        });
        Ok(chosen)
    }

    /// Puts the rows beside each other by expert, by counting.
    fn group(&self, chosen: &[Choice]) -> Result<Grouped, BackendError> {
        let arena = self.run.arena;
        let mut grouped = Grouped {
            groups: arena.elements(self.experts.len().min(chosen.len()))?,
            count: 0,
            source: arena.elements(chosen.len())?,
            places: arena.elements(chosen.len())?,
            weights: arena.elements(chosen.len())?,
        };
        let mut next = arena.elements::<u32>(self.experts.len())?;
        let next = next.as_mut_slice();
        next.fill(0);
        for choice in chosen {
            next[choice.expert as usize] += 1;
        }
        let mut first = 0;
        for (matrix, next) in (0u32..).zip(next.iter_mut()).filter(|(_, rows)| **rows > 0) {
            let rows = std::mem::replace(next, first);
            grouped.groups.as_mut_slice()[grouped.count] = Group { matrix, first, rows };
            grouped.count += 1;
            first += rows;
        }
        let (source, places) = (grouped.source.as_mut_slice(), grouped.places.as_mut_slice());
        let weights = grouped.weights.as_mut_slice();
        for (at, choice) in chosen.iter().enumerate() {
            let place = &mut next[choice.expert as usize];
            (places[at], weights[at]) = (*place, choice.weight);
            source[*place as usize] = (at / self.routing.top_k) as u32;
            *place += 1;
        }
        Ok(grouped)
    }
}
