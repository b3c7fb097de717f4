//! Every option has a rule or acts, and every rule refuses what it is for.

use clap::{Command, CommandFactory, FromArgMatches};

use super::*;
use crate::Cli;

/// Options that act whatever else is given: files, amounts, bounds and policies.
const ACT_ALWAYS: &[&str] = &[
    // What is read and written. `plan` takes what belongs to a result with the command that it plans, and shows it not.
    "model",
    "data",
    "out",
    "overwrite",
    "weight_type",
    "max_shard_bytes",
    "metrics",
    "tensorboard",
    "snapshot_every",
    // An interrupted run has snapshots, too.
    "snapshots_keep",
    "snapshots",
    "resume",
    "extend",
    "eval",
    "json",
    // Rows and text.
    "chat_template",
    "format",
    "over_long",
    "drop_unusable",
    "score_by",
    "show_tokenization",
    "last_turn_only",
    // The loss. What excludes each other is refused by clap.
    "algorithm",
    "loss",
    "beta",
    "unpaired",
    "scored",
    // Steps.
    "lora_rank",
    "learning_rate",
    "epochs",
    "max_steps",
    "trees_per_step",
    "forests_per_step",
    "token_budget",
    "warmup_ratio",
    "optimizer",
    "weight_decay",
    "max_grad_norm",
    "recompute_activations",
    "precision",
    "on_not_finite",
    "seed",
    "devices",
    "mpi",
    // Benchmarks.
    "task",
    "grader",
    "setting",
    "item",
    // Data.
    "files",
    "skip_invalid",
    "layout",
    "tokenizer",
    "show",
    "to",
    "kind",
    "select",
    "max_matches",
    "max_pairs",
    "max_uses",
    "preset",
    "sources",
    "takes",
    "per_instruction",
    "repeat",
    "manifest",
    "against",
    "field",
    "shell",
    "recipe",
    "small",
    "set",
    "commands",
    "mixtures",
    "benchmarks",
    "runs",
    // Sizes of what is practiced with.
    "problems",
    "held_out",
    "vocabulary",
    "hidden_size",
    "layers",
    "heads",
    "context",
    "ngram",
    "substring_chars",
    "near_duplicates",
    "report",
    "id",
    "count",
    "width",
    // Trees. What needs or excludes another is refused by clap.
    "python",
    "from",
    "columns",
    "mode",
    "task",
    "dataset",
    "not_like",
    "config",
    "limit",
    "store",
    "dry_run",
    "reason",
    // Answers and their scores. What needs another is refused by clap.
    "policy",
    "no_reference",
    "each_step",
    "prompts",
    "each_turn",
    "samples",
    "temperature",
    "max_tokens",
    "stop",
    "system",
    "answer_prefix",
    "raw",
    "logprobs",
    "harness",
    // Where a rule decides, `--judge` is refused once the task is read.
    "judge",
    "judge_served_name",
    "judge_api_key_env",
    "bench",
    "responses",
    "run",
    "left",
    "right",
    "scores",
    "packages",
    "results",
    // Pages.
    "title",
    "serve",
    "trees",
    "sampled_only",
    // A server.
    "host",
    "port",
    "max_answer_tokens",
    "max_waiting",
    "max_body_bytes",
];

const PREFER: &str = "prefer --model m --data d --out o --algorithm dpo";
const SFT: &str = "sft --model m --data d --out o";
const REWARD: &str = "reward --model m --data d --out o";

