//! Checkpoints as people have them: other names, other formats, reward models, parts that are missing.

use std::fs;

use anyhow::{Result, ensure};
use serde_json::json;

use crate::common::{Workplace, ensure_near, ensure_says, events};
use crate::weights::{self, change, change_json, f32s, json_of};

const COMMANDS: [&str; 5] = [
    "sft --model model --data sft.jsonl --out out",
    "prefer --model model --data pairs.jsonl --algorithm dpo --out out",
    "reward --model model --data pairs.jsonl --out out",
    "plan prefer --model model --data pairs.jsonl --algorithm dpo",
    "plan reward --model model --data pairs.jsonl",
];
const SFT: &str = "sft --model model --data sft.jsonl --learning-rate 1e-3";

/// Checks that a command is refused with these words before a row is read.
fn ensure_refused_first(place: &Workplace, arguments: &str, words: &[&str]) -> Result<()> {
    let message = place.refusal(arguments)?;
    ensure_says(&message, words)?;
    ensure!(!message.contains("rows read"), "{arguments}: {message}");
    ensure!(!place.path("out").exists(), "{arguments}");
    Ok(())
}

#[test]
fn a_body_saved_alone_trains_as_the_model_does() -> Result<()> {
    let place = Workplace::new()?;
    place.succeed(&format!("{SFT} --out usual"))?;
    for (name, prefix) in [("alone", ""), ("compiled", "_orig_mod.model.")] {
        change(&place.path("model"), |tensors| {
            for (name, _) in tensors {
                let body = name.strip_prefix("model.").unwrap_or(name);
                *name = format!("{prefix}{body}");
            }
        })?;
        let told = place.told(&format!("{SFT} --out {name}"))?;
        ensure_says(&told, &["6 rows read", "6 responses to imitate"])?;
        ensure!(place.losses_of(name)? == place.losses_of("usual")?);
        ensure!(weights::read(&place.path(name))? == weights::read(&place.path("usual"))?);
    }
    Ok(())
}

#[test]
fn a_missing_output_projection_is_named_and_rewards_do_without() -> Result<()> {
    let place = Workplace::new()?;
    let reward = "reward --model model --data pairs.jsonl --learning-rate 1e-3";
    place.succeed(&format!("{reward} --out tied"))?;
    // The file of a tied model is that of an untied one without its output projection.
    change_json(&place.path("model/config.json"), |config| {
        config["tie_word_embeddings"] = json!(false);
    })?;
    for command in [COMMANDS[0], COMMANDS[1], COMMANDS[3]] {
        let words = [
            "no `lm_head.weight`",
            "`tie_word_embeddings` to true",
            "reward model",
        ];
        ensure_refused_first(&place, command, &words)?;
    }
    let told = place.told(&format!("{reward} --out body"))?;
    ensure_says(&told, &["12 rows read", "12 pairs in 6 trees"])?;
    ensure!(place.losses_of("body")? == place.losses_of("tied")?);
    Ok(())
}

/// The loss and the margin of each evaluation of a run.
fn judged(place: &Workplace, out: &str) -> Result<Vec<[f64; 2]>> {
    let events = events(&place.path(out).join("metrics.jsonl"))?;
    let metrics = events.iter().map(|event| &event["judgement"]["metrics"]);
    Ok(metrics
        .filter_map(|it| Some([it["loss"].as_f64()?, it["margin"].as_f64()?]))
        .collect())
}

