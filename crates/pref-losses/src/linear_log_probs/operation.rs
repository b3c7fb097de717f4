//! The operation on the level of backends: what it takes, its two passes, its node in the autodiff graph.

#[cfg(any(feature = "cuda", feature = "wgpu"))]
mod cube;
#[cfg(feature = "flex")]
mod flex;
mod plain;
#[cfg(all(test, feature = "flex"))]
mod tests;

#[cfg(feature = "flex")]
use burn::backend::Flex;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::ops::FloatTensorOps as _;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, Backend, TensorMetadata, backend_extension};
use burn::tensor::{DType, FloatDType, Slice};

use super::WeightGradient;

/// The quantities computed from the logits beside the log-probs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Also {
    /// Nothing.
    Nothing,
    /// `log sum_v p(v)^2`, put after the log-probs: the operation has one output. The gradient of that
    /// half is not looked at.
    LogSumSquares,
}

/// How the output weight lies in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WeightLayout {
    /// `[d_model, vocab]`.
    InputByVocab,
    /// `[vocab, d_model]`.
    VocabByInput,
}

impl WeightLayout {
    /// `(d_model, vocab)`.
    pub(super) fn split(self, dims: [usize; 2]) -> (usize, usize) {
        match self {
            Self::InputByVocab => (dims[0], dims[1]),
            Self::VocabByInput => (dims[1], dims[0]),
        }
    }

    /// Which axis is the vocabulary.
    pub(super) fn vocab_axis(self) -> usize {
        match self {
            Self::InputByVocab => 1,
            Self::VocabByInput => 0,
        }
    }
}

/// The inputs of both passes.
#[derive(Clone, Debug)]
struct Inputs<B: Backend> {
    hidden: FloatTensor<B>,
    weight: FloatTensor<B>,
    targets: IntTensor<B>,
    layout: WeightLayout,
    chunk_tokens: usize,
    also: Also,
}

impl<B: Backend> Inputs<B> {
    /// Number of tokens.
    fn tokens(&self) -> usize {
        self.hidden.shape()[0]
    }

    /// Number of tokens in the vocabulary.
    fn vocab(&self) -> usize {
        self.weight.shape()[self.layout.vocab_axis()]
    }

    /// How many columns of logits for *all* tokens cost what `chunk_tokens` whole rows cost.
    fn vocab_block(&self) -> usize {
        let logits = self.chunk_tokens.saturating_mul(self.vocab());
        (logits / self.tokens()).clamp(1, self.vocab())
    }
}

/// Result of the forward pass, all `[tokens]` and f32. `row_max` and `log_sum` let the backward pass
/// form `softmax = exp((logit - row_max) - log_sum)` without rounding at the size of the logits.
struct Forward<B: Backend> {
    log_probs: FloatTensor<B>,
    row_max: FloatTensor<B>,
    log_sum: FloatTensor<B>,
    log_sum_squares: Option<FloatTensor<B>>,
}

impl<B: Backend> Forward<B> {
    /// The operation's one output, `row_max` and `log_sum`.
    fn output(self) -> (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>) {
        let output = match self.log_sum_squares {
            None => self.log_probs,
            Some(squares) => B::float_cat(vec![self.log_probs, squares], 0),
        };
        (output, self.row_max, self.log_sum)
    }
}

/// The state saved for the backward pass.
#[derive(Clone, Debug)]
struct Saved<B: Backend> {
    inputs: Inputs<B>,
    row_max: FloatTensor<B>,
    log_sum: FloatTensor<B>,
}

/// Which gradients are wanted.
#[derive(Debug, Clone, Copy)]
struct Wanted {
    hidden: bool,
    /// The type of the weight's, if it is wanted. What is added to a sum has the type of the sum.
    weight: Option<FloatDType>,
}

/// The gradients that were wanted.
struct Gradient<B: Backend> {
    hidden: Option<FloatTensor<B>>,
    weight: Option<FloatTensor<B>>,
}

/// The two passes. The default bodies use plain tensor operations; a backend may do better.
trait Kernels: Backend {
    fn forward(inputs: &Inputs<Self>) -> Forward<Self> {
        plain::forward(inputs)
    }

    /// `weight_sum` is what other uses of the weight have left of its gradient; this one's is added to it where it lies, so
    /// that there are never two of its size.
    fn backward(
        saved: Saved<Self>,
        grad: FloatTensor<Self>,
        wanted: Wanted,
        weight_sum: Option<FloatTensor<Self>>,
    ) -> Gradient<Self> {
        plain::backward(saved, grad, wanted, weight_sum)
    }
}

#[cfg(feature = "flex")]
impl Kernels for Flex {
    fn forward(inputs: &Inputs<Self>) -> Forward<Self> {
        flex::forward(inputs)
    }

    fn backward(
        saved: Saved<Self>,
        grad: FloatTensor<Self>,
        wanted: Wanted,
        weight_sum: Option<FloatTensor<Self>>,
    ) -> Gradient<Self> {
        flex::backward(saved, grad, wanted, weight_sum)
    }
}

#[cfg(any(feature = "cuda", feature = "wgpu"))]
impl Kernels for burn::backend::Cube {
    fn forward(inputs: &Inputs<Self>) -> Forward<Self> {
        cube::forward(inputs)
    }

