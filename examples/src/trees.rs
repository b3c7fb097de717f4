//! Preference trees: the fine-tuned model acts, Python executes, a rule-based critic criticises.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Result;
use chat_model::{Sampling, Together};
use eurus_models::LocalChatModel;
use token_forest::{ChatTokenizer, Group, MessageTree, TrainingTree};
use ultrainteract::derive::{pair_rows, sft_rows};
use ultrainteract::formats::{TreeRecord, write_jsonl};
use ultrainteract::{ActionSource, NodeId, PreferenceTree};
use ultrainteract_synth::run::{Recorded, Report, RunOptions, run};
use ultrainteract_synth::store::{Job, Settings, Store};
use ultrainteract_synth::{
    Build, Critic, Environment, Event, Problem, SynthConfig, SynthStats, Team, TreeBuilder,
};

use crate::Scale;
use crate::console::Stage;
use crate::run_folder::RunFolder;

/// The only worker of its store.
const WORKER: &str = "quickstart";

/// The file of the trees in a run folder.
pub const TREES: &str = "trees.jsonl";

/// Preference trees and how they came about.
pub struct Trees {
    /// One a problem that did not fail.
    pub trees: Vec<PreferenceTree>,
    /// Counts by turn.
    pub stats: SynthStats,
}

/// How trees are built.
pub fn settings(seed: u64, scale: &Scale) -> SynthConfig {
    SynthConfig {
        samples_per_turn: scale.samples_per_turn,
        samples_per_round: Some(scale.samples_per_round),
        max_turns: scale.turns,
        sampling: Sampling {
            temperature: 1.0,
            max_tokens: scale.max_action_tokens,
            ..Sampling::default()
        },
        seed,
        trees_in_flight: scale.tree_problems.max(1),
        ..SynthConfig::default()
    }
}

/// Builds a tree for every problem; with a store, what the actor answers and what is finished is kept in that file.
pub fn build(
    config: SynthConfig,
    actor: &LocalChatModel,
    problems: &[Problem],
    environment: &dyn Environment,
    critic: &dyn Critic,
    store: Option<&Path>,
) -> Result<Trees> {
    let actor = Together::new(actor);
    let stage = Stage::start("Trees", problems.len(), "trees");
    let (finished, turns) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let observer = |event: Event<'_>| {
        match event {
            Event::TurnFinished { .. } => turns.fetch_add(1, Ordering::Relaxed),
            Event::TreeFinished { .. } => finished.fetch_add(1, Ordering::Relaxed),
            Event::ProblemFailed { problem, error } => {
                return eprintln!("{problem} failed: {error}");
            }
            _ => return,
        };
        let turns = turns.load(Ordering::Relaxed);
        stage.position(finished.load(Ordering::Relaxed), format!("{turns} turns"));
    };
    let trees = match store {
        None => {
            let builder = TreeBuilder::new(config, Team::new(&actor), environment, critic)?;
            let Build { trees, stats, .. } = builder.build(problems, &observer)?;
            Trees { trees, stats }
        }
        Some(path) => {
            let store = Store::open(&path.display().to_string())?;
            let jobs = problems
                .iter()
                .map(|problem| Job::new(problem.id.clone(), problem));
            store.begin(&Settings::new(&config)?, jobs)?;
            let actor = Recorded::new("policy", &actor, &store, WORKER).arriving_together();
            let builder = TreeBuilder::new(config, Team::new(&actor), environment, critic)?;
            let options = RunOptions::new(WORKER).watching(&actor);
            let Report { stats, .. } = run(&builder, &store, &options, &observer)?;
            let trees = store
                .trees()
                .map(|tree| Ok(serde_json::from_str(&tree?.tree)?));
            Trees {
                trees: trees.collect::<Result<_>>()?,
                stats,
            }
        }
    };
    let pairs: usize = trees.trees.iter().map(|tree| tree.pairs().len()).sum();
    stage.finish(&format!("{} trees, {pairs} pairs", trees.trees.len()));
    Ok(trees)
}

impl Trees {
    /// Writes them, their pairs and their correct actions into the folder, and counts by turn into its metrics.
    pub fn write(&self, folder: &mut RunFolder) -> Result<()> {
        for turn in &self.stats.turns {
            folder.metric("trees", turn)?;
        }
        let records: Vec<TreeRecord> = self.trees.iter().map(TreeRecord::from).collect();
        write_jsonl(folder.path(TREES), &records)?;
        let pairs = self.trees.iter().flat_map(pair_rows);
        write_jsonl(folder.path("pairs.jsonl"), pairs)?;
        let imitated = self.trees.iter().flat_map(sft_rows);
        write_jsonl(folder.path("sft.jsonl"), imitated)?;
        Ok(())
    }
}

/// The pairs of sampled actions, tokenized. Where the annotated solution stands in for a correct action, nothing the
/// policy can do is compared with what it did, so these pairs stay in the files and are not learned from.
pub fn sampled_pairs(
    trees: &[PreferenceTree],
    tokenizer: &ChatTokenizer,
) -> Result<Vec<TrainingTree>> {
    let mut paired = Vec::new();
    for tree in trees {
        let is_sampled = |id: NodeId| {
            let action = tree.node(id).action();
            action.is_some_and(|action| action.source == ActionSource::Sampled)
        };
        let sampled = tree.pairs().iter().filter(|pair| is_sampled(pair.chosen));
        let pairs = sampled.map(|pair| Group::pair(pair.chosen.index(), pair.rejected.index()));
        let messages = MessageTree {
            groups: pairs.collect(),
            ..MessageTree::from(tree)
        };
        if !messages.groups.is_empty() {
            paired.push(TrainingTree::of_messages(&messages, tokenizer)?);
        }
    }
    Ok(paired)
}
