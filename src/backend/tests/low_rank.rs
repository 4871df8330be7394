//! Changes of low rank: their formula, and rows that do not hear of each other.

use super::*;

const IN: usize = 256;
const OUT: usize = 100;
/// More than a window of lines has at these widths, all terms counted.
const ROWS: usize = 2600;

/// Two adapters of several ranks and types, one of which changes two ranges of outputs; every third row has none.
struct Changed<'a> {
    x: &'a [f32],
    y: &'a [f32],
    weights: &'a Weights,
}

/// Adapter, down, up, first output, scale.
const TERMS: [(usize, &str, &str, usize, f32); 3] =
    [(0, "a0", "b0", 3, 0.5), (0, "a1", "b1", 60, 2.0), (1, "a2", "b2", 17, -1.5)];

const RANKS: [usize; 3] = [4, 19, 33];
const OUTS: [usize; 3] = [40, 33, 83];
const TYPES: [DType; 3] = [DType::F32, DType::BF16, DType::F16];

fn rows_of(adapter: usize) -> Vec<u32> {
    (0..ROWS as u32).filter(|row| *row as usize % 3 == adapter).collect()
}

impl Changed<'_> {
    /// The changes of these rows of each adapter.
    fn change<B: Backend>(
        backend: &B,
        terms: &[Vec<LowRank<B::Matrix>>],
        y: &mut B::Tensor,
        x: &B::Tensor,
        rows: &[Vec<u32>],
    ) {
        let of = |number: usize| AdaptedRows { terms: &terms[number], rows: &rows[number] };
        backend.add_low_rank(y, x, &Adaptation { adapters: terms.len(), of: &of }).unwrap();
    }
}

impl Question for Changed<'_> {
    fn ask<B: Backend>(&self, backend: &B) -> Vec<f32> {
        let checkpoint = self.weights.open();
        let factor = |name: &str| {
            let parts = vec![MatrixPart::whole(checkpoint.tensor(name).unwrap())];
            let source = MatrixSource { checkpoint: &checkpoint, parts, usage: MatrixUse::LowRank };
            backend.load_matrix(&source, &mut |_| ControlFlow::Continue(())).unwrap()
        };
        let mut terms = vec![Vec::new(), Vec::new()];
        for (adapter, down, up, first, scale) in TERMS {
            terms[adapter].push(LowRank { down: factor(down), up: factor(up), first, scale });
        }
        let x = backend.activations(self.x, IN);
        let mut y = backend.activations(self.y, OUT);
        Self::change(backend, &terms, &mut y, &x, &[rows_of(0), rows_of(1)]);
        let together = backend.values(&y);
        // Rows without an adapter keep their bits; the others have the same ones alone and among a few.
        let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        for row in (2..ROWS).step_by(3) {
            assert_eq!(bits(&together[row * OUT..][..OUT]), bits(&self.y[row * OUT..][..OUT]), "row {row}");
        }
        let (before, inputs) = (backend.activations(self.y, OUT), &x);
        for company in [vec![0u32], vec![1], vec![4, 5, 6], vec![2, 3, 2599], (7..80).collect()] {
            let mut y = backend.select_rows(&before, &company).unwrap();
            let x = backend.select_rows(inputs, &company).unwrap();
            let rows = [0, 1].map(|adapter| {
                let numbered = (0u32..).zip(&company);
                numbered.filter(|(_, row)| **row as usize % 3 == adapter).map(|(at, _)| at).collect()
            });
            Self::change(backend, &terms, &mut y, &x, &rows);
            for (found, &row) in backend.values(&y).chunks(OUT).zip(&company) {
                assert_eq!(
                    bits(found),
                    bits(&together[row as usize * OUT..][..OUT]),
                    "row {row} of {company:?}"
                );
            }
        }
        // What does not fit is an error, and nothing else.
        let narrow = backend.activations(&self.x[..ROWS * 4], 4);
        let of = |_| AdaptedRows { terms: &terms[0], rows: &[0] };
        backend.add_low_rank(&mut y, &narrow, &Adaptation { adapters: 1, of: &of }).unwrap_err();
        let of = |_| AdaptedRows { terms: &terms[0], rows: &[ROWS as u32] };
        backend.add_low_rank(&mut y, inputs, &Adaptation { adapters: 1, of: &of }).unwrap_err();
        let mut short = backend.activations(&self.y[..ROWS * 50], 50);
        let of = |_| AdaptedRows { terms: &terms[0], rows: &[0] };
        backend.add_low_rank(&mut short, inputs, &Adaptation { adapters: 1, of: &of }).unwrap_err();
        together
    }
}

#[test]
fn changes_of_low_rank_are_their_formula_whoever_stands_beside() {
    let mut weights = Weights::new(5);
    let mut factors = Vec::new();
    for (at, (_, down, up, ..)) in TERMS.into_iter().enumerate() {
        let (rank, dtype) = (RANKS[at], TYPES[at]);
        let down = wide(&weights.add(down, &[rank, IN], dtype));
        factors.push((down, wide(&weights.add(up, &[OUTS[at], rank], dtype))));
    }
    let mut numbers = Numbers(6);
    let (x, y) = (numbers.take(ROWS * IN), numbers.take(ROWS * OUT));
    let mut expected = wide(&y);
    for ((adapter, _, _, first, scale), (down, up)) in TERMS.into_iter().zip(&factors) {
        for row in rows_of(adapter) {
            let row = row as usize;
            let inner = product(&wide(&x[row * IN..][..IN]), down, IN);
            let change = product(&inner, up, inner.len());
            let outputs = expected[row * OUT + first..].iter_mut();
            outputs.zip(change).for_each(|(out, change)| *out += f64::from(scale) * change);
        }
    }
    ask(&Changed { x: &x, y: &y, weights: &weights }, 2e-4, &expected);
}