    fn backward(
        saved: Saved<Self>,
        grad: FloatTensor<Self>,
        wanted: Wanted,
        weight_sum: Option<FloatTensor<Self>>,
    ) -> Gradient<Self> {
        cube::backward(saved, grad, wanted, weight_sum)
    }
}

#[cfg(feature = "tch")]
#[allow(deprecated)]
impl Kernels for burn::backend::LibTorch {}

/// The operation as the dispatcher sees it.
#[backend_extension(
    Autodiff,
    Flex: cfg(feature = "flex"),
    Cube: cfg(any(feature = "cuda", feature = "wgpu")),
    LibTorch: cfg(feature = "tch")
)]
pub(super) trait LinearLogProbs: Backend {
    fn linear_log_probs(
        hidden: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        targets: IntTensor<Self>,
        layout: WeightLayout,
        chunk_tokens: usize,
        also: Also,
        gradient: WeightGradient,
    ) -> FloatTensor<Self>;
}

/// The value on a backend without autodiff.
fn value<B: Kernels>(
    hidden: FloatTensor<B>,
    weight: FloatTensor<B>,
    targets: IntTensor<B>,
    layout: WeightLayout,
    chunk_tokens: usize,
    also: Also,
) -> FloatTensor<B> {
    B::forward(&Inputs {
        hidden,
        weight,
        targets,
        layout,
        chunk_tokens,
        also,
    })
    .output()
    .0
}

#[cfg(feature = "flex")]
impl LinearLogProbs for Flex {
    fn linear_log_probs(
        hidden: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        targets: IntTensor<Self>,
        layout: WeightLayout,
        chunk_tokens: usize,
        also: Also,
        _gradient: WeightGradient,
    ) -> FloatTensor<Self> {
        value::<Self>(hidden, weight, targets, layout, chunk_tokens, also)
    }
}

#[cfg(any(feature = "cuda", feature = "wgpu"))]
impl LinearLogProbs for burn::backend::Cube {
    fn linear_log_probs(
        hidden: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        targets: IntTensor<Self>,
        layout: WeightLayout,
        chunk_tokens: usize,
        also: Also,
        _gradient: WeightGradient,
    ) -> FloatTensor<Self> {
        value::<Self>(hidden, weight, targets, layout, chunk_tokens, also)
    }
}

#[cfg(feature = "tch")]
#[allow(deprecated)]
impl LinearLogProbs for burn::backend::LibTorch {
    fn linear_log_probs(
        hidden: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        targets: IntTensor<Self>,
        layout: WeightLayout,
        chunk_tokens: usize,
        also: Also,
        _gradient: WeightGradient,
    ) -> FloatTensor<Self> {
        value::<Self>(hidden, weight, targets, layout, chunk_tokens, also)
    }
}

/// The node of the autodiff graph.
#[derive(Debug)]
struct LinearLogProbsBackward;

impl<B: Kernels> Backward<B, 2> for LinearLogProbsBackward {
    /// The weight besides, to find what there is of its gradient, and the type of that. It is held no longer than this step is.
    type State = (Saved<B>, FloatTensor<Autodiff<B>>, FloatDType);

    fn backward(
        self,
        ops: Ops<Self::State, 2>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let grad = grads.consume::<B>(&ops.node);
        let [hidden, weight] = ops.parents;
        let (saved, weight_tensor, weight_type) = ops.state;
        let wanted = Wanted {
            hidden: hidden.is_some(),
            weight: weight.as_ref().map(|_| weight_type),
        };
        let grad = match saved.inputs.also {
            Also::Nothing => grad,
            Also::LogSumSquares => B::float_slice(grad, &[Slice::from(0..saved.inputs.tokens())]),
        };
        let weight_sum = grads.remove::<B>(&weight_tensor);
        let gradient = <B as Kernels>::backward(saved, grad, wanted, weight_sum);
        for (parent, gradient) in [(hidden, gradient.hidden), (weight, gradient.weight)] {
            if let (Some(node), Some(gradient)) = (parent, gradient) {
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}

impl<B: Kernels, C: CheckpointStrategy> LinearLogProbs for Autodiff<B, C> {
    fn linear_log_probs(
        hidden: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        targets: IntTensor<Self>,
        layout: WeightLayout,
        chunk_tokens: usize,
        also: Also,
        gradient: WeightGradient,
    ) -> FloatTensor<Self> {
        let (hidden, hidden_node) = hidden.into_parts();
        let weight_tensor = weight.clone();
        // Something may go on from the gradient of what is no parameter, in the type of that.
        let is_wide = gradient == WeightGradient::F32
            && matches!(weight.dtype(), DType::BF16 | DType::F16)
            && Self::float_is_require_grad(&weight);
        let weight_type = match is_wide {
            true => FloatDType::F32,
            false => weight.dtype().into(),
        };
        let (weight, weight_node) = weight.into_parts();
        let inputs = Inputs::<B> {
            hidden,
            weight,
            targets,
            layout,
            chunk_tokens,
            also,
        };
        let (output, row_max, log_sum) = B::forward(&inputs).output();
        let prepared = LinearLogProbsBackward
            .prepare::<C>([hidden_node, weight_node])
            .compute_bound()
            .stateful();
        match prepared {
            OpsKind::Tracked(prepared) => {
                let saved = Saved {
                    inputs,
                    row_max,
                    log_sum,
                };
                prepared.finish((saved, weight_tensor, weight_type), output)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(output),
        }
    }
}
