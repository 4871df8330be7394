//! Adapters of low rank beside a model (LoRA; Hu et al., 2021, arXiv 2106.09685), in the layout of PEFT: which modules of the
//! model they change, and which rows of a step go through which.
//!
//! A model is built with one matrix for several modules (queries, keys and values; gate and up). Such a [`Linear`] keeps
//! its number, and [`Adaptable`] says for every number which module has which of its outputs, in which order of rows. So an
//! adapter of the queries alone changes their columns only, and finds them where the model has put them.

mod adapter;
mod config;
mod linear;
mod site;
mod step;

pub use adapter::{Adapter, AdapterSources};
pub use config::LoraConfig;
pub(super) use linear::{GatedNetwork, Linear};
pub use site::Adaptable;
pub(super) use site::Site;
pub(super) use step::Adapted;
pub use step::StepAdapters;

#[cfg(test)]
mod tests;
