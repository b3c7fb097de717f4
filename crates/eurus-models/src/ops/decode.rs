//! What a decoding step needs: keys and values in blocks of tokens, and where those of every sequence are.

use std::ops::Range;
use std::sync::Arc;

use burn::backend::Dispatch;
use burn::tensor::{Device, Int, Tensor, TensorData};

use super::{AttentionShape, ForestOps, Segment};

/// Tokens of a block of a [`DecodeCache`].
pub const BLOCK: usize = 64;

/// Keys and values of one layer while decoding, in blocks of [`BLOCK`] tokens.
#[derive(Debug, Clone)]
pub struct DecodeCache {
    /// `[blocks * BLOCK, kv_heads * head_dim]`
    pub keys: Tensor<2>,
    /// `[blocks * BLOCK, kv_heads * head_dim]`
    pub values: Tensor<2>,
}

/// Where tokens that follow each other are in a cache.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CachedTokens {
    /// The blocks that have them, all full but the last.
    pub blocks: Vec<u32>,
    /// Number of tokens.
    pub len: usize,
}

impl CachedTokens {
    /// The row of the cache that a token has.
    pub fn slot(&self, token: usize) -> u32 {
        self.blocks[token / BLOCK] * BLOCK as u32 + (token % BLOCK) as u32
    }

    /// The rows that some of the tokens have; blocks that follow each other are one run.
    pub fn runs(&self, tokens: Range<usize>) -> Vec<Segment> {
        let mut runs: Vec<Segment> = Vec::new();
        let mut token = tokens.start;
        while token < tokens.end {
            let start = self.slot(token) as usize;
            let len = (BLOCK - token % BLOCK).min(tokens.end - token);
            match runs.last_mut() {
                Some(last) if last.start + last.len == start => last.len += len,
                _ => runs.push(Segment { start, len }),
            }
            token += len;
        }
        runs
    }
}

/// Sequences that continue one prompt, side by side in a decoding batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromptGroup {
    /// The prompt's tokens, which all of them see.
    pub prompt: CachedTokens,
    /// What each of them has of its own, its newest token included.
    pub rows: Vec<CachedTokens>,
}

/// Keys that some rows have in common, cut so that a piece is work for one part of a GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Piece {
    first_row: usize,
    rows: usize,
    /// Whose tokens they are: prompts and rows count through in their order.
    run: usize,
    first_key: usize,
    keys: usize,
    first_position: usize,
    /// Which of the parts of its rows it is.
    part: usize,
}

/// Where a decoding step finds its keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodeSpans {
    groups: Vec<PromptGroup>,
    pieces: Vec<Piece>,
    /// How many pieces the rows before a row have; one more for all.
    first_parts: Vec<usize>,
}

/// Pieces of keys that keep a GPU busy: a few for each of its processors.
const WANTED_PIECES: usize = 1024;

/// Keys of a piece, at most.
const MOST_KEYS: usize = 32 * BLOCK;

/// Query heads that go over keys together, where there are as many.
pub(super) const QUERIES: usize = 16;

impl DecodeSpans {
    /// The spans of groups whose rows follow each other in the batch.
    pub fn new(groups: Vec<PromptGroup>, shape: AttentionShape) -> Self {
        let together = (QUERIES / shape.group()).max(1);
        let keys: usize = groups
            .iter()
            .map(|group| {
                let own: usize = group.rows.iter().map(|row| row.len).sum();
                group.prompt.len * group.rows.len().div_ceil(together) + own
            })
            .sum();
        let most = (keys * shape.kv_heads / WANTED_PIECES).next_multiple_of(BLOCK);
        let most = most.clamp(BLOCK, MOST_KEYS);
        let cut = |len: usize| (0..len).step_by(most).enumerate();
        let (mut pieces, mut first_parts) = (Vec::new(), vec![0]);
        let (mut first_row, mut run) = (0, 0);
        for group in &groups {
            let (prompt, count) = (group.prompt.len, group.rows.len());
            for (part, first_key) in cut(prompt) {
                let piece = Piece {
                    first_row,
                    rows: together,
                    run,
                    first_key,
                    keys: most.min(prompt - first_key),
                    first_position: first_key,
                    part,
                };
                pieces.extend((0..count).step_by(together).map(|row| Piece {
                    first_row: first_row + row,
                    rows: together.min(count - row),
                    ..piece
                }));
            }
            run += 1;
            let of_prompt = prompt.div_ceil(most);
            for own in &group.rows {
                pieces.extend(cut(own.len).map(|(part, first_key)| Piece {
                    first_row,
                    rows: 1,
                    run,
                    first_key,
                    keys: most.min(own.len - first_key),
                    first_position: prompt + first_key,
                    part: of_prompt + part,
                }));
                first_row += 1;
                run += 1;
                let parts = of_prompt + own.len.div_ceil(most);
                first_parts.push(first_parts[first_parts.len() - 1] + parts);
            }
        }
        Self {
            groups,
            pieces,
            first_parts,
        }
    }

