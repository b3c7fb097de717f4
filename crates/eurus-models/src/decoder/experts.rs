//! A sparse mixture of experts: every token goes through the few experts its router prefers (Mixtral, arXiv 2401.04088).

use burn::module::Module;
use burn::tensor::activation::softmax;
use burn::tensor::{Device, Tensor, TensorData};

use super::{Projection, wide_type};
use crate::config::{DecoderConfig, MixtureOfExperts};
use crate::int_tensor;

/// One expert: a gated MLP under the names of Mixtral's files.
#[derive(Module, Debug)]
pub struct Expert {
    /// Gate projection, through silu.
    pub w1: Projection,
    /// Down projection.
    pub w2: Projection,
    /// Up projection.
    pub w3: Projection,
}

impl Expert {
    fn new(config: &DecoderConfig, device: &Device) -> Self {
        let (d, inner) = (config.hidden_size, config.intermediate_size);
        Self {
            w1: Projection::new(d, inner, false, device),
            w2: Projection::new(inner, d, false, device),
            w3: Projection::new(d, inner, false, device),
        }
    }

    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let gate = self.w1.forward(x.clone());
        self.w2.forward_gated(gate, self.w3.forward(x))
    }
}

/// The experts of one layer and their router.
#[derive(Module, Debug)]
pub struct SparseMlp {
    /// The router, `[experts, d]`.
    pub gate: Projection,
    /// The experts.
    pub experts: Vec<Expert>,
    experts_per_token: usize,
}

/// Which experts the tokens of a batch go through.
struct Assignment {
    /// The tokens of each expert, ascending.
    tokens_of_expert: Vec<Vec<u32>>,
    /// `[T * k]`: where the output of a token's choice stands when the experts' outputs are put one after another.
    row_of_choice: Vec<u32>,
}

impl Assignment {
    /// From the choices of all tokens, `[T * k]`.
    fn new(choices: &[i32], experts: usize, per_token: usize) -> Self {
        let mut tokens_of_expert = vec![Vec::new(); experts];
        let place_in_expert: Vec<usize> = choices
            .iter()
            .enumerate()
            .map(|(choice, &expert)| {
                let tokens = &mut tokens_of_expert[expert as usize];
                tokens.push((choice / per_token) as u32);
                tokens.len() - 1
            })
            .collect();
        let first_row: Vec<usize> = tokens_of_expert
            .iter()
            .scan(0, |row, tokens| {
                let first = *row;
                *row += tokens.len();
                Some(first)
            })
            .collect();
        let row_of_choice = choices
            .iter()
            .zip(place_in_expert)
            .map(|(&expert, place)| (first_row[expert as usize] + place) as u32)
            .collect();
        Self {
            tokens_of_expert,
            row_of_choice,
        }
    }
}

impl SparseMlp {
    pub(super) fn new(config: &DecoderConfig, mixture: &MixtureOfExperts, device: &Device) -> Self {
        Self {
            gate: Projection::new(config.hidden_size, mixture.experts, false, device),
            experts: (0..mixture.experts)
                .map(|_| Expert::new(config, device))
                .collect(),
            experts_per_token: mixture.experts_per_token,
        }
    }

    pub(super) fn linears(&self) -> impl Iterator<Item = &Projection> {
        let experts = self.experts.iter();
        experts
            .flat_map(|expert| [&expert.w1, &expert.w2, &expert.w3])
            .chain([&self.gate])
    }

    /// `x [T, d]` to the mixed outputs `[T, d]` and the router's probabilities and choices.
    pub fn forward(&self, x: Tensor<2>) -> (Tensor<2>, Routing) {
        let [tokens, d] = x.dims();
        let device = x.device();
        let (experts, k) = (self.experts.len(), self.experts_per_token);
        let dtype = x.dtype();
        let logits = self.gate.forward(x.clone()).cast(wide_type(dtype));
        let probabilities = softmax(logits, 1);
        let (_, chosen) = probabilities.clone().detach().topk_with_indices(k, 1);
        let choices: Vec<i32> = chosen.clone().into_data().iter::<i32>().collect();
        let assignment = Assignment::new(&choices, experts, k);

        let outputs: Vec<Tensor<2>> = self
            .experts
            .iter()
            .zip(&assignment.tokens_of_expert)
            .filter(|(_, tokens)| !tokens.is_empty())
            .map(|(expert, tokens)| {
                expert.forward(x.clone().select(0, int_tensor(tokens, &device)))
            })
            .collect();
        let rows = int_tensor(&assignment.row_of_choice, &device);
        let of_choice = Tensor::cat(outputs, 0).select(0, rows);

        let weights = probabilities.clone().gather(1, chosen);
        let weights = weights.clone() / weights.sum_dim(1);
        let weights = weights.cast(dtype).unsqueeze_dim::<3>(2);
        let mixed = of_choice.reshape([tokens, k, d]) * weights;
        let routing = Routing {
            probabilities,
            choices,
        };
        (mixed.sum_dim(1).squeeze_dim(1), routing)
    }
}

/// What the router of one layer did with a batch.
#[derive(Debug, Clone)]
pub struct Routing {
    /// `[T, experts]`
    pub probabilities: Tensor<2>,
    /// `[T * k]`: each token's experts, the likeliest first.
    choices: Vec<i32>,
}

impl Routing {
    /// The same choices as constants of a pass with autodiff.
    pub fn autodiff(&self) -> Self {
        Self {
            probabilities: Tensor::from_inner(self.probabilities.clone()),
            choices: self.choices.clone(),
        }
    }
}

/// The load-balancing loss of Switch Transformers (arXiv 2101.03961, equations 4 to 6) over all layers together, as
/// transformers computes it: `experts * sum over experts of (choices per token) * (mean probability)`. A tree's tokens
/// count once each. `[1]`; `k` is its smallest value, reached when the experts share the tokens evenly.
pub fn load_balancing_loss(routing: &[Routing]) -> Option<Tensor<1>> {
    let first = routing.first()?;
    let [tokens, experts] = first.probabilities.dims();
    let total_tokens = (tokens * routing.len()) as f32;
    let mut share = vec![0.0f32; experts];
    for &expert in routing.iter().flat_map(|layer| &layer.choices) {
        share[expert as usize] += 1.0 / total_tokens;
    }
    let device = first.probabilities.device();
    let share = Tensor::<1>::from_data(TensorData::new(share, [experts]), &device)
        .cast(first.probabilities.dtype());
    let probabilities = Tensor::cat(
        routing
            .iter()
            .map(|layer| layer.probabilities.clone())
            .collect(),
        0,
    );
    let mean: Tensor<1> = probabilities.mean_dim(0).squeeze_dim(0);
    Some((mean * share).sum() * experts as f32)
}
