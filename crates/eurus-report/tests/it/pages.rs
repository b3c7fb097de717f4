//! What is on the page.

use std::fs;

use proptest::prelude::*;
use scraper::{ElementRef, Html, Selector};
use serde_json::{Value, json};

use crate::fixture::*;

fn texts(page: &Html, selector: &str) -> Vec<String> {
    let selector = Selector::parse(selector).unwrap();
    page.select(&selector)
        .map(|it| it.text().collect())
        .collect()
}

fn titles(page: &Html) -> Vec<String> {
    texts(page, "svg .panel-title")
}

#[test]
fn a_run_of_preference_learning_has_all_its_curves_with_the_warning_marked() {
    let place = tempfile::tempdir().unwrap();
    let run = preference_run(&place.path().join("kto"), &some_steps());
    let page = Html::parse_document(&html(&[run]));
    let titles = titles(&page);
    for title in [
        "kto",
        "Loss",
        "Margin of rewards",
        "Accuracy",
        "Log-prob of chosen",
        "Log-prob of rejected",
        "KL estimate",
        "Gradient norm",
        "Learning rate",
        "Tokens per second, each once",
        "Tokens per second, as rows",
        "Most memory so far",
        "eos rate",
    ] {
        assert!(
            titles.iter().any(|it| it == title),
            "{title} is not among {titles:?}"
        );
    }
    assert!(
        !titles.iter().any(|it| it == "Auxiliary loss"),
        "no run has one"
    );
    let marks = texts(&page, "svg .mark title");
    // On the rewards, and on the seven curves of learning.
    assert_eq!(marks.len(), 8, "{marks:?}");
    assert!(
        marks[0].contains("step 39: the chosen reward falls, from 0.000 to −2.500"),
        "{marks:?}"
    );
    let tables = texts(&page, "table").join("\n");
    assert!(tables.contains("the chosen reward falls") && tables.contains("5e-7"));
    let samples = texts(&page, ".samples dt, .samples dd");
    assert_eq!(
        samples,
        [
            "Prompt",
            "What is 2 + 2?",
            "After step 0",
            "5",
            "After step 60",
            "It is 4."
        ]
    );
}

#[test]
fn runs_side_by_side_keep_their_colour_and_share_axes() {
    let place = tempfile::tempdir().unwrap();
    let sft: Vec<Value> = (1..=30).map(|it| sft_step(it, 30)).collect();
    let sft = preference_run(&place.path().join("sft"), &sft);
    let dpo = preference_run(&place.path().join("dpo"), &some_steps());
    let kto = preference_run(&place.path().join("kto"), &some_steps());
    let other = record(env!("CARGO_PKG_VERSION"), "1e-6");
    fs::write(kto.join("run.json"), other.to_string()).unwrap();
    let page = Html::parse_document(&html(&[sft, dpo, kto]));
    let legends = texts(&page, ".legend bdi");
    // Rewards have three lines; learning and pace have the runs of each kind, judgements those that have some.
    assert_eq!(
        legends[3..],
        ["sft", "dpo", "kto", "sft", "dpo", "kto", "dpo", "kto"],
        "{legends:?}"
    );
    let styles_of = |title: &str| -> Vec<String> {
        let charts = Selector::parse(".panels svg").unwrap();
        let is_it = |chart: &ElementRef<'_>| {
            let name = Selector::parse(".panel-title").unwrap();
            chart
                .select(&name)
                .flat_map(|it| it.text())
                .collect::<String>()
                == title
        };
        let chart = page.select(&charts).find(is_it).unwrap();
        let lines = Selector::parse("path.line:not(.faint)").unwrap();
        let classes = chart
            .select(&lines)
            .map(|it| it.value().attr("class").unwrap().to_owned());
        classes.collect()
    };
    assert_eq!(styles_of("Margin of rewards"), ["line s1", "line s2"]);
    assert_eq!(styles_of("eos rate"), ["line s1", "line s2"]);
    let settings = texts(&page, "table").pop().unwrap();
    assert!(
        settings.contains("learning-rate") && settings.contains("1e-6"),
        "{settings}"
    );
    assert!(!settings.contains("a.jsonl"), "the same data: {settings}");
}

#[test]
fn more_runs_than_colours_differ_in_their_dashes() {
    let place = tempfile::tempdir().unwrap();
    let paths: Vec<_> = (0..14)
        .map(|it| {
            preference_run(
                &place.path().join(format!("run-{it}")),
                &[step(1, 2), step(2, 2)],
            )
        })
        .collect();
    let page = Html::parse_document(&html(&paths));
    let selector = Selector::parse(".legend path.line").unwrap();
    let classes: Vec<&str> = page
        .select(&selector)
        .filter_map(|it| it.value().attr("class"))
        .collect();
    let of_runs: std::collections::BTreeSet<&str> = classes[3..17].iter().copied().collect();
    assert_eq!(of_runs.len(), 14, "{classes:?}");
}

