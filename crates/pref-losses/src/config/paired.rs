//! Losses over pairs.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::aot::{Aot, AotConfig};
use crate::apo::{Apo, ApoConfig};
use crate::bco::{Bco, BcoConfig};
use crate::context::{Needs, PairContext};
use crate::cpo::{Cpo, CpoConfig};
use crate::discopop::{Discopop, DiscopopConfig};
use crate::dpo::{Dpo, DpoConfig};
use crate::error::Error;
use crate::exo::{Exo, ExoConfig};
use crate::hinge::{Hinge, HingeConfig};
use crate::ipo::{Ipo, IpoConfig};
use crate::kto::{KlEstimate, Kto, KtoConfig};
use crate::kto_pair::{KtoPair, KtoPairConfig};
use crate::nca::{Nca, NcaConfig};
use crate::orpo::{Orpo, OrpoConfig};
use crate::pairs::{PairLogProbs, PairOutput};
use crate::simpo::{Simpo, SimpoConfig};
use crate::slic::{Slic, SlicConfig};
use crate::sppo::{Sppo, SppoConfig};
use crate::sum::{Sum, SumConfig};

/// Which preference loss, with its settings. Fields that are left out take their defaults, unknown
/// ones are errors.
///
/// # Examples
///
/// ```
/// use pref_losses::PreferenceLossConfig;
///
/// let config: PreferenceLossConfig =
///     serde_json::from_str(r#"{"type": "kto", "beta": 0.1, "desirable_weight": 1.33}"#)?;
/// assert!(config.init()?.needs().kl);
///
/// let config: PreferenceLossConfig = serde_json::from_str(
///     r#"{
///         "type": "sum",
///         "terms": [
///             {"weight": 1.0, "loss": {"type": "dpo", "divergence": {"alpha": 0.5}}},
///             {"weight": 0.2, "loss": {"type": "bco"}}
///         ],
///         "sft_weight": 0.2,
///         "sft_normalization": "tokens"
///     }"#,
/// )?;
/// assert!(config.init()?.needs().lengths);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum PreferenceLossConfig {
    /// [`Dpo`].
    Dpo(DpoConfig),
    /// [`Ipo`].
    Ipo(IpoConfig),
    /// [`Hinge`].
    Hinge(HingeConfig),
    /// [`Nca`].
    Nca(NcaConfig),
    /// [`Kto`] from pairs.
    Kto(KtoConfig),
    /// [`KtoPair`].
    KtoPair(KtoPairConfig),
    /// [`Exo`].
    Exo(ExoConfig),
    /// [`Bco`] from pairs.
    Bco(BcoConfig),
    /// [`Sppo`].
    Sppo(SppoConfig),
    /// [`Aot`].
    Aot(AotConfig),
    /// [`Apo`].
    Apo(ApoConfig),
    /// [`Discopop`].
    Discopop(DiscopopConfig),
    /// [`Simpo`] and AlphaPO.
    Simpo(SimpoConfig),
    /// [`Orpo`].
    Orpo(OrpoConfig),
    /// [`Cpo`].
    Cpo(CpoConfig),
    /// [`Slic`].
    Slic(SlicConfig),
    /// [`Sum`] of several of the others.
    Sum(SumConfig),
}

impl PreferenceLossConfig {
    /// The names of all losses, as in the serialized `type`, in the order of the variants.
    pub const NAMES: &[&str] = &[
        "dpo", "ipo", "hinge", "nca", "kto", "kto_pair", "exo", "bco", "sppo", "aot", "apo",
        "discopop", "simpo", "orpo", "cpo", "slic", "sum",
    ];

    /// The name of the loss, as in the serialized `type`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Dpo(_) => "dpo",
            Self::Ipo(_) => "ipo",
            Self::Hinge(_) => "hinge",
            Self::Nca(_) => "nca",
            Self::Kto(_) => "kto",
            Self::KtoPair(_) => "kto_pair",
            Self::Exo(_) => "exo",
            Self::Bco(_) => "bco",
            Self::Sppo(_) => "sppo",
            Self::Aot(_) => "aot",
            Self::Apo(_) => "apo",
            Self::Discopop(_) => "discopop",
            Self::Simpo(_) => "simpo",
            Self::Orpo(_) => "orpo",
            Self::Cpo(_) => "cpo",
            Self::Slic(_) => "slic",
            Self::Sum(_) => "sum",
        }
    }

    /// Makes the loss.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidConfig`] when a number is outside its range, [`Error::InvalidSum`] for a sum
    /// that cannot be made.
    pub fn init(&self) -> Result<PreferenceLoss, Error> {
        Ok(match self {
            Self::Dpo(config) => PreferenceLoss::Dpo(config.init()?),
            Self::Ipo(config) => PreferenceLoss::Ipo(config.init()?),
            Self::Hinge(config) => PreferenceLoss::Hinge(config.init()?),
            Self::Nca(config) => PreferenceLoss::Nca(config.init()?),
            Self::Kto(config) => PreferenceLoss::Kto(config.init()?),
            Self::KtoPair(config) => PreferenceLoss::KtoPair(config.init()?),
            Self::Exo(config) => PreferenceLoss::Exo(config.init()?),
            Self::Bco(config) => PreferenceLoss::Bco(config.init()?),
            Self::Sppo(config) => PreferenceLoss::Sppo(config.init()?),
            Self::Aot(config) => PreferenceLoss::Aot(config.init()?),
            Self::Apo(config) => PreferenceLoss::Apo(config.init()?),
            Self::Discopop(config) => PreferenceLoss::Discopop(config.init()?),
            Self::Simpo(config) => PreferenceLoss::Simpo(config.init()?),
            Self::Orpo(config) => PreferenceLoss::Orpo(config.init()?),
            Self::Cpo(config) => PreferenceLoss::Cpo(config.init()?),
            Self::Slic(config) => PreferenceLoss::Slic(config.init()?),
            Self::Sum(config) => PreferenceLoss::Sum(config.init()?),
        })
    }
}

