//! Prose and fenced code of an action or a critique, told apart.

use serde::Serialize;

/// A piece of text as it is shown.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(super) enum Block {
    /// Running text; line breaks count.
    Prose { text: String },
    /// Code between fences, line by line so that comments can be set apart.
    Code {
        language: String,
        lines: Vec<CodeLine>,
    },
}

#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct CodeLine {
    text: String,
    comment: bool,
}

/// Splits at lines that start with three backticks; a fence that never closes runs to the end.
pub(super) fn blocks(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut prose: Vec<&str> = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(language) = line.trim_start().strip_prefix("```") else {
            prose.push(line);
            continue;
        };
        push_prose(&mut blocks, &mut prose);
        let inside = lines
            .by_ref()
            .take_while(|line| !line.trim_start().starts_with("```"));
        let code: Vec<CodeLine> = inside.map(CodeLine::new).collect();
        blocks.push(Block::Code {
            language: language.trim().to_owned(),
            lines: code,
        });
    }
    push_prose(&mut blocks, &mut prose);
    blocks
}

fn push_prose(blocks: &mut Vec<Block>, lines: &mut Vec<&str>) {
    let text = lines.join("\n").trim_matches('\n').trim_end().to_owned();
    lines.clear();
    if !text.is_empty() {
        blocks.push(Block::Prose { text });
    }
}

impl CodeLine {
    fn new(line: &str) -> Self {
        Self {
            text: line.to_owned(),
            comment: line.trim_start().starts_with('#'),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(text: &str) -> Vec<String> {
        let describe = |block: Block| match block {
            Block::Prose { text } => format!("prose {text}"),
            Block::Code { language, lines } => {
                let lines: Vec<String> = lines.into_iter().map(|line| line.text).collect();
                format!("{language} {}", lines.join("|"))
            }
        };
        blocks(text).into_iter().map(describe).collect()
    }

    #[test]
    fn prose_and_code_alternate() {
        let text = "Step 1: add.\n```python\n# sum\nprint(1 + 2)\n```\n\nAnswer: 3\n";
        assert_eq!(
            shape(text),
            [
                "prose Step 1: add.",
                "python # sum|print(1 + 2)",
                "prose Answer: 3"
            ]
        );
    }

    #[test]
    fn an_open_fence_runs_to_the_end() {
        assert_eq!(shape("a\n```\nx = 1"), ["prose a", " x = 1"]);
    }

    #[test]
    fn nothing_is_nothing() {
        assert!(blocks("").is_empty());
        assert!(blocks("\n\n").is_empty());
    }
}
