//! A corpus of broken files, made from good ones by a seeded mutator: nothing panics, every error
//! names the file and the place, the good records around a bad one are read, and every record is
//! read or told of, by count.
//!
//! `EURUS_MUTATIONS` sets how many there are; `--nocapture` prints how they ended.

#![allow(clippy::print_stdout, reason = "the counts are the result")]

use crate::support;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use ultrainteract::Error;
use ultrainteract::example::Example;
use ultrainteract::formats::Format;
use ultrainteract::input::{self, Parsed};
use ultrainteract::output::Output;
use ultrainteract::validate::{self, Limits};

/// A good file of each format and kind.
fn good_files(folder: &Path) -> Vec<(Format, PathBuf)> {
    let mut files = Vec::new();
    for format in Format::ALL {
        let examples = support::fixed_examples(format, 6);
        let mut endings = vec!["jsonl", "jsonl.gz", "jsonl.zst"];
        if cfg!(feature = "parquet") {
            endings.push("parquet");
        }
        for ending in endings {
            let path = folder.join(format!("{format}.{ending}"));
            let Ok(mut out) = Output::create(&path, format) else {
                continue; // no Parquet for formats without fixed types
            };
            for example in &examples {
                out.write(example).unwrap();
            }
            out.finish().unwrap();
            files.push((format, path));
        }
        let lines = std::fs::read_to_string(folder.join(format!("{format}.jsonl"))).unwrap();
        let path = folder.join(format!("{format}.json"));
        std::fs::write(
            &path,
            format!("[{}]", lines.trim_end().replace('\n', ",\n")),
        )
        .unwrap();
        files.push((format, path));
    }
    files
}

/// One random change of the bytes.
fn damage(bytes: &mut Vec<u8>, random: &mut impl Rng) {
    if bytes.is_empty() {
        return;
    }
    let at = random.random_range(0..bytes.len());
    match random.random_range(0..9) {
        0 => bytes.truncate(at),
        1 => bytes[at] ^= 1 << random.random_range(0..8),
        2 => bytes[at] = random.random(),
        3 => bytes.insert(at, random.random()),
        4 => {
            bytes.remove(at);
        }
        5 => bytes.insert(at, *random_of(b"{}[],:\"\n\\\xff\x00", random)),
        6 => {
            let end = (at + random.random_range(1..40)).min(bytes.len());
            bytes.drain(at..end);
        }
        7 => {
            let end = (at + random.random_range(1..40)).min(bytes.len());
            let copy = bytes[at..end].to_vec();
            bytes.splice(at..at, copy);
        }
        _ => {
            let other = random.random_range(0..bytes.len());
            bytes.swap(at, other);
        }
    }
}

fn random_of<'a, T>(items: &'a [T], random: &mut impl Rng) -> &'a T {
    &items[random.random_range(0..items.len())]
}

/// One value of a record replaced by another, or a field removed.
fn rewrite(value: &mut Value, random: &mut impl Rng) {
    let replacements = [
        Value::Null,
        Value::from(-1),
        Value::from(1e300),
        Value::from(""),
        Value::from("unknown"),
        Value::Bool(true),
        Value::Array(Vec::new()),
        serde_json::json!({}),
    ];
    match value {
        Value::Object(fields) if !fields.is_empty() && random.random_bool(0.85) => {
            let index = random.random_range(0..fields.len());
            let name = fields.keys().nth(index).cloned().unwrap_or_default();
            if random.random_bool(0.2) {
                fields.remove(&name);
            } else if let Some(value) = fields.get_mut(&name) {
                rewrite(value, random);
            }
        }
        Value::Array(items) if !items.is_empty() && random.random_bool(0.85) => {
            let index = random.random_range(0..items.len());
            rewrite(&mut items[index], random);
        }
        other => *other = random_of(&replacements, random).clone(),
    }
}

