//! Our own kernels: weights packed once for the instruction set found at run time, activations in an arena, threads of
//! the backend's own.

#![allow(unsafe_code)]

mod buffer;
mod kernels;
mod level;
mod matrix;
mod pack;
mod threads;

pub use level::Level;
