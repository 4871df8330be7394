//! Mixtures of experts against the models' definitions, written as their reference implementations write them.

use super::*;

/// A layer of experts as GGUF stores it: all of them in one tensor.
struct Mixed<'a> {
    x: &'a [f32],
    weights: &'a Weights,
    routing: Routing,
    activation: Activation,
}

/// A loaded layer.
struct Layer<B: Backend> {
    router: B::Matrix,
    correction: Option<B::Vector>,
    experts: Vec<Expert<B::Matrix>>,
}

impl<B: Backend> Layer<B> {
    fn load(backend: &B, checkpoint: &Checkpoint, experts: usize) -> Self {
        let tensor = |name: &str| checkpoint.tensor(name).unwrap();
        let expert = |name: &str, expert: usize| {
            let rows = tensor(name).rows() / experts;
            let part = MatrixPart::whole(tensor(name)).rows(expert * rows..(expert + 1) * rows);
            backend.matrix(checkpoint, &[part])
        };
        let parts = vec![MatrixPart::whole(tensor("router"))];
        let router = MatrixSource { checkpoint, parts, usage: MatrixUse::Router };
        Self {
            router: backend.load_matrix(&router, &mut |_| ControlFlow::Continue(())).unwrap(),
            correction: checkpoint
                .get("correction")
                .map(|correction| backend.load_vector(checkpoint, correction).unwrap()),
            experts: (0..experts)
                .map(|at| Expert { gate_up: expert("gate_up", at), down: expert("down", at) })
                .collect(),
        }
    }

    fn mix(&self, backend: &B, x: &B::Tensor, routing: &Routing, activation: Activation) -> Vec<f32> {
        let correction = self.correction.as_ref();
        let found = backend.mixture(x, &self.router, correction, &self.experts, routing, activation);
        backend.values(&found.unwrap())
    }
}

const WIDTH: usize = 64;
const FFN: usize = 40;
const ROWS: usize = 21;

impl Question for Mixed<'_> {
    fn ask<B: Backend>(&self, backend: &B) -> Vec<f32> {
        let layer = Layer::load(backend, &self.weights.open(), self.routing.experts);
        let x = backend.activations(self.x, WIDTH);
        let together = layer.mix(backend, &x, &self.routing, self.activation);
        let rows = self.x.len() / WIDTH;
        // Alone, among a few, and in another order.
        let mut companies: Vec<Vec<u32>> = (0..rows as u32).map(|row| vec![row]).collect();
        companies.push((0..rows as u32).rev().collect());
        companies.push((0..rows as u32).step_by(3).collect());
        for company in companies {
            let some = backend.select_rows(&x, &company).unwrap();
            let found = layer.mix(backend, &some, &self.routing, self.activation);
            for (found, &row) in found.chunks(WIDTH).zip(&company) {
                let expected = &together[row as usize * WIDTH..][..WIDTH];
                let bits = |x: &[f32]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
                assert!(bits(found) == bits(expected), "row {row} of {company:?}");
            }
        }
        together
    }
}

/// What the weights hold, and the mixture in `f64`.
struct Reference {
    router: Vec<f64>,
    correction: Option<Vec<f64>>,
    gate_up: Vec<f64>,
    down: Vec<f64>,
}

impl Reference {
    fn new(weights: &mut Weights, experts: usize, corrected: bool) -> Self {
        let mut add = |name: &str, shape: &[usize], dtype: DType| wide(&weights.add(name, shape, dtype));
        Self {
            router: add("router", &[experts, WIDTH], DType::F32),
            correction: corrected.then(|| add("correction", &[experts], DType::F32)),
            gate_up: add("gate_up", &[experts, 2 * FFN, WIDTH], DType::F32),
            down: add("down", &[experts, WIDTH, FFN], DType::F16),
        }
    }

