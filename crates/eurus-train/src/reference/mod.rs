//! Log-probs under the reference model: computed once before training, and kept in a file if asked.

mod cache;

use burn::tensor::Tensor;
use eurus_models::{ForestBatch, ForestModel};
use pref_losses::Needs;
use token_forest::{Group, LabelKind, Pieces, Span, TrainingTree};

use crate::events::Event;
use crate::examples::check_examples;
use crate::log_probs::{by_node, target_log_probs};
use crate::run::plain_device;
use crate::{Error, Ranks, Result, TrainingConfig};

pub use cache::{ReferenceCache, ReferenceKey};

/// Log-probs of every response of pairs, or of responses with verdicts, under the reference model, computed once and shared
/// by any number of runs on the same trees.
#[derive(Debug, Clone, PartialEq)]
pub struct ReferenceLogProbs {
    pub(crate) trees: Vec<TreeReference>,
}

/// The parts of responses that log-probs are kept for, besides whole ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Detail {
    /// Each token of a response.
    pub tokens: bool,
    /// Each turn of the trajectory through it.
    pub turns: bool,
}

impl Detail {
    /// The detail that a loss looks at.
    pub fn of(needs: Needs) -> Self {
        Self {
            tokens: needs.tokens,
            turns: needs.turns,
        }
    }

    /// The nodes whose tokens are scored for it.
    pub fn span(self) -> Span {
        match self.turns {
            true => Span::Trajectories,
            false => Span::Responses,
        }
    }
}

/// Log-probs of parts, by group, by place in the group, and in the order of the parts.
pub(crate) type PartValues = Vec<Vec<Vec<f32>>>;

/// The reference log-probs of one tree.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct TreeReference {
    /// By group and by place in the group.
    pub groups: Vec<Vec<f32>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mismatched: Vec<f32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<PartValues>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turns: Option<PartValues>,
}

impl TreeReference {
    fn zeros(tree: &TrainingTree, detail: Detail) -> Self {
        let groups = tree.groups();
        let parts = |count: &dyn Fn(usize) -> usize| -> PartValues {
            let of_group = |group: &Group| {
                let nodes = group.nodes.iter();
                nodes.map(|&node| vec![0.0; count(node)]).collect()
            };
            groups.iter().map(of_group).collect()
        };
        let tokens = |node: usize| tree.tree().nodes[node].tokens.len();
        let turns = |node: usize| tree.turns_to(node).len();
        Self {
            groups: groups.iter().map(|it| vec![0.0; it.nodes.len()]).collect(),
            mismatched: vec![0.0; groups.iter().filter_map(|it| it.mismatched).count()],
            tokens: detail.tokens.then(|| parts(&tokens)),
            turns: detail.turns.then(|| parts(&turns)),
        }
    }

    fn belongs_to(&self, tree: &TrainingTree) -> bool {
        let zeros = Self::zeros(tree, Detail::default());
        let sizes = |it: &Self| -> Vec<usize> { it.groups.iter().map(Vec::len).collect() };
        sizes(self) == sizes(&zeros) && self.mismatched.len() == zeros.mismatched.len()
    }

    /// Whether it has what is asked for of the parts of this tree's responses.
    fn has(&self, detail: Detail, tree: &TrainingTree) -> bool {
        let zeros = Self::zeros(tree, detail);
        let has = |mine: &Option<PartValues>, wanted: &Option<PartValues>| match (mine, wanted) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(mine), Some(wanted)) => {
                let sizes = |values: &PartValues| -> Vec<Vec<usize>> {
                    let of_group = |group: &Vec<Vec<f32>>| group.iter().map(Vec::len).collect();
                    values.iter().map(of_group).collect()
                };
                sizes(mine) == sizes(wanted)
            }
        };
        has(&self.tokens, &zeros.tokens) && has(&self.turns, &zeros.turns)
    }
}

/// Trees whose log-probs are computed, and kept, together: what a kill can lose. Another number packs trees into other
/// forests, which changes last digits.
pub(crate) const GROUP: usize = 64;

impl ReferenceLogProbs {
    /// Zeros in their place, for losses that do not look at a reference (SimPO, ORPO, CPO, SLiC).
    pub fn absent(trees: &[TrainingTree]) -> Self {
        Self {
            trees: trees
                .iter()
                .map(|tree| TreeReference::zeros(tree, Detail::default()))
                .collect(),
        }
    }

    /// Computes those of whole responses, with the same packing and the same operator that training uses. Some losses look at
    /// tokens or turns as well: [`PreferenceTrainer::reference`](crate::PreferenceTrainer::reference) computes what its loss
    /// needs, can keep it in a file, and can share the work with other ranks.
    ///
    /// # Errors
    ///
    /// When a path is longer than allowed, a token is one the model does not know, or a number is not finite.
    pub fn compute<M: ForestModel>(
        model: &M,
        trees: &[TrainingTree],
        settings: &TrainingConfig,
        on_event: &mut dyn FnMut(&Event),
    ) -> Result<Self> {
        let detail = Detail::default();
        let alone = Ranks::default();
        Self::compute_with(model, trees, settings, detail, None, &alone, on_event)
    }

