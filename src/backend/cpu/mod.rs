//! Our own kernels: weights packed once for the instruction set found at run time, activations in an arena, threads of
//! the backend's own.

#![allow(unsafe_code)]

mod attention;
#[doc(hidden)]
pub mod bench;
mod buffer;
mod cache;
mod kernels;
mod level;
mod matrix;
mod pack;
mod rowwise;
mod simd;
mod threads;

pub use cache::CacheType;
pub use level::Level;
