//! Norms, networks, clipping, pooling.

use super::*;

/// Widths around the edges of vectors and tiles.
const WIDTHS: [usize; 5] = [1, 17, 64, 100, 768];

const ROWS: usize = 5;

/// The layer norm of `x + 0.25`, with and without a bias, and the sum that it is of.
struct LayerNorms<'a> {
    x: &'a [f32],
    weight: &'a [f32],
    bias: &'a [f32],
}

const EPSILON: f32 = 1e-3;

impl Question for LayerNorms<'_> {
    fn ask<B: Backend>(&self, backend: &B) -> Vec<f32> {
        let width = self.weight.len();
        let (weight, bias) = (backend.vector(self.weight), backend.vector(self.bias));
        let mut residual = backend.activations(self.x, width);
        let delta = backend.activations(&vec![0.25; self.x.len()], width);
        let both = backend.add_layer_norm(&mut residual, &delta, &weight, Some(&bias), EPSILON).unwrap();
        let again = backend.layer_norm(&residual, &weight, Some(&bias), EPSILON).unwrap();
        assert_eq!(backend.values(&both), backend.values(&again));
        let plain = backend.layer_norm(&residual, &weight, None, EPSILON).unwrap();
        [backend.values(&both), backend.values(&plain), backend.values(&residual)].concat()
    }
}

#[test]
fn layer_norms_are_their_formula() {
    for width in WIDTHS {
        let mut numbers = Numbers(width as u64);
        let (x, weight, bias) = (numbers.take(ROWS * width), numbers.take(width), numbers.take(width));
        let sums: Vec<f64> = x.iter().map(|x| f64::from(*x) + 0.25).collect();
        let normal = |bias: &[f32]| -> Vec<f64> {
            let row = |x: &[f64]| -> Vec<f64> {
                let mean = x.iter().sum::<f64>() / width as f64;
                let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / width as f64;
                let scale = (variance + f64::from(EPSILON)).sqrt();
                let scaled = x.iter().zip(wide(&weight)).map(|(x, w)| (x - mean) / scale * w);
                scaled.zip(wide(bias)).map(|(x, b)| x + b).collect()
            };
            sums.chunks(width).flat_map(row).collect()
        };
        let expected = [normal(&bias), normal(&vec![0.0; width]), sums.clone()].concat();
        ask(&LayerNorms { x: &x, weight: &weight, bias: &bias }, 3e-6, &expected);
    }
}

/// A network with biases, gated or not.
struct Network<'a> {
    x: &'a [f32],
    up: &'a Weights,
    activation: Activation,
}

impl Question for Network<'_> {
    fn ask<B: Backend>(&self, backend: &B) -> Vec<f32> {
        let checkpoint = self.up.open();
        let part = |name: &str| {
            let bias = checkpoint.get(&format!("{name}.bias"));
            MatrixPart::whole(checkpoint.tensor(name).unwrap()).bias(bias)
        };
        let x = backend.activations(self.x, part("up").inputs());
        let up = backend.matrix(&checkpoint, &[part("up")]);
        let down = backend.matrix(&checkpoint, &[part("down")]);
        let plain = backend.mlp(&x, &up, &down, self.activation).unwrap();
        // Packed as up over gate: the parts put them in order.
        let (packed, half) = (part("packed"), part("packed").outputs() / 2);
        let parts = [packed.rows(half..2 * half), packed.rows(0..half)];
        let gate_up = backend.matrix(&checkpoint, &parts);
        let gated = backend.gated_mlp(&x, &gate_up, &down, self.activation).unwrap();
        assert!(backend.mlp(&x, &up, &up, self.activation).is_err());
        [backend.values(&plain), backend.values(&gated)].concat()
    }
}

