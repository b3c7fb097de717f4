//! Folders in other formats: what is there, and the command that converts it.

use std::path::Path;

use super::files::{INDEX, SINGLE};
use crate::Error;
use crate::lora::ADAPTER_CONFIG;

/// The error for a folder without `wanted`, which every checkpoint has: it says what is there instead.
pub fn missing(folder: &Path, wanted: &'static str) -> Error {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    match explained(folder, wanted, &names) {
        Some((found, remedy)) => Error::OtherFormat {
            folder: folder.into(),
            wanted,
            found,
            remedy,
        },
        None => Error::MissingFile {
            folder: folder.into(),
            file: wanted,
        },
    }
}

/// What is there, and what to do with it.
fn explained(folder: &Path, wanted: &str, names: &[String]) -> Option<(String, String)> {
    let of = |fits: &dyn Fn(&str) -> bool| names.iter().find(|name| fits(name));
    let folder = folder.display();
    if of(&|name| name == ADAPTER_CONFIG).is_some() {
        return Some((
            format!("an adapter of PEFT ({ADAPTER_CONFIG})"),
            "put it on the model that it was trained on".to_owned(),
        ));
    }
    if let Some(name) =
        of(&|name| name.starts_with("consolidated") && !name.ends_with(".index.json"))
    {
        let command = match name.ends_with(".safetensors") {
            true => format!(
                "`python -m transformers.models.mistral.convert_mistral_weights_to_hf {folder} {folder}-hf`"
            ),
            false => format!(
                "`python -m transformers.models.llama.convert_llama_weights_to_hf --input_dir {folder} --output_dir {folder}-hf`, with the model's --model_size,"
            ),
        };
        return Some((
            format!(
                "{name}, the format in which Mistral and Meta release weights (with params.json)"
            ),
            format!(
                "convert it with transformers: {command} or take the same model in the format of transformers, which the hub has as a rule"
            ),
        ));
    }
    if let Some(name) = of(&|name| name.starts_with("pytorch_model") && name.contains(".bin")) {
        return Some((
            format!("{name}: PyTorch's format, which is a program to be run and is not read"),
            format!(
                "convert it with transformers: `python -c \"from transformers import AutoModelForCausalLM as M, AutoTokenizer as T; M.from_pretrained('{folder}', torch_dtype='auto').save_pretrained('{folder}-safetensors'); T.from_pretrained('{folder}').save_pretrained('{folder}-safetensors')\"` and give {folder}-safetensors"
            ),
        ));
    }
    let weights_wanted = wanted == SINGLE;
    if weights_wanted
        && let Some(name) = of(&|name| name.starts_with("model-") && name.ends_with(".safetensors"))
    {
        return Some((
            format!("{name} without the index of the shards"),
            format!("copy or download {INDEX} too"),
        ));
    }
    if weights_wanted && let Some(name) = of(&|name| name.ends_with(".safetensors")) {
        return Some((
            name.clone(),
            format!("if these are the weights, call the file {SINGLE}"),
        ));
    }
    let name = of(&|name| name.ends_with(".gguf"))?;
    Some((
        format!("{name}, a file of llama.cpp"),
        "take the checkpoint that it was made from, or convert it with `GgufFile` of the library"
            .to_owned(),
    ))
}
