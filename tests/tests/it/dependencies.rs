//! What a user of a library has to build along with it.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// The packages that a package is built with, with its default features alone.
fn packages_of(package: &str) -> Result<BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "-p", package, "-e", "normal", "--prefix", "none"])
        .args(["--format", "{p}", "--offline"])
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
        .output()
        .context("starting cargo")?;
    let problem = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "cargo tree: {problem}");
    let lines = String::from_utf8_lossy(&output.stdout);
    let names = lines.lines().filter_map(|line| line.split(' ').next());
    Ok(names.map(str::to_owned).collect())
}

fn ensure_without(package: &str, others: &[&str]) -> Result<()> {
    let packages = packages_of(package)?;
    ensure!(packages.contains(package), "{packages:?}");
    let found: Vec<&&str> = others.iter().filter(|it| packages.contains(**it)).collect();
    ensure!(found.is_empty(), "{package} is built with {found:?}");
    Ok(())
}

#[test]
fn the_facade_has_no_command_line_no_hub_and_no_parquet() -> Result<()> {
    let others = [
        "clap",
        "indicatif",
        "ctrlc",
        "ureq",
        "rustls",
        "hf-hub",
        "parquet",
        "arrow-array",
        "workspace-features",
    ];
    ensure_without("eurus", &others)
}

#[test]
fn the_losses_have_no_model_no_tokenizer_and_no_data_set() -> Result<()> {
    let others = [
        "tokenizers",
        "safetensors",
        "ndarray",
        "eurus-models",
        "token-forest",
        "ultrainteract",
        "workspace-features",
    ];
    ensure_without("pref-losses", &others)
}
