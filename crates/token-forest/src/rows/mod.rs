//! Rows of files to trees to train on: every format, one road.
//!
//! A record becomes an [`Example`](ultrainteract::example::Example), whatever its format; an example gives histories with
//! responses; those that begin with the same messages grow into one [`MessageTree`](crate::MessageTree); a tree becomes tokens that keep to the
//! limits, and [`TrainingTree`]s are what is left. What cannot be trained on is counted by reason, with the first of each.
//!
//! ```
//! use token_forest::{ChatTokenizer, LabelKind, train_bpe};
//! use token_forest::rows::{RowOptions, read};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let file = folder.path().join("rows.jsonl");
//! std::fs::write(&file, r#"{"prompt": "6 * 7?", "chosen": "42", "rejected": "41"}
//! {"prompt": "6 * 7?", "chosen": "42", "rejected": "43"}"#)?;
//! let bpe = train_bpe(["6 * 7? 42"], 300, &["<|im_start|>", "<|im_end|>"])?;
//! let tokenizer = ChatTokenizer::from_files(bpe.files()?)?;
//! let rows = read(&[file], &tokenizer, &RowOptions::new(LabelKind::Pair))?;
//! assert_eq!((rows.trees.len(), rows.groups()), (1, 2), "two pairs share a prompt and an answer");
//! assert_eq!(rows.trees[0].tree().nodes.len(), 4);
//! # Ok(())
//! # }
//! ```

mod example;
mod fit;
mod growing;
mod report;

use std::collections::HashSet;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use ultrainteract::Error as DataError;
use ultrainteract::example::ScoreSource;
use ultrainteract::formats::Format;
use ultrainteract::input::{self, Location};

pub use report::{Found, Problem, RowReport};

use crate::{ChatTokenizer, Error, Label, LabelKind, LengthLimit, OverLong, Result, TrainingTree};
use example::{Row, rows_of};
use fit::{FitReport, fit, sample};
use growing::GrowingForest;
use report::Unusable;

/// How rows become trees.
#[derive(Debug, Clone)]
pub struct RowOptions {
    /// What the loss learns from.
    pub kind: LabelKind,
    /// The format; `None` looks for the first record of each file that has the fields of one.
    pub format: Option<Format>,
    /// The most tokens of a history with its responses.
    pub limit: LengthLimit,
    /// Which scores of a ranking say what is better.
    pub score_by: ScoreSource,
    /// Names of the options, for messages.
    pub option_names: OptionNames,
    /// What becomes of responses that are longer.
    pub over_long: OverLong,
    /// Leave out records that nothing can be learned from, and duplicates, rather than refuse the former and use the latter.
    pub drop_unusable: bool,
    /// Imitate the last answer of a conversation alone.
    pub last_turn_only: bool,
    /// Data sets and tasks whose pairs are only to be ranked.
    pub rank_only: Vec<String>,
    /// By how much the reward of a pair's chosen response should lead.
    pub margin: f32,
    /// Tell where tokens made node by node differ from those of the whole text; that they do is counted either way.
    pub show_tokenization: bool,
}

/// Options by the names that a program has for them, for messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptionNames {
    /// Limit of a path.
    pub path: String,
    /// Limit of a group.
    pub together: String,
    /// [`RowOptions::drop_unusable`].
    pub drop_unusable: String,
    /// [`RowOptions::over_long`], with the values that leave something out.
    pub over_long: String,
    /// [`RowOptions::score_by`], with the value that takes the ratings.
    pub score_by: String,
    /// [`RowOptions::show_tokenization`].
    pub show_tokenization: String,
}

impl Default for OptionNames {
    fn default() -> Self {
        Self {
            path: "the longest path allowed".to_string(),
            together: "the token budget".to_string(),
            drop_unusable: "`drop_unusable`".to_string(),
            over_long: "`over_long`".to_string(),
            score_by: "`score_by` with `ScoreSource::FineGrained`".to_string(),
            show_tokenization: "`show_tokenization`".to_string(),
        }
    }
}

impl RowOptions {
    /// No limit of length; nothing is dropped.
    pub fn new(kind: LabelKind) -> Self {
        Self {
            kind,
            format: None,
            limit: LengthLimit::default(),
            score_by: ScoreSource::default(),
            option_names: OptionNames::default(),
            over_long: OverLong::Error,
            drop_unusable: false,
            last_turn_only: false,
            rank_only: Vec::new(),
            margin: 0.0,
            show_tokenization: false,
        }
    }
}

