//! Where a model lies: a folder, an adapter folder beside its base, or the hub.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, bail};
use eurus::models::Checkpoint;
use eurus::models::hub::{Download, folder_or_download};
use eurus::models::lora::AdapterFolder;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

const STYLE: &str =
    "{prefix:.bold} {bar:24.cyan/dim} {bytes}/{total_bytes} [{elapsed}, left {eta}]";

/// A model that an option names: a folder, and the adapters to be merged into it.
#[derive(Debug, Clone)]
pub struct ModelFolder {
    pub folder: PathBuf,
    pub adapter: Option<PathBuf>,
}

impl ModelFolder {
    /// The checkpoint, with the adapters merged where there are some.
    pub fn checkpoint(&self) -> Checkpoint {
        let checkpoint = Checkpoint::new(&self.folder);
        match &self.adapter {
            Some(adapter) => checkpoint.with_adapter(AdapterFolder::new(adapter)),
            None => checkpoint,
        }
    }
}

/// The model that an option (`--model`) names. A path that exists wins over a name on the hub; an adapter folder stands for its
/// base with the adapters merged into it.
pub fn find(model: &Path, option: &str) -> Result<ModelFolder> {
    if model.exists() && !model.is_dir() {
        bail!(
            "{}: {option} is a file; give the folder that holds config.json",
            model.display()
        );
    }
    let folder = folder_or_shown_download(model).map_err(|error| match error {
        eurus::models::Error::MissingFile { .. } => anyhow!(
            "{}: the model folder ({option}) does not exist; give the folder that holds config.json, or the name of a model of the hub as organization/name",
            model.display()
        ),
        other => other.into(),
    })?;
    if !AdapterFolder::is_adapter(&folder) {
        return Ok(ModelFolder {
            folder,
            adapter: None,
        });
    }
    if Checkpoint::new(&folder).has_weights() {
        bail!(
            "{}: there is a whole model here and an adapter (adapter_config.json); move one of them to a folder of its own, so that {option} says which is meant",
            folder.display()
        );
    }
    Ok(ModelFolder {
        folder: base_of(&folder)?,
        adapter: Some(folder),
    })
}

/// The folder of the model that adapters were trained on: a path from here, as PEFT takes it, or from the adapter folder, or a
/// model of the hub.
fn base_of(adapter: &Path) -> Result<PathBuf> {
    let base = AdapterFolder::new(adapter).base()?;
    let paths = [PathBuf::from(&base), adapter.join(&base)];
    let folder = match paths.into_iter().find(|path| path.is_dir()) {
        Some(folder) => folder,
        None => folder_or_shown_download(Path::new(&base)).map_err(|error| {
            let why = match error {
                eurus::models::Error::MissingFile { .. } => "there is no such folder".to_owned(),
                other => other.to_string(),
            };
            anyhow!(
                "{}: an adapter folder of PEFT, whose base `{base}` (base_model_name_or_path in adapter_config.json) is not found: {why}. Set it to the base's folder, or to its name on the hub; or merge the adapter with PEFT (merge_and_unload) and give the merged model",
                adapter.display()
            )
        })?,
    };
    if AdapterFolder::is_adapter(&folder) {
        bail!(
            "{}: an adapter folder of PEFT whose base {} is one, too; merge that one first (with PEFT: merge_and_unload) and name the merged model as base",
            adapter.display(),
            folder.display()
        );
    }
    Ok(folder)
}

fn folder_or_shown_download(model: &Path) -> eurus::models::Result<PathBuf> {
    let mut shown = Shown::default();
    let folder = folder_or_download(model, &mut |download| shown.show(download));
    shown.finish();
    folder
}

/// The download that is being shown.
#[derive(Default)]
pub struct Shown {
    file: String,
    bar: Option<ProgressBar>,
}

impl Shown {
    pub fn show(&mut self, download: Download<'_>) {
        if self.file != download.file {
            self.finish();
            self.file = download.file.to_owned();
            if std::io::stderr().is_terminal() {
                self.bar = Some(bar(download));
            } else {
                tell!("downloading {} ({} bytes)", download.file, download.bytes);
            }
        }
        if let Some(bar) = &self.bar {
            bar.set_position(download.done);
        }
    }

    pub fn finish(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish();
        }
    }
}

fn bar(download: Download<'_>) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(download.bytes), ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template(STYLE) {
        bar.set_style(style.progress_chars("━╸─"));
    }
    bar.set_prefix(download.file.to_owned());
    bar
}
