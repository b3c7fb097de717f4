//! Seeds made from names, so that a result depends on what is drawn and not on when.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

/// The seed of one purpose: equal for equal parts, unrelated for different ones.
pub(crate) fn derive(seed: u64, parts: &[&str]) -> u64 {
    let mut hash = Sha256::new();
    hash.update(seed.to_le_bytes());
    for part in parts {
        // The length keeps ("ab", "c") apart from ("a", "bc").
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    let digest = hash.finalize();
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    u64::from_le_bytes(first)
}

/// A generator with a derived seed.
pub(crate) fn rng(seed: u64, parts: &[&str]) -> ChaCha8Rng {
    // Not `StdRng`, whose stream may change with a release of `rand`.
    ChaCha8Rng::seed_from_u64(derive(seed, parts))
}

/// A short fingerprint of a text, for finding out whether it has changed.
pub(crate) fn fingerprint(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_parts_give_equal_seeds_and_other_parts_other_seeds() {
        let seed = derive(7, &["ab", "c"]);
        assert_eq!(seed, derive(7, &["ab", "c"]));
        for other in [
            derive(8, &["ab", "c"]),
            derive(7, &["a", "bc"]),
            derive(7, &["ab"]),
        ] {
            assert_ne!(seed, other);
        }
    }
}
