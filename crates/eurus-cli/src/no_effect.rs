//! Options that a command cannot act on: refused before anything is read, in words that name what stands against them.
//!
//! What excludes each other altogether says so where it is declared (`conflicts_with`); all else is a line of [`RULES`]. A
//! test walks all options of the program: each acts whatever else is given, or has a rule.

use clap::ArgMatches;
use clap::parser::ValueSource;
use eurus::losses::{Needs, RewardLossConfig};
use eurus::train::Optimizer;

use crate::usage::UsageError;

/// When some options have no effect.
struct Rule {
    /// By their ids, which are their names with `_` for `-`.
    options: &'static [&'static str],
    /// Why they have none, and what to do: what follows `--option has no effect`. `None` where they act.
    why: fn(&Given<'_>) -> Option<String>,
}

/// The options of one command as they were given.
pub struct Given<'a> {
    /// The words of the command: `prefer`, `plan prefer`, `data mix`.
    pub command: &'a str,
    pub matches: &'a ArgMatches,
    /// What the preference loss looks at, if there is one.
    pub needs: Option<Needs>,
    pub reward_loss: Option<RewardLossConfig>,
}

impl Given<'_> {
    /// Whether an option stands on the command line.
    fn has(&self, option: &str) -> bool {
        // Asking for an option that the command does not have would be a fault of the program.
        let known = self.matches.ids().any(|id| id.as_str() == option);
        known && self.matches.value_source(option) == Some(ValueSource::CommandLine)
    }

    /// The value of an option, given or by default; `None` also for a command that does not have it.
    fn value<T: Clone + Send + Sync + 'static>(&self, option: &str) -> Option<T> {
        self.matches.try_get_one(option).ok().flatten().cloned()
    }

    fn without(&self, other: &str, advice: &str) -> Option<String> {
        (!self.has(other)).then(|| format!("without --{}; {advice}", dashed(other)))
    }
}

/// Whether the model is at a server.
fn is_server(given: &Given<'_>) -> bool {
    let model = given.value::<String>("model");
    model.is_some_and(|model| crate::generate::is_address(&model))
}

