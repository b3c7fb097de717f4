//! Benchmarks of reward models: files as they are published, scores, reports; what is refused and how.

use std::fs;
use std::path::{Path, PathBuf};

use eurus_eval::reward_benches::rewardbench2::{ScoredItem, TiesScore};
use eurus_eval::reward_benches::{
    Response, Rewards, autoj, mtbench, pairs, rewardbench, rewardbench2,
};
use eurus_eval::{Error, terminal};
use proptest::prelude::*;
use tempfile::TempDir;

const REWARDBENCH: &str = r#"{"id": 30, "subset": "llmbar-natural", "prompt": "Add 2 and 2.", "chosen": "4", "rejected": "It is 22."}
{"id": 31, "subset": "hep-rust", "prompt": "One?", "chosen": "fn one() -> u8 { 1 }", "rejected": "2"}
"#;
const REWARDBENCH_2: &str = r#"{"id": "12", "subset": "Math", "prompt": "7 * 6", "chosen": ["42"], "rejected": ["41", "43", "44"], "num_correct": 1}
{"id": "ref:0", "subset": "Ties", "prompt": "The largest planet", "chosen": ["Jupiter"], "rejected": ["Mars"], "num_correct": 1}
{"id": "tied:0", "subset": "Ties", "prompt": "A prime", "chosen": ["2", "3"], "rejected": ["4"], "num_correct": 2}
"#;
const AUTOJ: &str = r#"{"scenario": "math_reasoning", "label": 0, "prompt": "1 + 1", "response 1": "2", "response 2": "3"}
{"scenario": "roleplay", "label": 2, "prompt": "Be a cat.", "response 1": "Meow", "response 2": "Miaow"}
"#;
const MTBENCH: &str = r#"{"question_id": 81, "model_a": "vicuna", "model_b": "alpaca", "winner": "model_a", "judge": "expert_1", "turn": 2, "conversation_a": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}, {"role": "user", "content": "More"}, {"role": "assistant", "content": "Hello there"}], "conversation_b": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yo"}, {"role": "user", "content": "More"}, {"role": "assistant", "content": "Yo"}]}
{"question_id": 81, "model_a": "alpaca", "model_b": "vicuna", "winner": "tie (inconsistent)", "judge": ["gpt-4", "pair-v2"], "turn": 2, "conversation_a": [], "conversation_b": []}
"#;
const PAIRS: &str = r#"{"id": "a", "chosen": 1.5, "rejected": 0.5, "subset": "math", "turn": 1, "chosen_length": 9, "rejected_length": 4}
{"id": "b", "chosen": -1, "rejected": 0.5, "subset": "code", "turn": 2, "chosen_length": 3, "rejected_length": 4}
{"id": "c", "chosen": 0.25, "rejected": 0, "subset": "code", "turn": 2, "chosen_length": 3, "rejected_length": 4}
"#;

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// Rewards of responses by the length of their text.
    fn longer_is_better(&self, responses: &[Response]) -> Rewards {
        let rows = responses.iter().map(|response| {
            let length = response.messages.last().unwrap().content.len();
            format!("{{\"id\": \"{}\", \"reward\": {length}}}\n", response.id)
        });
        let path = self.file("rewards.jsonl", &rows.collect::<String>());
        Rewards::read(&path).unwrap()
    }
}

fn ties(items: &[(&str, usize, &[f64])]) -> TiesScore {
    let item = |&(id, num_correct, scores): &(&str, usize, &[f64])| ScoredItem {
        id: id.to_owned(),
        subset: "Ties".to_owned(),
        num_correct,
        scores: scores.to_vec(),
    };
    let items: Vec<ScoredItem> = items.iter().map(item).collect();
    rewardbench2::evaluate(&items).unwrap().ties.unwrap()
}

