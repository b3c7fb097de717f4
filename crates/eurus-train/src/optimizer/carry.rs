//! Gradients of earlier forests, carried into the graph of the next one.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::Tensor;

/// An operation that is nothing but its backward pass.
#[backend_extension(
    Autodiff,
    Flex,
    Cube: cfg(any(feature = "cuda", feature = "wgpu")),
    LibTorch: cfg(feature = "tch")
)]
trait CarryOps: Backend {
    /// The loss as it is; the backward pass begins with `gradient` as that of `parameter`.
    fn carry(
        loss: FloatTensor<Self>,
        _parameter: FloatTensor<Self>,
        _gradient: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        loss
    }
}

impl CarryOps for Flex {}

#[cfg(any(feature = "cuda", feature = "wgpu"))]
impl CarryOps for burn_cubecl::CubeBackend {}

#[cfg(feature = "tch")]
impl CarryOps for burn::backend::LibTorch {}

#[derive(Debug)]
struct Carry;

impl<B: Backend> Backward<B, 2> for Carry {
    /// The gradient so far.
    type State = FloatTensor<B>;

    fn backward(
        self,
        ops: Ops<Self::State, 2>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let of_loss = grads.consume::<B>(&ops.node);
        let [loss, parameter] = ops.parents;
        for (parent, gradient) in [(loss, of_loss), (parameter, ops.state)] {
            if let Some(parent) = parent {
                grads.register::<B>(parent.id, gradient);
            }
        }
    }
}

impl<B: CarryOps, C: CheckpointStrategy> CarryOps for Autodiff<B, C> {
    fn carry(
        loss: FloatTensor<Self>,
        parameter: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let (loss, loss_node) = loss.into_parts();
        let (_, parameter_node) = parameter.into_parts();
        match Carry
            .prepare::<C>([loss_node, parameter_node])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prep) => prep.finish(gradient.into_primitive(), loss),
            OpsKind::UnTracked(prep) => prep.finish(loss),
        }
    }
}

/// A loss `[1]` whose backward pass begins with `gradient` as that of `parameter`, so that everything it adds is added where
/// that gradient lies.
pub(super) fn carry<const D: usize>(
    loss: Tensor<1>,
    parameter: Tensor<D>,
    gradient: Tensor<D>,
) -> Tensor<1> {
    Tensor::from_dispatch(Dispatch::carry(
        loss.into_dispatch(),
        parameter.into_dispatch(),
        Tensor::from_inner(gradient).into_dispatch(),
    ))
}
