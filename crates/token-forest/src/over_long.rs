//! What becomes of rows that are longer than a limit: an error, a cut history, or no row; never a silent cut.

use std::collections::HashMap;
use std::ops::AddAssign;

use ultrainteract::formats::SftRow;
use ultrainteract::{NodeId, PreferenceTree};

use crate::conversation::{EncodedTree, MessageNode, MessageTree};
use crate::preference::{message_tree, sft_messages};
use crate::{ChatMessage, ChatTokenizer, Error, Result, TokenTree};

/// What to do with responses that are too long with their history.
///
/// A response is never cut, whatever the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum OverLong {
    /// Refuse them.
    #[default]
    Error,
    /// Take turns out of the history until what is left fits: the oldest first, the fewest that will do. A turn
    /// is an answer with the prompt after it. The beginning stays, which is a system message, if there is one,
    /// and the instruction: without it a response would answer nothing. Responses that do not fit even right after
    /// the beginning are dropped.
    CutOldestTurns,
    /// Drop them.
    Drop,
}

/// The most tokens that responses may have with their history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LengthLimit {
    /// Of a history with one response: what a model sees as one sequence.
    pub path: usize,
    /// Of a history with all responses of a group: what must fit in one forest.
    pub together: usize,
}

/// What became of groups of responses, by reason. Counts of several trees are added with `+=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct LengthCounts {
    /// Groups that were looked at.
    pub groups: usize,
    /// Groups kept with a shorter history.
    pub cut: usize,
    /// Turns that were taken out of their histories.
    pub cut_turns: usize,
    /// Tokens that the histories lost by that.
    pub cut_tokens: usize,
    /// Groups dropped that would fit with a shorter history; [`OverLong::Drop`] alone has these.
    pub dropped_for_history: usize,
    /// Groups dropped that do not fit even right after the instruction.
    pub dropped_for_response: usize,
}

impl LengthCounts {
    /// Groups dropped, for either reason.
    #[must_use]
    pub fn dropped(&self) -> usize {
        self.dropped_for_history + self.dropped_for_response
    }

    /// Groups that were too long.
    #[must_use]
    pub fn over_long(&self) -> usize {
        self.cut + self.dropped()
    }
}

impl AddAssign for LengthCounts {
    fn add_assign(&mut self, other: Self) {
        self.groups += other.groups;
        self.cut += other.cut;
        self.cut_turns += other.cut_turns;
        self.cut_tokens += other.cut_tokens;
        self.dropped_for_history += other.dropped_for_history;
        self.dropped_for_response += other.dropped_for_response;
    }
}

/// A tree whose paths keep to a limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fitted {
    /// The tokens: the paths of the kept groups and nothing else. The groups' nodes are trainable. `None` when no
    /// group is left.
    pub tree: Option<TokenTree>,
    /// Where the nodes of each group are in `tree`; `None` for a group that was dropped.
    pub groups: Vec<Option<Vec<usize>>>,
    /// What was done.
    pub counts: LengthCounts,
}

impl ChatTokenizer {
    /// A preference tree as tokens that keep to a limit.
    ///
    /// Each of `groups` is a set of actions that answer the same prompt and are kept or dropped together with one
    /// history, such as the two of a pair. A history that is cut becomes another branch below the root; branches
    /// share what they have in common, cut or not.
    ///
    /// # Errors
    ///
    /// As [`ChatTokenizer::encode_tree`]; when the nodes of a group are not siblings; and with
    /// [`OverLong::Error`] when a group is too long.
    pub fn fit_tree(
        &self,
        tree: &PreferenceTree,
        groups: &[Vec<NodeId>],
        limit: LengthLimit,
        policy: OverLong,
    ) -> Result<Fitted> {
        let groups: Vec<Vec<usize>> = groups
            .iter()
            .map(|group| group.iter().map(|node| node.index()).collect())
            .collect();
        self.fit(&message_tree(tree), &groups, limit, policy)
    }

    /// An SFT row as tokens that keep to a limit. It has no history that could be cut.
    ///
    /// # Errors
    ///
    /// As [`ChatTokenizer::encode_sft`], and with [`OverLong::Error`] when the row is too long.
    pub fn fit_sft(&self, row: &SftRow, limit: usize, policy: OverLong) -> Result<Fitted> {
        self.fit_messages(&sft_messages(row), limit, policy)
            .map_err(|e| e.in_tree(&row.id))
    }

