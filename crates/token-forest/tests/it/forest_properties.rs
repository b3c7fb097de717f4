//! Laws of trees, forests, packing and splitting.

use std::collections::BTreeSet;

use proptest::prelude::*;
use token_forest::{Error, PackedForest, Target, TokenNode, TokenTree, pack, utilization};

/// Trees of 1 to 14 nodes with 1 to 5 tokens each, any shape.
fn trees() -> impl Strategy<Value = TokenTree> {
    let node = (
        any::<prop::sample::Index>(),
        prop::collection::vec(0_u32..1000, 1..6),
        any::<bool>(),
    );
    prop::collection::vec(node, 1..15).prop_map(|nodes| {
        let entry =
            |(index, (above, tokens, trainable)): (usize, (prop::sample::Index, _, _))| TokenNode {
                parent: (index > 0).then(|| above.index(index)),
                tokens,
                trainable,
            };
        TokenTree {
            nodes: nodes.into_iter().enumerate().map(entry).collect(),
        }
    })
}

fn groups_of(
    tree: &TokenTree,
    picks: &[(prop::sample::Index, prop::sample::Index)],
) -> Vec<Vec<usize>> {
    let nodes = tree.nodes.len();
    picks
        .iter()
        .map(|(a, b)| vec![a.index(nodes), b.index(nodes)])
        .collect()
}

