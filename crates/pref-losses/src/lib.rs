//! Preference and reward-model losses for [burn](https://burn.dev): DPO and its kin, KTO, NCA,
//! Bradley-Terry and LDR.
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
//! let output = NcaConfig::new().with_beta(0.1).init()?.forward(PairLogProbs {
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
//! | loss | wants | what it does to chosen rewards |
//! | --- | --- | --- |
//! | [`Dpo`] | pairs | nothing: only the margin counts, so they may fall with the rejected ones |
//! | [`Ipo`] | pairs | nothing, but the margin is pulled to a finite value |
//! | [`Hinge`] | pairs | nothing; pairs beyond a margin of 1 no longer count |
//! | [`Nca`] | pairs | raises them to an optimum; judges each response by itself |
//! | [`Kto`] | responses with a verdict, or pairs | raises them above the KL to the reference |
//! | [`NcaK`], [`InfoNca`] | K responses with scalar rewards | as NCA; as DPO |
//! | [`BradleyTerry`] | rewards of pairs | nothing: only the margin counts |
//! | [`Ldr`] | rewards of pairs | raises them above 0 |
//! | [`UltraInteractReward`] | rewards of pairs | ranks and raises them above 0 |
//!
//! Every `XConfig` checks its numbers in `init`; [`PreferenceLossConfig`] and [`RewardLossConfig`]
//! choose a loss from `{"type": "kto", "beta": 0.1}`.
//!
//! # Numbers
//!
//! Everything is computed in f32, whatever the dtype of the input. Values and gradients are finite
//! and right for log-ratios from 1e-8 to 1e4.
//!
//! # Features
//!
//! The CPU backend (flex) is always there.
//!
//! | feature | adds |
//! | --- | --- |
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
//! - [`reward`]: Bradley-Terry, LDR, L_UltraInteract
//! - [`dpo`], [`ipo`], [`hinge`], [`nca`], [`nca_k`], [`kto`]: losses of policies
//! - [`pairs`]: what goes into paired losses and comes out
//! - [`config`]: losses chosen by configuration
//! - [`log_probs`]: log-probs of tokens and sequences, SFT cross-entropy
//! - [`linear_log_probs`]: from hidden states to log-probs without holding logits
//! - [`stats`]: rewards, margins and accuracies to log
//! - [`collapse`]: warns when chosen responses are being unlearned
//! - `oracle` (feature): the losses once more without tensors

pub mod aot;
pub mod apo;
pub mod bco;
pub mod collapse;
pub mod config;
mod context;
pub mod cpo;
pub mod discopop;
pub mod divergence;
pub mod dpo;
mod error;
pub mod exo;
mod exponential;
pub mod hinge;
pub mod ipo;
pub mod kto;
pub mod kto_pair;
pub mod linear_log_probs;
pub mod log_probs;
pub mod nca;
pub mod nca_k;
#[cfg(feature = "oracle")]
pub mod oracle;
pub mod orpo;
pub mod pairs;
pub mod plackett_luce;
pub mod reward;
pub mod simpo;
pub mod slic;
pub mod sppo;
mod stable;
pub mod stats;
pub mod sum;
pub mod unpaired;

pub use aot::{Aot, AotConfig, AotPairing};
pub use apo::{Apo, ApoConfig, ApoVariant, UnpairedApoZeroConfig};
pub use bco::{Bco, BcoConfig};
pub use collapse::{CollapseMonitor, CollapseMonitorConfig, CollapseWarning};
pub use config::{
    PreferenceLoss, PreferenceLossConfig, RewardContext, RewardLoss, RewardLossConfig,
    UnpairedLoss, UnpairedLossConfig,
};
pub use context::{Needs, PairContext};
pub use cpo::{Cpo, CpoConfig, CpoForm};
pub use discopop::{Discopop, DiscopopConfig};
pub use divergence::{Divergence, DivergenceConstant};
pub use dpo::{Dpo, DpoConfig, LabelSmoothing};
pub use error::Error;
pub use exo::{Exo, ExoConfig};
pub use hinge::{Hinge, HingeConfig};
pub use ipo::{Ipo, IpoConfig};
pub use kto::{KlEstimate, Kto, KtoConfig};
pub use kto_pair::{KtoPair, KtoPairConfig};
pub use nca::{Nca, NcaConfig};
pub use nca_k::{InfoNca, NcaK, NcaKConfig, ResponseLogProbs, ResponseOutput};
pub use orpo::{Orpo, OrpoConfig};
pub use pairs::{PairLengths, PairLogProbs, PairOutput};
pub use plackett_luce::PlackettLuce;
pub use reward::{
    BradleyTerry, BradleyTerryConfig, Ldr, LdrConfig, UltraInteractReward,
    UltraInteractRewardConfig,
};
pub use simpo::{Simpo, SimpoConfig, SimpoMargin};
pub use slic::{Slic, SlicConfig};
pub use sppo::{Sppo, SppoConfig};
pub use stable::log_sigmoid;
pub use stats::{PairStats, PairSums, RewardStats, RewardSums};
pub use sum::{SftNormalization, Sum, SumConfig, SumTerm};
pub use unpaired::{UnpairedContext, UnpairedLogProbs, UnpairedOutput};

/// The README's example, compiled and run with the other ones.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
