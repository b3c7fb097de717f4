//! AutoJ's pairs (arXiv 2310.05470): 1,392 of them in 58 scenarios, each labelled first, second or tie.

mod scenarios;
mod sweep;

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::reading::read_rows;
use super::{Response, Rewards};
use crate::error::{Error, Result};
use crate::metrics::mean;
use crate::table::Table;

pub use scenarios::Group;
pub use sweep::{ScoredPair, ThresholdSweep, sweep};

/// Which response of a pair is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Label {
    /// The first; 0 in the data.
    First,
    /// The second; 1 in the data.
    Second,
    /// Neither; 2 in the data.
    Tie,
}

impl Label {
    /// The label of a number of the data.
    pub const fn from_number(number: usize) -> Option<Self> {
        match number {
            0 => Some(Self::First),
            1 => Some(Self::Second),
            2 => Some(Self::Tie),
            _ => None,
        }
    }

    /// The same preference where the responses change places.
    #[must_use]
    pub const fn exchanged(self) -> Self {
        match self {
            Self::First => Self::Second,
            Self::Second => Self::First,
            Self::Tie => Self::Tie,
        }
    }
}

/// A published pair.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Its row in the file, from 1.
    pub row: usize,
    /// Its group, by the scenario.
    pub group: Group,
    /// What people said.
    pub label: Label,
    /// What was asked.
    pub prompt: String,
    /// The first and the second response.
    pub responses: [String; 2],
}

/// Reads the pairs as they are published: JSON rows with `scenario`, `label`, `prompt`, `response 1` and `response 2`.
///
/// # Errors
///
/// As [`Rewards::read`], and for a scenario that AutoJ does not have.
pub fn read(path: &Path) -> Result<Vec<Item>> {
    let mut count = 0;
    read_rows(path, |row| {
        count += 1;
        let scenario = row.text("scenario")?;
        let unknown = || row.fault("scenario", format!("has the unknown scenario `{scenario}`"));
        let label = Label::from_number(row.count("label")?);
        Ok(Item {
            row: count,
            group: Group::of(scenario).ok_or_else(unknown)?,
            label: label.ok_or_else(|| row.fault("label", "is none of 0, 1 and 2"))?,
            prompt: row.text("prompt")?.to_owned(),
            responses: [
                row.text("response 1")?.to_owned(),
                row.text("response 2")?.to_owned(),
            ],
        })
    })
}

impl Item {
    /// Both responses, to be scored: their ids are `ROW/1` and `ROW/2`.
    pub fn to_score(&self) -> [Response; 2] {
        let [first, second] = &self.responses;
        [(1, first), (2, second)]
            .map(|(number, text)| Response::to(&self.prompt, self.response_id(number), text))
    }

    /// The pair with its rewards.
    ///
    /// # Errors
    ///
    /// [`Error::NoReward`].
    pub fn scored(&self, rewards: &Rewards) -> Result<ScoredPair> {
        Ok(ScoredPair {
            group: self.group,
            label: self.label,
            first: rewards.get(&self.response_id(1))?,
            second: rewards.get(&self.response_id(2))?,
        })
    }

    fn response_id(&self, number: usize) -> String {
        format!("{}/{number}", self.row)
    }
}

/// What a judge said of a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judgement {
    /// Group of the pair.
    pub group: Group,
    /// What people said.
    pub label: Label,
    /// What the judge said.
    pub given: Label,
    /// What it said, of the places it then saw, when the responses had changed them; `None` for a judge whose verdict does not
    /// depend on the order, such as a reward model.
    pub exchanged: Option<Label>,
}

impl Judgement {
    /// Whether both orders lead to the same preference; `None` with one order.
    pub fn is_consistent(&self) -> Option<bool> {
        self.exchanged.map(|label| label.exchanged() == self.given)
    }

    /// Whether the judge says what people say, in both orders where it was asked in both.
    pub fn agrees(&self) -> bool {
        self.given == self.label && self.is_consistent() != Some(false)
    }
}

/// Counts of a group, or of all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agreement {
    /// Pairs, ties included.
    pub pairs: usize,
    /// Pairs on which the judge agrees with people.
    pub agreed: usize,
    /// Pairs that were judged alike in both orders; `None` if they were judged in one.
    pub consistent: Option<usize>,
}

impl Agreement {
    /// Share of pairs with agreement, in percent to two decimals as published.
    pub fn percent(&self) -> f64 {
        percent(self.agreed, self.pairs)
    }