/// A command line for each option that has a rule, in which it has no effect, and words of the message.
fn idle() -> Vec<(&'static str, String, &'static str)> {
    let prefer = |options: &str| format!("{PREFER} {options}");
    let sft = |options: &str| format!("{SFT} {options}");
    let reward = |options: &str| format!("{REWARD} {options}");
    let simpo = |options: &str| format!("prefer --model m --data d --out o --loss simpo {options}");
    let generate = |options: &str| match options.contains("--model") {
        true => format!("generate --data d --out o {options}"),
        false => format!("generate --model m --data d --out o {options}"),
    };
    let synth = |options: &str| format!("synth run --data d --dry-run {options}");
    let problems = |options: &str| format!("synth problems --from gsm8k f --out o {options}");
    vec![
        (
            "beta",
            "score --policy p --no-reference --data d --out o --beta 0.5".into(),
            "--reference",
        ),
        ("port", "report r --out o --port 1".into(), "--serve"),
        ("served_name", generate("--served-name n"), "checkpoint"),
        ("api_key_env", generate("--api-key-env K"), "checkpoint"),
        ("concurrency", generate("--concurrency 3"), "checkpoint"),
        (
            "max_rows",
            generate("--model http://h/v1 --max-rows 3"),
            "server",
        ),
        (
            "ratings",
            "eval rm pairs --data d --scores s --ratings r".into(),
            "--judge",
        ),
        (
            "judge_served_name",
            "eval rm pairs --data d --model m --judge-served-name n".into(),
            "--judge",
        ),
        (
            "judge_api_key_env",
            "eval rm pairs --data d --model m --judge-api-key-env K".into(),
            "--judge",
        ),
        (
            "weights",
            generate("--model http://h/v1 --weights int8"),
            "server",
        ),
        (
            "weights",
            generate("--weights int8 --device cuda"),
            "--device cuda",
        ),
        (
            "weights",
            "serve --model m --weights bf16 --device wgpu".into(),
            "--device wgpu",
        ),
        (
            "device",
            generate("--model http://h/v1 --device wgpu"),
            "server",
        ),
        (
            "device",
            "eval run --task svamp --model http://h/v1 --judge http://h/v1 --out o --device wgpu"
                .into(),
            "server",
        ),
        ("device", "eval grade r --device wgpu".into(), "checkpoint"),
        (
            "device",
            "eval rm pairs --data d --scores s --device wgpu".into(),
            "checkpoint",
        ),
        (
            "top_p",
            generate("--temperature 0 --top-p 0.5"),
            "--temperature 0",
        ),
        ("sandbox", synth("--sandbox none"), "--dry-run"),
        ("fork", synth("--fork s"), "--dry-run"),
        ("worker", synth("--worker w"), "--dry-run"),
        ("tables", problems("--tables t"), "wikitablequestions"),
        ("all_rows", problems("--all-rows"), "mathqa"),
        ("lora_alpha", sft("--lora-alpha 8"), "--lora-rank"),
        (
            "lora_alpha",
            format!("plan {SFT} --lora-alpha 8"),
            "--lora-rank",
        ),
        ("lora_dropout", prefer("--lora-dropout 0.1"), "--lora-rank"),
        (
            "lora_targets",
            reward("--lora-targets q_proj"),
            "--lora-rank",
        ),
        (
            "modules_to_save",
            sft("--modules-to-save lm_head"),
            "--lora-rank",
        ),
        ("eval_every", reward("--eval-every 5"), "--eval"),
        ("keep_best", sft("--keep-best"), "--eval"),
        ("eval_samples", prefer("--eval-samples 3"), "--eval"),
        (
            "eval_max_tokens",
            sft("--eval e --eval-max-tokens 9"),
            "--eval-samples",
        ),
        (
            "sync_reference_mixing",
            prefer("--sync-reference-mixing 0.5"),
            "--sync-reference-every",
        ),
        (
            "sync_reference_every",
            simpo("--sync-reference-every 5"),
            "--loss",
        ),
        ("reference", simpo("--reference r"), "--loss"),
        ("reference_cache", simpo("--reference-cache f"), "--loss"),
        (
            "desirable_weight",
            prefer("--desirable-weight 2"),
            "--algorithm kto",
        ),
        (
            "undesirable_weight",
            prefer("--undesirable-weight 2"),
            "--algorithm kto",
        ),
        (
            "rank_only",
            reward("--loss bt --rank-only a"),
            "--loss bt-ldr",
        ),
        ("margin", reward("--loss ldr --margin 1"), "--loss bt"),
        (
            "center_coefficient",
            reward("--loss ldr --center-coefficient 1"),
            "--loss bt",
        ),
        (
            "adam_beta1",
            sft("--optimizer adafactor --adam-beta1 0.8"),
            "--optimizer adamw",
        ),
        (
            "adam_beta2",
            sft("--optimizer adafactor --adam-beta2 0.8"),
            "--optimizer adamw",
        ),
        (
            "adam_eps",
            sft("--optimizer adafactor --adam-eps 1e-6"),
            "--optimizer adamw",
        ),
        (
            "weight_decay_on",
            sft("--weight-decay-on all"),
            "--weight-decay",
        ),
        (
            "weight_decay_on",
            sft("--weight-decay-on all --weight-decay 1 --lora-rank 2"),
            "--lora-rank",
        ),
        (
            "decay",
            sft("--warmup-ratio 1 --decay linear"),
            "--warmup-ratio 1",
        ),
        (
            "max_path_tokens",
            sft("--max-path-tokens 300 --token-budget 200"),
            "--token-budget 200",
        ),
        (
            "overwrite",
            "data stats f --overwrite".into(),
            "--skip-invalid",
        ),
        (
            "bos",
            "eval show svamp --data d --bos twice".into(),
            "--model",
        ),
        (
            "max_turns",
            "data decontaminate f --against t --out o --max-turns 3".into(),
            "decontaminate",
        ),
        (
            "allow_repeats",
            "data mix --source a=a --to sft --out o --allow-repeats".into(),
            "--take",
        ),
    ]
}

/// What the program says to a command line before it does anything.
fn refusal(line: &str) -> Result<(), String> {
    let words = ["eurus"].into_iter().chain(line.split_whitespace());
    let matches = Cli::command()
        .try_get_matches_from(words)
        .map_err(|error| format!("clap: {error}"))?;
    let cli = Cli::from_arg_matches(&matches).map_err(|error| error.to_string())?;
    cli.command
        .check(&matches)
        .map_err(|error| error.to_string())
}