fn read(path: &Path, format: Format) -> Vec<Parsed<Example>> {
    input::read(vec![path.to_path_buf()], move |record| format.parse(record)).collect()
}

/// Whether a message says where in the file it is.
fn names_a_place(message: &str) -> bool {
    ["row ", "element ", "row group "]
        .iter()
        .any(|place| message.contains(place))
}

/// How many records a file has, counted another way; `None` where it is so broken that nobody can tell.
fn records_in(path: &Path) -> Option<u64> {
    let bytes = std::fs::read(path).unwrap();
    let text = match &bytes[..] {
        [b'P', b'A', b'R', b'1', ..] => return rows_of_footer(path),
        [0x1f, 0x8b, ..] => {
            let mut text = Vec::new();
            let mut decoder = flate2::read::MultiGzDecoder::new(&bytes[..]);
            std::io::Read::read_to_end(&mut decoder, &mut text).ok()?;
            text
        }
        [0x28, 0xb5, 0x2f, 0xfd, ..] => zstd::decode_all(&bytes[..]).ok()?,
        _ => bytes,
    };
    if text.trim_ascii_start().first() == Some(&b'[') {
        let array: Vec<serde::de::IgnoredAny> = serde_json::from_slice(&text).ok()?;
        return Some(array.len() as u64);
    }
    let lines = text.split(|&byte| byte == b'\n');
    Some(lines.filter(|line| !line.trim_ascii().is_empty()).count() as u64)
}

#[cfg(feature = "parquet")]
fn rows_of_footer(path: &Path) -> Option<u64> {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    let file = std::fs::File::open(path).unwrap();
    let read = || SerializedFileReader::new(file);
    let reader = catch_unwind(AssertUnwindSafe(read)).ok()?.ok()?;
    let groups = reader.metadata().row_groups().iter();
    groups
        .map(|group| u64::try_from(group.num_rows()).ok())
        .sum()
}

#[cfg(not(feature = "parquet"))]
fn rows_of_footer(_: &Path) -> Option<u64> {
    None
}

/// Every record is read or told of: as many as there are, or an error that a part could not be read.
fn assert_nothing_is_lost(path: &Path, format: Format, records: &[Parsed<Example>]) {
    let refused = || records.iter().filter_map(|record| record.as_ref().err());
    let used = (records.len() - refused().count()) as u64;
    let told = used + refused().map(|it| it.records()).sum::<u64>();
    let is_cut_off = refused().any(|it| {
        let rows = matches!(it.error.fault(), Error::RowsNotRead { .. });
        it.is_unread() && !rows
    });
    let what = || {
        let said: Vec<String> = refused().map(|it| it.error.to_string()).collect();
        format!(
            "{} as {format}: {told} records told of, {said:?}",
            path.display()
        )
    };
    match records_in(path) {
        Some(there) => assert!(told == there || is_cut_off, "{there} records in {}", what()),
        None => assert!(is_cut_off || told > used, "{}", what()),
    }
    let report = validate::files(
        vec![path.to_path_buf()],
        format,
        Limits {
            max_turns: usize::MAX,
        },
        &Default::default(),
        drop,
    );
    let report = report.unwrap();
    assert_eq!(report.records, told, "validate, {}", what());
    assert!(
        report.invalid >= told - used || format == Format::Tree,
        "validate, {}",
        what()
    );
}

