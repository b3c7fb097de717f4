//! Spans of a forest for attention: for every node, where its tokens and its ancestors' tokens are.

use std::ops::Range;
use std::sync::Arc;

use burn::tensor::{Device, Int, Tensor, TensorData};
use token_forest::PackedForest;

/// A run of tokens in packed order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Index of the first token.
    pub start: usize,
    /// Number of tokens.
    pub len: usize,
}

/// A node's own tokens and those of its ancestors, in path order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeSpan {
    /// The tokens that ask (the node's own).
    pub queries: Segment,
    /// The tokens that answer: the ancestors' segments, root first, then the node's own.
    pub keys: Vec<Segment>,
    /// Number of tokens in all ancestors: the position of the node's first token along its path.
    pub path_start: usize,
}

/// The attention structure of a packed forest. No mask is ever built from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForestSpans {
    /// One span per node, in packed order.
    pub nodes: Vec<NodeSpan>,
    /// Nodes of each tree. Trees share no tokens, so their gradients can be computed apart.
    pub trees: Vec<Range<usize>>,
    /// Tokens in the forest.
    pub tokens: usize,
}

impl ForestSpans {
    /// Reads the spans off a packed forest.
    pub fn new(forest: &PackedForest) -> Self {
        let mut nodes: Vec<NodeSpan> = Vec::with_capacity(forest.nodes.len());
        let mut trees: Vec<Range<usize>> = Vec::new();
        for (index, node) in forest.nodes.iter().enumerate() {
            let queries = Segment {
                start: node.start as usize,
                len: node.len as usize,
            };
            let mut keys = match node.parent {
                Some(parent) => nodes[parent as usize].keys.clone(),
                None => Vec::new(),
            };
            keys.push(queries);
            nodes.push(NodeSpan {
                queries,
                keys,
                path_start: node.path_start as usize,
            });
            match trees.last_mut() {
                Some(last) if node.parent.is_some() => last.end = index + 1,
                _ => trees.push(index..index + 1),
            }
        }
        Self {
            nodes,
            trees,
            tokens: forest.tokens.len(),
        }
    }
}

impl ForestSpans {
    /// For every token, the row behind the subtree of its node: with rows in depth-first order, the row `i` sees the key `j`
    /// exactly when `j <= i < ends[j]`.
    pub fn ends(&self) -> Vec<usize> {
        let mut ends = vec![0; self.tokens];
        // The nodes whose subtree goes on, each with its depth.
        let mut open: Vec<&NodeSpan> = Vec::new();
        let mut close = |node: &NodeSpan, end: usize| {
            let rows = node.queries;
            ends[rows.start..rows.start + rows.len].fill(end);
        };
        for node in &self.nodes {
            while let Some(last) = open.pop_if(|last| last.keys.len() >= node.keys.len()) {
                close(last, node.queries.start);
            }
            open.push(node);
        }
        for node in open {
            close(node, self.tokens);
        }
        ends
    }
}

/// What attention needs to know of a forest, where it is computed: a CPU goes by the spans, the kernels of a GPU by a table.
#[derive(Debug, Clone)]
pub struct Visibility {
    /// The spans.
    pub spans: Arc<ForestSpans>,
    /// `[3 T]`, in one row, which devices keep without gaps: of every token, the [end](ForestSpans::ends) of its node's
    /// subtree, then of every token its position along its path, then of every [`Self::COARSE_ROWS`] tokens the largest end.
    pub table: Tensor<1, Int>,
}

impl Visibility {
    /// Tokens that share an entry of the table's last third.
    pub const COARSE_ROWS: usize = 16;

    /// Puts the spans on a device.
    pub fn new(spans: ForestSpans, device: &Device) -> Self {
        let ends = spans.ends();
        let mut table: Vec<i32> = ends.iter().map(|&end| end as i32).collect();
        for node in &spans.nodes {
            let positions = node.path_start..node.path_start + node.queries.len;
            table.extend(positions.map(|position| position as i32));
        }
        let largest = |ends: &[usize]| ends.iter().max().map_or(0, |&end| end as i32);
        table.extend(ends.chunks(Self::COARSE_ROWS).map(largest));
        table.resize(3 * spans.tokens, 0);
        let table = TensorData::new(table, [3 * spans.tokens]);
        Self {
            spans: Arc::new(spans),
            table: Tensor::from_data(table, device),
        }
    }

    /// The same for a model without autodiff.
    pub fn inner(&self) -> Self {
        Self {
            spans: self.spans.clone(),
            table: self.table.clone().inner(),
        }
    }
}

/// Head counts and sizes of one attention layer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AttentionShape {
    /// Query heads.
    pub heads: usize,
    /// Key/value heads; divides `heads`.
    pub kv_heads: usize,
    /// Features of a head.
    pub head_dim: usize,
    /// Factor of the scores, usually `head_dim^-0.5`.
    pub scale: f32,
    /// Sliding window in positions along the path: a query sees this many keys, itself included.
    pub window: Option<usize>,
}

impl AttentionShape {
    /// Query heads that share one key/value head.
    pub fn group(&self) -> usize {
        self.heads / self.kv_heads
    }

    /// The keys, counted along the path, that the query at `position` sees.
    pub fn visible(&self, position: usize) -> Range<usize> {
        let end = position + 1;
        let start = match self.window {
            Some(window) => end.saturating_sub(window),
            None => 0,
        };
        start..end
    }
}