#[test]
fn a_reward_model_goes_on_from_its_head_under_each_of_its_names() -> Result<()> {
    let place = Workplace::new()?;
    let reward = "reward --data pairs.jsonl --eval pairs.jsonl --learning-rate 1e-3";
    place.succeed(&format!("{reward} --model model --out rm"))?;
    let first = judged(&place, "rm")?;
    ensure!(
        first[0][1] == 0.0,
        "a fresh head gives every reward 0: {first:?}"
    );
    let end = *first.last().unwrap_or(&[0.0; 2]);
    ensure!(end[1] > 0.0, "it has learned nothing: {end:?}");

    weights::copy(&place.path("rm"), &place.path("score"))?;
    change(&place.path("score"), |tensors| {
        for (name, _) in tensors {
            *name = name.replace("regression_head", "score");
        }
    })?;
    weights::copy(&place.path("rm"), &place.path("eurus"))?;
    change_json(&place.path("eurus/config.json"), |config| {
        config["architectures"] = json!(["EurusRewardModel"]);
        config["auto_map"] = json!({"AutoModel": "modeling_eurus_rm.EurusRewardModel"});
    })?;
    fs::write(
        place.path("eurus/modeling_eurus_rm.py"),
        "class EurusRewardModel: ...",
    )?;
    change_json(&place.path("eurus/tokenizer_config.json"), |config| {
        config["auto_map"] = json!({"AutoTokenizer": ["tokenization_own.OwnTokenizer", null]});
    })?;
    fs::write(
        place.path("eurus/tokenization_own.py"),
        "class OwnTokenizer: ...",
    )?;
    for (model, head, class) in [
        ("rm", "regression_head", "LlamaRewardModel"),
        ("score", "score", "LlamaForSequenceClassification"),
        ("eurus", "regression_head", "EurusRewardModel"),
    ] {
        let out = format!("{model}-2");
        let told = place.told(&format!("{reward} --model {model} --out {out}"))?;
        let line =
            format!("{model}: a reward model; training goes on from its head ({head}.weight)");
        ensure_says(&told, &[&line, "12 rows read"])?;
        ensure_near(&judged(&place, &out)?[0], &end)?;
        let tensors = weights::read(&place.path(&out))?;
        let name = format!("{head}.weight");
        ensure!(tensors.iter().any(|(tensor, _)| *tensor == name), "{out}");
        let config = json_of(&place.path(&out).join("config.json"))?;
        ensure!(config["architectures"] == json!([class]), "{config}");
        let has_code = model == "eurus";
        ensure!(config["auto_map"].is_object() == has_code, "{config}");
        for file in ["modeling_eurus_rm.py", "tokenization_own.py"] {
            ensure!(place.path(&out).join(file).is_file() == has_code, "{file}");
        }

        for command in [
            format!("sft --model {model} --data sft.jsonl --out out"),
            format!("prefer --model {model} --data pairs.jsonl --algorithm dpo --out out"),
            format!("plan sft --model {model} --data sft.jsonl"),
        ] {
            let tensor = format!("reward model (`{name}`)");
            let words = [
                tensor.as_str(),
                "a language model is wanted",
                "trained from",
            ];
            ensure_refused_first(&place, &command, &words)?;
        }
    }
    Ok(())
}

#[test]
fn a_value_head_beside_a_policy_is_named() -> Result<()> {
    let place = Workplace::new()?;
    change(&place.path("model"), |tensors| {
        tensors.push(("v_head.summary.bias".into(), f32s(&[1], [0.5])));
        tensors.push(("v_head.summary.weight".into(), f32s(&[1, 32], [0.1; 32])));
    })?;
    for command in COMMANDS {
        let words = [
            "`v_head.summary.bias`",
            "value head",
            "no reward head",
            "save_pretrained",
        ];
        ensure_refused_first(&place, command, &words)?;
    }
    Ok(())
}

#[test]
fn weights_are_looked_at_before_rows() -> Result<()> {
    // Each makes the model's files such that they cannot be trained; the rows are whole.
    type Spoil = fn(&Workplace) -> Result<()>;
    let cases: [(Spoil, &[&str]); 7] = [
        (
            |place| Ok(fs::remove_file(place.path("model/model.safetensors"))?),
            &["model: no model.safetensors"],
        ),
        (
            |place| {
                let file = |name: &str| place.path("model").join(name);
                fs::rename(file("model.safetensors"), file("pytorch_model.bin"))?;
                Ok(())
            },
            &[
                "no model.safetensors, but pytorch_model.bin",
                "`python -c \"from transformers import AutoModelForCausalLM",
                "save_pretrained('model-safetensors')",
            ],
        ),
        (
            |place| {
                let file = |name: &str| place.path("model").join(name);
                fs::rename(
                    file("model.safetensors"),
                    file("pytorch_model-00001-of-00002.bin"),
                )?;
                Ok(fs::write(file("pytorch_model.bin.index.json"), "{}")?)
            },
            &[
                "pytorch_model-00001-of-00002.bin",
                "save_pretrained('model-safetensors')",
            ],
        ),
        (
            |place| {
                let file = |name: &str| place.path("model").join(name);
                fs::rename(file("model.safetensors"), file("consolidated.safetensors"))?;
                fs::rename(file("config.json"), file("params.json"))?;
                Ok(fs::rename(file("tokenizer.json"), file("tekken.json"))?)
            },
            &[
                "no config.json, but consolidated.safetensors",
                "convert_mistral_weights_to_hf model model-hf",
            ],
        ),
        (
            |place| {
                change(&place.path("model"), |tensors| {
                    for (name, tensor) in tensors {
                        if name.ends_with("layers.1.mlp.up_proj.weight") {
                            tensor.dtype = "F8_E4M3".into();
                            tensor.bytes.truncate(tensor.bytes.len() / 4);
                        }
                    }
                })
            },
            &[
                "`model.layers.1.mlp.up_proj.weight` is stored as F8_E4M3",
                "float32, float16 and bfloat16",
            ],
        ),
        (
            |place| change(&place.path("model"), |tensors| tensors.truncate(5)),
            &["the checkpoint lacks"],
        ),
        (
            |place| {
                change(&place.path("model"), |tensors| {
                    for (_, tensor) in tensors
                        .iter_mut()
                        .filter(|it| it.0.contains("embed_tokens"))
                    {
                        tensor.shape[0] += 2;
                        tensor.bytes.extend([0; 2 * 32 * 4]);
                    }
                })
            },
            &[
                "`model.embed_tokens.weight` has shape [",
                "the configuration implies [",
            ],
        ),
    ];
    for (spoil, words) in cases {
        let place = Workplace::new()?;
        spoil(&place)?;
        for command in COMMANDS {
            ensure_refused_first(&place, command, words)?;
        }
    }
    Ok(())
}