#[test]
fn evaluations_of_one_task_stand_in_one_plot_and_rerankings_have_intervals() {
    let place = tempfile::tempdir().unwrap();
    let of = |name: &str, task: &str, right| {
        evaluation(&place.path().join(name), &summary(task, name, right))
    };
    let mut paths = vec![
        of("sft", "svamp", 20),
        of("kto", "svamp", 30),
        of("mbpp", "mbpp", 10),
    ];
    // As `eurus eval rerank` leaves it among the run's files.
    fs::write(paths[0].join("rerank.json"), reranking("rm").to_string()).unwrap();
    let page = Html::parse_document(&html(&paths));
    let selector = Selector::parse(".dots .broad").unwrap();
    let dots: Vec<usize> = page
        .select(&selector)
        .map(|it| it.select(&Selector::parse("path.whisker").unwrap()).count())
        .collect();
    assert_eq!(dots, [1, 2, 6], "mbpp, svamp, six methods");
    let text = texts(&page, "figcaption").join("\n");
    assert!(
        text.contains("svamp: right answers") && text.contains("95 % bootstrap interval"),
        "{text}"
    );
    paths.truncate(1);
    assert!(html(&paths).contains("choosing among"));
}

#[test]
fn a_run_of_a_hundred_thousand_steps_is_a_small_page_that_says_so() {
    let place = tempfile::tempdir().unwrap();
    let text: String = (1..=100_000)
        .map(|step| {
            let loss = if step == 54_321 { 1000 } else { step % 7 };
            format!(
                r#"{{"event":"sft","step":{step},"steps":100000,"loss":{loss},"learning_rate":1e-5,"grad_norm":{loss},"unique_tokens":9{loss},"naive_tokens":99,"seconds":0.5}}"#
            ) + "\n"
        })
        .collect();
    let run = place.path().join("metrics.jsonl");
    fs::write(&run, text).unwrap();
    let page = html(&[run]);
    assert!(page.len() < 3_000_000, "{} bytes", page.len());
    assert!(
        page.contains("the first, lowest, highest and last"),
        "it says so"
    );
    assert!(
        page.contains(">1 000<") || page.contains(">1000<"),
        "the peak is within the axis"
    );
}

#[test]
fn a_run_without_a_step_has_a_page() {
    let place = tempfile::tempdir().unwrap();
    let reference = json!({"event": "reference", "done": 1, "pairs": 9});
    let run = preference_run(&place.path().join("kto"), &[reference]);
    assert!(html(&[run]).contains("no step is there yet"));
    let empty = place.path().join("metrics.jsonl");
    fs::write(&empty, "").unwrap();
    html(&[empty]);
}

/// A number as hostile as JSON has them.
fn any_number() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => any::<f64>().prop_map(|it| json!(it)),
        4 => (-1e3..1e3).prop_map(|it| json!(it)),
        1 => Just(Value::Null),
        1 => Just(json!(0.0)),
    ]
}

fn any_event() -> impl Strategy<Value = Value> {
    let numbers = prop::collection::vec(any_number(), 12);
    let count = prop_oneof![Just(0u64), 1..100u64, Just(u64::MAX)];
    let event = prop::sample::select(vec![
        "preference",
        "reward",
        "sft",
        "collapse",
        "evaluated",
        "not_finite",
        "stopped",
    ]);
    (event, any::<u8>(), numbers, count).prop_map(|(event, step, n, count)| {
        json!({
            "event": event, "step": step, "steps": count, "loss": n[0], "learning_rate": n[1], "grad_norm": n[2],
            "unique_tokens": count, "naive_tokens": count, "utilization": n[3], "seconds": n[4],
            "stats": {
                "groups": count, "chosen": count, "rejected": count, "chosen_reward": n[5], "rejected_reward": n[6],
                "margin": n[7], "accuracy": n[8], "chosen_log_prob": n[9], "rejected_log_prob": n[10], "kl": n[11],
            },
            "warning": {"kind": "margin_exploding", "start": n[0], "current": n[1]},
            "judgement": {"score": n[0], "metrics": {"loss": n[1]}},
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever the numbers, the page is made, and every coordinate of it is a number.
    #[test]
    fn any_metrics_make_a_page_without_odd_coordinates(events in prop::collection::vec(any_event(), 1..80)) {
        let place = tempfile::tempdir().unwrap();
        let run = preference_run(place.path(), &events);
        let html = html(&[run]);
        let page = Html::parse_document(&html);
        for selector in ["svg [d]", "svg [x]", "svg [cx]"] {
            for element in page.select(&Selector::parse(selector).unwrap()) {
                for (name, value) in element.value().attrs() {
                    let is_coordinate = ["d", "x", "y", "cx", "cy"].contains(&name);
                    let odd = ["NaN", "inf"].iter().any(|it| value.contains(it));
                    prop_assert!(!(is_coordinate && odd), "{name}={value}");
                }
            }
        }
    }
}