    /// A conversation as tokens that keep to a limit.
    ///
    /// Each answer is trained once, with as much of the history before it as fits; so a long conversation becomes
    /// a tree.
    ///
    /// ```
    /// use token_forest::{ChatMessage, ChatTokenizer, OverLong, train_bpe};
    ///
    /// # fn main() -> token_forest::Result<()> {
    /// let bpe = train_bpe(["1 2 3"], 300, &["<|im_start|>", "<|im_end|>"])?;
    /// let tokenizer = ChatTokenizer::from_files(bpe.files()?)?;
    /// let messages = [
    ///     ChatMessage::user("6 * 7?"),
    ///     ChatMessage::assistant("41"),
    ///     ChatMessage::user("No."),
    ///     ChatMessage::assistant("42"),
    /// ];
    /// let whole = tokenizer.encode_messages(&messages)?.longest_path_tokens();
    /// let fitted = tokenizer.fit_messages(&messages, whole - 1, OverLong::CutOldestTurns)?;
    /// assert_eq!((fitted.counts.cut, fitted.counts.cut_turns), (1, 1));
    /// let paths = fitted.tree.expect("two answers are left").paths();
    /// // Each answer right after the instruction: "41" as it was, "42" without what came between.
    /// assert_eq!(tokenizer.decode(&paths[1])?, "user\n6 * 7?\nassistant\n42");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`ChatTokenizer::encode_messages`], and with [`OverLong::Error`] when a path is too long.
    pub fn fit_messages(
        &self,
        messages: &[ChatMessage],
        limit: usize,
        policy: OverLong,
    ) -> Result<Fitted> {
        let tree = MessageTree::of_messages(messages);
        let answers = (0..tree.nodes.len()).filter(|&node| tree.is_answer(node));
        let groups: Vec<Vec<usize>> = answers.map(|node| vec![node]).collect();
        let limit = LengthLimit {
            path: limit,
            together: limit,
        };
        self.fit(&tree, &groups, limit, policy)
    }

    fn fit(
        &self,
        source: &MessageTree,
        groups: &[Vec<usize>],
        limit: LengthLimit,
        policy: OverLong,
    ) -> Result<Fitted> {
        let mut work = Grafting::new(self, source)?;
        let mut counts = LengthCounts::default();
        let mut places = Vec::with_capacity(groups.len());
        for group in groups {
            counts.groups += 1;
            let path = source.history_of(group)?;
            let whole = work.lengths(&path, group);
            if whole.excess(limit).is_none() {
                places.push(Some(group.clone()));
                continue;
            }
            // The first node is the beginning, and two nodes are a turn.
            let turns = path.len() / 2;
            let cut = (1..=turns).find(|&turns| {
                let kept = without_turns(&path, turns);
                work.lengths(&kept, group).excess(limit).is_none()
            });
            match (policy, cut) {
                (OverLong::Error, _) => return Err(source.place(whole.error(group, limit), None)),
                (OverLong::Drop, Some(_)) => {
                    counts.dropped_for_history += 1;
                    places.push(None);
                }
                (OverLong::CutOldestTurns, Some(estimate)) => {
                    let fitted = work.graft_fewest(&path, group, estimate, turns, limit)?;
                    let Some((cut_turns, place, lengths)) = fitted else {
                        counts.dropped_for_response += 1;
                        places.push(None);
                        continue;
                    };
                    counts.cut += 1;
                    counts.cut_turns += cut_turns;
                    counts.cut_tokens += whole.history - lengths.history;
                    places.push(Some(place));
                }
                (OverLong::Drop | OverLong::CutOldestTurns, None) => {
                    counts.dropped_for_response += 1;
                    places.push(None);
                }
            }
        }
        work.finish(places, counts)
    }
}

impl MessageTree {
    /// The path of the prompt that a group answers.
    fn history_of(&self, group: &[usize]) -> Result<Vec<usize>> {
        let parent_of = |&node: &usize| self.nodes.get(node).and_then(|node| node.parent);
        let parent = group.first().and_then(parent_of);
        let siblings = group.iter().all(|node| parent_of(node) == parent);
        let Some(parent) = parent.filter(|_| siblings) else {
            let error = Error::NotSiblings {
                nodes: group.to_vec(),
            };
            return Err(self.place(error, None));
        };
        let mut path = vec![parent];
        while let Some(above) = path.last().and_then(|&node| self.nodes[node].parent) {
            path.push(above);
        }
        path.reverse();
        Ok(path)
    }
}

/// The nodes of a history without its oldest turns.
fn without_turns(path: &[usize], turns: usize) -> Vec<usize> {
    let (beginning, rest) = path.split_at(1);
    let kept = rest.get(2 * turns..).unwrap_or_default();
    [beginning, kept].concat()
}

/// Tokens of a group with its history.
#[derive(Debug, Clone, Copy)]
struct Lengths {
    history: usize,
    longest_path: usize,
    together: usize,
}

