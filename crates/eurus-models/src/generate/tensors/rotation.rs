//! Caches of models whose rotary frequencies change with the length of a sequence.

use token_forest::{PackedForest, TokenTree};

use super::super::row::Row;
use super::cache::write;
use crate::ops::{DecodeCache, PromptGroup};
use crate::{Decoder, ForestBatch, Result};

/// Computes the keys and values of a prompt and its continuations anew where the next token makes the frequencies others,
/// so that every token is drawn as a pass over the whole text so far would draw it.
///
/// `step` is the number of tokens that each continuation has in the caches.
pub(super) fn renew(
    model: &Decoder,
    rows: &[Row],
    groups: &[PromptGroup],
    step: usize,
    caches: &mut [DecodeCache],
) -> Result<()> {
    for group in groups {
        let cached = group.prompt.len + step;
        let frequencies = model.model.frequencies();
        if frequencies.are_shared([cached, cached + 1]) {
            continue;
        }
        // Rows that are done stay in the batch for a while, and what they would go on with does not matter.
        let mut going: Vec<usize> = group.rows.clone().filter(|&row| !rows[row].done).collect();
        let Some(&first) = going.first() else {
            continue;
        };
        if step == 0 {
            going.clear(); // only the prompt is cached
        }
        let mut tree = TokenTree::new(rows[first].asked.tokens.clone(), false);
        for &row in &going {
            let tokens = rows[row].continuation.tokens[..step].to_vec();
            tree.push(0, tokens, false);
        }
        let mut forest = PackedForest::from_trees([&tree])?;
        forest.longest_paths = vec![cached as u32 + 1];
        let device = caches[0].prompt_k.device();
        let (_, kept) = model
            .model
            .forward_keeping(&ForestBatch::new(forest, &device));
        for (cache, layer) in caches.iter_mut().zip(kept) {
            let parts = [
                (&mut cache.prompt_k, &mut cache.step_k, layer.keys),
                (&mut cache.prompt_v, &mut cache.step_v, layer.values),
            ];
            for (of_prompts, of_steps, computed) in parts {
                let [_, width] = computed.dims();
                let start = group.prompt.start;
                let own = computed.clone().narrow(0, 0, group.prompt.len);
                write(of_prompts, [start..start + group.prompt.len, 0..width], own);
                for (place, &row) in going.iter().enumerate() {
                    let start = group.prompt.len + place * step;
                    let own = computed.clone().narrow(0, start, step);
                    let to = [0..step, row..row + 1, 0..width];
                    write(of_steps, to, own.unsqueeze_dim::<3>(1));
                }
            }
        }
    }
    Ok(())
}
