//! The collapse monitor on trends that are known.

use pref_losses::collapse::{
    CollapseKind, CollapseMonitor, CollapseMonitorConfig, CollapseWarning, Statistic,
};
use pref_losses::{Error, PreferenceStats};
use proptest::prelude::*;

/// A step of a healthy run, with this chosen reward.
fn stats(chosen_reward: f64) -> PreferenceStats {
    PreferenceStats {
        groups: 8,
        chosen: 8,
        rejected: 8,
        loss: 0.5,
        chosen_reward,
        rejected_reward: chosen_reward - 1.0,
        margin: 1.0,
        accuracy: Some(0.7),
        chosen_log_prob: Some(-40.0),
        rejected_log_prob: Some(-45.0),
        kl: Some(0.1),
    }
}

fn monitor() -> CollapseMonitor {
    CollapseMonitorConfig::default()
        .init()
        .expect("defaults are valid")
}

/// All warnings over a run of steps 0, 1, ...
fn watch(
    monitor: &mut CollapseMonitor,
    run: impl IntoIterator<Item = PreferenceStats>,
) -> Vec<CollapseWarning> {
    run.into_iter()
        .enumerate()
        .filter_map(|(step, stats)| monitor.observe(step, &stats))
        .collect()
}

fn kinds(warnings: &[CollapseWarning]) -> Vec<CollapseKind> {
    warnings.iter().map(CollapseWarning::kind).collect()
}

proptest! {
    #[test]
    fn rising_chosen_rewards_are_never_reported(
        rises in prop::collection::vec(0.0f64..1.0, 1..300),
        start in -100.0f64..100.0,
        window in 3usize..60,
        confidence in 0.0f64..4.0,
    ) {
        let config = CollapseMonitorConfig { window, confidence, ..CollapseMonitorConfig::default() };
        let mut level = start;
        let run = rises.iter().map(|rise| {
            level += rise;
            PreferenceStats { chosen_log_prob: Some(level), ..stats(level) }
        });
        let warnings = watch(&mut config.init().unwrap(), run);
        prop_assert_eq!(warnings, vec![]);
    }

    #[test]
    fn a_linear_fall_is_reported_as_soon_as_it_is_deep_enough(
        fall in 0.5f64..20.0,
        slope in 2e-3f64..2.0,
        start in -100.0f64..100.0,
        window in 3usize..60,
    ) {
        let config = CollapseMonitorConfig {
            window,
            chosen_reward_fall: fall,
            chosen_reward_slope: 1e-3,
            ..CollapseMonitorConfig::default()
        };
        let due = ((fall / slope).floor() as usize + 1).max(window - 1);
        let run = (0..due + 3).map(|step| stats(start - slope * step as f64));
        let warnings = watch(&mut config.init().unwrap(), run);
        prop_assert_eq!(kinds(&warnings), vec![CollapseKind::ChosenRewardFalling]);
        let trend = warnings[0].trend().unwrap();
        // A fall by exactly the limit may round to either side.
        prop_assert!(trend.last_step.abs_diff(due) <= 1);
        prop_assert_eq!(trend.first_step + window - 1, trend.last_step);
        prop_assert!((trend.slope + slope).abs() <= 1e-9 * (1.0 + start.abs()));
        prop_assert!((trend.start - start).abs() <= 1e-9 * (1.0 + start.abs()));
        let level = start - slope * trend.last_step as f64;
        prop_assert!((trend.current - level).abs() <= 1e-9 * (1.0 + level.abs()));
    }

    #[test]
    fn a_fall_slower_than_allowed_is_not_reported(slope in 0.0f64..0.99e-3) {
        let run = (0..5000).map(|step| stats(-slope * f64::from(step)));
        prop_assert_eq!(watch(&mut monitor(), run), vec![]);
    }

    #[test]
    fn noise_is_not_reported(noise in prop::collection::vec(-0.2f64..0.2, 400)) {
        let run = noise.iter().map(|&noise| PreferenceStats { margin: noise.abs(), ..stats(noise) });
        prop_assert_eq!(watch(&mut monitor(), run), vec![]);
    }

    #[test]
    fn a_fall_under_noise_is_reported_once(noise in prop::collection::vec(-0.5f64..0.5, 400)) {
        let run = noise.iter().enumerate().map(|(step, noise)| stats(noise - 0.02 * step as f64));
        let warnings = watch(&mut monitor(), run);
        prop_assert_eq!(kinds(&warnings), vec![CollapseKind::ChosenRewardFalling]);
    }

    #[test]
    fn one_outlier_of_any_size_is_not_reported(
        at in 0usize..200, size in 0.0f64..1e6,
        noise in prop::collection::vec(-0.05f64..0.05, 200),
    ) {
        let run = noise.iter().enumerate().map(|(step, noise)| {
            let drop = if step == at { size } else { 0.0 };
            let margin = 1.0 - drop;
            PreferenceStats { margin, chosen_log_prob: Some(-40.0 - drop), ..stats(noise - drop) }
        });
        prop_assert_eq!(watch(&mut monitor(), run), vec![]);
    }
}

#[test]
fn the_collapse_of_dpo_is_reported_with_all_its_signs() {
    // Both rewards fall, at first the rejected one faster, then the chosen one overtakes it.
    let run = (0..1000).map(|step| {
        let step = f64::from(step);
        let chosen_reward = -2e-5 * step * step;
        let margin = 0.01 * step - 1.5e-5 * step * step;
        PreferenceStats {
            rejected_reward: chosen_reward - margin,
            margin,
            chosen_log_prob: Some(-40.0 + 10.0 * chosen_reward),
            ..stats(chosen_reward)
        }
    });
    let warnings = watch(&mut monitor(), run);
    assert_eq!(
        kinds(&warnings),
        [
            CollapseKind::ChosenRewardFalling,
            CollapseKind::ChosenLogProbFalling,
            CollapseKind::ChosenBelowRejected,
        ]
    );
    assert!(warnings[0].step() < 300, "{}", warnings[0]);
    let text = warnings[0].to_string();
    assert!(text.contains("the chosen reward falls, from 0.0"), "{text}");
}