impl Lengths {
    /// What is too long, its tokens and their limit.
    fn excess(&self, limit: LengthLimit) -> Option<(&'static str, usize, usize)> {
        [
            ("the longest path", self.longest_path, limit.path),
            ("all of it together", self.together, limit.together),
        ]
        .into_iter()
        .find(|&(_, tokens, limit)| tokens > limit)
    }

    fn error(&self, group: &[usize], limit: LengthLimit) -> Error {
        let (what, tokens, limit) = self.excess(limit).unwrap_or_default();
        Error::OverLong {
            nodes: group.to_vec(),
            history: self.history,
            what,
            tokens,
            limit,
        }
    }
}

/// A tree that gets further branches: histories without their oldest turns.
struct Grafting<'a> {
    tokenizer: &'a ChatTokenizer,
    /// The source's nodes, then those of cut histories.
    nodes: MessageTree,
    encoded: EncodedTree,
    /// Nodes of the source in another place, by the parent there.
    grafted: HashMap<(usize, usize), usize>,
}

impl<'a> Grafting<'a> {
    fn new(tokenizer: &'a ChatTokenizer, source: &MessageTree) -> Result<Self> {
        Ok(Self {
            tokenizer,
            encoded: tokenizer.encode_nodes(source, |_| false)?,
            nodes: source.clone(),
            grafted: HashMap::new(),
        })
    }

    /// The lengths of a group after a history of these nodes.
    fn lengths(&self, history: &[usize], group: &[usize]) -> Lengths {
        let tokens = |&node: &usize| self.encoded.tokens.nodes[node].tokens.len();
        let history = history.iter().map(tokens).sum();
        Lengths {
            history,
            longest_path: history + group.iter().map(tokens).max().unwrap_or(0),
            together: history + group.iter().map(tokens).sum::<usize>(),
        }
    }

    /// Grafts a group onto its history without the fewest turns that will do. `estimate` comes from lengths in the
    /// old place; a template or tokenizer may give a node other tokens in the new one.
    fn graft_fewest(
        &mut self,
        path: &[usize],
        group: &[usize],
        estimate: usize,
        turns: usize,
        limit: LengthLimit,
    ) -> Result<Option<(usize, Vec<usize>, Lengths)>> {
        let mut best = None;
        let mut cut = estimate;
        loop {
            let (place, lengths) = self.graft(&without_turns(path, cut), group)?;
            if lengths.excess(limit).is_none() {
                best = Some((cut, place, lengths));
                if cut == 1 {
                    return Ok(best);
                }
                cut -= 1;
            } else if best.is_some() || cut == turns {
                return Ok(best);
            } else {
                cut += 1;
            }
        }
    }

    /// The places of a group's nodes after a history of these nodes, made where they are missing.
    fn graft(&mut self, history: &[usize], group: &[usize]) -> Result<(Vec<usize>, Lengths)> {
        let (beginning, rest) = history.split_at(1);
        let mut place = beginning.to_vec();
        for &node in rest {
            let parent = place[place.len() - 1];
            place.push(self.child(parent, node)?);
        }
        let parent = place[place.len() - 1];
        let members = group
            .iter()
            .map(|&node| self.child(parent, node))
            .collect::<Result<Vec<_>>>()?;
        let lengths = self.lengths(&place, &members);
        Ok((members, lengths))
    }

    fn child(&mut self, parent: usize, node: usize) -> Result<usize> {
        if self.nodes.nodes[node].parent == Some(parent) {
            return Ok(node);
        }
        if let Some(&there) = self.grafted.get(&(parent, node)) {
            return Ok(there);
        }
        let there = self.nodes.nodes.len();
        self.nodes.nodes.push(MessageNode {
            parent: Some(parent),
            messages: self.nodes.nodes[node].messages.clone(),
        });
        self.tokenizer
            .encode_node(&self.nodes, there, false, &mut self.encoded)?;
        self.grafted.insert((parent, node), there);
        Ok(there)
    }

    /// The tree of the groups' paths, and where the groups are in it.
    fn finish(self, places: Vec<Option<Vec<usize>>>, counts: LengthCounts) -> Result<Fitted> {
        let kept: Vec<usize> = places.iter().flatten().flatten().copied().collect();
        if kept.is_empty() {
            return Ok(Fitted {
                tree: None,
                groups: places,
                counts,
            });
        }
        let part = self.encoded.tokens.subtree(&kept)?;
        let mut tree = part.tree.clone();
        let mut groups = Vec::with_capacity(places.len());
        for place in places {
            let place: Option<Vec<usize>> = place.map(|nodes| {
                let found = nodes.iter().filter_map(|&node| part.index_of(node));
                found.collect()
            });
            for &node in place.iter().flatten() {
                tree.nodes[node].trainable = true;
            }
            groups.push(place);
        }
        Ok(Fitted {
            tree: Some(tree),
            groups,
            counts,
        })
    }
}
