//! Rows longer than a limit: refused, cut at their oldest turns, or dropped, and counted.

use std::sync::LazyLock;

use crate::common::{llama_like, trained_folder};
use proptest::prelude::*;
use token_forest::{
    BuiltInTemplate, ChatTokenizer, Error, Fitted, Group, Label, LengthLimit, Message, MessageTree,
    OverLong, TokenTree,
};
use ultrainteract::{
    Action, ActionSource, NodeId, Observation, PreferenceTree, Schema, Task, Verdict,
};

static CHATML: LazyLock<ChatTokenizer> =
    LazyLock::new(|| ChatTokenizer::from_folder(trained_folder().path()).unwrap());
static MISTRAL: LazyLock<ChatTokenizer> = LazyLock::new(|| llama_like(BuiltInTemplate::Mistral));

fn action(text: String, verdict: Verdict) -> Action {
    Action {
        text,
        verdict,
        actor: "test".into(),
        schema: Schema::ChainOfThought,
        source: ActionSource::Sampled,
    }
}

/// A tree with a pair at every turn; the rejected action is the one that goes on. Lengths are in words.
fn tree_of(
    instruction: usize,
    turns: &[(usize, usize, usize)],
) -> (PreferenceTree, Vec<Vec<NodeId>>) {
    let words = |turn: usize, word: &str, count: usize| format!("{turn}{}", word.repeat(count));
    let instruction = words(0, " why", instruction);
    let mut tree = PreferenceTree::new("p1", Task::MathCot, "toy", &instruction).unwrap();
    let mut prompt = tree.root();
    let mut pairs = Vec::new();
    for (turn, &(chosen, rejected, observation)) in turns.iter().enumerate() {
        let right = action(words(turn, " yes", chosen), Verdict::Correct);
        let wrong = action(words(turn, " no", rejected), Verdict::Incorrect);
        let chosen = tree.add_action(prompt, right).unwrap();
        let rejected = tree.add_action(prompt, wrong).unwrap();
        pairs.push(vec![chosen, rejected]);
        if turn + 1 < turns.len() {
            let observation = Observation {
                execution: None,
                feedback: words(turn, " wrong", observation),
                critique: None,
            };
            prompt = tree.add_observation(rejected, observation).unwrap();
        }
    }
    (tree, pairs)
}

fn limit(path: usize, together: usize) -> LengthLimit {
    LengthLimit { path, together }
}

/// Some groups of a tree's nodes, fitted.
fn fit_tree(
    tokenizer: &ChatTokenizer,
    tree: &PreferenceTree,
    groups: &[Vec<NodeId>],
    limit: LengthLimit,
    policy: OverLong,
) -> token_forest::Result<Fitted> {
    let nodes = |group: &Vec<NodeId>| group.iter().map(|node| node.index()).collect();
    let group = |group| Group::new(nodes(group), Label::Imitated);
    let tree = MessageTree {
        groups: groups.iter().map(group).collect(),
        ..MessageTree::from(tree)
    };
    tokenizer.fit(&tree, limit, policy)
}

/// The tokens of a group and of their histories.
fn paths_of(fitted: &Fitted, group: usize) -> Option<Vec<Vec<u32>>> {
    let tree = fitted.tree.as_ref()?;
    let nodes = fitted.groups[group].as_ref()?;
    Some(nodes.iter().map(|&node| tree.path_tokens(node)).collect())
}

