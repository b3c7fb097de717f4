//! Tokenizer folders: trained, written, read, and refused when they are broken.

use std::fs;
use std::path::Path;

use crate::common::{SPECIAL, TEXTS, trained_folder};
use serde_json::json;
use token_forest::{ChatTokenizer, train_bpe, write_tokenizer_folder};

fn chatml() -> ChatTokenizer {
    ChatTokenizer::from_folder(trained_folder().path()).unwrap()
}

#[test]
fn training_twice_gives_the_same_files() {
    let files = || train_bpe(TEXTS, 400, &SPECIAL).unwrap().files().unwrap();
    assert_eq!(files(), files());
}

#[test]
fn special_tokens_come_first_and_digits_stay_single() {
    let tokenizer = chatml();
    for (id, token) in SPECIAL.iter().enumerate() {
        assert_eq!(tokenizer.encode_text(token).unwrap(), [id as u32]);
    }
    let ids = tokenizer.encode_text("a 12 + 30").unwrap();
    let tokens: Vec<String> = ids.iter().map(|&id| tokenizer.token(id).unwrap()).collect();
    assert_eq!(tokens, ["a", "Ġ", "1", "2", "Ġ+", "Ġ", "3", "0"]);
    assert_eq!(
        tokenizer
            .decode(&tokenizer.encode_text("日本 é 7").unwrap())
            .unwrap(),
        "日本 é 7"
    );
}

#[test]
fn a_folder_is_written_and_read_back_byte_for_byte() {
    let from = trained_folder();
    let to = tempfile::tempdir().unwrap();
    let nested = to.path().join("new/checkpoint");
    ChatTokenizer::from_folder(from.path())
        .unwrap()
        .write_folder(&nested)
        .unwrap();
    let names = |folder: &Path| {
        let mut names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        names
    };
    assert_eq!(names(from.path()), names(&nested));
    for name in names(from.path()) {
        assert_eq!(
            fs::read(from.path().join(&name)).unwrap(),
            fs::read(nested.join(&name)).unwrap()
        );
    }
}

#[test]
fn truncation_and_padding_of_the_folder_are_ignored() {
    let folder = trained_folder();
    let path = folder.path().join("tokenizer.json");
    let mut tokenizer: serde_json::Value =
        serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    tokenizer["truncation"] =
        json!({ "direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0 });
    tokenizer["padding"] = json!({ "strategy": { "Fixed": 64 }, "direction": "Right", "pad_to_multiple_of": null,
        "pad_id": 0, "pad_type_id": 0, "pad_token": "<|endoftext|>" });
    fs::write(&path, tokenizer.to_string()).unwrap();
    let tokenizer = ChatTokenizer::from_folder(folder.path()).unwrap();
    assert_eq!(tokenizer.encode_text("1234567").unwrap().len(), 7);
}

fn broken(change: impl FnOnce(&Path)) -> String {
    let folder = trained_folder();
    change(folder.path());
    let error = ChatTokenizer::from_folder(folder.path())
        .unwrap_err()
        .to_string();
    error.replace(&folder.path().display().to_string(), "FOLDER")
}

#[test]
fn a_missing_file_is_named_with_what_to_do() {
    for (name, begins, advice) in [
        (
            "tokenizer.json",
            "cannot read FOLDER/tokenizer.json: ",
            "copy both from the model",
        ),
        (
            "tokenizer_config.json",
            "FOLDER: there is no tokenizer_config.json, but tokenizer.json",
            "copy it from the model",
        ),
    ] {
        let error = broken(|folder| fs::remove_file(folder.join(name)).unwrap());
        assert!(error.starts_with(begins), "{error}");
        assert!(error.contains(advice), "{error}");
    }
}

#[test]
fn a_malformed_file_is_named() {
    for name in [
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
    ] {
        let error = broken(|folder| fs::write(folder.join(name), "{").unwrap());
        assert!(
            error.starts_with(&format!("FOLDER/{name} is malformed: ")),
            "{error}"
        );
    }
}

fn set_config(folder: &Path, field: &str, value: serde_json::Value) {
    fs::remove_file(folder.join("special_tokens_map.json")).unwrap();
    let path = folder.join("tokenizer_config.json");
    let mut config: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    config[field] = value;
    fs::write(&path, config.to_string()).unwrap();
}

#[test]
fn a_base_model_without_a_template_is_told_to_add_one() {
    let error = broken(|folder| set_config(folder, "chat_template", json!(null)));
    assert!(
        error.starts_with("FOLDER has no chat template")
            && error.ends_with(
                "choose a built-in one: mistral, llama-2, chatml, qwen3, qwen3-thinking, smollm3 or llama-3"
            )
    );
}

#[test]
fn an_eos_token_outside_of_the_vocabulary_is_refused() {
    let error = broken(|folder| set_config(folder, "eos_token", json!("</s>")));
    assert!(
        error.starts_with("the eos token `</s>` of FOLDER is not a special token"),
        "{error}"
    );
    let error = broken(|folder| set_config(folder, "eos_token", json!(null)));
    assert!(
        error.starts_with("FOLDER is malformed: no `eos_token`"),
        "{error}"
    );
}

#[test]
fn impossible_training_settings_are_explained() {
    let reason = |vocab_size, special: &[&str]| {
        train_bpe(TEXTS, vocab_size, special)
            .unwrap_err()
            .to_string()
    };
    assert!(reason(100, &SPECIAL).contains("smaller than the 259 tokens for all bytes"));
    assert!(reason(400, &["a", "a"]).contains("special token 1 (\"a\") is empty or listed twice"));
    let without = train_bpe(TEXTS, 400, &["<|endoftext|>"]).unwrap();
    let error = write_tokenizer_folder(tempfile::tempdir().unwrap().path(), &without).unwrap_err();
    assert!(
        error.to_string().contains("needs `<|im_start|>`"),
        "{error}"
    );
}
