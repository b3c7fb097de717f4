//! ReClor, HotpotQA and StrategyQA: reasoning in words.

use serde_json::Value;

use super::row::{Draft, Reason, Row, with_choices};
use crate::problem::Gold;

/// ReClor: a passage, a question about it and four choices; the label is a number from 0, on the Hub as a string.
pub(super) fn re_clor(row: &Row) -> Result<Draft, Reason> {
    let choices = row.texts("answers")?;
    if row.value("label").is_none() {
        return Err("there is no `label`, as in the test split".to_owned());
    }
    let label = row.shown("label")?;
    let answer = label
        .parse::<usize>()
        .ok()
        .filter(|label| *label < choices.len())
        .ok_or_else(|| format!("field `label` is `{label}`, which counts none of the answers"))?;
    let question = format!(
        "{}\n\n{}",
        row.text("context")?.trim(),
        row.text("question")?.trim()
    );
    Ok(Draft {
        id: row.optional("id_string")?.map(str::to_owned),
        instruction: with_choices(&question, &choices),
        gold: Gold::Choice { choices, answer },
        solutions: Vec::new(),
    })
}

/// HotpotQA: the question alone; the paragraphs that the answer is in are left out, for the actor to search (appendix A.1).
pub(super) fn hotpot_qa(row: &Row) -> Result<Draft, Reason> {
    Ok(Draft {
        id: row.text_of(&["_id", "id"]).ok().map(str::to_owned),
        instruction: row.text("question")?.trim().to_owned(),
        gold: Gold::Answer(row.shown("answer")?),
        solutions: Vec::new(),
    })
}

/// StrategyQA: true is yes, false is no. Facts, decomposition and evidence are left out, for the actor to find.
pub(super) fn strategy_qa(row: &Row) -> Result<Draft, Reason> {
    let answer = match row.value("answer") {
        Some(Value::Bool(true)) => "yes",
        Some(Value::Bool(false)) => "no",
        None => return Err("there is no `answer`, as in the test split".to_owned()),
        Some(_) => return Err("field `answer` is neither true nor false".to_owned()),
    };
    Ok(Draft {
        id: row.optional("qid")?.map(str::to_owned),
        instruction: row.text("question")?.trim().to_owned(),
        gold: Gold::Answer(answer.to_owned()),
        solutions: Vec::new(),
    })
}
