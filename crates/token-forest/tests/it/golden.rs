//! The tokens of a real model, and rendered evaluation prompts, against values made by Python's `transformers`.
//!
//! Needs `EURUS_GOLDEN_DIR` (default: `../shared/golden` beside the repository) with `smollm2.json` and
//! `eval/prompts_full.jsonl`, and `EURUS_SMOLLM2_DIR` with the model's tokenizer files; without them the tests say
//! so and pass.

use std::collections::BTreeMap;
use std::fs;

use serde::Deserialize;
use test_support::folders;
use token_forest::{BuiltInTemplate, ChatTemplate, ChatTokenizer, Message};

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
    messages: Vec<Message>,
    chat_text: String,
    input_ids: Vec<u32>,
    completions: BTreeMap<String, Encoded>,
}

fn golden() -> Option<(Golden, ChatTokenizer)> {
    let file = folders::golden_file("smollm2.json")?;
    let model = folders::named_by("EURUS_SMOLLM2_DIR", "SmolLM2 tokenizer")?;
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
            messages.push(Message::assistant(&completion.text));
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

#[derive(Deserialize)]
struct EvaluationPrompt {
    id: String,
    verdict: Rendered,
}

#[derive(Deserialize)]
struct Rendered {
    /// Empty for prompts that are plain text.
    #[serde(default)]
    messages: Vec<Message>,
    #[serde(default)]
    rendered_mistral_instruct: String,
}

#[test]
fn the_mistral_template_renders_the_evaluation_prompts_of_eurus() {
    let Some(file) = folders::golden_file("eval/prompts_full.jsonl") else {
        return;
    };
    let lines = fs::read_to_string(file).unwrap();
    let tokens = [("bos_token", "<s>"), ("eos_token", "</s>")]
        .map(|(name, token)| (name.to_string(), token.to_string()));
    let source = BuiltInTemplate::Mistral.source();
    let template = ChatTemplate::new("mistral", source, tokens.into()).unwrap();
    for line in lines.lines() {
        let prompt: EvaluationPrompt = serde_json::from_str(line).unwrap();
        if prompt.verdict.messages.is_empty() {
            continue;
        }
        let text = template.render(&prompt.verdict.messages, true).unwrap();
        // One benchmark cuts BOS off; some prompts begin the answer for the model.
        let whole = prompt.verdict.rendered_mistral_instruct;
        let begun = whole.trim_start_matches("<s>").strip_prefix(&text[3..]);
        let begun = begun.unwrap_or_else(|| panic!("{}: {text:?}", prompt.id));
        assert!(begun.len() < 80, "{}: {begun:?}", prompt.id);
    }
}
