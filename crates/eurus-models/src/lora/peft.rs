//! Adapter folders of PEFT: `adapter_config.json` and `adapter_model.safetensors`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};

use burn::tensor::{DType, Device, Tensor, TensorData};
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{ALL_LINEAR, Adapted, LoraConfig, LowRankAdapter};
use crate::{Error, Result};

const CONFIG: &str = "adapter_config.json";
const WEIGHTS: &str = "adapter_model.safetensors";
/// The prefix that PEFT puts before a module's path.
const PREFIX: &str = "base_model.model.";

/// A folder that PEFT reads and writes.
#[derive(Debug, Clone)]
pub struct AdapterFolder(PathBuf);

#[derive(Deserialize)]
struct Fields {
    r: usize,
    lora_alpha: f64,
    #[serde(default)]
    lora_dropout: f64,
    #[serde(default)]
    use_rslora: bool,
}

/// Fields that make something other than plain LoRA of the same matrices.
const VARIANTS: [&str; 13] = [
    "alora_invocation_tokens",
    "alpha_pattern",
    "fan_in_fan_out",
    "layer_replication",
    "lora_bias",
    "rank_pattern",
    "target_parameters",
    "trainable_token_indices",
    "use_bdlora",
    "use_dora",
    "use_qalora",
    "kasa_config",
    "velora_config",
];

/// The field by which the folder asks for something other than plain LoRA, if there is one.
fn variant(source: &Map<String, Value>) -> Option<&'static str> {
    let unset = |value: &Value| match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(values) => values.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    };
    let differs = |name: &str, plain: &str| source.get(name).is_some_and(|value| value != plain);
    if differs("peft_type", "LORA") {
        return Some("peft_type");
    }
    if differs("bias", "none") {
        return Some("bias");
    }
    let set = |name: &&str| source.get(*name).is_some_and(|value| !unset(value));
    VARIANTS.into_iter().find(set)
}

