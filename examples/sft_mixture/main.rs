//! Fine-tuning on worked solutions alone, on general instructions alone, and on both (arXiv 2404.02078, section 2 and the
//! ablation of the SFT data): what is solved of word problems, and how many instructions are followed.

#![allow(clippy::print_stdout, reason = "a program talks to its user")]

mod instructions;

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use burn::tensor::Device;
use clap::{Args, Parser};
use eurus_examples::experiment::{self, Measures, Options, Unit};
use eurus_examples::policy::{self, Draws, fine_tune};
use eurus_examples::problems::{self, ASK, problems_of};
use eurus_examples::run_folder::RunFolder;
use eurus_examples::start::{RunOptions, at_least_one};
use eurus_examples::{Scale, corpus};
use eurus_memory::{TrainingAllocator, keep_freed_memory};
use eurus_models::{Checkpoint, Decoder};
use eurus_train::{SftTrainer, TrainingConfig};
use rand::SeedableRng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;
use token_forest::rows::{self, RowOptions};
use token_forest::{ChatTokenizer, LabelKind, TrainingTree};
use ultrainteract::decontaminate::Decontaminator;
use ultrainteract_synth::word_problems::Kinds;
use ultrainteract_synth::{Problem, PythonEnvironment};

use instructions::Instruction;

#[global_allocator]
static ALLOCATOR: TrainingAllocator = TrainingAllocator;

/// Fine-tuning on worked solutions, on general instructions, and on both.
#[derive(Parser, Debug)]
#[command(
    name = "sft_mixture",
    after_help = "Examples:\n  cargo run --release --example sft_mixture\n  \
                  cargo run --release --example sft_mixture -- --seeds 5\n  \
                  cargo run --release --example sft_mixture -- --model DIR --reasoning sft.jsonl --general sharegpt.jsonl --problems svamp.json"
)]
struct Arguments {
    #[command(flatten)]
    options: Options,

    #[command(flatten)]
    own: Own,
}

/// A checkpoint and data of one's own, in place of the miniature's.
#[derive(Args, Debug)]
struct Own {
    /// A checkpoint to fine-tune: a folder as Hugging Face has it, with a tokenizer that has a chat template.
    #[arg(long, requires_all = ["reasoning", "general", "problems"], conflicts_with_all = ["quick", "development"])]
    model: Option<PathBuf>,

    /// Solutions to fine-tune on, in any format that `eurus data` reads.
    #[arg(long, requires = "model")]
    reasoning: Vec<PathBuf>,

    /// General data, in any such format; every tenth row is kept apart to judge by.
    #[arg(long, requires = "model")]
    general: Vec<PathBuf>,

    /// Problems to solve: JSONL or a JSON array, with the fields of GSM8K, GSM-Plus, SVAMP or MATH.
    #[arg(long, requires = "model")]
    problems: Option<PathBuf>,

    /// What follows each of their questions, or a text with `{question}` in it.
    #[arg(long, requires = "model", default_value = ASK)]
    ask: String,

    /// Longest answer, in tokens.
    #[arg(long, requires = "model", default_value_t = 192, value_parser = at_least_one())]
    max_tokens: usize,

    /// Learning rate of the fine-tuning.
    #[arg(long, requires = "model", default_value_t = 1e-5)]
    learning_rate: f64,
}

/// What is fine-tuned, on what, and what it is judged by.
struct Mixture {
    scale: Scale,
    tokenizer: ChatTokenizer,
    before: Decoder,
    reasoning: Vec<TrainingTree>,
    general: Vec<TrainingTree>,
    unseen: Vec<Problem>,
    unseen_general: Vec<TrainingTree>,
    /// Those of them whose answers can be checked.
    instructions: Vec<Instruction>,
}

fn main() -> Result<()> {
    keep_freed_memory();
    let arguments = Arguments::parse();
    experiment::for_every_seed(
        "sft_mixture",
        &arguments.options,
        "Fine-tuning on worked solutions, on general instructions, and on both.",
        "Greedy answers to problems and instructions that nothing was trained on; the loss is that of a token of the general \
         data. Half of each: a random half of both. Each from the same weights, with the same number of passes.",
        |seed, mut folder, environment, measures| {
            let mixture = match &arguments.own.model {
                Some(model) => arguments.own.mixture(model)?,
                None => miniature(seed, &arguments.options.run, environment, &folder)?,
            };
            let Mixture {
                scale,
                reasoning,
                general,
                ..
            } = &mixture;
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let mut half_of = |examples: &[TrainingTree]| -> Vec<TrainingTree> {
                // In random order: kinds take turns in both sets.
                examples
                    .sample(&mut rng, examples.len() / 2)
                    .cloned()
                    .collect()
            };
            let half = [half_of(reasoning), half_of(general)].concat();
            for (row, examples) in [
                ("Worked solutions alone", reasoning.clone()),
                ("General instructions alone", general.clone()),
                ("Half of each", half),
                ("Both", [&reasoning[..], &general[..]].concat()),
            ] {
                let model = fine_tune(
                    row,
                    seed,
                    scale,
                    mixture.before.clone(),
                    &examples,
                    &mut folder,
                )?;
                measures.add(row, "Examples", Unit::Count, examples.len() as f64);
                judge(row, &model, &mixture, environment, measures)?;
            }
            Ok(folder)
        },
    )
}

