//! The reward model: a decoder's body with a linear head that reads one number.

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor};

use crate::config::DecoderConfig;
use crate::decoder::{Body, Projection, wide_type};
use crate::{Decoder, ForestBatch, ForestBlocks, ForestBody, ForestRewardModel};

/// Under which name a reward head is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RewardHead {
    /// `regression_head.weight`, as Eurus-RM and UltraRM.
    #[default]
    Regression,
    /// `score.weight`, as the sequence classifiers of transformers (`LlamaForSequenceClassification`).
    Score,
}

impl RewardHead {
    /// The head that the class named in a `config.json` has.
    pub fn of(config: &DecoderConfig) -> Self {
        let class = config.source.get("architectures");
        let class = class.and_then(|classes| classes.get(0)?.as_str());
        match class {
            Some(class) if class.ends_with("ForSequenceClassification") => Self::Score,
            _ => Self::Regression,
        }
    }
}

/// A decoder's body and a linear head without bias. One of the two heads is there; see [`RewardHead`].
#[derive(Module, Debug)]
pub struct RewardModel {
    /// Embedding, layers and last norm.
    pub model: Body,
    /// `[1, d]`
    pub regression_head: Option<Projection>,
    /// `[1, d]`
    pub score: Option<Projection>,
}

impl RewardModel {
    pub(crate) fn empty(config: &DecoderConfig, device: &Device) -> Self {
        Self::from_decoder(Decoder::empty(config, device)).with_head(RewardHead::of(config))
    }

    /// Puts a reward head of zeros on a language model's body: every reward starts at 0, so the first loss is the
    /// same for every seed.
    pub fn from_decoder(decoder: Decoder) -> Self {
        let weight = decoder.model.embed_tokens.weight.val();
        let [_, hidden_size] = weight.dims();
        let head = Projection::new(hidden_size, 1, false, &weight.device());
        Self {
            model: decoder.model,
            regression_head: Some(head),
            score: None,
        }
    }

    /// The same model with its head stored under another name.
    pub fn with_head(self, head: RewardHead) -> Self {
        let projection = self.regression_head.or(self.score);
        let (regression_head, score) = match head {
            RewardHead::Regression => (projection, None),
            RewardHead::Score => (None, projection),
        };
        Self {
            model: self.model,
            regression_head,
            score,
        }
    }

    /// Under which name the head is stored.
    pub fn head(&self) -> RewardHead {
        match self.score {
            Some(_) => RewardHead::Score,
            None => RewardHead::Regression,
        }
    }
}

impl ForestBody for RewardModel {
    fn hidden_states(&self, batch: &ForestBatch) -> Tensor<2> {
        self.model.forward(batch).hidden
    }

    fn hidden_states_and_auxiliary_loss(
        &self,
        batch: &ForestBatch,
    ) -> (Tensor<2>, Option<Tensor<1>>) {
        self.model.forward_with_auxiliary_loss(batch)
    }

    fn blocks<'a>(&'a self, batch: &'a ForestBatch) -> Option<Box<dyn ForestBlocks + 'a>> {
        Some(self.model.blocks(batch))
    }

    fn vocab_size(&self) -> usize {
        self.model.embed_tokens.weight.val().dims()[0]
    }
}

impl ForestRewardModel for RewardModel {
    fn rewards_of(&self, hidden: Tensor<2>, tokens: Tensor<1, Int>) -> Tensor<1> {
        let dtype = wide_type(hidden.dtype());
        let hidden = hidden.select(0, tokens).cast(dtype);
        // A sum of products and not an [N, 1] matrix product: accelerators get the latter wrong or slow.
        let rewards = match (&self.regression_head, &self.score) {
            (Some(head), _) | (None, Some(head)) => hidden * head.weight.val().cast(dtype),
            (None, None) => hidden.zeros_like(),
        };
        rewards.sum_dim(1).squeeze_dim(1)
    }
}
