//! The keys and values of prompts and of what continues them.

use std::ops::Range;

use burn::tensor::{Int, Tensor};

use crate::decoder::LayerKeysValues;
use crate::int_tensor;
use crate::ops::DecodeCache;

/// Steps that there is room for at first. Most answers are longer than a few tokens, and seldom as long as they may be.
const FIRST_STEPS: usize = 64;

/// The caches of all layers, with room for some steps, which grows.
pub(super) struct Caches {
    layers: Vec<DecodeCache>,
    /// Steps that there is room for.
    room: usize,
    /// The most steps that can come.
    limit: usize,
}

impl Caches {
    /// Caches of prompts, for `rows` sequences that continue them by at most `limit` steps.
    pub fn new(kept: Vec<LayerKeysValues>, rows: usize, limit: usize) -> Self {
        let room = FIRST_STEPS.min(limit).max(1);
        let layers = kept.into_iter().map(|layer| {
            let steps = [room, rows, layer.keys.dims()[1]];
            let of_weights = (&layer.keys.device(), layer.keys.dtype());
            DecodeCache {
                step_k: Tensor::zeros(steps, of_weights),
                step_v: Tensor::zeros(steps, of_weights),
                prompt_k: layer.keys,
                prompt_v: layer.values,
            }
        });
        Self {
            layers: layers.collect(),
            room,
            limit,
        }
    }

    /// The caches, layer by layer.
    pub fn layers(&mut self) -> &mut [DecodeCache] {
        &mut self.layers
    }

    /// Makes room for a step, the first of which is 0: twice as much as there was, layer by layer, so that what is copied is
    /// there twice for one layer alone.
    pub fn make_room(&mut self, step: usize) {
        if step < self.room {
            return;
        }
        let room = (2 * self.room).clamp(step + 1, self.limit.max(step + 1));
        for layer in &mut self.layers {
            for cache in [&mut layer.step_k, &mut layer.step_v] {
                let [steps, rows, width] = cache.dims();
                let of_weights = (&cache.device(), cache.dtype());
                let larger = Tensor::zeros([room, rows, width], of_weights);
                let smaller = std::mem::replace(cache, larger);
                write(cache, [0..steps, 0..rows, 0..width], smaller);
            }
        }
        self.room = room;
    }

    /// Writes one step's keys and values of a layer, `[B, width]`, in place.
    pub fn append(&mut self, layer: usize, kv: LayerKeysValues, step: usize) -> &DecodeCache {
        let cache = &mut self.layers[layer];
        let [rows, width] = kv.keys.dims();
        let to = || [step..step + 1, 0..rows, 0..width];
        write(&mut cache.step_k, to(), kv.keys.unsqueeze_dim::<3>(0));
        write(&mut cache.step_v, to(), kv.values.unsqueeze_dim::<3>(0));
        cache
    }

    /// Keeps some of the sequences.
    pub fn keep(&mut self, rows: &[u32]) {
        for cache in &mut self.layers {
            let index: Tensor<1, Int> = int_tensor(rows, &cache.step_k.device());
            cache.step_k = cache.step_k.clone().select(1, index.clone());
            cache.step_v = cache.step_v.clone().select(1, index);
        }
    }
}

/// Writes a part of a cache in place.
pub(super) fn write<const D: usize>(
    cache: &mut Tensor<D>,
    to: [Range<usize>; D],
    values: Tensor<D>,
) {
    // Taking the tensor out leaves it the only owner of its memory, so nothing is copied.
    let taken = std::mem::replace(cache, Tensor::zeros([1; D], &values.device()));
    *cache = taken.slice_assign(to, values);
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    /// Steps of the keys of a layer that there is memory for.
    fn steps(caches: &Caches) -> usize {
        caches.layers[0].step_k.dims()[0]
    }

    fn caches(limit: usize) -> Caches {
        let prompt = Tensor::zeros([3, 4], &Device::flex());
        let kept = LayerKeysValues {
            keys: prompt.clone(),
            values: prompt,
        };
        Caches::new(vec![kept], 2, limit)
    }

    fn key(step: usize) -> LayerKeysValues {
        let row = Tensor::<2>::full([2, 4], step as f32, &Device::flex());
        LayerKeysValues {
            keys: row.clone(),
            values: row * 2.0,
        }
    }

    #[test]
    fn room_grows_with_the_steps_and_never_beyond_the_limit() {
        let mut caches = caches(300);
        assert_eq!(steps(&caches), FIRST_STEPS, "not the limit");
        for step in 0..300 {
            caches.make_room(step);
            caches.append(0, key(step), step);
            let room = steps(&caches);
            assert!(room > step && room <= 300, "{room} at {step}");
            assert!(room <= FIRST_STEPS.max(2 * step), "{room} at {step}");
        }
        assert_eq!(steps(&caches), 300);
    }

    #[test]
    fn a_low_limit_is_all_the_room_there_is() {
        assert_eq!(steps(&caches(5)), 5);
    }

    #[test]
    fn what_is_cached_survives_growth() {
        let mut caches = caches(200);
        for step in 0..200 {
            caches.make_room(step);
            caches.append(0, key(step), step);
        }
        let layer = &caches.layers[0];
        let of = |cache: &Tensor<3>| {
            cache
                .clone()
                .into_data()
                .iter::<f32>()
                .collect::<Vec<f32>>()
        };
        for (step, keys) in of(&layer.step_k).chunks(8).enumerate() {
            assert_eq!(keys, [step as f32; 8]);
        }
        for (step, values) in of(&layer.step_v).chunks(8).enumerate() {
            assert_eq!(values, [2.0 * step as f32; 8]);
        }
    }
}
