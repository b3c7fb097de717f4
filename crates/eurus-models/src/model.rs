//! What trainers know of a model.

use burn::module::Module;
use burn::tensor::{Int, Tensor};

use crate::ForestBatch;

/// A language model over packed forests. Trainers know nothing else of it, so any burn module that implements this
/// can be trained.
pub trait ForestModel: Module {
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

    /// The output projection, `[vocab, d]`: logits are `hidden x weight^T`.
    fn output_weight(&self) -> Tensor<2>;

    /// Number of token ids the model knows: those below it.
    fn vocab_size(&self) -> usize {
        self.output_weight().dims()[0]
    }
}

/// A reward model over packed forests.
pub trait ForestRewardModel: Module {
    /// The reward at each of the given tokens, `[N]`; `tokens` are indices into the packed sequence, `[N]`.
    fn rewards(&self, batch: &ForestBatch, tokens: Tensor<1, Int>) -> Tensor<1>;

    /// [`rewards`](Self::rewards), and a loss that the model wants added to whatever is trained, `[1]`.
    fn rewards_and_auxiliary_loss(
        &self,
        batch: &ForestBatch,
        tokens: Tensor<1, Int>,
    ) -> (Tensor<1>, Option<Tensor<1>>) {
        (self.rewards(batch, tokens), None)
    }

    /// Number of token ids the model knows: those below it.
    fn vocab_size(&self) -> usize;
}
