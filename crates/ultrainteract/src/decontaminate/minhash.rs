//! Near duplicates: sets of word runs that overlap for the most part, found by MinHash.

use std::collections::{HashMap, HashSet};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::for_each_word;
use crate::spill::key_hash;
use crate::{Error, Result};

/// Words of a run.
const SHINGLE_WORDS: usize = 5;

/// Numbers of a signature.
const SIGNATURE: usize = 128;

/// How likely a pair that is just alike enough must be to share a band.
const RECALL: f64 = 0.99;

/// A text that is much like another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NearDuplicate {
    /// Position of the other text among those given.
    pub test_index: usize,
    /// Share of their different five-word runs that both have (Jaccard).
    pub similarity: f64,
}

/// Texts to be recognized when something much like them comes.
///
/// A text is the set of its five-word runs, words as in [`words`](super::words). Candidates share a
/// band of a MinHash signature of 128 numbers (Broder, 1997), with bands so narrow that a pair at
/// the threshold is missed once in a hundred at most; what is reported has its true Jaccard
/// similarity and reaches the threshold.
///
/// ```
/// use ultrainteract::decontaminate::NearDuplicates;
///
/// let index = NearDuplicates::new(["one two three four five six seven eight nine ten"], 0.6)?;
/// let found = index.find("One, two, three, four, five, six, seven, eight, nine, eleven").unwrap();
/// assert!((found.similarity - 5.0 / 7.0).abs() < 1e-12);
/// assert!(index.find("ten nine eight seven six five four three two one").is_none());
/// # Ok::<(), ultrainteract::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct NearDuplicates {
    threshold: f64,
    rows: usize,
    factors: Vec<(u64, u64)>,
    /// The runs of each text, as sorted hashes.
    shingles: Vec<Vec<u64>>,
    bands: HashMap<u64, Vec<u32>>,
}

impl NearDuplicates {
    /// Indexes texts.
    ///
    /// # Errors
    ///
    /// The threshold is not above 0 and at most 1.
    pub fn new<S: AsRef<str>>(texts: impl IntoIterator<Item = S>, threshold: f64) -> Result<Self> {
        if !(threshold > 0.0 && threshold <= 1.0) {
            return Err(Error::Share {
                name: "threshold",
                found: threshold,
            });
        }
        // Signatures need not differ from run to run, only from one number to the next.
        let mut random = ChaCha8Rng::seed_from_u64(0);
        let mut index = Self {
            threshold,
            rows: band_rows(threshold),
            // Odd factors, by which multiplication is one to one modulo 2^64.
            factors: (0..SIGNATURE)
                .map(|_| (random.next_u64() | 1, random.next_u64()))
                .collect(),
            shingles: Vec::new(),
            bands: HashMap::new(),
        };
        for text in texts {
            let shingles = shingles(text.as_ref());
            let number = index.shingles.len() as u32;
            for band in index.bands_of(&shingles) {
                index.bands.entry(band).or_default().push(number);
            }
            index.shingles.push(shingles);
        }
        Ok(index)
    }

    /// The most similar of the texts that reach the threshold; the first of several.
    pub fn find(&self, text: &str) -> Option<NearDuplicate> {
        let mine = shingles(text);
        let mut best: Option<NearDuplicate> = None;
        let mut seen = HashSet::new();
        for band in self.bands_of(&mine) {
            for &number in self.bands.get(&band).into_iter().flatten() {
                if !seen.insert(number) {
                    continue;
                }
                let similarity = jaccard(&mine, &self.shingles[number as usize]);
                let test_index = number as usize;
                let better = |best: &NearDuplicate| {
                    (similarity, best.test_index) > (best.similarity, test_index)
                };
                if similarity >= self.threshold && best.as_ref().is_none_or(better) {
                    best = Some(NearDuplicate {
                        test_index,
                        similarity,
                    });
                }
            }
        }
        best
    }

    fn bands_of(&self, shingles: &[u64]) -> Vec<u64> {
        if shingles.is_empty() {
            return Vec::new();
        }
        let mut signature = [u64::MAX; SIGNATURE];
        for &shingle in shingles {
            for (least, &(factor, summand)) in signature.iter_mut().zip(&self.factors) {
                *least = (*least).min(shingle.wrapping_mul(factor).wrapping_add(summand));
            }
        }
        signature
            .chunks_exact(self.rows)
            .enumerate()
            // With the number of the band, so that bands at other places do not meet.
            .map(|(band, rows)| key_hash(&(band, rows)))
            .collect()
    }
}

/// The widest bands that still find a pair at the threshold.
fn band_rows(threshold: f64) -> usize {
    [32, 16, 8, 4, 2]
        .into_iter()
        .find(|&rows| {
            let bands = (SIGNATURE / rows) as i32;
            1.0 - (1.0 - threshold.powi(rows as i32)).powi(bands) >= RECALL
        })
        .unwrap_or(1)
}

/// Different five-word runs as sorted hashes; a shorter text is one run.
fn shingles(text: &str) -> Vec<u64> {
    let mut words = Vec::new();
    for_each_word(text, |word| words.push(key_hash(word)));
    if words.is_empty() {
        return Vec::new();
    }
    let mut hashes: Vec<u64> = words
        .windows(SHINGLE_WORDS.min(words.len()))
        .map(key_hash)
        .collect();
    hashes.sort_unstable();
    hashes.dedup();
    hashes
}

/// Shared elements by all elements of two sorted sets.
fn jaccard(a: &[u64], b: &[u64]) -> f64 {
    let (mut i, mut j, mut shared) = (0, 0, 0);
    while i < a.len() && j < b.len() {
        match a[i].cmp(&b[j]) {
            std::cmp::Ordering::Less => i += 1,
            std::cmp::Ordering::Greater => j += 1,
            std::cmp::Ordering::Equal => (i, j, shared) = (i + 1, j + 1, shared + 1),
        }
    }
    let all = a.len() + b.len() - shared;
    if all == 0 {
        0.0
    } else {
        shared as f64 / all as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text() -> impl Strategy<Value = String> {
        let word = prop::sample::select(vec!["a", "b", "c", "d"]);
        prop::collection::vec(word, 0..14).prop_map(|words| words.join(" "))
    }

    proptest! {
        #[test]
        fn what_is_found_is_as_similar_as_it_says_and_the_most_similar(
            texts in prop::collection::vec(text(), 1..12), query in text()
        ) {
            // Narrow bands, so that nothing is missed.
            let index = NearDuplicates::new(&texts, 0.2).unwrap();
            let mine = shingles(&query);
            let exact: Vec<f64> = texts.iter().map(|text| jaccard(&mine, &shingles(text))).collect();
            let best = exact.iter().copied().fold(0.0, f64::max);
            match index.find(&query) {
                Some(found) => {
                    prop_assert_eq!(found.similarity, exact[found.test_index]);
                    prop_assert!(found.similarity >= 0.2);
                }
                // Texts at the threshold are missed once in a hundred; these are well above it.
                None => prop_assert!(best < 0.5),
            }
        }
    }

    #[test]
    fn bands_are_as_wide_as_recall_allows() {
        assert_eq!([1.0, 0.8, 0.5, 0.05].map(band_rows), [32, 4, 2, 1]);
    }
}
