//! Weights out of GGUF files, dequantized to float32.

mod config;
mod names;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use anamnesis::{
    F32Out, GgufTensorInfo, GgufType, ParseLimits, dequantize_gguf_blocks,
    parse_gguf_front_matter_from_reader_with_limits,
};
use burn::tensor::Device;

use super::fill::{self, Tensors};
use super::floats::{self, WeightType};
use crate::{Decoder, DecoderConfig, Error, Result};

/// Bytes that are read at once where rows are not reordered.
const PIECE: usize = 1 << 20;

/// A GGUF file as llama.cpp writes it, of the architectures `llama` (Llama, Mistral, Mixtral), `qwen2` and `qwen3`.
///
/// Weights of the types F32, F16, BF16 and of every quantization that llama.cpp has are read; quantized ones become the
/// float32 numbers that they stand for. The configuration comes from the file's metadata. The tokenizer in it is not
/// read: use the `tokenizer.json` of the model that was converted.
///
/// ```no_run
/// use burn::tensor::Device;
/// use eurus_models::{Checkpoint, GgufFile};
///
/// # fn main() -> eurus_models::Result<()> {
/// let mut file = GgufFile::open("SmolLM2-135M-Instruct-Q8_0.gguf")?;
/// let config = file.config()?;
/// let model = file.decoder(&Device::flex())?;
/// Checkpoint::new("smollm2-q8")
///     .with_tokenizer_from("SmolLM2-135M-Instruct")
///     .write_decoder(&model, &config)?;
/// # Ok(())
/// # }
/// ```
pub struct GgufFile {
    path: PathBuf,
    file: File,
    metadata: config::Metadata,
    /// By the names of Hugging Face files.
    tensors: BTreeMap<String, Entry>,
}

/// Where the numbers of one tensor lie.
struct Entry {
    stored: GgufType,
    start: u64,
    shape: Vec<usize>,
    row_bytes: usize,
    /// Heads whose rows llama.cpp interleaves.
    interleaved_heads: Option<usize>,
}

impl GgufFile {
    /// Opens a file and reads its header. No weights are read yet.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, is no GGUF file of version 2 or 3, is cut, or is of an architecture that is not
    /// supported.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        let mut file = File::open(&path).map_err(Error::io(&path, "opening"))?;
        let length = file
            .metadata()
            .map_err(Error::io(&path, "reading the length"))?
            .len();
        // No header may claim more than the file has.
        let limits = ParseLimits::default()
            .with_max_single_alloc(length)
            .with_max_total_bytes(length);
        let front = parse_gguf_front_matter_from_reader_with_limits(&file, &limits)
            .map_err(|problem| refuse(&path, None, problem))?;
        let mut metadata = config::Metadata::new(&path, front.metadata)?;
        let mut tensors = BTreeMap::new();
        for info in front.tensor_infos {
            if info.name == names::ROPE_FACTORS {
                // Llama 3's stretched frequencies are a tensor in GGUF files and settings in Hugging Face's.
                let factors = read(&mut file, &Entry::new(&path, &info, None)?)
                    .map_err(|problem| refuse(&path, Some(info.name), problem))?;
                metadata.set_rope_factors(factors);
                continue;
            }
            let name = info.name.clone();
            let entries = entries(&path, info, &metadata)?;
            for (hugging_face, entry) in entries {
                if tensors.insert(hugging_face, entry).is_some() {
                    return Err(refuse(&path, Some(name), "it is there twice"));
                }
            }
        }
        Ok(Self {
            path,
            file,
            metadata,
            tensors,
        })
    }

    /// The configuration that the metadata describe.
    ///
    /// # Errors
    ///
    /// When a value is missing, or would change the result and is not supported.
    pub fn config(&self) -> Result<DecoderConfig> {
        let embedding = self.tensors.get("model.embed_tokens.weight");
        let vocab_size = embedding.and_then(|entry| entry.shape.first().copied());
        let tied = !self.tensors.contains_key("lm_head.weight");
        let biased = self
            .tensors
            .contains_key("model.layers.0.self_attn.q_proj.bias");
        self.metadata.decoder(vocab_size, tied, biased)
    }

    /// Loads the language model; weights become float32.
    ///
    /// # Errors
    ///
    /// As [`config`](Self::config), and when tensors are missing, left over, of another shape than the metadata imply,
    /// or hold infinities or NaN.
    pub fn decoder(&mut self, device: &Device) -> Result<Decoder> {
        let config = self.config()?;
        fill::check_sizes(&config, self)?;
        fill::fill(self, Decoder::empty(&config, device), device)
    }
}

impl Tensors for GgufFile {
    fn origin(&self) -> &Path {
        &self.path
    }

    fn names(&self) -> Vec<String> {
        self.tensors.keys().cloned().collect()
    }

    fn locate(&self, name: &str) -> Option<(&Path, &[usize])> {
        let entry = self.tensors.get(name)?;
        Some((&self.path, &entry.shape))
    }

    fn read(&mut self, name: &str) -> Result<Vec<f32>> {
        let Some(entry) = self.tensors.get(name) else {
            return Err(Error::MissingTensors {
                path: self.path.clone(),
                missing: vec![name.to_owned()],
            });
        };
        read(&mut self.file, entry)
            .map_err(|problem| refuse(&self.path, Some(name.to_owned()), problem))
    }
}