/// Reads a broken file every way there is, and returns the number of errors.
fn assert_survives(path: &Path, format: Format) -> usize {
    let what = || format!("{} as {format}", path.display());
    let result = catch_unwind(AssertUnwindSafe(|| {
        let _ = Format::of_file(path);
        // The validator sees what the reader sees.
        for record in input::read(vec![path.to_path_buf()], move |record| {
            let checked = validate::record(format, record, &Limits::default());
            assert_eq!(checked.example.is_some(), format.parse(record).is_ok());
            Ok(())
        }) {
            drop(record);
        }
        read(path, format)
    }));
    let records = result.unwrap_or_else(|_| panic!("a panic on {}", what()));
    assert_nothing_is_lost(path, format, &records);
    let name = path.file_name().unwrap().to_string_lossy();
    let mut errors = 0;
    for record in &records {
        let Err(rejected) = record else { continue };
        errors += 1;
        let message = rejected.error.to_string();
        assert!(
            message.contains(&*name),
            "{}: no file in `{message}`",
            what()
        );
        // Of a compressed or binary stream that breaks there is no place but the file.
        let binary = !(name.ends_with(".jsonl") || name.ends_with(".json"));
        assert!(
            names_a_place(&message) || (binary && is_about_the_file(&rejected.error)),
            "{}: no place in `{message}`",
            what()
        );
    }
    errors
}

/// Whether an error is about the file as a whole.
fn is_about_the_file(error: &Error) -> bool {
    matches!(error, Error::Io { .. } | Error::Table { .. })
}

#[test]
fn damaged_bytes_never_panic_and_errors_name_the_place() {
    static PANICS: AtomicUsize = AtomicUsize::new(0);
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        PANICS.fetch_add(1, Ordering::Relaxed);
        before(panic);
    }));
    let folder = tempfile::tempdir().unwrap();
    let good = good_files(folder.path());
    for (format, good) in &good {
        let errors = assert_survives(good, *format);
        assert_eq!(errors, 0, "{} is good", good.display());
    }
    let files = test_support::count("EURUS_MUTATIONS", 300);
    let mut broken = 0;
    for seed in 0..files {
        let mut random = ChaCha8Rng::seed_from_u64(20240402 + seed as u64);
        let (format, good) = &good[seed % good.len()];
        let mut mutant = std::fs::read(good).unwrap();
        for _ in 0..=random.random_range(0..3) {
            damage(&mut mutant, &mut random);
        }
        let name = good.file_name().unwrap().to_string_lossy();
        let path = good.with_file_name(format!("{seed}-{name}"));
        std::fs::write(&path, mutant).unwrap();
        broken += usize::from(assert_survives(&path, *format) > 0);
        std::fs::remove_file(&path).unwrap();
    }
    assert!(broken >= files / 2, "{broken} of {files} files are broken");
    println!("{files} damaged files: {broken} with errors, every record read or told of, 0 panics");
    assert_eq!(PANICS.load(Ordering::Relaxed), 0, "caught or not");
}

#[test]
fn rewritten_values_never_panic_and_errors_name_the_field() {
    let folder = tempfile::tempdir().unwrap();
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let mut broken = 0;
    for format in Format::ALL {
        let examples = support::fixed_examples(format, 40);
        let mut expected_bad = Vec::new();
        let mut lines = String::new();
        for (index, example) in examples.iter().enumerate() {
            let mut line = Vec::new();
            format.encode(example, &mut line).unwrap();
            let mut value: Value = serde_json::from_slice(&line).unwrap();
            // A first record that is a list would make the file an array.
            let object = value.as_object_mut().unwrap();
            let field = random.random_range(0..object.len());
            rewrite(object.values_mut().nth(field).unwrap(), &mut random);
            let line = value.to_string();
            if format.parse(line.as_bytes()).is_err() {
                expected_bad.push(index as u64 + 1);
            }
            lines.push_str(&line);
            lines.push('\n');
        }
        let path = folder.path().join(format!("{format}.jsonl"));
        std::fs::write(&path, lines).unwrap();
        let mut found = Vec::new();
        for record in read(&path, format) {
            if let Err(rejected) = record {
                let message = rejected.error.to_string();
                assert!(message.contains('`'), "a field is named in `{message}`");
                if let Some(input::Place::Line(line)) = rejected.place {
                    found.push(line);
                }
            }
        }
        assert_eq!(found, expected_bad, "{format}");
        broken += found.len();
    }
    assert!(broken >= 200, "{broken} broken records");
}