impl AdapterFolder {
    /// Names a folder. Nothing is read or written yet.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self(folder.into())
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.0
    }

    fn error(&self, file: &str, problem: impl std::fmt::Display) -> Error {
        Error::Adapter {
            problem: format!("{}: {problem}", self.0.join(file).display()),
        }
    }

    /// Puts the folder's adapters on a model and freezes the rest.
    ///
    /// # Errors
    ///
    /// When a file is missing or damaged, the configuration asks for more than plain LoRA, or a tensor belongs to no layer
    /// of this model or does not fit it.
    pub fn load<M: Adapted>(&self, model: M, device: &Device) -> Result<(M, LoraConfig)> {
        let path = self.0.join(CONFIG);
        let text = std::fs::read_to_string(&path).map_err(Error::io(&path, "reading"))?;
        let malformed = |source| Error::Json {
            path: path.clone(),
            source,
        };
        let source: Map<String, Value> = serde_json::from_str(&text).map_err(malformed)?;
        if let Some(field) = variant(&source) {
            return Err(self.error(
                CONFIG,
                format!("field `{field}` asks for something other than plain LoRA; only that is supported"),
            ));
        }
        let fields: Fields = serde_json::from_value(Value::Object(source)).map_err(malformed)?;
        let mut tensors = self.tensors(device)?;
        let mut config = LoraConfig {
            rank: fields.r,
            alpha: fields.lora_alpha,
            dropout: fields.lora_dropout,
            targets: ALL_LINEAR.map(str::to_owned).to_vec(),
            rank_stabilized: fields.use_rslora,
        };
        config.validate()?;

        let mut model = model.no_grad().unfreeze_head();
        let mut targets = BTreeSet::new();
        let mut problem = None;
        model.for_each_linear(&mut |path, linear| {
            let mut take = |part: &str| tensors.remove(&format!("{PREFIX}{path}.{part}.weight"));
            let (Some(down), Some(up)) = (take("lora_A"), take("lora_B")) else {
                return;
            };
            let [outputs, inputs] = linear.weight.dims();
            let (wanted_down, wanted_up) = ([fields.r, inputs], [outputs, fields.r]);
            if down.dims() != wanted_down || up.dims() != wanted_up {
                problem.get_or_insert(format!(
                    "the matrices of `{path}` have shapes {:?} and {:?}, this model and rank need {wanted_down:?} and {wanted_up:?}",
                    down.dims(),
                    up.dims(),
                ));
                return;
            }
            targets.extend(path.rsplit('.').next().map(str::to_owned));
            linear.adapter = Some(LowRankAdapter::new(&config, down, up));
        });
        if let Some(problem) = problem {
            return Err(self.error(WEIGHTS, problem));
        }
        if let Some(name) = model.head_name()
            && let Some(head) = tensors.remove(&format!("{PREFIX}{name}.weight"))
        {
            model.set_head(head);
        }
        if let Some(name) = tensors.keys().next() {
            return Err(self.error(
                WEIGHTS,
                format!(
                    "{} tensors belong to no layer of this model, the first is `{name}`",
                    tensors.len()
                ),
            ));
        }
        if targets.is_empty() {
            return Err(self.error(WEIGHTS, "there is no adapter in it"));
        }
        config.targets = targets.into_iter().collect();
        Ok((model, config))
    }

    fn tensors(&self, device: &Device) -> Result<BTreeMap<String, Tensor<2>>> {
        let path = self.0.join(WEIGHTS);
        let bytes = std::fs::read(&path).map_err(Error::io(&path, "reading"))?;
        let file = SafeTensors::deserialize(&bytes).map_err(|error| Error::Safetensors {
            path: path.clone(),
            tensor: None,
            problem: error.to_string(),
        })?;
        let mut tensors = BTreeMap::new();
        for (name, view) in file.iter() {
            let dtype = match view.dtype() {
                Dtype::F32 => DType::F32,
                Dtype::F16 => DType::F16,
                Dtype::BF16 => DType::BF16,
                other => {
                    return Err(Error::TensorType {
                        path: path.clone(),
                        name: name.to_owned(),
                        dtype: format!("{other:?}"),
                    });
                }
            };
            if view.shape().len() != 2 {
                let shape = view.shape();
                return Err(self.error(WEIGHTS, format!("`{name}` has shape {shape:?}")));
            }
            let data =
                TensorData::from_bytes_vec(view.data().to_vec(), view.shape().to_vec(), dtype);
            let data = data.convert_dtype(DType::F32);
            if data.iter::<f32>().any(|value| !value.is_finite()) {
                return Err(self.error(WEIGHTS, format!("`{name}` has values that are not finite")));
            }
            tensors.insert(name.to_owned(), Tensor::from_data(data, device));
        }
        Ok(tensors)
    }

    /// Writes a model's adapters, and its head if it has one, for PEFT. `base` is what `base_model_name_or_path` says:
    /// the folder or the hub's name of the model without adapters.
    ///
    /// # Errors
    ///
    /// When the model has no adapters or something cannot be written.
    pub fn save<M: Adapted>(&self, model: &M, config: &LoraConfig, base: &str) -> Result<()> {
        let adapters = model.adapters();
        if adapters.is_empty() {
            return Err(Error::Adapter {
                problem: "the model has none, so there is nothing to save".into(),
            });
        }
        let names: BTreeSet<&str> = adapters
            .keys()
            .filter_map(|path| path.rsplit('.').next())
            .collect();
        let mut tensors: BTreeMap<String, TensorData> = BTreeMap::new();
        for (path, adapter) in &adapters {
            for (part, matrix) in [("lora_A", &adapter.down), ("lora_B", &adapter.up)] {
                let data = matrix.val().into_data().convert_dtype(DType::F32);
                tensors.insert(format!("{PREFIX}{path}.{part}.weight"), data);
            }
        }
        let head = model.head_name();
        if let (Some(name), Some(head)) = (head, model.head_weight()) {
            let data = head.into_data().convert_dtype(DType::F32);
            tensors.insert(format!("{PREFIX}{name}.weight"), data);
        }
        let mut views = Vec::with_capacity(tensors.len());
        for (name, data) in &tensors {
            let view = safetensors::tensor::TensorView::new(
                Dtype::F32,
                data.shape().to_vec(),
                data.as_bytes(),
            );
            views.push((name, view.map_err(|error| self.error(WEIGHTS, error))?));
        }
        let metadata = Some([("format".to_owned(), "pt".to_owned())].into());
        let weights =
            safetensors::serialize(views, metadata).map_err(|error| self.error(WEIGHTS, error))?;
        let fields = json!({
            "peft_type": "LORA",
            "task_type": if head.is_some() { "SEQ_CLS" } else { "CAUSAL_LM" },
            "base_model_name_or_path": base,
            "r": config.rank,
            "lora_alpha": config.alpha,
            "lora_dropout": config.dropout,
            "use_rslora": config.rank_stabilized,
            "target_modules": names,
            "modules_to_save": head.map(|name| [name]),
            "bias": "none",
            "fan_in_fan_out": false,
            "inference_mode": true,
        });
        std::fs::create_dir_all(&self.0).map_err(Error::io(&self.0, "creating the folder"))?;
        self.write(WEIGHTS, &weights)?;
        self.write(CONFIG, format!("{fields:#}\n").as_bytes())
    }

    /// A whole file or none.
    fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.0.join(name);
        let failed = |source| Error::io(&path, "writing")(source);
        let mut file = tempfile::NamedTempFile::new_in(&self.0).map_err(failed)?;
        file.write_all(bytes).map_err(failed)?;
        file.persist(&path).map_err(|error| failed(error.error))?;
        Ok(())
    }
}
