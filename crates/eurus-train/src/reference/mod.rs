//! Log-probs under the reference model: computed once before training, and kept in a file if asked.

mod cache;

use burn::tensor::Tensor;
use eurus_models::{ForestBatch, ForestModel};
use token_forest::{LabelKind, Pieces, TrainingTree};

use crate::events::Event;
use crate::examples::check_examples;
use crate::log_probs::node_log_probs;
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
    /// By group and by place in the group.
    pub groups: Vec<Vec<f32>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mismatched: Vec<f32>,
}

impl TreeReference {
    fn zeros(tree: &TrainingTree) -> Self {
        let groups = tree.groups();
        Self {
            groups: groups.iter().map(|it| vec![0.0; it.nodes.len()]).collect(),
            mismatched: vec![0.0; groups.iter().filter_map(|it| it.mismatched).count()],
        }
    }

    fn belongs_to(&self, tree: &TrainingTree) -> bool {
        let zeros = Self::zeros(tree);
        let sizes = |it: &Self| -> Vec<usize> { it.groups.iter().map(Vec::len).collect() };
        sizes(self) == sizes(&zeros) && self.mismatched.len() == zeros.mismatched.len()
    }
}

/// Trees whose log-probs are computed, and kept, together: what a kill can lose.
pub(crate) const GROUP: usize = 64;

impl ReferenceLogProbs {
    /// Zeros in their place, for losses that do not look at a reference (SimPO, ORPO, CPO, SLiC).
    pub fn absent(trees: &[TrainingTree]) -> Self {
        Self {
            trees: trees.iter().map(TreeReference::zeros).collect(),
        }
    }

    /// Computes them with the same packing and the same operator that training uses.
    ///
    /// # Errors
    ///
    /// When a path is longer than allowed, a token is one the model does not know, or a number is not finite.
    pub fn compute<M: ForestModel>(
        model: &M,
        trees: &[TrainingTree],
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
    pub fn compute_with<M: ForestModel>(
        model: &M,
        trees: &[TrainingTree],
        settings: &Optimization,
        cache: Option<&ReferenceCache>,
        ranks: &Ranks,
        on_event: &mut dyn FnMut(&Event),
    ) -> Result<Self> {
        let precision = settings.precision;
        let kind = trees.first().map_or(LabelKind::Pair, TrainingTree::kind);
        let checked = check_examples(trees, kind, settings, model.vocab_size())
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
                let computed = of_group(&model, group, &mine, settings, ranks, &mut progress);
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
            .flat_map(|tree| tree.groups.iter().flatten());
        let (sum, count) = values.fold((0.0, 0_usize), |(sum, count), &value| {
            (sum + f64::from(value), count + 1)
        });
        sum / count.max(1) as f64
    }

    fn group_count(&self) -> usize {
        self.trees.iter().map(|tree| tree.groups.len()).sum()
    }

    pub(crate) fn check(&self, trees: &[TrainingTree]) -> Result<()> {
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
    fn new(trees: &[TrainingTree], on_event: &'a mut dyn FnMut(&Event)) -> Self {
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

/// The log-probs of some of a few trees; `model` is without autodiff.
fn of_group<M: ForestModel>(
    model: &M,
    trees: &[TrainingTree],
    members: &[usize],
    settings: &Optimization,
    ranks: &Ranks,
    progress: &mut Progress<'_>,
) -> Result<Vec<TreeReference>> {
    let device = plain_device(model);
    let zeros = members
        .iter()
        .map(|&member| TreeReference::zeros(&trees[member]));
    let mut result: Vec<TreeReference> = zeros.collect();
    for packed in Pieces::of_reference(trees, settings.token_budget)?.pack(members)? {
        let batch = ForestBatch::new(packed.forest, &device);
        let values = read(node_log_probs(model, &batch, settings.log_prob_chunk));
        let mut done = 0;
        for group in &packed.groups {
            let tree = &mut result[group.tree];
            let mut values = group.nodes.iter().map(|&node| values[node as usize]);
            // Mismatched responses follow the groups.
            match group.index.checked_sub(tree.groups.len()) {
                Some(leaf) => tree.mismatched[leaf] = values.next().unwrap_or_default(),
                None => {
                    tree.groups[group.index] = values.collect();
                    done += 1;
                }
            }
        }
        // Other ranks' forests are known when the group is done.
        if ranks.size() == 1 {
            progress.advance(done);
        }
    }
    for (&member, values) in members.iter().zip(&result) {
        let mut numbers = values.groups.iter().flatten().chain(&values.mismatched);
        if let Some(&value) = numbers.find(|value| !value.is_finite()) {
            return Err(Error::ReferenceNotFinite {
                id: trees[member].id().to_owned(),
                value,
            });
        }
    }
    Ok(result)
}

pub(crate) fn read(tensor: Tensor<1>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}
