//! The tensors of an adapter folder and the layers that they belong to.

use std::collections::{BTreeMap, BTreeSet};

use safetensors::tensor::TensorInfo;

use super::super::{Adapted, LoraConfig, SavedModule};
use super::config::AdapterSettings;
use super::{ADAPTER_CONFIG, AdapterFolder, PREFIX, WEIGHTS};
use crate::checkpoint::{Header, before_layers, unwrapped, usual};
use crate::{Error, Result};

/// An open adapter folder, matched with a model.
pub struct Match {
    pub header: Header,
    /// Stored names by usual ones: the path of the module and, for adapters, the part (`lora_A`).
    names: BTreeMap<String, String>,
    settings: AdapterSettings,
    /// The settings of the adapter of each layer by its path.
    pub layers: BTreeMap<String, LoraConfig>,
    /// The settings of all; its targets and modules are those that are there.
    pub config: LoraConfig,
}

impl Match {
    pub fn open(folder: &AdapterFolder) -> Result<Self> {
        let settings = folder.settings()?;
        let header = folder.header()?;
        let names = usual_names(folder, &header)?;
        Ok(Self {
            config: settings.config.clone(),
            layers: BTreeMap::new(),
            header,
            names,
            settings,
        })
    }

    /// Whether there is a tensor of this name.
    pub fn has(&self, name: &str) -> bool {
        self.names.contains_key(name)
    }

    /// Whether the output projection is another matrix than the embedding, whatever it was in the base.
    pub fn unties(&self) -> bool {
        !self.config.modules_to_save.is_empty()
    }

    /// The stored name, type, shape and place of a tensor.
    pub fn tensor(&self, folder: &AdapterFolder, name: &str) -> Result<(String, TensorInfo)> {
        let found = self.names.get(name).and_then(|stored| {
            let tensor = self.header.tensor(stored)?;
            Some((stored.clone(), tensor.clone()))
        });
        found.ok_or_else(|| folder.error(WEIGHTS, format!("there is no `{PREFIX}{name}.weight`")))
    }

    fn check_shape(&self, folder: &AdapterFolder, name: &str, wanted: [usize; 2]) -> Result<()> {
        let (stored, tensor) = self.tensor(folder, name)?;
        if tensor.shape == wanted {
            return Ok(());
        }
        let found = &tensor.shape;
        Err(folder.error(
            WEIGHTS,
            format!("`{stored}` has shape {found:?}, this model and rank need {wanted:?}; was the adapter trained on this model?"),
        ))
    }

    /// Finds the layer of every tensor.
    pub fn with_model<M: Adapted>(&mut self, folder: &AdapterFolder, model: &mut M) -> Result<()> {
        let mut unused: BTreeSet<String> = self.names.keys().cloned().collect();
        let mut targets = BTreeSet::new();
        let mut layers = BTreeMap::new();
        let mut problem = None;
        model.for_each_linear(&mut |path, linear| {
            let [down, up] = ["lora_A", "lora_B"].map(|part| format!("{path}.{part}"));
            if !unused.remove(&down) | !unused.remove(&up) {
                // One without the other is left over, and named below.
                unused.extend([down, up].into_iter().filter(|name| self.has(name)));
                return;
            }
            let config = self.settings.of_layer(path);
            let shape = linear.weight.lazy_shape().to_vec();
            let fits = match shape.as_slice() {
                &[outputs, inputs] => config
                    .validate()
                    .map_err(|error| match error {
                        Error::Adapter { problem } => {
                            folder.error(ADAPTER_CONFIG, format!("adapter of `{path}`: {problem}"))
                        }
                        other => other,
                    })
                    .and_then(|()| self.check_shape(folder, &down, [config.rank, inputs]))
                    .and_then(|()| self.check_shape(folder, &up, [outputs, config.rank])),
                _ => Ok(()),
            };
            problem = problem.take().or(fits.err());
            targets.extend(path.rsplit('.').next().map(str::to_owned));
            layers.insert(path.to_owned(), config);
        });
        if let Some(problem) = problem {
            return Err(problem);
        }
        let mut modules = Vec::new();
        for module in SavedModule::ALL {
            let Some(shape) = model.saved_module_shape(module) else {
                continue;
            };
            if unused.remove(module.path()) {
                self.check_shape(folder, module.path(), shape)?;
                modules.push(module);
            } else if self
                .settings
                .modules_to_save
                .iter()
                .any(|name| name == module.name())
            {
                let name = module.name();
                return Err(folder.error(
                    ADAPTER_CONFIG,
                    format!("`modules_to_save` names `{name}`, and {WEIGHTS} does not have it"),
                ));
            }
        }
        if let (Some(head), Some(shape)) = (model.head(), model.head_shape())
            && unused.remove(head.name())
        {
            self.check_shape(folder, head.name(), shape)?;
        }
        self.check_all_used(folder, &unused)?;
        if layers.is_empty() {
            return Err(folder.error(WEIGHTS, "there is no adapter in it"));
        }
        self.config.targets = targets.into_iter().collect();
        self.config.modules_to_save = modules;
        self.layers = layers;
        Ok(())
    }

    /// Refuses what belongs to no layer of the model.
    fn check_all_used(&self, folder: &AdapterFolder, unused: &BTreeSet<String>) -> Result<()> {
        let Some(first) = unused.first() else {
            return Ok(());
        };
        let adapted = |module: SavedModule| {
            let path = format!("{}.lora_", module.path());
            unused.iter().any(|name| name.starts_with(&path))
        };
        if let Some(module) = SavedModule::ALL.into_iter().find(|&module| adapted(module)) {
            let name = module.name();
            return Err(folder.error(
                WEIGHTS,
                format!("there is a low-rank update of `{name}`; those of layers of attention and MLP are supported. Merge the adapter with PEFT (merge_and_unload) and give the merged model"),
            ));
        }
        Err(folder.error(
            WEIGHTS,
            format!(
                "{} tensors belong to no layer of this model, the first is `{}`; was the adapter trained on this model?",
                unused.len(),
                self.names[first]
            ),
        ))
    }
}

/// The stored names by usual ones, without the ending `.weight`.
fn usual_names(folder: &AdapterFolder, header: &Header) -> Result<BTreeMap<String, String>> {
    let plain = |stored: &str| {
        let name = unwrapped(stored);
        let name = name.strip_prefix(PREFIX).unwrap_or(&name);
        // The name of the adapter, and of the wrapper of a module that is saved whole: PEFT drops them when it saves.
        let parts = name
            .split('.')
            .filter(|part| !["default", "modules_to_save"].contains(part));
        parts.collect::<Vec<_>>().join(".")
    };
    let stored = header.names();
    let plain: Vec<String> = stored.iter().map(|name| plain(name)).collect();
    let body = before_layers(plain.iter().map(String::as_str)).map_err(|[first, second]| {
        folder.error(
            WEIGHTS,
            format!("some layers are called `{first}layers...`, others `{second}layers...`; keep the ones that are meant"),
        )
    })?;
    let mut names = BTreeMap::new();
    for (plain, stored) in plain.iter().zip(stored) {
        let name = usual(plain, Some(&body));
        let name = name.strip_suffix(".weight").unwrap_or(&name).to_owned();
        if let Some(other) = names.insert(name.clone(), stored.clone()) {
            return Err(Error::AmbiguousTensors {
                path: header.path().into(),
                name,
                first: other,
                second: stored,
            });
        }
    }
    Ok(names)
}
