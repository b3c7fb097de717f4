//! The tables as text, Markdown and JSON.

use std::fmt::Write;

use unicode_width::UnicodeWidthStr;

use super::tables::{Table1, Table1Row, Table7};

/// How tables are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Layout {
    /// Columns aligned for a terminal.
    #[default]
    Text,
    /// Tables of Markdown.
    Markdown,
    /// One object with `table1` and `table7`.
    Json,
}

pub(super) fn both(table1: &Table1, table7: &Table7, layout: Layout) -> String {
    if layout == Layout::Json {
        let tables = serde_json::json!({ "table1": table1, "table7": table7 });
        return format!("{tables:#}");
    }
    let captions = [
        "Table 1: by task, interaction and tool",
        "Table 7: by data set",
    ];
    let grids = [grid1(table1), grid7(table7)];
    let mut out = String::new();
    for (caption, grid) in captions.iter().zip(&grids) {
        if !out.is_empty() {
            out.push('\n');
        }
        let _ = match layout {
            Layout::Markdown => write!(out, "**{caption}**\n\n{}", markdown(grid)),
            _ => write!(out, "{caption}\n{}", aligned(grid)),
        };
    }
    out
}

/// Cells by line; the first line is the head, the first `left` columns are words.
struct Grid {
    left: usize,
    lines: Vec<Vec<String>>,
}

fn grid1(table: &Table1) -> Grid {
    let turns = |row: &Table1Row| row.turns.len();
    let columns = table.rows.iter().map(turns).max().unwrap_or(0).max(5);
    let mut head = strings(&["Task", "Interaction", "Tool", "# Instructions"]);
    head.extend((1..=columns).map(|turn| format!("T{turn}")));
    head.extend(strings(&[
        "# Tokens per Traj.",
        "# Traj. per Ins.",
        "# Pairs",
        "# Correct Answers",
    ]));
    let line = |row: &Table1Row| {
        let mut line = vec![
            row.task
                .map_or("Total".to_string(), |task| task.to_string()),
            flag(row.interaction),
            flag(row.tool),
            grouped(row.instructions),
        ];
        line.extend((0..columns).map(|turn| match row.turns.get(turn) {
            Some(&count) if count > 0 => grouped(count),
            _ => "-".to_string(),
        }));
        line.extend([
            decimal(row.tokens_per_trajectory),
            decimal(row.trajectories_per_instruction),
            grouped(row.pairs),
            grouped(row.correct_answers),
        ]);
        line
    };
    let mut lines = vec![head];
    lines.extend(table.rows.iter().chain([&table.total]).map(line));
    Grid { left: 3, lines }
}

fn grid7(table: &Table7) -> Grid {
    let head = strings(&[
        "Task",
        "Dataset",
        "Tool",
        "# Prompts",
        "# Pairs",
        "# Correct Answers",
        "Avg. Length",
        "Has Answer?",
        "Has Rationale?",
    ]);
    let mut lines = vec![head];
    lines.extend(table.rows.iter().map(|row| {
        vec![
            row.task.to_string(),
            // A name from a file must not break the table.
            row.dataset.replace(['|', '\n', '\r'], " "),
            flag(row.tool),
            grouped(row.prompts),
            grouped(row.pairs),
            grouped(row.correct_answers),
            decimal(row.average_length),
            flag(row.has_answer),
            flag(row.has_rationale),
        ]
    }));
    Grid { left: 3, lines }
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_string()).collect()
}

fn flag(flag: Option<bool>) -> String {
    match flag {
        Some(true) => "yes",
        Some(false) => "no",
        None => "-",
    }
    .to_string()
}

fn decimal(value: f64) -> String {
    let text = format!("{value:.1}");
    match text.split_once('.') {
        Some((whole, rest)) => match whole.parse() {
            Ok(whole) => format!("{}.{rest}", grouped(whole)),
            Err(_) => text,
        },
        None => text,
    }
}

/// A number with commas between thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn aligned(grid: &Grid) -> String {
    let columns = grid.lines.first().map_or(0, Vec::len);
    let width = |column: usize| {
        let widths = grid.lines.iter().map(|line| line[column].width());
        widths.max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = String::new();
    for line in &grid.lines {
        let mut text = String::new();
        for (column, cell) in line.iter().enumerate() {
            let pad = " ".repeat(widths[column] - cell.width());
            let _ = match column < grid.left {
                true => write!(text, "{cell}{pad}  "),
                false => write!(text, "{pad}{cell}  "),
            };
        }
        out.push_str(text.trim_end());
        out.push('\n');
    }
    out
}

fn markdown(grid: &Grid) -> String {
    let mut out = String::new();
    for (index, line) in grid.lines.iter().enumerate() {
        let _ = writeln!(out, "| {} |", line.join(" | "));
        if index == 0 {
            let rule = |column| if column < grid.left { "---" } else { "---:" };
            let rules: Vec<&str> = (0..line.len()).map(rule).collect();
            let _ = writeln!(out, "| {} |", rules.join(" | "));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_commas_between_thousands() {
        assert_eq!(
            [0, 999, 1000, 1234567].map(grouped),
            ["0", "999", "1,000", "1,234,567"]
        );
        assert_eq!(decimal(1750.04), "1,750.0");
    }
}
