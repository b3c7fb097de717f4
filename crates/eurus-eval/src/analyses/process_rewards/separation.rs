//! How well numbers tell right from wrong, over all and within groups.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::metrics::{Bootstrap, Interval, Proportion, area_under_curve};

/// How well numbers tell what is right from what is wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Separation {
    /// Number of right ones.
    pub correct: usize,
    /// Number of wrong ones.
    pub incorrect: usize,
    /// The chance that a right one has a higher number than a wrong one, a tie counting one half; `None` where all are of one
    /// kind.
    pub auc: Option<f64>,
    /// The 95 % interval of the AUC over trees, drawn whole ([`Bootstrap::clustered_auc`]).
    pub interval: Option<Interval>,
    /// Share of pairs of a right one and a wrong one *of one group* in which the right one has the higher number, a tie counting
    /// one half; its standard error is over trees, its count that of the pairs. `None` without such pairs.
    pub pair_accuracy: Option<Proportion>,
}

/// A number with a verdict, and what it stands with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scored {
    pub value: f64,
    pub correct: bool,
    /// What shares its fate.
    pub tree: usize,
    /// What it is paired with; of one tree.
    pub group: usize,
}

impl Separation {
    /// Of numbers that are all finite.
    pub(super) fn of(scored: &[Scored]) -> Result<Self> {
        let values = |correct: bool| -> Vec<f64> {
            let of_kind = scored.iter().filter(|it| it.correct == correct);
            of_kind.map(|it| it.value).collect()
        };
        let (right, wrong) = (values(true), values(false));
        let both = !right.is_empty() && !wrong.is_empty();
        let auc = both.then(|| area_under_curve(&right, &wrong)).transpose()?;
        let interval = match both {
            true => {
                let all: Vec<f64> = scored.iter().map(|it| it.value).collect();
                let verdicts: Vec<bool> = scored.iter().map(|it| it.correct).collect();
                let trees: Vec<usize> = scored.iter().map(|it| it.tree).collect();
                Bootstrap::default().clustered_auc(&all, &verdicts, &trees)?
            }
            false => None,
        };
        Ok(Self {
            correct: right.len(),
            incorrect: wrong.len(),
            auc,
            interval,
            pair_accuracy: pair_accuracy(scored)?,
        })
    }
}

fn pair_accuracy(scored: &[Scored]) -> Result<Option<Proportion>> {
    let mut groups: BTreeMap<usize, Vec<&Scored>> = BTreeMap::new();
    for it in scored {
        groups.entry(it.group).or_default().push(it);
    }
    let (mut wins, mut trees) = (Vec::new(), Vec::new());
    for group in groups.values() {
        for right in group.iter().filter(|it| it.correct) {
            for wrong in group.iter().filter(|it| !it.correct) {
                wins.push(match right.value.partial_cmp(&wrong.value) {
                    Some(std::cmp::Ordering::Greater) => 1.0,
                    Some(std::cmp::Ordering::Equal) => 0.5,
                    _ => 0.0,
                });
                trees.push(right.tree);
            }
        }
    }
    match wins.is_empty() {
        true => Ok(None),
        false => Proportion::from_clusters(&wins, &trees).map(Some),
    }
}
