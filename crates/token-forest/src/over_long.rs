//! Policies for rows that are longer than a limit: an error, a cut history, or no row; never a silent cut.

use std::collections::HashMap;
use std::ops::AddAssign;

use crate::conversation::EncodedTree;
use crate::{ChatTokenizer, Error, MessageNode, MessageTree, Result, TextCounts, TokenTree};

/// The policy for responses that are too long with their history.
///
/// A response is never cut, whatever the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
pub enum OverLong {
    /// End with an error, before training
    #[default]
    Error,
    /// Take the oldest turns after the instruction out of the history until it fits; drop what is too long even then
    ///
    /// The fewest turns that will do; a turn is an answer with the prompt after it. The beginning stays, which is a system
    /// message, if there is one, and the instruction: without it a response would answer nothing.
    #[cfg_attr(feature = "clap", value(name = "cut"))]
    CutOldestTurns,
    /// Drop them
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

/// No limit.
impl Default for LengthLimit {
    fn default() -> Self {
        Self::of_path(usize::MAX)
    }
}

impl LengthLimit {
    /// One limit for both a path and a group.
    pub fn of_path(tokens: usize) -> Self {
        Self {
            path: tokens,
            together: tokens,
        }
    }
}

/// Counts of groups of responses that were looked at, cut and dropped for their length. Counts of several trees are
/// added with `+=`.
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
    /// The tokens: the paths of the kept groups and nothing else. Assistant messages are trainable; the groups say which of
    /// them to learn from: one may stand in another one's history as well. `None` when no
    /// group is left.
    pub tree: Option<TokenTree>,
    /// Where the nodes of each group are in `tree`; `None` for a group that was dropped.
    pub groups: Vec<Option<Vec<usize>>>,
    /// Counts of groups that were cut and dropped.
    pub counts: LengthCounts,
    /// The groups that were dropped.
    pub too_long: Vec<TooLong>,
    /// What became of the texts of all messages, each counted once.
    pub texts: TextCounts,
}

/// A group that is too long and was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLong {
    /// The group, by its index.
    pub group: usize,
    /// Tokens of the history.
    pub history: usize,
    /// The longest response, by its place in the group.
    pub longest: usize,
    /// Tokens of the history with the longest response.
    pub path: usize,
    /// Tokens of the history with all responses.
    pub together: usize,
}

impl ChatTokenizer {
    /// The tokens of a conversation with branches, whose groups keep to a limit.
    ///
    /// The responses of a group are kept or dropped together with one history, such as the two of a pair. A history that is
    /// cut becomes another branch below the root; branches share what they have in common, cut or not. So a long conversation
    /// becomes a tree, in which each answer is trained once, with as much of the history before it as fits.
    ///
    /// ```
    /// use token_forest::{ChatTokenizer, LengthLimit, Message, MessageTree, OverLong, train_bpe};
    ///
    /// # fn main() -> token_forest::Result<()> {
    /// let bpe = train_bpe(["1 2 3"], 300, &["<|im_start|>", "<|im_end|>"])?;
    /// let tokenizer = ChatTokenizer::from_files(bpe.files()?)?;
    /// let tree = MessageTree::of_messages(&[
    ///     Message::user("6 * 7?"),
    ///     Message::assistant("41"),
    ///     Message::user("No."),
    ///     Message::assistant("42"),
    /// ]);
    /// let whole = tokenizer.encode(&tree)?.longest_path_tokens();
    /// let fitted = tokenizer.fit(&tree, LengthLimit::of_path(whole - 1), OverLong::CutOldestTurns)?;
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
    /// As [`ChatTokenizer::encode`]; when the nodes of a group are not siblings; and with [`OverLong::Error`] when a group is
    /// too long.
    pub fn fit(
        &self,
        source: &MessageTree,
        limit: LengthLimit,
        policy: OverLong,
    ) -> Result<Fitted> {
        let mut work = Grafting::new(self, source)?;
        // Before the nodes of cut histories come, whose texts are here already.
        let texts = work.encoded.counts.clone();
        let mut counts = LengthCounts::default();
        let mut places = Vec::with_capacity(source.groups.len());
        let mut too_long = Vec::new();
        for (index, group) in source.groups.iter().enumerate() {
            let group = &group.nodes;
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
                    too_long.push(whole.of_group(index));
                    places.push(None);
                }
                (OverLong::CutOldestTurns, Some(estimate)) => {
                    let fitted = work.graft_fewest(&path, group, estimate, turns, limit)?;
                    let Some((cut_turns, place, lengths)) = fitted else {
                        counts.dropped_for_response += 1;
                        too_long.push(whole.of_group(index));
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
                    too_long.push(whole.of_group(index));
                    places.push(None);
                }
            }
        }
        let (tree, groups) = work.finish(places)?;
        Ok(Fitted {
            tree,
            groups,
            counts,
            too_long,
            texts,
        })
    }
}

/// Where the nodes of each group are; `None` for a group that was dropped.
type Places = Vec<Option<Vec<usize>>>;

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
    /// The longest response, by its place.
    longest: usize,
    longest_path: usize,
    together: usize,
}

impl Lengths {
    /// The part that is too long, its tokens and their limit.
    fn excess(&self, limit: LengthLimit) -> Option<(&'static str, usize, usize)> {
        [
            ("the longest path", self.longest_path, limit.path),
            ("all of it together", self.together, limit.together),
        ]
        .into_iter()
        .find(|&(_, tokens, limit)| tokens > limit)
    }

    fn of_group(&self, group: usize) -> TooLong {
        TooLong {
            group,
            history: self.history,
            longest: self.longest,
            path: self.longest_path,
            together: self.together,
        }
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
            encoded: tokenizer.encode_nodes(source, |node| source.is_answer(node))?,
            nodes: source.clone(),
            grafted: HashMap::new(),
        })
    }

    /// The lengths of a group after a history of these nodes.
    fn lengths(&self, history: &[usize], group: &[usize]) -> Lengths {
        let tokens = |&node: &usize| self.encoded.tokens.nodes[node].tokens.len();
        let history = history.iter().map(tokens).sum();
        let responses: Vec<usize> = group.iter().map(tokens).collect();
        let longest = responses
            .iter()
            .enumerate()
            .max_by_key(|(_, tokens)| **tokens);
        let (longest, tokens) = longest.map_or((0, 0), |(place, &tokens)| (place, tokens));
        Lengths {
            history,
            longest,
            longest_path: history + tokens,
            together: history + responses.iter().sum::<usize>(),
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
        let is_answer = self.nodes.is_answer(node);
        self.nodes.nodes.push(MessageNode {
            parent: Some(parent),
            messages: self.nodes.nodes[node].messages.clone(),
        });
        self.tokenizer
            .encode_node(&self.nodes, there, is_answer, &mut self.encoded)?;
        self.grafted.insert((parent, node), there);
        Ok(there)
    }

    /// The tree of the groups' paths, and where the groups are in it.
    fn finish(self, places: Places) -> Result<(Option<TokenTree>, Places)> {
        let kept: Vec<usize> = places.iter().flatten().flatten().copied().collect();
        if kept.is_empty() {
            return Ok((None, places));
        }
        let part = self.encoded.tokens.subtree(&kept)?;
        let mut groups = Vec::with_capacity(places.len());
        for place in places {
            groups.push(place.map(|nodes| {
                let found = nodes.iter().filter_map(|&node| part.index_of(node));
                found.collect()
            }));
        }
        Ok((Some(part.tree), groups))
    }
}
