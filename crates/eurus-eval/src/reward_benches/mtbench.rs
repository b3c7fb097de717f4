//! MT-Bench's human votes (arXiv 2306.05685): does a judge prefer what people prefer?

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use chat_model::{Message, Role};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::reading::{Row, read_rows};
use super::{Response, Rewards};
use crate::error::{Error, Result};
use crate::table::Table;

/// Who won.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Winner {
    /// The first model.
    ModelA,
    /// The second model.
    ModelB,
    /// Neither, also where a judge contradicted itself.
    Tie,
}

/// A vote between the answers of two models.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vote {
    /// The question.
    pub question: usize,
    /// The turn of it, from 1.
    pub turn: usize,
    /// The first model.
    pub model_a: String,
    /// The second model.
    pub model_b: String,
    /// Who won.
    pub winner: Winner,
    /// Who voted. Names that begin with `expert` are the people that agreement is counted with.
    pub judge: String,
}

impl Vote {
    /// Reads votes as they are published: JSON rows with `question_id`, `turn`, `model_a`, `model_b`, `winner` and `judge`.
    ///
    /// # Errors
    ///
    /// As [`Rewards::read`].
    pub fn read(path: &Path) -> Result<Vec<Self>> {
        read_rows(path, Self::of_row)
    }

    fn of_row(row: &Row<'_>) -> Result<Self> {
        let winner = match row.text("winner")? {
            "model_a" => Winner::ModelA,
            "model_b" => Winner::ModelB,
            tie if tie.starts_with("tie") => Winner::Tie,
            _ => return Err(row.fault("winner", "is none of model_a, model_b and tie")),
        };
        // Models that judge are a list of their name and the name of the prompt.
        let judge = match row.value("judge") {
            Some(Value::Array(_)) => row.texts("judge")?.join(" "),
            _ => row.text("judge")?.to_owned(),
        };
        let turn = row.count("turn")?;
        if turn == 0 {
            return Err(row.fault("turn", "is 0; turns are counted from 1"));
        }
        Ok(Self {
            question: row.count("question_id")?,
            turn,
            model_a: row.text("model_a")?.to_owned(),
            model_b: row.text("model_b")?.to_owned(),
            winner,
            judge,
        })
    }

    /// What was voted on, whatever the order of the models.
    fn key(&self) -> (usize, usize, &str, &str) {
        let (a, b) = (self.model_a.as_str(), self.model_b.as_str());
        (self.turn, self.question, a.min(b), a.max(b))
    }

    /// Who won, the models in the order of their names.
    fn ordered_winner(&self) -> Winner {
        match (self.winner, self.model_a < self.model_b) {
            (Winner::ModelA, false) => Winner::ModelB,
            (Winner::ModelB, false) => Winner::ModelA,
            (winner, _) => winner,
        }
    }
}

/// Reads the answers that votes are about, to be scored: from the rows of [`Vote::read`] with their `conversation_a` and
/// `conversation_b`, lists of `role` and `content`. An answer has the id `QUESTION/MODEL/TURN`, and comes once.
///
/// # Errors
///
/// As [`Rewards::read`].
pub fn read_responses(path: &Path) -> Result<Vec<Response>> {
    let mut seen = HashSet::new();
    let responses = read_rows(path, |row| {
        let vote = Vote::of_row(row)?;
        let mut responses = Vec::new();
        for (model, field) in [
            (&vote.model_a, "conversation_a"),
            (&vote.model_b, "conversation_b"),
        ] {
            let id = response_id(vote.question, model, vote.turn);
            if seen.insert(id.clone()) {
                let messages = messages(row, field, vote.turn)?;
                responses.push(Response { id, messages });
            }
        }
        Ok(responses)
    })?;
    Ok(responses.into_iter().flatten().collect())
}

fn response_id(question: usize, model: &str, turn: usize) -> String {
    format!("{question}/{model}/{turn}")
}

/// The conversation up to the answer of a turn.
fn messages(row: &Row<'_>, field: &str, turn: usize) -> Result<Vec<Message>> {
    let messages = row.value(field).cloned().unwrap_or_default();
    let messages: Vec<Message> =
        serde_json::from_value(messages).map_err(|error| row.fault(field, error.to_string()))?;
    let mut answers = 0;
    let end = messages.iter().position(|message| {
        answers += usize::from(message.role == Role::Assistant);
        answers == turn
    });
    match end {
        Some(end) => Ok(messages.into_iter().take(end + 1).collect()),
        None => Err(row.fault(field, format!("has no answer of turn {turn}"))),
    }
}

/// The votes of a reward model on what people voted on: the answer with the higher reward wins, and those whose rewards differ
/// by no more than `tie_threshold` tie.
///
/// # Errors
///
/// [`Error::NoReward`].
pub fn vote_by_rewards(human: &[Vote], rewards: &Rewards, tie_threshold: f64) -> Result<Vec<Vote>> {
    let mut seen = HashSet::new();
    human
        .iter()
        .filter(|vote| seen.insert(vote.key()))
        .map(|vote| {
            let reward = |model| rewards.get(&response_id(vote.question, model, vote.turn));
            let margin = reward(&vote.model_a)? - reward(&vote.model_b)?;
            let winner = match margin {
                margin if margin.abs() <= tie_threshold => Winner::Tie,
                margin if margin > 0.0 => Winner::ModelA,
                _ => Winner::ModelB,
            };
            Ok(Vote {
                winner,
                judge: "reward".to_owned(),
                ..vote.clone()
            })
        })
        .collect()
}

