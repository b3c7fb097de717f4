//! Where the model lies: a folder, or the hub.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use eurus::models::hub::{Download, folder_or_download};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

const STYLE: &str =
    "{prefix:.bold} {bar:24.cyan/dim} {bytes}/{total_bytes} [{elapsed}, left {eta}]";

/// The folder of the model that an option names. A path that exists wins over a name on the hub.
pub fn find(model: &Path, option: &str) -> Result<PathBuf> {
    if model.exists() && !model.is_dir() {
        bail!(
            "{}: {option} is a file; give the folder that holds config.json",
            model.display()
        );
    }
    let mut shown = Shown::default();
    let folder = folder_or_download(model, &mut |download| shown.show(download));
    shown.finish();
    folder.map_err(|error| match error {
        eurus::models::Error::MissingFile { .. } => anyhow::anyhow!(
            "{}: the model folder ({option}) does not exist; give the folder that holds config.json, or the name of a model of the hub as organization/name",
            model.display()
        ),
        other => other.into(),
    })
}

/// The download that is being shown.
#[derive(Default)]
struct Shown {
    file: String,
    bar: Option<ProgressBar>,
}

impl Shown {
    fn show(&mut self, download: Download<'_>) {
        if self.file != download.file {
            self.finish();
            self.file = download.file.to_owned();
            if std::io::stderr().is_terminal() {
                self.bar = Some(bar(download));
            } else {
                eprintln!("downloading {} ({} bytes)", download.file, download.bytes);
            }
        }
        if let Some(bar) = &self.bar {
            bar.set_position(download.done);
        }
    }

    fn finish(&mut self) {
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