#[test]
fn an_index_of_shards_that_are_not_there_is_refused_by_the_shard() -> Result<()> {
    let place = Workplace::new()?;
    let file = |name: &str| place.path("model").join(name);
    let shard = "model-00001-of-00002.safetensors";
    let names = weights::read(&place.path("model"))?
        .into_iter()
        .map(|(name, _)| name);
    let map: serde_json::Map<_, _> = names.map(|name| (name, json!(shard))).collect();
    fs::rename(
        file("model.safetensors"),
        file("model-00001-of-00004.safetensors"),
    )?;
    fs::write(
        file("model.safetensors.index.json"),
        json!({"weight_map": map}).to_string(),
    )?;
    ensure_refused_first(&place, COMMANDS[0], &[shard, "no such file"])?;
    fs::rename(file("model-00001-of-00004.safetensors"), file(shard))?;
    ensure_says(&place.told(&format!("{SFT} --out out"))?, &["6 rows read"])
}

#[test]
fn old_buffers_and_rows_beyond_the_tokenizer_change_nothing() -> Result<()> {
    let place = Workplace::new()?;
    place.succeed(&format!("{SFT} --out usual"))?;
    change(&place.path("model"), |tensors| {
        let name = "model.layers.0.self_attn.rotary_emb.inv_freq";
        tensors.push((name.into(), f32s(&[8], [1.0; 8])));
    })?;
    place.succeed(&format!("{SFT} --out buffers"))?;
    ensure!(place.losses_of("buffers")? == place.losses_of("usual")?);

    // A vocabulary filled up to a round number: tokens that no text has.
    change(&place.path("model"), |tensors| {
        for (_, tensor) in tensors
            .iter_mut()
            .filter(|it| it.0.contains("embed_tokens"))
        {
            tensor.shape[0] += 40;
            tensor.bytes.extend([0; 40 * 32 * 4]);
        }
    })?;
    change_json(&place.path("model/config.json"), |config| {
        config["vocab_size"] = json!(config["vocab_size"].as_u64().unwrap_or_default() + 40);
    })?;
    let told = place.told(&format!("{SFT} --out padded"))?;
    ensure_says(&told, &["6 rows read"])?;
    let [padded, usual] = ["padded", "usual"].map(|out| place.losses_of(out));
    ensure!(padded?[0] > usual?[0], "forty more tokens to choose from");
    Ok(())
}

#[test]
fn a_quantized_checkpoint_is_refused_by_its_field() -> Result<()> {
    let place = Workplace::new()?;
    change_json(&place.path("model/config.json"), |config| {
        config["quantization_config"] = json!({"quant_method": "fp8"});
    })?;
    for command in COMMANDS {
        ensure_refused_first(
            &place,
            command,
            &["quantization_config", "export the weights"],
        )?;
    }
    Ok(())
}

#[test]
fn the_type_that_came_in_goes_out_unless_told_otherwise() -> Result<()> {
    let place = Workplace::new()?;
    place.succeed(&format!("{SFT} --out half --weight-type bf16"))?;
    for (options, dtype, name) in [
        ("", "BF16", "bfloat16"),
        ("--weight-type f32", "F32", "float32"),
    ] {
        let run = format!("sft --model half --data sft.jsonl --out again --overwrite {options}");
        ensure_says(&place.told(&run)?, &["6 rows read"])?;
        let tensors = weights::read(&place.path("again"))?;
        ensure!(
            tensors.iter().all(|(_, tensor)| tensor.dtype == dtype),
            "{options}"
        );
        let config = json_of(&place.path("again/config.json"))?;
        ensure!(config["torch_dtype"] == name, "{config}");
    }
    Ok(())
}

