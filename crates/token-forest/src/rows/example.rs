//! What there is to learn from an example, response by response.

use ultrainteract::example::{Completion, Example, Ranking};
use ultrainteract::{Message, NodeId, PreferenceTree, Role, Verdict};

use super::RowOptions;
use crate::message_tree::beginning;
use crate::{Error, Label, LabelKind, Result};

/// Responses to one history: what becomes a group of a tree.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    pub history: Vec<Message>,
    pub responses: Vec<Message>,
    pub label: Label,
    pub fields: Fields,
}

/// Where a row's texts stand in their record, for messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fields {
    pub history: &'static str,
    /// Of each response; the last one also of those after it.
    pub responses: &'static [&'static str],
}

impl Fields {
    pub fn response(&self, place: usize) -> &'static str {
        let last = self.responses.len() - 1;
        self.responses[place.min(last)]
    }

    /// All of them, as `a`, `b` and `c`.
    pub fn all(&self) -> String {
        let names = std::iter::once(&self.history).chain(self.responses);
        let mut quoted: Vec<String> = names.map(|name| format!("`{name}`")).collect();
        quoted.dedup();
        match quoted.pop() {
            Some(last) if !quoted.is_empty() => format!("{} and {last}", quoted.join(", ")),
            last => last.unwrap_or_default(),
        }
    }
}

const CONVERSATION: Fields = Fields {
    history: "messages",
    responses: &["messages"],
};
const COMPLETION: Fields = Fields {
    history: "prompt",
    responses: &["completion"],
};
const SFT: Fields = Fields {
    history: "instruction",
    responses: &["response"],
};
const PAIR: Fields = Fields {
    history: "trajectory",
    responses: &["chosen", "rejected"],
};
const PREFERENCE: Fields = Fields {
    history: "prompt",
    responses: &["chosen", "rejected"],
};
const RANKING: Fields = Fields {
    history: "instruction",
    responses: &["completions"],
};
const TREE: Fields = Fields {
    history: "nodes",
    responses: &["nodes"],
};

/// The rows of an example for losses that want one kind of label; empty if there is nothing of the kind in it.
///
/// # Errors
///
/// Examples of this kind never have what is wanted, or the example's answer is not one message.
pub(super) fn rows_of(example: &Example, options: &RowOptions) -> Result<Vec<Row>> {
    match options.kind {
        LabelKind::Imitated => imitated(example, options.last_turn_only),
        LabelKind::Pair => pairs(example, options),
        LabelKind::Verdict => verdicts(example),
        LabelKind::Scores => scores(example),
    }
}

fn unfit(example: &Example, wanted: &'static str) -> Error {
    Error::UnfitExample {
        kind: example.kind(),
        wanted,
    }
}

fn imitated(example: &Example, last_turn_only: bool) -> Result<Vec<Row>> {
    let (messages, first, fields) = match example {
        Example::Conversation(it) => (it.messages.clone(), 0, CONVERSATION),
        Example::Completion(it) => {
            let messages = [it.prompt.as_slice(), &it.completion].concat();
            (messages, it.prompt.len(), COMPLETION)
        }
        Example::Sft(row) => {
            let messages = vec![
                Message::user(&row.instruction),
                Message::assistant(&row.response),
            ];
            (messages, 1, SFT)
        }
        Example::Tree(_) => {
            // Correct actions alone, each right after the instruction: what the paper trains on.
            let completions = example.completions().unwrap_or_default().into_iter();
            let row = |it: Completion| {
                Some(Row {
                    history: it.prompt,
                    responses: vec![it.completion.into_iter().next()?],
                    label: Label::Imitated,
                    fields: TREE,
                })
            };
            return Ok(completions.filter_map(row).collect());
        }
        _ => return Err(unfit(example, "an answer to imitate")),
    };
    // What the assistant says before it was asked is history.
    let first = first.max(beginning(&messages));
    let answers = (first..messages.len()).filter(|&at| messages[at].role == Role::Assistant);
    let mut rows: Vec<Row> = answers
        .map(|at| Row {
            history: messages[..at].to_vec(),
            responses: vec![messages[at].clone()],
            label: Label::Imitated,
            fields,
        })
        .collect();
    if last_turn_only {
        rows.drain(..rows.len().saturating_sub(1));
    }
    Ok(rows)
}

