//! Kernels as operations of Burn: [`Fused`] routes them to a backend, an [`Operation`] is one on one backend, forward and
//! backward.
//!
//! Another backend takes part by implementing [`Fused`] and an [`Operation`] for each of the structs here.
#![cfg_attr(
    feature = "tch",
    expect(deprecated, reason = "Burn's LibTorch backend is in its last release")
)]

mod flex;
#[cfg(feature = "tch")]
mod libtorch;
mod operation;

#[cfg(feature = "tch")]
use burn::backend::LibTorch;
use burn::{
    backend::{
        Autodiff, Backend, Dispatch, Flex,
        autodiff::checkpoint::strategy::CheckpointStrategy,
        backend_extension,
        tensor::{FloatTensor, IntTensor},
    },
    tensor::{DType, Device, Int, Tensor},
};

#[cfg(feature = "tch")]
pub use self::libtorch::{AdamWStep, adamw};
pub use self::operation::Operation;
use self::operation::record;
use crate::{AttentionShape, Dropout, Precision};

/// `x W + b` of `x`, `weight` and `bias`.
#[derive(Clone, Debug)]
pub struct Linear {
    /// Of the products' operands.
    pub precision: Precision,
}

/// `x E^T` of `x` and `embedding`.
#[derive(Clone, Debug)]
pub struct LinearTied {
    /// Of the products' operands.
    pub precision: Precision,
}

/// Layer normalisation of `x` with `weight` and `bias`.
#[derive(Clone, Debug)]
pub struct LayerNorm {
    /// Added to the variance.
    pub epsilon: f64,
}

/// `gelu(x + b)` of `x` and `bias`.
#[derive(Clone, Debug)]
pub struct BiasGelu;

/// `residual + dropout(x + b)` of `x`, `bias` and `residual`.
#[derive(Clone, Debug)]
pub struct BiasDropoutAdd {
    /// Of the branch.
    pub dropout: Dropout,
}

/// `dropout(E[token] + P[position])` of `table` and `positions`.
#[derive(Clone, Debug)]
pub struct Embedding<I> {
    /// `[batch, context]`.
    pub tokens: I,
    /// Of the sum.
    pub dropout: Dropout,
}

/// Causal self-attention of the packed projection.
#[derive(Clone, Debug)]
pub struct CausalAttention {
    /// Sequences and heads.
    pub shape: AttentionShape,
    /// Of the attention weights.
    pub dropout: Dropout,
    /// Of the products' operands.
    pub precision: Precision,
}

/// `-log softmax(logits)[target]` of `logits`.
#[derive(Clone, Debug)]
pub struct CrossEntropy<I> {
    /// `[tokens]`.
    pub targets: I,
}

/// A backend with fused kernels: how an operation gets from a device to its [`Operation`].
///
/// A missing bias is a tensor without elements. For the shapes see [`Operations`](crate::Operations).
#[backend_extension(Autodiff, Flex, LibTorch: cfg(feature = "tch"))]
pub trait Fused: Backend {
    /// [`Linear`].
    fn linear(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        precision: Precision,
    ) -> FloatTensor<Self>;

    /// [`LinearTied`].
    fn linear_tied(
        x: FloatTensor<Self>,
        embedding: FloatTensor<Self>,
        precision: Precision,
    ) -> FloatTensor<Self>;

