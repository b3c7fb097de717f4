//! Chat templates as models come with them: what ends a turn, what is rewritten, what is said.

use std::fs;

use crate::common::{Workplace, ensure_says};
use anyhow::{Context, Result, ensure};
use eurus::burn::tensor::Device;
use eurus::forest::{train_bpe, write_tokenizer_folder};
use eurus::models::{Checkpoint, Decoder, DecoderConfig};
use serde_json::{Value, json};

/// The special tokens of these models, by their ids.
const SPECIAL: [&str; 7] = [
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<s>",
    "</s>",
    "[INST]",
    "[/INST]",
];

const CHATML: &str = "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>' + '\n' }}\
    {% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

const SFT: &str = "sft --model model --data sft.jsonl --out out --max-steps 1 --learning-rate 1e-3";

/// A workplace whose model has this template and EOS token.
fn place_with(template: Option<&str>, eos: &str) -> Result<Workplace> {
    let place = Workplace::new()?;
    let texts = ["Tom has 12 apples. How many? Step 1: 3 * 4 = 12. Answer: 12"];
    let bpe = train_bpe(texts, 300, &SPECIAL)?;
    let model = place.path("model");
    fs::remove_dir_all(&model)?;
    let config = DecoderConfig::llama(bpe.vocab_size(), 32, 2, 2);
    let decoder = Decoder::init(&config, 7, &Device::flex());
    Checkpoint::new(&model).write_decoder(&decoder, &config)?;
    write_tokenizer_folder(&model, &bpe)?;
    fs::remove_file(model.join("special_tokens_map.json"))?;
    set(
        &place,
        "model/tokenizer_config.json",
        "eos_token",
        json!(eos),
    )?;
    set(
        &place,
        "model/tokenizer_config.json",
        "chat_template",
        json!(template),
    )?;
    let file = model.join("chat_template.jinja");
    if file.exists() {
        fs::remove_file(file)?;
    }
    Ok(place)
}

/// Sets a field of a JSON file.
fn set(place: &Workplace, file: &str, field: &str, value: Value) -> Result<()> {
    let mut fields = read(place, file).unwrap_or_else(|_| json!({}));
    fields[field] = value;
    Ok(fs::write(place.path(file), fields.to_string())?)
}

fn read(place: &Workplace, file: &str) -> Result<Value> {
    let text = fs::read_to_string(place.path(file)).context(file.to_owned())?;
    Ok(serde_json::from_str(&text)?)
}

#[test]
fn the_end_of_turn_that_is_trained_is_among_those_of_the_result() -> Result<()> {
    // A base model with a template of ChatML, and one that gets it by name.
    for (template, option) in [(Some(CHATML), ""), (None, " --chat-template chatml")] {
        let place = place_with(template, "<|endoftext|>")?;
        set(&place, "model/config.json", "eos_token_id", json!(0))?;
        let generation = json!({"eos_token_id": 0, "bos_token_id": 0, "max_new_tokens": 64});
        fs::write(
            place.path("model/generation_config.json"),
            generation.to_string(),
        )?;
        let told = place.told(&format!("{SFT}{option}"))?;
        ensure_says(
            &told,
            &[
                "answers are trained to end with `<|im_end|>` (2), and the model has eos_token_id 0; the result's \
                 config.json and generation_config.json list 2 too",
                "6 responses to imitate in 6 trees",
            ],
        )?;
        ensure!(read(&place, "out/config.json")?["eos_token_id"] == json!([0, 2]));
        let generation = read(&place, "out/generation_config.json")?;
        ensure!(generation["eos_token_id"] == json!([0, 2]), "{generation}");
        ensure!(generation["max_new_tokens"] == 64, "{generation}");
        ensure!(
            Checkpoint::new(place.path("out"))
                .eos_token_ids()?
                .stop_at(2)
        );
        // The result says so itself now.
        let again = place.told(
            "sft --model out --data sft.jsonl --out twice --max-steps 1 --learning-rate 1e-3",
        )?;
        ensure!(!again.contains("answers are trained to end"), "{again}");
        ensure!(read(&place, "twice/config.json")?["eos_token_id"] == json!([0, 2]));
    }
    Ok(())
}

#[test]
fn a_model_that_lists_the_end_of_turn_is_exported_as_it_was() -> Result<()> {
    // Llama 3 as first released: `eos_token` ends documents, and the template ends turns with another token.
    let place = place_with(Some(CHATML), "<|endoftext|>")?;
    set(&place, "model/config.json", "eos_token_id", json!([0, 2]))?;
    set(
        &place,
        "model/generation_config.json",
        "eos_token_id",
        json!([0, 2]),
    )?;
    let told = place.told(SFT)?;
    ensure!(!told.contains("answers are trained to end"), "{told}");
    ensure_says(&told, &["6 responses to imitate in 6 trees"])?;
    for file in ["config.json", "generation_config.json"] {
        ensure!(read(&place, &format!("out/{file}"))?["eos_token_id"] == json!([0, 2]));
    }
    let tokenizer = read(&place, "out/tokenizer_config.json")?;
    ensure!(
        tokenizer["eos_token"] == "<|endoftext|>",
        "the tokenizer's own"
    );
    Ok(())
}
