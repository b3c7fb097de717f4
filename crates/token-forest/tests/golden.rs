//! The tokens of a real model, against values made by Python's `transformers`.
//!
//! Needs `EURUS_GOLDEN_DIR` (default: `../shared/golden` beside the repository) with `smollm2.json`, and
//! `EURUS_SMOLLM2_DIR` with the model's tokenizer files; without them the test says so and passes.

#![allow(clippy::print_stderr, reason = "a skipped test says so")]

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::PathBuf;

use serde::Deserialize;
use token_forest::{ChatMessage, ChatTokenizer};

#[derive(Deserialize)]
struct Golden {
    tokenize: Vec<Encoded>,
    prompts: Vec<Prompt>,
}

#[derive(Deserialize)]
struct Encoded {
    text: String,
    ids: Vec<u32>,
}

#[derive(Deserialize)]
struct Prompt {
    id: String,
    messages: Vec<ChatMessage>,
    chat_text: String,
    input_ids: Vec<u32>,
    completions: BTreeMap<String, Encoded>,
}

fn golden() -> Option<(Golden, ChatTokenizer)> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/golden");
    let folder = env::var_os("EURUS_GOLDEN_DIR").map_or_else(|| beside.into(), PathBuf::from);
    let file = folder.join("smollm2.json");
    let Some(model) = env::var_os("EURUS_SMOLLM2_DIR").filter(|_| file.exists()) else {
        eprintln!(
            "SKIPPED: needs {} (set EURUS_GOLDEN_DIR) and EURUS_SMOLLM2_DIR",
            file.display()
        );
        return None;
    };
    let golden = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    Some((golden, ChatTokenizer::from_folder(model).unwrap()))
}

#[test]
fn smollm2_texts_prompts_and_completions_get_the_ids_of_transformers() {
    let Some((golden, tokenizer)) = golden() else {
        return;
    };
    for case in &golden.tokenize {
        assert_eq!(
            tokenizer.encode_text(&case.text).unwrap(),
            case.ids,
            "{:?}",
            case.text
        );
    }
    for prompt in &golden.prompts {
        let text = tokenizer.template().render(&prompt.messages, true).unwrap();
        assert_eq!(text, prompt.chat_text, "{}", prompt.id);
        assert_eq!(
            tokenizer.encode_prompt(&prompt.messages).unwrap(),
            prompt.input_ids,
            "{}",
            prompt.id
        );
        for (name, completion) in &prompt.completions {
            let place = format!("{}, {name}", prompt.id);
            assert_eq!(
                tokenizer.encode_action(&completion.text).unwrap(),
                completion.ids,
                "{place}"
            );
            let mut messages = prompt.messages.clone();
            messages.push(ChatMessage::assistant(&completion.text));
            let tree = tokenizer.encode_messages(&messages).unwrap();
            let last = tree.nodes.last().unwrap();
            assert_eq!(
                (&last.tokens, last.trainable),
                (&completion.ids, true),
                "{place}"
            );
            assert_eq!(
                tree.paths()[0],
                [&prompt.input_ids[..], &completion.ids].concat(),
                "{place}"
            );
        }
    }
}
