//! Trees of some kinds of problems, and what the policy then solves of others: of kinds that it was fine-tuned on and has no
//! trees of, and of kinds that it has never met, of calendar and time and of order and position.
//!
//! The kinds are dealt into two halves. One policy learns from trees of the one, one from trees of the other, and one from
//! as many trees of all kinds; the first two are judged together, so that neither half's difficulty counts.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use clap::Parser;
use eurus_examples::experiment::{self, StartOptions, Unit, solved};
use eurus_examples::preference;
use eurus_examples::problems::problems_of;
use eurus_memory::{TrainingAllocator, keep_freed_memory};
use eurus_models::Decoder;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use token_forest::TrainingTree;
use ultrainteract_synth::Problem;
use ultrainteract_synth::word_problems::{self, Kinds};

#[global_allocator]
static ALLOCATOR: TrainingAllocator = TrainingAllocator;

/// Trees of some kinds of problems, judged on those, on others, and on kinds never met.
#[derive(Parser, Debug)]
#[command(
    name = "cross_domain",
    after_help = "Examples:\n  cargo run --release --example cross_domain\n  \
                  cargo run --release --example cross_domain -- --algorithm KTO --seeds 5"
)]
struct Arguments {
    #[command(flatten)]
    options: StartOptions,

    /// How the policies learn.
    #[arg(long, default_value = "NCA", value_parser = preference::NAMES)]
    algorithm: String,
}

/// The columns: kinds with trees, kinds without, kinds never met.
const COLUMNS: [&str; 3] = ["Kinds with trees", "Kinds without trees", "Kinds never met"];

/// What a policy solves of each half of the kinds, and of kinds never met.
struct Judged {
    left: f64,
    right: f64,
    never_met: f64,
}

impl Judged {
    /// By column, for a policy that knows both halves equally.
    fn row(&self) -> [f64; 3] {
        let known = f64::midpoint(self.left, self.right);
        [known, known, self.never_met]
    }
}

fn main() -> Result<()> {
    keep_freed_memory();
    let arguments = Arguments::parse();
    experiment::run(
        "cross_domain",
        &arguments.options,
        &format!(
            "{} from trees of half of the kinds of problems: greedy pass@1.",
            arguments.algorithm
        ),
        "Half of the kinds: mean of two policies, one for each half, so SFT's first two columns are the same. All kinds: as many \
         trees as a half has on average, drawn from all. Never met: in neither fine-tuning nor trees. Gains are over SFT.",
        |start, environment, measures| {
            let (name, loss) = preference::algorithm(&arguments.algorithm)?;
            let settings = preference::settings(start.seed, &start.scale);
            let kinds: BTreeSet<&String> = start.kinds.values().collect();
            let mut kinds: Vec<String> = kinds.into_iter().cloned().collect();
            ensure!(
                kinds.len() > 1,
                "all problems are of one kind; the records of --problems have no type"
            );
            let mut rng = ChaCha8Rng::seed_from_u64(start.seed);
            kinds.shuffle(&mut rng);
            let second: BTreeSet<String> = kinds.split_off(kinds.len() / 2).into_iter().collect();
            let in_second = |id: &str| second.contains(&start.kinds[id]);

            // A tree has the id of its problem.
            let (right, left): (Vec<TrainingTree>, Vec<TrainingTree>) = start
                .paired
                .iter()
                .cloned()
                .partition(|tree| in_second(tree.id()));
            let mut mixed = start.paired.clone();
            mixed.shuffle(&mut rng);
            mixed.truncate(usize::midpoint(left.len(), right.len()));
            let (unseen_right, unseen_left): (Vec<Problem>, Vec<Problem>) = start
                .unseen
                .iter()
                .cloned()
                .partition(|problem| in_second(&problem.id));
            ensure!(
                !unseen_left.is_empty() && !unseen_right.is_empty(),
                "one half of the kinds has no unseen problems; take more --unseen-problems"
            );
            let never_met = match arguments.options.is_miniature() {
                true => {
                    let options = word_problems::Options {
                        kinds: Kinds::CalendarAndOrder,
                        ..start.scale.word_problems()
                    };
                    let count = start.unseen.len();
                    let mut new = word_problems::generate(start.seed, 2 * count, &options)?;
                    let development = new.split_off(count);
                    problems_of(match arguments.options.is_development() {
                        true => &development,
                        false => &new,
                    })
                }
                false => Vec::new(),
            };

            let mut policies = Vec::new();
            for (trees, of) in [
                (&left, "one half"),
                (&right, "the other half"),
                (&mixed, "all kinds"),
            ] {
                let stage = format!("{name}, {of}");
                let run = preference::learn_from(start, &stage, &loss, &settings, trees)?;
                policies.push(run.model);
            }
            let judge = |policy: &Decoder| -> Result<Judged> {
                let pass = |problems: &[Problem]| solved(start, policy, problems, environment);
                Ok(Judged {
                    left: pass(&unseen_left)?,
                    right: pass(&unseen_right)?,
                    never_met: pass(&never_met)?,
                })
            };
            let sft = judge(&start.policy)?;
            let (of_left, of_right) = (judge(&policies[0])?, judge(&policies[1])?);
            let of_all = judge(&policies[2])?;
            let mean = f64::midpoint;
            let rows = [
                ("SFT".to_owned(), sft.row()),
                (
                    format!("{name}, trees of half of the kinds"),
                    [
                        mean(of_left.left, of_right.right),
                        mean(of_left.right, of_right.left),
                        mean(of_left.never_met, of_right.never_met),
                    ],
                ),
                (format!("{name}, trees of all kinds"), of_all.row()),
            ];
            let judged_on = if never_met.is_empty() { 2 } else { 3 };
            for (row, values) in &rows {
                let gains = values.iter().zip(sft.row()).map(|(value, sft)| value - sft);
                for ((column, value), gain) in
                    COLUMNS.into_iter().zip(values).zip(gains).take(judged_on)
                {
                    measures.add(row, column, Unit::Share, *value);
                    if row != "SFT" {
                        measures.add(
                            row,
                            &format!("gain, {}", column.to_lowercase()),
                            Unit::Points,
                            gain,
                        );
                    }
                }
            }
            Ok(())
        },
    )
}
