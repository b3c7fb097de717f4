//! The weight files of a folder, and which of them holds which tensor.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path};

use serde::{Deserialize, Serialize};

use super::foreign;
use super::header::Header;
use crate::{Error, Result};

/// The name of weights in one file.
pub const SINGLE: &str = "model.safetensors";
/// The name of the list of shards.
pub const INDEX: &str = "model.safetensors.index.json";

/// Which shard holds which tensor.
#[derive(Serialize, Deserialize)]
pub struct Index {
    #[serde(default)]
    pub metadata: IndexMetadata,
    pub weight_map: BTreeMap<String, String>,
}

/// The metadata of an index, about all shards together. Other programs put more here; none of it is needed to read.
#[derive(Default, Serialize, Deserialize)]
pub struct IndexMetadata {
    /// Bytes of all tensors.
    #[serde(default)]
    pub total_size: serde_json::Value,
}

/// Opens the weight files of `folder` and reads their headers: the single file, or else the shards of the index.
pub fn open(folder: &Path) -> Result<Vec<Header>> {
    let single = folder.join(SINGLE);
    if single.is_file() {
        return Ok(vec![Header::read(single)?]);
    }
    let path = folder.join(INDEX);
    if !path.is_file() {
        return Err(foreign::missing(folder, SINGLE));
    }
    let index = read_index(&path)?;
    let shards = open_shards(folder, &path, &index)?;
    check_agreement(&path, &index, &shards)?;
    Ok(shards.into_values().collect())
}

/// The shards by the names that the index gives them.
fn open_shards<'a>(
    folder: &Path,
    path: &Path,
    index: &'a Index,
) -> Result<BTreeMap<&'a str, Header>> {
    let mut shards = BTreeMap::new();
    for (tensor, shard) in &index.weight_map {
        if shards.contains_key(shard.as_str()) {
            continue;
        }
        if !is_plain_name(shard) {
            return Err(outside(path, tensor, shard));
        }
        let file = folder.join(shard);
        if !file.is_file() {
            return Err(Error::MissingShard {
                index: path.into(),
                tensor: tensor.clone(),
                shard: shard.clone(),
            });
        }
        shards.insert(shard.as_str(), Header::read(file)?);
    }
    Ok(shards)
}

fn read_index(path: &Path) -> Result<Index> {
    let text = std::fs::read_to_string(path).map_err(Error::io(path, "reading"))?;
    serde_json::from_str(&text).map_err(|source| Error::Json {
        path: path.into(),
        source,
    })
}

/// The names of the shards that an index lists, each once.
#[cfg(feature = "hub")]
pub fn shard_names(path: &Path) -> Result<BTreeSet<String>> {
    let index = read_index(path)?;
    for (tensor, shard) in &index.weight_map {
        if !is_plain_name(shard) {
            return Err(outside(path, tensor, shard));
        }
    }
    Ok(index.weight_map.into_values().collect())
}

/// Whether a name is that of a file in the folder at hand: an index must not reach out of its folder.
pub fn is_plain_name(name: &str) -> bool {
    let mut components = Path::new(name).components();
    match (components.next(), components.next()) {
        (Some(Component::Normal(only)), None) => only == name,
        _ => false,
    }
}

fn outside(index: &Path, tensor: &str, shard: &str) -> Error {
    Error::ShardOutside {
        index: index.into(),
        tensor: tensor.into(),
        shard: shard.into(),
    }
}

/// An index and its shards must list the same tensors, each in one place.
fn check_agreement(path: &Path, index: &Index, shards: &BTreeMap<&str, Header>) -> Result<()> {
    for (tensor, shard) in &index.weight_map {
        let there = shards.get(shard.as_str());
        if there.is_none_or(|header| header.tensor(tensor).is_none()) {
            return Err(Error::IndexMismatch {
                index: path.into(),
                tensor: tensor.clone(),
                shard: shard.clone(),
                problem: "which does not have it",
            });
        }
    }
    let mut seen: BTreeSet<String> = BTreeSet::new();
    for (shard, header) in shards {
        for tensor in header.names() {
            if !seen.insert(tensor.clone()) {
                return Err(Error::IndexMismatch {
                    index: path.into(),
                    shard: index.weight_map.get(&tensor).cloned().unwrap_or_default(),
                    tensor,
                    problem: "and another shard has it too",
                });
            }
            if !index.weight_map.contains_key(&tensor) {
                return Err(Error::IndexMismatch {
                    index: path.into(),
                    tensor,
                    shard: (*shard).to_owned(),
                    problem: "but the index does not list it",
                });
            }
        }
    }
    Ok(())
}