#[test]
fn what_has_no_effect_is_refused_with_what_stands_against_it() {
    for (option, line, says) in idle() {
        let message = refusal(&line).expect_err(&line);
        let named = format!("--{}", dashed(option));
        assert!(message.starts_with(&named), "{line}: {message}");
        for words in ["has no effect", says] {
            assert!(message.contains(words), "{line}: {message}");
        }
    }
}

#[test]
fn the_same_options_are_taken_where_they_act() {
    for line in [
        format!("{SFT} --lora-rank 4 --lora-alpha 8 --lora-dropout 0.1 --lora-targets q_proj"),
        format!("{SFT} --eval e --eval-every 5 --eval-samples 3 --eval-max-tokens 9 --keep-best"),
        format!("{PREFER} --sync-reference-every 5 --sync-reference-mixing 0.5 --reference-cache f"),
        "prefer --model m --data d --out o --algorithm kto --desirable-weight 2 --undesirable-weight 1".into(),
        format!("{REWARD} --rank-only a --margin 1 --center-coefficient 1"),
        format!("{REWARD} --loss bt --margin 1"),
        format!("{PREFER} --reference r"),
        format!("{SFT} --adam-beta1 0.8 --adam-beta2 0.9 --adam-eps 1e-6 --weight-decay 1 --weight-decay-on all"),
        format!("{SFT} --decay linear --max-path-tokens 300 --token-budget 300"),
        format!("plan {SFT} --overwrite --snapshot-every 3"),
        "generate --model http://h/v1 --served-name n --api-key-env K --concurrency 3 --data d --out o --top-p 0.5".into(),
        "generate --model m --max-rows 3 --data d --out o".into(),
        "generate --model m --weights exact --device wgpu --data d --out o".into(),
        "chat --model m --device cuda".into(),
        "eval run --task svamp --model http://h/v1 --judge m --out o --device wgpu".into(),
        "eval grade r --judge m --device wgpu".into(),
        "eval rm pairs --data d --model m --device wgpu".into(),
        "score --policy p --no-reference --device wgpu --data d --out o".into(),
        "serve --model m --served-name n --api-key-env K --max-rows 3 --weights int8".into(),
        "eval rm pairs --data d --judge m --judge-served-name n --judge-api-key-env K --ratings r".into(),
        "eval rm pairs --data d --model m --ratings r".into(),
        "score --policy p --reference r --beta 0.5 --each-step --data d --out o".into(),
        "synth run --data d --sandbox none --fork s --worker w".into(),
        "synth problems --from mathqa f --out o --all-rows".into(),
        "synth problems --from wikitablequestions f --out o --tables t".into(),
        "data stats f --skip-invalid r --overwrite --max-turns 3".into(),
        "report r --serve --port 1".into(),
        "data mix --preset eurus-7b-sft --source a=a --out o --allow-repeats".into(),
    ] {
        assert_eq!(refusal(&line), Ok(()), "{line}");
    }
}

/// All options of a command and of those below it.
fn options(command: &Command, found: &mut Vec<(String, String)>) {
    let own = command.get_arguments().map(|it| it.get_id().to_string());
    let own = own.filter(|id| !["help", "version"].contains(&id.as_str()));
    found.extend(own.map(|id| (command.get_name().to_owned(), id)));
    command.get_subcommands().for_each(|it| options(it, found));
}

#[test]
fn every_option_acts_always_or_is_refused_where_it_does_not() {
    let mut found = Vec::new();
    let mut command = Cli::command();
    command.build();
    options(&command, &mut found);
    assert!(found.len() > 100, "{} options", found.len());
    let ruled = |option: &str| RULES.iter().any(|rule| rule.options.contains(&option));
    for (command, option) in &found {
        // Alone, without what it needs, clap refuses it.
        let line = match command.as_str() {
            "prefer" => PREFER,
            "sft" => SFT,
            _ => REWARD,
        };
        let alone = || {
            let values = ["", " 1", " a"];
            values.iter().any(|value| {
                let line = format!("{line} --{}{value}", dashed(option));
                refusal(&line).is_err_and(|it| it.contains("were not provided"))
            })
        };
        assert!(
            ACT_ALWAYS.contains(&option.as_str()) || ruled(option) || alone(),
            "`{command}` has the option `{option}`: say in ACT_ALWAYS that it acts whatever else is given, or add a rule"
        );
    }
    let tried = idle();
    for option in RULES.iter().flat_map(|rule| rule.options) {
        assert!(found.iter().any(|it| it.1 == **option), "{option}");
        assert!(
            tried.iter().any(|it| it.0 == *option),
            "{option} is not tried"
        );
    }
}
