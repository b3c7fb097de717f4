//! Preference trees from problems of your own, with the parts that make them: actors, an environment that runs their code, a
//! critic.
//!
//! Run it with `cargo run --release --example build_trees`. A few seconds; it needs Python 3.8 or newer. The actors are functions
//! with fixed answers, so that you see the same trees every time: a pupil who errs, and learns from what it is told, and a tutor who
//! is asked where the pupil has nothing right. Put a checkpoint (`eurus_models::LocalChatModel`) or a server
//! (`chat_model::OpenAiClient`) in their place, and nothing else changes; `eurus synth` is that with a store and a budget.

use anyhow::{Result, ensure};
use chat_model::{ChatRequest, Completion, FnModel};
use code_interpreter::{Limits, Python};
use ultrainteract::derive::{pair_rows, sft_rows};
use ultrainteract::{NodeId, PreferenceTree, Verdict};
use ultrainteract_synth::{
    Fallback, Problem, PythonEnvironment, RuleCritic, SynthConfig, Team, TreeBuilder,
};

/// One problem a line, as `read_problems` reads them from a file.
const PROBLEMS: &str = r#"
{"id": "apples", "task": "Math_CoT", "instruction": "Tom has 7 bags of 3 apples and eats 2. How many are left?", "answer": 19}
{"id": "legs", "task": "Logic", "instruction": "Which has six legs?\n(A) spider\n(B) ant", "choices": ["spider", "ant"], "answer": "B"}
{"id": "double", "task": "Coding", "instruction": "Write double(x), twice x.", "asserts": "assert double(2) == 4\nassert double(-3) == -6", "entry_point": "double"}
"#;

/// What the pupil answers at a turn, sample by sample.
fn pupil(request: &ChatRequest) -> Vec<&'static str> {
    let asked = &request.messages[0].content;
    // A conversation has the instruction, then an action and an observation for each turn that went wrong.
    let turn = 1 + request.messages.len() / 2;
    match (asked.contains("apples"), asked.contains("legs"), turn) {
        (true, _, 1) => vec![
            "Step 1: 7 + 3 = 10. Step 2: 10 - 2 = 8.\nAnswer:\n\\boxed{8}",
            "Step 1: 7 * 3 = 21.\nAnswer:\n\\boxed{21}",
        ],
        (true, ..) => vec![
            "Step 1: count them.\n```python\nleft = 7 * 3 - 2\nprint(left)\n```",
            "Step 1: 7 * 2 = 14.\nAnswer:\n\\boxed{14}",
        ],
        (_, true, _) => vec![
            "Step 1: A spider has eight legs, an ant has six.\nAnswer:\n\\boxed{B}",
            "Step 1: A spider has six legs.\nAnswer:\n\\boxed{A}",
        ],
        _ => vec!["```python\ndef double(x):\n    return x ** 2\n```"],
    }
}

/// What the tutor answers: the right thing.
fn tutor(request: &ChatRequest) -> Vec<&'static str> {
    if request.messages[0].content.contains("apples") {
        return vec!["Step 1: 7 * 3 = 21. Step 2: 21 - 2 = 19.\nAnswer:\n\\boxed{19}"];
    }
    vec!["```python\ndef double(x):\n    return 2 * x\n```"]
}

/// Takes as many of these texts as a request asks for, over and over.
fn samples(texts: &[&str], request: &ChatRequest) -> Vec<Completion> {
    let texts = texts.iter().cycle().take(request.samples);
    texts.map(|text| Completion::stopped(*text)).collect()
}

/// A tree as lines, each node below what it answers.
#[allow(clippy::print_stdout, reason = "an example shows what it did")]
fn print_tree(tree: &PreferenceTree, node: NodeId, depth: usize) {
    let sign = match tree.node(node).action().map(|action| action.verdict) {
        Some(Verdict::Correct) => "+ ",
        Some(Verdict::Incorrect) => "- ",
        Some(_) => "? ",
        None => "",
    };
    let indent = "    ".repeat(depth);
    for (line, text) in tree.node(node).text().lines().enumerate() {
        let sign = if line == 0 { sign } else { "  " };
        println!("{indent}{sign}{text}");
    }
    for &child in tree.children(node) {
        print_tree(tree, child, depth + 1);
    }
}

#[allow(clippy::print_stdout, reason = "an example shows what it did")]
fn main() -> Result<()> {
    let problems: Vec<Problem> = PROBLEMS
        .trim()
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?;

    let pupil = FnModel::new("pupil", |request| Ok(samples(&pupil(request), request)));
    let tutor = FnModel::new("tutor", |request| Ok(samples(&tutor(request), request)));
    let team = Team {
        stronger: vec![&tutor],
        ..Team::new(&pupil)
    };
    let config = SynthConfig {
        samples_per_turn: 4,
        max_turns: 2,
        fallback: Fallback::Never,
        ..SynthConfig::default()
    };

    // Code of models runs in the best sandbox that this machine gives.
    let environment = PythonEnvironment::start(&Python::find()?, Limits::default(), 2)?;
    let builder = TreeBuilder::new(config, team, &environment, &RuleCritic)?;
    let build = builder.build(&problems, &|_event| {})?;

    for tree in &build.trees {
        println!(
            "\n{} (turns: {}, pairs: {})",
            tree.id(),
            tree.turns(),
            tree.pairs().len()
        );
        print_tree(tree, tree.root(), 0);
    }
    let pairs: usize = build.trees.iter().map(|tree| pair_rows(tree).len()).sum();
    let imitated: usize = build.trees.iter().map(|tree| sft_rows(tree).len()).sum();
    let total = build.stats.total();
    println!(
        "\n{} trees: {pairs} pair rows, {imitated} SFT rows. Of {} sampled actions {} were right and {} wrong; \
         the tutor was needed {} times.",
        build.trees.len(),
        total.sampled,
        total.correct,
        total.incorrect,
        total.escalated
    );
    ensure!(
        build.trees.len() == 3 && pairs >= 3,
        "a problem came to nothing"
    );
    Ok(())
}
