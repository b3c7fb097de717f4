//! The backward passes, the same for every backend.

mod norm;
mod project;

use std::sync::Arc;

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind, unary};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, Backend, TensorMetadata};
use burn::tensor::DType;

use super::again::Again;
use super::{AttentionShape, ForestOps, ForestSpans};
use project::Weight;

/// Adds a gradient to each parent that wants one.
fn register<B: Backend, const N: usize>(
    parents: [Option<NodeId>; N],
    gradients: [Option<FloatTensor<B>>; N],
    grads: &mut Gradients,
) {
    for (parent, gradient) in parents.into_iter().zip(gradients) {
        if let (Some(parent), Some(gradient)) = (parent, gradient) {
            grads.register::<B>(parent, gradient);
        }
    }
}

#[derive(Debug)]
struct Embed;

impl<B: ForestOps> Backward<B, 1> for Embed {
    type State = (Weight<B>, IntTensor<B>);

    fn backward(
        self,
        ops: Ops<Self::State, 1>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let (weight, tokens) = ops.state;
        let (shape, dtype) = (weight.value.shape(), weight.value.dtype());
        let is_half = matches!(dtype, DType::BF16 | DType::F16);
        let sum = weight.take_sum(grads).or_else(|| {
            (weight.is_parameter() && is_half).then(|| B::zeros_for_sum(&weight.value))
        });
        unary::<B, _>(ops.parents, ops.node, grads, |grad| match sum {
            Some(sum) => B::embed_backward_onto(sum, tokens, grad),
            None => B::embed_backward(shape[0], tokens, grad),
        });
    }
}

#[derive(Debug)]
struct Swiglu;

impl<B: ForestOps> Backward<B, 2> for Swiglu {
    type State = (FloatTensor<B>, FloatTensor<B>);

    fn backward(
        self,
        ops: Ops<Self::State, 2>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let (gate, up) = ops.state;
        let grad = grads.consume::<B>(&ops.node);
        let (gate_grad, up_grad) = B::swiglu_backward(gate, up, grad);
        register::<B, 2>(
            ops.parents.map(|p| p.map(|p| p.id)),
            [Some(gate_grad), Some(up_grad)],
            grads,
        );
    }
}

#[derive(Debug)]
struct Rotate;

impl<B: ForestOps> Backward<B, 1> for Rotate {
    type State = (FloatTensor<B>, FloatTensor<B>, bool);

    fn backward(
        self,
        ops: Ops<Self::State, 1>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let (cos, sin, back) = ops.state;
        // A rotation's transpose is the rotation by the opposite angle.
        unary::<B, _>(ops.parents, ops.node, grads, |grad| {
            B::rotate(grad, cos, sin, !back)
        });
    }
}

/// The state that tree attention saves for its backward pass.
#[derive(Debug, Clone)]
struct AttentionState<F, I> {
    q: F,
    k: F,
    v: F,
    output: F,
    log_sum_exp: F,
    table: I,
    spans: Arc<ForestSpans>,
    shape: AttentionShape,
}

#[derive(Debug)]
struct TreeAttention;

impl<B: ForestOps> Backward<B, 3> for TreeAttention {
    type State = AttentionState<FloatTensor<B>, IntTensor<B>>;

    fn backward(
        self,
        ops: Ops<Self::State, 3>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let s = ops.state;
        let grad = grads.consume::<B>(&ops.node);
        let (q, k, v) = B::tree_attention_backward(
            s.q,
            s.k,
            s.v,
            s.output,
            s.log_sum_exp,
            grad,
            s.table,
            s.spans,
            s.shape,
        );
        register::<B, 3>(
            ops.parents.map(|p| p.map(|p| p.id)),
            [Some(q), Some(k), Some(v)],
            grads,
        );
    }
}

impl<B: ForestOps, C: CheckpointStrategy> ForestOps for Autodiff<B, C> {
    fn project(x: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
        project::project::<B, C>(x, weight)
    }

    fn project_normed(
        normed: FloatTensor<Self>,
        x: FloatTensor<Self>,
        norm_weight: FloatTensor<Self>,
        epsilon: f32,
        again: Again,
        weight: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        project::project_normed::<B, C>(normed, x, norm_weight, epsilon, again, weight)
    }

    fn project_gated(
        gate: FloatTensor<Self>,
        up: FloatTensor<Self>,
        weight: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        project::project_gated::<B, C>(gate, up, weight)
    }

    fn embed(weight: FloatTensor<Self>, tokens: IntTensor<Self>) -> FloatTensor<Self> {
        let (weight, node) = Weight::<B>::new::<C>(weight);
        let output = B::embed(weight.value.clone(), tokens.clone());
        match Embed.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((weight, tokens), output),
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }

    fn rms_norm(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        epsilon: f32,
    ) -> FloatTensor<Self> {
        norm::rms_norm::<B, C>(x, weight, epsilon)
    }

    fn add_rms_norm(
        x: FloatTensor<Self>,
        y: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        epsilon: f32,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        norm::add_rms_norm::<B, C>(x, y, weight, epsilon)
    }

    fn swiglu(gate: FloatTensor<Self>, up: FloatTensor<Self>) -> FloatTensor<Self> {
        let (gate, gate_node) = gate.into_parts();
        let (up, up_node) = up.into_parts();
        match Swiglu
            .prepare::<C>([gate_node, up_node])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prep) => {
                let output = B::swiglu(gate.clone(), up.clone());
                prep.finish((gate, up), output)
            }
            OpsKind::UnTracked(prep) => prep.finish(B::swiglu(gate, up)),
        }
    }

    fn rotate(
        x: FloatTensor<Self>,
        cos: FloatTensor<Self>,
        sin: FloatTensor<Self>,
        back: bool,
    ) -> FloatTensor<Self> {
        let (x, x_node) = x.into_parts();
        let (cos, sin) = (cos.into_primitive(), sin.into_primitive());
        match Rotate.prepare::<C>([x_node]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let output = B::rotate(x, cos.clone(), sin.clone(), back);
                prep.finish((cos, sin, back), output)
            }
            OpsKind::UnTracked(prep) => prep.finish(B::rotate(x, cos, sin, back)),
        }
    }

    fn tree_attention(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        table: IntTensor<Self>,
        spans: Arc<ForestSpans>,
        shape: AttentionShape,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let (q, q_node) = q.into_parts();
        let (k, k_node) = k.into_parts();
        let (v, v_node) = v.into_parts();
        let (output, log_sum_exp) = B::tree_attention(
            q.clone(),
            k.clone(),
            v.clone(),
            table.clone(),
            spans.clone(),
            shape,
        );
        // Nothing differentiates the log-sum-exp: it leaves as a constant.
        let constant = <Self as burn::backend::AutodiffBackend>::from_inner(log_sum_exp.clone());
        let output = match TreeAttention
            .prepare::<C>([q_node, k_node, v_node])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prep) => prep.finish(
                AttentionState {
                    q,
                    k,
                    v,
                    output: output.clone(),
                    log_sum_exp,
                    table,
                    spans,
                    shape,
                },
                output,
            ),
            OpsKind::UnTracked(prep) => prep.finish(output),
        };
        (output, constant)
    }
}
