//! The reward model: a decoder's body with a linear head that reads one number.

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor};

use crate::config::DecoderConfig;
use crate::decoder::{Body, Projection};
use crate::{Decoder, ForestBatch, ForestRewardModel};

/// A decoder's body and a linear head without bias, as Eurus-RM and UltraRM are stored.
#[derive(Module, Debug)]
pub struct RewardModel {
    /// Embedding, layers and last norm.
    pub model: Body,
    /// `[1, d]`
    pub regression_head: Projection,
}

impl RewardModel {
    pub(crate) fn empty(config: &DecoderConfig, device: &Device) -> Self {
        Self {
            model: Decoder::empty(config, device).model,
            regression_head: Projection::for_reward(config.hidden_size, device),
        }
    }

    /// Puts a reward head of zeros on a language model's body: every reward starts at 0, so the first loss is the
    /// same for every seed.
    pub fn from_decoder(decoder: Decoder) -> Self {
        let weight = decoder.model.embed_tokens.weight.val();
        let [_, hidden_size] = weight.dims();
        let regression_head = Projection::for_reward(hidden_size, &weight.device());
        Self {
            model: decoder.model,
            regression_head,
        }
    }
}

impl ForestRewardModel for RewardModel {
    fn rewards(&self, batch: &ForestBatch, tokens: Tensor<1, Int>) -> Tensor<1> {
        let hidden = self.model.forward(batch).select(0, tokens);
        // A sum of products and not an [N, 1] matrix product: accelerators get the latter wrong or slow.
        let weight = self.regression_head.weight.val();
        (hidden * weight).sum_dim(1).squeeze_dim(1)
    }

    fn vocab_size(&self) -> usize {
        self.model.embed_tokens.weight.val().dims()[0]
    }
}
