//! Safetensors files as the tests change them.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

/// A tensor: its type, its shape and its bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    pub dtype: String,
    pub shape: Vec<u64>,
    pub bytes: Vec<u8>,
}

/// The tensors of a model folder's one file, in the order of their names.
pub fn read(folder: &Path) -> Result<Vec<(String, Tensor)>> {
    let file = std::fs::read(folder.join("model.safetensors"))?;
    let length = u64::from_le_bytes(file[..8].try_into()?) as usize;
    let header: Map<String, Value> = serde_json::from_slice(&file[8..8 + length])?;
    let data = &file[8 + length..];
    let mut tensors = Vec::new();
    for (name, tensor) in header {
        if name == "__metadata__" {
            continue;
        }
        let at = |place: usize| tensor["data_offsets"][place].as_u64().context("an offset");
        let shape = tensor["shape"].as_array().context("a shape")?.iter();
        let tensor = Tensor {
            dtype: tensor["dtype"].as_str().context("a type")?.to_owned(),
            shape: shape.filter_map(Value::as_u64).collect(),
            bytes: data[at(0)? as usize..at(1)? as usize].to_vec(),
        };
        tensors.push((name, tensor));
    }
    Ok(tensors)
}

/// Writes them in the place of what is there.
pub fn write(folder: &Path, tensors: &[(String, Tensor)]) -> Result<()> {
    let (mut header, mut data) = (Map::new(), Vec::<u8>::new());
    for (name, tensor) in tensors {
        let start = data.len();
        data.extend(&tensor.bytes);
        let entry = json!({
            "dtype": tensor.dtype, "shape": tensor.shape, "data_offsets": [start, data.len()],
        });
        header.insert(name.clone(), entry);
    }
    let header = Value::Object(header).to_string();
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    file.extend(data);
    Ok(std::fs::write(folder.join("model.safetensors"), file)?)
}

/// Changes the tensors of a folder.
pub fn change(folder: &Path, change: impl FnOnce(&mut Vec<(String, Tensor)>)) -> Result<()> {
    let mut tensors = read(folder)?;
    change(&mut tensors);
    write(folder, &tensors)
}

/// Float32 numbers as a tensor.
pub fn f32s(shape: &[u64], numbers: impl IntoIterator<Item = f32>) -> Tensor {
    Tensor {
        dtype: "F32".into(),
        shape: shape.to_vec(),
        bytes: numbers.into_iter().flat_map(f32::to_le_bytes).collect(),
    }
}

/// A JSON file of a folder, changed.
pub fn change_json(path: &Path, change: impl FnOnce(&mut Value)) -> Result<()> {
    let mut value: Value = serde_json::from_slice(&std::fs::read(path)?)?;
    change(&mut value);
    Ok(std::fs::write(path, format!("{value:#}"))?)
}

/// A JSON file.
pub fn json_of(path: &Path) -> Result<Value> {
    Ok(serde_json::from_slice(&std::fs::read(path)?)?)
}

/// A copy of a folder.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            std::fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}