    /// As [`compute`](Self::compute), with parts, with a file and with other ranks.
    pub(crate) fn compute_with<M: ForestModel>(
        model: &M,
        trees: &[TrainingTree],
        settings: &TrainingConfig,
        detail: Detail,
        cache: Option<&ReferenceCache>,
        ranks: &Ranks,
        on_event: &mut dyn FnMut(&Event),
    ) -> Result<Self> {
        let precision = settings.precision;
        let kind = trees.first().map_or(LabelKind::Pair, TrainingTree::kind);
        let checked = check_examples(trees, kind, settings, model.vocab_size())
            .and_then(|()| precision.check(&plain_device(model)));
        ranks.all_ok(checked)?;
        let model = precision.of(model.valid());
        let here = cache.filter(|_| ranks.is_first());
        let mut file = ranks.all_ok(here.map(|it| it.open(precision)).transpose())?;
        let mut progress = Progress::new(trees, on_event);
        let mut result = Vec::with_capacity(trees.len());
        for group in trees.chunks(GROUP) {
            let cached = |tree| {
                let known = file.as_ref().and_then(|file| file.get(tree));
                known.filter(|known| known.has(detail, tree))
            };
            let mut values: Vec<Option<TreeReference>> =
                ranks.of_first(|| Ok(group.iter().map(cached).collect()))?;
            let (known, missing): (Vec<_>, Vec<_>) =
                (0..group.len()).partition(|&index| values[index].is_some());
            progress.advance(known.iter().map(|&index| group[index].groups().len()).sum());
            if !missing.is_empty() {
                let mine = ranks.partition(&missing, |index| group[index].tree().unique_tokens());
                // Other ranks' forests are known when the group is done.
                let mut advance = |done| {
                    if ranks.size() == 1 {
                        progress.advance(done);
                    }
                };
                let computed = ReferencePass::new(group, settings, detail)
                    .and_then(|pass| pass.compute(&model, &mine, &mut advance));
                let computed = computed.map(|it| mine.into_iter().zip(it).collect::<Vec<_>>());
                for (index, computed) in ranks.all_gather(computed)?.into_iter().flatten() {
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
                ranks.all_ok(written)?;
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

    /// Checks that they are of these trees, and that they have what is asked for of parts.
    pub(crate) fn check(&self, trees: &[TrainingTree], detail: Detail) -> Result<()> {
        let same = self.trees.len() == trees.len()
            && self
                .trees
                .iter()
                .zip(trees)
                .all(|(reference, tree)| reference.belongs_to(tree));
        if !same {
            return Err(Error::StaleReference {
                expected: self.group_count(),
                found: trees.iter().map(|tree| tree.groups().len()).sum(),
            });
        }
        let mut both = self.trees.iter().zip(trees);
        match both.all(|(reference, tree)| reference.has(detail, tree)) {
            true => Ok(()),
            false => Err(Error::ReferenceOfWholeResponses),
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

/// A pass over some trees for their reference log-probs.
pub(crate) struct ReferencePass<'a> {
    trees: &'a [TrainingTree],
    pieces: Pieces<'a>,
    detail: Detail,
    log_prob_chunk: usize,
}

impl<'a> ReferencePass<'a> {
    pub fn new(
        trees: &'a [TrainingTree],
        settings: &TrainingConfig,
        detail: Detail,
    ) -> Result<Self> {
        Ok(Self {
            trees,
            pieces: Pieces::of_reference(trees, detail.span(), settings.token_budget)?,
            detail,
            log_prob_chunk: settings.log_prob_chunk,
        })
    }

    /// The log-probs of some of the trees, by index; `model` is without autodiff. `advance` is told of every few groups.
    pub fn compute<M: ForestModel>(
        &self,
        model: &M,
        members: &[usize],
        advance: &mut dyn FnMut(usize),
    ) -> Result<Vec<TreeReference>> {
        let device = plain_device(model);
        let zeros = members
            .iter()
            .map(|&member| TreeReference::zeros(&self.trees[member], self.detail));
        let mut result: Vec<TreeReference> = zeros.collect();
        for packed in self.pieces.pack(members)? {
            let batch = ForestBatch::new(packed.forest, &device);
            let of_targets = target_log_probs(model, &batch, self.log_prob_chunk);
            let of_nodes = read(by_node(of_targets.clone(), &batch));
            let of_targets = match self.detail.tokens {
                true => read(of_targets),
                false => Vec::new(),
            };
            let values_of = |nodes: &Vec<u32>| -> Vec<f32> {
                nodes.iter().map(|&it| of_nodes[it as usize]).collect()
            };
            let tokens_of =
                |&node: &u32| of_targets[batch.forest.targets_of(node as usize)].to_vec();
            let mut done = 0;
            for group in &packed.groups {
                let tree = &mut result[group.tree];
                // Mismatched responses follow the groups.
                if let Some(leaf) = group.index.checked_sub(tree.groups.len()) {
                    tree.mismatched[leaf] = of_nodes[group.nodes[0] as usize];
                    continue;
                }
                tree.groups[group.index] = values_of(&group.nodes);
                if let Some(tokens) = &mut tree.tokens {
                    tokens[group.index] = group.nodes.iter().map(tokens_of).collect();
                }
                if let Some(turns) = &mut tree.turns {
                    turns[group.index] = group.turns.iter().map(values_of).collect();
                }
                done += 1;
            }
            advance(done);
        }
        for (&member, values) in members.iter().zip(&result) {
            let mut numbers = values.groups.iter().flatten().chain(&values.mismatched);
            if let Some(&value) = numbers.find(|value| !value.is_finite()) {
                return Err(Error::ReferenceNotFinite {
                    id: self.trees[member].id().to_owned(),
                    value,
                });
            }
        }
        Ok(result)
    }
}

pub(crate) fn read(tensor: Tensor<1>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}
