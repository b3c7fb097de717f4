//! Laws on random trees: records and pair rows lose nothing.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;
use ultrainteract::formats::{self, PairRow};
use ultrainteract::rebuild::{Rebuilder, trees_from_pairs};
use ultrainteract::{
    Action, ActionSource, Message, NodeId, Observation, PreferenceTree, Schema, Task, Verdict,
    derive,
};

/// One attempt to change a tree; the tree refuses what would break an invariant.
#[derive(Debug, Clone)]
enum Step {
    Action {
        parent: usize,
        action: Action,
    },
    Observation {
        parent: usize,
        observation: Observation,
    },
    Pair {
        chosen: usize,
        rejected: usize,
        id: Option<String>,
    },
    Judge {
        node: usize,
        verdict: Verdict,
    },
}

fn text() -> impl Strategy<Value = String> {
    // Few words, so that texts meet again; and everything that JSON must escape.
    prop_oneof![
        4 => prop::sample::select(vec!["a", "b", "c", "Your answer is wrong.", "```python\nx\n```"]).prop_map(String::from),
        1 => "[\\PC\n\t\"\\\\\u{0}é漢😀]{1,12}",
    ]
}

fn verdict() -> impl Strategy<Value = Verdict> {
    prop::sample::select(vec![
        Verdict::Correct,
        Verdict::Incorrect,
        Verdict::Unjudged,
    ])
}

fn action() -> impl Strategy<Value = Action> {
    (text(), verdict(), text(), any::<bool>(), any::<bool>()).prop_map(
        |(text, verdict, actor, code, truth)| Action {
            text,
            verdict,
            actor,
            schema: if code {
                Schema::ModularProgramming
            } else {
                Schema::ChainOfThought
            },
            source: if truth {
                ActionSource::GroundTruth
            } else {
                ActionSource::Sampled
            },
        },
    )
}