/// The expected numbers are those of `process_single_model` of the package `rewardbench` 0.1.4 on the same scores.
#[test]
fn the_composite_of_ties_is_that_of_the_published_package() {
    let three: &[(&str, usize, &[f64])] = &[
        ("ref:0", 1, &[2.0, 1.0, 0.5]),
        ("tied:0", 3, &[1.5, 1.25, 1.0, 0.25, -1.0]),
        ("ref:1", 1, &[0.5, 0.75]),
        ("tied:1", 2, &[3.0, 1.0, 0.5]),
        ("ref:2", 1, &[4.0, 0.0]),
        ("tied:2", 2, &[1.0, 1.0, 0.25]),
    ];
    let without_reference: &[(&str, usize, &[f64])] = &[("tied:3", 2, &[1.0, 2.0, 1.0])];
    let without_spread: &[(&str, usize, &[f64])] =
        &[("ref:4", 1, &[1.0, 1.0]), ("tied:4", 1, &[1.0, -2.0])];
    let perfect: &[(&str, usize, &[f64])] =
        &[("ref:7", 1, &[9.0, 0.0]), ("tied:7", 2, &[3.0, 3.5, -9.0])];
    let cases = [
        (three.to_vec(), 0.7649307471019577),
        ([three, without_reference].concat(), 0.6899307471019577),
        (
            [three, without_reference, without_spread].concat(),
            0.6549307471019578,
        ),
        (vec![("ref:0", 1, &[1.0, 0.0][..])], 0.3),
        (vec![("tied:0", 2, &[1.0, 0.5, 0.0][..])], 0.3),
        (perfect.to_vec(), 1.01),
    ];
    for (items, right) in cases {
        let got = ties(&items).composite();
        assert!((got - right).abs() < 1e-12, "{got} instead of {right}");
    }
}

#[test]
fn sharing_the_top_with_others_earns_a_share() {
    for (scores, credit) in [
        ([1.0, 0.0, 0.0, 0.0], 1.0),
        ([1.0, 1.0, 0.0, 0.0], 0.5),
        ([1.0, 1.0, 1.0, 1.0], 0.25),
        ([1.0, 2.0, 0.0, 0.0], 0.0),
    ] {
        let item = ScoredItem {
            id: "1".to_owned(),
            subset: "Focus".to_owned(),
            num_correct: 1,
            scores: scores.to_vec(),
        };
        let report = rewardbench2::evaluate(&[item]).unwrap();
        assert_eq!(report.average, credit, "{scores:?}");
    }
}

#[test]
fn published_rewardbench_is_read_scored_and_judged() {
    let folder = Folder::new();
    let items = rewardbench::read(&folder.file("rb.jsonl", REWARDBENCH)).unwrap();
    let responses: Vec<Response> = items
        .iter()
        .flat_map(rewardbench::Item::responses)
        .collect();
    assert_eq!(responses[0].id, "llmbar-natural/30/chosen");
    let rewards = folder.longer_is_better(&responses);
    let scored: Vec<_> = items
        .iter()
        .map(|item| item.scored(&rewards).unwrap())
        .collect();
    let report = rewardbench::evaluate(&scored).unwrap();
    let scores: Vec<f64> = report.sections.values().copied().collect();
    assert_eq!(scores, [0.0, 1.0], "Chat Hard and Reasoning");
    assert_eq!(report.average, None, "two sections are missing");
    assert_eq!(report.subsets[0].length_only_accuracy.unwrap().mean, 0.0);
    let reasoning = report.section_interval(rewardbench::Section::Reasoning);
    assert!(reasoning.unwrap().contains(1.0) && !reasoning.unwrap().contains(0.0));
    assert_eq!(report.section_interval(rewardbench::Section::Safety), None);
    assert_eq!(report.average_interval(), None);
    assert!(terminal::render(&report.table("RewardBench")).contains("hep-rust"));
}

#[test]
fn published_rewardbench_2_is_read_scored_and_judged() {
    let folder = Folder::new();
    let items = rewardbench2::read(&folder.file("rb2.jsonl", REWARDBENCH_2)).unwrap();
    let responses: Vec<Response> = items
        .iter()
        .flat_map(rewardbench2::Item::responses)
        .collect();
    assert_eq!(responses.len(), 9);
    let rewards = folder.longer_is_better(&responses);
    let scored: Vec<_> = items
        .iter()
        .map(|item| item.scored(&rewards).unwrap())
        .collect();
    let report = rewardbench2::evaluate(&scored).unwrap();
    assert_eq!(report.subsets["Math"], 0.25, "all four are as long");
    assert_eq!(report.ties.unwrap().reference_accuracy, 1.0);
    assert!(report.intervals["Math"].contains(0.25));
    assert!(
        !report.intervals.contains_key("Ties"),
        "a composite has none"
    );
    assert!(terminal::render(&report.table("RewardBench 2")).contains("Ties"));
}