    /// Rows of the batch.
    pub fn rows(&self) -> usize {
        self.first_parts.len() - 1
    }

    /// Every row's prompt and own tokens.
    pub fn sequences(&self) -> impl Iterator<Item = (&CachedTokens, &CachedTokens)> {
        self.groups
            .iter()
            .flat_map(|group| group.rows.iter().map(move |own| (&group.prompt, own)))
    }

    /// Prompts and rows, each prompt before its rows.
    fn runs(&self) -> impl Iterator<Item = &CachedTokens> {
        let groups = self.groups.iter();
        groups.flat_map(|group| std::iter::once(&group.prompt).chain(&group.rows))
    }

    /// Pieces of keys.
    pub fn pieces(&self) -> usize {
        self.pieces.len()
    }

    /// For all rows together, the pieces that they have.
    pub fn parts(&self) -> usize {
        self.first_parts[self.rows()]
    }

    /// What kernels read, `tokens` being the newest of every row: these, the rows of the cache that they have, their positions;
    /// the first parts of the rows and their number; of every piece its first row, its rows, where its blocks stand in this
    /// list, its first key, its keys, the position of the first, its part; the blocks.
    fn table(&self, tokens: &[u32]) -> Vec<i32> {
        let mut table: Vec<usize> = tokens.iter().map(|&token| token as usize).collect();
        table.extend(
            self.sequences()
                .map(|(_, own)| own.slot(own.len - 1) as usize),
        );
        table.extend(
            self.sequences()
                .map(|(prompt, own)| prompt.len + own.len - 1),
        );
        table.extend(&self.first_parts);
        let mut first_blocks = Vec::new();
        let mut blocks = table.len() + ENTRIES_OF_PIECE * self.pieces.len();
        for run in self.runs() {
            first_blocks.push(blocks);
            blocks += run.blocks.len();
        }
        for piece in &self.pieces {
            let entries: [usize; ENTRIES_OF_PIECE] = [
                piece.first_row,
                piece.rows,
                first_blocks[piece.run],
                piece.first_key,
                piece.keys,
                piece.first_position,
                piece.part,
            ];
            table.extend(entries);
        }
        let of_runs = self.runs().flat_map(|run| &run.blocks);
        table.extend(of_runs.map(|&block| block as usize));
        table.into_iter().map(|entry| entry as i32).collect()
    }
}

/// Entries of the table for each piece.
pub(super) const ENTRIES_OF_PIECE: usize = 7;

/// One token of every sequence of a batch, where it is computed: a CPU goes by the spans, the kernels of a GPU by a table.
#[derive(Debug, Clone)]
pub struct DecodeStep {
    /// The spans.
    pub spans: Arc<DecodeSpans>,
    /// All that changes from token to token, in one upload.
    table: Tensor<1, Int>,
}

impl DecodeStep {
    /// Puts the spans and the newest token of every row on a device.
    pub fn new(spans: DecodeSpans, tokens: &[u32], device: &Device) -> Self {
        let table = spans.table(tokens);
        let len = table.len();
        Self {
            spans: Arc::new(spans),
            table: Tensor::from_data(TensorData::new(table, [len]), device),
        }
    }

    fn column(&self, index: usize) -> Tensor<1, Int> {
        let rows = self.spans.rows();
        self.table.clone().narrow(0, index * rows, rows)
    }

    /// The newest token of every row, `[B]`.
    pub fn tokens(&self) -> Tensor<1, Int> {
        self.column(0)
    }

    /// The rows of the cache that the newest tokens have, `[B]`.
    pub fn slots(&self) -> Tensor<1, Int> {
        self.column(1)
    }

    /// The positions of the newest tokens, `[B]`.
    pub fn positions(&self) -> Tensor<1, Int> {
        self.column(2)
    }
}

impl DecodeCache {
    /// Writes keys and values of tokens, `[T, kv_heads * head_dim]` each, to rows of the cache, `[T]`. A cache that nobody else
    /// holds is changed where it lies.
    pub fn write(self, keys: Tensor<2>, values: Tensor<2>, slots: Tensor<1, Int>) -> Self {
        let (keys, values) = Dispatch::write_cache(
            self.keys.into_dispatch(),
            self.values.into_dispatch(),
            keys.into_dispatch(),
            values.into_dispatch(),
            slots.into_dispatch(),
        );
        Self {
            keys: Tensor::from_dispatch(keys),
            values: Tensor::from_dispatch(values),
        }
    }

    /// See [`ForestOps::decode_attention`].
    pub fn attention(&self, q: Tensor<2>, step: &DecodeStep, shape: AttentionShape) -> Tensor<2> {
        Tensor::from_dispatch(Dispatch::decode_attention(
            q.into_dispatch(),
            self.keys.clone().into_dispatch(),
            self.values.clone().into_dispatch(),
            step.table.clone().into_dispatch(),
            step.spans.clone(),
            shape,
        ))
    }
}
