//! Losses over pairs.

use crate::aot::AotConfig;
use crate::apo::ApoConfig;
use crate::bco::BcoConfig;
use crate::cpo::CpoConfig;
use crate::discopop::DiscopopConfig;
use crate::dmpo::DmpoConfig;
use crate::dpo::DpoConfig;
use crate::exo::ExoConfig;
use crate::hinge::HingeConfig;
use crate::ipo::IpoConfig;
use crate::kto::KtoConfig;
use crate::kto_pair::KtoPairConfig;
use crate::ld_dpo::LdDpoConfig;
use crate::loss::PreferenceLoss;
use crate::nca::NcaConfig;
use crate::orpo::OrpoConfig;
use crate::simpo::SimpoConfig;
use crate::slic::SlicConfig;
use crate::sppo::SppoConfig;
use crate::sum::SumConfig;
use crate::wpo::WpoConfig;

losses! {
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
    pub enum PreferenceLossConfig => PreferenceLoss {
        /// [`Dpo`](crate::Dpo).
        Dpo(DpoConfig), "dpo", init;
        /// [`Ipo`](crate::Ipo).
        Ipo(IpoConfig), "ipo", init;
        /// [`Hinge`](crate::Hinge).
        Hinge(HingeConfig), "hinge", init;
        /// [`Nca`](crate::Nca).
        Nca(NcaConfig), "nca", init;
        /// [`Kto`](crate::Kto) from pairs.
        Kto(KtoConfig), "kto", init;
        /// [`KtoPair`](crate::KtoPair).
        KtoPair(KtoPairConfig), "kto_pair", init;
        /// [`Exo`](crate::Exo).
        Exo(ExoConfig), "exo", init;
        /// [`Bco`](crate::Bco) from pairs.
        Bco(BcoConfig), "bco", init;
        /// [`Sppo`](crate::Sppo).
        Sppo(SppoConfig), "sppo", init;
        /// [`Aot`](crate::Aot).
        Aot(AotConfig), "aot", init;
        /// [`Apo`](crate::Apo).
        Apo(ApoConfig), "apo", init;
        /// [`Discopop`](crate::Discopop).
        Discopop(DiscopopConfig), "discopop", init;
        /// [`Simpo`](crate::Simpo) and AlphaPO.
        Simpo(SimpoConfig), "simpo", init;
        /// [`Orpo`](crate::Orpo).
        Orpo(OrpoConfig), "orpo", init;
        /// [`Cpo`](crate::Cpo).
        Cpo(CpoConfig), "cpo", init;
        /// [`Slic`](crate::Slic).
        Slic(SlicConfig), "slic", init;
        /// [`Dmpo`](crate::Dmpo) over trajectories.
        Dmpo(DmpoConfig), "dmpo", init;
        /// [`LdDpo`](crate::LdDpo): another one, with the tail of the longer response scaled.
        LdDpo(LdDpoConfig), "ld_dpo", init;
        /// [`Wpo`](crate::Wpo): another one, weighted by the policy.
        Wpo(WpoConfig), "wpo", init;
        /// [`Sum`](crate::Sum) of several of the others.
        Sum(SumConfig), "sum", init;
    }
}
