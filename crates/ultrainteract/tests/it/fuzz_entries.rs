//! The entry points of the fuzz targets, called with good and damaged input on any toolchain.

// The path is that of the repository; a packaged crate leaves this test out.
#[path = "../../../../fuzz/entries.rs"]
mod entries;
use crate::support;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use ultrainteract::formats::Format;

/// Lines of all formats, some of them damaged.
fn inputs() -> Vec<Vec<u8>> {
    let mut random = ChaCha8Rng::seed_from_u64(3);
    let mut inputs = vec![
        Vec::new(),
        b"[".to_vec(),
        b"PAR1PAR1".to_vec(),
        vec![0x1f, 0x8b],
    ];
    for format in Format::ALL {
        for example in support::fixed_examples(format, 5) {
            let mut line = Vec::new();
            format.encode(&example, &mut line).unwrap();
            inputs.push(line.clone());
            let at = random.random_range(0..line.len());
            line[at] = random.random();
            inputs.push(line);
        }
    }
    inputs
}

#[test]
fn no_entry_panics() {
    for input in inputs() {
        for (_, entry) in entries::ENTRIES {
            entry(&input);
        }
    }
}

#[test]
fn every_entry_has_a_target_of_its_name() {
    let targets = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/fuzz_targets");
    let mut names: Vec<String> = std::fs::read_dir(targets)
        .unwrap()
        .map(|file| {
            file.unwrap()
                .file_name()
                .to_string_lossy()
                .replace(".rs", "")
        })
        .collect();
    names.sort();
    let mut entries: Vec<&str> = entries::ENTRIES.iter().map(|(name, _)| *name).collect();
    entries.sort_unstable();
    assert_eq!(names, entries);
}