proptest! {
    #[test]
    fn a_path_in_a_forest_equals_the_path_alone(trees in prop::collection::vec(trees(), 1..4)) {
        let forest = PackedForest::from_trees(&trees).unwrap();
        prop_assert_eq!(forest.len(), trees.iter().map(TokenTree::unique_tokens).sum::<usize>());
        for (index, tree) in trees.iter().enumerate() {
            for (leaf, alone) in tree.leaves().into_iter().zip(tree.paths()) {
                let node = forest.node_index(index, leaf);
                let mut path: Vec<usize> = forest.ancestors(node).iter().map(|&n| n as usize).collect();
                path.push(node);
                let at: Vec<usize> = path.iter().flat_map(|&n| forest.tokens_of(n)).collect();
                let tokens: Vec<u32> = at.iter().map(|&t| forest.tokens[t]).collect();
                let positions: Vec<u32> = at.iter().map(|&t| forest.positions[t]).collect();
                prop_assert_eq!(&tokens, &alone);
                prop_assert_eq!(positions, (0..alone.len() as u32).collect::<Vec<_>>());
                prop_assert_eq!(forest.end_of(node) as usize, *at.last().unwrap());
            }
        }
    }

    #[test]
    fn nodes_are_depth_first_and_lead_back_to_their_tree(trees in prop::collection::vec(trees(), 1..4)) {
        let forest = PackedForest::from_trees(&trees).unwrap();
        let mut next = 0;
        let mut open: Vec<u32> = Vec::new();
        for (index, node) in forest.nodes.iter().enumerate() {
            prop_assert_eq!(node.start, next);
            next += node.len;
            // Depth first: the parent is on the path that is still open.
            while open.last().copied() != node.parent {
                prop_assert!(open.pop().is_some());
            }
            open.push(index as u32);
            let (tree, tree_node) = (node.tree as usize, node.tree_node as usize);
            prop_assert_eq!(forest.node_index(tree, tree_node), index);
            prop_assert_eq!(&forest.tokens[forest.tokens_of(index)], &trees[tree].nodes[tree_node].tokens[..]);
            prop_assert!(forest.node_of[forest.tokens_of(index)].iter().all(|&n| n as usize == index));
        }
        prop_assert_eq!(next as usize, forest.len());
    }

    #[test]
    fn every_trainable_token_with_a_predecessor_is_a_target(trees in prop::collection::vec(trees(), 1..4)) {
        let forest = PackedForest::from_trees(&trees).unwrap();
        let trainable = trees.iter().flat_map(|tree| &tree.nodes).filter(|node| node.trainable);
        let expected: usize = trainable
            .map(|node| node.tokens.len() - usize::from(node.parent.is_none()))
            .sum();
        prop_assert_eq!(forest.targets.len(), expected);
        for (index, node) in forest.nodes.iter().enumerate() {
            let targets = &forest.targets[forest.targets_of(index)];
            let entry = &trees[node.tree as usize].nodes[node.tree_node as usize];
            let skipped = usize::from(node.parent.is_none());
            let expected = if entry.trainable { &entry.tokens[skipped..] } else { &[] };
            prop_assert_eq!(targets.iter().map(|t| t.token).collect::<Vec<_>>(), expected);
            for (offset, target) in targets.iter().enumerate() {
                prop_assert_eq!(target.node as usize, index);
                // The predictor stands one position before its token, on the same path.
                let position = node.path_start + (offset + skipped) as u32;
                prop_assert_eq!(forest.positions[target.predictor as usize] + 1, position);
                let predictor = forest.node_of[target.predictor as usize];
                prop_assert!(predictor as usize == index || Some(predictor) == node.parent);
            }
        }
    }

    #[test]
    fn packing_keeps_every_tree_once_and_the_budget(
        trees in prop::collection::vec(trees(), 0..30),
        extra in 0_usize..100,
    ) {
        let largest = trees.iter().map(TokenTree::unique_tokens).max().unwrap_or(1);
        let budget = largest + extra;
        let forests = pack(&trees, budget).unwrap();
        let mut all: Vec<usize> = forests.iter().flatten().copied().collect();
        all.sort_unstable();
        prop_assert_eq!(all, (0..trees.len()).collect::<Vec<_>>());
        for forest in &forests {
            prop_assert!(forest.iter().map(|&t| trees[t].unique_tokens()).sum::<usize>() <= budget);
        }
        // Two forests that would fit into one are never left apart.
        let used = utilization(&trees, &forests, budget);
        prop_assert!(used <= 1.0 && (forests.len() < 2 || used > 0.5));
        prop_assert_eq!(pack(&trees, budget).unwrap(), forests);
    }

    #[test]
    fn a_split_keeps_every_path_every_group_and_the_budget(
        tree in trees(),
        picks in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..6),
        extra in 0_usize..20,
    ) {
        let groups = groups_of(&tree, &picks);
        let alone = |nodes: &[usize]| tree.subtree(nodes).unwrap().tree.unique_tokens();
        let least = groups.iter().map(|group| alone(group)).max().unwrap_or(0);
        let budget = least.max(tree.longest_path_tokens()) + extra;
        let pieces = tree.split(budget, &groups).unwrap();

        let mut held: Vec<usize> = Vec::new();
        let mut paths = BTreeSet::new();
        for piece in &pieces {
            let part = &piece.subtree;
            part.tree.validate().unwrap();
            prop_assert!(part.tree.unique_tokens() <= budget);
            for &group in &piece.groups {
                for &node in &groups[group] {
                    let here = part.index_of(node).expect("a group is whole in its piece");
                    prop_assert_eq!(part.tree.nodes[here].trainable, tree.nodes[node].trainable);
                }
                held.push(group);
            }
            for (here, &node) in part.nodes.iter().enumerate() {
                prop_assert_eq!(part.tree.path_tokens(here), tree.path_tokens(node));
                prop_assert!(tree.nodes[node].trainable || !part.tree.nodes[here].trainable);
                paths.insert(node);
            }
        }
        held.sort_unstable();
        prop_assert_eq!(held, (0..groups.len()).collect::<Vec<_>>());
        prop_assert_eq!(paths.len(), tree.nodes.len());
        if budget >= tree.unique_tokens() {
            prop_assert_eq!(pieces.len(), 1);
            prop_assert_eq!(&pieces[0].subtree.tree, &tree);
        }
    }

    #[test]
    fn a_split_without_groups_trains_every_node_once(tree in trees(), extra in 0_usize..20) {
        let budget = tree.longest_path_tokens() + extra;
        let pieces = tree.split(budget, &[]).unwrap();
        for node in 0..tree.nodes.len() {
            let copies = pieces.iter().filter_map(|piece| {
                let here = piece.subtree.index_of(node)?;
                piece.subtree.tree.nodes[here].trainable.then_some(())
            });
            prop_assert_eq!(copies.count(), usize::from(tree.nodes[node].trainable));
        }
    }

    #[test]
    fn the_targets_of_a_splits_pieces_are_those_of_the_tree_each_once(tree in trees(), extra in 0_usize..20) {
        let budget = tree.longest_path_tokens() + extra;
        let pieces = tree.split(budget, &[]).unwrap();
        let parts: Vec<TokenTree> = pieces.into_iter().map(|piece| piece.subtree.tree).collect();
        let whole = PackedForest::from_trees([&tree]).unwrap();
        let forests = pack(&parts, budget).unwrap();
        let mut in_pieces = Vec::new();
        for members in forests {
            let forest = PackedForest::from_trees(members.iter().map(|&member| &parts[member])).unwrap();
            prop_assert!(forest.len() <= budget);
            in_pieces.extend(targets_with_their_context(&forest));
        }
        let mut expected = targets_with_their_context(&whole);
        // A piece's root is the tree's root, so its first token has no predictor there either.
        in_pieces.sort();
        expected.sort();
        prop_assert_eq!(in_pieces, expected);
    }

    #[test]
    fn forests_depend_on_sizes_and_their_order_alone(sizes in prop::collection::vec(1_usize..40, 1..30)) {
        let with = |token: u32| -> Vec<TokenTree> {
            sizes.iter().map(|&size| TokenTree::new(vec![token; size], token > 1)).collect()
        };
        let forests = pack(&with(1), 40).unwrap();
        prop_assert_eq!(&pack(&with(2), 40).unwrap(), &forests);
        // Best fit: no tree of a later forest would have found room in the fullest of the earlier ones alone.
        let filled = |members: &Vec<usize>| members.iter().map(|&m| sizes[m]).sum::<usize>();
        for (index, a) in forests.iter().enumerate() {
            for b in &forests[index + 1..] {
                prop_assert!(filled(a) + filled(b) > 40);
            }
        }
    }

    #[test]
    fn a_subtree_keeps_the_root_paths_of_its_nodes_and_no_others(
        tree in trees(),
        picks in prop::collection::vec(any::<prop::sample::Index>(), 1..4),
    ) {
        let keep: Vec<usize> = picks.iter().map(|pick| pick.index(tree.nodes.len())).collect();
        let part = tree.subtree(&keep).unwrap();
        let expected: BTreeSet<usize> = keep.iter().flat_map(|&node| tree.path(node)).collect();
        prop_assert_eq!(&part.nodes, &expected.into_iter().collect::<Vec<_>>());
        for &node in &keep {
            let here = part.index_of(node).unwrap();
            prop_assert_eq!(part.tree.path_tokens(here), tree.path_tokens(node));
        }
    }
}

