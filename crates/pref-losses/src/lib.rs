//! Preference and reward-model losses for [burn](https://burn.dev): DPO and its kin, KTO, NCA,
//! SimPO, ORPO, Bradley-Terry, LDR and a dozen more.
//!
//! For anyone who trains language models or reward models with burn and wants the losses alone:
//! pure functions of log-probs and rewards, with no model, data set or trainer attached. Tensors
//! of shape `[pairs]` go in, losses and implicit rewards of shape `[pairs]` come out, and the
//! caller reduces.
//!
//! ```
//! use burn::tensor::{Device, Tensor};
//! use pref_losses::{NcaConfig, PairLogProbs};
//!
//! # fn main() -> Result<(), pref_losses::Error> {
//! let device = Device::flex().autodiff();
//! let policy_chosen = Tensor::<1>::from_floats([-12.0, -30.0], &device).require_grad();
//!
//! let output = NcaConfig { beta: 0.1 }.init()?.forward(PairLogProbs {
//!     policy_chosen: policy_chosen.clone(),
//!     policy_rejected: Tensor::from_floats([-25.0, -31.0], &device),
//!     reference_chosen: Tensor::from_floats([-14.0, -30.0], &device),
//!     reference_rejected: Tensor::from_floats([-22.0, -31.0], &device),
//! });
//! let gradients = output.losses.mean().backward();
//!
//! // Descent raises the log-probs of chosen responses.
//! let gradient = policy_chosen.grad(&gradients).unwrap();
//! assert!(gradient.into_data().iter::<f32>().all(|value| value < 0.0));
//! # Ok(())
//! # }
//! ```
//!
//! # Words
//!
//! - *log-prob*: natural logarithm of a probability. Of a response: the sum over its tokens.
//! - *policy*: the model that is trained. *reference*: the frozen model it started from.
//! - *log-ratio*: policy log-prob minus reference log-prob.
//! - *reward*: beta times the log-ratio for policies (implicit reward), the scalar head's output
//!   for reward models.
//!
//! # Which loss
//!
//! Start from what there is. Pairs of responses and a reference model: [`Dpo`], or [`Nca`] and
//! [`Kto`] on reasoning data, where DPO unlearns correct responses. Responses with a verdict each:
//! [`Kto`]. No room for a reference model: [`Simpo`] after SFT, [`Orpo`] instead of it. K responses
//! with scores: [`NcaK`], or [`LambdaRank`] where the best shall come out on top. A reward model: [`UltraInteractReward`] where absolute rewards are used
//! (filtering, best of N over several prompts), else [`BradleyTerry`].
//!
//! With `a`, `b` the log-ratios of chosen and rejected, `z = beta (a - b)`, `r = beta` times a
//! log-ratio, `p` a log-prob per token, `s` the logistic function and `L(x) = -log s(x)`:
//!
//! | loss | per pair | chosen rewards | take it when |
//! | --- | --- | --- | --- |
//! | [`Dpo`] | `L(z)` | may fall: only the margin counts | it is the default of the field |
//! | [`Dpo`] with smoothing | `(1-e) L(z) + e L(-z)`, or its unbiased form | may fall | labels are noisy |
//! | [`Dpo`] with `length_normalized` | `L(beta (a/n_c - b/n_r))` | may fall | lengths differ much |
//! | with a [`Divergence`] | `g(a)`, `g(b)` for `a`, `b` | held up by forward KL and Jensen-Shannon | diversity shall be kept |
//! | [`Ipo`] | `(a - b - 1/(2 beta))^2` | may fall; the margin is bounded | DPO overfits |
//! | [`Hinge`] | `max(0, 1 - z)` | may fall; the margin is bounded | easy pairs shall not count |
//! | [`Exo`] | `KL(policy's preference, smoothed label)` | may fall; the margin is bounded | mode-seeking is wanted |
//! | [`Discopop`] | `L(z)` below 0, `exp(-z)` above | may fall | DPO is to be compared with |
//! | [`Aot`] | `L` of sorted margins or rewards | may fall | distributions count, not pairs |
//! | [`Nca`] | `L(r_c) + L(-r_c)/2 + L(-r_r)/2` | rise to an optimum | on reasoning data |
//! | [`Kto`] | `s(-(r_c - K))`, `s(-(K - r_r))` | rise above the KL estimate `K` | verdicts are not paired; on reasoning data |
//! | [`KtoPair`] | the same with `K` of the batch | rise above the rejected mean | old results are to be matched |
//! | [`Bco`] | `L(r_c - shift) + L(shift - r_r)` | rise | verdicts are not paired, no mismatched pairs |
//! | [`Sppo`] | `(a - 1/(2 beta))^2 + (b + 1/(2 beta))^2` | rise to 1/2 | in rounds of self-play |
//! | [`Apo`] zero, down | `s(-r_c) + s(r_r)`; `s(r_c) + s(-z)` | rise; fall | chosen are better, or worse, than the policy's own |
//! | [`Simpo`] | `L(beta (p_c - p_r) - gamma)`, no reference | may fall | memory is short; length bias |
//! | [`Simpo`] with `alpha` (AlphaPO) | the same of bent `p` | fall less | SimPO lets them fall |
//! | [`Cpo`] | `L(beta (log-prob difference))`, no reference | held by its SFT term | memory is short |
//! | [`Orpo`] | `-p_c + beta L(log-odds ratio)`, no reference | rise | in one stage from a base model |
//! | [`Slic`] | `max(0, delta - log-prob difference)` and SFT, no reference | rise | a margin in plain nats is wanted |
//! | [`Sum`] | weighted sum and an SFT term | held up by the SFT term | DPO with SFT (RPO), CPO, mixtures |
//! | [`Dmpo`] | `L(beta (sum_t phi_t x_t^c - sum_t phi_t x_t^r))` over turns | may fall | trajectories differ in their number of turns |
//!
//! Two change what goes into any of them, or what comes out:
//!
//! | | does | take it when |
//! | --- | --- | --- |
//! | [`Wpo`] | weighs pairs by how likely the policy would write them | pairs come from other models |
//! | [`LdDpo`] | scales the tail of a pair's longer response | DPO makes responses longer |
//!
//! | loss | input | per row | rewards |
//! | --- | --- | --- | --- |
//! | [`Kto`], [`Bco`], APO-zero ([`UnpairedApoZeroConfig`]) | responses with a verdict | as above | as above |
//! | [`NcaK`], [`InfoNca`] | K responses with scores | as NCA; as DPO | rise; may fall |
//! | [`PlackettLuceDpo`] | the same | `-log` of the probability of the scores' order | may fall |
//! | [`LambdaRank`] | the same | `L` of all pairs, weighted by what a swap would change | may fall |
//! | [`BradleyTerry`] | rewards of pairs | `L(r_c - r_r - margin)` | any level; a penalty centres them |
//! | [`NormBt`] | the same, and distances of hidden states | `mean / distance` times `L(r_c - r_r)` | any level |
//! | [`Ldr`] | rewards of pairs | `L(r_c) + L(-r_r)` | chosen above 0, rejected below |
//! | [`UltraInteractReward`] | rewards of pairs | both | ranked, and on both sides of 0 |
//! | [`PlackettLuce`] | rewards of rankings | `-log` of the ranking's probability | any level |
//!
//! Every `XConfig` checks its numbers in `init`. [`PreferenceLossConfig`], [`UnpairedLossConfig`],
//! [`ScoredLossConfig`] and [`RewardLossConfig`] choose a loss from `{"type": "kto", "beta": 0.1}`; what it looks at beside
//! log-probs is in [`PairLoss::needs`] and goes into a [`PairContext`]. A loss of one's own goes
//! the same way: see [`PairLoss`].
//!
//! # Numbers
//!
//! Everything is computed in f32, whatever the dtype of the input. Values and gradients are finite
//! and right for log-ratios from 1e-8 to 1e4, wherever the true ones are within f32: tails are taken
//! from logarithms, not from `1 - s(x)`, and where autodiff of a stable value would cancel, the loss
//! brings its own derivative. Rewards never carry a gradient.
//!
//! # Features
//!
//! | feature | adds |
//! | --- | --- |
//! | `flex` (default) | burn's CPU backend; without it the crate builds in half the time, for a backend of your own choice |
//! | `avx512` | matrix products with AVX-512, on processors that have it |
//! | `cuda` | burn's CUDA backend |
//! | `wgpu` | burn's wgpu backend |
//! | `tch` | burn's LibTorch backend; needs a LibTorch folder at build time |
//! | `oracle` | module `oracle`: every loss in plain f64 on `ndarray`, for tests and logged log-probs |
//!
//! The losses run on any burn backend. [`linear_log_probs`] is an operation of its own and runs on
//! those above; for another CubeCL runtime (`metal`, `vulkan`, `rocm`, `cpu` of burn) turn on
//! `wgpu` or `cuda` here as well.
//!
//! # Modules
//!
//! Losses, their settings and what goes into them are here; these are for themselves:
//!
//! - [`log_probs`]: log-probs of tokens and sequences, weights of responses, SFT cross-entropy
//! - [`linear_log_probs`]: from hidden states to log-probs without holding logits
//! - [`collapse`]: warns when chosen responses are being unlearned
//! - `oracle` (feature): the losses once more without tensors