fn refuse(path: &Path, tensor: Option<String>, problem: impl ToString) -> Error {
    Error::Gguf {
        path: path.into(),
        tensor,
        problem: problem.to_string(),
    }
}

/// The tensors that one of the file stands for: one, or as many as there are experts.
fn entries(
    path: &Path,
    info: GgufTensorInfo,
    metadata: &config::Metadata,
) -> Result<Vec<(String, Entry)>> {
    let name = names::hugging_face(&info.name);
    let heads = metadata.interleaved_heads(&info.name);
    let all = Entry::new(path, &info, heads)?;
    let names::Name::Experts { prefix, suffix } = name else {
        return Ok(vec![(name.plain(&info.name), all)]);
    };
    let [experts, rows, columns] = all.shape[..] else {
        let problem = format!("it has shape {:?}, experts have three sizes", all.shape);
        return Err(refuse(path, Some(info.name), problem));
    };
    Ok((0..experts)
        .map(|expert| {
            let entry = Entry {
                stored: all.stored,
                start: all.start + (expert * rows * all.row_bytes) as u64,
                shape: vec![rows, columns],
                row_bytes: all.row_bytes,
                interleaved_heads: None,
            };
            (format!("{prefix}.{expert}.{suffix}"), entry)
        })
        .collect())
}

impl Entry {
    /// The header's reader has checked that the tensor lies inside the file; here its rows must be whole.
    fn new(path: &Path, info: &GgufTensorInfo, heads: Option<usize>) -> Result<Self> {
        let wrong = |problem: String| refuse(path, Some(info.name.clone()), problem);
        // GGUF lists the innermost size first.
        let shape: Vec<usize> = info.shape.iter().rev().copied().collect();
        let columns = shape.last().copied().unwrap_or(1);
        let row_bytes = info
            .dtype
            .byte_size_for_n_elements(columns as u64)
            .map_err(|problem| wrong(problem.to_string()))?;
        let rows: usize = shape.iter().rev().skip(1).product();
        let bytes = (rows as u64).checked_mul(row_bytes);
        if bytes.is_none() || bytes != info.byte_len || columns == 0 || rows == 0 {
            return Err(wrong(format!(
                "its {:?} bytes are not {rows} rows of {row_bytes}",
                info.byte_len
            )));
        }
        if let Some(heads) = heads
            && (heads == 0 || !rows.is_multiple_of(heads.saturating_mul(2)))
        {
            return Err(wrong(format!(
                "its {rows} rows are not those of {heads} heads"
            )));
        }
        Ok(Self {
            stored: info.dtype,
            start: info.data_offset,
            shape,
            row_bytes: row_bytes as usize,
            interleaved_heads: heads,
        })
    }

    fn rows(&self) -> usize {
        self.shape.iter().rev().skip(1).product()
    }

    fn columns(&self) -> usize {
        self.shape.last().copied().unwrap_or(1)
    }
}

/// Reads and dequantises a tensor into the vector that is returned.
fn read(file: &mut File, entry: &Entry) -> Result<Vec<f32>, String> {
    let (rows, columns) = (entry.rows(), entry.columns());
    let mut values = Vec::with_capacity(rows * columns);
    let mut bytes = Vec::new();
    let mut read_rows = |first: usize, count: usize, values: &mut Vec<f32>| {
        let start = entry.start + (first * entry.row_bytes) as u64;
        bytes.resize(count * entry.row_bytes, 0);
        file.seek(SeekFrom::Start(start))
            .and_then(|_| file.read_exact(&mut bytes))
            .map_err(|problem| format!("reading failed: {problem}"))?;
        dequantise(&bytes, entry.stored, count * columns, values)
    };
    match entry.interleaved_heads {
        None => {
            let at_once = (PIECE / entry.row_bytes).max(1);
            for first in (0..rows).step_by(at_once) {
                read_rows(first, at_once.min(rows - first), &mut values)?;
            }
        }
        // llama.cpp rotates neighbours, Hugging Face the two halves of a head: row `2 j + half` there is row
        // `half * head_dim / 2 + j` here.
        Some(heads) => {
            let head_dim = rows / heads;
            for row in 0..rows {
                let (head, within) = (row / head_dim, row % head_dim);
                let (half, j) = (within / (head_dim / 2), within % (head_dim / 2));
                read_rows(head * head_dim + 2 * j + half, 1, &mut values)?;
            }
        }
    }
    Ok(values)
}

fn dequantise(
    bytes: &[u8],
    stored: GgufType,
    count: usize,
    values: &mut Vec<f32>,
) -> Result<(), String> {
    let plain = match stored {
        GgufType::F32 => Some(WeightType::F32),
        GgufType::F16 => Some(WeightType::F16),
        GgufType::BF16 => Some(WeightType::Bf16),
        _ => None,
    };
    if let Some(plain) = plain {
        let mut bytes = bytes;
        let read = floats::read(&mut bytes, count, plain).map_err(|problem| problem.to_string())?;
        values.extend(read);
        return Ok(());
    }
    dequantize_gguf_blocks::<F32Out, _>(bytes, stored, count, |block| {
        let numbers = block.as_chunks::<4>().0.iter().copied();
        values.extend(numbers.map(f32::from_le_bytes));
        Ok(())
    })
    .map_err(|problem| problem.to_string())
}
