//! General instructions in miniature: what to write is said, and whether it was done can be checked.

use std::collections::HashSet;

use anyhow::{Result, ensure};
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const WORDS: [&str; 20] = [
    "apples", "pens", "hats", "toys", "books", "cards", "cups", "eggs", "keys", "nuts", "rings",
    "shells", "bags", "boxes", "jars", "bins", "tins", "sacks", "cases", "chests",
];

const NAMES: [&str; 12] = [
    "Tom", "Ann", "Sam", "Eva", "Ben", "Mia", "Leo", "Zoe", "Max", "Amy", "Kim", "Joe",
];

/// An instruction and what follows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instruction {
    /// What the user says.
    pub text: String,
    /// What follows it.
    pub response: String,
}

impl Instruction {
    /// Whether a response has the words of the right one, in order and no others; signs and spaces do not count.
    pub fn is_followed_by(&self, response: &str) -> bool {
        let words = |text: &str| -> Vec<String> {
            let words = text.split(|c: char| !c.is_alphanumeric());
            words
                .filter(|it| !it.is_empty())
                .map(str::to_owned)
                .collect()
        };
        words(response) == words(&self.response)
    }
}

/// Different instructions of eight kinds.
///
/// # Errors
///
/// When there are not so many.
pub fn draw(seed: u64, count: usize) -> Result<Vec<Instruction>> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut taken = HashSet::new();
    let mut drawn = Vec::with_capacity(count);
    for _ in 0..200 * count {
        if drawn.len() == count {
            break;
        }
        let instruction = one(drawn.len(), &mut rng);
        if taken.insert(instruction.text.clone()) {
            drawn.push(instruction);
        }
    }
    ensure!(
        drawn.len() == count,
        "there are no {count} different instructions"
    );
    Ok(drawn)
}

fn one(index: usize, rng: &mut ChaCha8Rng) -> Instruction {
    let mut words = WORDS;
    words.shuffle(rng);
    let length = rng.random_range(3..=5);
    let list = &words[..length];
    let [first, second, third] = [words[0], words[1], words[2]];
    let name = NAMES.choose(rng).copied().unwrap_or(NAMES[0]);
    let said = |words: &[&str]| words.join(", ");
    let (text, response) = match index % 8 {
        0 => {
            let times = rng.random_range(2..=5);
            let text = format!("Write {first} and {second}, {times} times.");
            (text, vec![said(&[first, second]); times].join(", "))
        }
        1 => {
            let reversed: Vec<&str> = list.iter().rev().copied().collect();
            (
                format!("Write in reverse order: {}.", said(list)),
                said(&reversed),
            )
        }
        2 => {
            let left: Vec<&str> = list
                .iter()
                .copied()
                .filter(|word| *word != second)
                .collect();
            (
                format!("Write without {second}: {}.", said(list)),
                said(&left),
            )
        }
        3 => (
            format!("Greet {name} and end with {first} and {second}."),
            format!("Hello {name}, {first} and {second}"),
        ),
        4 => (
            format!("Write in capital letters: {}.", said(&list[1..])),
            said(&list[1..]).to_uppercase(),
        ),
        5 => (
            format!("Put {first} between {second} and {third}."),
            said(&[second, first, third]),
        ),
        6 => {
            let last = list[length - 1];
            (
                format!("Say the first and the last for {name}: {}.", said(list)),
                format!("{first} and {last}"),
            )
        }
        _ => {
            let new: Vec<&str> = list
                .iter()
                .map(|&word| if word == second { name } else { word })
                .collect();
            (
                format!("Write {name} in place of {second}: {}.", said(list)),
                said(&new),
            )
        }
    };
    Instruction { text, response }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_response_follows_its_instruction_and_no_other() {
        let drawn = draw(1, 4000).unwrap();
        for (index, instruction) in drawn.iter().enumerate() {
            assert!(instruction.is_followed_by(&instruction.response));
            let other = &drawn[(index + 8) % 4000];
            if other.response != instruction.response {
                assert!(
                    !instruction.is_followed_by(&other.response),
                    "{instruction:?}"
                );
            }
        }
    }

    #[test]
    fn signs_do_not_count_and_words_do() {
        let instruction = Instruction {
            text: "Write in reverse order: pens, hats.".into(),
            response: "hats, pens".into(),
        };
        assert!(instruction.is_followed_by("hats pens."));
        assert!(!instruction.is_followed_by("pens, hats"));
        assert!(!instruction.is_followed_by("hats, pens, pens"));
        assert!(!instruction.is_followed_by("Hats, pens"));
    }
}
