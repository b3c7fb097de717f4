//! The page as its readers get it.

use eurus_eval::report::{Figure, Report, RewardPoint, Series};
use eurus_eval::{Error, Table};
use ultrainteract::{
    Action, ActionSource, NodeId, Observation, PreferenceTree, Schema, Task, Verdict,
};

const HOSTILE: &str = "<script>alert(1)</script><img src=x onerror=alert(2)>\" ' & </style>";

fn action(text: &str, verdict: Verdict) -> Action {
    Action {
        text: text.to_owned(),
        verdict,
        actor: "actor".to_owned(),
        schema: Schema::ModularProgramming,
        source: ActionSource::Sampled,
    }
}

fn observation(execution: &str, critique: &str) -> Observation {
    Observation {
        execution: Some(execution.to_owned()),
        feedback: "Your answer is wrong.".to_owned(),
        critique: Some(critique.to_owned()),
    }
}

fn new_tree(id: &str, instruction: &str) -> PreferenceTree {
    PreferenceTree::new(id, Task::MathPot, "synthetic", instruction).unwrap()
}

/// Adds a correct and an incorrect action and the pair of both; returns the incorrect one.
fn add_turn(tree: &mut PreferenceTree, parent: NodeId, correct: Action, incorrect: &str) -> NodeId {
    let chosen = tree.add_action(parent, correct).unwrap();
    let rejected = tree
        .add_action(parent, action(incorrect, Verdict::Incorrect))
        .unwrap();
    tree.add_pair(chosen, rejected).unwrap();
    rejected
}

fn two_turns() -> PreferenceTree {
    let mut tree = new_tree("apples", "Add 2 and 2.").with_ground_truth("4");
    let root = tree.root();
    let wrong = add_turn(
        &mut tree,
        root,
        action("Answer: 4", Verdict::Correct),
        "Sum:\n```python\n# add\nprint(2 - 2)\n```",
    );
    let seen = tree
        .add_observation(wrong, observation("0", "You subtracted."))
        .unwrap();
    let fallback = Action {
        source: ActionSource::GroundTruth,
        ..action("2 + 2 = 4", Verdict::Correct)
    };
    add_turn(&mut tree, seen, fallback, "Answer: 5");
    tree
}

fn html_of(tree: &PreferenceTree) -> String {
    Report::new("t").tree(tree).to_html().unwrap()
}

fn position(html: &str, needle: &str) -> usize {
    html.find(needle)
        .unwrap_or_else(|| panic!("`{needle}` is not in the page"))
}

#[test]
fn markup_in_any_text_is_inert() {
    let mut tree = PreferenceTree::new(HOSTILE, Task::Coding, HOSTILE, HOSTILE)
        .unwrap()
        .with_ground_truth(HOSTILE);
    let root = tree.root();
    let hostile = Action {
        actor: HOSTILE.to_owned(),
        ..action(HOSTILE, Verdict::Correct)
    };
    let code = format!("```{HOSTILE}\n{HOSTILE}\n# {HOSTILE}\n```");
    let wrong = add_turn(&mut tree, root, hostile, &code);
    let seen = Observation {
        feedback: HOSTILE.to_owned(),
        ..observation(HOSTILE, HOSTILE)
    };
    tree.add_observation(wrong, seen).unwrap();

    let figure = Figure {
        caption: HOSTILE.into(),
        ..Figure::new("", HOSTILE, HOSTILE)
    }
    .panel(
        HOSTILE,
        vec![Series::new(HOSTILE, [(0.0, 1.0), (1.0, 2.0)])],
    );
    let mut report = Report::new(HOSTILE);
    report
        .paragraph(HOSTILE)
        .section(HOSTILE)
        .section(HOSTILE)
        .table(
            Table::new(HOSTILE)
                .headers([HOSTILE])
                .row([HOSTILE, HOSTILE])
                .note(HOSTILE),
        )
        .figure(figure)
        .tree(&tree);
    let html = report.to_html().unwrap();
    assert!(html.contains("&lt;script&gt;"), "the text is shown");
    assert!(
        !html.contains("<script") && !html.contains("<img"),
        "no element comes from text"
    );
    assert_eq!(html.matches("</style>").count(), 1);
    // Quotes must not end an attribute either.
    assert!(!html.contains("alert(2)>\" "));
}

