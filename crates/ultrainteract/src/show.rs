//! Draws a tree as text.

use std::fmt;
use std::fmt::Write;

use unicode_width::UnicodeWidthChar;

use crate::{ActionSource, Content, NodeId, PreferenceTree, Verdict};

/// Columns that a tree takes when it is displayed without a width.
pub const DEFAULT_WIDTH: usize = 100;

/// The tree as lines of at most `width` columns, one per node: turn, verdict and first line.
///
/// Marks: `✓` correct, `✗` incorrect, `?` unjudged; `+` chosen and `-` rejected in a pair;
/// `(ground truth)` for a rationale that no model wrote. `>` is an observation. Control characters
/// in the texts are shown as spaces.
///
/// ```
/// use ultrainteract::{Action, ActionSource, PreferenceTree, Schema, Task, Verdict, show};
///
/// let mut tree = PreferenceTree::new("p1", Task::MathCot, "toy", "What is 1 + 1?")?;
/// tree.add_action(tree.root(), Action {
///     text: "Step 1: One and one are two.\nAnswer: 2".into(), verdict: Verdict::Correct,
///     actor: "toy".into(), schema: Schema::ChainOfThought, source: ActionSource::Sampled,
/// })?;
/// assert_eq!(
///     show::render(&tree, 32),
///     "p1 · Math_CoT · toy · 1 turn · …\n\
///      What is 1 + 1?\n\
///      └─ 1 ✓ Step 1: One and one are …\n",
/// );
/// # Ok::<(), ultrainteract::Error>(())
/// ```
pub fn render(tree: &PreferenceTree, width: usize) -> String {
    let mut out = String::new();
    let head = format!(
        "{} · {} · {} · {} · {}",
        tree.id(),
        tree.task(),
        tree.dataset(),
        counted(tree.turns(), "turn"),
        counted(tree.pairs().len(), "pair"),
    );
    push_line(&mut out, &head, width);
    push_line(&mut out, first_line(tree.instruction()), width);

    // Children are pushed last first, so that they are drawn first to last.
    let mut stack: Vec<(NodeId, String, bool)> = Vec::new();
    push_children(&mut stack, tree, tree.root(), "");
    while let Some((id, indent, last)) = stack.pop() {
        let text = tree.node(id).text();
        let line = format!(
            "{indent}{} {}{}",
            if last { "└─" } else { "├─" },
            label(tree, id),
            first_line(&text)
        );
        push_line(&mut out, &line, width);
        let indent = format!("{indent}{}", if last { "   " } else { "│  " });
        push_children(&mut stack, tree, id, &indent);
    }
    out
}

impl fmt::Display for PreferenceTree {
    /// [`render`] at the formatter's width, or [`DEFAULT_WIDTH`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&render(self, f.width().unwrap_or(DEFAULT_WIDTH)))
    }
}

fn push_children(
    stack: &mut Vec<(NodeId, String, bool)>,
    tree: &PreferenceTree,
    id: NodeId,
    indent: &str,
) {
    for (place, &child) in tree.children(id).iter().rev().enumerate() {
        stack.push((child, indent.to_string(), place == 0));
    }
}

fn label(tree: &PreferenceTree, id: NodeId) -> String {
    let action = match tree.node(id).content() {
        Content::Action(action) => action,
        Content::Instruction(_) | Content::Observation(_) => return "> ".to_string(),
    };
    let mut label = format!("{} ", tree.turn(id));
    label.push(match action.verdict {
        Verdict::Correct => '✓',
        Verdict::Incorrect => '✗',
        Verdict::Unjudged => '?',
    });
    if tree.pairs().iter().any(|pair| pair.chosen == id) {
        label.push('+');
    }
    if tree.pairs().iter().any(|pair| pair.rejected == id) {
        label.push('-');
    }
    if action.source == ActionSource::GroundTruth {
        label.push_str(" (ground truth)");
    }
    label.push(' ');
    label
}

fn counted(count: usize, noun: &str) -> String {
    let mut text = format!("{count} {noun}");
    if count != 1 {
        let _ = text.write_char('s');
    }
    text
}

fn first_line(text: &str) -> &str {
    text.lines()
        .map(str::trim)
        .find(|line| !line.is_empty())
        .unwrap_or("")
}

/// The line, cut to a number of terminal columns; a cut is marked with `…`.
fn push_line(out: &mut String, line: &str, width: usize) {
    let columns = |c: char| c.width().unwrap_or(0);
    let printable = || line.chars().map(|c| if c.is_control() { ' ' } else { c });
    if printable().map(columns).sum::<usize>() <= width {
        out.extend(printable());
    } else {
        let mut left = width.saturating_sub(1);
        out.extend(printable().take_while(|&c| {
            let fits = columns(c) <= left;
            left = left.saturating_sub(columns(c));
            fits
        }));
        if width > 0 {
            out.push('…');
        }
    }
    out.push('\n');
}
