//! The book is true: every block of commands runs, and what it shows is what the program says.
//!
//! Blocks are marked in the book's source, where readers do not see it:
//!
//! - `<!-- given: runs/sft SVAMP.json -->`: the chapter's commands find these beside `model`, `pairs.jsonl` and `sft.jsonl`;
//!   `place.rs` makes them.
//! - `<!-- file: synth.toml -->`: the next block is a file of that name, which they find too.
//! - `<!-- not run: WHY -->`: the next block cannot run.

mod blocks;
mod packages;
mod place;

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use blocks::Chapter;
use packages::Packages;
use place::Stock;
use tempfile::TempDir;

use crate::common::Workplace;

/// The most that may be left out: one block of so many.
const OF_WHICH_ONE_MAY_BE_SKIPPED: usize = 10;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The pages with commands, by paths below the workspace.
fn pages() -> Result<Vec<PathBuf>> {
    let mut pages = vec![PathBuf::from("README.md")];
    for folder in ["docs/src", "docs/src/evaluation"] {
        for entry in fs::read_dir(root().join(folder))? {
            let path = Path::new(folder).join(entry?.file_name());
            if path.extension().is_some_and(|it| it == "md") {
                pages.push(path);
            }
        }
    }
    for entry in fs::read_dir(root().join("crates"))? {
        let page = Path::new("crates")
            .join(entry?.file_name())
            .join("README.md");
        if root().join(&page).exists() {
            pages.push(page);
        }
    }
    pages.sort();
    Ok(pages)
}

fn chapters() -> Result<Vec<Chapter>> {
    pages()?
        .into_iter()
        .map(|page| {
            let text = with_included(&root().join(&page))?;
            Chapter::parse(&page.to_string_lossy(), &text)
        })
        .collect()
}

/// The text of a page, with the files that it includes as a line of their own.
fn with_included(page: &Path) -> Result<String> {
    let mut whole = String::new();
    for line in fs::read_to_string(page)?.lines() {
        let name = line
            .strip_prefix("{{#include ")
            .and_then(|rest| rest.strip_suffix("}}"));
        match name {
            Some(name) => whole += &fs::read_to_string(page.with_file_name(name))?,
            None => whole = whole + line + "\n",
        }
    }
    Ok(whole)
}

/// A chapter's commands as `trycmd` reads them, with the folder that they find.
fn write_case(cases: &TempDir, chapter: &Chapter, stock: &Stock) -> Result<()> {
    let name = chapter.page.trim_end_matches(".md").replace('/', "_");
    let at = |end: &str| cases.path().join(format!("{name}.{end}"));
    let given = at("in");
    fs::create_dir(&given)?;
    stock
        .lay_out(chapter, &given)
        .with_context(|| chapter.page.clone())?;
    // A folder of this name has `trycmd` work on a copy of the other.
    fs::create_dir(at("out"))?;
    fs::write(at("md"), stock.with_addresses(&chapter.script))?;
    Ok(())
}

#[test]
fn every_command_of_the_book_runs_and_says_what_the_book_says() -> Result<()> {
    let chapters = chapters()?;
    let stock = Stock::new()?;
    let cases = tempfile::tempdir()?;
    for chapter in chapters.iter().filter(|it| !it.script.trim().is_empty()) {
        write_case(&cases, chapter, &stock)?;
    }
    trycmd::TestCases::new()
        .case(cases.path().join("*.md"))
        .env("KEY", "of-the-book")
        .env("COLUMNS", "130")
        .run();
    Ok(())
}

#[test]
fn what_cargo_is_asked_for_in_the_book_is_in_the_workspace() -> Result<()> {
    let packages = Packages::read(&root())?;
    for chapter in chapters()? {
        for command in &chapter.cargo {
            packages
                .check(command)
                .with_context(|| format!("{}: {command}", chapter.page))?;
        }
    }
    Ok(())
}