#[test]
fn the_page_loads_and_runs_nothing() {
    let mut report = Report::new("t");
    report
        .section("s")
        .tree(&two_turns())
        .figure(Figure::new("c", "x", "y").panel("p", vec![]));
    let html = report.to_html().unwrap();
    assert!(html.contains("default-src 'none'"));
    for outside in [
        "http://", "https://", "//cdn", "src=", "@import", "url(", "<link", "<script",
    ] {
        assert!(!html.contains(outside), "`{outside}` is in the page");
    }
}

#[test]
fn a_tree_reads_from_the_instruction_down_to_the_last_turn() {
    let html = html_of(&two_turns());
    let order = [
        "Add 2 and 2.",
        "Ground truth: 4",
        "Turn 1",
        "Answer: 4",
        "print(2 - 2)",
        "Out: 0",
        "Your answer is wrong.",
        "You subtracted.",
        "Turn 2",
        "2 + 2 = 4",
        "Answer: 5",
    ];
    let places: Vec<usize> = order.iter().map(|text| position(&html, text)).collect();
    assert!(places.is_sorted(), "{places:?}");
    assert!(html.contains("<p>Your answer is wrong.</p>"));
}

#[test]
fn a_verdict_is_a_word_and_a_mark_and_not_only_a_color() {
    let html = html_of(&two_turns());
    assert_eq!(html.matches("✓ Correct").count(), 2);
    assert_eq!(html.matches("✗ Incorrect").count(), 2);
    assert_eq!(html.matches(">ground truth<").count(), 1);
    assert!(html.contains("pair: 1.1 over 1.2") && html.contains("pair: 2.1 over 2.2"));
}

#[test]
fn code_is_set_as_code_and_its_comments_apart() {
    let html = html_of(&two_turns());
    assert!(
        html.contains("<pre><code><span class=\"comment\"># add</span>\nprint(2 - 2)</code></pre>")
    );
    assert!(!html.contains("```"));
}

#[test]
fn every_turn_of_a_branching_tree_says_what_it_follows() {
    let mut tree = new_tree("wide", "Guess.");
    let root = tree.root();
    for guess in ["first", "second", "third"] {
        let wrong = tree
            .add_action(root, action(guess, Verdict::Incorrect))
            .unwrap();
        let seen = tree
            .add_observation(wrong, observation(guess, "no"))
            .unwrap();
        add_turn(
            &mut tree,
            seen,
            action(&format!("{guess}, right"), Verdict::Correct),
            &format!("{guess}, wrong"),
        );
    }
    let html = html_of(&tree);
    let order = [
        "first, right",
        "after 1.2",
        "second, right",
        "after 1.3",
        "third, right",
    ];
    let places: Vec<usize> = order.iter().map(|text| position(&html, text)).collect();
    assert!(places.is_sorted(), "{places:?}");
    assert_eq!(html.matches("fork detached").count(), 2);
    assert!(
        html.contains("2.6"),
        "actions are numbered over the whole turn"
    );
}

#[test]
fn a_bare_instruction_is_a_tree() {
    let html = html_of(&new_tree("bare", "Why?"));
    assert!(
        html.contains("Why?") && html.contains("bare: 0 turns, 0 actions, 0 preference pairs.")
    );
}

