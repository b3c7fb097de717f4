//! Data in and out: parsing, rebuilding trees, counting, deriving, decontaminating.
//!
//! The workload is 2,000 made-up problems of one to five turns, about 20 MB of pair rows. Run with
//! `cargo bench -p eurus-benches --bench ultrainteract`.

#![allow(missing_docs)] // criterion's macros make undocumented functions

use std::hint::black_box;
use std::path::PathBuf;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ultrainteract::Message;
use ultrainteract::decontaminate::{Rules, TestItem, TestSet};
use ultrainteract::derive::{self, Augmentation};
use ultrainteract::formats::{Format, PairRow};
use ultrainteract::stats::{Contribution, StatsBuilder, pieces};
use ultrainteract::validate::{self, Limits};
use ultrainteract::{PreferenceTree, Task, formats, input, rebuild};

const PROBLEMS: usize = 2000;

/// Words that differ from each other and from run to run of this function's counter.
fn text(number: usize, words: usize) -> String {
    const WORDS: [&str; 16] = [
        "step",
        "the",
        "number",
        "of",
        "apples",
        "is",
        "multiply",
        "by",
        "then",
        "add",
        "seven",
        "and",
        "divide",
        "answer",
        "\\frac{1}{2}",
        "print(x)",
    ];
    let mut state = number as u64;
    let mut out = String::new();
    for _ in 0..words {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        out.push_str(WORDS[(state >> 60) as usize]);
        out.push(' ');
    }
    out + &number.to_string()
}

fn rows() -> Vec<PairRow> {
    let mut rows = Vec::new();
    for problem in 0..PROBLEMS {
        let mut trajectory = vec![Message::user(text(problem, 80))];
        let turns = 1 + problem % 5;
        for turn in 1..=turns {
            let number = problem * 10 + turn;
            let rejected = text(number + 1_000_000, 150);
            rows.push(PairRow {
                id: format!("p{problem}_{turns}_{turn}"),
                parent_id: format!("p{problem}"),
                task: Task::ALL[problem % 4],
                dataset: "made-up".to_string(),
                trajectory: trajectory.clone(),
                chosen: text(number, 150),
                rejected: rejected.clone(),
            });
            trajectory.push(Message::assistant(rejected));
            trajectory.push(Message::user(text(number + 2_000_000, 60)));
        }
    }
    rows
}

fn data(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let rows = rows();
    let file = |name: &str| -> PathBuf { folder.path().join(name) };
    formats::write_jsonl(file("pairs.jsonl"), &rows).expect("room for the rows");
    formats::write_jsonl(file("pairs.jsonl.zst"), &rows).expect("room for the rows");
    let bytes = std::fs::metadata(file("pairs.jsonl")).map_or(0, |metadata| metadata.len());
    let trees: Vec<PreferenceTree> = rebuild::trees_from_pairs(&rows).expect("good rows");

    let mut group = criterion.benchmark_group("pairs_20mb");
    group.sample_size(10).throughput(Throughput::Bytes(bytes));
    for name in ["pairs.jsonl", "pairs.jsonl.zst"] {
        group.bench_function(format!("read/{name}"), |bencher| {
            bencher.iter(|| {
                input::read(vec![file(name)], |record| Format::Pair.parse(record))
                    .filter(Result::is_ok)
                    .count()
            });
        });
    }
    group.bench_function("validate", |bencher| {
        bencher.iter(|| {
            let read = Default::default();
            validate::files(
                vec![file("pairs.jsonl")],
                Format::Pair,
                Limits::default(),
                &read,
                drop,
            )
        });
    });
    group.bench_function("rebuild_and_count", |bencher| {
        bencher.iter(|| {
            let mut stats = StatsBuilder::default();
            let files = vec![file("pairs.jsonl")];
            let problems =
                rebuild::problems(files, Format::Pair, Limits::default()).expect("pairs");
            for parts in
                problems.parallel_map(|problem| Contribution::of_problem(&problem, &pieces))
            {
                for part in parts.expect("a disk") {
                    stats.add(part).expect("a disk");
                }
            }
            black_box(stats.finish().expect("a disk").table1())
        });
    });
    group.finish();

    let mut group = criterion.benchmark_group("trees_2000");
    group.throughput(Throughput::Elements(trees.len() as u64));
    group.bench_function("pair_rows", |bencher| {
        bencher.iter(|| {
            trees
                .iter()
                .map(|tree| derive::pair_rows(tree).len())
                .sum::<usize>()
        });
    });
    group.bench_function("augment", |bencher| {
        let settings = Augmentation::default();
        bencher.iter(|| {
            trees
                .iter()
                .map(|tree| derive::augment(tree, &settings).len())
                .sum::<usize>()
        });
    });
    group.bench_function("pieces", |bencher| {
        bencher.iter(|| {
            trees
                .iter()
                .map(|tree| pieces(tree.instruction()))
                .sum::<usize>()
        });
    });
    let items = |count: usize| -> Vec<TestItem> {
        (0..count)
            .map(|number| TestItem {
                location: String::new(),
                text: text(number + 9_000_000, 60),
            })
            .collect()
    };
    for (name, rules) in [
        ("paper", Rules::default()),
        (
            "near_duplicates",
            Rules {
                ngram: None,
                substring: None,
                near_duplicate: Some(0.8),
            },
        ),
    ] {
        let tests = TestSet::new(items(10_000), rules).expect("rules in range");
        group.bench_function(format!("decontaminate_10000/{name}"), |bencher| {
            bencher.iter(|| {
                trees
                    .iter()
                    .filter(|tree| tests.find(tree.instruction()).is_some())
                    .count()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, data);
criterion_main!(benches);
