//! How a model takes its weights from a checkpoint: each architecture names its tensors once, in a `build` that is
//! generic over a [`Store`]. Going through it with a [`Survey`] checks every name and shape and adds up what a load
//! would cost; going through it with a [`Loader`] reads and packs.

use std::ops::{ControlFlow, Range};

use super::config::{CONFIG, unexpected};
use super::lora::{Linear, Site};
use super::{Fp8Blocks, ModelError};
use crate::backend::{Backend, BackendError, BlockScales, MatrixPart, MatrixSource, MatrixUse, RowOrder};
use crate::weights::{Checkpoint, DType, Format, LoadPhase, LoadProgress, TensorInfo, WeightsError};

/// What the weights of a model are: a backend's, or nothing but their places.
pub(super) trait Weights {
    /// A matrix `[out, in]`, with an optional bias.
    type Matrix;
    /// A vector, as a norm has.
    type Vector;
}

impl<B: Backend> Weights for B {
    type Matrix = <B as Backend>::Matrix;
    type Vector = <B as Backend>::Vector;
}

/// The weights of a model that is only looked through.
pub(super) struct Surveyed;

impl Weights for Surveyed {
    type Matrix = ();
    type Vector = ();
}

/// Makes weights out of tensors.
pub(super) trait Store<'a> {
    type Weights: Weights;

    /// A matrix.
    fn matrix(&mut self, source: MatrixSource<'a>) -> Result<MatrixOf<'a, Self>, ModelError>;

    /// A vector.
    fn vector(
        &mut self,
        checkpoint: &'a Checkpoint,
        tensor: &'a TensorInfo,
    ) -> Result<VectorOf<'a, Self>, ModelError>;

    /// The values of a small tensor that the model needs to know itself; ones where nothing is read.
    fn values(&mut self, checkpoint: &'a Checkpoint, tensor: &'a TensorInfo) -> Result<Vec<f32>, ModelError>;
}

pub(super) type MatrixOf<'a, S> = <<S as Store<'a>>::Weights as Weights>::Matrix;
pub(super) type VectorOf<'a, S> = <<S as Store<'a>>::Weights as Weights>::Vector;

/// Keeps where everything is, and reads nothing.
#[derive(Debug, Default)]
pub(super) struct Survey<'a> {
    pub(super) matrices: Vec<MatrixSource<'a>>,
    /// Elements of all vectors.
    pub(super) vector_elements: u64,
}

impl<'a> Store<'a> for Survey<'a> {
    type Weights = Surveyed;

    fn matrix(&mut self, source: MatrixSource<'a>) -> Result<(), ModelError> {
        self.matrices.push(source);
        Ok(())
    }

    fn vector(&mut self, _: &'a Checkpoint, tensor: &'a TensorInfo) -> Result<(), ModelError> {
        self.vector_elements += tensor.elements() as u64;
        Ok(())
    }

    fn values(&mut self, _: &'a Checkpoint, tensor: &'a TensorInfo) -> Result<Vec<f32>, ModelError> {
        Ok(vec![1.0; tensor.elements()])
    }
}

impl Survey<'_> {
    /// Bytes of memory that the weights will take on this backend.
    ///
    /// # Errors
    /// What keeps the backend from loading a matrix and shows without reading it.
    pub(super) fn weight_bytes<B: Backend>(&self, backend: &B) -> Result<u64, BackendError> {
        let vectors = self.vector_elements.saturating_mul(4);
        self.matrices
            .iter()
            .try_fold(vectors, |sum, source| Ok(sum.saturating_add(backend.matrix_bytes(source)?)))
    }

    /// Bytes of all matrices in the files.
    pub(super) fn file_bytes(&self) -> u64 {
        self.matrices.iter().map(MatrixSource::file_bytes).sum()
    }
}

/// Reads and packs. The progress callback hears of it many times, within large matrices too, and may stop the load.
pub(super) struct Loader<'p, B: Backend> {
    backend: &'p B,
    progress: &'p mut dyn FnMut(LoadProgress) -> ControlFlow<()>,
    done_bytes: u64,
    total_bytes: u64,
}

