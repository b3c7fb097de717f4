//! Trees of unseen problems, and what models say of each of their actions.

use anyhow::Result;
use eurus_eval::analyses::process_rewards::{JudgedTree, JudgedTurn};
use eurus_examples::start::Start;
use eurus_examples::trees;
use eurus_models::{Decoder, RewardModel};
use eurus_train::TrainingConfig;
use eurus_train::scoring::{node_rewards, node_token_log_probs};
use token_forest::{MessageTree, TokenTree};
use ultrainteract::formats::{TreeRecord, write_jsonl};
use ultrainteract::{PreferenceTree, Verdict};
use ultrainteract_synth::{Fallback, PythonEnvironment, RuleCritic, SynthConfig};

/// The file of the trees in a run folder, for `eurus score`.
const TREES: &str = "unseen_trees.jsonl";

/// Trees that nothing is trained on, as text and as tokens, node by node the same.
pub struct UnseenTrees {
    trees: Vec<PreferenceTree>,
    tokens: Vec<TokenTree>,
}

impl UnseenTrees {
    /// Lets the policy of a start grow trees of the unseen problems. Annotated solutions stay out: what no policy would write is
    /// told from what it writes by that alone.
    pub fn grow(start: &mut Start, environment: &PythonEnvironment) -> Result<Self> {
        let config = SynthConfig {
            fallback: Fallback::Never,
            ..trees::settings(start.seed, &start.scale)
        };
        let actor = start.actor(&start.policy);
        let problems = &start.unseen;
        let mut trees =
            trees::build(config, &actor, problems, environment, &RuleCritic, None)?.trees;
        // Where every action was cut off or no Python there is nothing to judge.
        trees.retain(|tree| tree.nodes().any(|(_, node)| node.action().is_some()));
        let records = trees.iter().map(TreeRecord::from);
        write_jsonl(start.folder.path(TREES), records)?;
        let tokens = trees
            .iter()
            .map(|tree| start.tokenizer.encode(&MessageTree::from(tree)));
        let tokens = tokens.collect::<Result<_, _>>()?;
        Ok(Self { trees, tokens })
    }

    /// The log-prob of every action under a policy, by tree and node.
    pub fn log_probs(&self, policy: &Decoder, settings: &TrainingConfig) -> Result<Vec<Vec<f64>>> {
        let of_tokens = node_token_log_probs(policy, &self.tokens, settings)?;
        let sum = |tokens: Vec<f32>| tokens.into_iter().map(f64::from).sum();
        let of_tree = |nodes: Vec<Vec<f32>>| nodes.into_iter().map(sum).collect();
        Ok(of_tokens.into_iter().map(of_tree).collect())
    }

    /// What a reward model gives every node.
    pub fn rewards(&self, model: &RewardModel, settings: &TrainingConfig) -> Result<Vec<Vec<f64>>> {
        let rewards = node_rewards(model, &self.tokens, settings)?;
        let of_tree = |nodes: Vec<f32>| nodes.into_iter().map(f64::from).collect();
        Ok(rewards.into_iter().map(of_tree).collect())
    }

    /// The actions with their verdicts and a reward by tree and node.
    pub fn judged(&self, reward: impl Fn(usize, usize) -> f64) -> Vec<JudgedTree> {
        let trees = self.trees.iter().enumerate();
        trees
            .map(|(place, tree)| JudgedTree {
                id: tree.id().to_owned(),
                turns: self.turns(place, tree, |node| reward(place, node)),
            })
            .collect()
    }

    fn turns(
        &self,
        place: usize,
        tree: &PreferenceTree,
        reward: impl Fn(usize) -> f64,
    ) -> Vec<JudgedTurn> {
        let mut turns: Vec<JudgedTurn> = Vec::new();
        // Of every node the turn that it is, or that it replies to; parents come before children.
        let mut turn_of: Vec<Option<usize>> = Vec::with_capacity(tree.len());
        for (id, node) in tree.nodes() {
            let before = node.parent().and_then(|parent| turn_of[parent.index()]);
            let Some(action) = node.action() else {
                turn_of.push(before);
                continue;
            };
            turn_of.push(Some(turns.len()));
            turns.push(JudgedTurn {
                name: id.to_string(),
                parent: before,
                reward: reward(id.index()),
                correct: match action.verdict {
                    Verdict::Correct => Some(true),
                    Verdict::Incorrect => Some(false),
                    Verdict::Unjudged => None,
                },
                tokens: Some(self.tokens[place].nodes[id.index()].tokens.len()),
            });
        }
        turns
    }
}
