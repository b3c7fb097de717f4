//! The keys and values of all layers, in blocks that sequences take and give back.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use burn::tensor::{Int, Tensor};

use crate::decoder::LayerKeysValues;
use crate::ops::decode::{BLOCK, CachedTokens, DecodeCache};

/// Blocks that there is room for at first.
const FIRST_BLOCKS: usize = 16;

/// The caches of all layers, which have the same blocks.
#[derive(Default)]
pub(super) struct Cache {
    /// None before the first pass.
    layers: Vec<Option<DecodeCache>>,
    /// Blocks that there should be room for in every layer.
    blocks: usize,
    /// Those that nobody has. The lowest are taken first, so that what follows each other often lies so, too.
    free: BinaryHeap<Reverse<u32>>,
}

impl Cache {
    pub fn new(layers: usize) -> Self {
        Self {
            layers: vec![None; layers],
            ..Self::default()
        }
    }

    /// Makes some tokens more by so many.
    pub fn extend(&mut self, tokens: &mut CachedTokens, by: usize) {
        tokens.len += by;
        while tokens.blocks.len() < tokens.len.div_ceil(BLOCK) {
            tokens.blocks.push(self.take());
        }
    }

    /// Takes blocks back.
    pub fn release(&mut self, tokens: CachedTokens) {
        self.free.extend(tokens.blocks.into_iter().map(Reverse));
    }

    fn take(&mut self) -> u32 {
        if let Some(Reverse(block)) = self.free.pop() {
            return block;
        }
        // Half as much again: what is copied when a layer grows is copied a few times in all, however many tokens come.
        let more = (self.blocks / 2).max(FIRST_BLOCKS);
        let first = self.blocks as u32;
        self.blocks += more;
        self.free
            .extend((first + 1..self.blocks as u32).map(Reverse));
        first
    }

    /// Writes keys and values of a layer, `[T, width]`, to rows of its cache, `[T]`.
    pub fn write(
        &mut self,
        layer: usize,
        of: LayerKeysValues,
        slots: &Tensor<1, Int>,
    ) -> &DecodeCache {
        let [_, width] = of.keys.dims();
        let of_weights = (&of.keys.device(), of.keys.dtype());
        let tokens = self.blocks * BLOCK;
        let zeros = || Tensor::zeros([tokens, width], of_weights);
        // Taken out, it is the only owner of its memory, and written to where it lies. One layer grows after the other, so that
        // what is copied is there twice for one of them alone.
        let cache = match self.layers[layer].take() {
            None => DecodeCache {
                keys: zeros(),
                values: zeros(),
            },
            Some(cache) if cache.keys.dims()[0] == tokens => cache,
            Some(DecodeCache { keys, values }) => {
                let grown = |cache: Tensor<2>| {
                    let before = cache.dims()[0];
                    zeros().slice_assign([0..before, 0..width], cache)
                };
                DecodeCache {
                    keys: grown(keys),
                    values: grown(values),
                }
            }
        };
        self.layers[layer].insert(cache.write(of.keys, of.values, slots.clone()))
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::int_tensor;

    const WIDTH: usize = 3;

    fn write(cache: &mut Cache, tokens: &CachedTokens, from: usize) {
        let slots: Vec<u32> = (from..tokens.len).map(|token| tokens.slot(token)).collect();
        let rows: Vec<[f32; WIDTH]> = slots.iter().map(|&slot| [slot as f32; WIDTH]).collect();
        let count = rows.len();
        let data = burn::tensor::TensorData::new(rows.concat(), [count, WIDTH]);
        let rows = Tensor::<2>::from_data(data, &Device::flex());
        let of = LayerKeysValues {
            keys: rows.clone(),
            values: rows * 2.0,
        };
        cache.write(0, of, &int_tensor(&slots, &Device::flex()));
    }

    #[test]
    fn what_is_cached_survives_growth_and_blocks_that_are_given_back_are_taken_again() {
        let mut cache = Cache::new(1);
        let mut sequences = vec![CachedTokens::default(); 3];
        for step in 0..40 {
            for (index, tokens) in sequences.iter_mut().enumerate() {
                let before = tokens.len;
                cache.extend(tokens, 7 + 20 * index);
                write(&mut cache, tokens, before);
            }
            if step == 20 {
                cache.release(std::mem::take(&mut sequences[2]));
            }
        }
        let held: usize = sequences.iter().map(|it| it.blocks.len()).sum();
        assert!(cache.blocks < 2 * held + FIRST_BLOCKS, "{held}");
        let layer = cache.layers[0].as_ref().expect("it was written to");
        let keys: Vec<f32> = layer.keys.clone().into_data().iter().collect();
        let values: Vec<f32> = layer.values.clone().into_data().iter().collect();
        for tokens in &sequences {
            for token in 0..tokens.len {
                let slot = tokens.slot(token) as usize;
                assert_eq!(keys[slot * WIDTH], slot as f32);
                assert_eq!(values[slot * WIDTH], 2.0 * slot as f32);
            }
            let runs: usize = tokens.runs(5..tokens.len).iter().map(|it| it.len).sum();
            assert_eq!(runs, tokens.len - 5);
        }
        let mut blocks: Vec<u32> = sequences.iter().flat_map(|it| it.blocks.clone()).collect();
        blocks.sort_unstable();
        blocks.dedup();
        assert_eq!(blocks.len(), held, "no block belongs to two");
    }
}
