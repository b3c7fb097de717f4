//! WikiTableQuestions, and how tables are written into instructions.
//!
//! How the authors wrote tables is not known; the form here is ours: a line for each row, cells with ` | ` between them.

use std::path::{Component, Path, PathBuf};

use serde_json::Value;

use super::row::{Draft, Reason, Row};
use super::separated;
use crate::problem::Gold;

/// A table of lines under its title, if it has one.
pub(super) fn titled(title: Option<&str>, lines: &str) -> String {
    match title {
        Some(title) => format!("Table: {}\n{}", title.trim(), lines.trim_end()),
        None => format!("Table:\n{}", lines.trim_end()),
    }
}

/// Cells as lines. A line break in a cell becomes a space, a separator in one a slash.
fn lines(rows: &[Vec<String>]) -> String {
    let cell = |text: &String| {
        let words: Vec<&str> = text.split_whitespace().collect();
        words.join(" ").replace('|', "/")
    };
    let line = |row: &Vec<String>| row.iter().map(cell).collect::<Vec<_>>().join(" | ");
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// WikiTableQuestions, as its TSV with the tables beside it, or as the Hub has it. `folder` is where the tables lie; without it
/// they are looked for beside the file and one folder further up.
pub(super) fn wiki(row: &Row, folder: Option<&Path>) -> Result<Draft, Reason> {
    let question = row.text_of(&["utterance", "question"])?;
    let (answers, rows) = match row.value("table") {
        Some(table) => (row.texts("answers")?, of_hub(table)?),
        None => {
            let context = escaped(row.text("context")?);
            let target = row.text("targetValue")?;
            let answers = target.split('|').map(escaped).collect();
            (answers, of_file(row, folder, &context)?)
        }
    };
    if rows.len() < 2 {
        return Err("the table has no rows".to_owned());
    }
    Ok(Draft {
        id: row.optional("id")?.map(str::to_owned),
        instruction: format!(
            "{}\n\n{}",
            titled(None, &lines(&rows)),
            escaped(question).trim()
        ),
        gold: Gold::Answer(list(&answers)?),
        solutions: Vec::new(),
    })
}

/// `\n`, `\p` and `\\` as a line break, a pipe and a backslash.
fn escaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, chars.as_str().chars().next()) {
            ('\\', Some('n')) => plain.push('\n'),
            ('\\', Some('p')) => plain.push('|'),
            ('\\', Some('\\')) => plain.push('\\'),
            (c, _) => {
                plain.push(c);
                continue;
            }
        }
        chars.next();
    }
    plain
}

/// Several answers as a list with commas.
fn list(answers: &[String]) -> Result<String, Reason> {
    let answers: Vec<&str> = answers.iter().map(|answer| answer.trim()).collect();
    match answers[..] {
        [] => Err("there is no answer".to_owned()),
        [one] => Ok(one.to_owned()),
        _ => match answers.iter().find(|answer| answer.contains(',')) {
            None => Ok(answers.join(", ")),
            Some(answer) => Err(format!(
                "of several answers, `{answer}` has a comma, and so the list could not be compared"
            )),
        },
    }
}

fn of_hub(table: &Value) -> Result<Vec<Vec<String>>, Reason> {
    let cells = |value: &Value| -> Option<Vec<String>> {
        let shown = |cell: &Value| match cell {
            Value::String(text) => Some(text.clone()),
            Value::Null => Some(String::new()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        value.as_array()?.iter().map(shown).collect()
    };
    let read = || {
        let header = cells(table.get("header")?)?;
        let rows = table.get("rows")?.as_array()?;
        let rows = rows.iter().map(cells).collect::<Option<Vec<_>>>()?;
        Some([vec![header], rows].concat())
    };
    read().ok_or_else(|| "field `table` has no lists `header` and `rows`".to_owned())
}

/// The table of a path that the data set gives, which must not lead out of its folder.
fn of_file(row: &Row, folder: Option<&Path>, context: &str) -> Result<Vec<Vec<String>>, Reason> {
    let context = Path::new(context);
    let is_inside = context
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    if !is_inside {
        return Err(format!(
            "field `context` is `{}`, which leads out of the data set",
            context.display()
        ));
    }
    let beside = row.location.file.parent();
    let above = beside.and_then(|folder| match folder.as_os_str().is_empty() {
        true => Some(Path::new("..")),
        false => folder.parent(),
    });
    let candidates: Vec<PathBuf> = match folder {
        Some(folder) => vec![folder.join(context)],
        None => [beside, above]
            .into_iter()
            .flatten()
            .map(|folder| folder.join(context))
            .collect(),
    };
    match candidates.iter().find(|path| path.is_file()) {
        Some(path) => separated::cells(path)
            .map_err(|error| format!("table `{}` cannot be read: {error}", context.display())),
        None => Err(format!(
            "table `{}` is not there; unpack the tables beside the file, or name their folder",
            context.display()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_read_once() {
        assert_eq!(escaped(r"a\nb\pc\\nd\x"), "a\nb|c\\nd\\x");
    }

    #[test]
    fn several_answers_are_a_list_unless_one_has_a_comma() {
        let of = |answers: &[&str]| {
            list(
                &answers
                    .iter()
                    .map(|it| (*it).to_owned())
                    .collect::<Vec<_>>(),
            )
        };
        assert_eq!(of(&["1,200"]).unwrap(), "1,200");
        assert_eq!(of(&["Rome", " Oslo"]).unwrap(), "Rome, Oslo");
        assert!(
            of(&["Paris, France", "Oslo"])
                .unwrap_err()
                .contains("has a comma")
        );
        assert!(of(&[]).is_err());
    }
}
