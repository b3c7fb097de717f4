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
    pub(crate) const ALL: [Self; 2] = [Self::Regression, Self::Score];

    /// The name of the module in the files: `regression_head` or `score`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Regression => "regression_head",
            Self::Score => "score",
        }
    }

    /// The head that the class named in a `config.json` has.
    pub fn of(config: &DecoderConfig) -> Self {
        match config.class() {
            Some(class) if class.ends_with("ForSequenceClassification") => Self::Score,
            _ => Self::Regression,
        }
    }
}

/// A linear head without bias that reads one number, `[1, d]`. Its variants have the names of the files.
#[derive(Module, Debug)]
pub enum RewardProjection {
    /// `regression_head`.
    RegressionHead(Projection),
    /// `score`.
    Score(Projection),
}

impl RewardProjection {
    fn new(head: RewardHead, projection: Projection) -> Self {
        match head {
            RewardHead::Regression => Self::RegressionHead(projection),
            RewardHead::Score => Self::Score(projection),
        }
    }

    /// The projection, whatever its name.
    pub fn projection(&self) -> &Projection {
        match self {
            Self::RegressionHead(projection) | Self::Score(projection) => projection,
        }
    }

    /// The name that it is stored under.
    pub fn head(&self) -> RewardHead {
        match self {
            Self::RegressionHead(_) => RewardHead::Regression,
            Self::Score(_) => RewardHead::Score,
        }
    }

    /// The same, to be changed.
    pub fn projection_mut(&mut self) -> &mut Projection {
        match self {
            Self::RegressionHead(projection) | Self::Score(projection) => projection,
        }
    }

    fn into_projection(self) -> Projection {
        match self {
            Self::RegressionHead(projection) | Self::Score(projection) => projection,
        }
    }
}

/// A decoder's body and a head that reads one number.
#[derive(Module, Debug)]
pub struct RewardModel {
    /// Embedding, layers and last norm.
    pub model: Body,
    /// The head.
    pub head: RewardProjection,
}

impl RewardModel {
    /// A reward model whose weights are zero until they are loaded.
    pub(crate) fn empty(config: &DecoderConfig, head: RewardHead, device: &Device) -> Self {
        let projection = Projection::new(config.hidden_size, 1, false, device);
        Self {
            model: Body::new(config, device),
            head: RewardProjection::new(head, projection),
        }
    }

    /// Puts a reward head of zeros on a language model's body: every reward starts at 0, so the first loss is the
    /// same for every seed.
    pub fn from_decoder(decoder: Decoder) -> Self {
        Self::from_body(decoder.model)
    }

    /// Puts a reward head of zeros on a body.
    pub(crate) fn from_body(model: Body) -> Self {
        let weight = model.embed_tokens.weight.val();
        let [_, hidden_size] = weight.dims();
        let projection = Projection::new(hidden_size, 1, false, &weight.device());
        Self {
            model,
            head: RewardProjection::new(RewardHead::default(), projection),
        }
    }

    /// The same model with its head stored under another name.
    pub fn with_head(self, head: RewardHead) -> Self {
        Self {
            model: self.model,
            head: RewardProjection::new(head, self.head.into_projection()),
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
        let rewards = hidden * self.head.projection().weight.val().cast(dtype);
        rewards.sum_dim(1).squeeze_dim(1)
    }
}
