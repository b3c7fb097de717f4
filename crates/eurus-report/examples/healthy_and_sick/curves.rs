//! Curves of runs that do well and of runs that do not.
//!
//! Only sums, products and quotients, which every machine rounds alike: the pictures are the same everywhere.

use eurus_eval::report::{Figure, Mark, Panel, Scales, Series};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const STEPS: usize = 240;

/// The share of the way that a quantity has gone at a share of the run, when it goes half of it in `half`.
fn towards(share: f64, half: f64) -> f64 {
    share / (share + half)
}

/// A line, from its height at each share of the run and the size of its noise.
fn line(name: &str, seed: u64, noise: f64, height: impl Fn(f64) -> f64) -> Series {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let points = (1..=STEPS).map(|step| {
        // The mean of three is near enough to what means over a batch do.
        let random: f64 = (0..3).map(|_| rng.random::<f64>() - 0.5).sum();
        (
            step as f64,
            height(step as f64 / STEPS as f64) + noise * random,
        )
    });
    Series::new(name, points)
}

/// Two charts on the same axes.
fn pair(caption: &str, y_label: &str, healthy: Vec<Series>, sick: (&str, Vec<Series>)) -> Figure {
    let mut figure = Figure::new(caption, "Optimizer step", y_label)
        .panel("Healthy", healthy)
        .panel(sick.0, sick.1)
        .smooth(5);
    figure.scales = Scales::SharedXy;
    figure
}

/// The figures by the names of their files.
pub fn all() -> Vec<(&'static str, Figure)> {
    vec![
        ("rewards", rewards()),
        ("loss", loss()),
        ("margin", margin()),
        ("accuracy", accuracy()),
        ("log-probs", log_probs()),
        ("kl", kl()),
        ("gradient-norm", gradient_norm()),
        ("learning-rate", learning_rate()),
        ("held-out", held_out()),
        ("pace", pace()),
    ]
}

fn rewards() -> Figure {
    let of = |seed, chosen: f64, rejected: f64| {
        let way = |end: f64| move |x: f64| end * towards(x, 0.35);
        vec![
            line("Chosen reward", seed, 0.5, way(chosen)),
            line("Rejected reward", seed + 1, 0.8, way(rejected)),
            line("Margin", seed + 2, 0.8, way(chosen - rejected)),
        ]
    };
    let caption =
        "Rewards, healthy and sick: the margins are alike, and in the sick run both rewards fall.";
    let mut figure = pair(
        caption,
        "Reward",
        of(1, 1.2, -4.0),
        ("Sick: good responses are unlearned", of(4, -4.2, -9.6)),
    );
    if let Some(Panel { marks, .. }) = figure.panels.last_mut() {
        marks.push(Mark {
            at: 58.0,
            series: "Chosen reward".to_owned(),
            label: "1".to_owned(),
            about: "the chosen reward falls".to_owned(),
        });
    }
    figure
}

fn loss() -> Figure {
    let healthy = line("Loss", 11, 0.12, |x| 0.693 - 0.45 * towards(x, 0.5));
    let sick = line("Loss", 12, 0.25, |x| match x {
        x if x < 0.3 => 0.693 - 0.5 * towards(x, 0.3),
        x => 0.443 + 1.4 * (x - 0.3),
    });
    let caption = "Loss, healthy and sick: a learning rate that is too high lets it rise again.";
    pair(
        caption,
        "Loss",
        vec![healthy],
        ("Sick: it rises again", vec![sick]),
    )
}

fn margin() -> Figure {
    let healthy = line("Margin", 21, 1.0, |x| 3.6 * towards(x, 0.3));
    let sick = line("Margin", 22, 3.0, |x| 4.0 * x + 34.0 * x * x);
    let caption = "Margin, healthy and sick: one that grows ever faster says that the policy runs away from its reference.";
    pair(
        caption,
        "Chosen − rejected",
        vec![healthy],
        ("Sick: it explodes", vec![sick]),
    )
}

fn accuracy() -> Figure {
    let rising = |end: f64| move |x: f64| 0.5 + (end - 0.5) * towards(x, 0.25);
    let of = |name: &str, seed, height: &dyn Fn(f64) -> f64| {
        let mut series = line(name, seed, 0.12, height);
        // The policy is its reference yet: all rewards are equal.
        series.points[0].1 = 0.0;
        series
    };
    let healthy = of("Accuracy", 31, &rising(0.92));
    let sick = of("Accuracy", 32, &|_| 0.5);
    let swapped = of("Accuracy, labels swapped", 33, &rising(0.1));
    let caption = "Accuracy, healthy and sick: about one half says that nothing is learned, less says that chosen and rejected \
                   are mixed up.";
    pair(
        caption,
        "Share of pairs",
        vec![healthy],
        ("Sick: nothing, or the wrong thing", vec![sick, swapped]),
    )
}