/// What was read.
#[derive(Debug, Clone)]
pub struct TrainingRows {
    /// The trees, in order of the first row of each.
    pub trees: Vec<TrainingTree>,
    /// What was read and what became of it.
    pub report: RowReport,
    files: Vec<PathBuf>,
    kind: LabelKind,
}

impl TrainingRows {
    /// Pairs, responses, or prompts with scored responses.
    pub fn groups(&self) -> usize {
        self.trees.iter().map(|tree| tree.groups().len()).sum()
    }

    /// The files, for messages.
    pub fn files(&self) -> String {
        let names: Vec<String> = self
            .files
            .iter()
            .map(|it| it.display().to_string())
            .collect();
        names.join(", ")
    }
}

/// Some lines: what was read, what is trained on, what was too long.
impl fmt::Display for TrainingRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tokens: usize = self.trees.iter().map(|it| it.tree().unique_tokens()).sum();
        let (groups, trees) = (self.groups(), self.trees.len());
        write!(f, "{}: {}\n  ", self.files(), self.report)?;
        let labels = || {
            let groups = self.trees.iter().flat_map(TrainingTree::groups);
            groups.map(|group| &group.label)
        };
        match self.kind {
            LabelKind::Imitated => write!(f, "{groups} responses to imitate in {trees} trees")?,
            LabelKind::Pair => {
                write!(f, "{groups} pairs in {trees} trees")?;
                let ranked = labels().filter(|label| {
                    matches!(
                        label,
                        Label::Pair {
                            rank_only: true,
                            ..
                        }
                    )
                });
                match ranked.count() {
                    0 => {}
                    ranked => write!(f, ", {ranked} of them only ranked")?,
                }
            }
            LabelKind::Verdict => {
                let good = labels().filter(|label| **label == Label::Verdict { desirable: true });
                let good = good.count();
                write!(
                    f,
                    "{groups} responses, {good} of them desirable, in {trees} trees"
                )?;
                let missing = match good {
                    0 => Some("desirable"),
                    good if good == groups => Some("undesirable"),
                    _ => None,
                };
                if let Some(missing) = missing {
                    write!(
                        f,
                        "; warning: none is {missing}, so nothing holds the loss back from raising or lowering them all"
                    )?;
                }
            }
            LabelKind::Scores => {
                let responses: usize = self
                    .trees
                    .iter()
                    .flat_map(TrainingTree::groups)
                    .map(|group| group.nodes.len())
                    .sum();
                write!(
                    f,
                    "{groups} prompts with {responses} scored responses in {trees} trees"
                )?;
            }
        }
        write!(f, ", {tokens} tokens")?;
        let contradictory = self.trees.iter().map(contradictions).sum::<usize>();
        let first = self.trees.iter().find(|tree| contradictions(tree) > 0);
        if let Some(first) = first {
            let what = match (self.kind, contradictory) {
                (LabelKind::Verdict, 1) => "answer is both desirable and undesirable",
                (LabelKind::Verdict, _) => "answers are both desirable and undesirable",
                (_, 1) => "pair is preferred both ways",
                _ => "pairs are preferred both ways",
            };
            let id = first.id();
            write!(
                f,
                "; warning: {contradictory} {what} (first in `{id}`); their labels cancel out, so keep one of each"
            )?;
        }
        self.report.write_details(f, self.kind)
    }
}

/// Answers of a tree that have both verdicts, or pairs that are there both ways round.
fn contradictions(tree: &TrainingTree) -> usize {
    let mut said = HashSet::new();
    let mut contradictory = HashSet::new();
    for group in tree.groups() {
        let (label, opposite) = match (&group.label, &group.nodes[..]) {
            (Label::Verdict { desirable }, &[node]) => {
                let with = |desirable| (node, usize::from(desirable));
                (with(*desirable), with(!desirable))
            }
            (Label::Pair { .. }, &[chosen, rejected]) => ((chosen, rejected), (rejected, chosen)),
            _ => continue,
        };
        if said.contains(&opposite) {
            contradictory.insert(label.min(opposite));
        }
        said.insert(label);
    }
    contradictory.len()
}