impl<'p, B: Backend> Loader<'p, B> {
    /// A loader of `total_bytes` of matrices.
    ///
    /// # Errors
    /// [`ModelError::Cancelled`] when `progress` says so at once.
    pub(super) fn new(
        backend: &'p B,
        total_bytes: u64,
        progress: &'p mut dyn FnMut(LoadProgress) -> ControlFlow<()>,
    ) -> Result<Self, ModelError> {
        match progress(LoadProgress { phase: LoadPhase::Weights, done_bytes: 0, total_bytes }) {
            ControlFlow::Continue(()) => Ok(Self { backend, progress, done_bytes: 0, total_bytes }),
            ControlFlow::Break(()) => Err(ModelError::Cancelled),
        }
    }
}

impl<'a, B: Backend> Store<'a> for Loader<'_, B> {
    type Weights = B;

    fn matrix(&mut self, source: MatrixSource<'a>) -> Result<<B as Backend>::Matrix, ModelError> {
        let Self { backend, progress, done_bytes, total_bytes } = self;
        let (before, total_bytes) = (*done_bytes, *total_bytes);
        let mut report = |done| {
            progress(LoadProgress { phase: LoadPhase::Weights, done_bytes: before + done, total_bytes })
        };
        let matrix = backend.load_matrix(&source, &mut report).map_err(|error| match error {
            BackendError::Weights(WeightsError::Cancelled) => ModelError::Cancelled,
            error => error.into(),
        })?;
        *done_bytes += source.file_bytes();
        Ok(matrix)
    }

    fn vector(
        &mut self,
        checkpoint: &'a Checkpoint,
        tensor: &'a TensorInfo,
    ) -> Result<<B as Backend>::Vector, ModelError> {
        Ok(self.backend.load_vector(checkpoint, tensor)?)
    }

    fn values(&mut self, checkpoint: &'a Checkpoint, tensor: &'a TensorInfo) -> Result<Vec<f32>, ModelError> {
        let mut values = vec![0.0; tensor.elements()];
        checkpoint.read_rows_f32(tensor, 0..tensor.rows(), &mut values)?;
        Ok(values)
    }
}

/// The weights of a layer norm with a bias.
pub(super) struct Norm<W: Weights> {
    weight: W::Vector,
    bias: W::Vector,
}

impl<B: Backend> Norm<B> {
    /// The norm of `x`.
    pub(super) fn of(&self, backend: &B, x: &B::Tensor, epsilon: f32) -> Result<B::Tensor, BackendError> {
        backend.layer_norm(x, &self.weight, Some(&self.bias), epsilon)
    }

    /// The norm of `residual + delta`; the sum stays in `residual`.
    pub(super) fn of_sum(
        &self,
        backend: &B,
        residual: &mut B::Tensor,
        delta: &B::Tensor,
        epsilon: f32,
    ) -> Result<B::Tensor, BackendError> {
        backend.add_layer_norm(residual, delta, &self.weight, Some(&self.bias), epsilon)
    }
}

/// Weights that an adapter may change, with the name of their module in Hugging Face's model, whatever the format.
#[derive(Debug, Clone)]
pub(super) struct Product<'a> {
    module: String,
    part: MatrixPart<'a>,
    /// How the outputs that the model expects lie in Hugging Face's module, and so in what an adapter has for it.
    order: RowOrder,
}

impl Product<'_> {
    /// Only these of its outputs.
    pub(super) fn rows(&self, rows: Range<usize>) -> Self {
        Self { module: self.module.clone(), part: self.part.rows(rows), order: self.order }
    }

    /// How its outputs lie in Hugging Face's module, which is the tensor.
    pub(super) fn order(self, order: RowOrder) -> Self {
        Self { part: self.part.order(order), order, ..self }
    }

    /// How its outputs lie in the tensor, which is another order than that of Hugging Face's module.
    pub(super) fn stored_order(self, order: RowOrder) -> Self {
        Self { part: self.part.order(order), ..self }
    }
}