fn own_tokens(tree: &TokenTree, nodes: &[usize]) -> Vec<Vec<u32>> {
    nodes
        .iter()
        .map(|&node| tree.nodes[node].tokens.clone())
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn no_path_is_longer_than_the_limit_and_no_response_is_touched(
        instruction in 1_usize..8,
        turns in prop::collection::vec((1_usize..10, 1_usize..10, 0_usize..10), 1..6),
        path in 8_usize..120,
        extra in 0_usize..40,
        mistral in any::<bool>(),
        drop in any::<bool>(),
    ) {
        let tokenizer = if mistral { &*MISTRAL } else { &*CHATML };
        let (tree, pairs) = tree_of(instruction, &turns);
        let limit = limit(path, path + extra);
        let policy = if drop { OverLong::Drop } else { OverLong::CutOldestTurns };
        let whole = tokenizer.encode_tree(&tree, |_| true).unwrap();
        let lengths = whole.path_lengths();
        let fitted = fit_tree(tokenizer, &tree, &pairs, limit, policy).unwrap();

        let mut over_long = 0;
        for (index, pair) in pairs.iter().enumerate() {
            let old: Vec<usize> = pair.iter().map(|node| node.index()).collect();
            let history = lengths[old[0]] - whole.nodes[old[0]].tokens.len();
            let longest = lengths[old[0]].max(lengths[old[1]]);
            let together = lengths[old[0]] + whole.nodes[old[1]].tokens.len();
            let fits = longest <= limit.path && together <= limit.together;
            over_long += usize::from(!fits);
            let Some(place) = &fitted.groups[index] else {
                prop_assert!(!fits, "what fits is never dropped");
                continue;
            };
            let tree = fitted.tree.as_ref().unwrap();
            // The responses are untouched, share their history, and keep to both limits.
            prop_assert_eq!(own_tokens(tree, place), own_tokens(&whole, &old));
            prop_assert_eq!(tree.nodes[place[0]].parent, tree.nodes[place[1]].parent);
            let new = tree.path_lengths();
            prop_assert!(new[place[0]].max(new[place[1]]) <= limit.path);
            prop_assert!(new[place[0]] + tree.nodes[place[1]].tokens.len() <= limit.together);
            prop_assert!(place.iter().all(|&node| tree.nodes[node].trainable));
            let shorter = new[place[0]] - tree.nodes[place[0]].tokens.len();
            prop_assert_eq!(shorter == history, fits, "a history is cut only where it must be");
            // The beginning stays.
            prop_assert_eq!(&tree.nodes[0].tokens, &whole.nodes[0].tokens);
        }
        let dropped = fitted.groups.iter().filter(|group| group.is_none()).count();
        prop_assert_eq!(fitted.counts.groups, pairs.len());
        prop_assert_eq!(fitted.counts.dropped(), dropped);
        prop_assert_eq!(fitted.counts.over_long(), over_long);
        prop_assert_eq!(fitted.counts.cut, over_long - dropped);
        prop_assert!(fitted.counts.cut_turns >= fitted.counts.cut);
        prop_assert!(!drop || fitted.counts.cut == 0);
        prop_assert!(drop || fitted.counts.dropped_for_history == 0);
        prop_assert_eq!(fitted.tree.is_none(), dropped == pairs.len());
        if let Some(tree) = &fitted.tree {
            tree.validate().unwrap();
        }
        // Refusing is the third way to say the same.
        let refused = fit_tree(tokenizer, &tree, &pairs, limit, OverLong::Error);
        prop_assert_eq!(refused.is_err(), over_long > 0);
    }

    #[test]
    fn the_fewest_turns_are_cut(
        turns in prop::collection::vec((1_usize..6, 1_usize..6, 1_usize..6), 2..6),
        path in 20_usize..100,
    ) {
        let (tree, pairs) = tree_of(1, &turns);
        let last = pairs.len() - 1;
        let groups = vec![pairs[last].clone()];
        let fit = |path| fit_tree(&CHATML, &tree, &groups, limit(path, 1000), OverLong::CutOldestTurns).unwrap();
        let fitted = fit(path);
        prop_assume!(fitted.counts.cut == 1);
        // A limit one token below what came out takes one turn more, or leaves nothing.
        let longest = paths_of(&fitted, 0).unwrap().iter().map(Vec::len).max().unwrap();
        let tighter = fit(longest - 1);
        prop_assert!(tighter.counts.dropped() == 1 || tighter.counts.cut_turns > fitted.counts.cut_turns);
        let looser = fit(path + 1);
        prop_assert!(looser.counts.cut_turns <= fitted.counts.cut_turns);
    }

    #[test]
    fn a_conversation_trains_every_answer_once(
        turns in prop::collection::vec((1_usize..8, 1_usize..8), 1..7),
        path in 20_usize..90,
    ) {
        let mut messages = vec![Message::system("Be brief.")];
        for (turn, &(question, answer)) in turns.iter().enumerate() {
            messages.push(Message::user(format!("{turn}{}", " why".repeat(question))));
            messages.push(Message::assistant(format!("{turn}{}", " so".repeat(answer))));
        }
        let whole = CHATML.encode_messages(&messages).unwrap();
        let fitted = CHATML.fit(&MessageTree::of_messages(&messages), LengthLimit::of_path(path), OverLong::CutOldestTurns).unwrap();
        prop_assert_eq!(fitted.counts.groups, turns.len());
        let Some(tree) = fitted.tree else {
            return Ok(());
        };
        prop_assert!(tree.longest_path_tokens() <= path);
        // An answer may stand in another one's history as well, where it is not learned from.
        let kept: Vec<usize> = fitted.groups.iter().flatten().flatten().copied().collect();
        prop_assert_eq!(kept.len(), turns.len() - fitted.counts.dropped());
        let answers: Vec<&[u32]> =
            whole.nodes.iter().filter(|n| n.trainable).map(|n| n.tokens.as_slice()).collect();
        let mut learned: Vec<&[u32]> = kept.iter().map(|&node| tree.nodes[node].tokens.as_slice()).collect();
        prop_assert!(learned.iter().all(|answer| answers.contains(answer)));
        learned.sort();
        learned.dedup();
        prop_assert_eq!(learned.len(), kept.len(), "each once");
        prop_assert_eq!(&tree.nodes[0].tokens, &whole.nodes[0].tokens);
    }
}

