//! Prompts that have been computed. What they begin with in common is there once.

use std::sync::Arc;

use super::attention::{Group, KeysValues, Seen, TOGETHER, attention};
use super::{Buffers, PackedDecoder, rows_of};

/// Tokens of prompts that are computed together, unless one prompt alone has more.
const TOKENS_TOGETHER: usize = 2048;

/// Fewer tokens in common are computed anew, so that a prompt is made of few pieces.
const FEWEST_SHARED: usize = 16;

/// Tokens that were computed together, and belong to a prompt or the beginnings of several.
struct Segment {
    tokens: Vec<u32>,
    layers: Vec<KeysValues>,
}

/// The first tokens of a segment.
#[derive(Clone)]
struct Part {
    segment: Arc<Segment>,
    tokens: usize,
}

/// A prompt, for as long as a continuation of it is in the making.
pub struct ComputedPrompt {
    parts: Vec<Part>,
}

impl ComputedPrompt {
    /// Number of tokens.
    pub fn len(&self) -> usize {
        self.parts.iter().map(|part| part.tokens).sum()
    }

    /// Keys and values of a layer, whose tokens have `width` values.
    pub fn seen(&self, layer: usize, width: usize) -> Vec<Seen<'_>> {
        seen(&self.parts, layer, width)
    }

    /// The parts that a prompt begins with, too. At least its last token is left to be computed.
    fn shared_with(&self, tokens: &[u32]) -> Vec<Part> {
        let mut parts = Vec::new();
        let mut rest = &tokens[..tokens.len().saturating_sub(1)];
        for part in &self.parts {
            let common = common(&part.segment.tokens[..part.tokens], rest);
            if common < FEWEST_SHARED.min(part.tokens) {
                break;
            }
            parts.push(Part {
                segment: part.segment.clone(),
                tokens: common,
            });
            if common < part.tokens {
                break;
            }
            rest = &rest[common..];
        }
        parts
    }
}

fn seen(parts: &[Part], layer: usize, width: usize) -> Vec<Seen<'_>> {
    parts
        .iter()
        .map(|part| part.segment.layers[layer].some(0, part.tokens, width))
        .collect()
}

/// Tokens that two texts begin with.
fn common(a: &[u32], b: &[u32]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// A prompt that is being computed.
struct Begun<'a> {
    shared: Vec<Part>,
    /// What is left of it.
    tokens: &'a [u32],
}

impl Begun<'_> {
    fn position(&self) -> usize {
        self.shared.iter().map(|part| part.tokens).sum()
    }
}

impl PackedDecoder {
    /// Computes as many of these prompts as go together well, one at least, and the logits `[vocab]` after each. `before` is one
    /// that was computed earlier.
    pub(super) fn compute_prompts(
        &self,
        prompts: &[&[u32]],
        before: Option<&ComputedPrompt>,
        buffers: &mut Buffers,
    ) -> Vec<(ComputedPrompt, Vec<f32>)> {
        let mut begun: Vec<Begun<'_>> = Vec::new();
        let mut tokens = 0;
        for (index, prompt) in prompts.iter().enumerate() {
            let shared = before.map_or_else(Vec::new, |before| before.shared_with(prompt));
            let known: usize = shared.iter().map(|part| part.tokens).sum();
            if index > 0 {
                // One that begins as another that is being computed waits until it is.
                let next = common(prompts[index - 1], prompt);
                let waits = next >= known + FEWEST_SHARED;
                if waits || tokens + prompt.len() - known > TOKENS_TOGETHER {
                    break;
                }
            }
            tokens += prompt.len() - known;
            begun.push(Begun {
                shared,
                tokens: &prompt[known..],
            });
        }
        let (hidden, computed) = self.forward_begun(&begun, buffers);
        let mut end = 0;
        let ends = begun.iter().map(|prompt| {
            end += prompt.tokens.len();
            end - 1
        });
        let mut logits = Vec::new();
        self.logits(&rows_of(&hidden, self.width(), ends), &mut logits);
        begun
            .into_iter()
            .zip(computed)
            .zip(logits.chunks(self.vocab_size()))
            .map(|((prompt, layers), logits)| {
                let mut parts = prompt.shared;
                parts.push(Part {
                    tokens: prompt.tokens.len(),
                    segment: Arc::new(Segment {
                        tokens: prompt.tokens.to_vec(),
                        layers,
                    }),
                });
                (ComputedPrompt { parts }, logits.to_vec())
            })
            .collect()
    }

    /// The hidden states of a text's tokens, `[T, d]`.
    pub(super) fn hidden_states(&self, text: &[u32]) -> Vec<f32> {
        let begun = Begun {
            shared: Vec::new(),
            tokens: text,
        };
        self.forward_begun(&[begun], &mut Buffers::default()).0
    }

    /// Runs what is left of prompts through all layers: their hidden states, one after the other, and for each prompt the keys
    /// and values of all layers.
    fn forward_begun(
        &self,
        begun: &[Begun<'_>],
        buffers: &mut Buffers,
    ) -> (Vec<f32>, Vec<Vec<KeysValues>>) {
        let tokens: Vec<u32> = begun.iter().flat_map(|it| it.tokens).copied().collect();
        let mut positions = Vec::with_capacity(tokens.len());
        for prompt in begun {
            let first = prompt.position() as u32;
            positions.extend(first..first + prompt.tokens.len() as u32);
        }
        let mut computed: Vec<Vec<KeysValues>> = begun.iter().map(|_| Vec::new()).collect();
        let hidden = self.forward(&tokens, &positions, buffers, |layer, of, shape, mixed| {
            let width = shape.kv_heads * shape.head_dim;
            let mut first = 0;
            for (prompt, layers) in begun.iter().zip(&mut computed) {
                let own = first * width..(first + prompt.tokens.len()) * width;
                layers.push(KeysValues {
                    keys: of.keys[own.clone()].to_vec(),
                    values: of.values[own].to_vec(),
                });
                first += prompt.tokens.len();
            }
            let groups: Vec<Group<'_>> = begun
                .iter()
                .zip(&computed)
                .flat_map(|(prompt, layers)| {
                    let own = &layers[layer];
                    let shared = seen(&prompt.shared, layer, width);
                    let count = prompt.tokens.len();
                    (0..count).step_by(TOGETHER).map(move |first| Group {
                        shared: shared
                            .iter()
                            .copied()
                            .chain([own.some(0, first, width)])
                            .collect(),
                        own: (first..count.min(first + TOGETHER))
                            .map(|last| own.some(first, last + 1 - first, width))
                            .collect(),
                    })
                })
                .collect();
            attention(of.queries, &groups, shape, mixed);
        });
        (hidden, computed)
    }
}