#[test]
fn networks_are_their_formula() {
    let (width, ffn) = (48, 80);
    let mut up = Weights::new(7);
    let stored = |up: &mut Weights, name: &str, shape: &[usize]| wide(&up.add(name, shape, DType::F32));
    let weight = stored(&mut up, "up", &[ffn, width]);
    let bias = stored(&mut up, "up.bias", &[ffn]);
    let down = stored(&mut up, "down", &[width, ffn]);
    let down_bias = stored(&mut up, "down.bias", &[width]);
    let packed = stored(&mut up, "packed", &[2 * ffn, width]);
    let packed_bias = stored(&mut up, "packed.bias", &[2 * ffn]);
    let x = Numbers(8).take(ROWS * width);
    let linear = |x: &[f64], weight: &[f64], bias: &[f64]| -> Vec<f64> {
        let width = weight.len() / bias.len();
        let products = product(x, weight, width);
        products.iter().zip(bias.iter().cycle()).map(|(x, b)| x + b).collect()
    };
    for activation in [Activation::Silu, Activation::GeluTanh, Activation::GeluErf] {
        let hidden = linear(&wide(&x), &weight, &bias);
        let hidden: Vec<f64> = hidden.iter().map(|x| activate(*x, activation)).collect();
        let plain = linear(&hidden, &down, &down_bias);
        let both = linear(&wide(&x), &packed, &packed_bias);
        let row = |both: &[f64]| -> Vec<f64> {
            let (up, gate) = both.split_at(ffn);
            gate.iter().zip(up).map(|(gate, up)| activate(*gate, activation) * up).collect()
        };
        let hidden: Vec<f64> = both.chunks(2 * ffn).flat_map(row).collect();
        let gated = linear(&hidden, &down, &down_bias);
        ask(&Network { x: &x, up: &up, activation }, 1e-5, &[plain, gated].concat());
    }
}

struct Clipped<'a>(&'a [f32]);

impl Question for Clipped<'_> {
    fn ask<B: Backend>(&self, backend: &B) -> Vec<f32> {
        let mut x = backend.activations(self.0, 9);
        backend.clip(&mut x, 0.5).unwrap();
        backend.values(&x)
    }
}

#[test]
fn clipped_values_lie_within_the_limit() {
    let mut x = Numbers(3).take(9 * 2000);
    for (at, special) in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.5, 0.5].into_iter().enumerate() {
        x[100 * at] = special;
    }
    let expected: Vec<f64> = x.iter().map(|x| f64::from(x.clamp(-0.5, 0.5))).collect();
    ask(&Clipped(&x), 0.0, &expected);
}

/// Texts pooled together; alone, each has the same bits.
struct Pooled<'a> {
    x: &'a [f32],
    width: usize,
    spans: &'a [Range<usize>],
    pooling: Pooling,
}

impl Question for Pooled<'_> {
    fn ask<B: Backend>(&self, backend: &B) -> Vec<f32> {
        let x = backend.activations(self.x, self.width);
        let pooled = backend.pool(&x, self.spans, self.pooling).unwrap();
        let together = backend.values(&pooled);
        for (span, together) in self.spans.iter().zip(together.chunks(self.width)) {
            let rows: Vec<u32> = span.clone().map(|row| row as u32).collect();
            let alone = backend.select_rows(&x, &rows).unwrap();
            #[allow(clippy::single_range_in_vec_init)]
            let alone = backend.pool(&alone, &[0..rows.len()], self.pooling).unwrap();
            assert_eq!(backend.values(&alone), together, "{span:?}");
        }
        let none = backend.pool(&x, &[], self.pooling).unwrap();
        assert!(backend.values(&none).is_empty());
        let rows = self.x.len() / self.width;
        for span in [3..3, 0..rows + 1, rows..rows + 2] {
            assert!(backend.pool(&x, &[span], self.pooling).is_err());
        }
        together
    }
}

#[test]
fn texts_are_pooled() {
    for width in [1, 15, 64, 100, 200] {
        let x = Numbers(width as u64).take(700 * width);
        // Spans may leave rows out, come in any order and meet; one is longer than a cascade of sums.
        let spans = [400..700, 0..1, 1..12, 12..14, 14..15, 15..16, 20..399];
        for pooling in [Pooling::First, Pooling::Mean, Pooling::Last] {
            let text = |span: &Range<usize>| -> Vec<f64> {
                let row = |row: usize| wide(&x[row * width..][..width]);
                match pooling {
                    Pooling::First => row(span.start),
                    Pooling::Last => row(span.end - 1),
                    Pooling::Mean => {
                        let mut mean = vec![0.0; width];
                        for row in span.clone().map(row) {
                            mean.iter_mut().zip(row).for_each(|(mean, x)| *mean += x / span.len() as f64);
                        }
                        mean
                    }
                }
            };
            let pooled: Vec<f64> = spans.iter().flat_map(text).collect();
            let question = Pooled { x: &x, width, spans: &spans, pooling };
            ask(&question, 1e-5, &pooled);
        }
    }
}
