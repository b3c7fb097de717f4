//! Log-probs of target tokens straight from hidden states, without ever holding the logits.
//!
//! `[tokens, vocab]` logits are by far the largest tensor of a training step: 2048 tokens of a
//! vocabulary of 128 thousand are 1 GiB in f32, and a plain `log_softmax` + `gather` under autodiff
//! keeps several copies. Here the logits are made block by block; forward keeps two numbers per
//! token (the largest logit and the logarithm of the sum), backward makes each block again and
//! turns it into gradients. That costs one more matrix product and makes the memory independent of
//! `tokens * vocab`.
//!
//! The same function gives policy log-probs (with gradient) and reference log-probs (without), so
//! the two agree to the bit for the same weights.

mod flex;
mod plain;
#[cfg(test)]
mod tests;

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::{DType, Int, Tensor};

/// Log-probs of target tokens: `log softmax(hidden @ output_weight)[target]`.
///
/// Equal to making the logits, `log_softmax` and `gather`, in value and in gradient (of `hidden`
/// and of `output_weight`), but at most `chunk_tokens * vocab` logits exist at a time. Computed in
/// f32 whatever the input dtype: the CPU backend multiplies in f32 as well, the others multiply in
/// the input dtype and do the rest in f32. Gradients have the dtype of what they belong to.
///
/// Does not shift: `targets[t]` is scored by `hidden[t]`. There is no bias.
///
/// # Shapes
///
/// - hidden: `[tokens, d_model]`
/// - output_weight: `[d_model, vocab]`, the layout of burn's `Linear`; a view is not copied
/// - targets: `[tokens]`, each in `0..vocab`
/// - output: `[tokens]`, f32
///
/// `chunk_tokens` bounds the memory, it does not change the result beyond rounding; 0 counts as 1.
/// On CPU 64 is as fast as 256 (2048 tokens, 576 x 49152); elsewhere 256 to 1024 fill the device.
///
/// # Panics
///
/// If the shapes disagree, if `hidden` and `output_weight` differ in dtype, on CPU if a target is
/// outside the vocabulary, and on a backend that was not compiled in through a feature of this
/// crate.
///
/// # Examples
///
/// ```
/// use burn::tensor::{Device, Distribution, Int, Tensor};
/// use pref_losses::linear_log_probs::linear_log_probs;
///
/// let device = Device::flex().autodiff();
/// let hidden = Tensor::<2>::random([4, 8], Distribution::Default, &device).require_grad();
/// let weight = Tensor::<2>::zeros([8, 100], &device).require_grad();
/// let targets = Tensor::<1, Int>::from_data([7, 0, 99, 42], &device);
///
/// let log_probs = linear_log_probs(hidden, weight.clone(), targets, 256);
/// let values: Vec<f32> = log_probs.clone().into_data().iter::<f32>().collect();
/// assert!(values.iter().all(|value| (value + 100f32.ln()).abs() < 1e-5));
///
/// let gradients = log_probs.sum().neg().backward();
/// assert_eq!(weight.grad(&gradients).unwrap().dims(), [8, 100]);
/// ```
pub fn linear_log_probs(
    hidden: Tensor<2>,
    output_weight: Tensor<2>,
    targets: Tensor<1, Int>,
    chunk_tokens: usize,
) -> Tensor<1> {
    let layout = WeightLayout::InputByVocab;
    call(hidden, output_weight, targets, layout, chunk_tokens)
}

/// [`linear_log_probs`] for a model whose output weight is its token embedding,
/// `[vocab, d_model]`.
///
/// The embedding is read as it lies in memory, and its gradient comes in the same layout, so
/// nothing is transposed.
///
/// # Shapes
///
/// - hidden: `[tokens, d_model]`
/// - embedding: `[vocab, d_model]`
/// - targets: `[tokens]`, each in `0..vocab`
/// - output: `[tokens]`, f32
///
/// # Panics
///
/// As [`linear_log_probs`].
pub fn tied_linear_log_probs(
    hidden: Tensor<2>,
    embedding: Tensor<2>,
    targets: Tensor<1, Int>,
    chunk_tokens: usize,
) -> Tensor<1> {
    let layout = WeightLayout::VocabByInput;
    call(hidden, embedding, targets, layout, chunk_tokens)
}

fn call(
    hidden: Tensor<2>,
    weight: Tensor<2>,
    targets: Tensor<1, Int>,
    layout: WeightLayout,
    chunk_tokens: usize,
) -> Tensor<1> {
    let [tokens, d_model] = hidden.dims();
    let (weight_input, vocab) = layout.split(weight.dims());
    assert!(
        weight_input == d_model && vocab > 0,
        "`hidden` is {:?} and the output weight {:?}: expected {layout:?} with {d_model} inputs \
         and a vocabulary of at least 1",
        hidden.dims(),
        weight.dims()
    );
    assert!(
        targets.dims() == [tokens],
        "`targets` is {:?}, `hidden` is {:?}: there must be one target per hidden state",
        targets.dims(),
        hidden.dims()
    );
    assert!(
        hidden.dtype() == weight.dtype(),
        "`hidden` is {:?} and the output weight {:?}: cast one of them",
        hidden.dtype(),
        weight.dtype()
    );
    if tokens == 0 {
        return nothing(hidden, weight, layout);
    }
    Tensor::from_dispatch(<Dispatch as LinearLogProbs>::linear_log_probs(
        hidden.into_dispatch(),
        weight.into_dispatch(),
        targets.into_dispatch(),
        layout,
        chunk_tokens.max(1),
    ))
}

