//! Contrastive preference optimisation.

use burn::tensor::activation::relu;
use serde::{Deserialize, Serialize};

use crate::context::{Needs, PairContext};
use crate::error::{Error, flip_rate, positive};
use crate::loss::PairLoss;
use crate::pairs::{Pair, PairLengths, PairLogProbs, PairOutput};
use crate::stable::smoothed_negative_log_sigmoid;

/// How [`Cpo`] turns the difference of log-probs into a loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CpoForm {
    /// `(1 - e) L(beta y) + e L(-beta y)`: the paper's.
    #[default]
    Sigmoid,
    /// `max(0, 1 - beta y)`.
    Hinge,
    /// `(y - 1/(2 beta))^2` on log-probs per token.
    Ipo,
}

/// Settings of [`Cpo`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CpoConfig {
    /// Scale of the log-probs, above 0. Default 0.1.
    pub beta: f64,
    /// The form of the loss of the difference of log-probs. Default sigmoid.
    pub form: CpoForm,
    /// Assumed rate of flipped labels, 0 to 0.5; for the sigmoid form alone. Default 0.
    pub label_smoothing: f64,
}

impl Default for CpoConfig {
    fn default() -> Self {
        Self {
            beta: 0.1,
            form: CpoForm::default(),
            label_smoothing: 0.0,
        }
    }
}

impl CpoConfig {
    /// Makes the loss.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidConfig`] when a number is outside its range, and when a form without label
    /// smoothing is given some.
    pub fn init(&self) -> Result<Cpo, Error> {
        positive("cpo", "beta", self.beta)?;
        flip_rate("cpo", self.label_smoothing)?;
        if self.form != CpoForm::Sigmoid && self.label_smoothing != 0.0 {
            return Err(Error::InvalidConfig {
                loss: "cpo",
                field: "label_smoothing",
                value: self.label_smoothing,
                expected: "0 for the forms `hinge` and `ipo`",
            });
        }
        Ok(Cpo {
            config: self.clone(),
        })
    }
}

/// Contrastive preference optimisation (arXiv 2401.08417), without its SFT term: with
/// `y = policy_chosen - policy_rejected` one of the forms of [`CpoForm`].
///
/// The whole loss adds the chosen responses' cross-entropy per token of the batch. That is
/// [`SumConfig`](crate::SumConfig):
/// `{"type": "sum", "terms": [{"loss": {"type": "cpo"}}], "sft_weight": 1.0}`.
///
/// The reference is ignored: zeros may be passed for it. Rewards that are reported are `beta` times
/// the log-prob (per token for the IPO form). SimPO, which TRL's CPO trainer has as one more form, is
/// [`Simpo`](crate::Simpo).
///
/// **When.** To train without a reference model. It is DPO with a uniform reference.
///
/// **Chosen rewards.** Nothing holds them but the SFT term.
///
/// **Pitfalls.** Sums of log-probs favour short responses. Without the SFT term the policy has
/// nothing to hold on to.
///
/// # Examples
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use pref_losses::{CpoConfig, PairLogProbs};
///
/// # fn main() -> Result<(), pref_losses::Error> {
/// let device = Device::flex();
/// let cpo = CpoConfig { beta: 0.1, ..CpoConfig::default() }.init()?;
/// let output = cpo.forward(PairLogProbs::without_reference(
///     Tensor::from_floats([-20.0, -20.0], &device),
///     Tensor::from_floats([-20.0, -60.0], &device),
/// ));
/// let losses: Vec<f32> = output.losses.into_data().iter::<f32>().collect();
/// assert!((losses[0] - std::f32::consts::LN_2).abs() < 1e-6 && losses[1] < losses[0]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Cpo {
    config: CpoConfig,
}

impl Cpo {
    /// One loss per pair, from log-probs summed over each response.
    ///
    /// # Panics
    ///
    /// If the two tensors differ in length, and for the IPO form: that is
    /// [`forward_per_token`](Cpo::forward_per_token).
    pub fn forward(&self, log_probs: PairLogProbs) -> PairOutput {
        assert!(
            !self.is_length_normalized(),
            "the IPO form takes log-probs per token: call `Cpo::forward_per_token`"
        );
        self.output(log_probs.policy())
    }

    /// One loss per pair, from log-probs divided by the responses' lengths.
    ///
    /// # Panics
    ///
    /// If the tensors differ in length.
    pub fn forward_per_token(&self, log_probs: PairLogProbs, lengths: PairLengths) -> PairOutput {
        self.output(log_probs.policy().per_token(lengths))
    }

    /// True for the form that takes log-probs per token.
    pub fn is_length_normalized(&self) -> bool {
        self.config.form == CpoForm::Ipo
    }

    fn output(&self, values: Pair) -> PairOutput {
        let beta = self.config.beta;
        let rewards = values.rewards(beta);
        let difference = values.difference();
        let losses = match self.config.form {
            CpoForm::Sigmoid => {
                let logits = difference.mul_scalar(beta);
                smoothed_negative_log_sigmoid(logits, self.config.label_smoothing)
            }
            CpoForm::Hinge => relu(difference.mul_scalar(-beta).add_scalar(1.0)),
            CpoForm::Ipo => {
                let distance = difference.sub_scalar(0.5 / beta);
                distance.clone() * distance
            }
        };
        PairOutput::new(losses, rewards)
    }
}

impl PairLoss for Cpo {
    fn needs(&self) -> Needs {
        Needs {
            lengths: self.is_length_normalized(),
            ..Needs::default()
        }
    }

    fn forward(&self, log_probs: PairLogProbs, context: &PairContext) -> Result<PairOutput, Error> {
        if self.is_length_normalized() {
            let lengths = context.lengths("cpo")?;
            return Ok(self.forward_per_token(log_probs, lengths));
        }
        Ok(self.forward(log_probs))
    }
}
