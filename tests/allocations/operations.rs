//! The operations that the repository's own models do not use, on matrices of the same files.

use std::ops::{ControlFlow, Range};
use std::path::Path;

use model_runtime::backend::cpu::{CpuBackend, CpuOptions};
use model_runtime::backend::{
    Activation, Backend, Expert, MatrixPart, MatrixSource, MatrixUse, Pooling, Routing, Scoring,
};
use model_runtime::weights::{Checkpoint, Format};

/// Rows of a step.
const ROWS: usize = 8;

const ROUTING: Routing =
    Routing { experts: 4, top_k: 2, scoring: Scoring::Softmax, groups: None, normalize: true, scale: 1.0 };

pub(crate) struct Operations {
    backend: CpuBackend,
    embedding: <CpuBackend as Backend>::Matrix,
    norm: <CpuBackend as Backend>::Vector,
    router: <CpuBackend as Backend>::Matrix,
    experts: Vec<Expert<<CpuBackend as Backend>::Matrix>>,
    ids: Vec<u32>,
    texts: [Range<usize>; 2],
}

impl Operations {
    /// Square matrices of a Llama's first layer play the experts.
    pub(crate) fn load(path: &str, options: CpuOptions) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        let checkpoint = Checkpoint::open(&path).unwrap();
        let backend = CpuBackend::new(options).unwrap();
        let (embedding, norm, square) = match checkpoint.format() {
            Format::Gguf => (
                "token_embd.weight",
                "output_norm.weight",
                ["attn_q", "attn_output", "ffn_gate", "ffn_up"].map(|of| format!("blk.0.{of}.weight")),
            ),
            _ => (
                "model.embed_tokens.weight",
                "model.norm.weight",
                ["self_attn.q_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj"]
                    .map(|of| format!("model.layers.0.{of}.weight")),
            ),
        };
        let width = checkpoint.tensor(norm).unwrap().elements();
        let part =
            |name: &str, rows: usize| MatrixPart::whole(checkpoint.tensor(name).unwrap()).rows(0..rows);
        let matrix = |parts: Vec<MatrixPart<'_>>, usage| {
            let source = MatrixSource { checkpoint: &checkpoint, parts, usage };
            backend.load_matrix(&source, &mut |_| ControlFlow::Continue(())).unwrap()
        };
        let expert = |at: usize| {
            let [gate, up, down] = [0, 1, 2].map(|of| part(&square[(at + of) % 4], width));
            Expert {
                gate_up: matrix(vec![gate, up], MatrixUse::Product),
                down: matrix(vec![down], MatrixUse::Product),
            }
        };
        Self {
            embedding: matrix(vec![part(embedding, 512)], MatrixUse::Rows),
            norm: backend.load_vector(&checkpoint, checkpoint.tensor(norm).unwrap()).unwrap(),
            router: matrix(vec![part(embedding, ROUTING.experts)], MatrixUse::Router),
            experts: (0..ROUTING.experts).map(expert).collect(),
            ids: vec![0; ROWS],
            texts: [0..3, 3..ROWS],
            backend,
        }
    }

    /// Other tokens for every step, and with them other experts.
    pub(crate) fn compute(&mut self, step: usize) {
        let Self { backend, embedding, norm, router, experts, ids, texts } = self;
        for (at, id) in ids.iter_mut().enumerate() {
            *id = ((step * 37 + at * 101) % 512) as u32;
        }
        let mut residual = backend.embed(embedding, ids).unwrap();
        let mut x = backend.layer_norm(&residual, norm, Some(norm), 1e-5).unwrap();
        backend.clip(&mut x, 2.0).unwrap();
        let first = &experts[0];
        let x = backend.mlp(&x, &first.down, &first.down, Activation::GeluErf).unwrap();
        let x = backend.add_layer_norm(&mut residual, &x, norm, None, 1e-5).unwrap();
        let x = backend.mixture(&x, router, None, experts, &ROUTING, Activation::Silu).unwrap();
        for pooling in [Pooling::First, Pooling::Mean, Pooling::Last] {
            backend.pool(&x, texts, pooling).unwrap();
        }
    }
}
