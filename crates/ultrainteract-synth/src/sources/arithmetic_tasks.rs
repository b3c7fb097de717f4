//! NumGLUE and TabMWP: arithmetic of several kinds, some with choices.

use serde_json::Value;

use super::row::{Draft, Reason, Row, with_choices};
use super::tables;
use crate::problem::{Gold, find_choice};

/// NumGLUE: types 1, 2, 4 and 8 have an answer, type 3 two options of which the answer names one. The others the paper left out;
/// they need a passage that is searched, or a judgement of statements.
pub(super) fn num_glue(row: &Row) -> Result<Draft, Reason> {
    let name = row.text("type")?;
    let number = name
        .trim()
        .trim_start_matches("Type")
        .trim_start_matches(['_', ' ']);
    let question = row.text("question");
    let (instruction, gold) = match number {
        "1" | "2" | "4" | "8" => (
            question?.trim().to_owned(),
            Gold::Answer(row.shown("answer")?),
        ),
        "3" => {
            let choices = vec![row.shown("Option1")?, row.shown("Option2")?];
            let named = row.shown("answer")?;
            // `Option 1` or `Option1`
            let bare = named.trim_start_matches("Option").trim();
            let answer = match bare {
                "1" => 0,
                "2" => 1,
                _ => find_choice(&choices, &named).ok_or_else(|| {
                    format!("field `answer` is `{named}`, which is none of the options")
                })?,
            };
            (
                with_choices(question?, &choices),
                Gold::Choice { choices, answer },
            )
        }
        "5" | "6" | "7" => return Err(format!("{name} is left out, as in the paper")),
        _ => {
            return Err(format!(
                "field `type` is `{name}`; known are Type_1 to Type_8"
            ));
        }
    };
    Ok(Draft {
        id: None,
        instruction,
        gold,
        solutions: Vec::new(),
    })
}

/// TabMWP. No field of it is called a difficulty, of which the paper kept 4 and 5; we take the `grade` for it.
///
/// The instruction is ours: the title of the table, its lines as they are published, the question, the unit and the choices.
pub(super) fn tab_mwp(row: &Row, all_grades: bool) -> Result<Draft, Reason> {
    if !all_grades {
        let grade = row.shown("grade")?;
        if !matches!(&*grade, "4" | "5") {
            return Err(format!(
                "grade {grade} is left out; grades 4 and 5 are kept"
            ));
        }
    }
    let mut instruction = tables::titled(row.optional("table_title")?, row.text("table")?);
    let mut question = row.text("question")?.trim().to_owned();
    if let Some(unit) = row.optional("unit")? {
        question += &format!(" (unit: {})", unit.trim());
    }
    let answer = row.shown("answer")?;
    let has_choices = |value: &&Value| value.as_array().is_none_or(|list| !list.is_empty());
    let gold = match row.value("choices").filter(has_choices) {
        None => Gold::Answer(answer),
        Some(_) => {
            let choices = row.texts("choices")?;
            let right = choices.iter().position(|it| it.trim() == answer);
            let right = right.ok_or_else(|| {
                format!("field `answer` is `{answer}`, which is none of the choices")
            })?;
            question = with_choices(&question, &choices);
            Gold::Choice {
                choices,
                answer: right,
            }
        }
    };
    instruction += "\n\n";
    instruction += &question;
    Ok(Draft {
        id: row.key.clone(),
        instruction,
        gold,
        solutions: Vec::new(),
    })
}
