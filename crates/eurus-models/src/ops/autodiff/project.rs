//! The backward passes of projections.

use burn::backend::Autodiff;
use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, NodeGuard, Ops, OpsKind};
use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::FloatTensor;

use super::register;
use crate::ops::ForestOps;
use crate::ops::again::Again;

/// A weight in the state of a backward pass.
#[derive(Debug, Clone)]
pub(super) struct Weight<B: ForestOps> {
    pub value: FloatTensor<B>,
    /// The weight with its node, if it is a parameter: to find what other forests and other uses have left of its gradient.
    /// Parameters alone are held so, since they are there as long as the model is.
    parameter: Option<FloatTensor<Autodiff<B>>>,
    /// Whether it has a gradient.
    pub is_trained: bool,
}

impl<B: ForestOps> Weight<B> {
    pub fn new<C: CheckpointStrategy>(weight: FloatTensor<Autodiff<B>>) -> (Self, NodeGuard) {
        let is_parameter = Autodiff::<B, C>::float_is_require_grad(&weight);
        let is_trained = weight.is_tracked();
        let parameter = is_parameter.then(|| weight.clone());
        let (value, node) = weight.into_parts();
        let weight = Self {
            value,
            parameter,
            is_trained,
        };
        (weight, node)
    }

    /// Takes what there is of a parameter's gradient.
    pub fn take_sum(&self, grads: &mut Gradients) -> Option<FloatTensor<B>> {
        grads.remove::<B>(self.parameter.as_ref()?)
    }

    /// Whether its gradient may be of a wider type than itself: nothing goes on from that of a parameter.
    pub fn is_parameter(&self) -> bool {
        self.parameter.is_some()
    }

    /// Its gradient in `grad = d(x weight^T)`, with what there is of it.
    fn gradient(
        &self,
        x: FloatTensor<B>,
        grad: FloatTensor<B>,
        grads: &mut Gradients,
    ) -> FloatTensor<B> {
        let grad = B::float_transpose(grad);
        match self.take_sum(grads) {
            Some(sum) => B::product_onto(sum, grad, x),
            None if self.is_parameter() => B::wide_product(grad, x),
            None => B::product(grad, x),
        }
    }
}

/// The input of a projection.
#[derive(Debug, Clone)]
enum Input<B: ForestOps> {
    Kept(FloatTensor<B>),
    Normed {
        x: FloatTensor<B>,
        weight: FloatTensor<B>,
        epsilon: f32,
        again: Again,
    },
}

impl<B: ForestOps> Input<B> {
    fn get(self) -> FloatTensor<B> {
        match self {
            Self::Kept(x) => x,
            Self::Normed {
                x,
                weight,
                epsilon,
                again,
            } => again.get_or_make(|| B::rms_norm(x, weight, epsilon)),
        }
    }
}

#[derive(Debug)]
struct Project;

#[derive(Debug, Clone)]
struct ProjectState<B: ForestOps> {
    /// `None` where the weight is frozen.
    input: Option<Input<B>>,
    weight: Weight<B>,
}

impl<B: ForestOps> Backward<B, 2> for Project {
    type State = ProjectState<B>;

    fn backward(
        self,
        ops: Ops<Self::State, 2>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let parents: [Option<NodeId>; 2] = ops.parents.map(|p| p.map(|p| p.id));
        let ProjectState { input, weight } = ops.state;
        let grad = grads.consume::<B>(&ops.node);
        let x_grad = parents[0].map(|_| B::product(grad.clone(), weight.value.clone()));
        let weight_grad = input.map(|input| weight.gradient(input.get(), grad, grads));
        register::<B, 2>(parents, [x_grad, weight_grad], grads);
    }
}