fn spelled(tokenizer: &ChatTokenizer, fitted: &Fitted, group: usize) -> Vec<String> {
    let paths = paths_of(fitted, group).unwrap();
    let spell = |path: &Vec<u32>| tokenizer.decode_with_special_tokens(path).unwrap();
    paths.iter().map(spell).collect()
}

#[test]
fn the_system_message_and_the_instruction_stay_and_the_oldest_turn_goes() {
    let messages = [
        Message::system("Be brief."),
        Message::user("6 * 7?"),
        Message::assistant("40"),
        Message::user("No."),
        Message::assistant("41"),
        Message::user("Not yet."),
        Message::assistant("42"),
    ];
    let whole = CHATML.encode_messages(&messages).unwrap();
    let path = whole.longest_path_tokens() - 1;
    let fitted = CHATML
        .fit(
            &MessageTree::of_messages(&messages),
            LengthLimit::of_path(path),
            OverLong::CutOldestTurns,
        )
        .unwrap();
    assert_eq!(
        spelled(&CHATML, &fitted, 2),
        [
            "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n6 * 7?<|im_end|>\n\
          <|im_start|>assistant\n41<|im_end|>\n<|im_start|>user\nNot yet.<|im_end|>\n\
          <|im_start|>assistant\n42<|im_end|>"
        ]
    );
    let counts = fitted.counts;
    assert_eq!(
        (
            counts.groups,
            counts.cut,
            counts.cut_turns,
            counts.dropped()
        ),
        (3, 1, 1, 0)
    );
    let cut: usize = whole.nodes[1..3].iter().map(|node| node.tokens.len()).sum();
    assert_eq!(counts.cut_tokens, cut);
}