#[test]
fn a_kind_is_reported_again_only_after_it_recovered() {
    let path = [0.0, -3.0, -3.0, -6.0, 0.5, 0.5, -3.0];
    let run = path.windows(2).flat_map(|ends| {
        let (from, to) = (ends[0], ends[1]);
        (0..100).map(move |step| stats(from + (to - from) * f64::from(step) / 100.0))
    });
    let warnings = watch(&mut monitor(), run);
    let falling = CollapseKind::ChosenRewardFalling;
    assert_eq!(kinds(&warnings), [falling, falling]);
    assert!(warnings[0].step() < 100 && warnings[1].step() > 500);
}

#[test]
fn an_exploding_margin_is_reported_until_it_halves() {
    let up = (0..100).map(|step| 0.3 * f64::from(step));
    let down = (0..100).map(|step| 30.0 - 0.25 * f64::from(step));
    let margins = up.clone().chain(down).chain(up);
    let run = margins.map(|margin| PreferenceStats {
        margin,
        ..stats(0.0)
    });
    let warnings = watch(&mut monitor(), run);
    let exploding = CollapseKind::MarginExploding;
    assert_eq!(kinds(&warnings), [exploding, exploding]);
    let trend = warnings[0].trend().unwrap();
    assert!(trend.current > 20.0 && (trend.slope - 0.3).abs() < 1e-12);
}

#[test]
fn a_number_that_is_not_finite_is_reported_at_once_and_kept_out_of_the_trends() {
    let mut monitor = monitor();
    let broken = PreferenceStats {
        rejected_reward: f64::NEG_INFINITY,
        ..stats(0.0)
    };
    let run = (0..200).map(|step| match step {
        3 | 4 | 100 => broken,
        _ => stats(0.0),
    });
    let warnings = watch(&mut monitor, run);
    let at = |step| CollapseWarning::NonFinite {
        step,
        statistic: Statistic::RejectedReward,
    };
    assert_eq!(warnings, [at(3), at(100)]);
    let without_kl = PreferenceStats {
        kl: None,
        ..stats(0.0)
    };
    assert_eq!(monitor.observe(200, &without_kl), None);
}

#[test]
fn steps_without_pairs_do_not_count() {
    let run = (0..100).flat_map(|step| [stats(-0.1 * f64::from(step)), PreferenceStats::default()]);
    let warnings = watch(&mut monitor(), run);
    assert_eq!(kinds(&warnings), [CollapseKind::ChosenRewardFalling]);
    // One step of the run is two of the monitor's.
    assert!((warnings[0].trend().unwrap().slope + 0.05).abs() < 1e-12);
}

#[test]
fn going_back_to_a_checkpoint_changes_nothing() {
    let level = |step: usize| stats(-0.015 * step as f64);
    let (mut straight, mut back) = (monitor(), monitor());
    let steps: Vec<usize> = (0..60).chain(40..100).collect();
    let expected: Vec<_> = (0..100)
        .filter_map(|step| straight.observe(step, &level(step)))
        .collect();
    let got: Vec<_> = steps
        .iter()
        .filter_map(|&step| back.observe(step, &level(step)))
        .collect();
    assert_eq!(expected.len(), 1);
    assert_eq!(got, expected);
}

#[test]
fn settings_out_of_range_and_unknown_ones_are_refused() {
    let config = CollapseMonitorConfig::default();
    for (config, field) in [
        (
            CollapseMonitorConfig {
                window: 2,
                ..config.clone()
            },
            "window",
        ),
        (
            CollapseMonitorConfig {
                confidence: -1.0,
                ..config.clone()
            },
            "confidence",
        ),
        (
            CollapseMonitorConfig {
                chosen_reward_fall: 0.0,
                ..config.clone()
            },
            "chosen_reward_fall",
        ),
        (
            CollapseMonitorConfig {
                chosen_log_prob_slope: f64::NAN,
                ..config.clone()
            },
            "chosen_log_prob_slope",
        ),
        (
            CollapseMonitorConfig {
                rejected_lead: f64::INFINITY,
                ..config.clone()
            },
            "rejected_lead",
        ),
        (
            CollapseMonitorConfig {
                margin: -1.0,
                ..config.clone()
            },
            "margin",
        ),
    ] {
        let error = config.init().unwrap_err();
        assert!(
            matches!(error, Error::InvalidMonitor { field: named, .. } if named == field),
            "{error}"
        );
    }
    let text = serde_json::to_string(&config).unwrap();
    assert_eq!(
        serde_json::from_str::<CollapseMonitorConfig>(&text).unwrap(),
        config
    );
    let unknown = serde_json::from_str::<CollapseMonitorConfig>(r#"{"windows": 3}"#);
    assert!(unknown.unwrap_err().to_string().contains("windows"));
}

#[test]
fn a_warning_survives_its_log() {
    let run = (0..100).map(|step| stats(-0.1 * f64::from(step)));
    for warning in watch(&mut monitor(), run) {
        let text = serde_json::to_string(&warning).unwrap();
        assert!(
            text.starts_with(r#"{"kind":"chosen_reward_falling","start":"#),
            "{text}"
        );
        assert_eq!(
            serde_json::from_str::<CollapseWarning>(&text).unwrap(),
            warning
        );
    }
}
