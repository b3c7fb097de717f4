//! Bradley-Terry for reward models, with pairs weighted by the distance of their representations.

use burn::tensor::{DType, Tensor};
use serde::{Deserialize, Serialize};

use crate::error::{Error, check, positive};
use crate::loss::RewardPairLoss;
use crate::pairs::assert_len;
use crate::reward::RewardContext;
use crate::stable::negative_log_sigmoid;

/// Settings of [`NormBt`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NormBtConfig {
    /// Share of the running mean distance that a step keeps, at least 0 and below 1. Default 0.9.
    pub decay: f64,
    /// Added to each distance, above 0: bounds the weight of two equal representations. Default 1e-6.
    pub epsilon: f64,
}

impl Default for NormBtConfig {
    fn default() -> Self {
        Self {
            decay: 0.9,
            epsilon: 1e-6,
        }
    }
}

impl NormBtConfig {
    /// Makes the loss.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidConfig`] when a number is outside its range.
    pub fn init(&self) -> Result<NormBt, Error> {
        let holds = (0.0..1.0).contains(&self.decay);
        check("norm_bt", "decay", self.decay, holds, "from 0 to below 1")?;
        positive("norm_bt", "epsilon", self.epsilon)?;
        Ok(NormBt {
            decay: self.decay,
            epsilon: self.epsilon,
        })
    }
}

/// NormBT (arXiv 2512.06343, Section 2.2): Bradley-Terry with each pair weighted by the inverse of
/// its representations' distance.
///
/// With `h` the vector that the linear reward head reads for a response,
/// `delta = ||h_c - h_r||_2` and `mean` a running mean of `delta`:
///
/// `W L(r_c - r_r)`, with `W = mean / (delta + epsilon)`, a constant, and `L(x) = -log s(x)`.
///
/// The gradient of plain Bradley-Terry with respect to a linear head is proportional to `delta`, so
/// pairs that are far apart anyway rule the update. Here its size depends on how wrong a pair is
/// ranked alone.
///
/// The running mean is state of the training run, and the caller's: start with `None`, call
/// [`next_mean`](Self::next_mean) once per optimizer step with the mean distance over **all** of its
/// pairs, and save the number with the optimizer. A step is weighted by the mean of the steps before
/// it; the first step, which has none, by its own.
///
/// **When.** Chosen and rejected responses are often near-copies of each other: the fine
/// distinctions that a reward model is wanted for.
///
/// **Chosen rewards.** As [`BradleyTerry`](crate::BradleyTerry): only the difference counts.
///
/// **Pitfalls.** Two equal representations, as of two equal responses, get the weight
/// `mean / epsilon`: drop such pairs. What is averaged, and in which order weight and average are
/// taken, is as said here; the authors' code was not at hand to compare with.
///
/// # Examples
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use pref_losses::{NormBtConfig, representation_distances};
///
/// # fn main() -> Result<(), pref_losses::Error> {
/// let device = Device::flex();
/// let norm_bt = NormBtConfig::default().init()?;
/// let chosen = Tensor::<2>::from_floats([[3.0, 0.0], [1.0, 1.0]], &device);
/// let rejected = Tensor::<2>::from_floats([[0.0, 4.0], [1.0, 2.0]], &device);
/// let distances = representation_distances(chosen, rejected);
/// let mean = norm_bt.next_mean(None, f64::from(distances.clone().mean().into_scalar::<f32>()));
/// assert_eq!(mean, 3.0);
///
/// let equal = Tensor::<1>::zeros([2], &device);
/// let losses = norm_bt.forward(equal.clone(), equal, distances, mean);
/// let losses: Vec<f32> = losses.into_data().iter::<f32>().collect();
/// // Distances are 5 and 1.
/// assert!((losses[1] / losses[0] - 5.0).abs() < 1e-4);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct NormBt {
    decay: f64,
    epsilon: f64,
}

impl NormBt {
    /// The weight of each pair, `mean / (distance + epsilon)`; f32, without gradient.
    ///
    /// # Shapes
    ///
    /// - distances, output: `[pairs]`
    pub fn weights(&self, distances: Tensor<1>, mean: f64) -> Tensor<1> {
        let distances = distances.detach().cast(DType::F32);
        distances.add_scalar(self.epsilon).recip().mul_scalar(mean)
    }

    /// One loss per pair. `mean` is the running mean distance *before* this step's pairs, at least 0.
    ///
    /// # Shapes
    ///
    /// - chosen, rejected: rewards, `[pairs]`
    /// - distances: `[pairs]`, from [`representation_distances`]
    /// - output: `[pairs]`, f32
    ///
    /// # Panics
    ///
    /// If the tensors differ in length.
    pub fn forward(
        &self,
        chosen: Tensor<1>,
        rejected: Tensor<1>,
        distances: Tensor<1>,
        mean: f64,
    ) -> Tensor<1> {
        let pairs = chosen.dims()[0];
        assert_len("rejected", &rejected, "chosen", pairs);
        assert_len("distances", &distances, "chosen", pairs);
        let lead = chosen.cast(DType::F32) - rejected.cast(DType::F32);
        negative_log_sigmoid(lead) * self.weights(distances, mean)
    }

    /// The running mean after a step: `decay mean + (1 - decay) step_mean`; `step_mean` itself where
    /// there is no mean yet. `step_mean` is the mean distance over all pairs of the step.
    pub fn next_mean(&self, mean: Option<f64>, step_mean: f64) -> f64 {
        match mean {
            None => step_mean,
            Some(mean) => self.decay * mean + (1.0 - self.decay) * step_mean,
        }
    }
}

impl RewardPairLoss for NormBt {
    fn needs_distances(&self) -> bool {
        true
    }

    fn next_mean_distance(&self, mean: Option<f64>, step_mean: f64) -> f64 {
        self.next_mean(mean, step_mean)
    }

    fn forward(
        &self,
        chosen: Tensor<1>,
        rejected: Tensor<1>,
        context: &RewardContext,
    ) -> Result<Tensor<1>, Error> {
        let given = context.distances.clone().ok_or(Error::Missing {
            loss: "norm_bt",
            what: "distances of representations",
            place: "RewardContext::distances",
        })?;
        Ok(self.forward(chosen, rejected, given.distances, given.mean))
    }
}

/// Euclidean distances of the representations of each pair's responses; f32, without gradient.
///
/// # Shapes
///
/// - chosen, rejected: `[pairs, d_model]`, the vectors that the reward head reads
/// - output: `[pairs]`
///
/// # Panics
///
/// If the two differ in shape.
pub fn representation_distances(chosen: Tensor<2>, rejected: Tensor<2>) -> Tensor<1> {
    assert!(
        chosen.dims() == rejected.dims(),
        "`rejected` is {:?}, `chosen` is {:?}: they must agree",
        rejected.dims(),
        chosen.dims()
    );
    let apart = chosen.detach().cast(DType::F32) - rejected.detach().cast(DType::F32);
    let squares = apart.clone() * apart;
    squares.sum_dim(1).squeeze_dim::<1>(1).sqrt()
}
