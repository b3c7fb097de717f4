//! Log-probs under the reference model: computed once before training, and kept in a file if asked.

mod cache;

use burn::tensor::Tensor;
use eurus_models::{ForestBatch, ForestModel};

use crate::data::ResponseTree;
use crate::events::Event;
use crate::log_probs::node_log_probs;
use crate::packing::pack_reference;
use crate::preference::check_responses;
use crate::run::plain_device;
use crate::{Error, Optimization, Ranks, Result};

pub use cache::{ReferenceCache, ReferenceKey};

/// Log-probs of every response of pairs, or of responses with verdicts, under the reference model, computed once and shared
/// by any number of runs on the same trees.
#[derive(Debug, Clone, PartialEq)]
pub struct ReferenceLogProbs {
    pub(crate) trees: Vec<TreeReference>,
}

/// The reference log-probs of one tree.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct TreeReference {
    /// By place in the group and by group, as [`ResponseTree::columns`].
    pub columns: Vec<Vec<f32>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mismatched: Vec<f32>,
}

impl TreeReference {
    fn zeros<T: ResponseTree>(tree: &T) -> Self {
        let columns = tree.columns().into_iter();
        Self {
            columns: columns.map(|nodes| vec![0.0; nodes.len()]).collect(),
            mismatched: vec![0.0; tree.mismatched().len()],
        }
    }

    fn groups(&self) -> usize {
        self.columns.first().map_or(0, Vec::len)
    }

    fn belongs_to<T: ResponseTree>(&self, tree: &T) -> bool {
        let same = |(values, nodes): (&Vec<f32>, &Vec<usize>)| values.len() == nodes.len();
        let columns = tree.columns();
        self.columns.len() == columns.len()
            && self.columns.iter().zip(&columns).all(same)
            && self.mismatched.len() == tree.mismatched().len()
    }
}

/// Trees whose log-probs are computed, and kept, together: what a kill can lose.
pub(crate) const GROUP: usize = 64;

impl ReferenceLogProbs {
    /// Zeros in their place, for losses that do not look at a reference (SimPO, ORPO, CPO, SLiC).
    pub fn absent<T: ResponseTree>(trees: &[T]) -> Self {
        Self {
            trees: trees.iter().map(TreeReference::zeros).collect(),
        }
    }

    /// Computes them with the same packing and the same operator that training uses.
    ///
    /// # Errors
    ///
    /// When a path is longer than allowed, a token is one the model does not know, or a number is not finite.
    pub fn compute<M: ForestModel, T: ResponseTree>(
        model: &M,
        trees: &[T],
        settings: &Optimization,
        on_event: &mut dyn FnMut(&Event),
    ) -> Result<Self> {
        Self::compute_with(model, trees, settings, None, &Ranks::default(), on_event)
    }

    /// As [`compute`](Self::compute), with a file and with other ranks.
    ///
    /// What the cache has is read, and what it lacks is added to it. The numbers are the same bit for bit, also when the
    /// file was begun by a run that was killed. Ranks share out every group of trees, which packs it otherwise and changes
    /// last digits; all of them get all numbers, and the first one alone reads and writes the file.
    ///
    /// # Errors
    ///
    /// Those of [`compute`](Self::compute) and of the ranks, [`Error::StaleCache`] when the file is of another model,
    /// tokenizer or number type, and [`Error::Io`].
    pub fn compute_with<M: ForestModel, T: ResponseTree>(
        model: &M,
        trees: &[T],
        settings: &Optimization,
        cache: Option<&ReferenceCache>,
        ranks: &Ranks,
        on_event: &mut dyn FnMut(&Event),
    ) -> Result<Self> {
        let precision = settings.precision;
        let checked = check_responses(trees, settings, model.vocab_size())
            .and_then(|()| precision.check(&plain_device(model)));
        ranks.together(checked)?;
        let model = precision.of(model.valid());
        let here = cache.filter(|_| ranks.is_first());
        let mut file = ranks.together(here.map(|it| it.open(precision)).transpose())?;
        let mut progress = Progress::new(trees, on_event);
        let mut result = Vec::with_capacity(trees.len());
        for group in trees.chunks(GROUP) {
            let cached = |tree| file.as_ref().and_then(|file| file.get(tree));
            let mut values: Vec<Option<TreeReference>> =
                ranks.of_first(|| Ok(group.iter().map(cached).collect()))?;
            let (known, missing): (Vec<_>, Vec<_>) =
                (0..group.len()).partition(|&index| values[index].is_some());
            progress.advance(known.iter().map(|&index| group[index].groups().len()).sum());
            if !missing.is_empty() {
                let mine = ranks.share(&missing, |index| group[index].tree().unique_tokens());
                let my_trees: Vec<&T> = mine.iter().map(|&index| &group[index]).collect();
                let computed = of_group(&model, &my_trees, settings, ranks, &mut progress);
                let computed = computed.map(|it| mine.into_iter().zip(it).collect::<Vec<_>>());
                for (index, computed) in ranks.exchange(computed)?.into_iter().flatten() {
                    values[index] = Some(computed);
                }
                let written = match &mut file {
                    Some(file) => file.add(
                        missing
                            .iter()
                            .filter_map(|&index| Some((&group[index], values[index].as_ref()?))),
                    ),
                    None => Ok(()),
                };
                ranks.together(written)?;
                if ranks.size() > 1 {
                    progress.advance(
                        missing
                            .iter()
                            .map(|&index| group[index].groups().len())
                            .sum(),
                    );
                }
            }
            result.extend(values.into_iter().flatten());
        }
        Ok(Self { trees: result })
    }

