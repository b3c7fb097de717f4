//! Chat templates as models come with them: what ends a turn, what is rewritten, what is said.

use std::fs;

use crate::common::{Workplace, ensure_says};
use anyhow::{Context, Result, ensure};
use eurus::burn::tensor::{Device, Tensor};
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

pub const CHATML: &str = "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>' + '\n' }}\
    {% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

const SFT: &str = "sft --model model --data sft.jsonl --out out --max-steps 1 --learning-rate 1e-3";

/// A workplace whose model has this template and EOS token.
pub fn place_with(template: Option<&str>, eos: &str) -> Result<Workplace> {
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
        // Of every command, and with adapters that are merged.
        for command in [
            format!("{SFT} --lora-rank 2"),
            PREFER.to_owned(),
            format!("{PREFER} --lora-rank 2"),
            "reward --model model --data pairs.jsonl --out out --max-steps 1".to_owned(),
        ] {
            let told = place.told(&format!("{command}{option} --overwrite"))?;
            ensure_says(&told, &["answers are trained to end with `<|im_end|>` (2)"])?;
            for file in ["out/config.json", "out/generation_config.json"] {
                let ends = &read(&place, file)?["eos_token_id"];
                ensure!(*ends == json!([0, 2]), "{command}: {file}: {ends}");
            }
        }
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

/// Qwen3's way: `<think>` in the last turn alone.
const THINKS_LAST: &str = "{%- set ns = namespace(query=-1) %}{%- for m in messages %}{% if m.role == 'user' %}{% set ns.query = loop.index0 %}{% endif %}{% endfor %}\
    {%- for m in messages %}{%- if m.role == 'assistant' %}{%- set said = m.content %}{%- set why = '' %}\
    {%- if '</think>' in said %}{%- set why = said.split('</think>')[0].rstrip('\n').split('<think>')[-1].lstrip('\n') %}{%- set said = said.split('</think>')[-1].lstrip('\n') %}{%- endif %}\
    {{- '<|im_start|>assistant\n' }}{%- if loop.index0 > ns.query %}{{- '<think>\n' + why.strip('\n') + '\n</think>\n\n' }}{%- endif %}{{- said + '<|im_end|>\n' }}\
    {%- else %}{{- '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{%- endif %}{%- endfor %}\
    {%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{%- endif %}";

const PREFER: &str = "prefer --model model --data pairs.jsonl --out out --algorithm dpo --max-steps 1 --learning-rate 1e-4";

#[test]
fn a_template_that_rewrites_history_has_a_stand_in_for_training() -> Result<()> {
    let place = place_with(Some(THINKS_LAST), "<|im_end|>")?;
    let line = "chat template model/tokenizer_config.json rewrites history (it leaves the reasoning out of earlier answers), \
                so `qwen3` (built in) stands in for it";
    for command in [
        PREFER.to_owned(),
        format!("{PREFER} --chat-template auto --overwrite"),
        format!("{PREFER} --over-long cut --overwrite"),
        "plan prefer --model model --data pairs.jsonl --algorithm dpo".to_owned(),
    ] {
        ensure_says(&place.told(&command)?, &[line, "12 pairs in 6 trees"])?;
    }
    ensure!(
        read(&place, "out/tokenizer_config.json")? == read(&place, "model/tokenizer_config.json")?
    );

    // Rows of one turn are what they are with the model's own template.
    fs::write(place.path("own.jinja"), THINKS_LAST)?;
    place.succeed(&format!("{SFT} --overwrite"))?;
    let stands_in = place.losses_of("out")?;
    let told = place.told(&format!("{SFT} --chat-template own.jinja --overwrite"))?;
    ensure!(
        !told.contains("stands in"),
        "a file is taken as it is: {told}"
    );
    ensure!(stands_in == place.losses_of("out")?);
    let refused = place.refusal(&format!("{PREFER} --chat-template own.jinja --overwrite"))?;
    ensure_says(
        &refused,
        &[
            "field `trajectory`: chat template own.jinja rewrites history: it leaves the reasoning out of earlier answers",
        ],
    )
}

#[test]
fn texts_that_a_template_leaves_out_are_refused_by_row() -> Result<()> {
    let strips = "{% for m in messages %}{% if m.role == 'user' %}{{ '<s>User: ' + m.content }}{% else %}\
        {{ '[INST]' + m.content.split('</think>')[-1] + '</s>' }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '[INST]' }}{% endif %}";
    let place = place_with(Some(strips), "</s>")?;
    ensure_says(&place.told(SFT)?, &["6 responses to imitate in 6 trees"])?;
    let row = |response: &str| json!({"id": "1", "parent_id": "1", "task": "Math_CoT", "dataset": "toy", "instruction": "1?", "response": response});
    let thought = row("<think>\nadd\n</think>\n\nIt is 1.");
    place.write_rows("sft.jsonl", &[row("It is 1."), thought])?;
    ensure_says(
        &place.refusal(&format!("{SFT} --overwrite"))?,
        &[
            "row 2 of sft.jsonl: field `response`: chat template model/tokenizer_config.json does not write message 2 (assistant) \
             as it is: of \"<think>\\nadd\\n</think>\\n\\nIt is 1.\" it makes \"It is 1.</s>\"",
        ],
    )
}

#[test]
fn special_tokens_that_texts_spell_and_white_space_that_goes_are_counted() -> Result<()> {
    let trims = CHATML.replace("m['content']", "m['content'] | trim");
    let place = place_with(Some(&trims), "<|im_end|>")?;
    place.write_rows(
        "sft.jsonl",
        &[
            json!({"instruction": "Say <|im_start|> twice", "response": "No."}),
            json!({"instruction": " How many? ", "response": "12\n"}),
            json!({"instruction": "And </s>?", "response": "Also no."}),
        ],
    )?;
    ensure_says(
        &place.told(SFT)?,
        &[
            "3 responses to imitate in 3 trees",
            "texts: 2 hold the spelling of a special token, which is encoded as that token (first: `<|im_start|>` in message 1 \
             (user) of row 1 of sft.jsonl); 2 are written with other white space by the template",
        ],
    )
}

#[test]
fn templates_that_refuse_or_only_mark_stay_as_they_are() -> Result<()> {
    // Marks of what the model says change nothing.
    let marks = CHATML.replace(
        "+ m['content'] + '<|im_end|>' + '\n' }}",
        "}}{% generation %}{{ m['content'] + '<|im_end|>' }}{% endgeneration %}{{ '\n' }}",
    );
    ensure!(marks != CHATML);
    let place = place_with(Some(CHATML), "<|im_end|>")?;
    place.succeed(SFT)?;
    let losses = place.losses_of("out")?;
    let place = place_with(Some(&marks), "<|im_end|>")?;
    ensure_says(&place.told(SFT)?, &["6 responses to imitate in 6 trees"])?;
    ensure!(place.losses_of("out")? == losses);

    let refuses = format!(
        "{{% if messages[0].role == 'system' %}}{{{{ raise_exception('System role not supported') }}}}{{% endif %}}{CHATML}"
    );
    let moves = "{%- set system = messages[0].content + '\n\n' if messages[0].role == 'system' else '' %}\
        {%- for m in (messages[1:] if system else messages) %}{%- if m.role == 'user' %}{{- '[INST] ' + (system if loop.last else '') + m.content + '[/INST]' }}\
        {%- else %}{{- ' ' + m.content + eos_token }}{%- endif %}{%- endfor %}";
    let late = "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + ('' if loop.last else '<|im_end|>\n') }}\
        {% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";
    for (template, eos, words) in [
        (
            refuses.as_str(),
            "<|im_end|>",
            "row 1 of sft.jsonl: field `messages`: chat template model/tokenizer_config.json, line 1, cannot render a conversation of 2 messages: System role not supported",
        ),
        (
            moves,
            "</s>",
            "rewrites history: it moves the system message along with the last question; adding message 3",
        ),
        (
            late,
            "<|im_end|>",
            "rewrites history: it ends a turn only once another message follows; adding message 2",
        ),
    ] {
        let place = place_with(Some(template), eos)?;
        let messages = json!([
            {"role": "system", "content": "Be brief."}, {"role": "user", "content": "1?"}, {"role": "assistant", "content": "1"},
            {"role": "user", "content": "2?"}, {"role": "assistant", "content": "2"},
        ]);
        place.write_rows("sft.jsonl", &[json!({"messages": messages})])?;
        ensure_says(&place.refusal(SFT)?, &[words])?;
    }
    // Without a system message such a template only appends.
    let place = place_with(Some(moves), "</s>")?;
    ensure_says(&place.told(PREFER)?, &["12 pairs in 6 trees"])
}

#[test]
fn models_without_a_template_are_told_what_there_is() -> Result<()> {
    let place = place_with(None, "</s>")?;
    let choose = "choose a built-in one: mistral, llama-2, chatml, qwen3, qwen3-thinking, smollm3 or llama-3";
    ensure_says(
        &place.refusal(SFT)?,
        &["model has no chat template", choose],
    )?;
    ensure_says(
        &place.told(&format!("{SFT} --chat-template mistral"))?,
        &[
            "answers are trained to end with `</s>` (4), and the model has no eos_token_id",
            "6 responses to imitate in 6 trees",
        ],
    )?;

    // Several by name, and none of them is the default.
    let named =
        json!([{"name": "tool_use", "template": CHATML}, {"name": "rag", "template": CHATML}]);
    set(
        &place,
        "model/tokenizer_config.json",
        "chat_template",
        named,
    )?;
    ensure_says(
        &place.refusal(&format!("{SFT} --overwrite"))?,
        &["`chat_template` is a list without an entry"],
    )
}

#[test]
fn a_template_that_is_given_leaves_the_other_fields_of_the_tokenizer_alone() -> Result<()> {
    let place = place_with(None, "</s>")?;
    let file = place.path("model/tokenizer_config.json");
    let huge = "1000000000000000019884624838656";
    let config = format!(
        r#"{{"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "</s>", "model_max_length": {huge},
            "added_tokens_decoder": {{"4": {{"content": "</s>", "special": true}}}}, "zeta": 1, "clean_up_tokenization_spaces": false}}"#
    );
    fs::write(&file, &config)?;
    place.succeed(&format!("{SFT} --chat-template mistral"))?;
    let mut written = read(&place, "out/tokenizer_config.json")?;
    let template = written
        .as_object_mut()
        .and_then(|fields| fields.remove("chat_template"));
    ensure!(template.is_some_and(|it| it.as_str().is_some_and(|it| it.contains("[INST]"))));
    ensure!(
        written == serde_json::from_str::<Value>(&config)?,
        "{written}"
    );
    Ok(())
}