/// A checkpoint whose tensors go to a store, once their shapes are right.
pub(super) struct Tensors<'a, 's, S> {
    checkpoint: &'a Checkpoint,
    store: &'s mut S,
    fp8: Option<Fp8Blocks>,
    /// The products that adapters may change, in the order of their numbers.
    sites: Vec<Site>,
}

impl<'a, 's, S: Store<'a>> Tensors<'a, 's, S> {
    pub(super) fn new(checkpoint: &'a Checkpoint, store: &'s mut S) -> Self {
        Self { checkpoint, store, fp8: None, sites: Vec::new() }
    }

    /// The blocks of weights in 8-bit floats, where the configuration names them.
    pub(super) fn fp8(self, blocks: Option<Fp8Blocks>) -> Self {
        Self { fp8: blocks, ..self }
    }

    /// What adapters may change in what was taken so far.
    pub(super) fn into_sites(self) -> Vec<Site> {
        self.sites
    }

    pub(super) fn format(&self) -> Format {
        self.checkpoint.format()
    }

    /// Whether the checkpoint has this tensor.
    pub(super) fn has(&self, name: &str) -> bool {
        self.checkpoint.get(name).is_some()
    }

    fn find(&self, name: &str, shape: &[usize]) -> Result<&'a TensorInfo, ModelError> {
        let tensor = self.checkpoint.tensor(name)?;
        check_shape(tensor, shape)?;
        Ok(tensor)
    }

    /// A vector of `width` values.
    pub(super) fn vector(&mut self, name: &str, width: usize) -> Result<VectorOf<'a, S>, ModelError> {
        let tensor = self.find(name, &[width])?;
        if tensor.dtype() == DType::F8_E4M3 {
            let problem = "a vector cannot be F8_E4M3; F32, F16 and BF16 are accepted";
            return Err(WeightsError::tensor(self.checkpoint.path(), name, problem).into());
        }
        self.store.vector(self.checkpoint, tensor)
    }

    /// A layer norm: `STEM.weight` and `STEM.bias`, or `STEM.gamma` and `STEM.beta` as TensorFlow called them and
    /// checkpoints that came from there still do.
    pub(super) fn norm(&mut self, stem: &str, width: usize) -> Result<Norm<S::Weights>, ModelError> {
        let name = |now: &str, once: &str| {
            let once = format!("{stem}.{once}");
            if self.has(&once) { once } else { format!("{stem}.{now}") }
        };
        let (weight, bias) = (name("weight", "gamma"), name("bias", "beta"));
        Ok(Norm { weight: self.vector(&weight, width)?, bias: self.vector(&bias, width)? })
    }

    /// The values of a vector, where the checkpoint has it.
    pub(super) fn values(&mut self, name: &str, width: usize) -> Result<Option<Vec<f32>>, ModelError> {
        let Some(tensor) = self.checkpoint.get(name) else { return Ok(None) };
        check_shape(tensor, &[width])?;
        self.store.values(self.checkpoint, tensor).map(Some)
    }

    /// All of the tensor of this very name and shape: a part of a matrix, or several to be cut out.
    pub(super) fn whole(&self, name: &str, shape: &[usize]) -> Result<MatrixPart<'a>, ModelError> {
        Ok(MatrixPart::whole(self.find(name, shape)?))
    }

    /// The weight `STEM.weight`, `[rows, cols]`, with `STEM.bias` where the checkpoint has one: a part of a matrix.
    pub(super) fn part(&self, stem: &str, rows: usize, cols: usize) -> Result<MatrixPart<'a>, ModelError> {
        let weight = self.find(&format!("{stem}.weight"), &[rows, cols])?;
        let bias = self.checkpoint.get(&format!("{stem}.bias"));
        if let Some(bias) = bias {
            check_shape(bias, &[rows])?;
        }
        Ok(MatrixPart::whole(weight).bias(bias).scales(self.scales(weight)?))
    }

    /// The scales of a weight in 8-bit floats, in a tensor beside it.
    fn scales(&self, weight: &TensorInfo) -> Result<Option<BlockScales<'a>>, ModelError> {
        if weight.dtype() != DType::F8_E4M3 {
            return Ok(None);
        }
        let Some(Fp8Blocks { rows, cols }) = self.fp8 else {
            let expected = format!("the blocks of {}, tensor {:?}", weight.dtype(), weight.name());
            return Err(unexpected(CONFIG, "quantization_config", "missing", &expected));
        };
        let shape = [weight.rows().div_ceil(rows), weight.cols().div_ceil(cols)];
        let tensor = self.find(&format!("{}_scale_inv", weight.name()), &shape)?;
        Ok(Some(BlockScales { tensor, rows, cols }))
    }

    /// The weight `STEM.weight`, `[rows, cols]`, as [`part`](Self::part) has it, of a module that adapters may change.
    pub(super) fn module(
        &self,
        module: impl Into<String>,
        stem: &str,
        rows: usize,
        cols: usize,
    ) -> Result<Product<'a>, ModelError> {
        let part = self.part(stem, rows, cols)?;
        Ok(Product { module: module.into(), part, order: RowOrder::AsStored })
    }

    /// A matrix to multiply with that adapters may change, of parts stacked along the output dimension.
    pub(super) fn linear(&mut self, products: &[Product<'a>]) -> Result<Linear<S::Weights>, ModelError> {
        let parts: Vec<_> = products.iter().map(|product| product.part).collect();
        let matrix = self.stacked(&parts)?;
        let modules = products.iter().map(|product| (product.module.as_str(), product.part, product.order));
        self.sites.push(Site::new(modules));
        Ok(Linear::new(matrix, self.sites.len() - 1))
    }

    /// A matrix to multiply with, of parts stacked along the output dimension.
    pub(super) fn stacked(&mut self, parts: &[MatrixPart<'a>]) -> Result<MatrixOf<'a, S>, ModelError> {
        self.matrix(parts, MatrixUse::Product)
    }

    /// A matrix to multiply with, of one part: `STEM.weight` and its bias.
    pub(super) fn product(
        &mut self,
        stem: &str,
        rows: usize,
        cols: usize,
    ) -> Result<MatrixOf<'a, S>, ModelError> {
        let part = self.part(stem, rows, cols)?;
        self.stacked(&[part])
    }

    /// The matrix that experts are chosen by, with the bias that it may have.
    pub(super) fn router(
        &mut self,
        stem: &str,
        experts: usize,
        cols: usize,
    ) -> Result<MatrixOf<'a, S>, ModelError> {
        let part = self.part(stem, experts, cols)?;
        self.matrix(&[part], MatrixUse::Router)
    }

    /// A token embedding, which is the output head too when it is `tied`.
    pub(super) fn embedding(
        &mut self,
        stem: &str,
        vocab: usize,
        width: usize,
        tied: bool,
    ) -> Result<MatrixOf<'a, S>, ModelError> {
        let part = self.part(stem, vocab, width)?;
        self.matrix(&[part], if tied { MatrixUse::RowsAndProduct } else { MatrixUse::Rows })
    }

    fn matrix(&mut self, parts: &[MatrixPart<'a>], usage: MatrixUse) -> Result<MatrixOf<'a, S>, ModelError> {
        let source = MatrixSource { checkpoint: self.checkpoint, parts: parts.to_vec(), usage };
        self.store.matrix(source)
    }
}

/// An error unless a tensor has this shape.
pub(super) fn check_shape(tensor: &TensorInfo, expected: &[usize]) -> Result<(), ModelError> {
    if tensor.shape() == expected {
        return Ok(());
    }
    Err(ModelError::Shape {
        tensor: tensor.name().into(),
        found: tensor.shape().to_vec(),
        expected: expected.to_vec(),
    })
}
