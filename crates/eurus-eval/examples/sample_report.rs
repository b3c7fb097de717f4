//! Writes a report with every kind of part, from made-up numbers and one hand-written tree:
//! `cargo run -p eurus-eval --example sample_report -- sample.html`. Takes no time; open the file
//! in a browser.

use eurus_eval::metrics::Proportion;
use eurus_eval::report::{Figure, Report, RewardPoint};
use eurus_eval::reranking::{Candidate, Candidates};
use eurus_eval::reward_model::{PairLengths, comparison_table, evaluate_rewards};
use eurus_eval::{Table, terminal};
use ultrainteract::{Action, ActionSource, Observation, PreferenceTree, Schema, Task, Verdict};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

#[expect(clippy::print_stdout, reason = "an example shows what it made")]
fn main() -> Outcome<()> {
    let path = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "sample_report.html".to_owned());

    let accuracy = accuracy_table()?;
    let reranking = reranking_table()?;
    let mut report = Report::new("Preference trees in miniature");
    report
        .paragraph(
            "Every number on this page is made up, to show what a report looks like. A small language model \
             is fine-tuned on correct solutions, learns preferences from its own trees, and is judged on \
             problems that it has never seen.",
        )
        .section("Preference learning")
        .paragraph(
            "DPO may lower the reward of chosen actions as long as rejected ones fall faster; KTO and NCA \
             push chosen rewards up. For reasoning this matters: a correct solution is one of few.",
        )
        .figure(
            Figure::reward_trajectories(
                "Implicit rewards of chosen and rejected actions and their margin in training.",
                [
                    ("DPO", trajectory(-1.1, -2.6)),
                    ("KTO", trajectory(0.7, -1.2)),
                    ("NCA", trajectory(0.3, -0.8)),
                ],
            )
            .smooth(3),
        )
        .table(accuracy.clone())
        .section("Reward model and reranking")
        .table(reward_model_table()?)
        .table(reranking)
        .section("Trees")
        .paragraph("Two turns of one problem: the incorrect action is expanded, the correct one ends its trajectory.")
        .tree(&tree()?);
    report.write(&path)?;

    println!("{}\n", terminal::render(&accuracy));
    println!("Wrote {path}");
    Ok(())
}

/// Rewards that drift from zero to an end, with the noise of small batches.
fn trajectory(chosen: f64, rejected: f64) -> Vec<RewardPoint> {
    let noise =
        |step: usize, salt: f64| ((step as f64 * 12.9898 + salt).sin() * 43_758.5).fract() * 0.12;
    let reach = |step: usize| 1.0 - (-(step as f64) / 30.0).exp();
    (0..=120)
        .map(|step| RewardPoint {
            step,
            chosen: chosen * reach(step) + noise(step, 1.0) * reach(step),
            rejected: rejected * reach(step) + noise(step, 2.0) * reach(step),
        })
        .collect()
}

fn accuracy_table() -> Outcome<Table> {
    let mut table = Table::new("Greedy pass@1 on 200 held-out problems.")
        .headers(["Model", "Solved", "pass@1"]);
    for (model, solved) in [("SFT", 83), ("DPO", 86), ("KTO", 104), ("NCA", 101)] {
        let outcomes: Vec<bool> = (0..200).map(|problem| problem < solved).collect();
        let accuracy = Proportion::from_bools(&outcomes)?;
        table = table.row([model.to_owned(), solved.to_string(), accuracy.to_string()]);
    }
    Ok(table.note("± is the standard error over problems."))
}

fn reward_model_table() -> Outcome<Table> {
    let spread = |index: usize, centre: f64| centre + ((index * 37) % 100) as f64 / 50.0 - 1.0;
    let lengths: Vec<PairLengths> = (0..100)
        .map(|index| PairLengths {
            chosen: 60 + index % 9,
            rejected: 58 + index % 13,
        })
        .collect();
    let judge = |chosen: f64, rejected: f64| {
        let chosen: Vec<f64> = (0..100).map(|index| spread(index, chosen)).collect();
        let rejected: Vec<f64> = (0..100)
            .map(|index| spread(index * 7 + 3, rejected))
            .collect();
        evaluate_rewards(&chosen, &rejected, Some(&lengths))
    };
    let (ranked, direct) = (judge(1.9, 1.0)?, judge(0.9, -0.8)?);
    Ok(comparison_table(
        "Reward models on 100 held-out pairs.",
        [("BT", &ranked), ("BT + LDR", &direct)],
    ))
}