/// Reads files of any format that [`Format`] knows, compressed or not, JSON lines, a JSON array or Parquet.
///
/// # Errors
///
/// A file cannot be read to its end, or its format is not known: the first of these. After all is read: records that are invalid
/// or cannot be trained on, texts that the chat template refuses among them, if they are not to be dropped. Nothing is left to
/// train on.
pub fn read(
    files: &[PathBuf],
    tokenizer: &ChatTokenizer,
    options: &RowOptions,
) -> Result<TrainingRows> {
    let mut report = RowReport::new(
        options.drop_unusable,
        files.len(),
        options.limit,
        options.option_names.clone(),
        options.show_tokenization,
    );
    let mut forest = GrowingForest::default();
    for file in files {
        read_file(file, options, &mut report, &mut forest)?;
    }
    // Before anything is rendered, which takes longer.
    if report.refuses_invalid()
        && let Some(problem) = report.refusal()
    {
        return Err(Error::UnusableRows { problem });
    }
    report.tokens.trees = forest.trees.len();
    let compared = sample(forest.trees.len());
    report.tokens.compared = compared.iter().filter(|it| **it).count();
    let fitted: Vec<(Option<TrainingTree>, FitReport)> = forest
        .trees
        .into_par_iter()
        .zip(compared)
        .map(|(tree, compare)| fit(&tree, compare, tokenizer, options))
        .collect::<Result<_>>()?;
    let mut trees = Vec::with_capacity(fitted.len());
    for (tree, fit) in fitted {
        trees.extend(tree);
        report.over_long += fit.counts;
        report.tokens.found += fit.differences;
        report.texts += fit.texts;
        for (why, location, problem) in fit.unusable {
            report.add(why, &location, || problem);
        }
    }
    let rows = TrainingRows {
        trees,
        report,
        files: files.to_vec(),
        kind: options.kind,
    };
    if let Some(problem) = rows.report.refusal() {
        return Err(Error::UnusableRows { problem });
    }
    if rows.trees.is_empty() {
        return Err(Error::NoRows {
            files: rows.files(),
            problem: rows.report.nothing_left(),
        });
    }
    Ok(rows)
}

fn read_file(
    file: &Path,
    options: &RowOptions,
    report: &mut RowReport,
    forest: &mut GrowingForest,
) -> Result<()> {
    let format = match options.format {
        Some(format) => format,
        None => match Format::of_file(file)? {
            Some(format) => format,
            None => return Ok(()),
        },
    };
    let parse = move |record: &[u8]| format.parse(record);
    for record in input::read(vec![file.to_path_buf()], parse) {
        let record = match record {
            Ok(record) => {
                report.read += 1;
                record
            }
            Err(rejected) => {
                let Some(place) = rejected.place.filter(|_| !rejected.is_unread()) else {
                    return Err(rejected.error.into());
                };
                report.read += 1;
                let at = Location {
                    file: rejected.file.clone(),
                    place,
                };
                match rejected.error.fault() {
                    DataError::EmptyField { field } => report.add(Unusable::Empty, &at, || {
                        format!("field `{field}` is empty or blank")
                    }),
                    DataError::IdenticalPair => report.add(Unusable::IdenticalPair, &at, || {
                        "field `rejected` equals field `chosen`".to_owned()
                    }),
                    _ => report.add(Unusable::Invalid, &at, || unplaced(&rejected.error)),
                }
                continue;
            }
        };
        let (mut example, location) = (record.value, record.location);
        example.score_by(options.score_by);
        report.note(&example, options.kind, &location);
        let rows = match rows_of(&example, options) {
            Ok(rows) => rows,
            Err(problem) => {
                report.add(Unusable::Invalid, &location, || problem.to_string());
                continue;
            }
        };
        let content: Vec<Content<'_>> = rows.iter().map(Content).collect();
        if rows.is_empty() {
            match options.kind {
                LabelKind::Scores => report.add(Unusable::Unscored, &location, || {
                    "fewer than two answers differ and have scores that do".to_owned()
                }),
                _ => report.add_without_example(&location, || {
                    format!("a {} without {}", example.kind(), options.kind)
                }),
            }
        } else if report.is_used(&content, &location) {
            let origin = example.origin();
            let id = origin.parent_id.or(origin.id);
            let id = id.unwrap_or_else(|| location.to_string());
            for row in rows {
                forest.add(&id, &row, &location);
            }
        }
    }
    Ok(())
}

/// What is wrong with a record, without its place.
fn unplaced(error: &DataError) -> String {
    match error {
        DataError::InRow { fault, .. } => fault.to_string(),
        other => other.to_string(),
    }
}

/// What makes two records the same.
struct Content<'a>(&'a Row);

impl Hash for Content<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let row = self.0;
        (&row.history, &row.responses).hash(state);
        match &row.label {
            Label::Verdict { desirable } => desirable.hash(state),
            Label::Scores(scores) => scores.iter().for_each(|it| it.to_bits().hash(state)),
            Label::Imitated | Label::Pair { .. } => {}
        }
    }
}
