//! Weights into one file or several, a tensor at a time.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use safetensors::tensor::{Metadata, TensorInfo};

use super::files::{INDEX, Index, IndexMetadata, SINGLE};
use super::floats;
use super::parameters::Parameter;
use super::write::Layout;
use crate::{Error, Result};

/// The header is padded so that the numbers start at a multiple of this. As the format's own writer does it.
const ALIGNMENT: usize = 8;

/// Writes all weights: as `model.safetensors` where they fit into one shard, else as shards with an index.
pub fn write(parameters: &[Parameter], layout: Layout, folder: &Path) -> Result<()> {
    let shards = divide(parameters, layout);
    if let [all] = shards.as_slice() {
        return write_file(all, layout, &folder.join(SINGLE));
    }
    let mut index = Index {
        metadata: IndexMetadata {
            total_size: parameters
                .iter()
                .map(|p| bytes(p, layout))
                .sum::<u64>()
                .into(),
        },
        weight_map: Default::default(),
    };
    for (number, shard) in shards.iter().enumerate() {
        let name = format!("model-{:05}-of-{:05}.safetensors", number + 1, shards.len());
        write_file(shard, layout, &folder.join(&name))?;
        let names = shard.iter().map(|p| (p.name.clone(), name.clone()));
        index.weight_map.extend(names);
    }
    let path = folder.join(INDEX);
    let text = serde_json::to_string_pretty(&index).map_err(|source| Error::Json {
        path: path.clone(),
        source,
    })?;
    std::fs::write(&path, text + "\n").map_err(Error::io(&path, "writing"))
}

fn bytes(parameter: &Parameter, layout: Layout) -> u64 {
    (parameter.count() * layout.stored.bytes()) as u64
}

/// Consecutive parameters that fill a shard each. One that is larger than a shard gets a shard of its own.
fn divide(parameters: &[Parameter], layout: Layout) -> Vec<&[Parameter]> {
    let mut shards = Vec::new();
    let (mut start, mut size) = (0, 0);
    for (place, parameter) in parameters.iter().enumerate() {
        let more = bytes(parameter, layout);
        if place > start && size + more > layout.max_shard_bytes {
            shards.push(&parameters[start..place]);
            (start, size) = (place, 0);
        }
        size += more;
    }
    shards.push(&parameters[start..]);
    shards
}

fn write_file(parameters: &[Parameter], layout: Layout, path: &Path) -> Result<()> {
    let header = header(parameters, layout).map_err(|problem| Error::Safetensors {
        path: path.into(),
        tensor: None,
        problem,
    })?;
    let file = File::create(path).map_err(Error::io(path, "creating"))?;
    let mut file = BufWriter::new(file);
    file.write_all(&(header.len() as u64).to_le_bytes())
        .and_then(|()| file.write_all(&header))
        .map_err(Error::io(path, "writing"))?;
    for parameter in parameters {
        let data = parameter.data()?;
        let values = data.as_slice::<f32>().map_err(|problem| Error::Device {
            what: "a parameter",
            problem: problem.to_string(),
        })?;
        let written =
            floats::write(&mut file, values, layout.stored).map_err(Error::io(path, "writing"))?;
        written.map_err(|place| Error::NotFinite {
            path: path.file_name().unwrap_or_default().into(),
            name: parameter.name.clone(),
            index: floats::indices(place, &parameter.shape),
            value: values[place],
            stored: layout.stored,
        })?;
    }
    let file = file
        .into_inner()
        .map_err(|error| Error::io(path, "writing")(error.into_error()))?;
    // The folder is renamed next; its weights must not be behind its name.
    file.sync_all().map_err(Error::io(path, "writing"))
}

/// The header as bytes, or what is wrong with it.
fn header(parameters: &[Parameter], layout: Layout) -> Result<Vec<u8>, String> {
    let mut end = 0;
    let tensors = parameters
        .iter()
        .map(|parameter| {
            let start = end;
            end += parameter.count() * layout.stored.bytes();
            let tensor = TensorInfo {
                dtype: layout.stored.safetensors(),
                shape: parameter.shape.clone(),
                data_offsets: (start, end),
            };
            (parameter.name.clone(), tensor)
        })
        .collect();
    let format = [("format".to_owned(), "pt".to_owned())].into();
    let metadata = Metadata::new(Some(format), tensors).map_err(|error| error.to_string())?;
    let mut header = serde_json::to_vec(&metadata).map_err(|error| error.to_string())?;
    header.resize(header.len().next_multiple_of(ALIGNMENT), b' ');
    Ok(header)
}
