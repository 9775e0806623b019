use std::marker::PhantomData;

use burn::{
    backend::Flex,
    optim::{DynState, Optimizer, RecordState, StateSink, StateSource},
    tensor::{DType, Device, Tensor},
};

use kernels::cpu::simd::vectorised;

use crate::{At, Rule};

/// Parameters of one task of the parallel pass: large enough to hide the cost of a task, small enough for a cache.
const TASK: usize = 1 << 14;

/// A rule as an optimizer of Burn's, for parameters of any rank.
///
/// On Flex, f32 parameters are updated by the rule's f32 instance in one pass over memory, in place; elsewhere by its
/// tensor instance, or by a kernel of LibTorch where there is one.
///
/// ```
/// use burn::{optim::Optimizer, tensor::{Device, Tensor}};
/// use optimizers::{Elementwise, Sgd};
///
/// let device = Device::flex();
/// let theta = Tensor::<1>::from_floats([1.0], &device);
/// let g = Tensor::from_floats([2.0], &device);
/// let (theta, _) = Elementwise::new(Sgd::default()).step(0.1, theta, g, None);
/// assert_eq!(theta.into_scalar::<f32>(), 0.8);
/// ```
#[derive(Clone, Debug)]
pub struct Elementwise<A, const K: usize>(A);

/// What a rule remembers of one parameter.
#[derive(Clone, Debug)]
pub struct ElementwiseState<A, const K: usize> {
    /// Updates so far.
    t: u64,
    running: f64,
    /// Flat.
    tensors: [Tensor<1>; K],
    rule: PhantomData<fn() -> A>,
}

impl<A: Rule<K>, const K: usize> Elementwise<A, K> {
    /// The optimizer of a rule.
    pub fn new(rule: A) -> Self {
        Self(rule)
    }

    /// The rule.
    pub fn rule(&self) -> &A {
        &self.0
    }
}

impl<A: Rule<K>, const K: usize> Optimizer for Elementwise<A, K> {
    type State<const D: usize> = ElementwiseState<A, K>;

    fn step<const D: usize>(
        &self,
        lr: f64,
        theta: Tensor<D>,
        g: Tensor<D>,
        state: Option<Self::State<D>>,
    ) -> (Tensor<D>, Option<Self::State<D>>) {
        let shape = theta.shape();
        let elements = shape.num_elements();
        let (theta, g) = (theta.reshape([elements]), g.reshape([elements]));
        let state = state.unwrap_or_else(|| ElementwiseState {
            t: 0,
            running: 0.0,
            tensors: std::array::from_fn(|_| theta.zeros_like()),
            rule: PhantomData,
        });
        let mut at = At {
            t: state.t + 1,
            lr,
            running: state.running,
        };
        at.running = self.0.running(at);
        let (theta, tensors) = if theta.device() == Device::flex() && theta.dtype() == DType::F32 {
            update_in_place(&self.0, at, theta, g, state.tensors)
        } else {
            update_elsewhere(&self.0, at, theta, g, state.tensors)
        };
        let state = ElementwiseState {
            t: at.t,
            running: at.running,
            tensors,
            rule: PhantomData,
        };
        (theta.reshape(shape), Some(state))
    }

    fn to_device<const D: usize>(mut state: Self::State<D>, device: &Device) -> Self::State<D> {
        state.tensors = state.tensors.map(|tensor| tensor.to_device(device));
        state
    }
}

impl<A: Rule<K>, const K: usize> RecordState for ElementwiseState<A, K> {
    fn state_flatten(&self, prefix: &str, out: &mut StateSink) {
        out.push_scalar(prefix, "t", self.t.into());
        if A::RUNNING {
            out.push_scalar(prefix, "running", self.running.into());
        }
        for (name, tensor) in A::STATE.iter().zip(&self.tensors) {
            out.push_tensor(prefix, name, tensor.to_data());
        }
    }

