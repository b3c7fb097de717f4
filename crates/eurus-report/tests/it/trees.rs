//! What stands in the viewer's page, read as a browser reads it.

use std::collections::BTreeSet;

use eurus_report::Error;
use eurus_report::trees::{self, Choice, Limits, Scores, TreeSource, Trees, shown};
use proptest::prelude::*;
use scraper::{ElementRef, Html};
use serde_json::{Value, json};
use tempfile::TempDir;
use ultrainteract::formats::write_jsonl;
use ultrainteract::{Content, PreferenceTree, Verdict};

use crate::trees_support::{
    action, any_tree, grown_tree, long_line, selector, text_of, tree_of_text, trees_of,
    write_scores,
};

fn page_of(trees: Vec<PreferenceTree>, scores: &[Scores]) -> String {
    let section = trees::viewer(&Trees::all(trees), scores).expect("a section");
    trees::page("Trees", &section).expect("a page")
}

fn index_of(page: &str) -> Value {
    let document = Html::parse_document(page);
    let script = selector("script.trees-index");
    let script = document.select(&script).next().expect("an index");
    serde_json::from_str(&text_of(script)).expect("JSON")
}

fn texts(html: &Html, of: &str) -> Vec<String> {
    html.select(&selector(of)).map(text_of).collect()
}

/// The words of a text as the viewer sets them: without fences and blank lines.
fn lines(text: &str) -> Vec<String> {
    let shown = shown(text).into_owned();
    let lines = shown
        .lines()
        .filter(|it| !it.trim().is_empty() && !it.trim().starts_with("```"));
    lines.map(str::to_owned).collect()
}

/// All that stands in paragraphs and code of an element, in order.
fn written(element: ElementRef<'_>) -> Vec<String> {
    let block = selector("p, pre");
    element
        .select(&block)
        .flat_map(|it| lines(&text_of(it)))
        .collect()
}

/// What was written for one prompt, file by file.
fn files(contents: &[(&str, Vec<PreferenceTree>)]) -> (TempDir, TreeSource) {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, trees) in contents {
        write_jsonl(folder.path().join(name), trees).expect("trees");
    }
    let pattern = folder.path().join("*.jsonl");
    let source = TreeSource::open([pattern.display().to_string()]).expect("files");
    (folder, source)
}

