//! Mixtures: the right amounts, from a seed, and again from the manifest.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use ultrainteract::formats::Format;
use ultrainteract::input;
use ultrainteract::mix::{Amount, Manifest, Mixture, Preset, Source};
use ultrainteract::output::Output;

/// A file of `rows` rows whose questions say which file and row they are.
fn write(folder: &Path, name: &str, rows: usize) -> PathBuf {
    let lines: String = (0..rows)
        .map(|row| format!("{{\"question\": \"{name} {row}\", \"response\": \"ok\"}}\n"))
        .collect();
    let path = folder.join(format!("{name}.jsonl"));
    std::fs::write(&path, lines).unwrap();
    path
}

fn instructions(path: &Path) -> Vec<String> {
    input::read(vec![path.to_path_buf()], |record| {
        Format::TrlMessages.parse(record)
    })
    .map(|record| {
        record
            .map_err(|rejected| rejected.error)
            .unwrap()
            .value
            .instruction()
            .to_string()
    })
    .collect()
}

fn mixture(sources: Vec<Source>, seed: u64) -> Mixture {
    Mixture {
        format: Format::TrlMessages,
        sources,
        seed,
        repeats: false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn amounts_are_kept_and_no_row_comes_twice(
        a in 1usize..60, b in 1usize..60, count in 0usize..60, share in 0.01f64..1.0, seed in any::<u64>()
    ) {
        let folder = tempfile::tempdir().unwrap();
        let count = count.min(a);
        let sources = vec![
            Source::new("a", vec![write(folder.path(), "a", a)], Amount::Count(count)),
            Source::new("b", vec![write(folder.path(), "b", b)], Amount::Share(share)),
        ];
        let out = folder.path().join("mix.jsonl");
        let manifest = mixture(sources, seed).write(&out, &Default::default()).unwrap();
        let rows = instructions(&out);
        let of = |name: &str| rows.iter().filter(|row| row.starts_with(name)).count();
        prop_assert_eq!(of("a"), count);
        prop_assert_eq!(of("b"), (share * b as f64).round() as usize);
        let mut different = rows.clone();
        different.sort();
        different.dedup();
        prop_assert_eq!(different.len(), rows.len());
        // The manifest says which row stands where.
        for (row, (source, number)) in rows.iter().zip(&manifest.order) {
            prop_assert_eq!(row, &format!("{} {number}", manifest.sources[*source as usize].name));
        }
    }

    #[test]
    fn ratios_are_as_large_as_the_scarcest_source_allows(a in 1usize..80, b in 1usize..80, x in 1u8..6, y in 1u8..6) {
        let folder = tempfile::tempdir().unwrap();
        let (x, y) = (f64::from(x), f64::from(y));
        let sources = vec![
            Source::new("a", vec![write(folder.path(), "a", a)], Amount::Ratio(x)),
            Source::new("b", vec![write(folder.path(), "b", b)], Amount::Ratio(y)),
        ];
        let manifest = mixture(sources, 0).write(&folder.path().join("m.jsonl"), &Default::default()).unwrap();
        let taken: Vec<f64> = manifest.sources.iter().map(|source| source.taken as f64).collect();
        prop_assert!((taken[0] / x - taken[1] / y).abs() <= 1.0 / x.min(y));
        prop_assert!(taken[0] as usize == a || taken[1] as usize == b);
    }
}

#[test]
fn the_same_seed_gives_the_same_mixture_and_another_one_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let sources = vec![
        Source::new("a", vec![write(folder.path(), "a", 100)], Amount::Count(50)),
        Source::new("b", vec![write(folder.path(), "b", 100)], Amount::All),
    ];
    let make = |name: &str, seed| {
        let out = folder.path().join(name);
        let manifest = mixture(sources.clone(), seed)
            .write(&out, &Default::default())
            .unwrap();
        (manifest.sha256, instructions(&out))
    };
    let first = make("1.jsonl", 5);
    assert_eq!(first, make("2.jsonl", 5));
    assert_ne!(first.1, make("3.jsonl", 6).1);
    assert_eq!(
        first,
        make("4.jsonl.zst", 5),
        "the digest is that of the rows"
    );
}

#[test]
fn a_manifest_makes_the_mixture_again_and_sees_changed_files() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let sources = vec![Source::new(
        "a",
        vec![write(folder.path(), "a", 30)],
        Amount::Count(7),
    )];
    let manifest = mixture(sources, 1)
        .write(&at("mix.jsonl"), &Default::default())
        .unwrap();
    manifest.write(&at("mix.manifest.json")).unwrap();
    let read = Manifest::read(&at("mix.manifest.json")).unwrap();
    assert_eq!(read, manifest);
    Mixture::repeat(&read, &at("again.jsonl"), &Default::default()).unwrap();
    assert_eq!(
        std::fs::read(at("again.jsonl")).unwrap(),
        std::fs::read(at("mix.jsonl")).unwrap()
    );
    write(folder.path(), "a", 31);
    let error = Mixture::repeat(&read, &at("third.jsonl"), &Default::default())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("`a` has another") && error.contains("a.jsonl"),
        "{error}"
    );
    assert!(!at("third.jsonl").exists());
}

#[test]
fn a_manifest_that_is_none_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.json");
    for (text, said) in [
        (r#"{"version": "x"}"#, "field `version`: invalid type"),
        ("{", "not JSON"),
    ] {
        std::fs::write(&path, text).unwrap();
        let error = Manifest::read(&path).unwrap_err().to_string();
        assert!(error.contains("m.json") && error.contains(said), "{error}");
    }
}

