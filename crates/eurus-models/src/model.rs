//! The model traits that trainers rely on.

use burn::module::Module;
use burn::tensor::{Int, Tensor};

use crate::ForestBatch;
use crate::decoder::Routing;

/// A model from packed forests to hidden states: what language models and reward models share. Trainers know no more of a
/// model than this and [`ForestModel`] or [`ForestRewardModel`], so any burn module that implements the two can be trained.
pub trait ForestBody: Module {
    /// Hidden states after the last norm, `[T, d]`. A token's state may depend on its own node's earlier tokens and on
    /// its ancestors' tokens only.
    fn hidden_states(&self, batch: &ForestBatch) -> Tensor<2>;

    /// [`hidden_states`](Self::hidden_states), and a loss that the model wants added to whatever is trained, `[1]`: the
    /// load-balancing loss of a mixture of experts, say, coefficient included.
    fn hidden_states_and_auxiliary_loss(
        &self,
        batch: &ForestBatch,
    ) -> (Tensor<2>, Option<Tensor<1>>) {
        (self.hidden_states(batch), None)
    }

    /// The forward pass block by block, for trainers that keep the blocks' inputs alone and compute the rest again.
    /// `None` for models that cannot.
    fn blocks<'a>(&'a self, _batch: &'a ForestBatch) -> Option<Box<dyn ForestBlocks + 'a>> {
        None
    }

    /// Number of token ids the model knows: those below it.
    fn vocab_size(&self) -> usize;
}

/// A language model over packed forests.
pub trait ForestModel: ForestBody {
    /// The output projection, `[vocab, d]`: logits are `hidden x weight^T`.
    fn output_weight(&self) -> Tensor<2>;

    /// Whether the gradient of the output projection, where it is a parameter in half precision, may come in f32, so that it is
    /// rounded nowhere between the forests of a step. Not unless all that the model itself computes with that parameter gives
    /// such gradients, as the operations of [`ops`](crate::ops) do and burn's do not: burn cannot add the two.
    fn output_gradient_may_be_f32(&self) -> bool {
        false
    }
}

/// A reward model over packed forests.
pub trait ForestRewardModel: ForestBody {
    /// The reward at each of the given tokens, `[N]`; `hidden` is `[T, d]`, `tokens` are indices into it, `[N]`.
    fn rewards_of(&self, hidden: Tensor<2>, tokens: Tensor<1, Int>) -> Tensor<1>;

    /// The reward at each of the given tokens, `[N]`; `tokens` are indices into the packed sequence, `[N]`.
    fn rewards(&self, batch: &ForestBatch, tokens: Tensor<1, Int>) -> Tensor<1> {
        self.rewards_of(self.hidden_states(batch), tokens)
    }
}

/// A model's pass over one batch, cut where only `[T, d]` goes from one part to the next.
///
/// `finish(block(n - 1, .. block(0, embed())))` is what the model computes in one go.
pub trait ForestBlocks {
    /// Number of blocks.
    fn count(&self) -> usize;

    /// The first block's input, `[T, d]`.
    fn embed(&self) -> Tensor<2>;

    /// A block's output for its input, `[T, d]` both, and its router's choices, if it has one.
    fn block(&self, index: usize, x: Tensor<2>) -> (Tensor<2>, Option<Routing>);

    /// Hidden states from the last block's output, `[T, d]`.
    fn finish(&self, x: Tensor<2>) -> Tensor<2>;

    /// The model's own loss from the routers' choices of all blocks, in their order, `[1]`.
    fn auxiliary_loss(&self, _routing: &[Routing]) -> Option<Tensor<1>> {
        None
    }

    /// Whether a block draws random numbers when it is trained, so that running it again would not give the same.
    fn is_random(&self) -> bool {
        false
    }
}
