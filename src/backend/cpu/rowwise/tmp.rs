//! Temporary.
use super::super::attention::Run;
use crate::backend::Activation;
pub(in super::super) fn rms_norm(_run: Run<'_>, x: &[f32], w: &[f32], eps: f32, out: &mut [f32]) {
    for (x, out) in x.chunks_exact(w.len()).zip(out.chunks_exact_mut(w.len())) {
        let sum: f32 = x.iter().map(|x| x * x).sum();
        let scale = (sum / w.len() as f32 + eps).sqrt();
        for ((out, x), w) in out.iter_mut().zip(x).zip(w) {
            *out = x / scale * w;
        }
    }
}
pub(in super::super) fn add_rms_norm(
    run: Run<'_>,
    r: &mut [f32],
    d: &[f32],
    w: &[f32],
    eps: f32,
    out: &mut [f32],
) {
    r.iter_mut().zip(d).for_each(|(r, d)| *r += d);
    rms_norm(run, r, w, eps, out);
}
pub(in super::super) fn gated(_run: Run<'_>, both: &[f32], width: usize, _a: Activation, out: &mut [f32]) {
    for (b, out) in both.chunks_exact(2 * width).zip(out.chunks_exact_mut(width)) {
        for i in 0..width {
            let g = b[i];
            out[i] = g / (1.0 + (-g).exp()) * b[width + i];
        }
    }
}
