//! Learning rates over the steps of a run.

use serde::{Deserialize, Serialize};

/// The shape of the learning rate after warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
pub enum Decay {
    /// Half a cosine, down to 0
    #[default]
    Cosine,
    /// A straight line down to 0
    Linear,
    /// No decay
    Constant,
}

/// Linear warm-up, then decay.
///
/// ```
/// use eurus_train::{Decay, Schedule};
///
/// let schedule = Schedule::new(1e-3, Decay::Cosine, 0.1, 100);
/// assert_eq!(schedule.at(9), 1e-3); // the tenth step ends the warm-up
/// assert!(schedule.at(0) > 0.0 && schedule.at(99) < 1e-5);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Schedule {
    peak: f64,
    decay: Decay,
    warmup_steps: usize,
    steps: usize,
}

impl Schedule {
    /// A schedule over `steps` steps whose first `warmup_ratio` of them (rounded up) climb to `peak`.
    pub fn new(peak: f64, decay: Decay, warmup_ratio: f64, steps: usize) -> Self {
        let warmup_steps = (warmup_ratio.clamp(0.0, 1.0) * steps as f64).ceil() as usize;
        Self {
            peak,
            decay,
            warmup_steps,
            steps,
        }
    }

    /// The learning rate of a step, counted from 0.
    pub fn at(&self, step: usize) -> f64 {
        if step < self.warmup_steps {
            // From 1: a first step with a rate of 0 would change nothing.
            return self.peak * (step + 1) as f64 / self.warmup_steps as f64;
        }
        let after = (self.steps.saturating_sub(self.warmup_steps)).max(1) as f64;
        let progress = ((step - self.warmup_steps) as f64 / after).min(1.0);
        match self.decay {
            Decay::Cosine => self.peak * 0.5 * (1.0 + (std::f64::consts::PI * progress).cos()),
            Decay::Linear => self.peak * (1.0 - progress),
            Decay::Constant => self.peak,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(decay: Decay, warmup_ratio: f64, steps: usize) -> Vec<f64> {
        let schedule = Schedule::new(4.0, decay, warmup_ratio, steps);
        (0..steps).map(|step| schedule.at(step)).collect()
    }

    #[test]
    fn the_warm_up_is_rounded_up_and_climbs_in_a_straight_line() {
        // 0.3 of 5 steps are 1.5.
        assert_eq!(rates(Decay::Constant, 0.3, 5), [2.0, 4.0, 4.0, 4.0, 4.0]);
        assert_eq!(rates(Decay::Constant, 0.0, 2), [4.0, 4.0]);
    }

    #[test]
    fn a_linear_decay_falls_by_the_same_at_every_step() {
        assert_eq!(rates(Decay::Linear, 0.2, 5), [4.0, 4.0, 3.0, 2.0, 1.0]);
    }

    #[test]
    fn a_cosine_is_at_half_of_the_peak_half_way() {
        let rates = rates(Decay::Cosine, 0.0, 4);
        assert_eq!(rates[0], 4.0);
        assert!(
            (rates[2] - 2.0).abs() < 1e-12 && rates[3] < 1.0,
            "{rates:?}"
        );
    }
}
