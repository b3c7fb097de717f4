//! Adapter folders of PEFT: `adapter_config.json` and `adapter_model.safetensors`.

mod config;
mod matching;
mod save;

use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};

use super::{Adapted, LoraConfig, LowRankAdapter};
use crate::checkpoint::{Header, read_floats};
use crate::{Error, Result, RewardHead, WeightType};
use config::AdapterSettings;
pub(crate) use matching::Match;

/// The file with the settings, which tells an adapter folder.
pub const ADAPTER_CONFIG: &str = "adapter_config.json";
const WEIGHTS: &str = "adapter_model.safetensors";
/// The prefix that PEFT puts before a module's path.
const PREFIX: &str = "base_model.model.";

/// A folder that PEFT reads and writes.
///
/// Read are the low-rank updates of linear layers, with ranks and alphas by layer and the scale of rsLoRA, and the embedding,
/// output projection or reward head that were trained beside them. Anything else is refused by its name.
#[derive(Debug, Clone)]
pub struct AdapterFolder(PathBuf);

impl AdapterFolder {
    /// Names a folder. Nothing is read or written yet.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self(folder.into())
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.0
    }

    /// Whether a folder has an adapter's settings.
    pub fn is_adapter(folder: &Path) -> bool {
        folder.join(ADAPTER_CONFIG).is_file()
    }

    /// The model that the adapters were trained on, as whoever wrote the folder called it: a path, or a name on the hub.
    ///
    /// # Errors
    ///
    /// When `adapter_config.json` is missing or malformed, asks for more than plain LoRA, or names no model.
    pub fn base(&self) -> Result<String> {
        let base = self.settings()?.base;
        base.ok_or_else(|| {
            self.error(
                ADAPTER_CONFIG,
                "field `base_model_name_or_path` is missing; set it to the model that the adapter was trained on",
            )
        })
    }

    fn settings(&self) -> Result<AdapterSettings> {
        AdapterSettings::read(&self.0.join(ADAPTER_CONFIG))
    }

    fn error(&self, file: &str, problem: impl std::fmt::Display) -> Error {
        Error::Adapter {
            problem: format!("{}: {problem}", self.0.join(file).display()),
        }
    }

    /// Puts the folder's adapters on a model and freezes the rest. What the folder has whole takes the place of the model's
    /// own; a tied output projection becomes a matrix of its own then.
    ///
    /// # Errors
    ///
    /// When a file is missing or damaged, the configuration asks for more than plain LoRA, or a tensor belongs to no layer
    /// of this model, does not fit it or is not finite.
    pub fn load<M: Adapted>(&self, model: M, device: &Device) -> Result<(M, LoraConfig)> {
        let mut model = model.no_grad().unfreeze_head();
        let mut matched = self.check(&mut model)?;
        for module in matched.config.modules_to_save.clone() {
            let weight = matched.read(self, module.path(), device)?;
            model.set_saved_module(module, weight);
        }
        if let Some(head) = model.head()
            && matched.has(head.name())
        {
            model.set_head(matched.read(self, head.name(), device)?);
        }
        let mut problem = None;
        model.for_each_linear(&mut |path, linear| {
            let Some(config) = matched.layers.get(path).cloned() else {
                return;
            };
            let mut read = |part: &str| matched.read(self, &format!("{path}.{part}"), device);
            match read("lora_A").and_then(|down| Ok((down, read("lora_B")?))) {
                Ok((down, up)) => linear.adapter = Some(LowRankAdapter::new(&config, down, up)),
                Err(error) => problem = problem.take().or(Some(error)),
            }
        });
        match problem {
            Some(error) => Err(error),
            None => Ok((model, matched.config)),
        }
    }

    /// The reward head that the folder has, if it has one.
    ///
    /// # Errors
    ///
    /// When a file is missing or damaged, or the configuration asks for more than plain LoRA.
    pub(crate) fn reward_head(&self) -> Result<Option<RewardHead>> {
        let matched = Match::open(self)?;
        let mut heads = RewardHead::ALL.into_iter();
        Ok(heads.find(|head| matched.has(head.name())))
    }

    /// Refuses the adapter of a reward model.
    pub(crate) fn check_language_model(&self) -> Result<()> {
        match self.reward_head()? {
            Some(head) => Err(Error::RewardModelGiven {
                path: self.0.clone(),
                head: head.name(),
            }),
            None => Ok(()),
        }
    }

    /// Matches the folder's tensors with a model, which may be empty: names and shapes. No numbers are read.
    pub(crate) fn check<M: Adapted>(&self, model: &mut M) -> Result<Match> {
        let mut matched = Match::open(self)?;
        matched.with_model(self, model)?;
        Ok(matched)
    }
}

impl Match {
    /// Reads a matrix into float32.
    fn read(&mut self, folder: &AdapterFolder, name: &str, device: &Device) -> Result<Tensor<2>> {
        let (stored, tensor) = self.tensor(folder, name)?;
        let Some(dtype) = WeightType::from_safetensors(tensor.dtype) else {
            return Err(Error::TensorType {
                path: self.header.path().into(),
                name: stored,
                dtype: tensor.dtype.to_string(),
            });
        };
        let count = tensor.shape.iter().product();
        let path = self.header.path().to_path_buf();
        let from = self.header.seek(&tensor, 0)?;
        let values = read_floats(from, count, dtype).map_err(Error::io(path, "reading"))?;
        if values.iter().any(|value| !value.is_finite()) {
            return Err(folder.error(
                WEIGHTS,
                format!("`{stored}` has values that are not finite"),
            ));
        }
        Ok(Tensor::from_data(
            TensorData::new(values, tensor.shape),
            device,
        ))
    }
}

impl AdapterFolder {
    fn header(&self) -> Result<Header> {
        Header::read(self.0.join(WEIGHTS))
    }
}
