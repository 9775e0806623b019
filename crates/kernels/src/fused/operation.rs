use std::{any::TypeId, fmt::Debug};

use burn::backend::{
    Autodiff, Backend,
    autodiff::{
        NodeId,
        checkpoint::{
            base::Checkpointer,
            retro_forward::RetroForward,
            state::BackwardStates,
            strategy::{CheckpointStrategy, NoCheckpointing},
        },
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

    /// Whether gradient checkpointing drops the output and computes it again where it is read: it is as large as the
    /// input, and cheap.
    const DROPPED: bool = false;

    /// The inputs that the backward pass reads besides what is saved. They may be computed again, where they were dropped.
    fn reads(&self) -> [bool; N] {
        [false; N]
    }

    /// The output, and what the backward pass needs.
    fn forward(&self, inputs: [FloatTensor<B>; N]) -> (FloatTensor<B>, Self::Saved);

    /// The gradients of the inputs that are `wanted`, from that of the output; `inputs` holds those that it reads.
    fn backward(
        &self,
        inputs: [Option<FloatTensor<B>>; N],
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
    let dropped = O::DROPPED && TypeId::of::<C>() != TypeId::of::<NoCheckpointing>();
    let reads = operation.reads();
    // An operation may write over an input that nothing else holds, so that none is held without need.
    let mut held: [Option<FloatTensor<Autodiff<B, C>>>; N] = [const { None }; N];
    for (held, (input, read)) in held.iter_mut().zip(inputs.iter().zip(reads)) {
        if dropped || read {
            *held = Some(input.clone());
        }
    }
    let mut guards = Vec::with_capacity(N);
    let inputs = inputs.map(|input| {
        let (primitive, guard) = input.into_parts();
        guards.push(guard);
        primitive
    });
    let guards: [_; N] = guards.try_into().expect("as many guards as inputs");
    let ids = guards.each_ref().map(|guard| guard.id());
    let step = Step {
        operation: operation.clone(),
        reads: std::array::from_fn(|input| reads[input].then_some(ids[input])),
    };
    let again = dropped.then(|| Again::<B, O, N> {
        operation: operation.clone(),
        inputs: std::array::from_fn(
            |input| match held[input].as_ref().filter(|held| held.is_tracked()) {
                Some(_) => Input::Node(ids[input]),
                None => Input::Constant(inputs[input].clone()),
            },
        ),
    });
    let (output, saved) = operation.forward(inputs);
    let node = step.prepare::<C>(guards);
    let node = match again {
        Some(again) => {
            let parents = held.iter().flatten().filter(|held| held.is_tracked());
            node.memory_bound().retro_forward(again).parents(parents)
        }
        None => node.compute_bound(),
    };
    match node.stateful() {
        OpsKind::Tracked(mut node) => {
            for (held, read) in held.iter().zip(reads) {
                if let (Some(held), true) = (held, read) {
                    node.checkpoint(held);
                }
            }
            node.finish(saved, output)
        }
        OpsKind::UnTracked(node) => node.finish(output),
    }
}

/// The backward pass of an operation.
#[derive(Debug)]
struct Step<O, const N: usize> {
    operation: O,
    /// The inputs that it reads.
    reads: [Option<NodeId>; N],
}

impl<B: Backend, O: Operation<B, N>, const N: usize> Backward<B, N> for Step<O, N> {
    type State = O::Saved;

    fn backward(self, ops: Ops<O::Saved, N>, gradients: &mut Gradients, checkpointer: &mut Checkpointer) {
        let wanted = ops.parents.each_ref().map(Option::is_some);
        let inputs = self
            .reads
            .map(|read| read.map(|id| checkpointer.retrieve_node_output(id)));
        let d_output = gradients.consume::<B>(&ops.node);
        let d_inputs = self.operation.backward(inputs, ops.state, d_output, wanted);
        for (parent, gradient) in ops.parents.into_iter().zip(d_inputs) {
            if let (Some(parent), Some(gradient)) = (parent, gradient) {
                gradients.register::<B>(parent.id, gradient);
            }
        }
    }
}

/// How an output that was dropped is computed again.
#[derive(Debug)]
struct Again<B: Backend, O, const N: usize> {
    operation: O,
    inputs: [Input<B>; N],
}

#[derive(Debug)]
enum Input<B: Backend> {
    Node(NodeId),
    /// What no gradient flows to is no node of the graph.
    Constant(FloatTensor<B>),
}

impl<B: Backend, O: Operation<B, N>, const N: usize> RetroForward for Again<B, O, N> {
    fn forward(&self, states: &mut BackwardStates, output: NodeId) {
        let inputs = self.inputs.each_ref().map(|input| match input {
            Input::Node(id) => states.get_state::<FloatTensor<B>>(id),
            Input::Constant(tensor) => tensor.clone(),
        });
        states.save(output, self.operation.forward(inputs).0);
    }
}