/// Every target with the tokens that its predictor sees: all that a loss on it depends on.
fn targets_with_their_context(forest: &PackedForest) -> Vec<(Vec<u32>, u32)> {
    let context = |target: &Target| {
        let node = forest.node_of[target.predictor as usize] as usize;
        let above = forest.ancestors(node);
        let tokens = above.iter().flat_map(|&n| forest.tokens_of(n as usize));
        let own = forest.tokens_of(node).start..target.predictor as usize + 1;
        let seen = tokens.chain(own).map(|at| forest.tokens[at]).collect();
        (seen, target.token)
    };
    forest.targets.iter().map(context).collect()
}

fn node(parent: Option<usize>, tokens: &[u32]) -> TokenNode {
    TokenNode {
        parent,
        tokens: tokens.to_vec(),
        trainable: true,
    }
}

fn forest_error(nodes: Vec<TokenNode>) -> String {
    let good = TokenTree::new(vec![1], false);
    PackedForest::from_trees([&good, &TokenTree { nodes }])
        .unwrap_err()
        .to_string()
}

#[test]
fn malformed_trees_are_refused_by_name() {
    assert_eq!(
        forest_error(vec![]),
        "tree 1: there is nothing here: a tree needs at least one node"
    );
    assert_eq!(
        forest_error(vec![node(None, &[1]), node(Some(0), &[])]),
        "tree 1: node 1 has no tokens; drop it and attach its children to its parent, \
         or give it the tokens of its message"
    );
    assert_eq!(
        forest_error(vec![
            node(None, &[1]),
            node(Some(2), &[1]),
            node(Some(0), &[1])
        ]),
        "tree 1: node 1 names node 2 as its parent; list parents before their children"
    );
    assert_eq!(
        forest_error(vec![node(None, &[1]), node(None, &[1])]),
        "tree 1: node 1 has no parent, but only node 0 may be a root; \
         make a tree of its own for it or name its parent"
    );
    assert_eq!(
        forest_error(vec![node(Some(0), &[1])]),
        "tree 1: node 0 has the parent 0, but it must be the root; list the root first"
    );
    assert_eq!(
        PackedForest::from_trees([]).unwrap_err().to_string(),
        "there is nothing here: a forest needs at least one tree"
    );
}