#[test]
fn figures_speak_to_those_who_cannot_see_them() {
    let points = vec![
        RewardPoint {
            step: 0,
            chosen: 0.0,
            rejected: 0.0,
        },
        RewardPoint {
            step: 20,
            chosen: -0.5,
            rejected: -2.0,
        },
    ];
    let figure = Figure::reward_trajectories("c", [("DPO", points.clone()), ("KTO", points)]);
    let html = Report::new("t").figure(figure).to_html().unwrap();
    assert_eq!(html.matches("role=\"img\"").count(), 2);
    assert!(html.contains("<title id=\"figure-1-1-title\">DPO</title>"));
    assert!(
        html.contains("Margin: from 0 at 0 to 1.50 at 20."),
        "the margin is derived and told"
    );
    for style in ["line s0", "line s1", "line s2"] {
        assert!(html.contains(style), "{style}");
    }
}

#[test]
fn parts_are_numbered_by_kind() {
    let mut report = Report::new("t");
    report
        .table(Table::new("a"))
        .figure(Figure::default())
        .table(Table::new("b"))
        .tree(&two_turns());
    let html = report.to_html().unwrap();
    for label in ["Table 1.", "Table 2.", "Figure 1.", "Tree 1."] {
        assert!(html.contains(label), "{label}");
    }
}

#[test]
fn a_report_replaces_the_last_one_and_leaves_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.html");
    Report::new("first").write(&path).unwrap();
    Report::new("second").write(&path).unwrap();
    assert!(
        std::fs::read_to_string(&path)
            .unwrap()
            .contains("<h1>second</h1>")
    );
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[cfg(unix)]
#[test]
fn a_report_is_as_readable_as_any_new_file() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let mode = |name: &str| {
        std::fs::metadata(folder.path().join(name))
            .unwrap()
            .permissions()
            .mode()
    };
    Report::new("t")
        .write(folder.path().join("report.html"))
        .unwrap();
    std::fs::write(folder.path().join("plain"), "").unwrap();
    assert_eq!(mode("report.html"), mode("plain"));
}

#[test]
fn a_folder_that_does_not_exist_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("missing/report.html");
    let error = Report::new("t").write(&path).unwrap_err();
    assert!(matches!(&error, Error::Write { path: named, .. } if named == &path));
    assert!(error.to_string().contains("missing/report.html"));
}

/// The attribute of an element, as it is written.
fn attribute<'a>(element: &'a str, name: &str) -> &'a str {
    let from = element
        .find(&format!("{name}=\""))
        .unwrap_or_else(|| panic!("`{element}` has no {name}"));
    let value = &element[from + name.len() + 2..];
    &value[..value.find('"').expect("a closing quote")]
}

#[test]
fn the_labels_of_all_ticks_are_inside_of_the_picture() {
    // What a character of a label takes at least, in units of the picture.
    const CHARACTER: f64 = 7.0;
    let mut labels = 0;
    for last in [0.5, 1.0, 200.0, 12_500.0, 1e6, 2.5e7, 1e-6] {
        for first in [0.0, -last] {
            let points = [(first, 0.1), (last, 0.3)];
            let figure =
                Figure::new("c", "Step", "Reward").panel("p", vec![Series::new("s", points)]);
            let html = Report::new("t").figure(figure).to_html().unwrap();
            let svg = html
                .split("<svg ")
                .nth(2)
                .expect("a legend, then a picture");
            let width: f64 = attribute(svg, "viewBox")
                .split(' ')
                .nth(2)
                .unwrap()
                .parse()
                .unwrap();
            let ticks = svg
                .split("<text ")
                .filter(|text| text.contains("dy=\"18\""));
            for tick in ticks {
                let at: f64 = attribute(tick, "x").parse().unwrap();
                let label = &tick[tick.find('>').unwrap() + 1..tick.find("</text>").unwrap()];
                let half = label.chars().count() as f64 * CHARACTER / 2.0;
                assert!(
                    at - half >= 0.0 && at + half <= width,
                    "{label} at {at} of {width}"
                );
                labels += 1;
            }
        }
    }
    assert!(labels > 40, "{labels}");
}
