//! Direct multi-turn preference optimisation: trajectories, whose early turns count more.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::context::{Needs, PairContext};
use crate::dpo::{Dpo, DpoConfig};
use crate::error::{Error, check, flip_rate, positive};
use crate::loss::PairLoss;
use crate::pairs::{PairLogProbs, PairOutput};
use crate::parts::{PairParts, ResponseParts, weighted_sums};
use crate::stable::exp_m1;

/// Settings of [`Dmpo`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DmpoConfig {
    /// Strength of the tie to the reference, above 0. Default 0.1.
    pub beta: f64,
    /// Discount from turn to turn, above 0 and at most 1. Default 0.7, as in the authors' code.
    pub gamma: f64,
    /// Assumed rate of flipped labels, 0 to 0.5. Default 0.
    pub label_smoothing: f64,
}

impl Default for DmpoConfig {
    fn default() -> Self {
        Self {
            beta: 0.1,
            gamma: 0.7,
            label_smoothing: 0.0,
        }
    }
}

impl DmpoConfig {
    /// Makes the loss.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidConfig`] when a number is outside its range.
    pub fn init(&self) -> Result<Dmpo, Error> {
        positive("dmpo", "beta", self.beta)?;
        flip_rate("dmpo", self.label_smoothing)?;
        let holds = self.gamma > 0.0 && self.gamma <= 1.0;
        let expected = "above 0 and at most 1";
        check("dmpo", "gamma", self.gamma, holds, expected)?;
        let dpo = DpoConfig {
            beta: self.beta,
            label_smoothing: self.label_smoothing,
            ..DpoConfig::default()
        };
        Ok(Dmpo {
            gamma: self.gamma,
            dpo: dpo.init()?,
        })
    }
}

/// Direct multi-turn preference optimisation (DMPO, arXiv 2406.14868) over pairs of trajectories.
///
/// A trajectory is a series of turns `t = 0, .., T - 1` of the policy, with what the environment or
/// the user answers between them. With `x_t` the log-ratio `policy - reference` of turn `t`, summed
/// over its tokens, and
///
/// `phi(t, T) = gamma^t (1 - gamma^(T - t)) / (1 - gamma^T)`, which is `(T - t)/T` for `gamma = 1`,
///
/// the loss is `L(beta (sum_t phi(t, T_c) x_t^c - sum_t phi(t, T_r) x_t^r))`, with `L(x) = -log s(x)`;
/// label smoothing `e` makes it `(1 - e) L(z) + e L(-z)`. That is Bradley-Terry on discounted
/// rewards, each trajectory's divided by `sum_t gamma^t`, with the reward of a turn being the
/// log-ratio of the whole path up to it: hence a turn counts once for itself and once for each turn
/// after it. Weights fall from 1 for the first turn of a trajectory, however long it is.
///
/// Implicit rewards are `beta` times the weighted sums.
///
/// **When.** Trajectories of tool use or dialogue that differ in their number of turns. A small
/// `gamma` looks at the first turn alone, a large one at all of them.
///
/// **Chosen rewards.** As [`Dpo`]: only the difference counts.
///
/// **Pitfalls.** Turns that both trajectories of a pair share do not cancel where their numbers of
/// turns differ, since `phi` depends on `T`. What the environment says does not count: leave it out
/// of the sums of turns. Log-probs of whole trajectories do not serve.
///
/// # Examples
///
/// ```
/// use burn::tensor::{Bool, Device, Tensor};
/// use pref_losses::{DmpoConfig, ResponseParts};
///
/// # fn main() -> Result<(), pref_losses::Error> {
/// let device = Device::flex();
/// let turns = |policy: [f32; 2], mask: [bool; 2]| ResponseParts {
///     policy: Tensor::from_floats([policy], &device),
///     reference: Tensor::zeros([1, 2], &device),
///     mask: Tensor::<2, Bool>::from_data([mask], &device),
/// };
/// let dmpo = DmpoConfig { beta: 1.0, gamma: 1.0, ..DmpoConfig::default() }.init()?;
/// let output = dmpo.forward(
///     turns([-1.0, -4.0], [true, true]),
///     turns([-3.0, 0.0], [true, false]),
/// );
/// // -1 - 4/2 and -3: neither leads.
/// let loss = output.losses.into_scalar::<f32>();
/// assert!((loss - std::f32::consts::LN_2).abs() < 1e-6);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Dmpo {
    gamma: f64,
    dpo: Dpo,
}

impl Dmpo {
    /// One loss per pair, from log-probs of turns.
    ///
    /// # Panics
    ///
    /// If the shapes disagree.
    pub fn forward(&self, chosen: ResponseParts, rejected: ResponseParts) -> PairOutput {
        self.dpo.forward(self.log_probs(chosen, rejected))
    }

    /// The weighted sums `sum_t phi(t, T) log p_t` of both trajectories, for other losses over pairs;
    /// `[pairs]` and f32.
    ///
    /// # Panics
    ///
    /// If the shapes disagree.
    pub fn log_probs(&self, chosen: ResponseParts, rejected: ResponseParts) -> PairLogProbs {
        weighted_sums(chosen, rejected, |chosen, rejected| {
            [chosen, rejected].map(|side| self.weights(side.numbers(), side.counts()))
        })
    }

    /// `phi`, for turns `numbers [pairs, turns]`, counted from 1, of `counts [pairs, 1]`.
    fn weights(&self, numbers: Tensor<2>, counts: Tensor<2>) -> Tensor<2> {
        let counts = counts.clamp_min(1.0);
        let before = numbers.sub_scalar(1.0);
        let left = counts.clone() - before.clone();
        if self.gamma == 1.0 {
            return left / counts;
        }
        // `1 - gamma^n` would cancel for a gamma near 1.
        let rate = self.gamma.ln();
        let share = exp_m1(left.mul_scalar(rate)) / exp_m1(counts.mul_scalar(rate));
        before.mul_scalar(rate).exp() * share
    }
}

impl PairLoss for Dmpo {
    fn needs(&self) -> Needs {
        Needs {
            turns: true,
            ..Needs::REFERENCE
        }
    }

    fn forward(&self, _: PairLogProbs, context: &PairContext) -> Result<PairOutput, Error> {
        let PairParts { chosen, rejected } = context.turns("dmpo")?;
        Ok(self.forward(chosen, rejected))
    }
}
