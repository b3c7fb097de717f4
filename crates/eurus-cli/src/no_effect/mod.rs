//! Options that a command cannot act on: refused before anything is read, in words that name what stands against them.
//!
//! What excludes each other altogether says so where it is declared (`conflicts_with`); all else is a line of [`RULES`]. A
//! test walks all options of the program: each acts whatever else is given, or has a rule.

#[cfg(test)]
mod tests;

use clap::ArgMatches;
use clap::parser::ValueSource;
use eurus::losses::{Needs, RewardLossConfig};
use eurus::models::generate::DecodeWeights;
use eurus::train::Optimizer;

use crate::options::DeviceName;
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

/// Whether a checkpoint computes in this process.
fn computes_here(given: &Given<'_>) -> bool {
    let named = ["model", "policy", "judge"].into_iter();
    named.filter(|option| given.has(option)).any(|option| {
        let values = given.matches.get_raw(option).into_iter().flatten();
        let is_address = |it: &std::ffi::OsStr| crate::generate::is_address(&it.to_string_lossy());
        values.into_iter().any(|value| !is_address(value))
    })
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
        options: &["port"],
        why: |given| match given.command {
            "report" => given.without(
                "serve",
                "a page that is written has none; give both, or leave it out",
            ),
            _ => None,
        },
    },
    Rule {
        options: &["served_name", "api_key_env", "concurrency"],
        why: |given| match is_server(given) || given.command == "serve" {
            false => Some(
                "with a checkpoint (--model); give the address of a server, or leave it out".into(),
            ),
            true => None,
        },
    },
    Rule {
        options: &["ratings"],
        why: |given| match given.has("scores") || given.has("responses") {
            true => Some("without a model; give --model or --judge, or leave it out".into()),
            false => None,
        },
    },
    Rule {
        options: &["judge_served_name", "judge_api_key_env"],
        why: |given| given.without("judge", "give the model that rates, or leave it out"),
    },
    Rule {
        options: &["weights"],
        why: |given| {
            if is_server(given) {
                return Some(
                    "with a server (--model), which has weights of its own; leave it out".into(),
                );
            }
            let device = given.value::<DeviceName>("device")?;
            let is_exact = given.value::<DecodeWeights>("weights")? == DecodeWeights::Exact;
            (device != DeviceName::Cpu && !is_exact).then(|| {
                format!(
                    "with --device {}: weights are rounded for a CPU alone, and are float32 elsewhere; leave one of the two out",
                    device.as_str()
                )
            })
        },
    },
    Rule {
        options: &["device"],
        why: |given| {
            (!computes_here(given)).then(|| {
                "without a checkpoint that answers or scores in this process; a server computes where it is, so leave it out"
                    .into()
            })
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