#[test]
fn bad_records_are_left_out_only_when_asked_for_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let path = write(folder.path(), "a", 5);
    let mut lines = std::fs::read_to_string(&path).unwrap();
    lines.push_str("{\n");
    std::fs::write(&path, lines).unwrap();
    let mixture = mixture(vec![Source::new("a", vec![path], Amount::All)], 1);

    let error = mixture
        .write(&at("no.jsonl"), &Default::default())
        .unwrap_err()
        .to_string();
    assert!(error.starts_with("row 6 of "), "{error}");

    let mut rejected = Vec::new();
    let out = Output::create(at("mix.jsonl"), mixture.format).unwrap();
    let mixed = mixture
        .write_to(out, &Default::default(), |record| {
            rejected.push(record.error.to_string());
            Ok::<_, ultrainteract::Error>(())
        })
        .unwrap();
    assert_eq!(rejected, [error]);
    assert!(!at("mix.jsonl").exists(), "it has no name yet");
    let rows = mixed.rows.name().unwrap();
    let manifest = mixed.manifest;
    assert_eq!(rows, manifest.order.len());
    let source = &manifest.sources[0];
    assert_eq!((source.available, source.taken, source.invalid), (5, 5, 1));
    let again = Mixture::repeat(&manifest, &at("again.jsonl"), &Default::default()).unwrap();
    assert_eq!(again, manifest);
}

#[test]
fn repeats_are_allowed_only_when_asked_for_and_are_even() {
    let folder = tempfile::tempdir().unwrap();
    let sources = vec![Source::new(
        "a",
        vec![write(folder.path(), "a", 4)],
        Amount::Count(10),
    )];
    let mut mixture = mixture(sources, 1);
    let out = folder.path().join("m.jsonl");
    let error = mixture
        .write(&out, &Default::default())
        .unwrap_err()
        .to_string();
    assert!(error.contains("has 4 rows and 10 are asked for"), "{error}");
    mixture.repeats = true;
    mixture.write(&out, &Default::default()).unwrap();
    let mut counts: HashMap<String, usize> = HashMap::new();
    for row in instructions(&out) {
        *counts.entry(row).or_default() += 1;
    }
    let mut counts: Vec<usize> = counts.into_values().collect();
    counts.sort_unstable();
    assert_eq!(counts, [2, 2, 3, 3]);
}

#[test]
fn the_reward_model_preset_takes_one_pair_an_instruction_of_ultrasafety() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let ranking = |number: usize| {
        let answers: Vec<String> = (0..4)
            .map(|n| {
                format!(r#"{{"model": "m{n}", "response": "answer {n}", "overall_score": {n}}}"#)
            })
            .collect();
        format!(
            r#"{{"instruction": "q {number}", "models": [], "completions": [{}]}}"#,
            answers.join(",")
        ) + "\n"
    };
    let rankings: String = (0..5).map(ranking).collect();
    for name in ["uf.jsonl", "us.jsonl"] {
        std::fs::write(at(name), &rankings).unwrap();
    }
    let pair = |name: &str| {
        format!(
            r#"{{"id": "{name}_1_1", "parent_id": "{name}", "task": "Logic", "dataset": "d", "trajectory": [{{"from": "user", "value": "q"}}], "chosen": "a", "rejected": "b"}}"#
        )
    };
    std::fs::write(at("ui.jsonl"), pair("x")).unwrap();
    std::fs::write(at("aug.jsonl"), pair("y")).unwrap();
    let files = [
        ("ultrainteract", "ui.jsonl"),
        ("augmented", "aug.jsonl"),
        ("ultrafeedback", "uf.jsonl"),
        ("ultrasafety", "us.jsonl"),
    ]
    .map(|(name, file)| (name.to_string(), vec![at(file)]))
    .to_vec();
    let mixture = Preset::EurusRm7b.mixture(files.clone(), 3).unwrap();
    let manifest = mixture.write(&at("rm.jsonl"), &Default::default()).unwrap();
    let taken: Vec<u64> = manifest.sources.iter().map(|source| source.taken).collect();
    assert_eq!(taken, [1, 1, 30, 5]);
    let missing = Preset::EurusRm7b
        .mixture(files[..3].to_vec(), 3)
        .unwrap_err()
        .to_string();
    assert!(missing.contains("`ultrasafety` is missing"), "{missing}");
    let unknown = Preset::Eurus7bSft
        .mixture(files, 3)
        .unwrap_err()
        .to_string();
    assert!(
        unknown.contains("`augmented` is none of preset"),
        "{unknown}"
    );
}

#[test]
fn the_presets_are_the_papers() {
    let counts = |preset: Preset| -> Vec<Amount> {
        preset.amounts().iter().map(|(_, amount)| *amount).collect()
    };
    assert_eq!(
        counts(Preset::Eurus7bSft),
        [
            Amount::All,
            Amount::Count(32_000),
            Amount::Count(30_000),
            Amount::Count(50_000)
        ]
    );
    assert_eq!(
        counts(Preset::Eurus70bSft),
        [
            Amount::All,
            Amount::Count(63_000),
            Amount::Count(30_000),
            Amount::Count(70_000)
        ]
    );
    for preset in Preset::ALL {
        assert_eq!(preset.as_str().parse::<Preset>().unwrap(), preset);
    }
}