fn projected<B: ForestOps, C: CheckpointStrategy>(
    x: FloatTensor<Autodiff<B>>,
    weight: FloatTensor<Autodiff<B>>,
    input: impl FnOnce(FloatTensor<B>) -> Input<B>,
) -> FloatTensor<Autodiff<B>> {
    let (x, x_node) = x.into_parts();
    let (weight, weight_node) = Weight::<B>::new::<C>(weight);
    match Project
        .prepare::<C>([x_node, weight_node])
        .compute_bound()
        .stateful()
    {
        OpsKind::Tracked(prep) => {
            let output = B::project(x.clone(), weight.value.clone());
            // A frozen weight needs no input kept.
            let input = weight.is_trained.then(|| input(x));
            prep.finish(ProjectState { input, weight }, output)
        }
        OpsKind::UnTracked(prep) => prep.finish(B::project(x, weight.value)),
    }
}

/// [`ForestOps::project`] with its backward pass.
pub(super) fn project<B: ForestOps, C: CheckpointStrategy>(
    x: FloatTensor<Autodiff<B>>,
    weight: FloatTensor<Autodiff<B>>,
) -> FloatTensor<Autodiff<B>> {
    projected::<B, C>(x, weight, Input::Kept)
}

/// [`ForestOps::project_normed`] with its backward pass.
pub(super) fn project_normed<B: ForestOps, C: CheckpointStrategy>(
    normed: FloatTensor<Autodiff<B>>,
    x: FloatTensor<Autodiff<B>>,
    norm_weight: FloatTensor<Autodiff<B>>,
    epsilon: f32,
    again: Again,
    weight: FloatTensor<Autodiff<B>>,
) -> FloatTensor<Autodiff<B>> {
    projected::<B, C>(normed, weight, |normed| match B::MAKES_AGAIN {
        true => Input::Normed {
            x: x.into_primitive(),
            weight: norm_weight.into_primitive(),
            epsilon,
            again,
        },
        false => Input::Kept(normed),
    })
}

#[derive(Debug)]
struct ProjectGated;

#[derive(Debug, Clone)]
struct GatedState<B: ForestOps> {
    gate: FloatTensor<B>,
    up: FloatTensor<B>,
    /// `None` where it is made again.
    gated: Option<FloatTensor<B>>,
    weight: Weight<B>,
}

impl<B: ForestOps> Backward<B, 3> for ProjectGated {
    type State = GatedState<B>;

    fn backward(
        self,
        ops: Ops<Self::State, 3>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let GatedState {
            gate,
            up,
            gated,
            weight,
        } = ops.state;
        let grad = grads.consume::<B>(&ops.node);
        let gated_grad = B::product(grad.clone(), weight.value.clone());
        let (gate_grad, up_grad, gated) = match gated {
            Some(gated) => {
                let (gate, up) = B::swiglu_backward(gate, up, gated_grad);
                (gate, up, gated)
            }
            None => B::swiglu_backward_and_value(gate, up, gated_grad),
        };
        let weight_grad = weight
            .is_trained
            .then(|| weight.gradient(gated, grad, grads));
        register::<B, 3>(
            ops.parents.map(|p| p.map(|p| p.id)),
            [Some(gate_grad), Some(up_grad), weight_grad],
            grads,
        );
    }
}

/// [`ForestOps::project_gated`] with its backward pass.
pub(super) fn project_gated<B: ForestOps, C: CheckpointStrategy>(
    gate: FloatTensor<Autodiff<B>>,
    up: FloatTensor<Autodiff<B>>,
    weight: FloatTensor<Autodiff<B>>,
) -> FloatTensor<Autodiff<B>> {
    let (gate, gate_node) = gate.into_parts();
    let (up, up_node) = up.into_parts();
    let (weight, weight_node) = Weight::<B>::new::<C>(weight);
    match ProjectGated
        .prepare::<C>([gate_node, up_node, weight_node])
        .compute_bound()
        .stateful()
    {
        OpsKind::Tracked(prep) => {
            let gated = B::swiglu(gate.clone(), up.clone());
            let output = B::project(gated.clone(), weight.value.clone());
            let state = GatedState {
                gate,
                up,
                gated: (!B::MAKES_AGAIN && weight.is_trained).then_some(gated),
                weight,
            };
            prep.finish(state, output)
        }
        OpsKind::UnTracked(prep) => prep.finish(B::project_gated(gate, up, weight.value)),
    }
}
