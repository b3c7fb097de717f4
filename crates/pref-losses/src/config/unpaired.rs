//! Losses over responses with a verdict each.

use crate::apo::UnpairedApoZeroConfig;
use crate::bco::BcoConfig;
use crate::kto::KtoConfig;
use crate::loss::UnpairedLoss;

losses! {
    /// Which loss over responses with a verdict, with its settings. Fields that are left out take their
    /// defaults, unknown ones are errors.
    ///
    /// # Examples
    ///
    /// ```
    /// use burn::tensor::{Bool, Device, Tensor};
    /// use pref_losses::{UnpairedContext, UnpairedLogProbs, UnpairedLossConfig};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let device = Device::flex();
    /// let config: UnpairedLossConfig = serde_json::from_str(r#"{"type": "bco", "beta": 0.1}"#)?;
    /// let output = config.init()?.forward(
    ///     UnpairedLogProbs {
    ///         policy: Tensor::from_floats([-9.0, -20.0], &device),
    ///         reference: Tensor::from_floats([-10.0, -21.0], &device),
    ///         desirable: Tensor::<1, Bool>::from_data([true, false], &device),
    ///     },
    ///     &UnpairedContext { reward_shift: 0.1, ..UnpairedContext::default() },
    /// )?;
    /// assert_eq!(output.losses.dims(), [2]);
    /// # Ok(())
    /// # }
    /// ```
    pub enum UnpairedLossConfig => UnpairedLoss {
        /// [`Kto`](crate::Kto).
        Kto(KtoConfig), "kto", init;
        /// [`Bco`](crate::Bco).
        Bco(BcoConfig), "bco", init;
        /// APO-zero: [`Kto`](crate::Kto) with its KL term fixed at 0.
        ApoZero(UnpairedApoZeroConfig), "apo_zero", init;
    }
}