/// How often two votes on the same thing are the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agreement {
    /// Pairs of votes that are the same.
    pub agreed: usize,
    /// Pairs of votes.
    pub total: usize,
}

impl Agreement {
    /// Their share, `None` without votes.
    pub fn share(&self) -> Option<f64> {
        (self.total > 0).then(|| self.agreed as f64 / self.total as f64)
    }

    fn count(&mut self, one: Winner, other: Winner) {
        self.total += 1;
        self.agreed += usize::from(one == other);
    }
}

/// Agreement on one turn, with ties or without.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TurnAgreement {
    /// The judge with each human vote.
    pub judge_human: Agreement,
    /// Every two human votes with each other.
    pub human_human: Agreement,
}

/// The report of [`agreement`], by turn.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MtBenchReport {
    /// All votes; a tie equals a tie.
    pub with_ties: BTreeMap<usize, TurnAgreement>,
    /// Pairs of votes of which neither is a tie.
    pub without_ties: BTreeMap<usize, TurnAgreement>,
}

/// Counts how often a judge agrees with people, and people among themselves.
///
/// Votes on the same question, turn and two models, in whatever order, belong together. Of `human` those count whose judge's
/// name begins with `expert`; the authors of the benchmark voted too.
///
/// ```
/// use eurus_eval::reward_benches::mtbench::{Vote, Winner, agreement};
/// let vote = |a: &str, b: &str, winner, judge: &str| Vote {
///     question: 81,
///     turn: 1,
///     model_a: a.to_owned(),
///     model_b: b.to_owned(),
///     winner,
///     judge: judge.to_owned(),
/// };
/// let human = [
///     vote("alpaca", "vicuna", Winner::ModelB, "expert_1"),
///     vote("vicuna", "alpaca", Winner::Tie, "expert_2"),
/// ];
/// let report = agreement(&human, &[vote("vicuna", "alpaca", Winner::ModelA, "reward")])?;
/// assert_eq!(report.with_ties[&1].judge_human.share(), Some(0.5));
/// assert_eq!(report.without_ties[&1].judge_human.share(), Some(1.0));
/// # Ok::<(), eurus_eval::Error>(())
/// ```
///
/// # Errors
///
/// [`Error::BadItem`] if the judge voted twice on the same.
pub fn agreement(human: &[Vote], judge: &[Vote]) -> Result<MtBenchReport> {
    let mut judged: HashMap<(usize, usize, &str, &str), Winner> = HashMap::new();
    for vote in judge {
        if judged.insert(vote.key(), vote.ordered_winner()).is_some() {
            let id = format!("{}/{}/{}", vote.question, vote.model_a, vote.model_b);
            let problem = "was judged twice in one turn";
            return Err(Error::BadItem { id, problem });
        }
    }
    let mut people: BTreeMap<(usize, usize, &str, &str), Vec<Winner>> = BTreeMap::new();
    for vote in human.iter().filter(|vote| vote.judge.starts_with("expert")) {
        let votes = people.entry(vote.key()).or_default();
        votes.push(vote.ordered_winner());
    }
    let mut report = MtBenchReport::default();
    for (key, votes) in &people {
        let judge = judged.get(key).copied();
        let turn = key.0;
        let with_ties = report.with_ties.entry(turn).or_default();
        with_ties.count(votes, judge);
        let decided: Vec<Winner> = without_ties(votes.iter().copied()).collect();
        let without = report.without_ties.entry(turn).or_default();
        without.count(&decided, without_ties(judge.into_iter()).next());
    }
    Ok(report)
}

fn without_ties(votes: impl Iterator<Item = Winner>) -> impl Iterator<Item = Winner> {
    votes.filter(|winner| *winner != Winner::Tie)
}

impl TurnAgreement {
    fn count(&mut self, people: &[Winner], judge: Option<Winner>) {
        for (index, &vote) in people.iter().enumerate() {
            if let Some(judge) = judge {
                self.judge_human.count(judge, vote);
            }
            for &other in &people[index + 1..] {
                self.human_human.count(vote, other);
            }
        }
    }
}

impl MtBenchReport {
    /// A row per turn, with ties and without.
    pub fn table(&self, caption: impl Into<String>) -> Table {
        let headers = [
            "Turn",
            "Ties",
            "Judge and people",
            "People among themselves",
        ];
        let mut table = Table::new(caption).headers(headers);
        let cell = |agreement: Agreement| match agreement.share() {
            Some(share) => format!("{:.1} % of {}", share * 100.0, agreement.total),
            None => "–".to_owned(),
        };
        for (ties, turns) in [
            ("counted", &self.with_ties),
            ("left out", &self.without_ties),
        ] {
            for (turn, agreement) in turns {
                table = table.row([
                    turn.to_string(),
                    ties.to_owned(),
                    cell(agreement.judge_human),
                    cell(agreement.human_human),
                ]);
            }
        }
        table.note("Percent of pairs of votes on the same answers that are the same.")
    }
}
