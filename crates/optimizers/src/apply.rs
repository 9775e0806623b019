use burn::{
    backend::Flex,
    tensor::{DType, Device, Tensor},
};

use crate::{At, Rule};

/// Parameters of one task of the parallel pass: large enough to hide the cost of a task, small enough for a cache.
const TASK: usize = 1 << 15;

/// One update of a flat parameter by `rule`; an empty state is a state of zeros.
pub(crate) fn apply<const K: usize, A: Rule<K> + Sync>(
    rule: &A,
    at: At,
    theta: Tensor<1>,
    g: Tensor<1>,
    state: Vec<Tensor<1>>,
) -> (Tensor<1>, Vec<Tensor<1>>) {
    let state: [Tensor<1>; K] = state
        .try_into()
        .unwrap_or_else(|_| std::array::from_fn(|_| theta.zeros_like()));
    let (theta, state) = if theta.device() == Device::flex() && theta.dtype() == DType::F32 {
        apply_in_place(rule, at, theta, g, state)
    } else {
        rule.update(at, theta, g, state)
    };
    (theta, state.into())
}

/// The f32 instance of `rule`, in one pass over memory; in place wherever the tensors share theirs with no other.
fn apply_in_place<const K: usize, A: Rule<K> + Sync>(
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

fn pass<const K: usize, A: Rule<K> + Sync>(
    rule: &A,
    at: At,
    theta: &mut [f32],
    g: &[f32],
    mut state: [&mut [f32]; K],
) {
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
    // Slices of one length, so that the bounds are checked once and the loop is vectorised.
    let g = &g[..n];
    for s in &mut state {
        *s = &mut std::mem::take(s)[..n];
    }
    for i in 0..n {
        let (updated, next) = rule.update(at, theta[i], g[i], std::array::from_fn(|k| state[k][i]));
        theta[i] = updated;
        for (s, next) in state.iter_mut().zip(next) {
            s[i] = next;
        }
    }
}