fn judge(
    row: &str,
    model: &Decoder,
    mixture: &Mixture,
    environment: &PythonEnvironment,
    measures: &mut Measures,
) -> Result<()> {
    let Mixture {
        tokenizer,
        unseen,
        instructions,
        ..
    } = mixture;
    let solved = policy::solved(model, tokenizer, unseen, &mixture.scale, environment)?;
    measures.add(row, "Word problems solved", Unit::Share, solved);
    if !instructions.is_empty() {
        let draws = Draws::greedy(&mixture.scale);
        let followed = followed(model, tokenizer, instructions, &draws)?;
        measures.add(row, "Instructions followed", Unit::Share, followed);
        measures.add(
            row,
            "Mean of both",
            Unit::Share,
            f64::midpoint(solved, followed),
        );
    }
    let loss =
        SftTrainer::new(TrainingConfig::default())?.evaluate(model, &mixture.unseen_general)?;
    measures.add(row, "Loss, general", Unit::Number, loss);
    Ok(())
}

/// Word problems, about as many instructions. Four models are fine-tuned, so each is smaller than the quickstart's and its
/// problems are easier.
fn miniature(
    seed: u64,
    run: &RunOptions,
    environment: &PythonEnvironment,
    folder: &RunFolder,
) -> Result<Mixture> {
    let scale = Scale {
        training_problems: if run.quick { 1000 } else { 3000 },
        tree_problems: 0,
        // With all kinds of problems, as in the quickstart's full form.
        kinds: Kinds::Usual,
        held_out_problems: run.scale().held_out_problems,
        ..Scale::quick()
    };
    let wanted = scale.training_problems;
    let mut general = instructions::draw(seed, wanted + 2 * scale.held_out_problems)?;
    let mut development = general.split_off(wanted);
    let held_out = development.split_off(scale.held_out_problems);
    let instructions = if run.development {
        development
    } else {
        held_out
    };
    let texts: Vec<&str> = general
        .iter()
        .flat_map(|it| [&*it.text, &*it.response])
        .collect();
    let corpus = corpus::make_with(seed, &scale, &texts, environment, folder)?;
    let tokenizer = corpus.tokenizer.clone();
    let examples = |instructions: &[Instruction]| -> Result<Vec<TrainingTree>> {
        instructions
            .iter()
            .map(|it| it.example(&tokenizer))
            .collect()
    };
    let config = policy::config(&scale, &tokenizer);
    Ok(Mixture {
        before: Decoder::init(&config, seed, &Device::flex()),
        unseen: problems_of(run.unseen_of(&corpus)),
        general: examples(&general)?,
        unseen_general: examples(&instructions)?,
        reasoning: corpus.sft,
        instructions,
        tokenizer,
        scale,
    })
}

impl Own {
    fn mixture(&self, model: &Path) -> Result<Mixture> {
        let tokenizer = ChatTokenizer::from_folder(model)?;
        let problems = self.problems.as_deref();
        let problems = problems
            .map(|file| problems::read(file, &self.ask))
            .transpose()?;
        let unseen = problems.unwrap_or_default();
        let questions = unseen.iter().map(|it| &it.question);
        let index = Decontaminator::new(questions, Decontaminator::DEFAULT_N)?;
        let options = RowOptions::new(LabelKind::Imitated);
        let read = |what: &str, files: &[PathBuf]| -> Result<Vec<TrainingTree>> {
            let all = rows::read(files, &tokenizer, &options)?.trees;
            let mut kept = Vec::with_capacity(all.len());
            let count = all.len();
            for tree in all {
                let texts = tree.tree().nodes.iter();
                let texts = texts.map(|node| tokenizer.decode(&node.tokens));
                let texts = texts.collect::<Result<Vec<_>, _>>()?;
                if texts.iter().all(|text| index.find(text).is_none()) {
                    kept.push(tree);
                }
            }
            println!(
                "{what:>18}  {count} conversations, {} left out, which share eight words in a row with a problem",
                count - kept.len()
            );
            Ok(kept)
        };
        let reasoning = read("Reasoning", &self.reasoning)?;
        let (mut training, mut unseen_general) = (Vec::new(), Vec::new());
        for (index, tree) in read("General", &self.general)?.into_iter().enumerate() {
            match index % 10 {
                9 => unseen_general.push(tree),
                _ => training.push(tree),
            }
        }
        ensure!(
            !unseen_general.is_empty(),
            "--general has fewer than ten conversations"
        );
        ensure!(!reasoning.is_empty(), "--reasoning has nothing left");
        let (before, _) = Checkpoint::new(model).decoder(&Device::flex())?;
        Ok(Mixture {
            scale: Scale {
                sft_epochs: 1,
                sft_learning_rate: self.learning_rate,
                max_action_tokens: self.max_tokens,
                ..Scale::of_checkpoint()
            },
            before,
            reasoning,
            general: training,
            unseen: unseen.into_iter().map(|it| it.problem).collect(),
            unseen_general,
            instructions: Vec::new(),
            tokenizer,
        })
    }
}

impl Instruction {
    fn example(&self, tokenizer: &ChatTokenizer) -> Result<TrainingTree> {
        policy::imitated(&self.text, &self.text, &self.response, tokenizer)
    }
}

/// Share of the instructions that greedy answers follow.
fn followed(
    model: &Decoder,
    tokenizer: &ChatTokenizer,
    instructions: &[Instruction],
    draws: &Draws,
) -> Result<f64> {
    let texts: Vec<&str> = instructions.iter().map(|it| &*it.text).collect();
    let answers = policy::write(model, tokenizer, &texts, draws)?;
    let followed = instructions
        .iter()
        .zip(answers.iter().flatten())
        .filter(|(instruction, answer)| instruction.is_followed_by(answer));
    Ok(followed.count() as f64 / instructions.len().max(1) as f64)
}
