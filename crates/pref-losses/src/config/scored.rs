//! Losses over K scored responses.

use crate::lambda_rank::LambdaRankConfig;
use crate::loss::ScoredLoss;
use crate::nca_k::NcaKConfig;
use crate::plackett_luce_dpo::PlackettLuceDpoConfig;

losses! {
    /// Which loss over K scored responses to a prompt, with its settings. Fields that are left out take
    /// their defaults, unknown ones are errors.
    ///
    /// # Examples
    ///
    /// ```
    /// use burn::tensor::{Device, Tensor};
    /// use pref_losses::{ResponseLogProbs, ScoredLossConfig};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let device = Device::flex();
    /// let config: ScoredLossConfig = serde_json::from_str(r#"{"type": "info_nca", "temperature": 0.5}"#)?;
    /// let log_probs = Tensor::<2>::from_floats([[-3.0, -4.0, -5.0]], &device);
    /// let output = config.init()?.forward(ResponseLogProbs {
    ///     policy: log_probs.clone(),
    ///     reference: log_probs,
    ///     scores: Tensor::from_floats([[1.0, 0.0, 2.0]], &device),
    /// });
    /// assert!((output.losses.into_scalar::<f32>() - 3f32.ln()).abs() < 1e-6);
    /// # Ok(())
    /// # }
    /// ```
    pub enum ScoredLossConfig => ScoredLoss {
        /// [`NcaK`](crate::NcaK).
        NcaK(NcaKConfig), "nca_k", init_nca;
        /// [`InfoNca`](crate::InfoNca).
        InfoNca(NcaKConfig), "info_nca", init_info_nca;
        /// [`PlackettLuceDpo`](crate::PlackettLuceDpo).
        PlackettLuce(PlackettLuceDpoConfig), "plackett_luce", init;
        /// [`LambdaRank`](crate::LambdaRank).
        LambdaRank(LambdaRankConfig), "lambda_rank", init;
    }
}