#[test]
fn published_autoj_is_read_scored_and_judged() {
    let folder = Folder::new();
    let items = autoj::read(&folder.file("autoj.jsonl", AUTOJ)).unwrap();
    let responses: Vec<Response> = items.iter().flat_map(autoj::Item::to_score).collect();
    let rewards = folder.longer_is_better(&responses);
    let scored: Vec<_> = items
        .iter()
        .map(|item| item.scored(&rewards).unwrap())
        .collect();
    let sweep = autoj::sweep(&scored).unwrap();
    assert_eq!(sweep.overall.len(), 201);
    assert_eq!(
        sweep.overall[0],
        (0.0, 0.0),
        "a tie where there is a winner, and the reverse"
    );
    assert_eq!((sweep.best_threshold, sweep.best.overall.agreed), (1.0, 1));
    let columns = sweep.best.paper_columns();
    assert_eq!((columns.math, columns.others), (Some(0.0), None));
    assert!(terminal::render(&sweep.best.table("AutoJ")).contains("Exam Questions"));
}

#[test]
fn published_votes_are_read_scored_and_compared() {
    let folder = Folder::new();
    let path = folder.file("mtbench.jsonl", MTBENCH);
    let votes = mtbench::Vote::read(&path).unwrap();
    assert_eq!(votes[1].winner, mtbench::Winner::Tie);
    assert_eq!(votes[1].judge, "gpt-4 pair-v2");
    let responses = mtbench::read_responses(&path).unwrap();
    let lengths: Vec<usize> = responses.iter().map(|r| r.messages.len()).collect();
    assert_eq!(lengths, [4, 4], "each answer once, with what came before");
    let rewards = folder.longer_is_better(&responses);
    for (threshold, agreed) in [(0.0, 1), (100.0, 0)] {
        let judge = mtbench::vote_by_rewards(&votes, &rewards, threshold).unwrap();
        assert_eq!(judge.len(), 1, "one vote on one pair of answers");
        let report = mtbench::agreement(&votes, &judge).unwrap();
        assert_eq!(report.with_ties[&2].judge_human.agreed, agreed);
        assert_eq!(report.without_ties[&2].judge_human.total, agreed);
        assert!(terminal::render(&report.table("MT-Bench")).contains("left out"));
    }
}

#[test]
fn pairs_are_counted_by_subset_and_turn_beside_length() {
    let folder = Folder::new();
    let pairs = pairs::read(&folder.file("pairs.jsonl", PAIRS)).unwrap();
    let report = pairs::evaluate(&pairs).unwrap();
    let named = |groups: &[pairs::PairGroup]| -> Vec<(String, f64)> {
        let group = |group: &pairs::PairGroup| (group.name.clone(), group.accuracy.mean);
        groups.iter().map(group).collect()
    };
    assert_eq!(
        named(&report.subsets),
        [("code".into(), 0.5), ("math".into(), 1.0)]
    );
    assert_eq!(named(&report.turns), [("1".into(), 1.0), ("2".into(), 0.5)]);
    assert_eq!(report.overall.length_only_accuracy.unwrap().mean, 1.0 / 3.0);
    assert!(report.overall.interval.contains(2.0 / 3.0));
    assert!(terminal::render(&report.table("Pairs")).contains("turn 2"));
}

#[test]
fn rows_are_read_from_lines_one_array_and_a_compressed_file() {
    let folder = Folder::new();
    let lines = rewardbench::read(&folder.file("rows.jsonl", REWARDBENCH)).unwrap();
    let rows: Vec<&str> = REWARDBENCH.lines().filter(|row| !row.is_empty()).collect();
    let array = folder.file("rows.json", &format!("[{}]", rows.join(",\n")));
    assert_eq!(rewardbench::read(&array).unwrap(), lines);
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut packed, REWARDBENCH.as_bytes()).unwrap();
    let path = folder.file("rows.jsonl.gz", "");
    std::fs::write(&path, packed.finish().unwrap()).unwrap();
    assert_eq!(rewardbench::read(&path).unwrap(), lines);
}