#[test]
fn every_page_with_rust_is_tested_as_documentation() -> Result<()> {
    let tested = fs::read_to_string(root().join("tests/src/book.rs"))?;
    for page in pages()?.iter().filter(|it| it.starts_with("docs")) {
        let has_rust = fs::read_to_string(root().join(page))?.contains("\n```rust");
        let path = page.to_string_lossy();
        ensure!(
            !has_rust || tested.contains(path.as_ref()),
            "{path} has Rust and is not in tests/src/book.rs"
        );
    }
    Ok(())
}

#[test]
fn options_that_are_named_to_newcomers_are_options_of_the_program() -> Result<()> {
    let place = Workplace::new()?;
    place.succeed("man --out man")?;
    let mut options = BTreeSet::new();
    for page in fs::read_dir(place.path("man"))? {
        let page = fs::read_to_string(page?.path())?
            .replace("\\fB", " ")
            .replace("\\-", "-");
        options.extend(named_options(&page).map(str::to_owned));
    }
    for page in ["coming-from-trl", "coming-from-lm-evaluation-harness"] {
        let text = fs::read_to_string(root().join(format!("docs/src/{page}.md")))?;
        for option in named_options(&text) {
            ensure!(options.contains(option), "{page} names {option}");
        }
    }
    Ok(())
}

#[test]
fn messages_that_are_quoted_are_in_the_code() -> Result<()> {
    let mut code = String::new();
    for package in fs::read_dir(root().join("crates"))? {
        add_code(&package?.path().join("src"), &mut code)?;
    }
    let page = fs::read_to_string(root().join("docs/src/troubleshooting.md"))?;
    let quoted: Vec<&str> = page
        .split("**\"")
        .skip(1)
        .filter_map(|rest| rest.split("\"**").next())
        .collect();
    ensure!(quoted.len() > 2, "{quoted:?}");
    for part in quoted.iter().flat_map(|message| message.split("...")) {
        ensure!(code.contains(part.trim()), "no code says `{part}`");
    }
    Ok(())
}

fn add_code(folder: &Path, code: &mut String) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            add_code(&path, code)?;
        } else if path.extension().is_some_and(|it| it == "rs") {
            *code += &fs::read_to_string(path)?;
        }
    }
    Ok(())
}

/// Words that begin with two dashes.
fn named_options(text: &str) -> impl Iterator<Item = &str> {
    let is_of_a_word = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let words = text.split(move |c: char| !is_of_a_word(c));
    words.filter(|word| word.len() > 3 && word.starts_with("--") && !word.starts_with("---"))
}

#[test]
fn at_most_a_tenth_of_the_blocks_is_skipped_and_each_says_why() -> Result<()> {
    let chapters = chapters()?;
    let total = |count: fn(&Chapter) -> usize| chapters.iter().map(count).sum::<usize>();
    let (run, checked) = (total(|it| it.run), total(|it| it.of_cargo_alone));
    let rust = total(|it| it.of_rust);
    let skipped: Vec<String> = chapters
        .iter()
        .flat_map(|chapter| {
            let of = |(line, why): &(usize, String)| format!("{}:{line}: {why}", chapter.page);
            chapter.skipped.iter().map(of)
        })
        .collect();
    let all = run + checked + rust + skipped.len();
    let mut told = format!(
        "\nthe book: of {all} blocks {run} of commands run, {rust} of Rust are tests of documentation, {checked} are cargo's \
         alone and held against the workspace, {} are skipped\n",
        skipped.len()
    );
    for line in &skipped {
        told += &format!("  {line}\n");
    }
    // To the stream itself: the test harness swallows what a passing test prints.
    std::io::stderr().write_all(told.as_bytes())?;
    ensure!(
        skipped.len() * OF_WHICH_ONE_MAY_BE_SKIPPED <= all,
        "too many blocks are skipped:{told}"
    );
    Ok(())
}