#[test]
fn a_bad_record_does_not_hide_the_good_ones() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.jsonl");
    let good = "{\"question\": \"q\", \"response\": \"r\"}";
    let bad: [&[u8]; 5] = [
        b"{",
        b"{\"question\": \"\xff\", \"response\": \"r\"}",
        b"[]",
        b"{\"question\": 5, \"response\": \"r\"}",
        b"{\"question\": \"q\"}",
    ];
    let mut bytes = Vec::new();
    for bad in bad {
        bytes.extend_from_slice(good.as_bytes());
        bytes.push(b'\n');
        bytes.extend_from_slice(bad);
        bytes.push(b'\n');
    }
    std::fs::write(&path, bytes).unwrap();
    let records = read(&path, Format::OpenOrca);
    let said: Vec<String> = records
        .iter()
        .filter_map(|record| record.as_ref().err())
        .map(|rejected| rejected.error.to_string())
        .collect();
    assert_eq!((records.len(), said.len()), (10, 5));
    let expected = ["row 2 of", "row 4 of", "row 6 of", "row 8 of", "row 10 of"];
    let faults = [
        "not JSON",
        "field `question` is not UTF-8 at column 15",
        "invalid type: a list",
        "field `question`: invalid type: integer `5`",
        "field `response`: is missing",
    ];
    for ((message, place), fault) in said.iter().zip(expected).zip(faults) {
        assert!(
            message.starts_with(place) && message.contains(fault),
            "{message}"
        );
    }
}

#[test]
fn cut_off_files_give_what_is_whole_and_one_error() {
    let folder = tempfile::tempdir().unwrap();
    for ending in ["jsonl", "jsonl.gz", "jsonl.zst", "parquet"] {
        if ending == "parquet" && !cfg!(feature = "parquet") {
            continue;
        }
        let path = folder.path().join(format!("rows.{ending}"));
        let mut out = Output::create(&path, Format::Pair).unwrap();
        for example in support::fixed_examples(Format::Pair, 50) {
            out.write(&example).unwrap();
        }
        out.finish().unwrap();
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() * 2 / 3]).unwrap();
        let records = read(&path, Format::Pair);
        let errors = records.iter().filter(|record| record.is_err()).count();
        assert_eq!(errors, 1, "{ending}");
        assert!(records.last().unwrap().is_err(), "{ending}");
        if ending == "jsonl" {
            assert!(records.len() > 30, "{}", records.len());
        }
    }
}

#[test]
fn a_record_that_is_too_long_costs_that_record_alone() {
    let row = |n: usize| format!(r#"{{"prompt": "{n}?", "chosen": "a", "rejected": "b"}}"#);
    let endless = "x".repeat(ultrainteract::formats::MAX_LINE_BYTES + 5);
    let records = [row(1), endless, row(3), String::new(), row(5)];
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in [
        ("rows.jsonl", records.join("\n")),
        ("rows.json", format!("[{}]", records.join(","))),
    ] {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("a file");
        let read =
            ultrainteract::input::read(vec![path], |record| Format::TrlPreference.parse(record));
        let (rows, refused): (Vec<_>, Vec<_>) = read.partition(Result::is_ok);
        assert_eq!(rows.len(), 3, "{name}");
        let said: Vec<String> = refused
            .iter()
            .filter_map(|it| Some(it.as_ref().err()?.error.to_string()))
            .collect();
        assert!(
            said[0].contains("2 of") && said[0].contains("67108869 bytes"),
            "{said:?}"
        );
        let kept = refused[0].as_ref().err().map(|it| it.record.len());
        assert_eq!(kept, Some(1024), "enough to know it again");
        // A blank line is nothing; a comma too many is a record that is not there.
        assert_eq!(
            said.len(),
            if name == "rows.json" { 2 } else { 1 },
            "{said:?}"
        );
    }
}