fn observation() -> impl Strategy<Value = Observation> {
    (prop::option::of(text()), text(), prop::option::of(text())).prop_map(
        |(execution, feedback, critique)| Observation {
            execution,
            feedback,
            critique,
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    let node = || 0usize..24;
    prop_oneof![
        6 => (node(), action()).prop_map(|(parent, action)| Step::Action { parent, action }),
        4 => (node(), observation()).prop_map(|(parent, observation)| Step::Observation { parent, observation }),
        6 => (node(), node(), prop::option::of("[a-z_0-9]{1,6}")).prop_map(|(chosen, rejected, id)| Step::Pair { chosen, rejected, id }),
        1 => (node(), verdict()).prop_map(|(node, verdict)| Step::Judge { node, verdict }),
    ]
}

fn tree(id: String, steps: Vec<Step>, truth: Option<String>, max_turns: usize) -> PreferenceTree {
    let mut tree = PreferenceTree::new(id, Task::MathPot, "toy", "What?")
        .and_then(|tree| tree.with_max_turns(max_turns))
        .expect("a valid start");
    if let Some(truth) = truth {
        tree = tree.with_ground_truth(truth);
    }
    for step in steps {
        let ids: Vec<NodeId> = tree.nodes().map(|(id, _)| id).collect();
        let at = |index: usize| ids[index % ids.len()];
        // A refusal is fine; that refused steps change nothing is tested below.
        let _ = match step {
            Step::Action { parent, action } => tree.add_action(at(parent), action).map(drop),
            Step::Observation {
                parent,
                observation,
            } => tree.add_observation(at(parent), observation).map(drop),
            Step::Pair {
                chosen,
                rejected,
                id: Some(id),
            } => tree.add_pair_with_id(at(chosen), at(rejected), id),
            Step::Pair {
                chosen,
                rejected,
                id: None,
            } => tree.add_pair(at(chosen), at(rejected)),
            Step::Judge { node, verdict } => tree.judge(at(node), verdict),
        };
    }
    tree
}

fn trees() -> impl Strategy<Value = Vec<PreferenceTree>> {
    let one = (
        prop::collection::vec(step(), 0..60),
        prop::option::of(text()),
        1usize..=5,
    );
    prop::collection::vec(one, 1..4).prop_map(|all| {
        all.into_iter()
            .enumerate()
            .map(|(number, (steps, truth, max))| tree(format!("t{number}"), steps, truth, max))
            .collect()
    })
}

/// A tree as the paper grows it: every turn one rejected action that is expanded, maybe a correct
/// one, maybe more pairs to the same history.
fn grown_tree(id: String, turns: Vec<(u8, bool)>) -> PreferenceTree {
    let mut tree =
        PreferenceTree::new(id, Task::Coding, "toy", "Write it.").expect("a valid start");
    let make = |text: String, verdict| Action {
        text,
        verdict,
        actor: "actor".to_string(),
        schema: Schema::ChainOfThought,
        source: ActionSource::Sampled,
    };
    let mut prompt = tree.root();
    for (turn, (pairs, paired_trunk)) in turns.into_iter().enumerate() {
        let trunk = tree
            .add_action(prompt, make(format!("wrong {turn}"), Verdict::Incorrect))
            .expect("new");
        for pair in 0..pairs {
            let right = tree
                .add_action(prompt, make(format!("right {pair}"), Verdict::Correct))
                .expect("new");
            let wrong = if paired_trunk && pair == 0 {
                trunk
            } else {
                tree.add_action(
                    prompt,
                    make(format!("also wrong {pair}"), Verdict::Incorrect),
                )
                .expect("new")
            };
            tree.add_pair(right, wrong).expect("a pair");
        }
        let seen = Observation {
            execution: Some(format!("{turn}")),
            feedback: "Your answer is wrong.".to_string(),
            critique: None,
        };
        prompt = tree.add_observation(trunk, seen).expect("an open action");
    }
    tree
}

fn pair_row() -> impl Strategy<Value = PairRow> {
    let word = || prop::sample::select(vec!["a", "b", "c"]).prop_map(String::from);
    (
        prop::collection::vec((word(), word()), 0..4),
        (word(), word()).prop_filter("a pair differs", |(chosen, rejected)| chosen != rejected),
        word(),
        "[a-z]{4}_[1-5]_[1-5]",
    )
        .prop_map(|(turns, (chosen, rejected), parent_id, id)| {
            let mut trajectory = vec![Message::user("q")];
            for (action, observation) in turns {
                trajectory.push(Message::assistant(&action));
                trajectory.push(Message::user(&observation));
            }
            PairRow {
                id,
                parent_id,
                task: Task::Logic,
                dataset: "toy".to_string(),
                trajectory,
                chosen,
                rejected,
            }
        })
}

fn counted(rows: &[PairRow]) -> HashMap<&PairRow, usize> {
    let mut counts = HashMap::new();
    for row in rows {
        *counts.entry(row).or_default() += 1;
    }
    counts
}

/// Whether the first list is the second with some items left out.
fn is_subsequence(part: &[PairRow], whole: &[PairRow]) -> bool {
    let mut whole = whole.iter();
    part.iter().all(|row| whole.any(|other| other == row))
}

proptest! {
    #[test]
    fn trees_written_as_records_come_back_the_same(trees in trees()) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trees.jsonl");
        formats::write_jsonl(&path, &trees).unwrap();
        let back: Vec<PreferenceTree> =
            formats::read_jsonl(&path).unwrap().collect::<Result<_, _>>().unwrap();
        prop_assert_eq!(back, trees);
    }

    #[test]
    fn a_refused_step_changes_nothing(steps in prop::collection::vec(step(), 1..40)) {
        let mut done = Vec::new();
        for step in steps {
            let before = tree("t".to_string(), done.clone(), None, 5);
            done.push(step);
            let after = tree("t".to_string(), done.clone(), None, 5);
            let grew = (after.len(), after.pairs().len()) != (before.len(), before.pairs().len());
            let judged = matches!(done.last(), Some(Step::Judge { .. }));
            prop_assert!(grew || judged || before == after);
        }
    }

    #[test]
    fn grown_trees_come_back_from_their_rows_pair_by_pair_in_order(
        shapes in prop::collection::vec(prop::collection::vec((0u8..4, any::<bool>()), 1..=5), 1..6)
    ) {
        let trees: Vec<_> = shapes.into_iter().enumerate()
            .map(|(number, shape)| grown_tree(format!("t{number}"), shape)).collect();
        let rows: Vec<PairRow> = trees.iter().flat_map(derive::pair_rows).collect();
        let mut rebuilder = Rebuilder::new();
        for row in &rows {
            rebuilder.push(row).unwrap();
        }
        prop_assert!(rebuilder.splits().is_empty());
        let rebuilt = rebuilder.finish();
        let back: Vec<PairRow> = rebuilt.iter().flat_map(derive::pair_rows).collect();
        prop_assert_eq!(&back, &rows);
        // Histories are shared: as many nodes as the pairs of the original need, each once.
        for tree in &rebuilt {
            let original = trees.iter().find(|other| other.id() == tree.id()).unwrap();
            let needed: HashSet<NodeId> = original.pairs().iter()
                .flat_map(|pair| [original.path(pair.chosen), original.path(pair.rejected)].concat())
                .collect();
            prop_assert_eq!(tree.len(), needed.len());
        }
    }

    #[test]
    fn any_tree_comes_back_from_its_rows_with_the_same_pairs(trees in trees()) {
        let rows: Vec<PairRow> = trees.iter().flat_map(derive::pair_rows).collect();
        let back: Vec<PairRow> = trees_from_pairs(&rows).unwrap().iter().flat_map(derive::pair_rows).collect();
        prop_assert_eq!(counted(&back), counted(&rows));
    }

    #[test]
    fn any_rows_come_back_from_their_trees_in_order_within_a_tree(rows in prop::collection::vec(pair_row(), 0..30)) {
        let trees = trees_from_pairs(&rows).unwrap();
        let mut back = Vec::new();
        for tree in &trees {
            let derived = derive::pair_rows(tree);
            prop_assert!(is_subsequence(&derived, &rows));
            back.extend(derived);
        }
        prop_assert_eq!(counted(&back), counted(&rows));
    }

    #[test]
    fn rows_written_come_back_the_same(rows in prop::collection::vec(pair_row(), 0..10)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pairs.jsonl");
        formats::write_jsonl(&path, &rows).unwrap();
        let back: Vec<PairRow> = formats::read_jsonl(&path).unwrap().collect::<Result<_, _>>().unwrap();
        prop_assert_eq!(back, rows);
    }
}