    fn mixture(&self, x: &[f64], routing: &Routing, activation: Activation) -> Vec<f64> {
        let mut out = vec![0.0; WIDTH];
        for (expert, weight) in self.choose(x, routing) {
            let both = product(x, &self.gate_up[expert * 2 * FFN * WIDTH..][..2 * FFN * WIDTH], WIDTH);
            let (gate, up) = both.split_at(FFN);
            let hidden: Vec<f64> =
                gate.iter().zip(up).map(|(gate, up)| activate(*gate, activation) * up).collect();
            let found = product(&hidden, &self.down[expert * WIDTH * FFN..][..WIDTH * FFN], FFN);
            out.iter_mut().zip(found).for_each(|(out, found)| *out += weight * found);
        }
        out
    }

    /// Experts and weights: scores sorted from the greatest, groups masked.
    fn choose(&self, x: &[f64], routing: &Routing) -> Vec<(usize, f64)> {
        let logits = product(x, &self.router, WIDTH);
        let powers: Vec<f64> = logits.iter().map(|logit| logit.exp()).collect();
        let scores: Vec<f64> = match routing.scoring {
            Scoring::Softmax => powers.iter().map(|power| power / powers.iter().sum::<f64>()).collect(),
            Scoring::Sigmoid => powers.iter().map(|power| power / (1.0 + power)).collect(),
        };
        let correction = |expert: usize| self.correction.as_ref().map_or(0.0, |of| of[expert]);
        let mut choice: Vec<f64> = scores.iter().enumerate().map(|(at, s)| s + correction(at)).collect();
        if let Some(ExpertGroups { groups, top_groups }) = routing.groups {
            let size = routing.experts / groups;
            let score = |group: &[f64]| {
                group
                    .iter()
                    .copied()
                    .fold((f64::MIN, f64::MIN), |(a, b), x| if x > a { (x, a) } else { (a, b.max(x)) })
            };
            let sums: Vec<f64> = choice.chunks(size).map(score).map(|(a, b)| a + b).collect();
            let stay = best(&sums, top_groups);
            for (at, choice) in choice.iter_mut().enumerate().filter(|(at, _)| !stay.contains(&(at / size))) {
                *choice = f64::NEG_INFINITY;
                assert!(at < routing.experts);
            }
        }
        let chosen = best(&choice, routing.top_k);
        let sum: f64 = chosen.iter().map(|&expert| scores[expert]).sum();
        let sum = if routing.normalize { sum + 1e-20 } else { 1.0 };
        chosen.iter().map(|&at| (at, scores[at] / sum * f64::from(routing.scale))).collect()
    }
}

/// The indices of the greatest, which rounding must not decide.
fn best(scores: &[f64], count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    if let (Some(&last), Some(&next)) = (order.get(count - 1), order.get(count)) {
        assert!(scores[last] - scores[next] > 2e-6, "too close: {} {}", scores[last], scores[next]);
    }
    order.truncate(count);
    order
}

/// Mixtral, DBRX, DeepSeek V3 (fewer experts), and weights that are left as they are.
fn routings() -> [(Routing, bool, Activation); 4] {
    let mixtral = Routing {
        experts: 8,
        top_k: 2,
        scoring: Scoring::Softmax,
        groups: None,
        normalize: true,
        scale: 1.0,
    };
    let dbrx = Routing { experts: 16, top_k: 4, ..mixtral };
    let deepseek = Routing {
        experts: 32,
        top_k: 6,
        scoring: Scoring::Sigmoid,
        groups: Some(ExpertGroups { groups: 8, top_groups: 4 }),
        normalize: true,
        scale: 2.5,
    };
    let plain = Routing { experts: 5, top_k: 5, normalize: false, scale: 0.5, ..mixtral };
    [
        (mixtral, false, Activation::Silu),
        (dbrx, false, Activation::Silu),
        (deepseek, true, Activation::Silu),
        (plain, true, Activation::GeluErf),
    ]
}