    /// [`LayerNorm`].
    fn layer_norm(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self>;

    /// [`BiasGelu`].
    fn bias_gelu(x: FloatTensor<Self>, bias: FloatTensor<Self>) -> FloatTensor<Self>;

    /// [`BiasDropoutAdd`].
    fn bias_dropout_add(
        x: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        dropout: Dropout,
    ) -> FloatTensor<Self>;

    /// [`Embedding`].
    fn embedding(
        table: FloatTensor<Self>,
        positions: FloatTensor<Self>,
        tokens: IntTensor<Self>,
        dropout: Dropout,
    ) -> FloatTensor<Self>;

    /// [`CausalAttention`].
    fn causal_attention(
        qkv: FloatTensor<Self>,
        shape: AttentionShape,
        dropout: Dropout,
        precision: Precision,
    ) -> FloatTensor<Self>;

    /// [`CrossEntropy`].
    fn cross_entropy(logits: FloatTensor<Self>, targets: IntTensor<Self>) -> FloatTensor<Self>;
}

/// The methods of [`Fused`], each running its operation with `$run`.
macro_rules! routed {
    ($run:expr) => {
        fn linear(
            x: FloatTensor<Self>,
            weight: FloatTensor<Self>,
            bias: FloatTensor<Self>,
            precision: Precision,
        ) -> FloatTensor<Self> {
            $run(Linear { precision }, [x, weight, bias])
        }

        fn linear_tied(
            x: FloatTensor<Self>,
            embedding: FloatTensor<Self>,
            precision: Precision,
        ) -> FloatTensor<Self> {
            $run(LinearTied { precision }, [x, embedding])
        }

        fn layer_norm(
            x: FloatTensor<Self>,
            weight: FloatTensor<Self>,
            bias: FloatTensor<Self>,
            epsilon: f64,
        ) -> FloatTensor<Self> {
            $run(LayerNorm { epsilon }, [x, weight, bias])
        }

        fn bias_gelu(x: FloatTensor<Self>, bias: FloatTensor<Self>) -> FloatTensor<Self> {
            $run(BiasGelu, [x, bias])
        }

        fn bias_dropout_add(
            x: FloatTensor<Self>,
            bias: FloatTensor<Self>,
            residual: FloatTensor<Self>,
            dropout: Dropout,
        ) -> FloatTensor<Self> {
            $run(BiasDropoutAdd { dropout }, [x, bias, residual])
        }

        fn embedding(
            table: FloatTensor<Self>,
            positions: FloatTensor<Self>,
            tokens: IntTensor<Self>,
            dropout: Dropout,
        ) -> FloatTensor<Self> {
            $run(Embedding { tokens, dropout }, [table, positions])
        }

        fn causal_attention(
            qkv: FloatTensor<Self>,
            shape: AttentionShape,
            dropout: Dropout,
            precision: Precision,
        ) -> FloatTensor<Self> {
            let operation = CausalAttention {
                shape,
                dropout,
                precision,
            };
            $run(operation, [qkv])
        }

        fn cross_entropy(logits: FloatTensor<Self>, targets: IntTensor<Self>) -> FloatTensor<Self> {
            $run(CrossEntropy { targets }, [logits])
        }
    };
}

impl Fused for Flex {
    routed!(run::<Flex, _, _>);
}

#[cfg(feature = "tch")]
impl Fused for LibTorch {
    routed!(run::<LibTorch, _, _>);
}

impl<B, C> Fused for Autodiff<B, C>
where
    B: Backend,
    C: CheckpointStrategy,
    Linear: Operation<B, 3>,
    LinearTied: Operation<B, 2>,
    LayerNorm: Operation<B, 3>,
    BiasGelu: Operation<B, 2>,
    BiasDropoutAdd: Operation<B, 3>,
    Embedding<IntTensor<B>>: Operation<B, 2>,
    CausalAttention: Operation<B, 1>,
    CrossEntropy<IntTensor<B>>: Operation<B, 1>,
{
    routed!(record::<B, C, _, _>);
}

/// An operation outside any graph.
fn run<B: Backend, O: Operation<B, N>, const N: usize>(
    operation: O,
    inputs: [FloatTensor<B>; N],
) -> FloatTensor<B> {
    operation.forward(inputs).0
}

/// Whether there are kernels for a tensor's device and type.
pub(crate) fn serves<const D: usize>(tensor: &Tensor<D>) -> bool {
    tensor.dtype() == DType::F32 && has_kernels(&tensor.device().inner())
}

/// Every element times `factor`; in the tensor's own memory, in one pass, where that is this process' and no other tensor
/// shares it.
pub fn scale<const D: usize>(tensor: Tensor<D>, factor: f64) -> Tensor<D> {
    if tensor.dtype() != DType::F32 || tensor.device() != Device::flex() {
        return tensor * factor;
    }
    let tensor = tensor.try_into_primitive::<Flex>().expect("the device is Flex");
    Tensor::from_primitive::<Flex>(flex::scale(tensor, factor as f32))
}

/// The sum of the squares of all elements, computed in f64; none where the tensor's device has to be asked to read it.
pub fn sum_of_squares<const D: usize>(tensor: &Tensor<D>) -> Option<f64> {
    let here = tensor.dtype() == DType::F32 && tensor.device() == Device::flex();
    here.then(|| {
        tensor
            .clone()
            .try_into_primitive::<Flex>()
            .ok()
            .map(flex::sum_of_squares)
    })?
}

fn has_kernels(device: &Device) -> bool {
    *device == Device::flex() || is_libtorch(device)
}

/// Whether tensors of the device are LibTorch's.
#[cfg(feature = "tch")]
pub fn is_libtorch(device: &Device) -> bool {
    matches!(device.as_dispatch(), burn::backend::DispatchDevice::LibTorch(_))
}

/// Whether tensors of the device are LibTorch's.
#[cfg(not(feature = "tch"))]
pub fn is_libtorch(_: &Device) -> bool {
    false
}

pub(crate) fn linear(
    x: Tensor<2>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
    precision: Precision,
) -> Tensor<2> {
    let bias = or_empty(bias, &x);
    let (x, weight, bias) = (x.into_dispatch(), weight.into_dispatch(), bias.into_dispatch());
    Tensor::from_dispatch(<Dispatch as Fused>::linear(x, weight, bias, precision))
}

pub(crate) fn linear_tied(x: Tensor<2>, embedding: Tensor<2>, precision: Precision) -> Tensor<2> {
    let (x, embedding) = (x.into_dispatch(), embedding.into_dispatch());
    Tensor::from_dispatch(<Dispatch as Fused>::linear_tied(x, embedding, precision))
}

pub(crate) fn layer_norm(
    x: Tensor<2>,
    weight: Tensor<1>,
    bias: Option<Tensor<1>>,
    epsilon: f64,
) -> Tensor<2> {
    let bias = or_empty(bias, &x);
    let (x, weight, bias) = (x.into_dispatch(), weight.into_dispatch(), bias.into_dispatch());
    Tensor::from_dispatch(<Dispatch as Fused>::layer_norm(x, weight, bias, epsilon))
}

pub(crate) fn bias_gelu(x: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<2> {
    let bias = or_empty(bias, &x);
    Tensor::from_dispatch(<Dispatch as Fused>::bias_gelu(
        x.into_dispatch(),
        bias.into_dispatch(),
    ))
}

pub(crate) fn bias_dropout_add(
    x: Tensor<2>,
    bias: Option<Tensor<1>>,
    residual: Tensor<2>,
    dropout: Dropout,
) -> Tensor<2> {
    let bias = or_empty(bias, &x);
    let (x, bias, residual) = (x.into_dispatch(), bias.into_dispatch(), residual.into_dispatch());
    Tensor::from_dispatch(<Dispatch as Fused>::bias_dropout_add(x, bias, residual, dropout))
}

pub(crate) fn embedding(
    tokens: Tensor<2, Int>,
    table: Tensor<2>,
    positions: Tensor<2>,
    dropout: Dropout,
) -> Tensor<2> {
    let (table, positions) = (table.into_dispatch(), positions.into_dispatch());
    let tokens = tokens.into_dispatch();
    Tensor::from_dispatch(<Dispatch as Fused>::embedding(table, positions, tokens, dropout))
}

pub(crate) fn causal_attention(
    qkv: Tensor<2>,
    shape: AttentionShape,
    dropout: Dropout,
    precision: Precision,
) -> Tensor<2> {
    Tensor::from_dispatch(<Dispatch as Fused>::causal_attention(
        qkv.into_dispatch(),
        shape,
        dropout,
        precision,
    ))
}

pub(crate) fn cross_entropy(logits: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
    Tensor::from_dispatch(<Dispatch as Fused>::cross_entropy(
        logits.into_dispatch(),
        targets.into_dispatch(),
    ))
}

fn or_empty(bias: Option<Tensor<1>>, like: &Tensor<2>) -> Tensor<1> {
    bias.unwrap_or_else(|| Tensor::empty([0], &like.device()))
}