mod aot;
mod apo;
mod bco;
pub mod collapse;
mod config;
mod context;
mod cpo;
mod discopop;
mod divergence;
mod dmpo;
mod dpo;
mod error;
mod exo;
mod exponential;
mod hinge;
mod ipo;
mod kto;
mod kto_pair;
mod lambda_rank;
mod ld_dpo;
pub mod linear_log_probs;
pub mod log_probs;
mod loss;
mod nca;
mod nca_k;
mod norm_bt;
#[cfg(feature = "oracle")]
pub mod oracle;
mod orpo;
mod pairs;
mod parts;
mod plackett_luce;
mod plackett_luce_dpo;
mod responses;
mod reward;
mod simpo;
mod slic;
mod sppo;
mod stable;
mod stats;
mod sum;
mod unpaired;
mod wpo;

pub use aot::{Aot, AotConfig, AotPairing};
pub use apo::{Apo, ApoConfig, ApoVariant, UnpairedApoZeroConfig};
pub use bco::{Bco, BcoConfig};
pub use config::{PreferenceLossConfig, RewardLossConfig, ScoredLossConfig, UnpairedLossConfig};
pub use context::{Needs, PairContext};
pub use cpo::{Cpo, CpoConfig, CpoForm};
pub use discopop::{Discopop, DiscopopConfig};
pub use divergence::{Divergence, DivergenceConstant};
pub use dmpo::{Dmpo, DmpoConfig};
pub use dpo::{Dpo, DpoConfig, LabelSmoothing};
pub use error::Error;
pub use exo::{Exo, ExoConfig};
pub use hinge::{Hinge, HingeConfig};
pub use ipo::{Ipo, IpoConfig};
pub use kto::{KlEstimate, Kto, KtoConfig};
pub use kto_pair::{KtoPair, KtoPairConfig};
pub use lambda_rank::{LambdaRank, LambdaRankConfig};
pub use ld_dpo::{LdDpo, LdDpoConfig};
pub use loss::{
    PairLoss, PreferenceLoss, RewardLoss, RewardPairLoss, ScoreLoss, ScoredLoss, UnpairedLoss,
    VerdictLoss,
};
pub use nca::{Nca, NcaConfig};
pub use nca_k::{InfoNca, NcaK, NcaKConfig};
pub use norm_bt::{NormBt, NormBtConfig, representation_distances};
pub use orpo::{Orpo, OrpoConfig, log_odds};
pub use pairs::{PairLengths, PairLogProbs, PairOutput};
pub use parts::{PairParts, ResponseParts};
pub use plackett_luce::PlackettLuce;
pub use plackett_luce_dpo::{PlackettLuceDpo, PlackettLuceDpoConfig};
pub use responses::{ResponseLogProbs, ResponseOutput};
pub use reward::{
    BradleyTerry, BradleyTerryConfig, Ldr, LdrConfig, RepresentationDistances, RewardContext,
    UltraInteractReward, UltraInteractRewardConfig,
};
pub use simpo::{Simpo, SimpoConfig, SimpoMargin};
pub use slic::{Slic, SlicConfig};
pub use sppo::{Sppo, SppoConfig};
pub use stable::log_sigmoid;
pub use stats::{PreferenceStats, PreferenceSums};
pub use sum::{SftNormalization, Sum, SumConfig, SumTerm};
pub use unpaired::{UnpairedContext, UnpairedLogProbs, UnpairedOutput};
pub use wpo::{PairLogWeights, Wpo, WpoConfig};

/// The README's example, compiled and run with the other ones.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
