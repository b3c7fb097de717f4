//! The JSON files of a golden folder. Fields that no check uses are left out.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::Deserialize;

/// `expected.json`.
#[derive(Debug, Deserialize)]
pub struct Expected {
    pub name: String,
    pub kind: String,
    pub reward_model: bool,
    pub checkpoint_dtype: String,
    pub tensors: BTreeMap<String, Vec<usize>>,
    #[serde(default)]
    pub tensors_to_ignore: Vec<String>,
    /// Where tensors are that the files call otherwise, by their usual names.
    #[serde(default)]
    pub usual_names: BTreeMap<String, Part>,
    pub inv_freq_f64: Vec<f64>,
    pub rope: Option<Rope>,
    /// Per layer.
    pub layer_windows: Option<Vec<Option<usize>>>,
    pub cases: Vec<Case>,
    pub pairs: Option<Pairs>,
    pub grad_sum_logprob: Option<Gradient>,
    pub grad_bt: Option<Gradient>,
    pub grad_bt_dr: Option<Gradient>,
    pub generate: Option<Generate>,
    pub mixtral: Option<Mixture>,
    #[serde(default)]
    pub train: Vec<Train>,
    pub tolerance: Tolerance,
}

/// What is made of the rope settings besides the frequencies.
#[derive(Debug, Deserialize)]
pub struct Rope {
    pub attention_factor_f64: f64,
}

/// A tensor of the files, or a part of it.
#[derive(Debug, Deserialize)]
pub struct Part {
    pub tensor: String,
    /// First index.
    pub expert: Option<usize>,
    /// Indices after that: from, to.
    pub rows: Option<[usize; 2]>,
}

/// What is expected of a mixture of experts.
#[derive(Debug, Deserialize)]
pub struct Mixture {
    pub router_aux_loss_ragged_right: f64,
}

/// `expected.json` of an adapter.
#[derive(Debug, Deserialize)]
pub struct ExpectedAdapter {
    pub support: String,
    /// The adapted layers.
    pub modules: BTreeMap<String, AdaptedModule>,
    pub cases: Vec<AdaptedCase>,
    pub merged: Option<Merged>,
    pub grad_sum_logprob: Option<Gradient>,
    #[serde(default)]
    pub train: Vec<Train>,
    pub tolerance: Tolerance,
}

/// The size of one adapter.
#[derive(Debug, Deserialize)]
pub struct AdaptedModule {
    pub r: usize,
}

/// The base's case of the same `id` with the adapter on.
#[derive(Debug, Deserialize)]
pub struct AdaptedCase {
    pub id: String,
    pub token_logprobs_f64: Vec<Vec<f64>>,
    pub sum_logprob_f64: Vec<f64>,
    pub last_top5: Option<Vec<Top>>,
}

/// The weights that an adapter changes, merged.
#[derive(Debug, Deserialize)]
pub struct Merged {
    pub changed: Vec<String>,
    pub norms_f64: BTreeMap<String, f64>,
    pub probe_at: BTreeMap<String, Vec<Vec<usize>>>,
    pub probes_f64: BTreeMap<String, Vec<f64>>,
}

/// Limits by name.
#[derive(Debug, Clone, Deserialize)]
pub struct Tolerance(BTreeMap<String, f64>);

impl Tolerance {
    pub fn of(&self, name: &str) -> Result<f64> {
        let limit = self.0.get(name).copied();
        limit.with_context(|| format!("the file gives no tolerance `{name}`"))
    }
}

/// A padded batch and what the model makes of it.
#[derive(Debug, Deserialize)]
pub struct Case {
    pub id: String,
    pub input_ids: Vec<Vec<u32>>,
    pub attention_mask: Vec<Vec<u8>>,
    pub position_ids: Vec<Vec<u32>>,
    pub completion_mask: Vec<Vec<u8>>,
    // Language models.
    pub token_logprobs_f64: Option<Vec<Vec<f64>>>,
    pub sum_logprob_f64: Option<Vec<f64>>,
    pub mean_ce_loss_f64: Option<f64>,
    pub last_top5: Option<Vec<Top>>,
    // Reward models.
    pub reward_f64: Option<Vec<f64>>,
    pub token_rewards_f64: Option<Vec<Vec<f64>>>,
}

