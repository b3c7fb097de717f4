//! When the monitor warns.

use serde::{Deserialize, Serialize};

use super::CollapseMonitor;
use crate::error::Error;

/// When [`CollapseMonitor`] warns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CollapseMonitorConfig {
    /// Observations that a trend is fitted over, at least 3. Nothing but non-finite numbers is
    /// reported before that many. Default 32.
    pub window: usize,
    /// By how many of its standard errors a trend must differ from no trend, at least 0. Default 2.
    /// Raise it where noise makes false alarms.
    pub confidence: f64,
    /// How far chosen rewards may be below their start, above 0. Default 1: at a beta of 0.1,
    /// chosen responses have become less likely by 10 nats each.
    pub chosen_reward_fall: f64,
    /// By how much chosen rewards may fall per step, above 0. Default 0.001.
    pub chosen_reward_slope: f64,
    /// How far log-probs of chosen responses may be below their start, in nats per response, above
    /// 0. Default 10.
    pub chosen_log_prob_fall: f64,
    /// By how many nats per response log-probs of chosen responses may fall per step, above 0.
    /// Default 0.01.
    pub chosen_log_prob_slope: f64,
    /// How far the mean chosen reward may be below the rejected one, above 0. Default 0.1.
    pub rejected_lead: f64,
    /// Margin above which it should not grow further, above 0. Default 20: a sigmoid of it has no
    /// gradient left, so a policy that still moves it moves for nothing.
    pub margin: f64,
}

impl Default for CollapseMonitorConfig {
    fn default() -> Self {
        Self {
            window: 32,
            confidence: 2.0,
            chosen_reward_fall: 1.0,
            chosen_reward_slope: 1e-3,
            chosen_log_prob_fall: 10.0,
            chosen_log_prob_slope: 1e-2,
            rejected_lead: 0.1,
            margin: 20.0,
        }
    }
}

impl CollapseMonitorConfig {
    /// Makes the monitor.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidMonitor`] when a number is outside its range.
    pub fn init(&self) -> Result<CollapseMonitor, Error> {
        let window = self.window as f64;
        check("window", window, self.window >= 3, "at least 3")?;
        let confidence = self.confidence;
        check(
            "confidence",
            confidence,
            confidence >= 0.0,
            "finite and at least 0",
        )?;
        for (field, value) in [
            ("chosen_reward_fall", self.chosen_reward_fall),
            ("chosen_reward_slope", self.chosen_reward_slope),
            ("chosen_log_prob_fall", self.chosen_log_prob_fall),
            ("chosen_log_prob_slope", self.chosen_log_prob_slope),
            ("rejected_lead", self.rejected_lead),
            ("margin", self.margin),
        ] {
            check(field, value, value > 0.0, "finite and above 0")?;
        }
        Ok(CollapseMonitor::new(self.clone()))
    }
}

/// Requires a finite `value` for which `holds` is true.
fn check(
    field: &'static str,
    value: f64,
    holds: bool,
    expected: &'static str,
) -> Result<(), Error> {
    if value.is_finite() && holds {
        Ok(())
    } else {
        Err(Error::InvalidMonitor {
            field,
            value,
            expected,
        })
    }
}