    fn state_unflatten(prefix: &str, source: &mut StateSource, device: &Device) -> Option<Self> {
        let mut tensors = Vec::with_capacity(K);
        for name in A::STATE {
            let data = source.take_tensor(prefix, name)?;
            let dtype = data.dtype();
            tensors.push(Tensor::from_data(data, (device, dtype)));
        }
        let running = if A::RUNNING {
            source.take_scalar(prefix, "running")?.try_into().ok()?
        } else {
            0.0
        };
        Some(Self {
            t: source.take_scalar(prefix, "t")?.try_into().ok()?,
            running,
            tensors: tensors.try_into().ok()?,
            rule: PhantomData,
        })
    }
}

/// The f32 instance of `rule`, in one pass over memory; in place wherever the tensors share theirs with no other.
fn update_in_place<const K: usize, A: Rule<K>>(
    rule: &A,
    at: At,
    theta: Tensor<1>,
    g: Tensor<1>,
    state: [Tensor<1>; K],
) -> (Tensor<1>, [Tensor<1>; K]) {
    const ON_FLEX: &str = "tensors of one update are on one device";
    let flex = |tensor: Tensor<1>| {
        tensor
            .try_into_primitive::<Flex>()
            .expect(ON_FLEX)
            .to_contiguous()
    };
    let (mut theta, g, mut state) = (flex(theta), flex(g), state.map(flex));
    pass(
        rule,
        at,
        theta.storage_mut(),
        g.storage(),
        state.each_mut().map(|s| s.storage_mut()),
    );
    (
        Tensor::from_primitive::<Flex>(theta),
        state.map(Tensor::from_primitive::<Flex>),
    )
}

fn pass<const K: usize, A: Rule<K>>(rule: &A, at: At, theta: &mut [f32], g: &[f32], state: [&mut [f32]; K]) {
    let n = theta.len();
    if n > TASK {
        let middle = n / 2;
        let (theta_left, theta_right) = theta.split_at_mut(middle);
        let (g_left, g_right) = g.split_at(middle);
        let mut rights = Vec::with_capacity(K);
        let lefts = state.map(|s| {
            let (left, right) = s.split_at_mut(middle);
            rights.push(right);
            left
        });
        let mut rights = rights.into_iter();
        let rights = lefts.each_ref().map(|_| rights.next().unwrap_or_default());
        rayon::join(
            || pass(rule, at, theta_left, g_left, lefts),
            || pass(rule, at, theta_right, g_right, rights),
        );
        return;
    }
    vectorised(
        #[inline(always)]
        || update_all(rule, at, theta, g, state),
    );
}

#[inline(always)]
fn update_all<const K: usize, A: Rule<K>>(
    rule: &A,
    at: At,
    theta: &mut [f32],
    g: &[f32],
    mut state: [&mut [f32]; K],
) {
    // Slices of one length, so that the bounds are checked once and the loop is vectorised.
    let n = theta.len();
    let g = &g[..n];
    for s in &mut state {
        *s = &mut std::mem::take(s)[..n];
    }
    for i in 0..n {
        let mut numbers = [0.0; K];
        for (number, s) in numbers.iter_mut().zip(&state) {
            *number = s[i];
        }
        let (updated, next) = rule.update(at, theta[i], g[i], numbers);
        theta[i] = updated;
        for (s, next) in state.iter_mut().zip(next) {
            s[i] = next;
        }
    }
}

/// The tensor instance of `rule`, or a kernel of the device's own.
fn update_elsewhere<const K: usize, A: Rule<K>>(
    rule: &A,
    at: At,
    theta: Tensor<1>,
    g: Tensor<1>,
    state: [Tensor<1>; K],
) -> (Tensor<1>, [Tensor<1>; K]) {
    #[cfg(feature = "tch")]
    if kernels::fused::is_libtorch(&theta.device()) {
        return crate::libtorch::update(rule, at, theta, g, state);
    }
    rule.update(at, theta, g, state)
}

/// What [`Rule::averaged`] says of a parameter with this state.
pub(crate) fn averaged<A: Rule<K>, const K: usize, const D: usize>(
    rule: &A,
    theta: Tensor<D>,
    state: &DynState,
) -> Tensor<D> {
    let tensors = state.downcast_ref::<ElementwiseState<A, K>>().tensors.clone();
    let shape = theta.shape();
    let flat = theta.reshape([shape.num_elements()]);
    rule.averaged(flat, tensors).reshape(shape)
}
