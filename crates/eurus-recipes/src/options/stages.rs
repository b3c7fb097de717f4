//! The options of each stage. Files, folders and what belongs to one run of a program (`--resume`) are no part of a recipe.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Algorithm, Decay, DeviceName, NotFinitePolicy, Optimizer, OptionValue, OverLong, Precision,
    WeightDecayOn, WeightType, option_of,
};

/// A table of options, each of which may be left out: the program's default holds then.
macro_rules! options {
    (
        $(#[$meta:meta])* $name:ident {
            $(@beside { $($(#[$beside_doc:meta])* $beside:ident: $beside_type:ty,)* })?
            $($(#[$doc:meta])* $field:ident: $type:ty,)*
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name {
            $($($(#[$beside_doc])* pub $beside: $beside_type,)*)?
            $($(#[$doc])* #[serde(skip_serializing_if = "Option::is_none")] pub $field: Option<$type>,)*
        }

        impl $name {
            /// Names of the options: the keys, with `-` for `_`.
            pub const OPTIONS: &[&str] = &[$(stringify!($field)),*];

            /// The options as words of a command line.
            pub fn words(&self) -> Vec<String> {
                let mut words = Vec::new();
                $(if let Some(value) = &self.$field {
                    value.add_to(&mut words, &option_of(stringify!($field)));
                })*
                words
            }
        }
    };
}

/// A table of options with those that all commands of training share. `deny_unknown_fields` and serde's `flatten` exclude each
/// other, so they stand in each.
macro_rules! training_options {
    ($(#[$meta:meta])* $name:ident { $($own:tt)* }) => {
        options! {
            $(#[$meta])*
            $name {
                $($own)*
                /// Peak learning rate.
                learning_rate: f64,
                /// Passes over the data.
                epochs: u64,
                /// End after this many steps, if the epochs have more.
                max_steps: u64,
                /// Trees per step.
                trees_per_step: u64,
                /// Take as many trees into a step as fill this many forests.
                forests_per_step: u64,
                /// Tokens that go through the model at once.
                token_budget: u64,
                /// Longest history with its action, in tokens.
                max_path_tokens: u64,
                /// Share of the steps over which the learning rate climbs.
                warmup_ratio: f64,
                /// Shape of the learning rate after that.
                decay: Decay,
                /// How parameters are moved by their gradients.
                optimizer: Optimizer,
                /// Decay of AdamW's mean of gradients.
                adam_beta1: f64,
                /// Decay of AdamW's mean of squared gradients.
                adam_beta2: f64,
                /// Added to the root of AdamW's mean of squared gradients.
                adam_eps: f64,
                /// Decoupled weight decay.
                weight_decay: f64,
                /// Parameters that weight decay makes smaller.
                weight_decay_on: WeightDecayOn,
                /// Global norm that gradients are scaled down to; 0 switches that off.
                max_grad_norm: f64,
                /// Compute each layer again for its gradients.
                recompute_activations: bool,
                /// Number type to compute in.
                precision: Precision,
                /// What becomes of a step whose loss or gradient is not a finite number.
                on_not_finite: NotFinitePolicy,
                /// Seed of all random choices.
                seed: u64,
                /// Where to compute.
                device: DeviceName,
                /// GPUs of this machine to train on.
                devices: u64,
                /// Train on all processes that `mpirun` or `srun` started.
                mpi: bool,
                /// Chat template by name, or a jinja file.
                chat_template: String,
                /// What becomes of a row that is too long.
                over_long: OverLong,
                /// Leave out rows that nothing can be learned from.
                drop_unusable: bool,
                /// Rank of low-rank adapters.
                lora_rank: u64,
                /// Strength of the adapters.
                lora_alpha: f64,
                /// Share of an adapter's inputs that is zero in training.
                lora_dropout: f64,
                /// Linear layers with an adapter.
                lora_targets: Vec<String>,
                /// Matrices to train whole beside the adapters.
                modules_to_save: Vec<String>,
                /// Number type of the written weights.
                weight_type: WeightType,
                /// Steps between snapshots.
                snapshot_every: u64,
                /// Snapshots to keep.
                snapshots_keep: u64,
            }
        }

        impl $name {
            /// What keeps the stage from being run, with `STAGE` for its name.
            pub(crate) fn problem(&self) -> Option<&'static str> {
                if self.learning_rate.is_none() {
                    return Some("has no learning rate; give `STAGE.learning_rate`");
                }
                self.trees_per_step.and(self.forests_per_step).map(|_| {
                    "has `trees_per_step` and `forests_per_step`; a step is one or the other"
                })
            }
        }
    };
}

training_options! {
    /// Options of `eurus sft`.
    SftOptions {
        /// Imitate the last answer of a conversation alone.
        last_turn_only: bool,
    }
}

training_options! {
    /// Options of `eurus prefer`.
    PreferenceOptions {
        /// Preference loss of the paper.
        algorithm: Algorithm,
        /// Any preference loss of the library, by name or as JSON.
        loss: String,
        /// Strength of the tie to the reference.
        beta: f64,
        /// Weight of chosen responses in KTO.
        desirable_weight: f64,
        /// Weight of rejected responses in KTO.
        undesirable_weight: f64,
        /// Rows are single answers with a verdict each.
        unpaired: bool,
        /// Rows are instructions with several scored answers.
        scored: bool,
        /// Steps after which the reference follows the policy.
        sync_reference_every: u64,
        /// Share of the policy in that mixture.
        sync_reference_mixing: f64,
    }
}

training_options! {
    /// Options of `eurus reward`.
    RewardOptions {
        /// `bt-ldr`, `bt`, or any loss of reward models, by name or as JSON.
        loss: String,
        /// Data sets whose rows are ranked alone, without LDR.
        rank_only: Vec<String>,
        /// By how much a chosen reward should lead.
        margin: f64,
        /// Weight of the penalty that holds the rewards' mean near 0.
        center_coefficient: f64,
    }
}

options! {
    /// What is measured, and options of `eurus eval run`.
    EvalOptions {
        @beside {
            /// Tasks that the last policy answers: built-in ones, or task files (.toml). Default none.
            tasks: Vec<String>,
            /// Benchmarks of reward models, with the file of each among the benchmarks' data. Default none.
            reward_benches: BTreeMap<String, String>,
        }
        /// Answers to each item.
        samples: u64,
        /// Seed of all that is drawn.
        seed: u64,
        /// The first items alone.
        limit: u64,
        /// One setting of each task alone, such as `cot`.
        setting: String,
        /// Whose rules: `authors` or `fixed`.
        grader: String,
        /// How a checkpoint keeps its weights while it writes.
        weights: String,
        /// Answers that a checkpoint writes at once.
        max_rows: u64,
        /// Where checkpoints compute, also those of `reward_benches`.
        device: DeviceName,
        /// Least isolation of the programs in answers.
        sandbox: String,
        /// Let programs import installed packages.
        packages: bool,
        /// The model that rates answers.
        judge: String,
        /// The judge's name at its server.
        judge_served_name: String,
        /// The variable of the environment that has the key of the judge's server.
        judge_api_key_env: String,
    }
}

options! {
    /// Options of `eurus recipe practice`: the sizes of what is made to practice with.
    PracticeOptions {
        /// Problems to learn from.
        problems: u64,
        /// Problems to be measured on.
        held_out: u64,
        /// Seed of the problems and of the model's weights.
        seed: u64,
        /// Tokens of the tokenizer, at most.
        vocabulary: u64,
        /// Width of the model.
        hidden_size: u64,
        /// Layers of the model.
        layers: u64,
        /// Attention heads of the model.
        heads: u64,
        /// The longest text that the model is made for, in tokens.
        context: u64,
    }
}