/// The likeliest tokens.
#[derive(Debug, Clone, Deserialize)]
pub struct Top {
    pub ids: Vec<usize>,
    pub logits_f64: Vec<f64>,
}

/// Rows 0, 2, 4, ... are chosen, rows 1, 3, 5, ... rejected.
#[derive(Debug, Deserialize)]
pub struct Pairs {
    pub input_ids: Vec<Vec<u32>>,
    pub attention_mask: Vec<Vec<u8>>,
    pub reward_f64: Vec<f64>,
}

/// A loss and its gradients.
#[derive(Debug, Deserialize)]
pub struct Gradient {
    /// The case whose rows the loss is over.
    pub batch: Option<String>,
    #[serde(alias = "value_f64")]
    pub loss_f64: f64,
    pub global_grad_norm_f64: f64,
    pub grad_norms_f64: BTreeMap<String, f64>,
    pub grad_probe_at: BTreeMap<String, Vec<Vec<usize>>>,
    pub grad_probes_f64: BTreeMap<String, Vec<f64>>,
}

/// Greedy continuations.
#[derive(Debug, Deserialize)]
pub struct Generate {
    pub max_new_tokens: usize,
    pub rows: Vec<Generated>,
}

#[derive(Debug, Deserialize)]
pub struct Generated {
    pub prompt_ids: Vec<u32>,
    pub new_ids: Vec<u32>,
    pub min_top1_margin_f64: f64,
    pub stop_example: Option<StopExample>,
}

#[derive(Debug, Deserialize)]
pub struct StopExample {
    pub eos_token_id: u32,
    pub new_ids: Vec<u32>,
}

/// Steps of AdamW on one batch.
#[derive(Debug, Deserialize)]
pub struct Train {
    pub id: String,
    pub loss_formula: String,
    pub lr: Vec<f64>,
    pub betas: [f32; 2],
    pub eps: f32,
    pub weight_decay: f32,
    pub max_grad_norm: Option<f64>,
    #[serde(default)]
    pub no_decay_norms: bool,
    pub losses_f64: Vec<f64>,
    #[serde(default)]
    pub grad_norms_per_step_f64: Vec<f64>,
    pub param_norms_after_f64: BTreeMap<String, f64>,
    #[serde(default)]
    pub param_probe_at: BTreeMap<String, Vec<Vec<usize>>>,
    #[serde(default)]
    pub param_probes_after_f64: BTreeMap<String, Vec<f64>>,
}

/// `trees.json`.
#[derive(Debug, Deserialize)]
pub struct Trees {
    pub trees: Vec<Tree>,
    pub tolerance: Tolerance,
}

#[derive(Debug, Deserialize)]
pub struct Tree {
    pub id: String,
    pub nodes: Vec<Node>,
    pub branches: Vec<Branch>,
    pub loss: TreeLoss,
}

#[derive(Debug, Deserialize)]
pub struct Node {
    pub id: usize,
    pub parent: Option<usize>,
    pub in_loss: bool,
    pub input_ids: Vec<u32>,
    pub position_start: u32,
}

/// One root-to-leaf path, computed as a plain sequence.
#[derive(Debug, Deserialize)]
pub struct Branch {
    pub leaf: usize,
    pub path: Vec<usize>,
    pub token_logprobs_f64: Option<Vec<f64>>,
    pub node_sum_logprob_f64: Option<BTreeMap<usize, f64>>,
    pub sum_logprob_in_loss_f64: Option<f64>,
    pub reward_f64: Option<f64>,
    pub node_end_rewards_f64: Option<BTreeMap<usize, f64>>,
}

#[derive(Debug, Deserialize)]
pub struct TreeLoss {
    pub weights: Vec<f64>,
    #[serde(flatten)]
    pub gradient: Gradient,
}
