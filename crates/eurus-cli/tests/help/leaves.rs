//! All commands that do something, found in the help itself.

use std::process::Command;

use anyhow::{Context, Result, ensure};

/// A command, by the words after `eurus`, and what its help says.
pub struct Leaf {
    pub words: Vec<String>,
    pub help: String,
}

/// The help of a command, not wrapped.
fn help_of(words: &[String]) -> Result<String> {
    let output = Command::new(env!("CARGO_BIN_EXE_eurus"))
        .args(words)
        .arg("--help")
        .env("COLUMNS", "100000")
        .output()?;
    ensure!(output.status.success(), "{words:?} --help");
    Ok(String::from_utf8(output.stdout)?)
}

/// The commands below one, by its help.
fn below(help: &str) -> Vec<String> {
    let Some((_, after)) = help.split_once("\nCommands:\n") else {
        return Vec::new();
    };
    let lines = after.lines().take_while(|line| !line.trim().is_empty());
    let names = lines.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = names.filter_map(|line| line.split_whitespace().next());
    names
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect()
}

/// All commands; `groups` too, whose help has examples of what is below them.
pub fn all(groups: bool) -> Result<Vec<Leaf>> {
    let mut found = Vec::new();
    let mut waiting = vec![Vec::new()];
    while let Some(words) = waiting.pop() {
        let help = help_of(&words)?;
        let names = below(&help);
        for name in &names {
            let mut deeper = words.clone();
            deeper.push(name.clone());
            waiting.push(deeper);
        }
        if names.is_empty() || groups {
            found.push(Leaf { words, help });
        }
    }
    found.sort_by(|a, b| a.words.cmp(&b.words));
    ensure!(found.len() > 30, "{} commands", found.len());
    Ok(found)
}

/// The examples that a help shows, each as one line of a shell.
pub fn examples(help: &str) -> Result<Vec<String>> {
    let (_, after) = help.rsplit_once("Example").context("examples")?;
    let whole = after.replace("\\\n", " ");
    let mut lines = whole.lines().map(str::trim);
    let mut found = Vec::new();
    while let Some(line) = lines.next() {
        if !["eurus ", "echo "]
            .iter()
            .any(|start| line.starts_with(start))
        {
            continue;
        }
        let mut example = line.to_owned();
        // What is in quotes may go on in the next lines.
        while example.matches('\'').count() % 2 == 1 {
            let next = lines.next().context("the end of what is in quotes")?;
            example.push(' ');
            example.push_str(next);
        }
        found.push(example.split_whitespace().collect::<Vec<_>>().join(" "));
    }
    Ok(found)
}