/// A preference loss over pairs, chosen at run time.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum PreferenceLoss {
    /// Direct preference optimisation.
    Dpo(Dpo),
    /// Identity preference optimisation.
    Ipo(Ipo),
    /// Hinge loss on the margin.
    Hinge(Hinge),
    /// Noise-contrastive alignment.
    Nca(Nca),
    /// Kahneman-Tversky optimisation.
    Kto(Kto),
    /// KTO of the early report.
    KtoPair(KtoPair),
    /// Efficient exact optimisation.
    Exo(Exo),
    /// Binary classifier optimisation.
    Bco(Bco),
    /// Self-play preference optimisation.
    Sppo(Sppo),
    /// Alignment by optimal transport.
    Aot(Aot),
    /// Anchored preference optimisation.
    Apo(Apo),
    /// DiscoPOP.
    Discopop(Discopop),
    /// SimPO and AlphaPO.
    Simpo(Simpo),
    /// Odds-ratio preference optimisation.
    Orpo(Orpo),
    /// Contrastive preference optimisation.
    Cpo(Cpo),
    /// Sequence likelihood calibration.
    Slic(Slic),
    /// A weighted sum.
    Sum(Sum),
}

impl PreferenceLoss {
    /// What [`forward`](Self::forward) looks at.
    pub fn needs(&self) -> Needs {
        let (reference, lengths, kl) = match self {
            Self::Dpo(loss) => (true, loss.is_length_normalized(), false),
            Self::Ipo(loss) => (true, loss.is_length_normalized(), false),
            Self::Kto(loss) => (true, false, loss.kl_estimate() != KlEstimate::Zero),
            Self::Hinge(_)
            | Self::Nca(_)
            | Self::KtoPair(_)
            | Self::Exo(_)
            | Self::Bco(_)
            | Self::Sppo(_)
            | Self::Aot(_)
            | Self::Apo(_)
            | Self::Discopop(_) => (true, false, false),
            Self::Simpo(_) | Self::Orpo(_) => (false, true, false),
            Self::Cpo(loss) => (false, loss.is_length_normalized(), false),
            Self::Slic(_) => (false, false, false),
            Self::Sum(loss) => return loss.needs(),
        };
        Needs {
            reference,
            lengths,
            kl,
        }
    }

    /// The KL estimate `[1]` from mismatched log-probs, for losses that need one: [`Kto::kl`].
    pub fn kl(&self, policy: Tensor<1>, reference: Tensor<1>) -> Option<Tensor<1>> {
        match self {
            Self::Kto(kto) if self.needs().kl => Some(kto.kl(policy, reference)),
            // All terms that need an estimate agree on which.
            Self::Sum(sum) => sum
                .losses()
                .find(|loss| loss.needs().kl)
                .and_then(|loss| loss.kl(policy, reference)),
            _ => None,
        }
    }

    /// One loss per pair, from log-probs summed over each response, and from what else the loss
    /// [`needs`](Self::needs).
    ///
    /// # Errors
    ///
    /// [`Error::MissingKl`] or [`Error::MissingLengths`] when `context` lacks what is needed.
    ///
    /// # Panics
    ///
    /// If the tensors differ in length.
    pub fn forward(
        &self,
        log_probs: PairLogProbs,
        context: &PairContext,
    ) -> Result<PairOutput, Error> {
        Ok(match self {
            Self::Dpo(loss) if loss.is_length_normalized() => {
                loss.forward_per_token(log_probs, context.lengths("dpo")?)
            }
            Self::Dpo(loss) => loss.forward(log_probs),
            Self::Ipo(loss) if loss.is_length_normalized() => {
                loss.forward_per_token(log_probs, context.lengths("ipo")?)
            }
            Self::Ipo(loss) => loss.forward(log_probs),
            Self::Cpo(loss) if loss.is_length_normalized() => {
                loss.forward_per_token(log_probs, context.lengths("cpo")?)
            }
            Self::Cpo(loss) => loss.forward(log_probs),
            Self::Hinge(loss) => loss.forward(log_probs),
            Self::Nca(loss) => loss.forward(log_probs),
            Self::Kto(loss) => {
                let device = log_probs.policy_chosen.device();
                let kl = loss.reference_point(context.kl.clone(), &device)?;
                loss.forward_pairs(log_probs, kl)
            }
            Self::KtoPair(loss) => loss.forward(log_probs),
            Self::Exo(loss) => loss.forward(log_probs),
            Self::Bco(loss) => loss.forward(log_probs, context.reward_shift),
            Self::Sppo(loss) => loss.forward(log_probs),
            Self::Aot(loss) => loss.forward(log_probs),
            Self::Apo(loss) => loss.forward(log_probs),
            Self::Discopop(loss) => loss.forward(log_probs),
            Self::Simpo(loss) => loss.forward(log_probs, context.lengths("simpo")?),
            Self::Orpo(loss) => loss.forward(log_probs, context.lengths("orpo")?),
            Self::Slic(loss) => loss.forward(log_probs),
            Self::Sum(loss) => loss.forward(log_probs, context)?,
        })
    }
}
