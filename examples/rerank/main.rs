//! Choosing one of several sampled answers: by a reward model, by what most samples say, by both.
//!
//! Run it with `cargo run --release --example rerank`. Some seconds on two cores, no files. The task is to repeat the last of some
//! symbols. Samples come from a source that is right now and then and has a favorite mistake, so that the majority is often
//! wrong; a small reward model learns from pairs of a right and a wrong answer (Bradley-Terry with direct rewards), and then chooses
//! for prompts that it has not seen. All samples of a prompt are leaves of one tree, so the prompt is computed once for all of
//! them. With a checkpoint and files: `eurus generate --samples 16`, `eurus score`, `eurus eval rerank`.

use anyhow::{Context, Result, ensure};
use burn::tensor::Device;
use eurus_eval::reranking::{Candidate, Candidates, Method};
use eurus_eval::terminal;
use eurus_models::{Decoder, DecoderConfig, RewardModel};
use eurus_train::{RewardTrainer, TrainingConfig, leaf_rewards};
use pref_losses::{RewardLossConfig, UltraInteractRewardConfig};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use token_forest::{Group, TokenTree, TrainingTree};

/// Token ids: twelve symbols, a mark where the answer begins, and its end.
const SYMBOLS: u32 = 12;
const ANSWER: u32 = SYMBOLS;
const END: u32 = SYMBOLS + 1;

const SAMPLES: usize = 8;
const TRAINED: usize = 600;
const UNSEEN: usize = 100;

/// The scorer's name in the tables.
const REWARD: &str = "reward model";

struct Prompt {
    symbols: Vec<u32>,
    /// A wrong answer that comes more often than others.
    favorite_mistake: u32,
}

impl Prompt {
    fn draw(rng: &mut ChaCha8Rng) -> Self {
        let symbols: Vec<u32> = (0..4).map(|_| rng.random_range(0..SYMBOLS)).collect();
        let favorite_mistake = (symbols[3] + rng.random_range(1..SYMBOLS)) % SYMBOLS;
        Self {
            symbols,
            favorite_mistake,
        }
    }

    fn right(&self) -> u32 {
        self.symbols[3]
    }

    /// An answer as a model might give it: right in three of ten cases, in four the favorite mistake.
    fn sample(&self, rng: &mut ChaCha8Rng) -> u32 {
        match rng.random_range(0..10) {
            0..3 => self.right(),
            3..7 => self.favorite_mistake,
            _ => rng.random_range(0..SYMBOLS),
        }
    }

    /// The prompt with answers as its leaves.
    fn tree(&self, answers: &[u32]) -> TokenTree {
        let mut tree = TokenTree::new([&self.symbols[..], &[ANSWER]].concat(), false);
        for &answer in answers {
            tree.push(0, vec![answer, END], true);
        }
        tree
    }
}

fn reward_model(rng: &mut ChaCha8Rng, settings: &TrainingConfig) -> Result<RewardModel> {
    let pairs = (0..TRAINED)
        .map(|index| {
            let prompt = Prompt::draw(rng);
            let wrong = (prompt.right() + rng.random_range(1..SYMBOLS)) % SYMBOLS;
            let tree = prompt.tree(&[prompt.right(), wrong]);
            let pair = vec![Group::pair(1, 2)];
            Ok(TrainingTree::new(format!("pair-{index}"), &tree, pair)?)
        })
        .collect::<Result<Vec<_>>>()?;
    let config = DecoderConfig::llama(SYMBOLS as usize + 2, 32, 2, 2);
    let body = Decoder::init(&config, 7, &Device::flex());
    let loss = RewardLossConfig::UltraInteract(UltraInteractRewardConfig::default());
    let trainer = RewardTrainer::new(settings.clone(), &loss)?;
    Ok(trainer.train(RewardModel::from_decoder(body), &pairs, &mut |_event| {})?)
}

#[allow(clippy::print_stdout, reason = "an example shows what it did")]
fn main() -> Result<()> {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let settings = TrainingConfig {
        learning_rate: 3e-3,
        epochs: 20,
        trees_per_step: 16,
        ..TrainingConfig::default()
    };
    let model = reward_model(&mut rng, &settings)?;

    let prompts: Vec<Prompt> = (0..UNSEEN).map(|_| Prompt::draw(&mut rng)).collect();
    let answers: Vec<Vec<u32>> = prompts
        .iter()
        .map(|prompt| (0..SAMPLES).map(|_| prompt.sample(&mut rng)).collect())
        .collect();
    let trees: Vec<TokenTree> = prompts
        .iter()
        .zip(&answers)
        .map(|(prompt, answers)| prompt.tree(answers))
        .collect();
    let rewards = leaf_rewards(&model, &trees, &settings)?;

    let mut candidates = Candidates::new([REWARD])?;
    for ((prompt, answers), rewards) in prompts.iter().zip(&answers).zip(&rewards) {
        let judged = answers
            .iter()
            .zip(rewards)
            .map(|(&answer, &reward)| Candidate {
                answer: Some(answer.to_string()),
                correct: answer == prompt.right(),
                scores: vec![f64::from(reward)],
            });
        candidates.add_problem(judged.collect())?;
    }
    let report = candidates.report()?;
    println!(
        "{}",
        terminal::render(&report.table("Choosing one of 8 answers"))
    );

    let accuracy = |method: Method| {
        let found = report.accuracy(&method).map(|it| it.mean);
        found.with_context(|| format!("the report has no {method}"))
    };
    let (by_reward, by_vote) = (
        accuracy(Method::best_of_n(REWARD))?,
        accuracy(Method::SelfConsistency)?,
    );
    ensure!(
        by_reward > by_vote,
        "the reward model chose no better than a vote: {by_reward} and {by_vote}"
    );
    Ok(())
}