proptest! {
    #[test]
    fn every_node_stands_in_the_page_once_as_text_with_its_siblings_together(trees in prop::collection::vec(any_tree(), 1..4)) {
        let page = page_of(trees.clone(), &[]);
        let found = trees_of(&page);
        prop_assert_eq!(found.len(), trees.len());
        let index = index_of(&page);
        for (number, (tree, html)) in trees.iter().zip(&found).enumerate() {
            prop_assert_eq!(&html.errors, &Vec::<std::borrow::Cow<str>>::new());
            let item = selector(".nodes > li");
            let items: Vec<ElementRef> = html.select(&item).collect();
            let actions: Vec<_> = tree.nodes().filter(|(_, node)| node.action().is_some()).collect();
            prop_assert_eq!(items.len(), 1 + actions.len());
            let body = selector(".body");
            let body_of = |item: &ElementRef<'_>| written(item.select(&body).next().expect("a body"));
            prop_assert_eq!(body_of(&items[0]), lines(tree.instruction()));
            let mut nodes = Vec::new();
            for item in &items[1..] {
                let node: usize = item.attr("data-node").expect("a node").parse().expect("a number");
                let (id, content) = tree.nodes().nth(node).expect("a node");
                let mut expected = lines(&content.text());
                for &child in tree.children(id) {
                    if let Content::Observation(seen) = tree.node(child).content() {
                        let parts = [seen.execution.as_deref(), Some(seen.feedback.as_str()), seen.critique.as_deref()];
                        expected.extend(parts.into_iter().flatten().flat_map(lines));
                    }
                }
                prop_assert_eq!(body_of(item), expected);
                prop_assert_eq!(item.attr("data-level").expect("a level"), (tree.turn(id) + 1).to_string());
                nodes.push(node);
            }
            // Each once; an action below the one that it follows, and the first of its siblings right before the others.
            let once: BTreeSet<usize> = nodes.iter().copied().collect();
            prop_assert_eq!(once.len(), actions.len());
            let place = |node: usize| nodes.iter().position(|&it| it == node);
            for &(id, node) in &actions {
                let before = node.parent().and_then(|it| tree.node(it).parent());
                let after_parent = before.is_none_or(|it| place(it.index()) < place(id.index()));
                prop_assert!(after_parent);
            }
            let counts = &index["trees"][number]["verdicts"];
            let count = |verdict| actions.iter().filter(|(_, node)| node.action().is_some_and(|it| it.verdict == verdict)).count();
            prop_assert_eq!(counts, &json!([count(Verdict::Correct), count(Verdict::Incorrect), count(Verdict::Unjudged)]));
            prop_assert_eq!(&index["trees"][number]["turns"], &json!(tree.turns()));
        }
    }

    #[test]
    fn any_text_in_any_field_stays_text(text in prop_oneof![any::<String>(), "[<>&\"'/!a-z -]{1,60}", "(</?(script|noscript|style|b|li)[ />]|<!--|-->|]]>){1,6}"]) {
        prop_assume!(!text.trim().is_empty());
        let page = page_of(vec![tree_of_text(&text)], &[]);
        let document = Html::parse_document(&page);
        prop_assert_eq!(document.select(&selector("script")).count(), 2);
        prop_assert_eq!(document.select(&selector("style, noscript")).count(), 2);
        let plain = page_of(vec![tree_of_text("x")], &[]);
        let shape = |page: &str| -> Vec<String> {
            let trees = trees_of(page);
            let all = selector("*");
            // Paragraphs and code follow from the text's own fences and blank lines.
            let elements = trees[0].select(&all).map(|it| it.value().name().to_owned());
            elements.filter(|it| !matches!(it.as_str(), "p" | "pre")).collect()
        };
        prop_assert_eq!(shape(&page), shape(&plain));
        let attributes = |page: &str| -> BTreeSet<String> {
            let trees = trees_of(page);
            let all = selector("*");
            trees[0].select(&all).flat_map(|it| it.value().attrs().map(|(name, _)| name.to_owned()).collect::<Vec<_>>()).collect()
        };
        prop_assert_eq!(attributes(&page), attributes(&plain));
    }

    #[test]
    fn a_step_disagrees_if_a_neighbour_of_the_other_verdict_says_so_or_without_one_its_sign(
        steps in prop::collection::vec((0usize..3, prop::option::of(-3i32..4)), 1..7)
    ) {
        let verdicts = [Verdict::Correct, Verdict::Incorrect, Verdict::Unjudged];
        let mut tree = PreferenceTree::new("t", ultrainteract::Task::Logic, "own", "?").expect("a start");
        let mut rows = Vec::new();
        for (number, &(verdict, reward)) in steps.iter().enumerate() {
            let id = tree.add_action(tree.root(), action(&number.to_string(), verdicts[verdict])).expect("an action");
            rows.push(json!({"name": id.to_string(), "reward": reward}));
        }
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("scores.jsonl");
        write_jsonl(&path, [json!({"id": "t", "nodes": rows})]).expect("scores");
        let page = page_of(vec![tree], &[Scores::read(&path).expect("scores")]);
        let rewards = |wanted: usize| steps.iter().filter(move |it| it.0 == wanted).filter_map(|it| it.1);
        let expected: Vec<usize> = (1..).zip(&steps).filter(|(_, (verdict, reward))| match (verdict, reward) {
            (0, Some(reward)) => match rewards(1).max() {
                Some(highest) => *reward < highest,
                None => *reward < 0,
            },
            (1, Some(reward)) => match rewards(0).min() {
                Some(lowest) => *reward > lowest,
                None => *reward > 0,
            },
            _ => false,
        }).map(|(node, _)| node).collect();
        let index = index_of(&page);
        let found = index["trees"][0]["columns"].get(0).map_or(json!([]), |it| it[3].clone());
        prop_assert_eq!(found, json!(expected));
        prop_assert_eq!(trees_of(&page)[0].select(&selector("b.against")).count(), expected.len());
    }
}

