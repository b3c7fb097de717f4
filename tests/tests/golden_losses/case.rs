//! One case of the golden file.

use burn::tensor::{Bool, Device, Gradients, Int, Tensor, TensorData};
use serde_json::Value;

pub struct Case<'a> {
    value: &'a Value,
    pub device: &'a Device,
}

impl<'a> Case<'a> {
    pub fn new(value: &'a Value, device: &'a Device) -> Self {
        Self { value, device }
    }

    pub fn name(&self) -> &'a str {
        self.value["name"].as_str().expect("a case has a name")
    }

    pub fn loss(&self) -> &'a str {
        self.value["loss"].as_str().expect("a case has a loss")
    }

    pub fn has_tag(&self, tag: &str) -> bool {
        let tags = self.value["tags"].as_array();
        tags.is_some_and(|tags| tags.iter().any(|found| found == tag))
    }

    pub fn setting(&self, key: &str) -> Option<f64> {
        self.value["config"][key].as_f64()
    }

    /// A setting that the loss cannot do without.
    pub fn number(&self, key: &str) -> Result<f64, String> {
        self.setting(key)
            .ok_or_else(|| format!("no number `{key}` in its config"))
    }

    pub fn word(&self, key: &str) -> Option<&'a str> {
        self.value["config"][key].as_str()
    }

    pub fn has(&self, group: &str, key: &str) -> bool {
        !self.value[group][key].is_null()
    }

    /// What is expected: the exact values where the file has them.
    pub fn expected(&self, group: &str, key: &str) -> Option<Vec<f64>> {
        let exact = match group {
            "grads" => &self.value["exact"]["grads"][key],
            _ => &self.value["exact"][key],
        };
        let value = if exact.is_null() {
            &self.value[group][key]
        } else {
            exact
        };
        let mut values = (!value.is_null()).then(|| flat(value))?;
        if self.loss() == "kto_pair" && key == "losses" {
            // One per response, all chosen ones first; ours are means of a pair's two.
            let pairs = values.len() / 2;
            let halves = values.split_at(pairs);
            let mean = |(chosen, rejected): (&f64, &f64)| 0.5 * (chosen + rejected);
            values = halves.0.iter().zip(halves.1).map(mean).collect();
        }
        Some(values)
    }

    /// Any nesting, flattened; booleans as 0 and 1.
    pub fn array(&self, key: &str) -> Vec<f64> {
        flat(&self.value["inputs"][key])
    }

    pub fn dims<const D: usize>(&self, key: &str) -> [usize; D] {
        let mut value = &self.value["inputs"][key];
        std::array::from_fn(|_| {
            let len = value.as_array().map_or(0, Vec::len);
            value = &value[0];
            len
        })
    }

    pub fn input<const D: usize>(&self, key: &str) -> Tensor<D> {
        let floats: Vec<f32> = self.array(key).iter().map(|&x| x as f32).collect();
        Tensor::from_data(TensorData::new(floats, self.dims::<D>(key)), self.device)
    }

    pub fn leaf<const D: usize>(&self, key: &str) -> Tensor<D> {
        self.input(key).require_grad()
    }

    pub fn ints(&self, key: &str) -> Tensor<2, Int> {
        let ints: Vec<i64> = self.array(key).iter().map(|&x| x as i64).collect();
        Tensor::from_data(TensorData::new(ints, self.dims::<2>(key)), self.device)
    }

    pub fn flags<const D: usize>(&self, key: &str) -> Tensor<D, Bool> {
        self.input::<D>(key).greater_elem(0.5)
    }
}

fn flat(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(items) => items.iter().flat_map(flat).collect(),
        Value::Bool(flag) => vec![f64::from(u8::from(*flag))],
        other => vec![other.as_f64().unwrap_or(f64::NAN)],
    }
}

pub fn read<const D: usize>(tensor: &Tensor<D>) -> Vec<f64> {
    tensor.to_data().iter::<f64>().collect()
}

pub fn gradient<const D: usize>(leaf: &Tensor<D>, gradients: &Gradients) -> Vec<f64> {
    leaf.grad(gradients)
        .map_or_else(|| vec![0.0; leaf.shape().num_elements()], |g| read(&g))
}
