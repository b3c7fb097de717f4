//! One pass over the groups of a step: forests, log-probs, losses.

use burn::tensor::{Device, Tensor};
use eurus_models::{ForestBatch, ForestModel};
use pref_losses::{PreferenceStats, PreferenceSums};
use serde::{Deserialize, Serialize};
use token_forest::GroupForest;

use super::PreferenceTrainer;
use super::forest_pass::{ForestPass, ForestScores, GroupResponses, Part, constant};
use super::objective::StepContext;
use crate::activations::Pass;
use crate::log_probs::{by_node, node_log_probs, of_hidden, of_hidden_with_weights};
use crate::reference::{Detail, read};
use crate::run::{StepOutcome, plain_device};
use crate::step::{GroupCounts, GroupTerms};
use crate::{Ranks, Result};

impl PreferenceTrainer {
    /// The losses of all groups of some trees, forest by forest; `consume` is given each forest's.
    pub(super) fn pass<M: ForestModel>(
        &self,
        model: &M,
        part: &Part<'_>,
        device: &Device,
        ranks: &Ranks,
        consume: &mut dyn FnMut(ForestPass<'_>) -> Result<()>,
    ) -> Result<StepOutcome<PreferenceStats>> {
        let settings = &self.settings;
        let needs = self.loss.needs();
        let mut forests = Vec::new();
        let mine = self.prepare(model, part).map(|(packed, totals)| {
            forests = packed;
            totals
        });
        let my_counts = mine.as_ref().map(|it| it.counts).unwrap_or_default();
        let all = ranks.all_gather(mine)?;
        let counts: GroupCounts = all.iter().map(|it| it.counts).sum();
        let of_all = |of: fn(&StepTotals) -> &Vec<f32>| {
            let values = all.iter().flat_map(|it| of(it).iter().copied());
            constant(values.collect(), device)
        };
        let kl = if needs.kl {
            let policy = of_all(|totals| &totals.mismatched_policy);
            self.loss
                .kl(policy, of_all(|totals| &totals.mismatched_reference))
        } else {
            None
        };
        let context = StepContext {
            kl: kl.clone(),
            reward_shift: part.reward_shift,
            mean_first_tokens: counts.first_tokens as f64 / counts.groups.max(1) as f64,
        };
        let forest_count = forests.len();
        let mut sums: Option<PreferenceSums> = None;
        let mut terms = Vec::new();
        for packed in forests {
            let share = packed.forest.len() as f64 / counts.unique_tokens as f64;
            let groups = packed.groups_by_size();
            let batch = ForestBatch::new(packed.forest, device);
            let pass = Pass::new(model, &batch, part.recompute)?;
            let chunk = settings.log_prob_chunk;
            let (of_targets, log_weights) = if needs.log_weights {
                let (of_targets, weights) =
                    of_hidden_with_weights(model, pass.hidden, &batch, chunk);
                (of_targets, Some(weights))
            } else {
                (of_hidden(model, pass.hidden, &batch, chunk), None)
            };
            let scores = ForestScores {
                of_nodes: by_node(of_targets.clone(), &batch),
                of_targets,
                log_weights,
                forest: &batch.forest,
            };
            let mut loss: Option<Tensor<1>> = None;
            let mut by_size = Vec::with_capacity(groups.len());
            for groups in groups {
                let of_groups = GroupResponses::new(groups, part, &scores);
                let responses = of_groups.for_loss(part, &scores, Detail::of(needs));
                let forest = self.loss.of_forest(responses, &context)?;
                sums = Some(match sums {
                    Some(sums) => sums.merge(forest.sums),
                    None => forest.sums,
                });
                let named = forest.terms.into_iter();
                terms.push(GroupTerms {
                    groups: of_groups.groups.clone(),
                    terms: named
                        .map(|(name, values)| (name, values.detach()))
                        .collect(),
                });
                let sum = forest.losses.sum();
                loss = Some(match loss {
                    Some(loss) => loss + sum,
                    None => sum,
                });
                by_size.push(of_groups);
            }
            // A forest has groups, or it would not be there.
            if let Some(loss) = loss {
                consume(ForestPass {
                    loss: loss / counts.groups as f64,
                    tape: pass.tape,
                    share,
                    responses: &by_size,
                })?;
            }
        }
        let stats = sums.map(PreferenceSums::read).unwrap_or_default();
        let loss = stats.loss;
        let mut not_finite = Vec::new();
        if !loss.is_finite() {
            if let Some(kl) = kl.filter(|kl| !kl.clone().into_scalar::<f32>().is_finite()) {
                not_finite.push(format!("the KL estimate is {}", kl.into_scalar::<f32>()));
            }
            let id = |tree: usize| part.trees[tree].id();
            let [noun, _] = self.loss.kind().nouns();
            not_finite.extend(terms.into_iter().flat_map(|it| it.name(noun, id)));
        }
        Ok(StepOutcome {
            loss: loss * (my_counts.groups as f64 / counts.groups as f64),
            unique_tokens: my_counts.unique_tokens,
            naive_tokens: part.trees.iter().map(|tree| tree.naive_tokens()).sum(),
            forests: forest_count,
            not_finite,
            stats,
        })
    }

    /// Packs a rank's groups, and counts what the loss of the whole step depends on.
    fn prepare<M: ForestModel>(
        &self,
        model: &M,
        part: &Part<'_>,
    ) -> Result<(Vec<GroupForest>, StepTotals)> {
        let settings = &self.settings;
        let forests = part.pieces.groups.pack(part.members)?;
        let mut totals = StepTotals {
            counts: GroupCounts::of(&forests),
            ..StepTotals::default()
        };
        if let Some(mismatched) = &part.pieces.mismatched {
            // Without autodiff: the KL estimate is a constant of the loss.
            let model = model.valid();
            let plain = plain_device(&model);
            for packed in mismatched.pack(part.members)? {
                let batch = ForestBatch::new(packed.forest, &plain);
                let values = read(node_log_probs(&model, &batch, settings.log_prob_chunk));
                for leaf in &packed.groups {
                    let reference = part.reference[leaf.tree].mismatched[leaf.index];
                    totals
                        .mismatched_policy
                        .push(values[leaf.nodes[0] as usize]);
                    totals.mismatched_reference.push(reference);
                }
            }
        }
        Ok((forests, totals))
    }
}

/// A rank's part of what the losses of a whole step depend on.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct StepTotals {
    counts: GroupCounts,
    /// Log-probs of the mismatched completions, of which the KL estimate is the mean difference.
    mismatched_policy: Vec<f32>,
    mismatched_reference: Vec<f32>,
}