#[test]
fn two_models_stand_side_by_side_with_sign_and_colour() {
    let trees: Vec<PreferenceTree> = (0..20).map(grown_tree).collect();
    let folder = tempfile::tempdir().expect("a folder");
    let scores = [1, 2].map(|seed| {
        let path = folder.path().join(format!("model<{seed}>.jsonl"));
        write_scores(&path, &trees, seed);
        Scores::read(path).expect("scores")
    });
    let page = page_of(trees.clone(), &scores);
    let index = index_of(&page);
    assert_eq!(
        index["columns"],
        json!(["A reward", "A log-ratio", "B reward", "B log-ratio"])
    );
    for html in trees_of(&page) {
        let actions = html.select(&selector("li[data-node]")).count();
        assert_eq!(
            html.select(&selector(".numbers > span")).count(),
            2 * actions
        );
        for score in html.select(&selector(".numbers > span > b[class]")) {
            let class = score.attr("class").expect("a colour").chars().next();
            let text = text_of(score);
            let signs = [(Some('p'), '+'), (Some('n'), '−')];
            assert!(
                signs
                    .iter()
                    .any(|&(colour, sign)| class == colour && text.contains(sign)),
                "{text}"
            );
        }
    }
    let document = Html::parse_document(&page);
    let legend = texts(&document, ".trees-numbers bdi");
    assert_eq!(legend, ["model<1>", "model<2>"]);
    let three = [scores[0].clone(), scores[1].clone(), scores[0].clone()];
    let error = trees::viewer(&Trees::all(trees), &three).expect_err("too many");
    assert!(matches!(error, Error::TooManyScores { found: 3, most: 2 }));
}

#[test]
fn scores_of_other_trees_are_refused_with_the_file_and_the_tree() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("scores.jsonl");
    let tree = tree_of_text("x");
    let refused = |row: Value| {
        write_jsonl(&path, [row]).expect("scores");
        let read = Scores::read(&path);
        let refused =
            read.and_then(|scores| trees::viewer(&Trees::all(vec![tree.clone()]), &[scores]));
        refused.expect_err("refused").to_string()
    };
    let node = |name: &str, verdict: &str| json!({"id": "id x", "nodes": [{"name": name, "verdict": verdict, "reward": 1.0}]});
    for (row, says) in [
        (
            json!({"id": "another", "nodes": []}),
            "has no score of any tree",
        ),
        (node("2", "correct"), "tree `id x`: `2` is no action of it"),
        (node("99", "correct"), "`99` is no action of it"),
        (node("-1", "correct"), "`-1` is no action of it"),
        (
            node("1", "correct"),
            "the verdict of its action 1 is the other one there",
        ),
        (
            json!({"id": "id x", "reward": 1.0}),
            "field `nodes`: is missing",
        ),
        (json!({"id": 3, "nodes": []}), "row 1 of "),
    ] {
        let error = refused(row);
        assert!(
            error.contains(says) && error.contains("scores.jsonl"),
            "{error}"
        );
    }
}

#[test]
fn more_trees_than_fit_are_drawn_by_seed_in_the_order_of_the_files_and_the_page_says_so() {
    let trees: Vec<PreferenceTree> = (0..300).map(grown_tree).collect();
    let (_folder, source) = files(&[
        ("a.jsonl", trees[..100].to_vec()),
        ("b.jsonl", trees[100..].to_vec()),
    ]);
    let all = source.draw(&Limits::default()).expect("trees");
    assert_eq!(
        (all.trees.len(), all.of, all.choice),
        (300, 300, Choice::All)
    );
    let limits = Limits {
        trees: 40,
        seed: 7,
        ..Limits::default()
    };
    let places = |limits: &Limits| -> Vec<usize> {
        let drawn = source.draw(limits).expect("trees");
        assert!(
            drawn
                .trees
                .iter()
                .all(|(place, tree)| *tree == trees[*place])
        );
        drawn.trees.iter().map(|it| it.0).collect()
    };
    let drawn = places(&limits);
    assert_eq!(drawn.len(), 40);
    assert!(drawn.is_sorted() && drawn[0] < 100 && drawn[39] > 100);
    assert_eq!(drawn, places(&limits));
    assert_ne!(drawn, places(&Limits { seed: 8, ..limits }));
    let section = trees::viewer(&source.draw(&limits).expect("trees"), &[]).expect("a section");
    assert!(section.html.contains("40 of 300 trees, drawn with seed 7."));
    // By their text too, and one tree is always there.
    let few = places(&Limits {
        bytes: 20_000,
        ..limits
    });
    assert!(few.len() > 1 && few.len() < 20, "{few:?}");
    assert_eq!(places(&Limits { bytes: 1, ..limits }).len(), 1);
}

