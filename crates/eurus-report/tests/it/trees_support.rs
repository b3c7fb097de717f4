//! Trees and scores to look at.

use std::fmt::Write as _;
use std::path::Path;

use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use scraper::{ElementRef, Html, Selector};
use serde_json::json;
use ultrainteract::formats::write_jsonl;
use ultrainteract::{
    Action, ActionSource, NodeId, Observation, PreferenceTree, Schema, Task, Verdict,
};

const WORDS: [&str; 24] = [
    "the", "number", "of", "apples", "is", "the", "sum", "over", "all", "baskets", "so", "we",
    "add", "what", "each", "has", "and", "take", "away", "those", "that", "were", "eaten", "first",
];

/// A tree as the paper grows them: right and wrong actions to a history, a wrong one expanded.
pub fn grown_tree(seed: u64) -> PreferenceTree {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let task = Task::ALL[random.random_range(0..4)];
    let dataset = ["gsm8k", "MATH", "taco", "reclor"][random.random_range(0..4)];
    let instruction = format!("Problem {seed}. {}?", prose(&mut random, 60));
    let mut tree = PreferenceTree::new(format!("problem-{seed}"), task, dataset, instruction)
        .expect("a start")
        .with_ground_truth(random.random_range(0..1000).to_string());
    let mut prompt = tree.root();
    for turn in 1..=random.random_range(1..=4) {
        let wrong = tree
            .add_action(prompt, grown_action(&mut random, turn, Verdict::Incorrect))
            .expect("an action");
        if random.random_bool(0.7) {
            let right = tree
                .add_action(prompt, grown_action(&mut random, turn, Verdict::Correct))
                .expect("an action");
            tree.add_pair(right, wrong).expect("a pair");
        }
        if random.random_bool(0.2) {
            let text = format!("Perhaps {}.", prose(&mut random, 20));
            tree.add_action(prompt, action(&text, Verdict::Unjudged))
                .expect("an action");
        }
        let observation = Observation {
            execution: Some(format!("{}\n", random.random_range(0..1000))),
            feedback: "Your answer is wrong.".to_owned(),
            critique: Some(format!("Look again: {}.", prose(&mut random, 40))),
        };
        prompt = tree
            .add_observation(wrong, observation)
            .expect("an observation");
    }
    tree
}

fn grown_action(random: &mut ChaCha8Rng, turn: usize, verdict: Verdict) -> Action {
    let (first, second) = (prose(random, 40), prose(random, 30));
    let (a, b) = (random.random_range(0..100), random.random_range(0..100));
    let text = format!(
        "Step 1: {first}.\n```python\n# Step {turn}: {second}\napples = {a} + {b}\nprint(f\"<b>{{apples}}</b>\")\n```\nAnswer: {}",
        a + b
    );
    Action {
        schema: Schema::ModularProgramming,
        ..action(&text, verdict)
    }
}

fn prose(random: &mut ChaCha8Rng, words: usize) -> String {
    let words: Vec<&str> = (0..words)
        .map(|_| WORDS[random.random_range(0..WORDS.len())])
        .collect();
    words.join(" ")
}

pub fn action(text: &str, verdict: Verdict) -> Action {
    Action {
        text: text.to_owned(),
        verdict,
        actor: "small-actor".to_owned(),
        schema: Schema::ChainOfThought,
        source: ActionSource::Sampled,
    }
}

/// A tree in which every text is `text` with a number before it: the instruction has 0, the others follow in the order of
/// their nodes.
pub fn tree_of_text(text: &str) -> PreferenceTree {
    let mut tree =
        PreferenceTree::new(format!("id {text}"), Task::Coding, text, format!("0{text}"))
            .expect("a start")
            .with_ground_truth(text);
    let with = |number: usize, verdict| Action {
        actor: text.to_owned(),
        ..action(&format!("{number}{text}"), verdict)
    };
    let wrong = tree
        .add_action(tree.root(), with(1, Verdict::Incorrect))
        .expect("an action");
    let observation = Observation {
        execution: Some(format!("2{text}")),
        feedback: format!("3{text}"),
        critique: Some(format!("4{text}")),
    };
    let observation = tree
        .add_observation(wrong, observation)
        .expect("an observation");
    tree.add_action(observation, with(5, Verdict::Correct))
        .expect("an action");
    tree
}

/// Trees of any shape and text.
pub fn any_tree() -> impl Strategy<Value = PreferenceTree> {
    let text = prop_oneof![any::<String>(), "[<>&\"'/a-c`\n]{0,40}"];
    let step = (any::<prop::sample::Index>(), text.clone(), 0usize..3);
    (text, prop::collection::vec(step, 0..14)).prop_map(|(first, steps)| {
        let mut tree = PreferenceTree::new("t", Task::Logic, first.clone(), format!("?{first}"))
            .expect("a start")
            .with_max_turns(20)
            .expect("turns");
        for (parent, text, verdict) in steps {
            let parent = NodeId::ROOT.index() + parent.index(tree.len());
            let (parent, node) = tree.nodes().nth(parent).expect("a node");
            let verdicts = [Verdict::Correct, Verdict::Incorrect, Verdict::Unjudged];
            // What may not stand there is not added.
            let _ = match node.action() {
                Some(_) => {
                    tree.add_observation(parent, Observation::parse(&format!("Out: {text}")))
                }
                None => tree.add_action(parent, action(&format!("!{text}"), verdicts[verdict])),
            };
        }
        tree
    })
}

/// Writes scores of trees as `eurus score` does: rewards that mostly agree with the verdicts, and log-ratios.
pub fn write_scores<'a>(
    path: &Path,
    trees: impl IntoIterator<Item = &'a PreferenceTree>,
    seed: u64,
) {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let rows = trees.into_iter().map(|tree| {
        let actions = tree.nodes().filter_map(|(id, node)| Some((id, node.action()?)));
        let nodes = actions.map(|(id, action)| {
            let mean = if action.verdict == Verdict::Correct { 1.2 } else { -1.2 };
            json!({
                "name": id.to_string(), "verdict": action.verdict,
                "reward": mean + random.random_range(-2.0..2.0), "log_ratio": 4.0 * mean + random.random_range(-8.0..8.0),
            })
        });
        json!({"id": tree.id(), "nodes": nodes.collect::<Vec<_>>()})
    });
    write_jsonl(path, rows.collect::<Vec<_>>()).expect("scores");
}

/// The trees of a page as a browser makes them of it where scripts do not run.
pub fn trees_of(page: &str) -> Vec<Html> {
    let document = Html::parse_document(page);
    let source = selector("noscript");
    let sources = document.select(&source);
    sources
        .map(|source| Html::parse_fragment(&source.text().collect::<String>()))
        .collect()
}

pub fn selector(text: &str) -> Selector {
    Selector::parse(text).expect("a selector")
}

pub fn text_of(element: ElementRef<'_>) -> String {
    element.text().collect()
}

/// A text in one line, as wide as it gets.
pub fn long_line(characters: usize) -> String {
    let mut line = String::with_capacity(characters);
    while line.len() < characters {
        let _ = write!(line, "{},", line.len());
    }
    line.truncate(characters);
    line
}