#[test]
fn mixtures_are_the_models_definitions() {
    for (routing, corrected, activation) in routings() {
        let mut weights = Weights::new(routing.experts as u64);
        let reference = Reference::new(&mut weights, routing.experts, corrected);
        let x = Numbers(23).take(ROWS * WIDTH);
        let mixed = |x: &[f32]| reference.mixture(&wide(x), &routing, activation);
        let expected: Vec<f64> = x.chunks(WIDTH).flat_map(mixed).collect();
        ask(&Mixed { x: &x, weights: &weights, routing, activation }, 2e-5, &expected);
    }
}

#[test]
fn a_row_that_is_no_number_touches_no_other() {
    let (routing, corrected, activation) = routings()[2];
    let mut weights = Weights::new(routing.experts as u64);
    let reference = Reference::new(&mut weights, routing.experts, corrected);
    let mut x = Numbers(23).take(6 * WIDTH);
    x[2 * WIDTH + 5] = f32::NAN;
    let row = |(row, x): (usize, &[f32])| match row {
        2 => vec![f64::NAN; WIDTH],
        _ => reference.mixture(&wide(x), &routing, activation),
    };
    let expected: Vec<f64> = x.chunks(WIDTH).enumerate().flat_map(row).collect();
    ask(&Mixed { x: &x, weights: &weights, routing, activation }, 2e-5, &expected);
}

struct Refused<'a>(&'a Weights);

impl Question for Refused<'_> {
    fn ask<B: Backend>(&self, backend: &B) -> Vec<f32> {
        let (routing, _, activation) = routings()[0];
        let checkpoint = self.0.open();
        let layer = Layer::load(backend, &checkpoint, routing.experts);
        let x = backend.activations(&Numbers(3).take(3 * WIDTH), WIDTH);
        let narrow = backend.activations(&Numbers(3).take(3 * 32), 32);
        let short = backend.vector(&[0.0; 3]);
        let line = |x: &B::Tensor, router: &B::Matrix, correction, count: usize, routing: &Routing| {
            let experts = &layer.experts[..count];
            let refused = backend.mixture(x, router, correction, experts, routing, activation);
            refused.map(|_| ()).unwrap_err().to_string()
        };
        let router = &layer.router;
        let routing_of = |experts: usize, top_k: usize| Routing { experts, top_k, ..routing };
        assert_eq!(line(&x, router, None, 7, &routing), "mixture: the number of experts is 7, expected 8");
        assert_eq!(
            line(&x, router, Some(&short), 8, &routing),
            "mixture: the length of the correction is 3, expected 8"
        );
        assert_eq!(line(&x, router, None, 7, &routing_of(7, 2)), "mixture: router outputs is 8, expected 7");
        assert_eq!(line(&x, router, None, 8, &routing_of(8, 9)), "top_k is 9; accepted: 1 to 8");
        assert_eq!(line(&narrow, router, None, 8, &routing), "linear: input width is 32, expected 64");
        // Every row goes to every expert, one of which has a network that does not fit.
        let mut experts = layer.experts;
        let down = experts.pop().unwrap().down;
        let parts = [MatrixPart::whole(checkpoint.tensor("router").unwrap())];
        experts.push(Expert { gate_up: backend.matrix(&checkpoint, &parts), down });
        let every = routing_of(8, 8);
        assert!(backend.mixture(&x, &layer.router, None, &experts, &every, activation).is_err());
        Vec::new()
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let mut weights = Weights::new(1);
    Reference::new(&mut weights, 8, false);
    ask(&Refused(&weights), 0.0, &[]);
}

#[test]
fn no_rows_are_a_mixture_too() {
    let (routing, _, activation) = routings()[0];
    let mut weights = Weights::new(1);
    Reference::new(&mut weights, routing.experts, false);
    for backend in processors() {
        let layer = Layer::load(&backend, &weights.open(), routing.experts);
        let x = backend.activations(&[0.5; WIDTH], WIDTH);
        let none = backend.select_rows(&x, &[]).unwrap();
        assert!(layer.mix(&backend, &none, &routing, activation).is_empty());
    }
}
