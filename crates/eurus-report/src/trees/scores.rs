//! What `eurus score` says of the actions of trees.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use ultrainteract::formats::parse_json;
use ultrainteract::input::{self, Located};
use ultrainteract::{Error as DataError, PreferenceTree, Verdict};

use crate::error::{Error, Result};

/// A number that `eurus score` gives an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Measure {
    /// What a reward model gives the history that ends with the action.
    Reward,
    /// The log-prob of the action under a policy less that under its reference, in nats.
    LogRatio,
    /// The log-prob of the action under a policy, in nats.
    LogProb,
}

impl Measure {
    pub const ALL: [Self; 3] = [Self::Reward, Self::LogRatio, Self::LogProb];

    pub fn name(self) -> &'static str {
        match self {
            Self::Reward => "reward",
            Self::LogRatio => "log-ratio",
            Self::LogProb => "log-prob",
        }
    }

    /// Whether zero lies between good and bad. A log-prob is below zero whatever the action.
    pub fn is_signed(self) -> bool {
        self != Self::LogProb
    }
}

/// The output of `eurus score` over trees.
///
/// ```json
/// {"id": "t1", "nodes": [{"name": "1", "verdict": "incorrect", "reward": -0.2, "log_ratio": 2.0}]}
/// ```
#[derive(Debug, Clone)]
pub struct Scores {
    path: PathBuf,
    trees: HashMap<String, Vec<NodeScore>>,
}

#[derive(Debug, Clone, Deserialize)]
struct TreeRow {
    id: String,
    nodes: Option<Vec<NodeScore>>,
}

/// What is said of one action. Null is how writers of JSON put NaN and infinity.
#[derive(Debug, Clone, Deserialize)]
struct NodeScore {
    name: String,
    verdict: Option<Verdict>,
    reward: Option<f64>,
    log_ratio: Option<f64>,
    log_prob: Option<f64>,
}

impl NodeScore {
    fn value(&self, measure: Measure) -> Option<f64> {
        let value = match measure {
            Measure::Reward => self.reward,
            Measure::LogRatio => self.log_ratio,
            Measure::LogProb => self.log_prob,
        };
        value.filter(|it| it.is_finite())
    }
}

impl Scores {
    /// Reads a file that `eurus score --data TREES --out FILE` wrote.
    ///
    /// # Errors
    ///
    /// With file, row and field: a file that cannot be read, a row that is no scored tree or has come before.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref().to_owned();
        let mut trees = HashMap::new();
        for row in input::read(vec![path.clone()], parse_json::<TreeRow>) {
            let Located { value, location } = row.map_err(|rejected| DataError::from(*rejected))?;
            let Some(nodes) = value.nodes else {
                let problem =
                    "is missing: this is no scored tree; score trees, with `eurus score --data`";
                return Err(location
                    .locate(DataError::malformed("nodes", problem))
                    .into());
            };
            if trees.contains_key(&value.id) {
                let problem = format!("`{}` has come before; keep one", value.id);
                return Err(location.locate(DataError::malformed("id", problem)).into());
            }
            trees.insert(value.id, nodes);
        }
        Ok(Self { path, trees })
    }

    /// The name of the file without its ending: what the scores are called.
    pub fn name(&self) -> String {
        let stem = self.path.file_stem().unwrap_or_default();
        stem.to_string_lossy().into_owned()
    }

    /// The file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The numbers that any action has.
    pub(super) fn measures(&self) -> Vec<Measure> {
        let has = |measure: &Measure| {
            let mut nodes = self.trees.values().flatten();
            nodes.any(|node| node.value(*measure).is_some())
        };
        Measure::ALL.into_iter().filter(has).collect()
    }

    /// Whether a tree has a row.
    pub(super) fn has(&self, tree: &PreferenceTree) -> bool {
        self.trees.contains_key(tree.id())
    }

    /// A number of each node of a tree; `None` for nodes that are not scored.
    ///
    /// # Errors
    ///
    /// The scores are of another tree: they name what is no action in it, or have its verdict the other way round.
    pub(super) fn of(&self, tree: &PreferenceTree, measure: Measure) -> Result<Vec<Option<f64>>> {
        let mut values = vec![None; tree.len()];
        for score in self.trees.get(tree.id()).into_iter().flatten() {
            let node = score.name.parse().ok();
            let found = node.and_then(|index: usize| {
                let (id, node) = tree.nodes().nth(index)?;
                Some((id, node.action()?))
            });
            let Some((id, action)) = found else {
                return Err(self.other(tree, format!("`{}` is no action of it", score.name)));
            };
            if is_opposite(score.verdict, action.verdict) {
                let problem = format!("the verdict of its action {id} is the other one there");
                return Err(self.other(tree, problem));
            }
            values[id.index()] = score.value(measure);
        }
        Ok(values)
    }

    fn other(&self, tree: &PreferenceTree, problem: String) -> Error {
        Error::OtherTrees {
            path: self.path.clone(),
            tree: tree.id().to_owned(),
            problem,
        }
    }
}

/// An action may have been judged after it was scored, but not the other way round.
fn is_opposite(there: Option<Verdict>, here: Verdict) -> bool {
    matches!(
        (there, here),
        (Some(Verdict::Correct), Verdict::Incorrect) | (Some(Verdict::Incorrect), Verdict::Correct)
    )
}