fn reranking_table() -> Outcome<Table> {
    let mut candidates = Candidates::new(["BT", "BT + LDR"])?;
    for problem in 0..200usize {
        let sample = |index: usize| {
            let correct = (problem * 31 + index * 17) % 11 < 4 + problem % 3;
            let score = |quality: usize| {
                f64::from(u8::from(correct)) + ((problem + index * quality) % 13) as f64 / 9.0
            };
            Candidate {
                answer: Some(if correct {
                    "42".to_owned()
                } else {
                    (index % 5).to_string()
                }),
                correct,
                scores: vec![score(5), score(7) * 0.8],
            }
        };
        candidates.add_problem((0..8).map(sample).collect())?;
    }
    Ok(candidates.report()?.table("Choosing one of eight samples."))
}

fn tree() -> Outcome<PreferenceTree> {
    let action = |text: &str, verdict, source, schema| Action {
        text: text.to_owned(),
        verdict,
        actor: if source == ActionSource::GroundTruth {
            "annotation"
        } else {
            "sft-2m"
        }
        .to_owned(),
        schema,
        source,
    };
    use ActionSource::{GroundTruth, Sampled};
    use Schema::{ChainOfThought, ModularProgramming};

    let mut tree = PreferenceTree::new(
        "bakery-17",
        Task::MathPot,
        "word-problems",
        "A bakery bakes 24 trays of 15 rolls. It sells 20% of the rolls before noon and packs the rest in bags of 6. How many bags does it need?",
    )?
    .with_ground_truth("48");
    let right = tree.add_action(
        tree.root(),
        action(
            "Step 1: Count the rolls.\nStep 2: Take away the 20% that were sold.\nStep 3: Divide by 6.\n```python\n# Step 1: rolls baked\nrolls = 24 * 15\n# Step 2: rolls left after noon\nleft = rolls * 80 // 100\n# Step 3: bags\nprint(left // 6)\n```",
            Verdict::Correct,
            Sampled,
            ModularProgramming,
        ),
    )?;
    let wrong = tree.add_action(
        tree.root(),
        action(
            "Step 1: Count the rolls.\nStep 2: Take the 20% that were sold.\n```python\n# Step 1: rolls baked\nrolls = 24 * 15\n# Step 2: rolls sold\nprint(rolls * 20 // 100 // 6)\n```",
            Verdict::Incorrect,
            Sampled,
            ModularProgramming,
        ),
    )?;
    tree.add_pair(right, wrong)?;
    let seen = tree.add_observation(
        wrong,
        Observation {
            execution: Some("12".to_owned()),
            feedback: "Your answer is wrong.".to_owned(),
            critique: Some("Step 2 keeps the rolls that were sold. The bags hold the rolls that are left: 100% - 20% of them.".to_owned()),
        },
    )?;
    let rationale = tree.add_action(
        seen,
        action(
            "Step 1: The bakery bakes 24 * 15 = 360 rolls.\nStep 2: 80% of 360 is 288.\nStep 3: 288 / 6 = 48 bags.\nAnswer: 48",
            Verdict::Correct,
            GroundTruth,
            ChainOfThought,
        ),
    )?;
    let again = tree.add_action(
        seen,
        action(
            "Step 1: 360 rolls.\nStep 2: 80% of 360 is 280.\nStep 3: 280 / 6 is about 47.\nAnswer: 47",
            Verdict::Incorrect,
            Sampled,
            ChainOfThought,
        ),
    )?;
    tree.add_pair(rationale, again)?;
    Ok(tree)
}