#[test]
fn a_range_of_a_file_has_its_place_and_the_way_to_the_others() {
    let trees: Vec<PreferenceTree> = (0..25).map(grown_tree).collect();
    let (_folder, source) = files(&[("a.jsonl", trees.clone())]);
    let range = source.range(10, 10).expect("trees");
    assert_eq!(
        range.trees.iter().map(|it| it.0).collect::<Vec<_>>(),
        (10..20).collect::<Vec<_>>()
    );
    let section = trees::viewer(&range, &[]).expect("a section");
    assert!(section.html.contains("Trees 11 to 20 of 25."));
    let html = Html::parse_fragment(&section.html);
    let links: Vec<_> = html
        .select(&selector("nav a"))
        .filter_map(|it| it.attr("href").map(str::to_owned))
        .collect();
    assert_eq!(links, ["?trees-from=0#trees", "?trees-from=20#trees"]);
    let beyond = source.range(usize::MAX, 10).expect("no trees");
    assert!(beyond.trees.is_empty());
    trees::viewer(&beyond, &[]).expect("a section");
}

#[test]
fn rows_that_are_no_trees_are_refused_with_place_and_remedy() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("rows.jsonl");
    let good = serde_json::to_string(&grown_tree(1)).expect("JSON");
    for (row, says) in [
        (
            "{\"trajectory\": []}",
            "is a pair and no tree; make trees of pairs with `eurus data convert",
        ),
        ("{\"id\": \"x\"}", "is no tree; give a file of trees"),
        ("{\"format\": \"ultrainteract-tree\", \"vers", "not JSON"),
        ("{\"format\": \"ultrainteract-tree\"}", "missing"),
        ("\u{202e}", "not JSON"),
    ] {
        std::fs::write(&path, format!("{good}\n{row}\n")).expect("written");
        let source = TreeSource::open([path.display().to_string()]).expect("a file");
        let error = source
            .draw(&Limits::default())
            .expect_err("refused")
            .to_string();
        assert!(
            error.contains("row 2 of ") && error.contains(says),
            "{error}"
        );
        assert!(source.range(1, 1).is_err());
        assert_eq!(source.range(0, 1).expect("the first").trees.len(), 1);
    }
    let missing = TreeSource::open([folder.path().join("none.jsonl").display().to_string()]);
    assert!(
        missing
            .expect_err("refused")
            .to_string()
            .contains("does not exist")
    );
    std::fs::write(&path, "").expect("written");
    let empty = TreeSource::open([path.display().to_string()]).expect("a file");
    let section =
        trees::viewer(&empty.draw(&Limits::default()).expect("no trees"), &[]).expect("a section");
    assert!(section.html.contains("0 trees."));
}

#[test]
fn a_megabyte_in_one_line_a_null_character_and_a_thousand_turns_survive() {
    let long = long_line(1 << 20);
    let page = page_of(
        vec![tree_of_text(&long), tree_of_text("a\0b\u{202e}c")],
        &[],
    );
    let trees = trees_of(&page);
    assert!(texts(&trees[0], ".instruction p").contains(&format!("0{long}")));
    assert_eq!(
        texts(&trees[1], ".instruction p[dir=auto]")[0],
        "0a␀b⟦RLO⟧c"
    );
    let mut deep = PreferenceTree::new("deep", ultrainteract::Task::Logic, "own", "?")
        .expect("a start")
        .with_max_turns(1000)
        .expect("turns");
    let mut prompt = deep.root();
    for turn in 0..1000 {
        let wrong = deep
            .add_action(prompt, action(&turn.to_string(), Verdict::Incorrect))
            .expect("an action");
        let seen = ultrainteract::Observation::parse("Your answer is wrong.");
        prompt = deep.add_observation(wrong, seen).expect("an observation");
    }
    let page = page_of(vec![deep], &[]);
    assert_eq!(
        trees_of(&page)[0].select(&selector(".nodes > li")).count(),
        1001
    );
}

#[test]
fn the_policy_of_the_page_names_its_own_style_and_script_alone() {
    let page = page_of(vec![grown_tree(1)], &[]);
    let document = Html::parse_document(&page);
    let policy = document
        .select(&selector("meta[http-equiv]"))
        .next()
        .and_then(|it| it.attr("content"));
    let policy = policy.expect("a policy");
    assert!(
        policy.starts_with("default-src 'none'; style-src 'sha256-") && !policy.contains("unsafe"),
        "{policy}"
    );
    let all = selector("*");
    for element in document.select(&all).map(|it| it.value()) {
        for (name, _) in element.attrs() {
            let loads = matches!(
                name,
                "src" | "href" | "srcset" | "data" | "action" | "style"
            );
            assert!(
                !loads && !name.starts_with("on"),
                "{name} of {}",
                element.name()
            );
        }
    }
    let style = document
        .select(&selector("style"))
        .map(text_of)
        .collect::<String>();
    assert!(!style.contains("url(") && !style.contains("@import"));
}