fn pairs(example: &Example, options: &RowOptions) -> Result<Vec<Row>> {
    let origin = example.origin();
    let names = [
        origin.dataset.unwrap_or_default(),
        origin.task.map(|task| task.to_string()).unwrap_or_default(),
    ];
    let label = Label::Pair {
        margin: options.margin,
        rank_only: names.iter().any(|name| options.rank_only.contains(name)),
    };
    let fields = match example {
        Example::Tree(_) => TREE,
        Example::Pair(_) => PAIR,
        Example::Ranking(_) => RANKING,
        _ => PREFERENCE,
    };
    let preferences = example
        .preferences()
        .ok_or_else(|| unfit(example, "a pair of a better and a worse answer"))?;
    let rows = preferences.into_iter().map(|it| {
        let chosen = one_message(it.chosen, fields.response(0))?;
        let rejected = one_message(it.rejected, fields.response(1))?;
        Ok(Row {
            history: it.prompt,
            responses: vec![chosen, rejected],
            label: label.clone(),
            fields,
        })
    });
    rows.collect()
}

fn verdicts(example: &Example) -> Result<Vec<Row>> {
    let fields = match example {
        Example::Tree(_) => TREE,
        Example::Pair(_) => PAIR,
        Example::Preference(_) => PREFERENCE,
        Example::Ranking(_) => RANKING,
        _ => COMPLETION,
    };
    let answers = example
        .unpaired()
        .ok_or_else(|| unfit(example, "an answer with a verdict"))?;
    let rows = answers.into_iter().map(|it| {
        let response = one_message(it.completion, fields.response(usize::from(!it.label)))?;
        Ok(Row {
            history: it.prompt,
            responses: vec![response],
            label: Label::Verdict {
                desirable: it.label,
            },
            fields,
        })
    });
    rows.collect()
}

fn scores(example: &Example) -> Result<Vec<Row>> {
    let row = |history, answers: Vec<(Message, f64)>, fields| Row {
        history,
        responses: answers.iter().map(|(it, _)| it.clone()).collect(),
        label: Label::Scores(answers.iter().map(|&(_, score)| score as f32).collect()),
        fields,
    };
    let rows: Vec<Row> = match example {
        Example::Ranking(ranking) => {
            let history = vec![Message::user(&ranking.instruction)];
            let answers = scored_answers(ranking).into_iter();
            let answers = answers.map(|(text, score)| (Message::assistant(text), score));
            vec![row(history, answers.collect(), RANKING)]
        }
        // A verdict is a score of two values.
        Example::Tree(tree) => siblings(tree)
            .map(|(prompt, judged)| {
                let score = |verdict| f64::from(u8::from(verdict == Verdict::Correct));
                let answers = judged.into_iter();
                let answers =
                    answers.map(|(text, verdict)| (Message::assistant(text), score(verdict)));
                row(tree.messages(prompt), answers.collect(), TREE)
            })
            .collect(),
        Example::Preference(it) => {
            let (better, worse) = it.scores.unwrap_or((1.0, 0.0));
            let chosen = one_message(it.chosen.clone(), "chosen")?;
            let rejected = one_message(it.rejected.clone(), "rejected")?;
            let answers = vec![(chosen, better), (rejected, worse)];
            vec![row(it.prompt.clone(), answers, PREFERENCE)]
        }
        _ => return Err(unfit(example, "scored answers to one prompt")),
    };
    let differ = |row: &Row| match &row.label {
        Label::Scores(scores) => scores.iter().any(|score| *score != scores[0]),
        _ => false,
    };
    Ok(rows.into_iter().filter(differ).collect())
}

/// The judged actions after each prompt of a tree.
fn siblings(tree: &PreferenceTree) -> impl Iterator<Item = (NodeId, Vec<(String, Verdict)>)> + '_ {
    tree.nodes().filter_map(|(prompt, _)| {
        let judged: Vec<(String, Verdict)> = tree
            .children(prompt)
            .iter()
            .filter_map(|&child| {
                let action = tree.node(child).action()?;
                let judged = action.verdict != Verdict::Unjudged;
                judged.then(|| (action.text.clone(), action.verdict))
            })
            .collect();
        (!judged.is_empty()).then_some((prompt, judged))
    })
}

/// The answers that have a score, each text once.
fn scored_answers(ranking: &Ranking) -> Vec<(String, f64)> {
    let mut answers: Vec<(String, f64)> = Vec::new();
    for answer in &ranking.completions {
        let known = |(text, _): &(String, f64)| *text == answer.response;
        let score = answer.score().filter(|score| score.is_finite());
        if let Some(score) = score
            && !answers.iter().any(known)
        {
            answers.push((answer.response.clone(), score));
        }
    }
    answers
}

/// The one message that an answer must be: a group's nodes are single turns.
fn one_message(messages: Vec<Message>, field: &'static str) -> Result<Message> {
    let count = messages.len();
    let mut messages = messages.into_iter();
    match (messages.next(), count) {
        (Some(message), 1) => Ok(message),
        _ => Err(Error::SeveralMessages { field, count }),
    }
}
