//! Checkpoints in this process that chat.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

use anyhow::{Context, Result};
use eurus::forest::ChatTokenizer;
use eurus::models::LocalChatModel;
use eurus::models::generate::{DecodeWeights, Generator};

use crate::model_folder::ModelFolder;
use crate::options::DeviceName;
use crate::{device, record};

/// The model of a folder as one that chats on a device, with so many sequences at once and its weights kept in some way.
pub fn load(
    name: &str,
    found: &ModelFolder,
    rows: Option<usize>,
    weights: DecodeWeights,
    on: DeviceName,
) -> Result<LocalChatModel> {
    let checkpoint = found.checkpoint();
    let (decoder, _) = checkpoint.decoder(&device::open(on, 0)?)?;
    let tokenizer = ChatTokenizer::from_folder(&found.folder)?;
    let ends = checkpoint.eos_token_ids()?.all();
    let mut generator = Generator::with_weights(decoder, weights, ends)?;
    if let Some(rows) = rows {
        generator = generator.with_max_rows(rows);
    }
    let model = LocalChatModel::from_generator(name, generator, tokenizer);
    Ok(match on.recorded() {
        Some(device) => model.with_identity(format!("{name} on {device}")),
        None => model,
    })
}

/// A check sum of the files that decide what a checkpoint answers.
pub fn fingerprint(found: &ModelFolder) -> Result<String> {
    const DECIDE: [&str; 4] = ["safetensors", "json", "jinja", "model"];
    let mut paths = Vec::new();
    for folder in [Some(&found.folder), found.adapter.as_ref()]
        .into_iter()
        .flatten()
    {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            let extension = path.extension().and_then(|it| it.to_str());
            // That one says how the checkpoint came about.
            let decides = path.file_name().is_none_or(|it| it != record::FILE);
            if decides && extension.is_some_and(|it| DECIDE.contains(&it)) {
                paths.push(path);
            }
        }
    }
    paths.sort();
    fingerprint_of(&paths)
}

/// A check sum of files.
pub fn fingerprint_of(paths: &[PathBuf]) -> Result<String> {
    let mut sum = 0;
    let mut buffer = vec![0; 1 << 20];
    for path in paths {
        let mut file = File::open(path).with_context(|| path.display().to_string())?;
        loop {
            let read = file.read(&mut buffer)?;
            if read == 0 {
                break;
            }
            sum = crc32c::crc32c_append(sum, &buffer[..read]);
        }
    }
    Ok(format!("{sum:08x}"))
}