    /// The mean over all responses, by which a run that goes on knows its reference. 0 for none.
    pub(crate) fn mean(&self) -> f64 {
        let values = self
            .trees
            .iter()
            .flat_map(|tree| tree.columns.iter().flatten());
        let (sum, count) = values.fold((0.0, 0_usize), |(sum, count), &value| {
            (sum + f64::from(value), count + 1)
        });
        sum / count.max(1) as f64
    }

    fn group_count(&self) -> usize {
        self.trees.iter().map(TreeReference::groups).sum()
    }

    pub(crate) fn check<T: ResponseTree>(&self, trees: &[T]) -> Result<()> {
        let same = self.trees.len() == trees.len()
            && self
                .trees
                .iter()
                .zip(trees)
                .all(|(reference, tree)| reference.belongs_to(tree));
        if same {
            Ok(())
        } else {
            Err(Error::StaleReference {
                expected: self.group_count(),
                found: trees.iter().map(|tree| tree.groups().len()).sum(),
            })
        }
    }
}

/// Tells how many pairs are done.
struct Progress<'a> {
    done: usize,
    pairs: usize,
    on_event: &'a mut dyn FnMut(&Event),
}

impl<'a> Progress<'a> {
    fn new<T: ResponseTree>(trees: &[T], on_event: &'a mut dyn FnMut(&Event)) -> Self {
        Self {
            done: 0,
            pairs: trees.iter().map(|tree| tree.groups().len()).sum(),
            on_event,
        }
    }

    fn advance(&mut self, pairs: usize) {
        self.done += pairs;
        (self.on_event)(&Event::Reference {
            done: self.done,
            pairs: self.pairs,
        });
    }
}

/// The log-probs of a few trees; `model` is without autodiff.
fn of_group<M: ForestModel, T: ResponseTree>(
    model: &M,
    trees: &[&T],
    settings: &Optimization,
    ranks: &Ranks,
    progress: &mut Progress<'_>,
) -> Result<Vec<TreeReference>> {
    let device = plain_device(model);
    let mut result: Vec<TreeReference> = trees
        .iter()
        .map(|&tree| TreeReference::zeros(tree))
        .collect();
    for packed in pack_reference(trees, settings.token_budget)? {
        let batch = ForestBatch::new(packed.forest, &device);
        let values = read(node_log_probs(model, &batch, settings.log_prob_chunk));
        let value = |node: u32| values[node as usize];
        let mut done = 0;
        for group in &packed.groups {
            let tree = &mut result[group.tree];
            // Mismatched completions follow the groups.
            if let Some(leaf) = group.index.checked_sub(tree.groups()) {
                tree.mismatched[leaf] = value(group.nodes[0]);
                continue;
            }
            for (column, &node) in tree.columns.iter_mut().zip(&group.nodes) {
                column[group.index] = value(node);
            }
            done += 1;
        }
        // Other ranks' forests are known when the group is done.
        if ranks.size() == 1 {
            progress.advance(done);
        }
    }
    for (tree, values) in trees.iter().zip(&result) {
        let mut numbers = values.columns.iter().flatten().chain(&values.mismatched);
        if let Some(&value) = numbers.find(|value| !value.is_finite()) {
            return Err(Error::ReferenceNotFinite {
                id: tree.id().to_owned(),
                value,
            });
        }
    }
    Ok(result)
}

pub(crate) fn read(tensor: Tensor<1>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}