const RULES: &[Rule] = &[
    Rule {
        options: &["beta"],
        why: |given| {
            match given.command {
            "score" => given.without(
                "reference",
                "it is the factor of the log-ratio; give what the policy learned from, or leave it out",
            ),
            _ => None,
        }
        },
    },
    Rule {
        options: &["served_name", "api_key_env", "concurrency"],
        why: |given| match is_server(given) {
            false => Some(
                "with a checkpoint (--model); give the address of a server, or leave it out".into(),
            ),
            true => None,
        },
    },
    Rule {
        options: &["ratings", "judge_served_name", "judge_api_key_env"],
        why: |given| given.without("judge", "give the model that rates, or leave it out"),
    },
    Rule {
        options: &["weights"],
        why: |given| match is_server(given) {
            true => {
                Some("with a server (--model), which has weights of its own; leave it out".into())
            }
            false => None,
        },
    },
    Rule {
        options: &["max_rows"],
        why: |given| match is_server(given) {
            true => Some("with a server (--model); say --concurrency, or leave it out".into()),
            false => None,
        },
    },
    Rule {
        options: &["top_p"],
        why: |given| match given.value::<f32>("temperature") {
            Some(temperature) if temperature <= 0.0 => {
                Some("with --temperature 0, which takes the likeliest token; leave it out".into())
            }
            _ => None,
        },
    },
    Rule {
        options: &[
            "lora_alpha",
            "lora_dropout",
            "lora_targets",
            "modules_to_save",
        ],
        why: |given| {
            given.without(
                "lora_rank",
                "give the rank of the adapters too, or leave it out",
            )
        },
    },
    Rule {
        options: &["eval_every", "keep_best", "eval_samples"],
        why: |given| given.without("eval", "give rows to judge the model on, or leave it out"),
    },
    Rule {
        options: &["eval_max_tokens"],
        why: |given| match given.value::<usize>("eval_samples") {
            Some(0) => Some(
                "without --eval-samples; say how many prompts are answered, or leave it out".into(),
            ),
            _ => None,
        },
    },
    Rule {
        options: &["sync_reference_mixing"],
        why: |given| {
            given.without(
                "sync_reference_every",
                "say after how many steps the reference is mixed with the policy, or leave it out",
            )
        },
    },
    Rule {
        options: &["reference", "sync_reference_every", "reference_cache"],
        why: |given| {
            let without_reference = given.needs.is_some_and(|needs| !needs.reference);
            without_reference.then(|| {
                "with this --loss, which does not look at a reference; leave it out, or take a loss with one: dpo, kto, nca"
                    .into()
            })
        },
    },
    Rule {
        options: &["desirable_weight", "undesirable_weight"],
        why: |given| {
            let algorithm = given.value::<crate::prefer::Algorithm>("algorithm")?;
            (algorithm != crate::prefer::Algorithm::Kto).then(|| {
                "with this --algorithm: the weights are KTO's; give --algorithm kto, or leave it out"
                    .into()
            })
        },
    },
    Rule {
        options: &["rank_only"],
        why: |given| {
            match given.reward_loss.as_ref()? {
            RewardLossConfig::UltraInteract(_) => None,
            _ => Some(
                "with this --loss, which has no direct rewards to leave out or nothing else; give --loss bt-ldr, or leave it out"
                    .into(),
            ),
        }
        },
    },
    Rule {
        options: &["margin"],
        why: |given| match given.reward_loss.as_ref()? {
            RewardLossConfig::UltraInteract(_) | RewardLossConfig::BradleyTerry(_) => None,
            _ => Some(
                "with this --loss, which has no margin; give --loss bt or bt-ldr, or leave it out"
                    .into(),
            ),
        },
    },
    Rule {
        options: &["center_coefficient"],
        why: |given| {
            match given.value::<String>("loss")?.as_str() {
            "bt" | "bt-ldr" => None,
            _ => Some(
                "with this --loss; give --loss bt or bt-ldr, or say it as `center_coefficient` in the loss's own settings"
                    .into(),
            ),
        }
        },
    },
    Rule {
        options: &["adam_beta1", "adam_beta2", "adam_eps"],
        why: |given| {
            (given.value::<Optimizer>("optimizer")? == Optimizer::Adafactor).then(|| {
                "with --optimizer adafactor; give --optimizer adamw, or leave it out".into()
            })
        },
    },
    Rule {
        options: &["weight_decay_on"],
        why: |given| {
            if given.value::<f32>("weight_decay")? == 0.0 {
                Some("without --weight-decay; say how much, or leave it out".into())
            } else if given.has("lora_rank") {
                Some(
                    "with --lora-rank: adapters are matrices and decayed either way; leave it out"
                        .into(),
                )
            } else {
                None
            }
        },
    },
    Rule {
        options: &["decay"],
        why: |given| {
            (given.value::<f64>("warmup_ratio")? >= 1.0).then(|| {
                "with --warmup-ratio 1: the learning rate climbs until the last step; lower --warmup-ratio, or leave it out"
                    .into()
            })
        },
    },
    Rule {
        options: &["max_path_tokens"],
        why: |given| {
            let [path, budget] = ["max_path_tokens", "token_budget"]
                .map(|option| given.value::<usize>(option).unwrap_or_default());
            (path > budget && given.has("token_budget")).then(|| {
                format!(
                    "beyond --token-budget {budget}, in which a whole path must fit; raise --token-budget, or lower it"
                )
            })
        },
    },
    Rule {
        options: &["overwrite"],
        why: |given| {
            if given.command != "data stats" {
                return None;
            }
            given.without(
                "skip_invalid",
                "it replaces the file of rejects and nothing else; leave it out",
            )
        },
    },
    Rule {
        options: &["max_turns"],
        why: |given| {
            (given.command == "data decontaminate").then(|| {
                "with `decontaminate`, which looks at instructions alone; leave it out".into()
            })
        },
    },
    Rule {
        options: &["allow_repeats"],
        why: |given| {
            let amounts = given.has("takes") || given.has("preset");
            (!amounts).then(|| {
                "without --take or --preset: all rows of every source are taken, and each once; say how many, or leave it out"
                    .into()
            })
        },
    },
    Rule {
        options: &["sandbox", "fork", "worker"],
        why: |given| {
            given
                .has("dry_run")
                .then(|| "beside --dry-run, which begins nothing; leave one of the two out".into())
        },
    },
    Rule {
        options: &["bos"],
        why: |given| {
            given.without(
                "model",
                "give the model whose tokens are shown, or leave it out",
            )
        },
    },
    Rule {
        options: &["tables"],
        why: |given| {
            let source = given.value::<String>("from");
            (source.as_deref() != Some("wikitablequestions")).then(|| {
                "but with --from wikitablequestions, whose tables are files of their own; leave it out".into()
            })
        },
    },
    Rule {
        options: &["all_rows"],
        why: |given| {
            let source = given.value::<String>("from");
            (!matches!(source.as_deref(), Some("mathqa" | "tabmwp"))).then(|| {
                "but with --from mathqa or tabmwp, of which the paper left rows out; leave it out".into()
            })
        },
    },
];