#[test]
fn walking_a_malformed_tree_ends() {
    let tree = TokenTree {
        nodes: vec![
            node(Some(1), &[1]),
            node(Some(1), &[2]),
            node(Some(9), &[3]),
        ],
    };
    assert_eq!(tree.paths(), [[1], [2], [3]]);
}

#[test]
fn a_trainable_root_has_no_target_for_its_first_token() {
    let alone = PackedForest::from_trees([&TokenTree::new(vec![7], true)]).unwrap();
    assert!(alone.targets.is_empty());
    let two = PackedForest::from_trees([&TokenTree::new(vec![7, 8], true)]).unwrap();
    let pairs: Vec<(u32, u32)> = two.targets.iter().map(|t| (t.predictor, t.token)).collect();
    assert_eq!(pairs, [(0, 8)]);
}

#[test]
fn a_tree_larger_than_the_budget_is_named() {
    let trees = [
        TokenTree::new(vec![1], false),
        TokenTree::new(vec![1; 9], false),
    ];
    assert_eq!(
        pack(&trees, 8).unwrap_err().to_string(),
        "tree 1: the tree has 9 tokens (longest path 9), more than the budget of 8; \
         split it with `TokenTree::split` or raise the budget"
    );
}

#[test]
fn a_group_larger_than_the_budget_is_named() {
    let mut tree = TokenTree::new(vec![1, 2], false);
    let chosen = tree.push(0, vec![3, 4, 5], true);
    let rejected = tree.push(0, vec![6], true);
    let error = tree.split(5, &[vec![chosen, rejected]]).unwrap_err();
    assert!(matches!(
        error,
        Error::GroupTooLong {
            tokens: 6,
            longest_path: 5,
            budget: 5,
            ..
        }
    ));
    assert_eq!(
        error.in_tree("p7").to_string(),
        "tree p7: the paths of nodes [1, 2], which must stay together, have 6 tokens (longest path 5), \
         more than the budget of 5; raise the budget or drop them"
    );
}

#[test]
fn a_node_in_two_groups_is_trained_in_both_and_its_copies_as_history_are_not() {
    // root - rejected (1) - observation (2) - chosen (3), rejected (4); chosen (5) at the root
    let mut tree = TokenTree::new(vec![1], false);
    let first = tree.push(0, vec![2], true);
    let observation = tree.push(first, vec![3], false);
    let right = tree.push(observation, vec![4], true);
    let wrong = tree.push(observation, vec![5], true);
    let sibling = tree.push(0, vec![6, 7], true);
    let pieces = tree
        .split(5, &[vec![sibling, first], vec![right, wrong]])
        .unwrap();
    assert_eq!(pieces.len(), 2);
    let trained = |piece: usize, node: usize| {
        let part = &pieces[piece].subtree;
        part.index_of(node)
            .map(|here| part.tree.nodes[here].trainable)
    };
    let of_groups: Vec<&[usize]> = pieces.iter().map(|piece| &piece.groups[..]).collect();
    assert_eq!(of_groups, [[0], [1]]);
    assert_eq!(trained(0, first), Some(true));
    assert_eq!(trained(1, first), Some(false));
    assert_eq!(trained(1, right), Some(true));
}

#[test]
fn naive_tokens_count_the_history_of_both_sides() {
    let mut tree = TokenTree::new(vec![1, 2, 3], false);
    let a = tree.push(0, vec![4], true);
    let b = tree.push(0, vec![5, 6], true);
    assert_eq!(tree.naive_tokens(&[(a, b), (a, b)]), 2 * (4 + 5));
    assert_eq!(tree.unique_tokens(), 6);
    assert_eq!(tree.longest_path_tokens(), 5);
}
