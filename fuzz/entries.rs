//! What the fuzz targets call. `crates/ultrainteract/tests/it/fuzz_entries.rs` calls the same with a
//! corpus, on the stable toolchain.

use std::path::Path;

use ultrainteract::formats::Format;
use ultrainteract::mix::Manifest;
use ultrainteract::rebuild;
use ultrainteract::validate::{self, Limits};
use ultrainteract::{decontaminate, input, stats};

/// The name of the target and the function.
pub type Entry = (&'static str, fn(&[u8]));

/// All of them.
pub const ENTRIES: [Entry; 9] = [
    ("tree", tree),
    ("pair", pair),
    ("sft", sft),
    ("ranking", ranking),
    ("conversation", conversation),
    ("trl", trl),
    ("file", file),
    ("problems", problems),
    ("manifest", manifest),
];

/// One record: the reader and the validator agree, and what was read is written and read the same.
fn record(format: Format, data: &[u8]) {
    let parsed = format.parse(data).ok();
    let checked = validate::record(
        format,
        data,
        &Limits {
            max_turns: usize::MAX,
        },
    );
    if format != Format::Tree {
        // (A tree says its own limit of turns, which the validator bounds.)
        assert_eq!(parsed, checked.example);
    }
    let Some(example) = parsed else { return };
    let mut lines = Vec::new();
    if format.encode(&example, &mut lines).is_ok() {
        assert_eq!(format.parse(&lines).ok().as_ref(), Some(&example));
    }
    for other in Format::ALL {
        lines.clear();
        let _ = other.encode(&example, &mut lines);
    }
    let _ = stats::Contribution::of_example(&example, &stats::pieces);
}

/// This project's trees.
pub fn tree(data: &[u8]) {
    record(Format::Tree, data);
}

/// Pair rows.
pub fn pair(data: &[u8]) {
    record(Format::Pair, data);
}

/// SFT rows.
pub fn sft(data: &[u8]) {
    record(Format::Sft, data);
}

/// UltraFeedback and UltraSafety.
pub fn ranking(data: &[u8]) {
    record(Format::UltraFeedback, data);
    record(Format::UltraSafety, data);
}

/// UltraChat, ShareGPT, OpenOrca, TRL messages.
pub fn conversation(data: &[u8]) {
    record(Format::UltraChat, data);
    record(Format::ShareGpt, data);
    record(Format::OpenOrca, data);
    record(Format::TrlMessages, data);
}

/// TRL's completion, preference and unpaired rows.
pub fn trl(data: &[u8]) {
    record(Format::TrlCompletionChat, data);
    record(Format::TrlPreferenceChat, data);
    record(Format::TrlUnpairedChat, data);
}

/// Calls `use_file` with a file of these bytes.
fn with_file(data: &[u8], use_file: impl FnOnce(&Path)) {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let path = folder.path().join("data");
    std::fs::write(&path, data).expect("room for a small file");
    use_file(&path);
}

/// A file of any kind: gzip, zstd, Parquet, an array, lines.
pub fn file(data: &[u8]) {
    with_file(data, |path| {
        let format = Format::of_file(path).ok().flatten().unwrap_or(Format::Pair);
        for record in input::read(vec![path.to_path_buf()], move |record| format.parse(record)) {
            drop(record);
        }
        let _ = decontaminate::read_test_items(&[path.to_path_buf()], None);
    });
}

/// Pair rows to trees.
pub fn problems(data: &[u8]) {
    with_file(data, |path| {
        let files = vec![path.to_path_buf()];
        if let Ok(problems) = rebuild::problems(files, Format::Pair, Limits::default()) {
            for problem in problems.map_while(Result::ok) {
                let _ = stats::Contribution::of_problem(&problem, &stats::pieces);
            }
        }
    });
}

/// Manifests of mixtures.
pub fn manifest(data: &[u8]) {
    with_file(data, |path| drop(Manifest::read(path)));
}