/// Refuses options that cannot act beside the others.
pub fn check(given: &Given<'_>) -> Result<(), UsageError> {
    for rule in RULES {
        let options = rule.options.iter().filter(|option| given.has(option));
        for option in options {
            if let Some(why) = (rule.why)(given) {
                let option = spelled(given, option);
                return Err(UsageError::new(format!("{option} has no effect {why}")));
            }
        }
    }
    Ok(())
}

fn dashed(option: &str) -> String {
    option.replace('_', "-")
}

/// An option as it is written, with its value if that is short.
fn spelled(given: &Given<'_>, option: &str) -> String {
    let mut spelled = format!("--{}", dashed(option));
    let values = given.matches.get_raw(option).into_iter().flatten();
    let values: Vec<String> = values
        .map(|value| value.to_string_lossy().into_owned())
        .collect();
    if let [value] = &values[..]
        && value.len() <= 20
        && !["true", "false"].contains(&value.as_str())
    {
        spelled.push(' ');
        spelled.push_str(value);
    }
    spelled
}

#[cfg(test)]
mod tests {
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
        "device",
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
        "runs",
        "results",
        "sampled_only",
    ];

    const PREFER: &str = "prefer --model m --data d --out o --algorithm dpo";
    const SFT: &str = "sft --model m --data d --out o";
    const REWARD: &str = "reward --model m --data d --out o";

    /// A command line for each option that has a rule, in which it has no effect, and words of the message.
    fn idle() -> Vec<(&'static str, String, &'static str)> {
        let prefer = |options: &str| format!("{PREFER} {options}");
        let sft = |options: &str| format!("{SFT} {options}");
        let reward = |options: &str| format!("{REWARD} {options}");
        let simpo =
            |options: &str| format!("prefer --model m --data d --out o --loss simpo {options}");
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
                "eval rm pairs --data d --model m --ratings r".into(),
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
            "eval rm pairs --data d --judge m --judge-served-name n --judge-api-key-env K --ratings r".into(),
            "score --policy p --reference r --beta 0.5 --each-step --data d --out o".into(),
            "synth run --data d --sandbox none --fork s --worker w".into(),
            "synth problems --from mathqa f --out o --all-rows".into(),
            "synth problems --from wikitablequestions f --out o --tables t".into(),
            "data stats f --skip-invalid r --overwrite --max-turns 3".into(),
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
}
