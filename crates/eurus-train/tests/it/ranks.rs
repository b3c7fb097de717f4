//! What several ranks promise: the run of one, shared out; and no rank that waits for one that is gone.

use std::path::Path;

use crate::common::{
    imitated, model, on_ranks, proportional_steps, same_but_for_rounding, trees, weights,
};
use eurus_models::RewardModel;
use eurus_train::{
    Error, Evaluation, Event, Judgement, PreferenceTrainer, Ranks, ReferenceCache, ReferenceKey,
    ReferenceLogProbs, RewardTrainer, SftTrainer, Snapshots, TrainingConfig,
};
use pref_losses::{
    DpoConfig, KtoConfig, NcaConfig, PreferenceLossConfig, RewardLossConfig,
    UltraInteractRewardConfig,
};
use token_forest::{TrainingTree, add_mismatched};

fn settings() -> TrainingConfig {
    proportional_steps(TrainingConfig {
        weight_decay: 0.01,
        trees_per_step: 5,
        token_budget: 64,
        epochs: 2,
        ..TrainingConfig::default()
    })
}

fn paired() -> Vec<TrainingTree> {
    let mut trees = trees(13);
    add_mismatched(&mut trees, 3).expect("several trees");
    trees
}

/// A run's events and the weights it ends with.
type Run = (Vec<Event>, Vec<f32>);

fn prefer(
    loss: &PreferenceLossConfig,
    settings: &TrainingConfig,
    snapshots: Option<Snapshots>,
    ranks: Ranks,
) -> eurus_train::Result<Run> {
    let (trees, policy) = (paired(), model(5));
    let mut events = Vec::new();
    let trainer = PreferenceTrainer::new(settings.clone(), loss)?
        .with_snapshots(snapshots)?
        .with_ranks(ranks);
    let reference = trainer.reference(&policy, &trees, None, &mut |_| {})?;
    let trained = trainer.train(policy, &trees, &reference, &mut |it| {
        events.push(it.clone());
    })?;
    Ok((events, weights(&trained)))
}

fn sft(ranks: Ranks) -> Run {
    let mut events = Vec::new();
    let trained = SftTrainer::new(settings())
        .expect("valid settings")
        .with_ranks(ranks)
        .train(model(5), &imitated(13), &mut |it| events.push(it.clone()))
        .expect("training");
    (events, weights(&trained))
}

fn reward(ranks: Ranks) -> Run {
    let loss = RewardLossConfig::UltraInteract(UltraInteractRewardConfig::default());
    let mut events = Vec::new();
    let trained = RewardTrainer::new(settings(), &loss)
        .expect("valid settings")
        .with_ranks(ranks)
        .train(RewardModel::from_decoder(model(5)), &paired(), &mut |it| {
            events.push(it.clone())
        })
        .expect("training");
    (events, weights(&trained))
}

/// Loss, gradient norm and tokens of every step, and what the objective reports besides.
fn numbers(events: &[Event]) -> Vec<Vec<f64>> {
    let step = |event: &Event| {
        let progress = event.progress()?;
        let mut numbers = vec![
            progress.loss,
            progress.grad_norm,
            progress.unique_tokens as f64,
            progress.naive_tokens as f64,
        ];
        if let Event::Sft { target_tokens, .. } = event {
            numbers.push(*target_tokens as f64);
        }
        if let Some(stats) = event.preferences() {
            numbers.extend([stats.groups as f64, stats.loss]);
            numbers.extend(stats.metrics().into_iter().map(|it| it.1));
        }
        Some(numbers)
    };
    events.iter().filter_map(step).collect()
}

fn assert_same_run(a: &Run, b: &Run, what: &str) {
    let (of_a, of_b) = (numbers(&a.0), numbers(&b.0));
    assert_eq!(of_a.len(), of_b.len(), "{what}");
    for (step, (a, b)) in of_a.iter().zip(&of_b).enumerate() {
        let same =
            a.len() == b.len() && a.iter().zip(b).all(|(&a, &b)| same_but_for_rounding(a, b));
        assert!(same, "{what}, step {step}:\n{a:?}\n{b:?}");
    }
    for (a, b) in a.1.iter().zip(&b.1) {
        assert!(
            same_but_for_rounding(f64::from(*a), f64::from(*b)),
            "{what}: weight {a} against {b}"
        );
    }
}

fn assert_shares_out(what: &str, run: impl Fn(Ranks) -> Run + Sync) {
    let alone = run(Ranks::default());
    assert!(numbers(&alone.0).len() > 3, "{what} took some steps");
    for size in [2, 4] {
        let runs = on_ranks(size, &run);
        for (rank, of_rank) in runs.iter().enumerate() {
            assert_same_run(&alone, of_rank, &format!("{what}, rank {rank} of {size}"));
            assert!(
                of_rank.1 == runs[0].1,
                "{what}: all ranks end with one model"
            );
            assert_eq!(
                numbers(&of_rank.0),
                numbers(&runs[0].0),
                "{what}: one report"
            );
        }
    }
}

#[test]
fn preference_learning_is_the_same_on_any_number_of_ranks() {
    for loss in [
        PreferenceLossConfig::Dpo(DpoConfig::default()),
        PreferenceLossConfig::Kto(KtoConfig {
            desirable_weight: 1.33,
            ..KtoConfig::default()
        }),
        PreferenceLossConfig::Nca(NcaConfig::default()),
    ] {
        assert_shares_out(loss.name(), |ranks| {
            prefer(&loss, &settings(), None, ranks).expect("training")
        });
    }
}

#[test]
fn imitation_and_reward_models_are_the_same_on_any_number_of_ranks() {
    assert_shares_out("sft", sft);
    assert_shares_out("reward", reward);
}