/// The log-probs of no token, which still lead back to both inputs.
fn nothing(hidden: Tensor<2>, weight: Tensor<2>, layout: WeightLayout) -> Tensor<1> {
    let first = weight.narrow(layout.vocab_axis(), 0, 1);
    let column = match layout {
        WeightLayout::InputByVocab => first,
        WeightLayout::VocabByInput => first.transpose(),
    };
    hidden.matmul(column).squeeze_dim(1).cast(DType::F32)
}

/// How the output weight lies in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WeightLayout {
    /// `[d_model, vocab]`.
    InputByVocab,
    /// `[vocab, d_model]`.
    VocabByInput,
}

impl WeightLayout {
    /// `(d_model, vocab)`.
    fn split(self, dims: [usize; 2]) -> (usize, usize) {
        match self {
            Self::InputByVocab => (dims[0], dims[1]),
            Self::VocabByInput => (dims[1], dims[0]),
        }
    }

    /// Which axis is the vocabulary.
    fn vocab_axis(self) -> usize {
        match self {
            Self::InputByVocab => 1,
            Self::VocabByInput => 0,
        }
    }
}

/// What both passes work on.
#[derive(Clone, Debug)]
struct Inputs<B: Backend> {
    hidden: FloatTensor<B>,
    weight: FloatTensor<B>,
    targets: IntTensor<B>,
    layout: WeightLayout,
    chunk_tokens: usize,
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

/// Result of the forward pass, all `[tokens]` and f32. The last two let the backward pass form
/// `softmax = exp((logit - row_max) - log_sum)` without rounding at the size of the logits.
struct Forward<B: Backend> {
    log_probs: FloatTensor<B>,
    row_max: FloatTensor<B>,
    log_sum: FloatTensor<B>,
}

/// What the backward pass needs.
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
    weight: bool,
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
impl Kernels for burn::backend::Cube {}

#[cfg(feature = "tch")]
#[allow(deprecated)]
impl Kernels for burn::backend::LibTorch {}

/// The operation as the dispatcher sees it.
#[backend_extension(
    Autodiff,
    Flex,
    Cube: cfg(any(feature = "cuda", feature = "wgpu")),
    LibTorch: cfg(feature = "tch")
)]
trait LinearLogProbs: Backend {
    fn linear_log_probs(
        hidden: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        targets: IntTensor<Self>,
        layout: WeightLayout,
        chunk_tokens: usize,
    ) -> FloatTensor<Self>;
}

/// The value on a backend without autodiff.
fn value<B: Kernels>(
    hidden: FloatTensor<B>,
    weight: FloatTensor<B>,
    targets: IntTensor<B>,
    layout: WeightLayout,
    chunk_tokens: usize,
) -> FloatTensor<B> {
    B::forward(&Inputs {
        hidden,
        weight,
        targets,
        layout,
        chunk_tokens,
    })
    .log_probs
}

impl LinearLogProbs for Flex {
    fn linear_log_probs(
        hidden: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        targets: IntTensor<Self>,
        layout: WeightLayout,
        chunk_tokens: usize,
    ) -> FloatTensor<Self> {
        value::<Self>(hidden, weight, targets, layout, chunk_tokens)
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
    ) -> FloatTensor<Self> {
        value::<Self>(hidden, weight, targets, layout, chunk_tokens)
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
    ) -> FloatTensor<Self> {
        value::<Self>(hidden, weight, targets, layout, chunk_tokens)
    }
}

/// The node of the autodiff graph.
#[derive(Debug)]
struct LinearLogProbsBackward;

impl<B: Kernels> Backward<B, 2> for LinearLogProbsBackward {
    /// The weight besides, to find what there is of its gradient. It is held no longer than this step is.
    type State = (Saved<B>, FloatTensor<Autodiff<B>>);

    fn backward(
        self,
        ops: Ops<Self::State, 2>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let grad = grads.consume::<B>(&ops.node);
        let [hidden, weight] = ops.parents;
        let wanted = Wanted {
            hidden: hidden.is_some(),
            weight: weight.is_some(),
        };
        let (saved, weight_tensor) = ops.state;
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
    ) -> FloatTensor<Self> {
        let (hidden, hidden_node) = hidden.into_parts();
        let weight_tensor = weight.clone();
        let (weight, weight_node) = weight.into_parts();
        let inputs = Inputs::<B> {
            hidden,
            weight,
            targets,
            layout,
            chunk_tokens,
        };
        let forward = B::forward(&inputs);
        let prepared = LinearLogProbsBackward
            .prepare::<C>([hidden_node, weight_node])
            .compute_bound()
            .stateful();
        match prepared {
            OpsKind::Tracked(prepared) => {
                let saved = Saved {
                    inputs,
                    row_max: forward.row_max,
                    log_sum: forward.log_sum,
                };
                prepared.finish((saved, weight_tensor), forward.log_probs)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(forward.log_probs),
        }
    }
}