fn log_probs() -> Figure {
    let of = |seed, chosen: f64, rejected: f64| {
        vec![
            line("Chosen", seed, 6.0, move |x| {
                -42.0 + chosen * towards(x, 0.4)
            }),
            line("Rejected", seed + 1, 6.0, move |x| {
                -48.0 + rejected * towards(x, 0.4)
            }),
        ]
    };
    let caption = "Log-probs of responses, healthy and sick: both fall in the sick run, and so does what the policy would say.";
    pair(
        caption,
        "Nats",
        of(41, 3.0, -28.0),
        ("Sick: both are unlearned", of(44, -70.0, -130.0)),
    )
}

fn kl() -> Figure {
    let healthy = line("KL estimate", 51, 0.25, |x| 0.5 * towards(x, 0.3) + 0.4);
    let sick = line("KL estimate", 52, 0.8, |x| 0.4 + 9.0 * x * x);
    let caption = "KL estimate of KTO, healthy and sick: it says how far the policy has gone from its reference.";
    pair(
        caption,
        "Nats",
        vec![healthy],
        ("Sick: it grows without end", vec![sick]),
    )
}

fn gradient_norm() -> Figure {
    let healthy = line("Gradient norm", 61, 0.9, |x| {
        1.4 + 2.5 * (1.0 - towards(x, 0.08))
    });
    let mut sick = line("Gradient norm", 62, 1.2, |x| 2.0 + 4.0 * x);
    for (index, point) in sick.points.iter_mut().enumerate() {
        if index % 19 == 11 || index % 31 == 30 {
            point.1 += 28.0 * index as f64 / STEPS as f64;
        }
    }
    let caption =
        "Gradient norm, healthy and sick: it settles after the warm-up, or spikes more and more.";
    pair(
        caption,
        "Norm",
        vec![healthy],
        ("Sick: spikes that grow", vec![sick]),
    )
}

fn learning_rate() -> Figure {
    const PEAK: f64 = 5e-7;
    let healthy = line("Learning rate", 71, 0.0, |x| {
        PEAK * (x / 0.1).min((1.0 - x) / 0.9)
    });
    // The run was planned for twice as many steps.
    let sick = line("Learning rate", 72, 0.0, |x| PEAK * (1.0 - x / 2.0));
    let caption = "Learning rate, healthy and sick: the sick run has no warm-up, and ends before its rate is near 0.";
    let mut figure = pair(
        caption,
        "Rate",
        vec![healthy],
        ("Sick: no warm-up, cut off", vec![sick]),
    );
    figure.smoothing = None;
    figure
}

fn held_out() -> Figure {
    let training = |seed| line("Training", seed, 0.05, |x| 0.693 - 0.5 * towards(x, 0.4));
    let every = |series: Series| Series {
        points: series.points.into_iter().step_by(20).collect(),
        ..series
    };
    let healthy = every(line("Held out", 82, 0.02, |x| {
        0.693 - 0.38 * towards(x, 0.4)
    }));
    let sick = every(line("Held out", 84, 0.02, |x| {
        0.693 - 0.5 * towards(x, 0.4) + 0.9 * x * x
    }));
    let caption = "Loss on rows that are not trained on, healthy and sick: the sick run learns its rows by heart.";
    let mut figure = pair(
        caption,
        "Loss",
        vec![training(81), healthy],
        ("Sick: learned by heart", vec![training(83), sick]),
    );
    figure.smoothing = None;
    figure
}

fn pace() -> Figure {
    let healthy = line("Tokens per second", 91, 900.0, |_| 9000.0);
    let sick = line("Tokens per second", 92, 900.0, |x| match x {
        x if x < 0.4 => 9000.0,
        x if x < 0.7 => 5600.0,
        _ => 2300.0,
    });
    let caption = "Tokens per second, healthy and sick: a pace that falls in steps is that of a machine that is shared, hot, or \
                   out of memory.";
    pair(
        caption,
        "Tokens/s",
        vec![healthy],
        ("Sick: it falls in steps", vec![sick]),
    )
}
