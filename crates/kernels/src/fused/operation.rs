use std::fmt::Debug;

use burn::backend::{
    Autodiff, Backend,
    autodiff::{
        checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
        grads::Gradients,
        ops::{Backward, Ops, OpsKind},
    },
    tensor::FloatTensor,
};

/// A differentiable operation of `N` tensors on one backend, with its backward pass.
///
/// A bias that an operation does without is a tensor without elements.
pub trait Operation<B: Backend, const N: usize>: Clone + Debug + Send + 'static {
    /// What the backward pass needs of the forward pass.
    type Saved: Clone + Debug + Send + 'static;

    /// The output, and what the backward pass needs.
    fn forward(&self, inputs: [FloatTensor<B>; N]) -> (FloatTensor<B>, Self::Saved);

    /// The gradients of the inputs that are `wanted`, from that of the output.
    fn backward(
        &self,
        saved: Self::Saved,
        d_output: FloatTensor<B>,
        wanted: [bool; N],
    ) -> [Option<FloatTensor<B>>; N];
}

/// The operation as one node of the autodiff graph.
pub(super) fn record<B, C, O, const N: usize>(
    operation: O,
    inputs: [FloatTensor<Autodiff<B, C>>; N],
) -> FloatTensor<Autodiff<B, C>>
where
    B: Backend,
    C: CheckpointStrategy,
    O: Operation<B, N>,
{
    let mut guards = Vec::with_capacity(N);
    let inputs = inputs.map(|input| {
        let (primitive, guard) = input.into_parts();
        guards.push(guard);
        primitive
    });
    let guards = guards.try_into().expect("as many guards as inputs");
    let (output, saved) = operation.forward(inputs);
    match Step(operation).prepare::<C>(guards).compute_bound().stateful() {
        OpsKind::Tracked(node) => node.finish(saved, output),
        OpsKind::UnTracked(node) => node.finish(output),
    }
}

/// The backward pass of an operation.
#[derive(Debug)]
struct Step<O>(O);

impl<B: Backend, O: Operation<B, N>, const N: usize> Backward<B, N> for Step<O> {
    type State = O::Saved;

    fn backward(self, ops: Ops<O::Saved, N>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let wanted = ops.parents.each_ref().map(Option::is_some);
        let d_output = gradients.consume::<B>(&ops.node);
        let d_inputs = self.0.backward(ops.state, d_output, wanted);
        for (parent, gradient) in ops.parents.into_iter().zip(d_inputs) {
            if let (Some(parent), Some(gradient)) = (parent, gradient) {
                gradients.register::<B>(parent.id, gradient);
            }
        }
    }
}
