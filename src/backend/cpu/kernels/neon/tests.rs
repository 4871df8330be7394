//! The trial of all levels.

use super::*;
use crate::backend::cpu::Level as Supported;
use crate::backend::cpu::kernels::cases;

fn levels() -> impl Iterator<Item = Kernels> {
    let levels = [(Supported::Neon, KERNELS), (Supported::NeonDot, DOT_KERNELS)];
    levels.into_iter().filter(|(level, _)| level.is_supported()).map(|(_, kernels)| kernels)
}

#[test]
fn int8_panels() {
    levels().for_each(|kernels| cases::int8(&kernels));
}

#[test]
fn panels_with_a_scale_per_channel() {
    levels().for_each(|kernels| cases::per_channel(&kernels));
}

#[test]
fn float_panels() {
    levels().for_each(|kernels| cases::float(&kernels));
}

#[test]
fn fp8_panels() {
    levels().for_each(|kernels| cases::fp8(&kernels));
}

#[test]
fn rows_in_other_types() {
    levels().for_each(|kernels| {
        cases::quantize(&kernels);
        cases::to_bf16(&kernels);
    });
}
