//! Adapters into a folder that PEFT reads.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use burn::tensor::{DType, Tensor, TensorData};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::{Map, Value, json};

use super::super::{Adapted, LoraConfig, LowRankAdapter};
use super::{ADAPTER_CONFIG, AdapterFolder, PREFIX, WEIGHTS};
use crate::{Error, Result};

impl AdapterFolder {
    /// Writes a model's adapters for PEFT, with the modules that `config` says are trained whole and the head, if the model
    /// has one. `base` is what `base_model_name_or_path` says: the folder or the hub's name of the model without adapters.
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
        let mut tensors: BTreeMap<String, TensorData> = BTreeMap::new();
        let mut put = |name: String, weight: Tensor<2>| {
            let data = weight.into_data().convert_dtype(DType::F32);
            tensors.insert(format!("{PREFIX}{name}.weight"), data);
        };
        for (path, adapter) in &adapters {
            put(format!("{path}.lora_A"), adapter.down.val());
            put(format!("{path}.lora_B"), adapter.up.val());
        }
        let mut saved: Vec<&str> = Vec::new();
        for &module in &config.modules_to_save {
            if let Some(weight) = model.saved_module(module) {
                put(module.path().to_owned(), weight);
                saved.push(module.name());
            }
        }
        if let (Some(head), Some(weight)) = (model.head(), model.head_weight()) {
            put(head.name().to_owned(), weight);
            saved.push(head.name());
        }
        let mut views = Vec::with_capacity(tensors.len());
        for (name, data) in &tensors {
            let view = TensorView::new(Dtype::F32, data.shape().to_vec(), data.as_bytes());
            views.push((name, view.map_err(|error| self.error(WEIGHTS, error))?));
        }
        let metadata = Some([("format".to_owned(), "pt".to_owned())].into());
        let weights =
            safetensors::serialize(views, metadata).map_err(|error| self.error(WEIGHTS, error))?;
        let names: BTreeSet<&str> = adapters
            .keys()
            .filter_map(|path| path.rsplit('.').next())
            .collect();
        let (ranks, alphas) = patterns(&adapters, config);
        let fields = json!({
            "peft_type": "LORA",
            "task_type": if model.head().is_some() { "SEQ_CLS" } else { "CAUSAL_LM" },
            "base_model_name_or_path": base,
            "r": config.rank,
            "lora_alpha": config.alpha,
            "rank_pattern": ranks,
            "alpha_pattern": alphas,
            "lora_dropout": config.dropout,
            "use_rslora": config.rank_stabilized,
            "target_modules": names,
            "modules_to_save": if saved.is_empty() { Value::Null } else { json!(saved) },
            "bias": "none",
            "fan_in_fan_out": false,
            "inference_mode": true,
        });
        let folder = self.folder();
        std::fs::create_dir_all(folder).map_err(Error::io(folder, "creating the folder"))?;
        self.write(WEIGHTS, &weights)?;
        self.write(ADAPTER_CONFIG, format!("{fields:#}\n").as_bytes())
    }

    /// A whole file or none.
    fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.folder().join(name);
        let failed = |source| Error::io(&path, "writing")(source);
        let mut file = tempfile::NamedTempFile::new_in(self.folder()).map_err(failed)?;
        file.write_all(bytes).map_err(failed)?;
        file.persist(&path).map_err(|error| failed(error.error))?;
        Ok(())
    }
}

/// Ranks and alphas of the layers whose own are not those of `config`, by the regular expressions of their paths.
fn patterns(
    adapters: &BTreeMap<String, LowRankAdapter>,
    config: &LoraConfig,
) -> (Map<String, Value>, Map<String, Value>) {
    let (mut ranks, mut alphas) = (Map::new(), Map::new());
    for (path, adapter) in adapters {
        let path = regex::escape(path);
        if adapter.rank() != config.rank {
            ranks.insert(path.clone(), adapter.rank().into());
        }
        if adapter.alpha != config.alpha {
            alphas.insert(path, adapter.alpha.into());
        }
    }
    (ranks, alphas)
}
