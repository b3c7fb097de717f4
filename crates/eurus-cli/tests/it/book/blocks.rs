//! The blocks of commands of a page of the book.

use anyhow::{Result, bail, ensure};

/// A page with its commands.
#[derive(Debug, Default)]
pub struct Chapter {
    /// Its path below the workspace.
    pub page: String,
    /// The page as `trycmd` reads it.
    pub script: String,
    /// What its commands find beside what all find.
    pub given: Vec<String>,
    /// Files that are blocks of the page: name and text.
    pub files: Vec<(String, String)>,
    /// Commands of cargo.
    pub cargo: Vec<String>,
    /// How many blocks run.
    pub run: usize,
    /// How many blocks have commands of cargo and no other.
    pub of_cargo_alone: usize,
    /// How many blocks of Rust are tests of documentation.
    pub of_rust: usize,
    /// Blocks that cannot run: the line and the reason.
    pub skipped: Vec<(usize, String)>,
}

/// The block that goes on at a line.
struct Open {
    language: String,
    at: usize,
    file: Option<String>,
    lines: Vec<String>,
}

impl Chapter {
    /// Reads a page.
    pub fn parse(page: &str, text: &str) -> Result<Self> {
        let mut chapter = Self {
            page: page.to_owned(),
            ..Self::default()
        };
        let mut open: Option<Open> = None;
        let (mut file, mut reason) = (None, None);
        for (at, line) in text.lines().enumerate() {
            match (&mut open, line.strip_prefix("```")) {
                (Some(block), Some(_)) => {
                    let block = std::mem::replace(block, Open::new("", 0, None));
                    open = None;
                    chapter.close(block, reason.take())?;
                }
                (Some(block), None) => block.lines.push(line.to_owned()),
                (None, Some(language)) => {
                    open = Some(Open::new(language.trim(), at + 1, file.take()));
                }
                (None, None) => {
                    if let Some(names) = mark(line, "given") {
                        let names = names.split_whitespace().map(str::to_owned);
                        chapter.given.extend(names);
                    } else if let Some(name) = mark(line, "file") {
                        file = Some(name.to_owned());
                    } else if let Some(why) = mark(line, "not run") {
                        reason = Some(why.to_owned());
                    } else if !line.trim().is_empty() {
                        (file, reason) = (None, None);
                    }
                }
            }
        }
        ensure!(open.is_none(), "{page}: the last block has no end");
        Ok(chapter)
    }

    fn close(&mut self, block: Open, reason: Option<String>) -> Result<()> {
        let here = format!("{}:{}", self.page, block.at);
        if let Some(name) = block.file {
            self.files.push((name, block.lines.join("\n") + "\n"));
            return Ok(());
        }
        let is_page = self.page.starts_with("docs/");
        let is_rust = block.language.starts_with("rust");
        let is_rust_unrun = is_rust && block.language.contains("ignore");
        if !["console", "sh"].contains(&block.language.as_str()) && !is_rust_unrun {
            self.of_rust += usize::from(is_rust && is_page);
            return Ok(());
        }
        if let Some(why) = reason {
            self.skipped.push((block.at, why));
            return Ok(());
        }
        if is_rust_unrun || block.language == "sh" {
            bail!("{here}: say why it is not run: <!-- not run: WHY -->");
        }
        let (mut script, mut of_cargo) = (String::new(), 0);
        for command in commands(&block.lines) {
            let words = command.words.replace("target/release/eurus", "eurus");
            let program = words.split_whitespace().find(|word| !word.contains('='));
            match program {
                Some("cargo") => {
                    of_cargo += 1;
                    self.cargo.push(words);
                }
                Some("eurus") => script += &command.script(&words),
                Some(".ci/run" | ".ci/long") => of_cargo += 1,
                _ => bail!(
                    "{here}: `{words}` is no command of eurus or cargo; say why it is not run"
                ),
            }
        }
        match (script.is_empty(), of_cargo) {
            (true, 0) => bail!("{here}: there is no command"),
            (true, _) => self.of_cargo_alone += 1,
            (false, _) => self.run += 1,
        }
        if !script.is_empty() {
            self.script += &format!("{here}\n\n```console\n{script}```\n\n");
        }
        Ok(())
    }
}

impl Open {
    fn new(language: &str, at: usize, file: Option<String>) -> Self {
        Self {
            language: language.to_owned(),
            at,
            file,
            lines: Vec::new(),
        }
    }
}

/// What a comment that is a mark of this kind says.
fn mark<'a>(line: &'a str, kind: &str) -> Option<&'a str> {
    let said = line.trim().strip_prefix("<!--")?.strip_suffix("-->")?;
    Some(said.trim().strip_prefix(kind)?.strip_prefix(':')?.trim())
}

struct Command {
    words: String,
    /// What the page shows of its output.
    shown: Vec<String>,
}

impl Command {
    fn script(&self, words: &str) -> String {
        // There is no shell that could redirect.
        let words = words.split(" > ").next().unwrap_or_default();
        let mut script = format!("$ {words}\n");
        if self.shown.iter().any(|line| line.starts_with("error: ")) {
            script += "? failed\n";
        }
        if self.shown.is_empty() {
            return script + "...\n";
        }
        // The last end of a line that stands there is taken off.
        script + &self.shown.join("\n") + "\n\n"
    }
}

/// The commands of a block: the lines that begin with `$ `, with what they print below them, or else all lines.
fn commands(lines: &[String]) -> Vec<Command> {
    let is_transcript = lines.iter().any(|line| line.starts_with("$ "));
    let mut commands: Vec<Command> = Vec::new();
    let mut goes_on = false;
    for line in lines {
        let (begin, rest) = match line.strip_prefix("$ ") {
            Some(rest) => (true, rest),
            None => (!is_transcript && !goes_on, line.as_str()),
        };
        if !begin && (commands.is_empty() || !goes_on) {
            if let Some(command) = commands.last_mut() {
                command.shown.push(line.clone());
            }
            continue;
        }
        let said = without_comment(rest);
        if begin && said.is_empty() {
            continue;
        }
        if begin {
            commands.push(Command {
                words: String::new(),
                shown: Vec::new(),
            });
        }
        let (said, more) = match said.strip_suffix('\\') {
            Some(said) => (said, true),
            None => (said, false),
        };
        goes_on = more;
        if let Some(command) = commands.last_mut() {
            let joined = format!("{} {}", command.words, said.trim());
            command.words = joined.trim().to_owned();
        }
    }
    commands
}

fn without_comment(line: &str) -> &str {
    let end = match line.find(" #") {
        _ if line.starts_with('#') => 0,
        found => found.unwrap_or(line.len()),
    };
    line[..end].trim_end()
}
