//! A run that unlearns its chosen responses says so.

use crate::common::{model, trees};
use eurus_train::{Error, Event, PreferenceTrainer, ReferenceLogProbs, TrainingConfig};
use pref_losses::collapse::{CollapseKind, CollapseMonitorConfig, CollapseWarning};
use pref_losses::{DpoConfig, PreferenceLossConfig};

const ABSURD: f64 = 0.3;
const CALM: f64 = 1e-3;

fn dpo() -> PreferenceLossConfig {
    PreferenceLossConfig::Dpo(DpoConfig {
        beta: 0.1,
        ..DpoConfig::default()
    })
}

fn settings(learning_rate: f64) -> TrainingConfig {
    TrainingConfig {
        learning_rate,
        trees_per_step: 3,
        epochs: 24,
        ..TrainingConfig::default()
    }
}

/// The events of 48 steps, without what a clock measured.
fn run(learning_rate: f64, monitor: Option<&CollapseMonitorConfig>) -> Vec<Event> {
    let (policy, trees, settings) = (model(5), trees(6), settings(learning_rate));
    let reference =
        ReferenceLogProbs::compute(&policy, &trees, &settings, &mut |_| {}).expect("a reference");
    let trainer = PreferenceTrainer::new(settings, &dpo())
        .and_then(|trainer| trainer.with_collapse_monitor(monitor))
        .expect("valid settings");
    let mut events = Vec::new();
    trainer
        .train(policy, &trees, &reference, &mut |event| {
            let mut event = event.clone();
            if let Event::Preference { progress, .. } = &mut event {
                progress.seconds = 0.0;
            }
            events.push(event);
        })
        .expect("training");
    events
}

fn warnings(events: &[Event]) -> Vec<(usize, CollapseWarning)> {
    let warning = |event: &Event| match event {
        Event::Collapse { step, warning } => Some((*step, *warning)),
        _ => None,
    };
    events.iter().filter_map(warning).collect()
}

#[test]
fn a_run_at_an_absurd_learning_rate_is_reported_right_after_the_step() {
    let events = run(ABSURD, Some(&CollapseMonitorConfig::default()));
    let found = warnings(&events);
    let (step, first) = found.first().expect("chosen rewards fall by ten");
    assert_eq!((*step, first.step()), (32, 32), "one window is enough");
    assert_eq!(first.kind(), CollapseKind::ChosenRewardFalling);
    assert!(
        first
            .trend()
            .is_some_and(|trend| trend.current < trend.start - 1.0)
    );
    let kinds: Vec<CollapseKind> = found.iter().map(|(_, warning)| warning.kind()).collect();
    for (index, kind) in kinds.iter().enumerate() {
        assert!(!kinds[..index].contains(kind), "{kind:?} is reported twice");
    }

    let place = events
        .iter()
        .position(|event| matches!(event, Event::Collapse { .. }))
        .expect("there is one");
    let before = events[place - 1].progress().map(|progress| progress.step);
    assert_eq!((before, events[place].progress()), (Some(32), None));
    let line = serde_json::to_value(&events[place]).expect("events are JSON");
    assert_eq!(line["event"], "collapse");
    assert_eq!(line["step"], 32);
    assert_eq!(line["warning"]["kind"], "chosen_reward_falling");
    let read: Event = serde_json::from_value(line).expect("what was written");
    assert_eq!(read, events[place]);
}

#[test]
fn a_calm_run_is_not_reported() {
    let events = run(CALM, Some(&CollapseMonitorConfig::default()));
    assert_eq!((events.len(), warnings(&events)), (48, Vec::new()));
}

#[test]
fn the_monitor_is_on_can_be_set_and_switched_off_and_changes_nothing_else() {
    let default = {
        let trainer = PreferenceTrainer::new(settings(ABSURD), &dpo()).expect("valid settings");
        let (policy, trees, mut count) = (model(5), trees(6), 0);
        let reference = ReferenceLogProbs::compute(&policy, &trees, &settings(ABSURD), &mut |_| {})
            .expect("a reference");
        // A trainer can run twice: each run is watched from its own start.
        for _ in 0..2 {
            trainer
                .train(policy.clone(), &trees, &reference, &mut |event| {
                    count += usize::from(matches!(event, Event::Collapse { .. }));
                })
                .expect("training");
        }
        count
    };
    let watched = run(ABSURD, Some(&CollapseMonitorConfig::default()));
    assert_eq!(default, 2 * warnings(&watched).len());

    let early = run(
        ABSURD,
        Some(&CollapseMonitorConfig {
            window: 8,
            ..CollapseMonitorConfig::default()
        }),
    );
    assert!(warnings(&early)[0].0 < 32);
    let unwatched = run(ABSURD, None);
    assert!(warnings(&unwatched).is_empty());
    let steps = |events: Vec<Event>| {
        let is_step = |event: &Event| event.progress().is_some();
        events.into_iter().filter(is_step).collect::<Vec<_>>()
    };
    assert_eq!(steps(watched), unwatched);

    let wrong = PreferenceTrainer::new(settings(CALM), &dpo())
        .expect("valid settings")
        .with_collapse_monitor(Some(&CollapseMonitorConfig {
            window: 2,
            ..CollapseMonitorConfig::default()
        }));
    assert!(matches!(
        wrong,
        Err(Error::Loss(pref_losses::Error::InvalidMonitor {
            field: "window",
            ..
        }))
    ));
}
