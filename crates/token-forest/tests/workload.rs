//! How full forests get on trees of the paper's shape.
//!
//! Needs `EURUS_WORKLOAD`, a file with one tree a line: `{"nodes": [{"parent": -1, "ids": [..]}, ..]}`. Without it the
//! test says so and passes.

#![allow(clippy::print_stderr, reason = "a skipped test says so")]

use std::env;
use std::fs;

use serde::Deserialize;
use token_forest::{TokenNode, TokenTree, pack, utilisation};

#[derive(Deserialize)]
struct Tree {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    parent: isize,
    ids: Vec<u32>,
}

#[test]
fn forests_are_at_least_95_percent_full() {
    let Some(file) = env::var_os("EURUS_WORKLOAD") else {
        eprintln!("SKIPPED: set EURUS_WORKLOAD to a file of trees");
        return;
    };
    let budget = 8192;
    let mut pieces = Vec::new();
    let mut split = 0;
    let (mut trees, mut tokens) = (0, 0);
    for line in fs::read_to_string(file).unwrap().lines() {
        let tree: Tree = serde_json::from_str(line).unwrap();
        let nodes = tree.nodes.into_iter().map(|node| TokenNode {
            parent: usize::try_from(node.parent).ok(),
            tokens: node.ids,
            trainable: true,
        });
        let tree = TokenTree {
            nodes: nodes.collect(),
        };
        trees += 1;
        tokens += tree.unique_tokens();
        let parts = tree.split(budget, &[]).unwrap();
        split += usize::from(parts.len() > 1);
        pieces.extend(parts.into_iter().map(|piece| piece.subtree.tree));
    }
    let forests = pack(&pieces, budget).unwrap();
    let full = utilisation(&pieces, &forests, budget);
    eprintln!(
        "{trees} trees ({split} split into pieces, {} in all), {tokens} tokens: {} forests of {budget}, {:.2}% full",
        pieces.len(),
        forests.len(),
        100.0 * full
    );
    assert!(full >= 0.95, "{full}");
}