#[test]
fn cut_histories_are_shared_where_they_are_the_same() {
    // Two pairs of the third turn lose one turn each: what is left before them is there once.
    let (mut tree, mut pairs) = tree_of(1, &[(1, 5, 1), (1, 5, 1), (2, 2, 1)]);
    let prompt = tree.node(pairs[2][0]).parent().unwrap();
    let more = ["again yes", "again no"].map(|text| {
        tree.add_action(prompt, action(text.into(), Verdict::Unjudged))
            .unwrap()
    });
    pairs.push(more.to_vec());
    let whole = CHATML.encode_tree(&tree, |_| true).unwrap();
    let path = whole.path_lengths()[prompt.index()];
    let third = &pairs[2..];
    let fitted = fit_tree(
        &CHATML,
        &tree,
        third,
        limit(path, path + 20),
        OverLong::CutOldestTurns,
    )
    .unwrap();
    assert_eq!((fitted.counts.cut, fitted.counts.cut_turns), (2, 2));
    let fitted_tree = fitted.tree.as_ref().unwrap();
    // instruction, second answer, second observation, two pairs
    assert_eq!(fitted_tree.nodes.len(), 3 + 4);
    let places: Vec<usize> = fitted.groups.iter().flatten().flatten().copied().collect();
    let parents: Vec<_> = places
        .iter()
        .map(|&node| fitted_tree.nodes[node].parent)
        .collect();
    assert!(parents.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn what_fits_is_left_as_it_is() {
    let (tree, pairs) = tree_of(2, &[(3, 4, 2), (3, 3, 1)]);
    let mut whole = CHATML.encode_tree(&tree, |_| true).unwrap();
    for node in &mut whole.nodes {
        node.trainable = false;
    }
    for node in pairs.iter().flatten() {
        whole.nodes[node.index()].trainable = true;
    }
    for policy in [OverLong::Error, OverLong::CutOldestTurns, OverLong::Drop] {
        let fitted = fit_tree(&CHATML, &tree, &pairs, limit(500, 600), policy).unwrap();
        assert_eq!(fitted.tree.as_ref(), Some(&whole));
        assert_eq!(fitted.counts.over_long(), 0);
    }
}

#[test]
fn a_response_that_does_not_fit_after_the_instruction_is_dropped_and_counted_apart() {
    let (tree, pairs) = tree_of(1, &[(60, 1, 1), (1, 1, 1)]);
    for policy in [OverLong::CutOldestTurns, OverLong::Drop] {
        let fitted = fit_tree(&CHATML, &tree, &pairs, limit(60, 100), policy).unwrap();
        assert_eq!(
            (
                fitted.counts.dropped_for_response,
                fitted.counts.dropped_for_history
            ),
            (1, 0)
        );
        assert_eq!(fitted.groups[0], None);
        assert!(fitted.groups[1].is_some());
    }
    let none = fit_tree(&CHATML, &tree, &pairs[..1], limit(60, 100), OverLong::Drop).unwrap();
    assert_eq!((none.tree, none.groups), (None, vec![None]));
}

#[test]
fn an_error_says_what_is_too_long_and_where() {
    let (tree, pairs) = tree_of(1, &[(3, 3, 1)]);
    let error = |path, together| {
        fit_tree(
            &CHATML,
            &tree,
            &pairs,
            limit(path, together),
            OverLong::Error,
        )
        .unwrap_err()
        .to_string()
    };
    let long = error(10, 100);
    assert!(
        long.starts_with("tree p1: the responses at nodes [1, 2] have a history of ")
            && long.contains("; the longest path has ")
            && long.contains("more than the limit of 10"),
        "{long}"
    );
    let both = error(50, 30);
    assert!(both.contains("all of it together has "), "{both}");
}

#[test]
fn nodes_of_a_group_must_answer_the_same_prompt() {
    let (tree, pairs) = tree_of(1, &[(1, 1, 1), (1, 1, 1)]);
    for group in [vec![pairs[0][0], pairs[1][0]], vec![tree.root()], vec![]] {
        let error = fit_tree(&CHATML, &tree, &[group], limit(99, 99), OverLong::Drop).unwrap_err();
        let Error::InTree { problem, .. } = error else {
            panic!("{error}");
        };
        assert!(matches!(*problem, Error::NotSiblings { .. }));
    }
}
