//! `eurus score`: what a reward model says of answers, and what the log-ratio of a policy to its reference says.

mod items;
mod steps;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::{ArgGroup, Args};
use eurus::data::formats::JsonlWriter;
use eurus::data::{Message, input};
use eurus::forest::{ChatTokenizer, MessageTree};
use eurus::models::{Decoder, RewardModel};
use eurus::train::TrainingConfig;
use eurus::train::scoring::{node_rewards, node_token_log_probs};
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use serde_json::{Map, Value, json};

use crate::data::check_new;
use crate::interrupt;
use crate::job::print;
use crate::model_folder::{self, ModelFolder};
use crate::options::DeviceName;
use crate::other_model::check_vocabulary;
use crate::setup;
use items::{Item, Prompts, Shape};

pub const EXAMPLES: &str = "\
Scored are the answers of conversations, pairs, rankings and trees in every format that `eurus data` reads, and answers of
`eurus generate` with the prompts that they were drawn for. A line of the output, by what was asked for:
  {\"id\": \"sum\", \"sample\": 0, \"reward\": 1.3}
  {\"id\": \"p1\", \"chosen\": {\"reward\": 0.8}, \"rejected\": {\"reward\": -0.2}}
  {\"id\": \"t1\", \"nodes\": [{\"name\": \"3\", \"parent\": \"1\", \"verdict\": \"correct\", \"source\": \"sampled\", \"tokens\": 41,
     \"reward\": 0.1, \"log_prob\": -9.1, \"log_ratio\": 2.0, \"implicit_reward\": 0.2}]}
`tokens`, the length of an answer with its end, stands in every line. `eurus eval process` holds rewards of trees against verdicts.

The implicit reward of a policy that learned from preferences is beta times the logarithm of its probability over that of its
reference: it makes a reward model of every step (arXiv 2412.01981). Answers to one prompt are computed as one tree.

Examples:
  eurus score --model runs/rm --data answers.jsonl --prompts problems.jsonl --out scores.jsonl
  eurus score --model runs/rm --data trees.jsonl --each-turn --out scores.jsonl
  eurus score --policy runs/dpo --reference runs/sft --beta 0.1 --data pairs.jsonl --each-step --out scores.jsonl";

const STYLE: &str = "{prefix:.bold} {spinner} {pos} {msg} [{elapsed}]";

/// Rows that are computed together; what they share is computed once.
const ROWS_AT_ONCE: usize = 256;

/// How many answers that cannot be scored are named.
const MOST_NAMED: usize = 10;

/// `eurus score`.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("by").required(true).multiple(true).args(["model", "policy"])))]
pub struct Score {
    /// Reward model: a folder, or a model of the hub
    #[arg(long, value_name = "MODEL")]
    model: Option<PathBuf>,

    /// Policy, whose implicit reward is told
    #[arg(long, value_name = "MODEL")]
    policy: Option<PathBuf>,

    /// What the policy learned from: its reference
    #[arg(
        long,
        value_name = "MODEL",
        requires = "policy",
        conflicts_with = "no_reference"
    )]
    reference: Option<PathBuf>,

    /// Tell the policy's log-prob alone
    #[arg(long, requires = "policy")]
    no_reference: bool,

    /// Factor of the log-ratio
    #[arg(long, value_name = "BETA", default_value_t = 0.1)]
    beta: f64,

    /// Files with answers, or patterns in quotes
    #[arg(long, required = true, num_args = 1.., value_name = "FILES")]
    data: Vec<String>,

    /// The data that answers of `eurus generate` were drawn for, or the `items.jsonl` of a run of `eurus eval`
    #[arg(long, num_args = 1.., value_name = "FILES")]
    prompts: Vec<String>,

    /// File for the scores, one row a line; written whole or not at all
    #[arg(long, value_name = "FILE")]
    out: PathBuf,

    /// Replace the file if it is there
    #[arg(long)]
    overwrite: bool,

    /// Score every turn of the assistant, and not the last alone
    #[arg(long)]
    each_turn: bool,

    /// Tell the implicit reward of each "Step k:" of the answer, and the least of them
    #[arg(long, requires = "policy")]
    each_step: bool,

    /// The first rows alone
    #[arg(long, value_name = "N")]
    limit: Option<usize>,

    /// Tokens that go through the model at once: the knob for memory
    #[arg(long, value_name = "N", default_value_t = TrainingConfig::default().token_budget)]
    token_budget: usize,

    /// A template in place of the model's own: a file, or the name of one that comes along
    #[arg(long, value_name = "TEMPLATE")]
    chat_template: Option<String>,

    /// Where to compute
    #[arg(long, value_enum, default_value_t = DeviceName::Cpu)]
    device: DeviceName,
}

/// The models that score.
struct Scorers {
    tokenizer: ChatTokenizer,
    reward: Option<RewardModel>,
    policy: Option<Decoder>,
    reference: Option<Decoder>,
    /// The longest path that all of them take.
    context: usize,
    settings: TrainingConfig,
}

/// What was scored, and what could not be.
#[derive(Default)]
struct Counts {
    answers: usize,
    refused: Vec<String>,
}

impl Score {
    /// A reward model's scores of conversations, from a file to a file.
    pub fn of_conversations(model: &Path, data: &Path, out: &Path) -> Self {
        Self {
            model: Some(model.to_owned()),
            policy: None,
            reference: None,
            no_reference: false,
            beta: 1.0,
            data: vec![data.display().to_string()],
            prompts: Vec::new(),
            out: out.to_owned(),
            overwrite: false,
            each_turn: false,
            each_step: false,
            limit: None,
            token_budget: TrainingConfig::default().token_budget,
            chat_template: None,
            device: DeviceName::Cpu,
        }
    }

    pub fn run(&self) -> Result<()> {
        print(&self.run_quietly()?);
        Ok(())
    }

    /// Scores, and returns what there is to tell of it.
    pub fn run_quietly(&self) -> Result<String> {
        if self.policy.is_some() && self.reference.is_none() && !self.no_reference {
            bail!(
                "--policy without --reference has no log-ratio; give what it learned from, or say --no-reference for its log-probs"
            );
        }
        check_new(&self.out, "--out", self.overwrite)?;
        let files = input::expand(&self.data)?;
        let samples = files.iter().any(|file| items::has_samples(file));
        let prompts = match (samples, self.prompts.is_empty()) {
            (true, true) => bail!(
                "{}: answers of `eurus generate`; give the data that they were drawn for with --prompts",
                files[0].display()
            ),
            (false, false) => bail!(
                "--prompts has no effect: {} has no answers of `eurus generate`; leave it out",
                files[0].display()
            ),
            (true, false) => Some(Prompts::read(&files, &self.prompts)?),
            (false, true) => None,
        };
        let scorers = self.load()?;
        let mut writer = JsonlWriter::create(&self.out)?;
        interrupt::state().remove_when_interrupted(writer.temporary());
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template(STYLE) {
            bar.set_style(style);
        }
        bar.set_prefix("rows");
        let mut counts = Counts::default();
        let mut rows = items::read(files, prompts).take(self.limit.unwrap_or(usize::MAX));
        loop {
            let chunk = rows
                .by_ref()
                .take(ROWS_AT_ONCE)
                .collect::<Result<Vec<Item>>>()?;
            if chunk.is_empty() {
                break;
            }
            bar.inc(chunk.len() as u64);
            for line in self.score(&scorers, chunk, &mut counts)? {
                writer.write(&line)?;
            }
            bar.set_message(format!("{} answers", counts.answers));
        }
        bar.finish_and_clear();
        let written = writer.finish()?;
        for refused in counts.refused.iter().take(MOST_NAMED) {
            tell!("not scored: {refused}");
        }
        if counts.refused.len() > MOST_NAMED {
            tell!("not scored: {} more", counts.refused.len() - MOST_NAMED);
        }
        Ok(format!(
            "{} rows with {} scored answers in {}",
            HumanCount(written as u64),
            HumanCount(counts.answers as u64),
            self.out.display()
        ))
    }

    fn load(&self) -> Result<Scorers> {
        let device = setup::device(self.device, 0)?;
        let find = |model: &Option<PathBuf>, option| {
            model
                .as_deref()
                .map(|model: &Path| model_folder::find(model, option))
                .transpose()
        };
        let (reward, policy) = (
            find(&self.model, "--model")?,
            find(&self.policy, "--policy")?,
        );
        let reference = find(&self.reference, "--reference")?;
        let Some(first) = reward.as_ref().or(policy.as_ref()) else {
            bail!("give a reward model (--model) or a policy (--policy)");
        };
        let tokenizer = setup::tokenizer(&first.folder, self.chat_template.as_deref())?;
        let of = if reward.is_some() {
            "--model"
        } else {
            "--policy"
        };
        let tokens = first.folder.join("tokenizer.json");
        for (other, option) in [(&policy, "--policy"), (&reference, "--reference")] {
            if let Some(other) = other {
                check_vocabulary(&other.folder, option, &tokens, of)?;
            }
        }
        let mut context = usize::MAX;
        let reward = reward
            .map(|it| it.checkpoint().reward_model(&device))
            .transpose()?;
        let reward = reward.map(|(model, config)| {
            context = context.min(config.context_length());
            model
        });
        let mut decoder = |found: Option<ModelFolder>| -> Result<Option<Decoder>> {
            let Some(found) = found else {
                return Ok(None);
            };
            let (model, config) = found.checkpoint().decoder(&device)?;
            context = context.min(config.context_length());
            Ok(Some(model))
        };
        let (policy, reference) = (decoder(policy)?, decoder(reference)?);
        let context = context.min(self.token_budget);
        Ok(Scorers {
            tokenizer,
            reward,
            policy,
            reference,
            context,
            settings: TrainingConfig {
                token_budget: self.token_budget,
                max_path_tokens: context,
                ..TrainingConfig::default()
            },
        })
    }

    /// The lines of some rows.
    fn score(
        &self,
        scorers: &Scorers,
        items: Vec<Item>,
        counts: &mut Counts,
    ) -> Result<Vec<Value>> {
        let mut forest = Forest::default();
        let mut places: Vec<Vec<Result<Place, String>>> = Vec::new();
        for item in &items {
            let placed = item
                .answers
                .iter()
                .map(|answer| forest.place(scorers, &answer.messages));
            places.push(placed.collect());
        }
        let scored = forest.score(scorers)?;
        let mut lines = Vec::with_capacity(items.len());
        for (item, places) in items.into_iter().zip(places) {
            let mut scores = Vec::new();
            for (answer, place) in item.answers.iter().zip(places) {
                let score = match place {
                    Ok(place) => {
                        counts.answers += 1;
                        self.of_answer(scorers, &scored, &place)
                    }
                    Err(problem) => {
                        let name = match item.shape {
                            Shape::One => item.head["id"].to_string(),
                            _ => format!("{} of {}", answer.name, item.head["id"]),
                        };
                        counts.refused.push(format!("{name}: {problem}"));
                        Map::from_iter([("not_scored".to_owned(), json!(problem))])
                    }
                };
                let known = answer.known.clone().into_iter();
                scores.push((answer.name.clone(), known.chain(score).collect()));
            }
            lines.push(line(item.head, item.shape, scores));
        }
        Ok(lines)
    }

    /// All that is said of an answer.
    fn of_answer(
        &self,
        scorers: &Scorers,
        scored: &[ScoredTree],
        place: &Place,
    ) -> Map<String, Value> {
        let tree = &scored[place.tree];
        let mut score = self.of_node(tree, place.node);
        score.insert("tokens".to_owned(), json!(tree.tokens[place.node].len()));
        if self.each_turn {
            let turns = tree
                .answers_before(place.node)
                .into_iter()
                .chain([place.node]);
            let turns: Vec<Map<String, Value>> =
                turns.map(|node| self.of_node(tree, node)).collect();
            if let Some(sum) = self.sum_of(&turns) {
                score.insert("sum_of_turns".to_owned(), json!(sum));
            }
            score.insert("turns".to_owned(), json!(turns));
        }
        if self.each_step {
            let tokens = &tree.tokens[place.node];
            let steps = steps::ranges(&scorers.tokenizer, tokens).into_iter();
            let values: Vec<f64> = steps
                .map(|range| self.implicit(tree, place.node, range))
                .collect();
            let least = values.iter().copied().reduce(f64::min);
            score.insert("steps".to_owned(), json!(values));
            score.insert("least_step".to_owned(), json!(least));
        }
        score
    }

    /// What the implicit rewards of turns add up to: that of all that the assistant said.
    fn sum_of(&self, turns: &[Map<String, Value>]) -> Option<f64> {
        let name = if self.reference.is_some() {
            "implicit_reward"
        } else {
            "log_prob"
        };
        turns.iter().map(|turn| turn.get(name)?.as_f64()).sum()
    }

    fn of_node(&self, tree: &ScoredTree, node: usize) -> Map<String, Value> {
        let mut score = Map::new();
        if let Some(rewards) = &tree.rewards {
            score.insert("reward".to_owned(), json!(rewards[node]));
        }
        if let Some(policy) = &tree.policy {
            let whole = 0..policy[node].len();
            let sum: f64 = policy[node].iter().copied().map(f64::from).sum();
            score.insert("log_prob".to_owned(), json!(sum));
            if self.reference.is_some() {
                let ratio = tree.log_ratio(node, whole);
                score.insert("log_ratio".to_owned(), json!(ratio));
                score.insert("implicit_reward".to_owned(), json!(self.beta * ratio));
            }
        }
        score
    }

    /// Beta times the log-ratio of some tokens of a node; their log-prob without a reference.
    fn implicit(&self, tree: &ScoredTree, node: usize, range: std::ops::Range<usize>) -> f64 {
        match self.reference.is_some() {
            true => self.beta * tree.log_ratio(node, range),
            false => tree.log_ratio(node, range),
        }
    }
}

fn line(mut head: Value, shape: Shape, scores: Vec<(String, Map<String, Value>)>) -> Value {
    let Some(row) = head.as_object_mut() else {
        return head;
    };
    match shape {
        Shape::One => row.extend(scores.into_iter().flat_map(|(_, score)| score)),
        Shape::Named => row.extend(scores.into_iter().map(|(name, score)| (name, json!(score)))),
        Shape::List(name) => {
            let named = scores.into_iter().map(|(name, mut score)| {
                score.insert("name".to_owned(), json!(name));
                json!(score)
            });
            row.insert(name.to_owned(), named.collect());
        }
    }
    head
}

/// Where an answer is.
#[derive(Clone, Copy)]
struct Place {
    tree: usize,
    node: usize,
}

/// Conversations as trees, one for each first prompt.
#[derive(Default)]
struct Forest {
    trees: Vec<MessageTree>,
    by_prompt: HashMap<Vec<Message>, usize>,
}

/// A tree with what is said of its nodes.
struct ScoredTree {
    parents: Vec<Option<usize>>,
    trainable: Vec<bool>,
    tokens: Vec<Vec<u32>>,
    rewards: Option<Vec<f32>>,
    policy: Option<Vec<Vec<f32>>>,
    reference: Option<Vec<Vec<f32>>>,
}

impl Forest {
    /// Adds a conversation, unless it cannot be scored.
    fn place(&mut self, scorers: &Scorers, messages: &[Message]) -> Result<Place, String> {
        let tokens = scorers
            .tokenizer
            .encode_messages(messages)
            .map_err(|error| error.to_string())?;
        let length = tokens.longest_path_tokens();
        if length > scorers.context {
            return Err(format!(
                "has {length} tokens, more than the {} that the model and --token-budget take",
                scorers.context
            ));
        }
        let asked = messages
            .iter()
            .take_while(|it| it.role != eurus::data::Role::Assistant);
        let prompt: Vec<Message> = asked.cloned().collect();
        let tree = *self.by_prompt.entry(prompt).or_insert_with(|| {
            self.trees.push(MessageTree::default());
            self.trees.len() - 1
        });
        let node = self.trees[tree].grow(messages);
        Ok(Place { tree, node })
    }

    fn score(&self, scorers: &Scorers) -> Result<Vec<ScoredTree>> {
        let trees = self.trees.iter().map(|tree| scorers.tokenizer.encode(tree));
        let trees = trees.collect::<Result<Vec<_>, _>>()?;
        let settings = &scorers.settings;
        let reward = scorers.reward.as_ref();
        let rewards = reward
            .map(|model| node_rewards(model, &trees, settings))
            .transpose()?;
        let log_probs = |model: &Option<Decoder>| {
            let model = model.as_ref();
            model
                .map(|model| node_token_log_probs(model, &trees, settings))
                .transpose()
        };
        let (policy, reference) = (log_probs(&scorers.policy)?, log_probs(&scorers.reference)?);
        let (mut rewards, mut policy) = (rewards.map(Vec::into_iter), policy.map(Vec::into_iter));
        let mut reference = reference.map(Vec::into_iter);
        Ok(trees
            .into_iter()
            .map(|tree| ScoredTree {
                parents: tree.nodes.iter().map(|node| node.parent).collect(),
                trainable: tree.nodes.iter().map(|node| node.trainable).collect(),
                tokens: tree.nodes.into_iter().map(|node| node.tokens).collect(),
                rewards: rewards.as_mut().and_then(Iterator::next),
                policy: policy.as_mut().and_then(Iterator::next),
                reference: reference.as_mut().and_then(Iterator::next),
            })
            .collect())
    }
}

impl ScoredTree {
    /// The answers on the way to a node, the first one first.
    fn answers_before(&self, node: usize) -> Vec<usize> {
        let path = std::iter::successors(self.parents[node], |&node| self.parents[node]);
        let mut answers: Vec<usize> = path.filter(|&node| self.trainable[node]).collect();
        answers.reverse();
        answers
    }

    /// The log-prob of some tokens of a node, less that of the reference if there is one.
    fn log_ratio(&self, node: usize, range: std::ops::Range<usize>) -> f64 {
        let sum = |log_probs: &Option<Vec<Vec<f32>>>| -> f64 {
            let of_node = log_probs
                .as_ref()
                .and_then(|it| it[node].get(range.clone()));
            of_node
                .unwrap_or_default()
                .iter()
                .copied()
                .map(f64::from)
                .sum()
        };
        sum(&self.policy) - sum(&self.reference)
    }
}
