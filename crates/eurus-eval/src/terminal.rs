//! Tables as text: for a terminal, and as Markdown.

use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{CellAlignment, ContentArrangement, LineStyle, TableStyle};

use crate::table::Table;

/// Rules above, below the header and below, as in print; none between rows.
const STYLE: TableStyle = {
    let rule = LineStyle::none().fill('─').junction('─');
    TableStyle::new()
        .top_border(rule)
        .header_separator(rule)
        .bottom_border(rule)
};

/// The table as text: caption, body between rules, notes.
///
/// Returns a string without a trailing line break; nothing is printed. On a terminal too narrow
/// for the table, cells wrap.
///
/// ```
/// use eurus_eval::{Table, terminal};
///
/// let text = terminal::render(&Table::new("Scores").headers(["Model", "pass@1"]).row(["SFT", "41.5 %"]));
/// assert!(text.starts_with("Scores\n"));
/// ```
pub fn render(table: &Table) -> String {
    let mut body = body(table);
    body.load_style(STYLE)
        .set_content_arrangement(ContentArrangement::Dynamic);
    joined(table, &body, "\n")
}

/// The table as Markdown: caption, body, notes, each a paragraph.
///
/// ```
/// use eurus_eval::{Table, terminal};
///
/// let text = terminal::markdown(&Table::new("Scores").headers(["Model", "pass@1"]).row(["SFT", "41.5 %"]));
/// assert!(text.contains("| Model | pass@1 |"));
/// ```
pub fn markdown(table: &Table) -> String {
    let mut body = body(table);
    body.load_style(ASCII_MARKDOWN)
        .set_content_arrangement(ContentArrangement::Disabled);
    joined(table, &body, "\n\n")
}

fn body(table: &Table) -> comfy_table::Table {
    let mut body = comfy_table::Table::new();
    if !table.headers.is_empty() {
        body.set_header(table.padded(&table.headers));
    }
    for row in &table.rows {
        body.add_row(table.padded(row));
    }
    for index in 0..table.width() {
        if table.is_numeric(index)
            && let Some(column) = body.column_mut(index)
        {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }

    body
}

fn joined(table: &Table, body: &comfy_table::Table, between: &str) -> String {
    let mut parts = vec![table.caption.clone()];
    if table.width() > 0 {
        parts.push(body.to_string());
    }
    parts.extend(table.notes.iter().cloned());
    parts.retain(|part| !part.is_empty());
    parts.join(between)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_prints_its_caption_cells_and_notes() {
        let table = Table::new("Held-out pass@1")
            .headers(["Model", "pass@1"])
            .row(["SFT", "9.5 %"])
            .row(["KTO", "41.5 %"])
            .note("200 problems.");
        let text = render(&table);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.first(), Some(&"Held-out pass@1"));
        assert_eq!(lines.last(), Some(&"200 problems."));
        let sft = lines.iter().find(|line| line.contains("SFT")).unwrap();
        let kto = lines.iter().find(|line| line.contains("KTO")).unwrap();
        assert_eq!(
            sft.find('%'),
            kto.find('%'),
            "numbers are aligned right:\n{text}"
        );
    }

    #[test]
    fn an_empty_table_prints_nothing_but_its_caption() {
        assert_eq!(render(&Table::new("Nothing")), "Nothing");
        assert_eq!(render(&Table::default()), "");
    }
}
