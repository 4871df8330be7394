//! Weights in the order that kernels read them: one layout per format, the same for every instruction set.
//!
//! A matrix `[out, in]` is cut into *panels* of [`PANEL`] output rows (the last one filled up with zeros). A panel is
//! contiguous; inside it, `lane` is the output row and `k` the input:
//!
//! | format | a panel is |
//! |---|---|
//! | F32, F16 | for each k: 16 values |
//! | BF16 | for each pair of k: 16 x (value of k, value of k + 1); an odd last k is paired with zero |
//! | Q8_0 | for each group of 32 k: `d: f16[16]`, `q: i8[8][16][4]` |
//! | Q4_0 | group: `d: f16[16]`, nibbles |
//! | Q4_1 | group: `d: f16[16]`, `m: f16[16]`, nibbles |
//! | Q5_0 | group: `d: f16[16]`, nibbles, high bits |
//! | Q5_1 | group: `d: f16[16]`, `m: f16[16]`, nibbles, high bits |
//! | Q4_K | super-block of 256 k: `d: f16[16]`, `dmin: f16[16]`, `scale: u8[8][16]`, `min: u8[8][16]`, nibbles of 8 groups |
//! | Q5_K | as Q4_K, then the high bits of 8 groups |
//! | Q6_K | super-block: `d: f16[16]`, `scale: i8[16][16]` (one per 16 k), nibbles of 8 groups, high pairs of 8 groups |
//! | Q2_K | super-block: `d: f16[16]`, `dmin: f16[16]`, `u8[16][16]` (scale in the low, min in the high nibble, one per 16 k), pairs of 8 groups |
//! | Q3_K | super-block: `d: f16[16]`, `scale: i8[16][16]` (one per 16 k, already minus 32), pairs of 8 groups, high bits of 8 groups (set: no 4 is subtracted) |
//!
//! A group of 32 k has 8 *steps* of 4 k; a step of a panel is 64 bytes `[16 lanes][4 k]`, which is one 512-bit
//! register. In a group:
//! - *nibbles*: 4 registers (256 bytes); register `j` holds step `j` in the low nibbles and step `j + 4` in the high ones;
//! - *pairs* (2 bits): 2 registers (128 bytes); register `h` holds step `4 h + s` in bits `2 s, 2 s + 1`;
//! - *high bits*: 8 little-endian `u64`, one per step; bit `4 * lane + i` belongs to byte `4 * lane + i` of the step.
//!
//! Values mean what they mean in GGUF: Q4_0 is `d * (q - 8)`, Q5_0 `d * (q - 16)`, Q4_K `d * scale * q - dmin * min`,
//! Q6_K `d * scale * (q - 32)`, Q3_K `d * scale * (q - 4)`. No value is changed by packing.

/// Output rows of a panel.
pub(super) const PANEL: usize = 16;

/// Inputs that share a scale in the int8 activations, and in most formats.
pub(super) const GROUP: usize = 32;
