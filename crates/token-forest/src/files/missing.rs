//! Folders without a file that every tokenizer has: what is there instead, and the command that makes it.

use std::path::Path;

use serde_json::Value;

use super::{CONFIG, TOKENIZER};
use crate::Error;

/// The error for a folder that lacks a file and has something that it can be made of.
pub fn explained(folder: &Path, name: &str) -> Option<Error> {
    let (found, remedy) = match name {
        TOKENIZER => other_form(folder)?,
        _ => without_settings(folder)?,
    };
    Some(Error::OtherTokenizer {
        folder: folder.display().to_string(),
        wanted: if name == TOKENIZER { TOKENIZER } else { CONFIG },
        found,
        remedy,
    })
}

/// A tokenizer in another form.
fn other_form(folder: &Path) -> Option<(String, String)> {
    let has = |name: &str| folder.join(name).is_file();
    let at = folder.display();
    let with_auto_tokenizer = || {
        format!(
            "convert it with transformers: `python -c \"from transformers import AutoTokenizer as T; \
             T.from_pretrained('{at}').save_pretrained('{at}')\"` (needs the packages sentencepiece and protobuf)"
        )
    };
    if has("tekken.json") {
        let remedy = format!(
            "convert it with transformers: `python -m \
             transformers.models.mistral.convert_mistral_weights_to_hf --tokenizer_only {at} {at}`"
        );
        return Some(("tekken.json, Mistral's own form".to_string(), remedy));
    }
    let found = if has("tokenizer.model") {
        "tokenizer.model, a SentencePiece model or one of Meta's own"
    } else if has("vocab.json") && has("merges.txt") {
        "vocab.json with merges.txt, an older form"
    } else {
        return None;
    };
    Some((found.to_string(), with_auto_tokenizer()))
}

/// A vocabulary without what is to be known about it.
fn without_settings(folder: &Path) -> Option<(String, String)> {
    let read = |name: &str| -> Option<Value> {
        serde_json::from_slice(&std::fs::read(folder.join(name)).ok()?).ok()
    };
    let tokenizer = read(TOKENIZER)?;
    let empty = Vec::new();
    let tokens = tokenizer["added_tokens"].as_array().unwrap_or(&empty);
    let special: Vec<(u64, &str)> = tokens
        .iter()
        .filter(|token| token["special"] == true)
        .filter_map(|token| Some((token["id"].as_u64()?, token["content"].as_str()?)))
        .collect();
    let ends_texts = read("config.json").and_then(|config| config["eos_token_id"].as_u64());
    let end = special.iter().find(|(id, _)| Some(*id) == ends_texts);
    let at = folder.join(CONFIG);
    let write = |token: &str| format!("`echo '{{\"eos_token\": \"{token}\"}}' > {}`", at.display());
    let example = match end {
        Some((_, token)) => format!("{} (config.json ends texts with this token)", write(token)),
        None => {
            let names: Vec<&str> = special.iter().map(|&(_, token)| token).take(12).collect();
            format!("{} with one of {}", write("..."), names.join(" "))
        }
    };
    let remedy = format!(
        "it says which token ends a turn and has the chat template: copy it from the model, or write it with {example} \
         and give a chat template"
    );
    Some((TOKENIZER.to_string(), remedy))
}
