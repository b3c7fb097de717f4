//! A crate outside the workspace that depends on `pref-losses` and `burn` alone.
//!
//! It is made in a temporary folder, with the dependencies and the program of the README and the example
//! `two_parameters`, built without a network and run. burn is built once more for it, into `target/outside-crate`; a
//! second run takes what is there.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// The root of the workspace.
fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The first block of this language in a Markdown text.
fn block<'a>(markdown: &'a str, language: &str) -> Result<&'a str> {
    let fence = format!("```{language}\n");
    let (_, rest) = markdown
        .split_once(&fence)
        .with_context(|| format!("the README has no {language} block"))?;
    let (block, _) = rest.split_once("```").context("a block has no end")?;
    Ok(block)
}

/// The manifest: the README's dependencies, with this checkout in the place of the published crate.
fn manifest(readme: &str, krate: &Path) -> Result<String> {
    let dependencies = block(readme, "toml")?;
    let published = dependencies
        .lines()
        .find(|line| line.starts_with("pref-losses = "))
        .context("the README does not depend on pref-losses")?;
    let here = format!(
        "pref-losses = {{ path = {:?} }}",
        krate.display().to_string()
    );
    let dependencies = dependencies.replace(published, &here);
    // Speed of building counts here, not speed of running.
    Ok(format!(
        "[package]\nname = \"outside-crate\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n{dependencies}\n\
         [profile.dev]\ndebug = false\nincremental = false\n"
    ))
}

/// Runs cargo in the folder and returns what was printed.
fn cargo(folder: &Path, target: &Path, arguments: &[&str]) -> Result<String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(arguments)
        .args(["--offline", "--quiet"])
        .current_dir(folder)
        .env("CARGO_TARGET_DIR", target)
        .output()
        .context("cargo cannot be run")?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    ensure!(
        output.status.success(),
        "cargo {arguments:?}: {}\n{}{}",
        output.status,
        text(&output.stdout),
        text(&output.stderr)
    );
    Ok(text(&output.stdout))
}

#[test]
#[ignore = "builds burn once more; .ci/long runs it"]
fn a_crate_outside_the_workspace_builds_the_readme_and_trains_with_kto() -> Result<()> {
    let workspace = workspace().canonicalize()?;
    let krate = workspace.join("crates/pref-losses");
    let readme = std::fs::read_to_string(krate.join("README.md"))?;
    let toy = std::fs::read_to_string(krate.join("examples/two_parameters.rs"))?;

    let folder = tempfile::tempdir()?;
    ensure!(
        !folder.path().canonicalize()?.starts_with(&workspace),
        "the temporary folder is inside the workspace"
    );
    let write = |name: &str, text: &str| -> Result<()> {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().context("no folder")?)?;
        Ok(std::fs::write(path, text)?)
    };
    write("Cargo.toml", &manifest(&readme, &krate)?)?;
    write("src/bin/readme.rs", block(&readme, "rust")?)?;
    write("src/bin/toy.rs", &toy)?;
    // The compiler and the versions that the workspace is built with: there may be no network to ask for others.
    for name in ["Cargo.lock", "rust-toolchain.toml"] {
        std::fs::copy(workspace.join(name), folder.path().join(name))?;
    }

    let target = match std::env::var_os("CARGO_TARGET_DIR") {
        Some(target) => workspace.join(target),
        None => workspace.join("target"),
    };
    let target = target.join("outside-crate");
    cargo(folder.path(), &target, &["run", "--bin", "readme"])?;
    let shown = cargo(folder.path(), &target, &["run", "--bin", "toy"])?;
    ensure!(shown.contains("have become likelier"), "{shown}");
    // The folder has another name next time, so what was built of this crate itself would pile up.
    cargo(
        folder.path(),
        &target,
        &["clean", "--package", "outside-crate"],
    )?;
    Ok(())
}
