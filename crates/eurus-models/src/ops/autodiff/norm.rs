//! The backward passes of norms.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, NodeGuard, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, TensorMetadata};

use super::project::Weight;
use super::register;
use crate::ops::{ForestOps, reference};

#[derive(Debug)]
struct RmsNorm;

impl<B: ForestOps> Backward<B, 2> for RmsNorm {
    type State = (FloatTensor<B>, Weight<B>, f32);

    fn backward(
        self,
        ops: Ops<Self::State, 2>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let (x, weight, epsilon) = ops.state;
        let grad = grads.consume::<B>(&ops.node);
        let value = weight.value.clone();
        let (x_grad, weight_grad) = match weight.take_sum(grads) {
            Some(sum) => B::rms_norm_backward_onto(sum, x, value, grad, epsilon),
            None => B::rms_norm_backward(x, value, grad, epsilon),
        };
        let weight_grad = match weight.is_parameter() {
            true => weight_grad,
            false => reference::narrow::<B>(weight_grad, weight.value.dtype()),
        };
        register::<B, 2>(
            ops.parents.map(|p| p.map(|p| p.id)),
            [Some(x_grad), Some(weight_grad)],
            grads,
        );
    }
}

/// The node of a norm whose value is known.
fn normed<B: ForestOps, C: CheckpointStrategy>(
    [x_node, weight_node]: [NodeGuard; 2],
    x: FloatTensor<B>,
    weight: Weight<B>,
    epsilon: f32,
    value: FloatTensor<B>,
) -> FloatTensor<Autodiff<B>> {
    match RmsNorm
        .prepare::<C>([x_node, weight_node])
        .compute_bound()
        .stateful()
    {
        OpsKind::Tracked(prep) => prep.finish((x, weight, epsilon), value),
        OpsKind::UnTracked(prep) => prep.finish(value),
    }
}

/// [`ForestOps::rms_norm`] with its backward pass.
pub(super) fn rms_norm<B: ForestOps, C: CheckpointStrategy>(
    x: FloatTensor<Autodiff<B>>,
    weight: FloatTensor<Autodiff<B>>,
    epsilon: f32,
) -> FloatTensor<Autodiff<B>> {
    let (x, x_node) = x.into_parts();
    let (weight, weight_node) = Weight::<B>::new::<C>(weight);
    let value = B::rms_norm(x.clone(), weight.value.clone(), epsilon);
    normed::<B, C>([x_node, weight_node], x, weight, epsilon, value)
}

#[derive(Debug)]
struct Add;

impl<B: ForestOps> Backward<B, 2> for Add {
    type State = ();

    fn backward(
        self,
        ops: Ops<Self::State, 2>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let grad = grads.consume::<B>(&ops.node);
        register::<B, 2>(
            ops.parents.map(|p| p.map(|p| p.id)),
            [Some(grad.clone()), Some(grad)],
            grads,
        );
    }
}

/// [`ForestOps::add_rms_norm`] with its backward pass: that of the sum, and that of its norm.
pub(super) fn add_rms_norm<B: ForestOps, C: CheckpointStrategy>(
    x: FloatTensor<Autodiff<B>>,
    y: FloatTensor<Autodiff<B>>,
    weight: FloatTensor<Autodiff<B>>,
    epsilon: f32,
) -> (FloatTensor<Autodiff<B>>, FloatTensor<Autodiff<B>>) {
    let (x, x_node) = x.into_parts();
    let (y, y_node) = y.into_parts();
    let (weight, weight_node) = Weight::<B>::new::<C>(weight);
    let (sum, value) = B::add_rms_norm(x, y, weight.value.clone(), epsilon);
    let tracked = Add
        .prepare::<C>([x_node, y_node])
        .compute_bound()
        .stateless(sum.clone());
    let nodes = [tracked.node(), weight_node];
    let normed = normed::<B, C>(nodes, sum, weight, epsilon, value);
    (tracked, normed)
}
