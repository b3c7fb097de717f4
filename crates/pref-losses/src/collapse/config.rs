//! When the monitor warns.

use serde::{Deserialize, Serialize};

use super::CollapseMonitor;
use crate::error::Error;

/// When [`CollapseMonitor`] warns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
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
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the number of observations that a trend is fitted over.
    pub fn with_window(mut self, window: usize) -> Self {
        self.window = window;
        self
    }

    /// Sets by how many standard errors a trend must differ from none.
    pub fn with_confidence(mut self, confidence: f64) -> Self {
        self.confidence = confidence;
        self
    }

    /// Sets how far chosen rewards may be below their start and fall per step.
    pub fn with_chosen_reward(mut self, fall: f64, slope: f64) -> Self {
        self.chosen_reward_fall = fall;
        self.chosen_reward_slope = slope;
        self
    }

    /// Sets how far log-probs of chosen responses may be below their start and fall per step.
    pub fn with_chosen_log_prob(mut self, fall: f64, slope: f64) -> Self {
        self.chosen_log_prob_fall = fall;
        self.chosen_log_prob_slope = slope;
        self
    }

    /// Sets how far the chosen reward may be below the rejected one.
    pub fn with_rejected_lead(mut self, rejected_lead: f64) -> Self {
        self.rejected_lead = rejected_lead;
        self
    }

    /// Sets the margin above which it should not grow further.
    pub fn with_margin(mut self, margin: f64) -> Self {
        self.margin = margin;
        self
    }

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