#[test]
fn tokenizers_in_other_forms_say_how_to_convert_them() -> Result<()> {
    let place = Workplace::new()?;
    let file = |name: &str| place.path("model").join(name);
    fs::rename(file("tokenizer.json"), file("kept"))?;
    for (there, words) in [
        (
            "tokenizer.model",
            ["tokenizer.model, a SentencePiece model", "AutoTokenizer"],
        ),
        (
            "tekken.json",
            [
                "tekken.json, Mistral's own form",
                "--tokenizer_only model model`",
            ],
        ),
    ] {
        fs::write(file(there), "not looked into")?;
        ensure_refused_first(&place, COMMANDS[0], &["model: there is no tokenizer.json"])?;
        ensure_refused_first(&place, COMMANDS[0], &words)?;
    }
    Ok(())
}

#[test]
fn a_tokenizer_without_settings_says_what_to_write() -> Result<()> {
    let place = Workplace::new()?;
    let file = |name: &str| place.path("model").join(name);
    fs::remove_file(file("tokenizer_config.json"))?;
    let tokenizer = json_of(&file("tokenizer.json"))?;
    let tokens = tokenizer["added_tokens"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let end = tokens.iter().find(|token| token["content"] == "<|im_end|>");
    let end = end.map_or(json!(null), |token| token["id"].clone());
    change_json(&file("config.json"), |config| config["eos_token_id"] = end)?;
    let text = r#"{"eos_token": "<|im_end|>"}"#;
    let command = format!("`echo '{text}' > model/tokenizer_config.json`");
    ensure_refused_first(&place, COMMANDS[0], &["no tokenizer_config.json", &command])?;
    // What is advised is enough.
    fs::write(file("tokenizer_config.json"), text)?;
    let told = place.told(&format!("{SFT} --out out --chat-template chatml"))?;
    ensure_says(&told, &["6 rows read"])
}

#[test]
fn what_a_tokenizer_cuts_and_pads_by_itself_is_not_cut_and_padded() -> Result<()> {
    let place = Workplace::new()?;
    place.succeed(&format!("{SFT} --out usual"))?;
    change_json(&place.path("model/tokenizer.json"), |tokenizer| {
        tokenizer["truncation"] = json!({
            "direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0,
        });
        tokenizer["padding"] = json!({
            "strategy": {"Fixed": 64}, "direction": "Right", "pad_to_multiple_of": null,
            "pad_id": 0, "pad_type_id": 0, "pad_token": "<|im_start|>",
        });
    })?;
    place.succeed(&format!("{SFT} --out out"))?;
    ensure!(place.losses_of("out")? == place.losses_of("usual")?);
    Ok(())
}

#[test]
fn a_normalizer_is_applied_to_whole_texts_and_to_nodes_alike() -> Result<()> {
    let place = Workplace::new()?;
    change_json(&place.path("model/tokenizer.json"), |tokenizer| {
        tokenizer["normalizer"] = json!({"type": "NFC"});
    })?;
    // An accent of its own, which NFC joins with the letter before it.
    let row = json!({"instruction": "Ou\u{300} est le cafe\u{301}?", "response": "A\u{300} Tome\u{301}."});
    place.write_rows("sft.jsonl", &[row])?;
    let told = place.told(&format!("{SFT} --out out"))?;
    ensure_says(&told, &["1 rows read", "0 of 1 paths differ"])
}

#[test]
fn a_token_beyond_the_embedding_is_refused_where_a_row_has_it() -> Result<()> {
    let place = Workplace::new()?;
    let config = json_of(&place.path("model/config.json"))?;
    let beyond = config["vocab_size"].as_u64().unwrap_or_default();
    change_json(&place.path("model/tokenizer.json"), |tokenizer| {
        let token = json!({
            "id": beyond, "content": "<|tool|>", "special": true, "single_word": false,
            "lstrip": false, "rstrip": false, "normalized": false,
        });
        if let Some(tokens) = tokenizer["added_tokens"].as_array_mut() {
            tokens.push(token);
        }
    })?;
    ensure_says(&place.told(&format!("{SFT} --out out"))?, &["6 rows read"])?;
    place.write_rows(
        "sft.jsonl",
        &[json!({"instruction": "Go <|tool|>", "response": "Done."})],
    )?;
    let message = place.refusal(&format!("{SFT} --out other"))?;
    ensure_says(&message, &["`<|tool|>`", &format!("vocab_size = {beyond}")])
}