#[test]
fn a_rank_without_a_tree_in_a_step_takes_part_all_the_same() {
    let few = TrainingConfig {
        trees_per_step: 2,
        max_steps: Some(4),
        ..settings()
    };
    assert_shares_out("two trees a step", |ranks| {
        let loss = PreferenceLossConfig::Kto(KtoConfig::default());
        prefer(&loss, &few, None, ranks).expect("training")
    });
}

#[test]
fn a_run_goes_on_with_another_number_of_ranks() {
    let loss = PreferenceLossConfig::Dpo(DpoConfig::default());
    let go = |folder: &Path, ranks: Ranks| {
        let snapshots = Snapshots::new(folder)
            .with_every_steps(2)
            .with_resume(true)
            .with_keep(9);
        prefer(&loss, &settings(), Some(snapshots), ranks).expect("training")
    };
    let alone = prefer(&loss, &settings(), None, Ranks::default()).expect("training");
    for (before, after) in [(4, 1), (4, 2), (1, 3)] {
        let folder = tempfile::tempdir().expect("a folder");
        on_ranks(before, |ranks| go(folder.path(), ranks));
        // As a run that was lost after two steps leaves it.
        for entry in std::fs::read_dir(folder.path()).expect("a folder") {
            let path = entry.expect("an entry").path();
            if !path.ends_with("step-00000002") {
                std::fs::remove_dir_all(path).expect("removed");
            }
        }
        let runs = on_ranks(after, |ranks| go(folder.path(), ranks));
        for (events, weights) in runs {
            assert!(matches!(events[0], Event::Resumed { step: 2, .. }));
            let rest: Vec<Event> = alone.0[2..].to_vec();
            let what = format!("{before} ranks, then {after}");
            assert_same_run(&(rest, alone.1.clone()), &(events, weights), &what);
        }
    }
}

#[test]
fn the_first_rank_alone_keeps_the_reference_file() {
    let (trees, policy) = (paired(), model(5));
    let alone = ReferenceLogProbs::compute(&policy, &trees, &settings(), &mut |_| {});
    let alone = alone.expect("a reference");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("reference.jsonl");
    let compute = |ranks: Ranks| {
        let cache = ReferenceCache::new(&path, ReferenceKey::new(&policy, "words"));
        let dpo = PreferenceLossConfig::Dpo(DpoConfig::default());
        let trainer = PreferenceTrainer::new(settings(), &dpo).expect("valid settings");
        let mut done = Vec::new();
        let reference =
            trainer
                .with_ranks(ranks)
                .reference(&policy, &trees, Some(&cache), &mut |event| {
                    done.push(event.clone())
                });
        (reference.expect("a reference"), done)
    };
    let first = on_ranks(3, compute);
    let size = std::fs::metadata(&path).expect("the file").len();
    let again = on_ranks(2, compute);
    assert_eq!(std::fs::metadata(&path).expect("the file").len(), size);
    for (reference, done) in first.iter().chain(&again) {
        assert_eq!(reference, &first[0].0, "all ranks have the same numbers");
        let all = Event::Reference {
            done: 26,
            pairs: 26,
        };
        assert_eq!(done.last(), Some(&all));
    }
    let dpo = PreferenceLossConfig::Dpo(DpoConfig::default());
    let trainer = PreferenceTrainer::new(settings(), &dpo).expect("valid settings");
    let loss = |of: &ReferenceLogProbs| trainer.evaluate(&policy, &trees, of).expect("a loss").loss;
    assert!((loss(&alone) - loss(&first[0].0)).abs() < 1e-6);
}

#[test]
fn ranks_that_would_train_something_else_are_told_apart() {
    let results = on_ranks(3, |ranks| {
        let seed = u64::from(ranks.rank() == 2);
        let other = TrainingConfig { seed, ..settings() };
        let loss = PreferenceLossConfig::Dpo(DpoConfig::default());
        prefer(&loss, &other, None, ranks)
    });
    for result in results {
        let error = result.expect_err("rank 2 has another seed");
        assert!(
            matches!(&error, Error::RanksDiffer { rank: 2, .. }),
            "{error}"
        );
        assert!(error.to_string().contains("seed was 0 and is 1"), "{error}");
    }
}

#[test]
fn a_failure_of_one_rank_is_heard_by_all() {
    let results = on_ranks(3, |ranks| {
        let first = ranks.is_first();
        let mut judged = 0;
        let mut judge = |_: &_| {
            assert!(first, "the first rank alone judges");
            judged += 1;
            match judged {
                // Before the first step; later ones cost a judgement, not the run.
                1 => Err(Error::Evaluation("the judge is tired".into())),
                _ => Ok(Judgement::by_score("score", 1.0)),
            }
        };
        let mut evaluation = Evaluation {
            every_steps: 1,
            keep_best: true,
            patience: None,
            judge: &mut judge,
        };
        SftTrainer::new(settings())
            .expect("valid settings")
            .with_ranks(ranks)
            .train_evaluated(model(5), &imitated(13), Some(&mut evaluation), &mut |_| {})
            .map(drop)
    });
    assert!(matches!(&results[0], Err(Error::Evaluation(_))));
    for result in &results[1..] {
        let Err(Error::OtherRank { rank: 0, problem }) = result else {
            panic!("{result:?} should name rank 0");
        };
        assert!(problem.contains("the judge is tired"), "{problem}");
    }
}

#[test]
fn no_rank_waits_for_one_that_is_gone() {
    let results = on_ranks(3, |ranks| {
        if ranks.rank() == 1 {
            return Ok(());
        }
        let loss = PreferenceLossConfig::Dpo(DpoConfig::default());
        prefer(&loss, &settings(), None, ranks).map(drop)
    });
    for rank in [0, 2] {
        assert!(matches!(results[rank], Err(Error::LostRank { .. })));
    }
}
