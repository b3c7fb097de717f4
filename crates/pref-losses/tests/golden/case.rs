//! One case of the golden file, and what a run of it gave.

use burn::tensor::{Bool, Device, Gradients, Int, Tensor, TensorData};
use serde_json::Value;

/// f32 tolerances of the vectors' README: `|got - want| <= ABS + REL * max|want|`.
const REL: f64 = 5e-6;
const ABS: f64 = 2e-7;

/// Arrays of one run under the names they have in the file.
pub struct Run {
    pub values: Vec<(&'static str, Vec<f64>)>,
    pub grads: Vec<(&'static str, Vec<f64>)>,
}

impl Run {
    /// Largest absolute error; differences beyond the tolerance go into `failures`.
    pub fn compare(
        &self,
        case: &Case<'_>,
        group: &str,
        arrays: &[(&'static str, Vec<f64>)],
        failures: &mut Vec<String>,
    ) -> f64 {
        let kink = case.value["tags"]
            .as_array()
            .is_some_and(|tags| tags.iter().any(|t| t == "kink"));
        // The references do not all report every array; the loss is always there.
        let arrays: Vec<_> = arrays
            .iter()
            .filter(|(name, _)| *name == "loss" || case.has(group, name))
            .collect();
        let wants: Vec<Vec<f64>> = arrays.iter().map(|(n, _)| case.array(group, n)).collect();
        let max_of = |want: &[f64]| want.iter().fold(0.0f64, |max, x| max.max(x.abs()));
        let all = wants.iter().fold(0.0f64, |max, want| max.max(max_of(want)));
        let mut worst = 0.0f64;
        for ((name, got), want) in arrays.iter().zip(&wants) {
            let scale = if group == "grads" { all } else { max_of(want) };
            let error = got.iter().zip(want).fold(0.0f64, |max, (g, w)| {
                let error = (g - w).abs();
                if error.is_finite() {
                    max.max(error)
                } else {
                    f64::INFINITY
                }
            });
            worst = worst.max(error);
            let same_len = got.len() == want.len();
            if !same_len || (error > ABS + REL * scale && !(kink && group == "grads")) {
                failures.push(format!(
                    "{} {group}.{name}: error {error:e}, scale {scale:e}, {} of {} entries",
                    case.name(),
                    got.len(),
                    want.len()
                ));
            }
        }
        worst
    }
}

pub struct Case<'a> {
    pub value: &'a Value,
    pub device: Device,
}

impl Case<'_> {
    pub fn name(&self) -> &str {
        self.value["name"].as_str().expect("name")
    }
    pub fn loss(&self) -> &str {
        self.value["loss"].as_str().expect("loss")
    }
    pub fn config(&self, key: &str) -> f64 {
        self.value["config"][key]
            .as_f64()
            .unwrap_or_else(|| panic!("{}: no {key}", self.name()))
    }
    pub fn has(&self, group: &str, key: &str) -> bool {
        !self.value[group][key].is_null()
    }
    /// Any nesting, flattened; booleans as 0/1.
    pub fn array(&self, group: &str, key: &str) -> Vec<f64> {
        fn flatten(value: &Value, into: &mut Vec<f64>) {
            match value {
                Value::Array(items) => items.iter().for_each(|item| flatten(item, into)),
                Value::Bool(flag) => into.push(f64::from(u8::from(*flag))),
                other => into.push(other.as_f64().expect("number")),
            }
        }
        let mut flat = Vec::new();
        flatten(&self.value[group][key], &mut flat);
        flat
    }
    pub fn dims<const D: usize>(&self, key: &str) -> [usize; D] {
        let mut value = &self.value["inputs"][key];
        std::array::from_fn(|_| {
            let len = value.as_array().expect("array").len();
            value = &value[0];
            len
        })
    }
    pub fn input<const D: usize>(&self, key: &str) -> Tensor<D> {
        let floats: Vec<f32> = self
            .array("inputs", key)
            .iter()
            .map(|&x| x as f32)
            .collect();
        Tensor::from_data(TensorData::new(floats, self.dims::<D>(key)), &self.device)
    }
    pub fn leaf<const D: usize>(&self, key: &str) -> Tensor<D> {
        self.input(key).require_grad()
    }
    pub fn ints(&self, key: &str) -> Tensor<2, Int> {
        let ints: Vec<i64> = self
            .array("inputs", key)
            .iter()
            .map(|&x| x as i64)
            .collect();
        Tensor::from_data(TensorData::new(ints, self.dims::<2>(key)), &self.device)
    }
    pub fn flags<const D: usize>(&self, key: &str) -> Tensor<D, Bool> {
        self.input::<D>(key).greater_elem(0.5)
    }
}

pub fn read<const D: usize>(tensor: &Tensor<D>) -> Vec<f64> {
    tensor.to_data().iter::<f64>().collect()
}

pub fn grad<const D: usize>(leaf: &Tensor<D>, gradients: &Gradients) -> Vec<f64> {
    leaf.grad(gradients)
        .map_or_else(|| vec![0.0; leaf.shape().num_elements()], |g| read(&g))
}
