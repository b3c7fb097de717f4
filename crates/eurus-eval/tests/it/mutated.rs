//! Faults that a seeded generator puts into a file.

use rand::{Rng, RngExt};

/// Pieces that stand in task files, data and answers, and some that should not.
const PIECES: [&str; 40] = [
    "\"",
    "'",
    "{",
    "}",
    "[",
    "]",
    "{{",
    "}}",
    "{%",
    "%}",
    "\n",
    ",",
    ":",
    "=",
    "\0",
    "\u{feff}",
    "\u{1f600}",
    "null",
    "-1",
    "1e999",
    "99999999999999999999",
    "true",
    "[[",
    "''' ",
    "\"\"\"",
    " | int",
    " | first",
    "[0]",
    "row",
    "shots",
    "*",
    "/",
    "../",
    "\\",
    "\\u",
    "(",
    ".split(1)",
    "[1:]",
    "loop",
    "\u{301}",
];

/// A text with up to three faults.
pub fn mutated(rng: &mut impl Rng, text: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..rng.random_range(1..=3) {
        let at = rng.random_range(0..=bytes.len());
        let to = (at + rng.random_range(0..20)).min(bytes.len());
        match rng.random_range(0..6) {
            0 => drop(bytes.drain(at..to)),
            1 => bytes.truncate(at),
            2 => {
                let copy = bytes[at..to].to_vec();
                bytes.splice(at..at, copy);
            }
            3 if at < bytes.len() => bytes[at] = rng.random(),
            4 => {
                let lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
                let (one, two) = (
                    rng.random_range(0..lines.len()),
                    rng.random_range(0..lines.len()),
                );
                let mut lines = lines;
                lines.swap(one, two);
                bytes = lines.join(&b'\n');
            }
            _ => {
                let piece = PIECES[rng.random_range(0..PIECES.len())];
                bytes.splice(at..at, piece.bytes());
            }
        }
    }
    bytes
}
