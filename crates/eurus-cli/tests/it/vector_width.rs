//! `EURUS_MAX_VECTOR_BITS`: a processor that computes what a smaller one would.

use crate::common::{Workplace, ensure_near, ensure_says};
use anyhow::{Result, ensure};

#[test]
fn the_version_tells_the_vector_width_and_a_wrong_cap_is_refused() -> Result<()> {
    let place = Workplace::new()?;
    let told = |value: &str| {
        place
            .command(&["--version"])
            .env("EURUS_MAX_VECTOR_BITS", value)
            .output()
    };
    let version = String::from_utf8(told("128")?.stdout)?;
    ensure_says(
        &version,
        &["vectors of 128 bits", "EURUS_MAX_VECTOR_BITS", "threads"],
    )?;

    let refused = place
        .command(&["data", "stats", "pairs.jsonl"])
        .env("EURUS_MAX_VECTOR_BITS", "avx2")
        .output()?;
    ensure!(refused.status.code() == Some(2), "{}", refused.status);
    ensure_says(
        &String::from_utf8(refused.stderr)?,
        &["EURUS_MAX_VECTOR_BITS", "`avx2`", "128, 256 or 512"],
    )
}

#[test]
fn every_vector_width_trains_to_the_same_losses() -> Result<()> {
    let place = Workplace::new()?;
    let mut losses = Vec::new();
    for bits in ["128", "256", "512"] {
        let run = format!(
            "prefer --model model --data pairs.jsonl --out of-{bits} --algorithm nca --epochs 2 --learning-rate 1e-4"
        );
        let words: Vec<&str> = run.split_whitespace().collect();
        let output = place
            .command(&words)
            .env("EURUS_MAX_VECTOR_BITS", bits)
            .output()?;
        ensure!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        losses.push(place.losses_of(&format!("of-{bits}"))?);
    }
    ensure_near(&losses[0], &losses[1])?;
    ensure_near(&losses[0], &losses[2])
}