    /// Share of pairs judged alike in both orders, in percent to two decimals.
    pub fn consistency_percent(&self) -> Option<f64> {
        self.consistent.map(|count| percent(count, self.pairs))
    }

    fn of<'a>(judgements: impl Iterator<Item = &'a Judgement>) -> Self {
        let mut all = Self::default();
        for judgement in judgements {
            all.pairs += 1;
            all.agreed += usize::from(judgement.agrees());
            if let Some(is_consistent) = judgement.is_consistent() {
                *all.consistent.get_or_insert(0) += usize::from(is_consistent);
            }
        }
        all
    }
}

/// To two decimals; the formatter rounds the exact value.
fn percent(part: usize, whole: usize) -> f64 {
    let exact = 100.0 * part as f64 / whole as f64;
    format!("{exact:.2}").parse().unwrap_or(exact)
}

/// The columns of table 4 of arXiv 2404.02078, in percent; `None` where there are no pairs of a group.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PaperColumns {
    /// The group Code.
    pub code: Option<f64>,
    /// The group Exam Questions.
    pub math: Option<f64>,
    /// The plain mean of the other six groups, each to two decimals.
    pub others: Option<f64>,
    /// All pairs.
    pub overall: f64,
}

/// The report of [`evaluate`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AutoJReport {
    /// The groups that there are pairs of.
    pub groups: BTreeMap<Group, Agreement>,
    /// All pairs.
    pub overall: Agreement,
}

/// Judges judgements: how often does the judge say what people say?
///
/// ```
/// use eurus_eval::reward_benches::autoj::{Group, Judgement, Label, evaluate};
/// let judgement = |given, exchanged| Judgement {
///     group: Group::Code,
///     label: Label::First,
///     given,
///     exchanged,
/// };
/// let one_order = evaluate(&[judgement(Label::First, None), judgement(Label::Tie, None)])?;
/// assert_eq!(one_order.overall.percent(), 50.0);
/// // First whatever stands there: no agreement.
/// let both = evaluate(&[judgement(Label::First, Some(Label::First))])?;
/// assert_eq!(both.overall.percent(), 0.0);
/// # Ok::<(), eurus_eval::Error>(())
/// ```
///
/// # Errors
///
/// [`Error::NoValues`] without judgements; [`Error::BadItem`] if some were made in both orders and others in one.
pub fn evaluate(judgements: &[Judgement]) -> Result<AutoJReport> {
    let Some(first) = judgements.first() else {
        return Err(Error::NoValues { what: "AutoJ" });
    };
    let both = first.exchanged.is_some();
    if let Some(odd) = judgements
        .iter()
        .position(|judgement| judgement.exchanged.is_some() != both)
    {
        return Err(Error::BadItem {
            id: (odd + 1).to_string(),
            problem: "was not judged in as many orders as the first",
        });
    }
    let of = |group| Agreement::of(judgements.iter().filter(|one| one.group == group));
    let groups = Group::ALL.map(|group| (group, of(group)));
    Ok(AutoJReport {
        groups: groups
            .into_iter()
            .filter(|(_, agreement)| agreement.pairs > 0)
            .collect(),
        overall: Agreement::of(judgements.iter()),
    })
}

impl AutoJReport {
    /// The columns of the paper's table.
    pub fn paper_columns(&self) -> PaperColumns {
        let percent = |group| self.groups.get(&group).map(Agreement::percent);
        let others = Group::ALL
            .into_iter()
            .filter(|group| !matches!(group, Group::Code | Group::ExamQuestions));
        let others: Option<Vec<f64>> = others.map(percent).collect();
        PaperColumns {
            code: percent(Group::Code),
            math: percent(Group::ExamQuestions),
            others: others.map(|others| mean(&others)),
            overall: self.overall.percent(),
        }
    }

    /// Every group and all pairs, in percent.
    pub fn table(&self, caption: impl Into<String>) -> Table {
        let groups = self
            .groups
            .iter()
            .map(|(group, all)| (group.to_string(), all));
        let rows = groups.chain([("Overall".to_owned(), &self.overall)]);
        let headers = ["Group", "Pairs", "Agreement", "Consistency"];
        let table = rows.fold(
            Table::new(caption).headers(headers),
            |table, (name, all)| {
                let consistency = all.consistency_percent();
                table.row([
                    name,
                    all.pairs.to_string(),
                    format!("{:.2}", all.percent()),
                    consistency.map_or("–".to_owned(), |share| format!("{share:.2}")),
                ])
            },
        );
        table.note(
            "Percent of pairs, ties included, on which the judge gives the label that people gave.",
        )
    }
}