#[test]
fn bad_rows_are_named_by_file_row_and_field() {
    let folder = Folder::new();
    let refused = |read: fn(&Path) -> Result<(), Error>, text: &str, what: &str| {
        let error = read(&folder.file("bad.jsonl", text))
            .unwrap_err()
            .to_string();
        assert!(error.contains(what), "{error}");
        assert!(error.contains("bad.jsonl"), "{error}");
    };
    let rewards = |path: &Path| Rewards::read(path).map(drop);
    refused(
        rewards,
        "{\"id\": \"a\", \"reward\": 1}\n{\"id\": \"b\", \"reward\": null}",
        "row 2",
    );
    refused(
        rewards,
        "{\"id\": \"a\", \"reward\": null}",
        "field `reward` is no finite number",
    );
    refused(
        rewards,
        "{\"id\": \"a\", \"reward\": \"nan\"}",
        "field `reward` is no finite number",
    );
    refused(
        rewards,
        "{\"id\": \"a\", \"reward\": NaN}",
        "NaN is no JSON",
    );
    refused(
        rewards,
        "{\"id\": 1, \"reward\": 1}\n{\"id\": 1, \"reward\": 1}",
        "`1` a second time",
    );
    refused(rewards, "[1]", "is no JSON object");
    let rewardbench = |path: &Path| rewardbench::read(path).map(drop);
    refused(
        rewardbench,
        &REWARDBENCH.replace("hep-rust", "hep-rush"),
        "did you mean `hep-rust`?",
    );
    refused(
        rewardbench,
        &REWARDBENCH.replace("\"chosen\"", "\"good\""),
        "field `chosen` is missing",
    );
    let rewardbench2 = |path: &Path| rewardbench2::read(path).map(drop);
    refused(
        rewardbench2,
        &REWARDBENCH_2.replace("tied:0", "many:0"),
        "`ref:N` nor `tied:N`",
    );
    refused(
        rewardbench2,
        &REWARDBENCH_2.replace("[\"2\", \"3\"]", "[]"),
        "field `chosen` is no list",
    );
    refused(
        rewardbench2,
        &REWARDBENCH_2.replace("rect\": 2", "rect\": 3"),
        "is 3 where `chosen` has 2",
    );
    let autoj = |path: &Path| autoj::read(path).map(drop);
    refused(
        autoj,
        &AUTOJ.replace("roleplay", "role_play"),
        "unknown scenario `role_play`",
    );
    refused(
        autoj,
        &AUTOJ.replace("\"label\": 2", "\"label\": 3"),
        "none of 0, 1 and 2",
    );
    let mtbench = |path: &Path| mtbench::read_responses(path).map(drop);
    refused(
        mtbench,
        &MTBENCH.replace("\"turn\": 2", "\"turn\": 3"),
        "has no answer of turn 3",
    );
    refused(
        mtbench,
        &MTBENCH.replace("\"turn\": 2", "\"turn\": 0"),
        "turns are counted from 1",
    );
    let missing = Rewards::read(&folder.0.path().join("none.jsonl")).unwrap_err();
    assert!(missing.to_string().contains("cannot open"), "{missing}");
    let empty = folder.longer_is_better(&[]);
    let error = empty.get("30/chosen").unwrap_err().to_string();
    assert!(error.contains("has no reward of `30/chosen`"), "{error}");
}

proptest! {
    // Every reader meets every published form with one byte changed.
    #[test]
    fn damaged_files_are_read_or_refused(at in any::<prop::sample::Index>(), byte in 32u8..127, form in 0usize..5) {
        let folder = Folder::new();
        let mut text = [REWARDBENCH, REWARDBENCH_2, AUTOJ, MTBENCH, PAIRS][form].as_bytes().to_vec();
        let place = at.index(text.len());
        text[place] = byte;
        let path = folder.file("damaged.jsonl", &String::from_utf8(text).unwrap());
        let _ = Rewards::read(&path);
        let _ = rewardbench::read(&path);
        let _ = rewardbench2::read(&path);
        let _ = autoj::read(&path);
        let _ = mtbench::Vote::read(&path);
        let _ = mtbench::read_responses(&path);
        if let Ok(read) = pairs::read(&path) {
            let _ = pairs::evaluate(&read);
        }
    }

    #[test]
    fn a_constant_added_to_all_scores_changes_no_verdict(scores in prop::collection::vec((-40i32..40, -40i32..40), 1..30), constant in -100i32..100) {
        let pairs = |constant: i32| -> Vec<pairs::ScoredPair> {
            scores.iter().enumerate().map(|(index, (chosen, rejected))| pairs::ScoredPair {
                id: index.to_string(),
                subset: Some("math-prm".to_owned()),
                turn: None,
                chosen: f64::from(chosen + constant),
                rejected: f64::from(rejected + constant),
                lengths: None,
            }).collect()
        };
        prop_assert_eq!(rewardbench::evaluate(&pairs(0)).unwrap(), rewardbench::evaluate(&pairs(constant)).unwrap());
    }
}
