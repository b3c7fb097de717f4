//! One case of the golden file: its inputs, and how far the oracle is from what it expects.

use ndarray::{Array, Array1, Array2, ArrayD, Dimension, Ix1, Ix2, Ix3};
use serde_json::Value;

use super::losses;

/// Tolerances of the vectors' README: `|got - want| <= ABS + REL * max|want|`.
const REL: f64 = 1e-11;
const ABS: f64 = 1e-14;
/// Where the file has a high-precision value, every entry is right by itself.
const EXACT_REL: f64 = 1e-9;
/// The references count wins in f32.
const ACCURACY_ABS: f64 = 1e-7;
/// Five-point differences of this step: truncation and rounding.
const STEP: f64 = 2e-4;
const GRADIENT_REL: f64 = 1e-8;
const GRADIENT_ABS: f64 = 1e-11;

/// Named arrays, flat.
pub type Values = Vec<(&'static str, Vec<f64>)>;

pub struct Case<'a> {
    value: &'a Value,
    /// An input entry that is moved, for differences: name, flat index, by how much.
    moved: Option<(&'a str, usize, f64)>,
}

impl<'a> Case<'a> {
    pub fn new(value: &'a Value) -> Self {
        Self { value, moved: None }
    }

    /// The same case with its inputs as they are: for what is a constant in the loss.
    pub fn unmoved(&self) -> Self {
        Self::new(self.value)
    }

    pub fn name(&self) -> &'a str {
        self.value["name"].as_str().expect("name")
    }

    pub fn loss(&self) -> &'a str {
        self.value["loss"].as_str().expect("loss")
    }

    /// A number of the configuration.
    pub fn config(&self, key: &str) -> f64 {
        self.value["config"][key]
            .as_f64()
            .unwrap_or_else(|| panic!("{}: no setting {key}", self.name()))
    }

    /// A number of the configuration, or what it is where there is none.
    pub fn config_or(&self, key: &str, default: f64) -> f64 {
        self.value["config"][key].as_f64().unwrap_or(default)
    }

    /// A word of the configuration.
    pub fn choice(&self, key: &str) -> &'a str {
        self.value["config"][key]
            .as_str()
            .unwrap_or_else(|| panic!("{}: no setting {key}", self.name()))
    }

    pub fn has(&self, group: &str, key: &str) -> bool {
        !self.value[group][key].is_null()
    }

    fn input<D: Dimension>(&self, key: &str) -> Array<f64, D> {
        let value = &self.value["inputs"][key];
        assert!(!value.is_null(), "{}: no input {key}", self.name());
        let mut entries = flat(value);
        if let Some((_, index, by)) = self.moved.filter(|(name, ..)| *name == key) {
            entries[index] += by;
        }
        let mut shape = Vec::new();
        let mut level = value;
        while let Value::Array(items) = level {
            shape.push(items.len());
            level = &level[0];
        }
        ArrayD::from_shape_vec(shape, entries)
            .and_then(|array| array.into_dimensionality())
            .unwrap_or_else(|error| panic!("{}: input {key}: {error}", self.name()))
    }

    pub fn vector(&self, key: &str) -> Array1<f64> {
        self.input::<Ix1>(key)
    }

    pub fn matrix(&self, key: &str) -> Array2<f64> {
        self.input::<Ix2>(key)
    }

    pub fn cube(&self, key: &str) -> Array<f64, Ix3> {
        self.input::<Ix3>(key)
    }

    /// 0/1 or true/false.
    pub fn flags<D: Dimension>(&self, key: &str) -> Array<bool, D> {
        self.input::<D>(key).mapv(|flag| flag > 0.5)
    }

    pub fn ids(&self, key: &str) -> Array2<i64> {
        self.matrix(key).mapv(|id| id as i64)
    }

    fn values(&self) -> Values {
        losses::values(self)
    }

    /// The reduced loss with one input entry moved.
    fn loss_with(&self, key: &'a str, index: usize, by: f64) -> f64 {
        let moved = Self {
            value: self.value,
            moved: Some((key, index, by)),
        };
        let values = moved.values();
        let (_, loss) = values
            .iter()
            .find(|(name, _)| *name == "loss")
            .expect("every loss has a reduced value");
        loss[0]
    }

    /// Compares everything the file expects; returns the largest relative error.
    pub fn compare_values(&self, failures: &mut Vec<String>) -> f64 {
        let got = self.values();
        let expected = self.value["expected"].as_object().expect("expected");
        let mut worst = 0.0f64;
        for (name, want) in expected {
            let Some((_, got)) = got.iter().find(|(key, _)| key == name) else {
                failures.push(format!("{} {name}: not computed", self.name()));
                continue;
            };
            let exact = &self.value["exact"][name];
            let (want, exact) = if exact.is_null() {
                (flat(want), false)
            } else {
                (flat(exact), true)
            };
            let scale = largest(&want);
            let limit = |want: f64| {
                if name == "reward_accuracy" {
                    ACCURACY_ABS
                } else if exact {
                    EXACT_REL * want.abs()
                } else {
                    ABS + REL * scale
                }
            };
            let error = self.compare(name, got, &want, limit, failures);
            if name != "reward_accuracy" {
                worst = worst.max(error);
            }
        }
        worst
    }

    /// Compares the file's gradients with differences of the oracle; returns the largest error
    /// relative to the largest entry of all gradients.
    ///
    /// Left out are cases whose gradient changes within a step: kinks, steps between counted and
    /// uncounted tokens, and extremes (a divergence of 1e20 at a margin of exactly 0).
    pub fn compare_gradients(&self, failures: &mut Vec<String>) -> f64 {
        let tags = self.value["tags"].as_array().expect("tags");
        if tags
            .iter()
            .any(|tag| tag == "kink" || tag == "halos_quirk" || tag == "extreme")
        {
            return 0.0;
        }
        let grads = self.value["grads"].as_object().expect("grads");
        let scale = grads
            .values()
            .map(|grad| largest(&flat(grad)))
            .fold(0.0, f64::max);
        let mut worst = 0.0f64;
        for (key, want) in grads {
            let inputs = flat(&self.value["inputs"][key]);
            let got: Vec<f64> = (0..inputs.len())
                .map(|index| self.difference(key, index, inputs[index]))
                .collect();
            let limit = |_| GRADIENT_ABS + GRADIENT_REL * scale;
            let name = format!("gradient of {key}");
            worst = worst.max(self.compare(&name, &got, &flat(want), limit, failures));
        }
        worst
    }

    /// Five-point central difference along one input entry.
    fn difference(&self, key: &'a str, index: usize, at: f64) -> f64 {
        // ORPO's mean log-probs must stay below 0.
        let step = if self.loss().starts_with("orpo") {
            STEP.min(0.002 * at.abs())
        } else {
            STEP
        };
        let rise = |by: f64| self.loss_with(key, index, by) - self.loss_with(key, index, -by);
        (8.0 * rise(step) - rise(2.0 * step)) / (12.0 * step)
    }

    /// Notes what is beyond its limit; returns the largest error relative to the largest entry.
    fn compare(
        &self,
        what: &str,
        got: &[f64],
        want: &[f64],
        limit: impl Fn(f64) -> f64,
        failures: &mut Vec<String>,
    ) -> f64 {
        if got.len() != want.len() {
            let (got, want) = (got.len(), want.len());
            failures.push(format!("{} {what}: {got} of {want} entries", self.name()));
            return f64::INFINITY;
        }
        let mut worst = 0.0f64;
        for (index, (&got, &want)) in got.iter().zip(want).enumerate() {
            let error = (got - want).abs();
            if error.is_nan() || error > limit(want) {
                failures.push(format!(
                    "{} {what}[{index}]: {got:e} instead of {want:e}, off by {error:e}",
                    self.name()
                ));
            }
            worst = worst.max(error);
        }
        worst / largest(want).max(1.0)
    }
}

/// Any nesting, flattened; booleans as 0/1.
fn flat(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(items) => items.iter().flat_map(flat).collect(),
        Value::Bool(flag) => vec![f64::from(u8::from(*flag))],
        other => vec![other.as_f64().expect("number")],
    }
}

fn largest(values: &[f64]) -> f64 {
    values
        .iter()
        .fold(0.0f64, |max, value| max.max(value.abs()))
}