#[test]
fn what_a_tokenizer_does_to_texts_is_done_once() -> Result<()> {
    // A file that would truncate and pad, and one that composes characters: "é" as one or as two.
    let answer = |letter: &str| json!({"instruction": "caf\u{e9}?", "response": format!("Answer: caf{letter}, 12 apples in 3 bags.")});
    let tokens = |told: &str| -> Result<String> {
        let line = told
            .lines()
            .find(|line| line.contains(" responses to imitate"))
            .context("counts")?;
        Ok(line.to_owned())
    };
    let place = place_with(Some(CHATML), "<|im_end|>")?;
    place.write_rows("sft.jsonl", &[answer("\u{e9}")])?;
    let plain = tokens(&place.told(SFT)?)?;
    let losses = place.losses_of("out")?;
    set(
        &place,
        "model/tokenizer.json",
        "truncation",
        json!({"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0}),
    )?;
    set(
        &place,
        "model/tokenizer.json",
        "padding",
        json!({"strategy": {"Fixed": 64}, "direction": "Right", "pad_to_multiple_of": null,
        "pad_id": 0, "pad_type_id": 0, "pad_token": "<|endoftext|>"}),
    )?;
    ensure!(tokens(&place.told(&format!("{SFT} --overwrite"))?)? == plain);
    ensure!(place.losses_of("out")? == losses);

    set(
        &place,
        "model/tokenizer.json",
        "normalizer",
        json!({"type": "NFC"}),
    )?;
    for letter in ["\u{e9}", "e\u{301}"] {
        place.write_rows("sft.jsonl", &[answer(letter)])?;
        let told = place.told(&format!("{SFT} --overwrite --show-tokenization"))?;
        ensure!(tokens(&told)? == plain, "{told}");
        ensure_says(
            &told,
            &["tokens: 0 of 1 paths differ from their whole text tokenized at once"],
        )?;
        ensure!(place.losses_of("out")? == losses);
    }
    Ok(())
}

#[test]
fn adapters_on_tokens_that_nothing_trained_are_warned_about() -> Result<()> {
    let place = place_with(None, "<|endoftext|>")?;
    let chatml = format!("{SFT} --chat-template chatml --overwrite");
    let warning = |modules: &str| {
        format!(
            "warning: the chat template writes tokens that look untrained: `<|im_start|>`, `<|im_end|>` (the model comes with no \
             template that writes them); adapters leave the vectors of tokens as they are, so train them beside the adapters \
             (--modules-to-save {modules}), or train all weights (without --lora-rank)"
        )
    };
    let both = "embed_tokens,lm_head";
    let prefer = format!("{PREFER} --chat-template chatml --overwrite");
    let reward = "reward --model model --data pairs.jsonl --out out --max-steps 1 --chat-template chatml --overwrite";
    for (command, modules) in [
        (chatml.as_str(), both),
        (&prefer, both),
        (reward, "embed_tokens"),
    ] {
        let told = place.told(&format!("{command} --lora-rank 4"))?;
        ensure_says(&told, &[&warning(modules)])?;
        // Silent where they are trained, beside the adapters or with all weights.
        for trains in [
            format!("--lora-rank 4 --modules-to-save {modules}"),
            String::new(),
        ] {
            let told = place.told(&format!("{command} {trains}"))?;
            ensure!(
                !told.contains("look untrained"),
                "{command} {trains}: {told}"
            );
        }
    }
    let half = place.told(&format!(
        "{chatml} --lora-rank 4 --modules-to-save embed_tokens"
    ))?;
    ensure_says(&half, &[&warning(both)])?;
    // EOS of the model and tokens of its own template are known to it.
    let told = place.told(&format!(
        "{SFT} --overwrite --chat-template mistral --lora-rank 4"
    ))?;
    ensure_says(&told, &["untrained: `[INST]`, `[/INST]` (the model comes"])?;
    let place = place_with(Some(CHATML), "<|im_end|>")?;
    let told = place.told(&format!("{chatml} --lora-rank 4"))?;
    ensure!(!told.contains("look untrained"), "{told}");

    // A base model that comes with a template: the vectors show it.
    let folder = Checkpoint::new(place.path("model"));
    let (mut model, config) = folder.decoder(&Device::flex())?;
    let embedding = &mut model.model.embed_tokens.weight;
    let [_, width] = embedding.dims();
    *embedding = embedding.clone().map(|weight| {
        let zeros = Tensor::zeros([1, width], &weight.device());
        weight.slice_assign([2..3, 0..width], zeros)
    });
    Checkpoint::new(place.path("base"))
        .with_tokenizer_from(folder.folder())
        .write_decoder(&model, &config)?;
    let sft = SFT.replace("--model model", "--model base");
    let told = place.told(&format!("{sft} --overwrite --lora-rank 4"))?;
    ensure_says(
        &told,
        &[
            "look untrained: `<|im_end|>` (their vectors are nearly zero); adapters leave",
            "(--modules-to-save embed_tokens,lm_head)",
        ],
    )
}
